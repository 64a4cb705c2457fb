//! A sum that tells whole contents from torn ones. It defends against accidents, not against anybody.

/// Bytes of a round: a word for each lane.
const ROUND: usize = 32;

/// Odd, so that multiplying by it loses nothing: one word that differs always shows.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A checksum that is being made.
#[derive(Clone, Debug)]
pub struct Checksum {
    lanes: [u64; 4],
    length: u64,
}

impl Default for Checksum {
    fn default() -> Self {
        Self { lanes: [1, 2, 3, 4], length: 0 }
    }
}

impl Checksum {
    /// Adds bytes: a multiple of 32 of them, but for the last ones.
    pub fn add(&mut self, bytes: &[u8]) {
        debug_assert!(self.length.is_multiple_of(ROUND as u64));
        self.length += bytes.len() as u64;
        let (rounds, rest) = bytes.as_chunks::<ROUND>();
        rounds.iter().for_each(|round| self.round(round));
        if !rest.is_empty() {
            let mut last = [0; ROUND];
            last[..rest.len()].copy_from_slice(rest);
            self.round(&last);
        }
    }

    fn round(&mut self, round: &[u8; ROUND]) {
        let (words, _) = round.as_chunks::<8>();
        for (lane, word) in self.lanes.iter_mut().zip(words) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(31);
        }
    }

    /// The sum; never zero, which is what empty memory has.
    pub fn finish(&self) -> u64 {
        let mix = |sum: u64, lane: &u64| (sum ^ lane).wrapping_mul(FACTOR).rotate_left(29);
        self.lanes.iter().fold(self.length, mix).max(1)
    }
}

/// The checksum of bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Checksum::default();
    sum.add(bytes);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn length_counts_even_if_the_rest_is_zero() {
        let sums: std::vec::Vec<_> = (0..100).map(|n| checksum(&[0; 100][..n])).collect();
        let distinct: std::collections::BTreeSet<_> = sums.iter().collect();
        assert_eq!(distinct.len(), sums.len());
        assert!(!distinct.contains(&0));
    }

    proptest! {
        #[test]
        fn one_byte_that_differs_shows(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..200),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let before = checksum(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_ne!(checksum(&bytes), before);
        }

        #[test]
        fn pieces_add_up_to_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..9,
        ) {
            let cut = (cut * ROUND).min(bytes.len() / ROUND * ROUND);
            let mut sum = Checksum::default();
            sum.add(&bytes[..cut]);
            sum.add(&bytes[cut..]);
            prop_assert_eq!(sum.finish(), checksum(&bytes));
        }
    }
}
