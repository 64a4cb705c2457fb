//! Places in a ring's data area: pure arithmetic on positions.

use crate::words::WORD;

/// Smallest data area, in words of 8 bytes.
pub const MIN_WORDS: usize = 16;

/// A data area of a power of two bytes, in which positions are taken modulo its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    bytes: u64,
}

impl Geometry {
    /// # Panics
    /// If that is not the size of a ring.
    pub(crate) fn of(words: usize) -> Self {
        assert!(words.is_power_of_two() && words >= MIN_WORDS, "ring size");
        Self { bytes: (words * WORD) as u64 }
    }

    pub(crate) const fn bytes(self) -> u64 {
        self.bytes
    }

    pub(crate) const fn offset(self, position: u64) -> usize {
        (position & (self.bytes - 1)) as usize
    }

    /// Bytes from `position` to the end of the data area; never less than a header.
    pub(crate) const fn to_end(self, position: u64) -> usize {
        self.bytes as usize - self.offset(position)
    }

    /// Bytes of pad that a record of `size` needs at `position`.
    pub(crate) const fn pad(self, position: u64, size: usize) -> usize {
        let left = self.to_end(position);
        if size > left { left } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{self, ALIGN};
    use crate::ring::max_payload;
    use crate::support::each;

    #[test]
    fn a_position_repeats_its_place_each_lap_and_never_elsewhere() {
        let geometry = Geometry::of(MIN_WORDS);
        for position in (0..512).step_by(ALIGN) {
            assert_eq!(geometry.offset(position), geometry.offset(position + 128));
            assert_eq!(geometry.offset(position) + geometry.to_end(position), 128);
            assert_eq!(geometry.offset(position), position as usize % 128);
        }
    }

    #[test]
    fn a_pad_is_needed_exactly_where_a_record_would_cross_the_end() {
        let geometry = Geometry::of(MIN_WORDS);
        for position in (0..256).step_by(ALIGN) {
            for payload in each(max_payload(128), 15) {
                let size = record::size(0, payload);
                let crosses = position % 128 + size as u64 > 128;
                let pad = geometry.pad(position, size);
                assert_eq!(pad, if crosses { 128 - position as usize % 128 } else { 0 });
                assert!(pad + size <= 128, "whatever fits at all fits behind its pad");
            }
        }
    }

    #[test]
    #[should_panic(expected = "ring size")]
    fn a_size_that_is_no_power_of_two_is_refused() {
        Geometry::of(24);
    }

    #[test]
    #[should_panic(expected = "ring size")]
    fn a_size_below_the_smallest_is_refused() {
        Geometry::of(MIN_WORDS / 2);
    }
}
