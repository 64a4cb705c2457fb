//! The state region as it is.

use core::slice;

use atoll_ipc::abi::layout::{PAGE, STATE, STATE_MAX};
use atoll_ipc::sync::AtomicU64;

use crate::boot;

/// The state region, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    start: u64,
    bytes: u64,
}

/// This domain's state region; `None` if the manifest gives it none.
pub fn region() -> Option<Region> {
    let bytes = boot::page().state_len;
    (bytes != 0).then_some(Region { start: STATE, bytes })
}

/// Whether something lies in the state region.
#[inline]
pub fn holds<T>(address: *const T) -> bool {
    (address as u64).wrapping_sub(STATE) < STATE_MAX
}

impl Region {
    /// Bytes of it.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// Its words, for a server that keeps state in a form of its own. It must expect that any of
    /// them were written by an incarnation that died in between.
    pub fn words(self) -> &'static [AtomicU64] {
        // SAFETY: the nucleus maps the region writable for as long as the domain runs; it is made
        // of whole pages, and atomics may be shared.
        unsafe { slice::from_raw_parts(self.start as *const AtomicU64, self.bytes as usize / 8) }
    }

    /// The first `bytes` of it, and the rest: for more than one thing to keep.
    ///
    /// # Panics
    /// Unless `bytes` is whole pages, and less than there are.
    #[must_use]
    pub fn split(self, bytes: u64) -> (Self, Self) {
        let fits = bytes.is_multiple_of(PAGE) && (1..self.bytes).contains(&bytes);
        assert!(fits, "a state region of {} bytes cannot be split at {bytes}", self.bytes);
        let rest = Self { start: self.start + bytes, bytes: self.bytes - bytes };
        (Self { bytes, ..self }, rest)
    }

    pub(super) fn address(self) -> *mut u8 {
        self.start as *mut u8
    }
}
