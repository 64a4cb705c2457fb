//! Stamps: who wrote what is in a region, and when.

use super::checksum::checksum;
use super::foreign::Foreign;
use super::memory::Memory;
use crate::abi::Name;
use crate::words::WORD;

/// Version of everything in this module's memory.
pub const FORMAT: u32 = 1;
/// Bytes before the contents.
pub const HEAD: usize = 4096;

/// From one stamp to the next.
const STRIDE: usize = 256;
const MAGIC: u64 = u64::from_le_bytes(*b"ATOLKEPT");

/// Words of a stamp, the seal included.
const WORDS: usize = 16;
/// The word that makes a stamp count.
const SEAL: usize = WORDS - 1;

/// What the contents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Bytes.
    Value = 1,
    /// A heap.
    Arena = 2,
}

impl Kind {
    const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Value),
            2 => Some(Self::Arena),
            _ => None,
        }
    }
}

/// Whose contents are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What they are.
    pub kind: Kind,
    /// What their server calls them.
    pub name: Name,
    /// The version that their server gives their form.
    pub version: u32,
    /// The image that they can be read by alone; zeros if they are mere bytes.
    pub image: [u8; 32],
}

/// What contents say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Whose they are.
    pub owner: Owner,
    /// The incarnation that wrote them.
    pub epoch: u32,
    /// Which of two stamps is newer.
    pub generation: u64,
    /// Bytes of the region, this page included.
    pub size: u64,
    /// Bytes of the contents.
    pub length: u64,
    /// What they add up to.
    pub checksum: u64,
}

impl Stamp {
    fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        words[0] = MAGIC;
        words[1] = pair(FORMAT, self.owner.kind as u32);
        put(&mut words[2..6], &self.owner.name.to_bytes());
        words[6] = pair(self.owner.version, self.epoch);
        words[7] = self.generation;
        words[8] = self.size;
        put(&mut words[9..13], &self.owner.image);
        words[13] = self.length;
        words[14] = self.checksum;
        words[SEAL] = seal(&words);
        words
    }

    fn from_words(words: &[u64; WORDS]) -> Option<Self> {
        let (_, kind) = halves(words[1]);
        let (version, epoch) = halves(words[6]);
        Some(Self {
            owner: Owner {
                kind: Kind::from_code(kind)?,
                name: Name::from_bytes(take(&words[2..6]))?,
                version,
                image: take(&words[9..13]),
            },
            epoch,
            generation: words[7],
            size: words[8],
            length: words[13],
            checksum: words[14],
        })
    }
}

/// The stamp in one of the two places, if it counts.
///
/// # Errors
/// If it is of another format.
pub(super) fn read(memory: &impl Memory, place: usize) -> Result<Option<Stamp>, Foreign> {
    let words: [u64; WORDS] =
        core::array::from_fn(|word| memory.load(place * STRIDE + word * WORD));
    if words[0] != MAGIC || words[SEAL] != seal(&words) {
        return Ok(None);
    }
    let (format, _) = halves(words[1]);
    if format != FORMAT {
        return Err(Foreign::Format { found: format });
    }
    Ok(Stamp::from_words(&words))
}

/// Makes the stamp in a place count for nothing, before anything else is written.
pub(super) fn invalidate(memory: &impl Memory, place: usize) {
    memory.store(place * STRIDE + SEAL * WORD, 0);
}

/// Writes a stamp, and makes it count with the last of its words. What was in its place must have
/// been made to count for nothing.
pub(super) fn publish(memory: &impl Memory, place: usize, stamp: &Stamp) {
    for (word, value) in stamp.words().into_iter().enumerate() {
        memory.store(place * STRIDE + word * WORD, value);
    }
}

/// What the other words of a stamp add up to.
fn seal(words: &[u64; WORDS]) -> u64 {
    let mut bytes = [0; SEAL * WORD];
    for (bytes, word) in bytes.as_chunks_mut::<WORD>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    checksum(&bytes)
}

const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

const fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn put(words: &mut [u64], bytes: &[u8; 32]) {
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<WORD>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
}

fn take(words: &[u64]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut::<WORD>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

impl Stamp {
    /// Whether these contents are `owner`'s, in a region of that size.
    ///
    /// # Errors
    /// In what they differ first.
    pub fn belongs_to(&self, owner: &Owner, size: u64) -> Result<(), Foreign> {
        let Owner { kind, name, version, image } = self.owner;
        if name != owner.name {
            Err(Foreign::Owner { found: name, wanted: owner.name })
        } else if kind != owner.kind {
            Err(Foreign::Kind { name })
        } else if version != owner.version {
            Err(Foreign::Version { name, found: version, wanted: owner.version })
        } else if self.size != size {
            Err(Foreign::Size { name, found: self.size, wanted: size })
        } else if image != owner.image {
            Err(Foreign::Image { name })
        } else {
            Ok(())
        }
    }
}
