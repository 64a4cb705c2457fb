//! Pages that the nucleus shares with several guests: typed, made of atomics.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use atoll_ipc::abi::HostPage;
use atoll_ipc::ready::Ready;

use super::MachineError;
use super::lendable::Lendable;
use super::mapped_file::MappedFile;

/// What may lie in memory that guests can write.
///
/// # Safety
/// The type must be made of atomics only, be valid for any bits, zero among them, and be a whole
/// number of pages.
pub unsafe trait Shareable {}

// SAFETY: `repr(C)`, of atomics, two pages.
unsafe impl Shareable for HostPage {}
// SAFETY: `repr(C)`, of atomics, one page.
unsafe impl Shareable for Ready {}

/// One or more pages that hold a `T`, zero at first.
pub struct SharedPage<T> {
    mapping: MappedFile,
    kind: PhantomData<T>,
}

impl<T: Shareable> SharedPage<T> {
    /// Makes it.
    ///
    /// # Errors
    /// If the host denies the memory.
    pub fn new() -> Result<Self, MachineError> {
        let mapping = MappedFile::new(size_of::<T>() as u64, "a shared page")?;
        Ok(Self { mapping, kind: PhantomData })
    }

    /// Writes a word over whatever is there, as a guest that maps the page can. Takes any number
    /// for its place.
    pub fn scribble(&self, place: u64, value: u64) {
        let words = size_of::<T>() / size_of::<AtomicU64>();
        let word = place as usize % words;
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`; by
        // `Shareable`'s contract any bits are valid, and races are defined.
        let word = unsafe { &*self.mapping.as_ptr().cast::<AtomicU64>().add(word) };
        word.store(value, Relaxed);
    }
}

impl<T: Shareable> Deref for SharedPage<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the mapping holds `size_of::<T>()` bytes, page-aligned, as long as `self`
        // exists; by `Shareable`'s contract any bits are valid, and races are defined.
        unsafe { &*self.mapping.as_ptr().cast::<T>() }
    }
}

// SAFETY: `T` is made of atomics, and the mapping is only read from here.
unsafe impl<T: Shareable> Send for SharedPage<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for SharedPage<T> {}

impl<T: Shareable> Lendable for SharedPage<T> {
    fn memory(&self) -> &MappedFile {
        &self.mapping
    }
}

impl<T> fmt::Debug for SharedPage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPage").field("bytes", &self.mapping.size()).finish()
    }
}
