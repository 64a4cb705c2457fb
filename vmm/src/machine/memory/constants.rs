//! What a domain can only read, and has as pages of its own from the beginning: its code and constants.
//!
//! KVM maps what a guest touches for the first time page by page, on software KVM at 30 us each. Around
//! it KVM maps up to seven pages more, if this process has them and could write them. To have them costs
//! less than a microsecond a page.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::DomainMemory;

/// Pages that the domain cannot write.
#[derive(Debug, Default)]
pub(super) struct Constants {
    /// As offsets, in their order.
    pages: Vec<Range<u64>>,
    /// This process has written there since, as one that injects faults does.
    is_touched: AtomicBool,
}

impl Constants {
    /// Those that are as the image has them, for certain.
    pub(super) fn untouched(&self) -> &[Range<u64>] {
        if self.is_touched.load(Relaxed) { &[] } else { &self.pages }
    }

    /// Something is written to these offsets.
    pub(super) fn touch(&self, range: Range<u64>) {
        let meets = |pages: &Range<u64>| pages.start < range.end && range.start < pages.end;
        if self.pages.iter().any(meets) {
            self.is_touched.store(true, Relaxed);
        }
    }
}

impl DomainMemory {
    /// The same memory, of which the domain can only read these pages, which are in their order. None
    /// of it has been written yet.
    pub fn with_constants(mut self, pages: &[Range<u64>]) -> Self {
        pages.iter().for_each(|range| self.provide(range.clone()));
        self.constants = Constants { pages: pages.to_vec(), is_touched: AtomicBool::new(false) };
        self
    }

    /// Makes pages the domain's own, as if it had written what is there. A host that cannot do that now
    /// does it when they are wanted.
    pub fn provide(&self, range: Range<u64>) {
        let Range { start, end } = range.start.min(self.size)..range.end.min(self.size);
        let address = (self.host_address + start) as *mut libc::c_void;
        let length = end.saturating_sub(start) as usize;
        // SAFETY: within the domain's mapping; it changes whose the pages are, and not what is in them.
        if unsafe { libc::madvise(address, length, libc::MADV_POPULATE_WRITE) } != 0 {
            log::debug!("pages are not provided: {}", std::io::Error::last_os_error());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    const CODE: Range<u64> = 0x1000..0x4000;

    fn memory() -> DomainMemory {
        let fill = |image: &GuestMemoryMmap| {
            image.write_obj(7u64, GuestAddress(0x2000)).map_err(|_| MachineError::TablesFull)
        };
        let memory = DomainMemory::build(1 << 20, fill).unwrap();
        memory.with_constants(std::slice::from_ref(&CODE))
    }

    #[test]
    fn they_are_the_domains_own_and_nobody_has_written_them() {
        let memory = memory();
        assert_eq!(memory.own().unwrap(), std::slice::from_ref(&CODE));
        memory.write(0x4000, &[1]).unwrap();
        assert_eq!(memory.written().unwrap(), std::slice::from_ref(&(0x4000..0x5000)));
        assert_eq!(memory.roll_back().unwrap(), RolledBack { copied: 0x1000, dropped: 0 });
    }

    #[test]
    fn one_that_was_written_all_the_same_is_taken_back() {
        let memory = memory();
        memory.take_checkpoint().unwrap();
        memory.write(0x1fff, &[9, 9]).unwrap();
        memory.roll_back().unwrap();
        assert_eq!(memory.read_word(0x2000).unwrap(), 7);
        assert_eq!(memory.read_word(0x1ff8).unwrap(), 0);
    }
}
