//! Owns the superblock: which store it is, and where its log begins.
//!
//! It lies in two slots, and both are written, one after the other, before anything relies on it:
//! whatever breaks one of them, the other has the same or, if that happened between the two
//! writes, its predecessor, which is as good then.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 16 | [`MAGIC`] |
//! | 16 | 4 | [`VERSION`] |
//! | 20 | 4 | zero |
//! | 24 | 8 | XXH3 (64 bits, seed 0) of the first 256 bytes, with zeros here |
//! | 32 | 8 | generation: the higher one is the newer one |
//! | 40 | 16 | the store's identity |
//! | 56 | 8 | the key of its checksums, which no client is told |
//! | 64 | 8 | the area's base |
//! | 72 | 8 | the area's capacity |
//! | 80 | 8 | the log's head: the position of its first frame |
//! | 88 | 8 | that frame's sequence number |
//! | 96 | 8 | a position that the log reaches |
//! | 104 | 8 | frames with batches before the head |
//! | 112 | 8 | bytes that were moved before the head |
//! | 120 | 32 | the store's name, filled up with zeros |
//! | 152 | 104 | zero |
//!
//! The rest of the slot is zero.

use xxhash_rust::xxh3::xxh3_64;

use crate::frame::{Kind, Section};
use crate::layout::{Area, DATA, UNIT};

/// How a superblock begins.
pub const MAGIC: [u8; 16] = *b"atoll store log\n";

/// The format that this is.
pub const VERSION: u32 = 1;

/// Most bytes of a store's name.
pub const NAME_MAX: usize = 32;

const LEN: usize = 256;
const CHECK: core::ops::Range<usize> = 24..32;

/// A store's superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Counts superblocks.
    pub generation: u64,
    /// The store's identity.
    pub id: [u64; 2],
    /// The key of its checksums.
    pub key: u64,
    /// Where its frames are.
    pub area: Area,
    /// Where its log begins.
    pub head: u64,
    /// The sequence number of the frame there.
    pub sequence: u64,
    /// A position that the log reaches.
    pub reached: u64,
    /// What happened before the head.
    pub totals: Totals,
    /// The store's name.
    pub name: [u8; NAME_MAX],
}

/// What is counted over a store's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames with batches.
    pub writes: u64,
    /// Bytes that were moved.
    pub moved: u64,
}

impl Totals {
    /// Counts a section of a frame, each frame's batches once: they lie together at its beginning.
    pub fn count(&mut self, section: &Section<'_>) {
        match section.kind {
            Kind::Batch if section.is_first => self.writes += 1,
            Kind::Batch => (),
            Kind::Moved | Kind::Part | Kind::Last => self.moved += section.records.len() as u64,
        }
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A superblock.
    Whole(Superblock),
    /// A superblock of another format version, or what is left of one.
    Version(u32),
    /// What is left of a superblock.
    Damaged,
    /// Nothing but zeros.
    Blank,
    /// Something else.
    Strange,
}

impl Superblock {
    /// As a slot holds it.
    pub fn encode(&self) -> [u8; UNIT as usize] {
        let mut bytes = [0; UNIT as usize];
        bytes[..16].copy_from_slice(&MAGIC);
        bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
        let words = [
            self.generation,
            self.id[0],
            self.id[1],
            self.key,
            self.area.base,
            self.area.capacity,
            self.head,
            self.sequence,
            self.reached,
            self.totals.writes,
            self.totals.moved,
        ];
        for (place, word) in bytes[32..].as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes[120..152].copy_from_slice(&self.name);
        let check = xxh3_64(&bytes[..LEN]);
        bytes[CHECK].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// What a slot holds.
    pub fn decode(slot: &[u8; UNIT as usize]) -> Slot {
        if slot.iter().all(|&byte| byte == 0) {
            return Slot::Blank;
        }
        if slot[..16] != MAGIC {
            return Slot::Strange;
        }
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(&slot[..LEN]);
        bytes[CHECK].fill(0);
        let version = u32::from_le_bytes([slot[16], slot[17], slot[18], slot[19]]);
        if version != VERSION {
            return Slot::Version(version);
        }
        if xxh3_64(&bytes).to_le_bytes() != slot[CHECK] {
            return Slot::Damaged;
        }
        Self::fields(&bytes).map_or(Slot::Damaged, Slot::Whole)
    }

    /// The fields of one whose checksum is right; it may be nonsense all the same.
    fn fields(bytes: &[u8; LEN]) -> Option<Self> {
        let words = bytes[32..120].as_chunks().0;
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        let mut name = [0; NAME_MAX];
        name.copy_from_slice(&bytes[120..152]);
        let superblock = Self {
            generation: word(0),
            id: [word(1), word(2)],
            key: word(3),
            area: Area { base: word(4), capacity: word(5) },
            head: word(6),
            sequence: word(7),
            reached: word(8),
            totals: Totals { writes: word(9), moved: word(10) },
            name,
        };
        superblock.is_sound().then_some(superblock)
    }

    fn is_sound(&self) -> bool {
        let Area { base, capacity } = self.area;
        let numbers = [base, capacity, self.head, self.reached];
        numbers.iter().all(|number| number % UNIT == 0 && *number < 1 << 62)
            && capacity + DATA >= crate::layout::SIZE_MIN
            && base <= self.head
            && self.head <= self.reached
            && self.reached - self.head <= capacity
    }

    /// The store's name.
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_MAX);
        str::from_utf8(&self.name[..end]).unwrap_or("?")
    }

    /// A name as it is kept: cut to what there is room for.
    pub fn named(name: &str) -> [u8; NAME_MAX] {
        let mut bytes = [0; NAME_MAX];
        let end = name.floor_char_boundary(NAME_MAX);
        bytes[..end].copy_from_slice(&name.as_bytes()[..end]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Superblock {
        Superblock {
            generation: 7,
            id: [1, 2],
            key: 3,
            area: Area { base: 0, capacity: 1 << 20 },
            head: UNIT,
            sequence: 5,
            reached: 3 * UNIT,
            totals: Totals { writes: 8, moved: 9 },
            name: Superblock::named("store"),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let superblock = example();
        assert_eq!(Superblock::decode(&superblock.encode()), Slot::Whole(superblock));
        assert_eq!(superblock.name(), "store");
        assert_eq!(Superblock::decode(&[0; UNIT as usize]), Slot::Blank);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let bytes = example().encode();
        for bit in 0..LEN * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0..16 => Slot::Strange,
                16..20 => Slot::Version(VERSION ^ 1 << (bit - 128)),
                _ => Slot::Damaged,
            };
            assert_eq!(Superblock::decode(&bytes), expected, "bit {bit}");
        }
    }

    #[test]
    fn nonsense_with_a_right_checksum_is_damage() {
        for change in [
            |s: &mut Superblock| s.head = 1,
            |s: &mut Superblock| s.area.capacity = 0,
            |s: &mut Superblock| s.reached = 0,
            |s: &mut Superblock| s.reached = u64::MAX - UNIT + 1,
        ] {
            let mut superblock = example();
            change(&mut superblock);
            assert_eq!(Superblock::decode(&superblock.encode()), Slot::Damaged);
        }
    }
}
