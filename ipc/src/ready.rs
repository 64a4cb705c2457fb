//! Which of a domain's channels want its attention.
//!
//! A server with many clients must neither look at all their rings before each message, nor
//! starve one of them. So it *watches* only those that had something to say lately, and each
//! other channel has its consumer's `asleep` flag up ([`crate::ring`]): who publishes there takes
//! the flag down, sets the channel's bit in the domain's [`Ready`] page, and kicks the domain if
//! it sleeps. A channel in steady use costs nothing for this: its flag is down, and its bit is
//! not touched.
//!
//! **Hints, never trusted.** All clients of a domain can write its page. A bit that is set for
//! nothing costs the server one look; one that is cleared by a hostile client is made up for by
//! looking at all channels now and then, and before each sleep. Nor can a hostile client hide that
//! the domain sleeps: whether it runs, the nucleus tells in the [host page](HostPage), and it lets
//! no domain go to sleep whose bits are set.
//!
//! **Ordering.** A server that stops watching a channel puts the flag up, fences, and looks at the
//! ring once more; then a record that it missed was published after the flag was up, and its
//! producer sets the bit. A server that goes to sleep stores `asleep`, fences, and looks at the
//! bits once more; a client that has set a bit fences, and looks at `asleep`. As in a ring, one of
//! them sees the other.

use crate::abi::HostPage;
use crate::control::Line;
use crate::sync::Ordering::{AcqRel, Relaxed};
use crate::sync::{AtomicU32, AtomicU64, full_fence};

/// Most channels of a domain.
pub const CHANNELS_MAX: usize = 256;
const WORDS: usize = CHANNELS_MAX / 64;

/// A set of channels, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelSet([u64; WORDS]);

impl ChannelSet {
    /// Of none.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds a channel.
    pub const fn insert(&mut self, channel: usize) {
        self.0[channel / 64] |= 1 << (channel % 64);
    }

    /// Takes a channel out.
    pub const fn remove(&mut self, channel: usize) {
        self.0[channel / 64] &= !(1 << (channel % 64));
    }

    /// Whether a channel is in it.
    pub const fn contains(&self, channel: usize) -> bool {
        self.0[channel / 64] >> (channel % 64) & 1 != 0
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The first channel at or after `from`; the search goes round.
    #[inline]
    pub fn first_from(&self, from: usize) -> Option<usize> {
        let (start, bit) = (from / 64 % WORDS, from % 64);
        let high = self.0[start] & u64::MAX << bit;
        if high != 0 {
            return Some(start * 64 + high.trailing_zeros() as usize);
        }
        // The first word comes last once more, for its lower bits.
        (1..=WORDS).map(|step| (start + step) % WORDS).find_map(|word| {
            let bits = self.0[word];
            (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
        })
    }

    /// The channels, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let mut left = *self;
        core::iter::from_fn(move || {
            let channel = left.first_from(0)?;
            left.remove(channel);
            Some(channel)
        })
    }

    /// The words, as a wait hands them to the nucleus.
    pub const fn words(&self) -> [u64; WORDS] {
        self.0
    }
}

impl FromIterator<usize> for ChannelSet {
    fn from_iter<I: IntoIterator<Item = usize>>(channels: I) -> Self {
        let mut set = Self::EMPTY;
        channels.into_iter().for_each(|channel| set.insert(channel));
        set
    }
}

/// The page by which a domain's clients get its attention. It and all its clients write it.
#[repr(C, align(4096))]
#[derive(Debug, Default)]
pub struct Ready {
    asleep: Line<AtomicU32>,
    bits: Line<[AtomicU64; WORDS]>,
}

impl Ready {
    /// For a client that has published: this channel wants attention. Whether the domain sleeps,
    /// and the caller must kick it; nobody else will.
    #[must_use = "a domain that sleeps must be kicked"]
    pub fn raise(&self, channel: usize) -> bool {
        self.bits.0[channel / 64 % WORDS].fetch_or(1 << (channel % 64), AcqRel);
        full_fence();
        self.asleep.0.load(Relaxed) != 0 && self.asleep.0.swap(0, Relaxed) != 0
    }

    /// For the domain: the channels that want attention; collecting clears them.
    #[inline]
    pub fn collect(&self) -> ChannelSet {
        ChannelSet(core::array::from_fn(|word| {
            let bits = &self.bits.0[word];
            // The line stays in the domain's cache until a client writes it.
            if bits.load(Relaxed) == 0 { 0 } else { bits.swap(0, AcqRel) }
        }))
    }

    /// Whether a channel wants attention. For the nucleus, which asks before it lets the domain
    /// sleep.
    pub fn is_raised(&self) -> bool {
        full_fence();
        self.bits.0.iter().any(|bits| bits.load(Relaxed) != 0)
    }

    /// For the domain, about to sleep: it must collect once more after this, and sleep only if it
    /// finds nothing; then whoever raises its attention kicks it.
    pub fn declare_asleep(&self) {
        self.asleep.0.swap(1, Relaxed);
        full_fence();
    }

    /// Takes the declaration back.
    pub fn declare_awake(&self) {
        self.asleep.0.store(0, Relaxed);
    }
}

/// A server's [`Ready`] page, and a client's bit in it.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    ready: &'a Ready,
    channel: usize,
    /// Who says whether the server runs: the nucleus, whom no other client can gainsay.
    watchman: Option<(&'a HostPage, u32)>,
}

impl<'a> Alert<'a> {
    /// The alert of a channel, as its server numbers it.
    pub const fn new(ready: &'a Ready, channel: u32) -> Self {
        Self { ready, channel: channel as usize % CHANNELS_MAX, watchman: None }
    }

    /// The same, where the nucleus tells whether the server's domain runs.
    #[must_use]
    pub const fn watched_by(self, page: &'a HostPage, domain: u32) -> Self {
        Self { watchman: Some((page, domain)), ..self }
    }

    /// See [`Ready::raise`]. What the page says of a domain's sleep, another client may have
    /// changed; so a domain that does not run is kicked in any case.
    #[must_use = "a domain that sleeps must be kicked"]
    pub fn raise(&self) -> bool {
        let sleeps = self.ready.raise(self.channel);
        sleeps || self.watchman.is_some_and(|(page, domain)| !page.is_running(domain))
    }
}

/// Which channels a server watches, and whose turn it is.
#[derive(Debug)]
pub struct Watch {
    watched: ChannelSet,
    /// Looks in vain at each watched channel since it last had a record.
    idle: [u8; CHANNELS_MAX],
    turn: usize,
    /// The only watched channel, if there is but one.
    sole: Option<u16>,
}

/// A channel is no longer watched after so many looks in vain, while others have records.
const IDLE_MAX: u8 = 32;

impl Watch {
    /// Watches nothing.
    pub const fn new() -> Self {
        Self { watched: ChannelSet::EMPTY, idle: [0; CHANNELS_MAX], turn: 0, sole: None }
    }

    /// The watched channels.
    pub const fn watched(&self) -> ChannelSet {
        self.watched
    }

    /// Watches one more. Its `asleep` flag need not be down.
    pub const fn add(&mut self, channel: usize) {
        self.watched.insert(channel);
        self.idle[channel] = 0;
        self.count();
    }

    /// Watches one no longer. Its flag must be up, and its ring looked at after that.
    pub const fn remove(&mut self, channel: usize) {
        self.watched.remove(channel);
        self.count();
    }

    /// The only watched channel, if there is but one: then there is no turn to take.
    #[inline(always)]
    pub const fn sole(&self) -> Option<usize> {
        match self.sole {
            Some(channel) => Some(channel as usize),
            None => None,
        }
    }

    const fn count(&mut self) {
        let mut sole = None;
        let mut word = 0;
        while word < WORDS {
            let bits = self.watched.0[word];
            if bits != 0 {
                if sole.is_some() || !bits.is_power_of_two() {
                    self.sole = None;
                    return;
                }
                sole = Some((word * 64) as u16 + bits.trailing_zeros() as u16);
            }
            word += 1;
        }
        self.sole = sole;
    }

    /// Watches none. Their flags must be up.
    pub const fn clear(&mut self) {
        self.watched = ChannelSet::EMPTY;
        self.sole = None;
    }

    /// The watched channels among `of`, beginning with the one whose turn it is.
    #[inline]
    pub fn rotation(&self, of: &ChannelSet) -> impl Iterator<Item = usize> + use<> {
        let (mut left, mut from) = (self.watched.and(of), self.turn);
        core::iter::from_fn(move || {
            let channel = left.first_from(from)?;
            left.remove(channel);
            from = channel;
            Some(channel)
        })
    }

    /// A record of this channel was taken: the others go first now.
    #[inline]
    pub const fn served(&mut self, channel: usize) {
        self.idle[channel] = 0;
        self.turn = (channel + 1) % CHANNELS_MAX;
    }

    /// A look at this channel was in vain. Whether to watch it no longer.
    #[inline]
    pub const fn missed(&mut self, channel: usize) -> bool {
        self.idle[channel] = self.idle[channel].saturating_add(1);
        self.idle[channel] > IDLE_MAX
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
