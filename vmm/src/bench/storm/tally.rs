//! What became of requests.

use serde::Serialize;

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has the reply that it must have.
    Good,
    /// It was told that its server restarted.
    Restarted,
    /// Its connection was closed.
    Closed,
    /// There is no reply, or it had no effect.
    Lost,
    /// There are two replies, or it had its effect twice.
    Doubled,
    /// Its reply is none to that request.
    Wrong,
}

impl Fate {
    /// Whether its sender knows what has become of it. (What a server that died had in its hands
    /// may have been carried out; that is what such a sender knows.)
    pub const fn is_definite(self) -> bool {
        matches!(self, Self::Good | Self::Restarted | Self::Closed)
    }
}

/// How many became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fates {
    /// Replied to as they must be.
    pub good: u64,
    /// Told that their server restarted.
    pub restarted: u64,
    /// Left with a closed connection.
    pub closed: u64,
    /// Without a reply, or without an effect.
    pub lost: u64,
    /// With two.
    pub doubled: u64,
    /// With a reply to something else.
    pub wrong: u64,
}

impl Fates {
    /// Adds requests of one fate.
    pub const fn add(&mut self, fate: Fate, count: u64) {
        let place = match fate {
            Fate::Good => &mut self.good,
            Fate::Restarted => &mut self.restarted,
            Fate::Closed => &mut self.closed,
            Fate::Lost => &mut self.lost,
            Fate::Doubled => &mut self.doubled,
            Fate::Wrong => &mut self.wrong,
        };
        *place += count;
    }

    /// Adds those of another.
    pub fn add_all(&mut self, other: &Self) {
        for (fate, count) in other.named() {
            self.add(fate, count);
        }
    }

    /// All that did not become what it must.
    pub const fn indefinite(&self) -> u64 {
        self.lost + self.doubled + self.wrong
    }

    /// Each number, and what it counts.
    pub const fn named(&self) -> [(Fate, u64); 6] {
        [
            (Fate::Good, self.good),
            (Fate::Restarted, self.restarted),
            (Fate::Closed, self.closed),
            (Fate::Lost, self.lost),
            (Fate::Doubled, self.doubled),
            (Fate::Wrong, self.wrong),
        ]
    }
}

/// What a connection has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What became of its requests.
    pub fates: Fates,
    /// Times between the last good reply before a restart and the first one after it, in
    /// nanoseconds.
    pub gaps: Vec<u64>,
    /// How often the server had restarted since the last reply, and told nobody here.
    pub forgotten: u64,
    /// The first thing that should not have been.
    pub example: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_has_a_number_of_its_own() {
        let mut fates = Fates::default();
        for (count, (fate, _)) in (1..).zip(fates.named()) {
            fates.add(fate, count);
        }
        let mut twice = fates;
        twice.add_all(&fates);
        assert_eq!(twice.named().map(|(_, count)| count), [2, 4, 6, 8, 10, 12]);
        let indefinite = twice.named().into_iter().filter(|(fate, _)| !fate.is_definite());
        assert_eq!(indefinite.map(|(_, count)| count).sum::<u64>(), twice.indefinite());
    }
}
