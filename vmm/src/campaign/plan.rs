//! Which fault is next. Each follows from the seed and its number alone, so a campaign can go on
//! in a new process where another ended.

use serde::{Deserialize, Serialize};

use crate::domain::{Harm, Random};

/// A server that is harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// The echo server; its client shares a channel with it.
    Echo,
    /// The key-value server behind its gateway.
    Kv,
}

impl Victim {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Echo, Self::Kv];

    /// Its domain.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Kv => "kv",
        }
    }
}

/// One fault to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number, from 0.
    pub number: u32,
    /// Into whom.
    pub victim: Victim,
    /// What.
    pub harm: Harm,
    /// Chooses where.
    pub place: u64,
    /// Chooses what there.
    pub value: u64,
}

/// All combinations of victim and harm: each comes once in so many faults.
const ROUND: usize = Harm::ALL.len() * Victim::ALL.len();

/// The fault of this number.
pub fn fault(seed: u64, number: u32) -> Fault {
    let round = number as usize / ROUND;
    let (victim, harm) = order_of(seed, round)[number as usize % ROUND];
    let mut random = Random::new(seed ^ u64::from(number).rotate_left(32));
    // Numbers next to each other begin sequences next to each other: a step apart they are not.
    let mut random = Random::new(random.draw());
    Fault { number, victim, harm, place: random.draw(), value: random.draw() }
}

/// The combinations in the order of one round (Fisher and Yates).
fn order_of(seed: u64, round: usize) -> Vec<(Victim, Harm)> {
    let of = |victim| Harm::ALL.into_iter().map(move |harm| (victim, harm));
    let mut order: Vec<_> = Victim::ALL.into_iter().flat_map(of).collect();
    let mut random =
        Random::new(seed.wrapping_add(round as u64).wrapping_mul(0x2545_f491_4f6c_dd1d));
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashSet};

    #[test]
    fn a_seed_always_gives_the_same_faults_and_another_one_others() {
        let faults = |seed| (0..500).map(|number| fault(seed, number)).collect::<Vec<_>>();
        assert_eq!(faults(7), faults(7));
        let kinds = |seed| faults(seed).into_iter().map(|f| (f.victim, f.harm)).collect::<Vec<_>>();
        assert_ne!(kinds(7), kinds(8));
    }

    #[test]
    fn every_harm_comes_as_often_to_every_victim() {
        let mut counts = BTreeMap::new();
        for number in 0..10 * ROUND as u32 {
            let fault = fault(1, number);
            *counts.entry((fault.victim, fault.harm)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), ROUND);
        assert!(counts.values().all(|&count| count == 10), "{counts:?}");
    }

    #[test]
    fn rounds_differ_in_their_order_and_faults_in_their_places() {
        let orders: HashSet<_> = (0..20).map(|round| order_of(3, round)).collect();
        assert_eq!(orders.len(), 20);
        let places: HashSet<_> = (0..5000).map(|number| fault(3, number).place).collect();
        assert_eq!(places.len(), 5000);
        let low_bits: HashSet<_> = (0..64).map(|number| fault(3, number).place % 16).collect();
        assert!(low_bits.len() > 12, "{low_bits:?}");
    }
}
