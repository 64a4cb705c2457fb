//! Which records of a ring a consumer has taken and not yet released.
//!
//! Records may be released in any order, the ring takes space back only in its own: this
//! remembers what is released already.

/// Most records of one ring that are in service at a time; no more are taken until the oldest of
/// them is released.
pub const IN_SERVICE_MAX: usize = 64;

/// Names a record in service. Slots are counted, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u64);

impl Slot {
    const fn place(self) -> usize {
        self.0 as usize % IN_SERVICE_MAX
    }

    const fn bit(self) -> u64 {
        1 << self.place()
    }
}

#[derive(Debug)]
pub(crate) struct InService {
    /// The oldest record in service and the next one to take; both only grow.
    oldest: Slot,
    next: Slot,
    starts: [u64; IN_SERVICE_MAX],
    ends: [u64; IN_SERVICE_MAX],
    released: u64,
    cancelled: u64,
}

impl InService {
    pub(crate) const fn new() -> Self {
        let positions = [0; IN_SERVICE_MAX];
        Self {
            oldest: Slot(0),
            next: Slot(0),
            starts: positions,
            ends: positions,
            released: 0,
            cancelled: 0,
        }
    }

    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        self.next.0 - self.oldest.0 == IN_SERVICE_MAX as u64
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.next.0 == self.oldest.0
    }

    /// Notes that a record between these positions was taken.
    #[inline(always)]
    pub(crate) const fn open(&mut self, start: u64, end: u64) -> Slot {
        let slot = self.next;
        self.starts[slot.place()] = start;
        self.cancelled &= !slot.bit();
        self.ends[slot.place()] = end;
        self.next.0 += 1;
        slot
    }

    /// Notes that one is released; returns up to where all are, if that moved.
    #[inline(always)]
    pub(crate) fn close(&mut self, slot: Slot) -> Option<u64> {
        self.released |= slot.bit();
        let mut all_up_to = None;
        while self.oldest.0 < self.next.0 && self.released & self.oldest.bit() != 0 {
            self.released &= !self.oldest.bit();
            all_up_to = Some(self.ends[self.oldest.place()]);
            self.oldest.0 += 1;
        }
        all_up_to
    }

    /// Forgets all of them. Slots go on counting, so that a stale one cannot be mistaken.
    pub(crate) const fn clear(&mut self) {
        self.oldest = self.next;
        self.released = 0;
    }

    /// Whether the slot's record is in service still.
    #[cfg(test)]
    pub(crate) const fn contains(&self, slot: Slot) -> bool {
        self.oldest.0 <= slot.0 && slot.0 < self.next.0 && self.released & slot.bit() == 0
    }

    /// Notes that whoever sent the record that `is_it` knows by its start gave it up.
    pub(crate) fn cancel(&mut self, is_it: impl Fn(u64) -> bool) {
        let slots = (self.oldest.0..self.next.0).map(Slot);
        for slot in slots.filter(|slot| is_it(self.starts[slot.place()])) {
            self.cancelled |= slot.bit();
        }
    }

    /// Whether the record was given up.
    pub(crate) const fn is_cancelled(&self, slot: Slot) -> bool {
        self.oldest.0 <= slot.0 && self.cancelled & slot.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #![proptest_config(crate::support::cases(128))]

        #[test]
        fn space_comes_back_up_to_the_oldest_in_service(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
            let mut service = InService::new();
            let mut open: Vec<(Slot, u64)> = Vec::new();
            let (mut end, mut released) = (0, 0);
            for pick in picks {
                if open.len() < 8 && !service.is_full() {
                    end += 16;
                    open.push((service.open(end - 16, end), end));
                    continue;
                }
                let (slot, _) = open.remove(pick.index(open.len()));
                prop_assert!(service.contains(slot));
                released = service.close(slot).unwrap_or(released);
                prop_assert!(!service.contains(slot));
                let oldest = open.iter().map(|&(_, end)| end - 16).min();
                prop_assert_eq!(released, oldest.unwrap_or(end));
            }
        }
    }

    #[test]
    fn slots_are_used_again_for_ever() {
        let mut service = InService::new();
        for lap in 0..3 * IN_SERVICE_MAX as u64 {
            let at = lap * 32;
            let (first, second) = (service.open(at, at + 16), service.open(at + 16, at + 32));
            assert_eq!(service.close(second), None);
            assert_eq!(service.close(first), Some(at + 32));
        }
        assert!(!service.is_full());
    }

    #[test]
    fn a_full_house_released_backwards_is_given_back_at_once() {
        let mut service = InService::new();
        let slots: Vec<Slot> =
            (0..IN_SERVICE_MAX as u64).map(|n| service.open(n * 16, (n + 1) * 16)).collect();
        assert!(service.is_full());
        for &slot in slots[1..].iter().rev() {
            assert_eq!(service.close(slot), None);
        }
        assert_eq!(service.close(slots[0]), Some(IN_SERVICE_MAX as u64 * 16));
    }

    #[test]
    fn what_was_cleared_is_not_in_service() {
        let mut service = InService::new();
        let old = service.open(0, 16);
        service.clear();
        assert!(!service.contains(old));
        let new = service.open(0, 16);
        assert!(service.contains(new) && new != old);
        assert_eq!(service.close(new), Some(16));
    }

    #[test]
    fn only_the_record_that_was_meant_is_cancelled_and_only_while_in_service() {
        let mut service = InService::new();
        let (first, second) = (service.open(0, 16), service.open(16, 48));
        service.cancel(|start| start == 16);
        assert!(!service.is_cancelled(first) && service.is_cancelled(second));
        service.clear();
        assert!(!service.is_cancelled(second));
        let third = service.open(16, 48);
        assert!(!service.is_cancelled(third));
    }
}
