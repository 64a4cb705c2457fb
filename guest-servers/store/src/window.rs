//! Owns a part of the log in memory, for those who read frame by frame.

use alloc::vec::Vec;

use crate::disk::{Disk, DiskError};
use crate::frame::Head;
use crate::log::Log;

/// How much is read at a time.
const CHUNK: u64 = 512 << 10;

/// Why a frame of the log could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The disk says why.
    Disk(DiskError),
    /// The frame was whole once, and is not any more.
    Damaged {
        /// Where on the disk it is.
        offset: u64,
    },
}

/// A part of the log. What lies at a position between head and tail never changes, so it stays
/// right for as long as anybody asks for it.
#[derive(Debug, Default)]
pub struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The body of the frame with this index.
    ///
    /// # Errors
    /// If it cannot be read as it was written.
    pub fn body<D: Disk>(&mut self, log: &mut Log<D>, index: usize) -> Result<&[u8], Unread> {
        let entry = log.frames[index];
        let start = self.fill(log, index).map_err(Unread::Disk)?;
        let key = log.superblock.key;
        let frame = &self.bytes[start..];
        Head::read(key, frame)
            .filter(|head| head.position == entry.position && head.sequence == entry.sequence)
            .and_then(|head| head.body(key, frame))
            .ok_or(Unread::Damaged { offset: log.superblock.area.place(entry.position) })
    }

    /// Sees to it that a frame is here; returns where it begins.
    fn fill<D: Disk>(&mut self, log: &mut Log<D>, index: usize) -> Result<usize, DiskError> {
        let position = log.frames[index].position;
        let end = self.start + self.bytes.len() as u64;
        if self.start <= position && position + log.span(index) <= end {
            return Ok((position - self.start) as usize);
        }
        let goes_on = position == end;
        let length = stretch(log, index);
        self.bytes.clear();
        self.bytes.resize(length, 0);
        self.start = position;
        if let Err(error) = log.read(position, &mut self.bytes) {
            self.bytes.clear();
            return Err(error);
        }
        if goes_on && let Some(next) = log.frame_of(position + length as u64) {
            let length = stretch(log, next);
            log.ahead(log.frames[next].position, length);
        }
        Ok(0)
    }
}

/// Bytes of the frame with this index and of those behind it that are read together with it.
fn stretch<D: Disk>(log: &Log<D>, index: usize) -> usize {
    let area = log.superblock.area;
    let position = log.frames[index].position;
    let end = position + CHUNK.min(area.to_end(position));
    let whole = match log.frame_of(end) {
        Some(beyond) => log.frames[beyond].position - position,
        None => log.tail - position,
    };
    // A filler may cover more than any frame; its beginning says all.
    whole.max(log.span(index).min(area.frame_max())) as usize
}
