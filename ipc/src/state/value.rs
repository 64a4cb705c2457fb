//! A value of bytes that is replaced as a whole.

use core::fmt;

use super::checksum::Checksum;
use super::foreign::Foreign;
use super::memory::Memory;
use super::stamp::{self, HEAD, Owner, Stamp};

/// Bytes that are looked at in one go.
const PIECE: usize = 512;

/// A value in a region, with a place for the next one beside it.
#[derive(Debug)]
pub struct Value<M> {
    memory: M,
    owner: Owner,
    /// The one that counts, and its place.
    current: Option<(usize, Stamp)>,
}

/// A value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Its bytes.
    pub length: usize,
    /// Bytes that there is room for.
    pub room: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, room } = self;
        write!(
            f,
            "a value of {length} bytes does not fit into the {room} bytes that a state region of \
             this size has for it; raise `state` in the manifest"
        )
    }
}

impl core::error::Error for TooLong {}

impl<M: Memory> Value<M> {
    /// Looks for `owner`'s value. There is none in an empty region.
    ///
    /// # Errors
    /// If there is something else.
    pub fn open(memory: M, owner: Owner) -> Result<Self, Foreign> {
        let mut found = [stamp::read(&memory, 0)?, stamp::read(&memory, 1)?];
        let size = memory.size() as u64;
        let mut current = None;
        let mut damaged = false;
        // The newer one first.
        let first = usize::from(found[1].map(|s| s.generation) > found[0].map(|s| s.generation));
        for place in [first, 1 - first] {
            let Some(stamp) = found[place].take() else { continue };
            stamp.belongs_to(&owner, size)?;
            if is_whole(&memory, place, &stamp) {
                current = Some((place, stamp));
                break;
            }
            damaged = true;
        }
        if damaged && current.is_none() {
            return Err(Foreign::Damaged { name: owner.name });
        }
        Ok(Self { memory, owner, current })
    }

    /// Begins without a value, whatever there was.
    pub fn start_over(memory: M, owner: Owner) -> Self {
        stamp::invalidate(&memory, 0);
        stamp::invalidate(&memory, 1);
        Self { memory, owner, current: None }
    }

    /// What the value says of itself; `None` if there is none.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.current.as_ref().map(|(_, stamp)| stamp)
    }

    /// Bytes of the value.
    pub fn length(&self) -> usize {
        self.stamp().map_or(0, |stamp| stamp.length as usize)
    }

    /// Most bytes of a value.
    pub fn room(&self) -> usize {
        room(&self.memory)
    }

    /// Copies the value out, as far as `bytes` reach.
    pub fn read(&self, bytes: &mut [u8]) {
        if let Some((place, stamp)) = &self.current {
            let length = bytes.len().min(stamp.length as usize);
            self.memory.read(contents(&self.memory, *place), &mut bytes[..length]);
        }
    }

    /// Replaces the value. Whatever happens meanwhile, there is the old one or this one.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn commit(&mut self, epoch: u32, bytes: &[u8]) -> Result<(), TooLong> {
        let (length, room) = (bytes.len(), self.room());
        if length > room {
            return Err(TooLong { length, room });
        }
        let (place, generation) = match &self.current {
            Some((place, stamp)) => (1 - place, stamp.generation + 1),
            None => (0, 1),
        };
        let stamp = Stamp {
            owner: self.owner,
            epoch,
            generation,
            size: self.memory.size() as u64,
            length: length as u64,
            checksum: super::checksum(bytes),
        };
        stamp::invalidate(&self.memory, place);
        self.memory.write(contents(&self.memory, place), bytes);
        stamp::publish(&self.memory, place, &stamp);
        self.current = Some((place, stamp));
        Ok(())
    }
}

/// Whether contents add up to what their stamp says.
fn is_whole(memory: &impl Memory, place: usize, stamp: &Stamp) -> bool {
    let (at, mut left) = (contents(memory, place), stamp.length as usize);
    if left > room(memory) {
        return false;
    }
    let mut sum = Checksum::default();
    let mut piece = [0; PIECE];
    for at in (at..).step_by(PIECE) {
        let length = left.min(PIECE);
        memory.read(at, &mut piece[..length]);
        sum.add(&piece[..length]);
        left -= length;
        if left == 0 {
            break;
        }
    }
    sum.finish() == stamp.checksum
}

/// Most bytes of a value: half of what there is, in whole cache lines.
fn room(memory: &impl Memory) -> usize {
    memory.size().saturating_sub(HEAD) / 2 / 64 * 64
}

fn contents(memory: &impl Memory, place: usize) -> usize {
    HEAD + place * room(memory)
}
