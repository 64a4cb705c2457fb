//! Owns where things are on the disk, and the bounds that follow from its size.
//!
//! ```text
//!   0      4096   8192                                            8192 + capacity
//!   │ slot │ slot │ area: frames, one behind the other, in a circle │
//! ```
//!
//! A *position* counts the bytes of the log since the store was made, and never comes again; the
//! area holds the last `capacity` of them.

/// Everything is written in whole units of this many bytes: the page of the host's cache. A disk
/// whose blocks are larger will not do.
pub const UNIT: u64 = 4096;

/// Where the area begins: behind the two slots of the superblock.
pub const DATA: u64 = 2 * UNIT;

/// The smallest disk.
pub const SIZE_MIN: u64 = 256 << 10;

/// The longest frame of any store.
const FRAME_MAX: u64 = 4 << 20;

/// What the log may be longer than twice what lives, at most.
const SLACK_MAX: u64 = 8 << 20;

/// How much is cleaned at a time, at most.
const STEP_MAX: u64 = 1 << 20;

/// The part of the disk that frames are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The position that lies at its beginning, or would if the log reached back so far.
    pub base: u64,
    /// Its bytes.
    pub capacity: u64,
}

impl Area {
    /// Where a position lies on the disk.
    pub const fn place(self, position: u64) -> u64 {
        DATA + (position - self.base) % self.capacity
    }

    /// Bytes from a position to the area's end.
    pub const fn to_end(self, position: u64) -> u64 {
        self.capacity - (position - self.base) % self.capacity
    }

    /// Whether a log that ends here has never come back to the area's beginning.
    pub const fn is_first_lap(self, tail: u64) -> bool {
        tail - self.base < self.capacity
    }

    /// The area with more room, if a log from `head` to `tail` lies in it without a break, so that
    /// nothing of it changes its place.
    pub const fn grown(self, capacity: u64, head: u64, tail: u64) -> Option<Self> {
        let base = head - (head - self.base) % self.capacity;
        if capacity > self.capacity && tail - base <= self.capacity {
            Some(Self { base, capacity })
        } else {
            None
        }
    }

    /// The longest frame, its head included.
    pub const fn frame_max(self) -> u64 {
        units_below(min(self.capacity / 16, FRAME_MAX))
    }

    /// Bytes that are kept free so that there is always room to clean: a frame that is written,
    /// one that is moved, and what is left over at the area's end.
    pub const fn reserve(self) -> u64 {
        3 * self.frame_max()
    }

    /// The most that may live. All of it may have to be moved while the old log still stands, so
    /// it is less than half; the rest of the half is for frames that are not full, and so that
    /// there is something to gain when a full store is cleaned.
    pub const fn live_max(self) -> u64 {
        (self.capacity - self.reserve()) / 8 * 3
    }

    /// The length from which on a log is cleaned, for so many bytes that live.
    pub const fn target(self, live: u64) -> u64 {
        2 * live + min(self.capacity / 8, SLACK_MAX)
    }

    /// How much is cleaned at a time.
    pub const fn step(self) -> u64 {
        min(self.capacity / 16, STEP_MAX)
    }

    /// How far a disk is written before the log comes there for the first time: commits to what
    /// was written before are much quicker than those that make a file longer.
    pub const fn lead(self) -> u64 {
        min(self.capacity / 4, 4 * STEP_MAX)
    }
}

/// The most bytes that so much takes once it is moved together: frames have heads and ends.
pub const fn packed(live: u64) -> u64 {
    live + live / 5
}

/// Whole units that hold so many bytes.
pub const fn units(bytes: u64) -> u64 {
    bytes.next_multiple_of(UNIT)
}

/// Whole units within so many bytes.
pub const fn units_below(bytes: u64) -> u64 {
    bytes - bytes % UNIT
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_can_be_moved_beside_itself() {
        for shift in 18..45 {
            let area = Area { base: 0, capacity: (1 << shift) - DATA };
            let live = packed(area.live_max());
            assert!(2 * live + area.frame_max() + area.reserve() <= area.capacity, "2^{shift}");
            assert!(area.frame_max() >= 2 * UNIT && area.frame_max().is_multiple_of(UNIT));
        }
    }

    #[test]
    fn an_area_grows_only_where_nothing_moves() {
        let area = Area { base: 0, capacity: 100 * UNIT };
        let [head, tail] = [210 * UNIT, 290 * UNIT];
        let grown = area.grown(150 * UNIT, head, tail).unwrap();
        for position in [head, 250 * UNIT, tail - UNIT] {
            assert_eq!(grown.place(position), area.place(position));
        }
        assert_eq!(area.grown(150 * UNIT, head, 301 * UNIT), None, "it has a break");
        assert_eq!(area.grown(100 * UNIT, head, tail), None);
    }
}
