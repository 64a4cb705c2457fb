//! Memory that several guests see: the nucleus's channels and pages.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use atoll_ipc::abi::layout::{CLUSTER, LARGE_PAGE, PAGE};

use super::mapped_file::MappedFile;

/// Memory that guests can be given.
pub trait Lendable: Send + Sync {
    /// The memory: whole pages.
    fn memory(&self) -> &MappedFile;
    /// What a guest touches first, as offsets of pages.
    fn first(&self) -> Vec<Range<u64>> {
        std::iter::once(0..self.memory().size().min(CLUSTER)).collect()
    }
}

/// Such memory, as it lies beside a domain's own: behind it, in the guest as in this process. So all
/// that a guest has is one memory slot. (To add one, KVM waits until no processor uses the slots that
/// were there before: that takes 20 to 400 us.)
#[derive(Clone)]
pub struct Beside {
    /// Where, in guest-physical addresses.
    pub offset: u64,
    /// What.
    pub memory: Arc<dyn Lendable>,
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Beside({:#x?})", self.range())
    }
}

impl Beside {
    /// Where each of these comes to lie, behind so many bytes. Large pages fit where it has any.
    pub fn lay_out(
        size: u64,
        lent: impl IntoIterator<Item = Arc<dyn Lendable>>,
    ) -> impl Iterator<Item = Self> {
        let mut end = size;
        lent.into_iter().map(move |memory| {
            let alignment = if memory.memory().size() < LARGE_PAGE { PAGE } else { LARGE_PAGE };
            let beside = Self { offset: end.next_multiple_of(alignment), memory };
            end = beside.range().end;
            beside
        })
    }

    /// What a guest touches first, in guest-physical addresses.
    pub(super) fn first(&self) -> Vec<Range<u64>> {
        let pages = self.memory.first().into_iter();
        pages.map(|it| it.start + self.offset..it.end + self.offset).collect()
    }

    /// The guest-physical addresses.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.memory.memory().size()
    }
}

/// Bytes of so much memory with what lies beside it.
pub(super) fn extent(size: u64, beside: &[Beside]) -> u64 {
    beside.last().map_or(size, |last| last.range().end)
}

#[cfg(test)]
mod tests {
    use super::super::kept::KeptMemory;
    use super::*;

    #[test]
    fn what_is_lent_lies_behind_each_other_and_large_pages_fit() {
        let sizes = [2 * PAGE, PAGE, 3 * LARGE_PAGE, PAGE];
        let lent = sizes.map(|size| Arc::new(KeptMemory::new(size).unwrap()) as Arc<dyn Lendable>);
        let laid: Vec<_> = Beside::lay_out(LARGE_PAGE, lent).map(|it| it.range()).collect();
        let (small, large) = (LARGE_PAGE + 3 * PAGE, 2 * LARGE_PAGE..5 * LARGE_PAGE);
        assert_eq!(laid[..2], [LARGE_PAGE..small - PAGE, small - PAGE..small]);
        assert_eq!(laid[2..], [large.clone(), large.end..large.end + PAGE]);
    }
}
