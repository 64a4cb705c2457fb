//! What a domain's memory holds, apart from the memory: taken from a domain that stands still, and
//! given to one that has not begun.

use std::io;
use std::ops::Range;

use super::super::MachineError;
use super::super::ranges::{common, length_of, without};
use super::{DomainMemory, PAGE};

/// What a domain may write, from the time when room is made for a copy until the copy: a part of what
/// it has, and so many bytes.
const GROWTH: u64 = 16;
const SLACK: u64 = 256 << 10;

/// How often a checkpoint can be gone back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Each time.
    Lasting,
    /// For one beginning: what is kept beside the memory fits it only then.
    Once,
    /// No more.
    Over,
}

impl Validity {
    /// Whether an incarnation can begin there.
    pub(super) const fn leads(self) -> bool {
        match self {
            Self::Lasting | Self::Once => true,
            Self::Over => false,
        }
    }
}

/// Bytes at their addresses; what lies between them is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The addresses, in their order, as whole pages.
    pub extents: Vec<Range<u64>>,
    /// The bytes of all extents, one after the other.
    pub bytes: Vec<u8>,
}

impl Contents {
    /// Each extent with its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (Range<u64>, &[u8])> {
        let mut rest = &self.bytes[..];
        self.extents.iter().map_while(move |extent| {
            let (bytes, others) = rest.split_at_checked((extent.end - extent.start) as usize)?;
            rest = others;
            Some((extent.clone(), bytes))
        })
    }

    /// The first address that is in none of these ranges, which are in their order.
    pub fn outside(&self, ranges: &[Range<u64>]) -> Option<u64> {
        without(&self.extents, ranges).first().map(|range| range.start)
    }

    /// What `read` finds in these ranges of pages, which are in their order. The bytes go into
    /// `room`, which is empty.
    ///
    /// # Errors
    /// `read`'s own, and if the host has no memory for a copy.
    pub fn gather(
        pages: &[Range<u64>],
        room: Vec<u8>,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), MachineError>,
    ) -> Result<Self, MachineError> {
        let mut contents = Self { extents: Vec::new(), bytes: room };
        let mut page = [0; PAGE as usize];
        for address in pages.iter().flat_map(|range| range.clone().step_by(PAGE as usize)) {
            read(address, &mut page)?;
            if page != [0; PAGE as usize] {
                contents.bytes.try_reserve(page.len()).map_err(|error| MachineError::Memory {
                    what: "a copy of a domain's memory",
                    cause: io::Error::new(io::ErrorKind::OutOfMemory, error),
                })?;
                contents.push(address, &page);
            }
        }
        Ok(contents)
    }

    /// Room for what is in these pages, and a little more: empty, with memory behind it. Less than
    /// that if the host does not have it.
    pub fn room_for(pages: &[Range<u64>]) -> Vec<u8> {
        let bytes = length_of(pages);
        let bytes = bytes + bytes / GROWTH + SLACK;
        let mut room = Vec::new();
        if room.try_reserve_exact(bytes as usize).is_ok() {
            // Zeros might be had from the host without touching them.
            room.resize(bytes as usize, 1);
            room.clear();
        }
        room
    }

    fn push(&mut self, page: u64, bytes: &[u8]) {
        match self.extents.last_mut() {
            Some(last) if last.end == page => last.end += PAGE,
            _ => self.extents.push(page..page + PAGE),
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl DomainMemory {
    /// An incarnation begins at the checkpoint; one that is for one beginning has served.
    pub fn use_checkpoint(&self) {
        if let Some(checkpoint) = &mut self.lock().checkpoint
            && checkpoint.validity == Validity::Once
        {
            checkpoint.validity = Validity::Over;
        }
    }

    /// Room for what is in these ranges of pages. vCPUs may run.
    pub fn room(&self, ranges: &[Range<u64>]) -> Vec<u8> {
        Contents::room_for(&self.populated().map_or(Vec::new(), |pages| common(&pages, ranges)))
    }

    /// What is in these ranges of pages, which are in their order. No vCPU may run. The bytes go
    /// into `room`, which is empty.
    ///
    /// # Errors
    /// If the host does not tell what is in use, or has no memory for a copy.
    pub fn contents(&self, ranges: &[Range<u64>], room: Vec<u8>) -> Result<Contents, MachineError> {
        let pages = common(&self.populated()?, ranges);
        Contents::gather(&pages, room, |address, page| self.read(address, page))
    }

    /// Makes a checkpoint of what the image has, but for these ranges of pages, which get these
    /// contents. Nothing else has been written yet, and no vCPU runs.
    ///
    /// # Errors
    /// If contents are elsewhere, or the ranges are not in memory.
    pub fn begin_with(
        &self,
        ranges: &[Range<u64>],
        contents: &Contents,
        validity: Validity,
    ) -> Result<(), MachineError> {
        if let Some(address) = contents.outside(ranges) {
            return Err(MachineError::OutOfBounds { address });
        }
        if let Some(beyond) = contents.extents.last().filter(|last| last.end > self.size()) {
            return Err(MachineError::OutOfBounds { address: beyond.start });
        }
        // What the image has there and the contents have not is zero.
        for range in without(&common(&self.own()?, ranges), &contents.extents) {
            self.write(range.start, &vec![0; (range.end - range.start) as usize])?;
        }
        for (range, bytes) in contents.iter() {
            self.write(range.start, bytes)?;
        }
        self.keep_all(validity)
    }
}
