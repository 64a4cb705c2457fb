//! Owns the hash of keys: SipHash-1-3 with a secret key, cut to 32 bits.
//!
//! Clients choose the keys, so the hash must be keyed, or one client could make every
//! look-up of every other client walk the same chain.

/// The secret key of one database's hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    k0: u64,
    k1: u64,
}

impl Hasher {
    /// Stretches one random word into the two that SipHash wants.
    pub(crate) fn new(seed: u64) -> Self {
        let first = splitmix(seed);
        Self { k0: first, k1: splitmix(first ^ seed) }
    }

    /// The hash of `bytes`.
    pub(crate) fn hash(self, bytes: &[u8]) -> u32 {
        let whole = self.sip13(bytes);
        (whole ^ (whole >> 32)) as u32
    }

    fn sip13(self, bytes: &[u8]) -> u64 {
        let mut state = State::new(self.k0, self.k1);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state.absorb(u64::from_le_bytes(last) | (bytes.len() as u64) << 56);
        state.finish()
    }
}

/// One step of the SplitMix64 generator.
fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    fn new(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32).wrapping_add(self.v3);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher as _;
    use std::vec::Vec;

    #[test]
    fn agrees_with_the_standard_library_at_every_length() {
        // The standard library's default hasher is SipHash-1-3 with a key of zeros.
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let mut reference = std::hash::DefaultHasher::new();
            reference.write(&bytes[..length]);
            let ours = Hasher { k0: 0, k1: 0 }.sip13(&bytes[..length]);
            assert_eq!(ours, reference.finish(), "length {length}");
        }
    }

    #[test]
    fn the_seed_changes_the_hash() {
        assert_ne!(Hasher::new(1).hash(b"key"), Hasher::new(2).hash(b"key"));
    }
}
