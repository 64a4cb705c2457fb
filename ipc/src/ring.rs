//! A ring: records of any length from one producer to one consumer, in shared memory.
//!
//! ```text
//!  control                                 data (a power of two bytes)
//!  ┌──────────┬──────────┬──────────┐      ┌────────┬──────────────┬─────┬───────────────┐
//!  │ producer │ consumer │ waiting  │      │ record │ record       │ ... │ pad           │
//!  │ tail     │ head     │ asleep   │      └────────┴──────────────┴─────┴───────────────┘
//!  │          │ taken    │ starved  │       ▲ head    ▲ taken (= the consumer's cursor)
//!  └──────────┴──────────┴──────────┘        (released)
//! ```
//!
//! *Positions* count bytes from the start of a generation and never wrap; the place in `data` is
//! the position modulo the ring's size. Records lie in one piece: where one does not fit before
//! the end, a pad record fills up.
//!
//! **Who writes what.** `tail` is the producer's, `head` and `taken` are the consumer's; each
//! side works from private copies and never reads its own words back. The producer reads `head`
//! only when the ring looks full, and checks it. The consumer needs nothing but the records. (Their
//! own copies in shared memory exist for the nucleus, which reads them when a side has died.)
//!
//! **Ordering.** A record is published by the release store of its tag and seen by an acquire
//! load of the same word (see [`crate::record`]), so all of it is visible with it. Space comes
//! back by the release store of `head`, read with acquire, so no byte is overwritten before its
//! last read.
//!
//! **Sleeping.** A consumer that wants to sleep stores `asleep`, fences, and looks once more; a
//! producer that has published fences, and looks at `asleep`. The two fences are sequentially
//! consistent, so at least one of them sees the other: no wake-up is lost. Whoever clears the
//! flag kicks, so a sleeper is kicked once. A producer that found the ring full waits in the same
//! way, with `starved`, for the consumer to release.
//!
//! **Two phases.** Taking a record (`taken`) and giving its space back (`head`) are two steps. A
//! request stays in the ring until it is answered; if the consumer dies, what lies between
//! `head` and `taken` was in service, and what follows was not yet read and is still there for
//! the next incarnation.
//!
//! **Generations.** When the *producer* dies, half of a record may be written. Its next
//! incarnation starts a new generation: another key, position 0. The consumer first drains what
//! was published in the old one, then acknowledges the new one; until then the producer finds
//! the ring full. So a survivor is never overwritten while it reads.

mod consumer;
mod producer;

use crate::control::Count;
use crate::record::{self, HEADER};
use crate::sync::{AtomicU32, AtomicU64, Ordering::Relaxed, full_fence};

pub use crate::control::{Claims, Control, Counts};
pub use crate::geometry::MIN_WORDS;
pub(crate) use consumer::Place;
pub use consumer::{Consumer, Record};
pub use producer::{Producer, Reservation, Writer};

/// Where a ring lies. Implemented by guests (static addresses), the VMM (a mapping it keeps
/// alive) and tests (a box).
pub trait Memory {
    /// The shared words.
    fn control(&self) -> &Control;
    /// The data area; its length must be a power of two, at least [`MIN_WORDS`], and the same at
    /// every call.
    fn data(&self) -> &[AtomicU64];
}

impl<M: Memory> Memory for &M {
    fn control(&self) -> &Control {
        M::control(self)
    }

    fn data(&self) -> &[AtomicU64] {
        M::data(self)
    }
}

/// Why a ring operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No room now; the consumer has to release first.
    Full,
    /// The record could never fit: its payload is longer than [`max_payload`].
    TooLarge,
    /// The other side wrote what no correct peer writes; this ring is unusable until its
    /// generation changes.
    Protocol,
}

/// Longest payload in a ring with a data area of `bytes`: a record may take up half of it, so
/// that it fits whatever pad it needs.
pub const fn max_payload(bytes: usize) -> usize {
    let half = bytes / 2 - HEADER;
    if half < record::LENGTH_MAX { half } else { record::LENGTH_MAX }
}

/// The key of one generation of one ring (SplitMix64: each input bit changes half of the output).
pub const fn key(secret: u64, generation: u32) -> u64 {
    let mut z = secret.wrapping_add((generation as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Fresh memory is zero: the tag at position 0 must not be.
    (z ^ (z >> 31)) | 1
}

/// What tells the reply to an exchange from its request: another tag, at the same place.
#[inline(always)]
const fn reply_tag(position: u64, key: u64) -> u64 {
    !(position ^ key)
}

/// Puts a waiting flag up, before the last look.
fn declare(flag: &AtomicU32) {
    // An exchange rather than a store costs nothing beside the sleep, and orders this after the
    // peer's last exchange in any model of memory, not only by a subtle rule of one.
    flag.swap(1, Relaxed);
    full_fence();
}

/// Takes a waiting flag down; whether it was up, and this call is the one that owes a kick.
#[inline]
fn claim(flag: &AtomicU32, kicks: &Count) -> bool {
    let owes = flag.load(Relaxed) != 0 && flag.swap(0, Relaxed) != 0;
    if owes {
        kicks.add_one();
    }
    owes
}

/// [`Producer::must_kick`] and [`Consumer::must_kick`] of two rings that lead to and from the
/// same peer, for the price of one fence.
#[inline(always)]
pub(crate) fn must_kick(to: &Producer<impl Memory>, from: &Consumer<impl Memory>) -> bool {
    let (published, released) = (to.published.take(), from.released.take());
    if !(published || released) {
        return false;
    }
    full_fence();
    // Both flags are taken down by asking.
    (published && to.wakes_consumer()) | (released && from.wakes_producer())
}

#[cfg(test)]
mod tests;
