//! Page tables: four levels, written by the nucleus, out of the guest's reach.
//!
//! Virtual and physical addresses are equal in a domain's own memory. All entries are made accessed and dirty, so that the
//! processor never writes them: pages of tables stay as the image has them.

use std::ops::Range;

use atoll_ipc::abi::layout::{IMAGE, LARGE_PAGE, PAGE};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::MachineError;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Entries of a table.
const ENTRIES: u64 = 512;

/// What may be done with a page. Writable and executable at once cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Ring 3 reads.
    Read,
    /// Ring 3 reads and writes.
    ReadWrite,
    /// Ring 3 reads and executes.
    ReadExecute,
    /// Ring 0 reads and writes.
    SupervisorReadWrite,
    /// Ring 0 reads and executes.
    SupervisorReadExecute,
}

impl Access {
    const fn bits(self) -> u64 {
        let rights = match self {
            Self::Read => USER | NO_EXECUTE,
            Self::ReadWrite => USER | WRITE | NO_EXECUTE,
            Self::ReadExecute => USER,
            Self::SupervisorReadWrite => WRITE | NO_EXECUTE,
            Self::SupervisorReadExecute => 0,
        };
        rights | PRESENT | ACCESSED | DIRTY
    }
}

/// The page tables of one domain, under construction.
#[derive(Debug)]
pub struct Tables<'m> {
    memory: &'m GuestMemoryMmap,
    root: u64,
    next: u64,
}

impl<'m> Tables<'m> {
    /// Empty tables at `root`, in zeroed memory; they may grow up to the image.
    pub fn new(memory: &'m GuestMemoryMmap, root: u64) -> Self {
        Self { memory, root, next: root + PAGE }
    }

    /// Where they lie.
    pub const fn range(&self) -> Range<u64> {
        self.root..self.next
    }

    /// Maps the pages of `start..end`, with large pages where they fit.
    ///
    /// # Errors
    /// If the tables have no room.
    pub fn map(&mut self, start: u64, end: u64, access: Access) -> Result<(), MachineError> {
        self.map_to(start, end, start, access)
    }

    /// Maps the pages of `start..end` to those from `physical` on.
    ///
    /// # Errors
    /// If the tables have no room.
    pub fn map_to(
        &mut self,
        start: u64,
        end: u64,
        physical: u64,
        access: Access,
    ) -> Result<(), MachineError> {
        let mut at = start / PAGE * PAGE;
        let offset = (physical / PAGE * PAGE).wrapping_sub(at);
        while at < end {
            let fits = |address: u64| address.is_multiple_of(LARGE_PAGE);
            let large = fits(at) && fits(offset) && end - at >= LARGE_PAGE;
            let (level, size, bits) = if large {
                (1, LARGE_PAGE, access.bits() | LARGE)
            } else {
                (0, PAGE, access.bits())
            };
            let first = self.entry(at, level)?;
            let room = ENTRIES - first % PAGE / 8;
            // A last piece of less than a large page takes small ones, in another table.
            let count = if large { (end - at) / size } else { (end - at).div_ceil(size) }.min(room);
            self.write_run(first, at.wrapping_add(offset) | bits, size, count as usize)?;
            at += count * size;
        }
        Ok(())
    }

    /// Writes entries that follow each other in one table.
    fn write_run(
        &self,
        first: u64,
        bits: u64,
        step: u64,
        count: usize,
    ) -> Result<(), MachineError> {
        let mut run = [0; PAGE as usize];
        let places = run.as_chunks_mut().0.iter_mut().take(count);
        for (number, place) in places.enumerate() {
            *place = (bits + number as u64 * step).to_le_bytes();
        }
        self.memory
            .write_slice(&run[..count * 8], GuestAddress(first))
            .map_err(|_| MachineError::OutOfBounds { address: first })
    }

    /// Where the entry of that level for an address lies; tables on the way are made.
    fn entry(&mut self, address: u64, level: u32) -> Result<u64, MachineError> {
        let slot = |level: u32| (address >> (12 + 9 * level) & (ENTRIES - 1)) * 8;
        let mut table = self.root;
        for above in (level + 1..4).rev() {
            let entry = table + slot(above);
            let bits = self.read(entry)?;
            table = if bits & PRESENT != 0 { bits & ADDRESS } else { self.grow(entry)? };
        }
        Ok(table + slot(level))
    }

    fn grow(&mut self, entry: u64) -> Result<u64, MachineError> {
        let table = self.next;
        if table + PAGE > IMAGE {
            return Err(MachineError::TablesFull);
        }
        self.next += PAGE;
        // Whoever reads a page first is shown the one of zeros, and must be given another to write.
        self.write(table, 0)?;
        self.write(entry, table | PRESENT | WRITE | USER | ACCESSED)?;
        Ok(table)
    }

    fn read(&self, address: u64) -> Result<u64, MachineError> {
        self.memory
            .read_obj(GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }

    fn write(&self, address: u64, bits: u64) -> Result<(), MachineError> {
        self.memory
            .write_obj(bits, GuestAddress(address))
            .map_err(|_| MachineError::OutOfBounds { address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_ipc::abi::layout;
    use atoll_ipc::channel::Layout;

    const ROOT: u64 = 0x20_0000;

    fn memory() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 4 << 20)]).unwrap()
    }

    /// Walks the tables as a processor does: the entry that ends the walk, and its level.
    fn walk(memory: &GuestMemoryMmap, address: u64) -> Option<(u64, u32)> {
        let mut table = ROOT;
        for level in (0..4).rev() {
            let slot = (address >> (12 + 9 * level) & 511) * 8;
            let bits: u64 = memory.read_obj(GuestAddress(table + slot)).unwrap();
            if bits & PRESENT == 0 {
                return None;
            }
            if level == 0 || bits & LARGE != 0 {
                return Some((bits, level));
            }
            table = bits & ADDRESS;
        }
        None
    }

    #[test]
    fn small_and_large_pages_are_used_where_they_fit() {
        let memory = memory();
        let mut tables = Tables::new(&memory, ROOT);
        tables.map(0x3f_f000, 0x80_1000, Access::ReadWrite).unwrap();
        assert_eq!(walk(&memory, 0x3f_e000), None);
        assert_eq!(walk(&memory, 0x3f_f000).unwrap().1, 0);
        assert_eq!(walk(&memory, 0x40_0000).unwrap().1, 1);
        assert_eq!(walk(&memory, 0x7f_ffff).unwrap().0 & ADDRESS & !0x1f_ffff, 0x60_0000);
        assert_eq!(walk(&memory, 0x80_0000).unwrap().1, 0);
        assert_eq!(walk(&memory, 0x80_1000), None);
    }

    #[test]
    fn no_page_is_writable_and_executable() {
        let accesses = [
            Access::Read,
            Access::ReadWrite,
            Access::ReadExecute,
            Access::SupervisorReadWrite,
            Access::SupervisorReadExecute,
        ];
        for access in accesses {
            let bits = access.bits();
            assert!(bits & WRITE == 0 || bits & NO_EXECUTE != 0, "{access:?}");
        }
    }

    #[test]
    fn far_addresses_get_tables_of_their_own() {
        let memory = memory();
        let mut tables = Tables::new(&memory, ROOT);
        for n in 0..4 {
            let start = 0x40_0000_0000 + n * 0x4000_0000;
            tables.map(start, start + PAGE, Access::Read).unwrap();
            assert_eq!(walk(&memory, start).unwrap().0 & ADDRESS, start);
        }
    }

    /// The largest heap, the largest state region, and as many channels as a domain can have, with
    /// rings of the usual size, fit.
    #[test]
    fn there_is_room_for_the_largest_domain() {
        let memory = memory();
        let mut tables = Tables::new(&memory, layout::TABLES);
        tables.map(layout::IMAGE, layout::MEMORY_MAX, Access::ReadWrite).unwrap();
        let end = layout::STATE + layout::STATE_MAX - PAGE;
        tables.map(layout::STATE, end, Access::ReadWrite).unwrap();
        for place in [layout::HOST, layout::READY, layout::ALERTS] {
            tables.map(place, place + PAGE, Access::ReadWrite).unwrap();
        }
        for number in 0..u64::from(layout::CHANNELS_MAX) {
            let start = layout::CHANNELS + number * layout::CHANNEL_STRIDE;
            let size = Layout::PLAIN.total() as u64;
            tables.map(start, start + PAGE, Access::Read).unwrap();
            tables.map(start + PAGE, start + size, Access::ReadWrite).unwrap();
        }
    }

    #[test]
    fn full_tables_are_an_error() {
        let memory = memory();
        let mut tables = Tables::new(&memory, ROOT);
        let result = (0..600).try_for_each(|n| {
            let start = n * 0x4000_0000;
            tables.map(start, start + PAGE, Access::Read)
        });
        assert!(matches!(result, Err(MachineError::TablesFull)));
    }
}
