//! The gate of an arena: whether the heap in a region is whole.
//!
//! A heap cannot be written twice for each change. So its owner opens the gate, changes what it
//! likes, and closes it: one store each. Who finds it open after a death knows that the heap may be
//! in the middle of a change.
//!
//! The gate is a number that counts both: odd while it is open.

use super::foreign::Foreign;
use super::memory::Memory;
use super::stamp::{self, Owner, Stamp};

/// Where the gate is.
const GENERATION: usize = 512;
/// The incarnation that closed it last, or opened it since.
const EPOCH: usize = 520;

/// What is in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing yet.
    Empty,
    /// A whole heap.
    Whole(Edits),
    /// A heap that its server died in the middle of changing.
    Torn(Edits),
}

/// How far a heap has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edits {
    /// How often it was changed, its beginning included.
    pub count: u64,
    /// The incarnation that did so last.
    pub epoch: u32,
}

/// Looks for `owner`'s heap.
///
/// # Errors
/// If there is something else.
pub fn find(memory: &impl Memory, owner: &Owner) -> Result<Found, Foreign> {
    let Some(stamp) = stamp::read(memory, 0)? else {
        // A value that was committed once is in the other place.
        return match stamp::read(memory, 1)? {
            Some(other) => {
                other.belongs_to(owner, memory.size() as u64)?;
                // An arena's stamp is in the first place.
                Err(Foreign::Damaged { name: owner.name })
            }
            None => Ok(Found::Empty),
        };
    };
    stamp.belongs_to(owner, memory.size() as u64)?;
    let generation = generation(memory);
    let edits = Edits { count: generation / 2, epoch: memory.load(EPOCH) as u32 };
    Ok(if is_open(generation) { Found::Torn(edits) } else { Found::Whole(edits) })
}

/// Begins anew, whatever there was. The gate is open then, and the heap is to be made.
pub fn begin(memory: &impl Memory, owner: Owner, epoch: u32) {
    memory.store(GENERATION, 1);
    memory.store(EPOCH, epoch.into());
    stamp::invalidate(memory, 0);
    stamp::invalidate(memory, 1);
    let size = memory.size() as u64;
    let stamp = Stamp { owner, epoch, generation: 1, size, length: size, checksum: 0 };
    stamp::publish(memory, 0, &stamp);
}

/// The gate's number.
#[inline]
pub fn generation(memory: &impl Memory) -> u64 {
    memory.load(GENERATION)
}

/// Whether a gate with this number is open.
#[inline]
pub const fn is_open(generation: u64) -> bool {
    !generation.is_multiple_of(2)
}

/// Opens a closed gate; its number then.
#[inline]
pub fn open(memory: &impl Memory, epoch: u32) -> u64 {
    let opened = generation(memory) + 1;
    memory.store(GENERATION, opened);
    memory.store(EPOCH, epoch.into());
    opened
}

/// Closes an open gate; its number then.
#[inline]
pub fn close(memory: &impl Memory) -> u64 {
    let closed = generation(memory) + 1;
    memory.store(GENERATION, closed);
    closed
}
