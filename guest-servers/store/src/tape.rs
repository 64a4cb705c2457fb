//! Owns the reading of a log from its head on, when nobody knows yet where it ends.

use alloc::vec;
use alloc::vec::Vec;

use crate::disk::{Disk, DiskError};
use crate::layout::{Area, units};

/// How much is read at a time, at most: less than a processor's own cache, for it is read again.
const CHUNK: u64 = 512 << 10;

/// The log as a stream of bytes. Behind its end comes what the area holds there.
#[derive(Debug)]
pub struct Tape<'d, D> {
    disk: &'d mut D,
    area: Area,
    /// Where it ends: where it has gone round.
    end: u64,
    /// How much is read at a time.
    chunk: u64,
    /// How much is asked for at a time, while as much is still on its way: whoever wakes the disk
    /// has it do much.
    stretch: u64,
    /// The bytes from `start` on, `filled` of them; as long as what was asked for made it.
    buffer: Vec<u8>,
    start: u64,
    filled: usize,
    /// What the disk was told to have ready.
    asked: u64,
    /// Bytes that were read.
    pub read: u64,
}

impl<'d, D: Disk> Tape<'d, D> {
    /// The tape of a log that begins at `head`.
    pub fn new(disk: &'d mut D, area: Area, head: u64) -> Self {
        let chunk = CHUNK.min(units(area.capacity / 8));
        let buffer = vec![0; 2 * chunk as usize];
        let end = head + area.capacity;
        let stretch = disk.description().most.max(chunk);
        Self {
            disk,
            area,
            end,
            chunk,
            stretch,
            buffer,
            start: head,
            filled: 0,
            asked: head,
            read: 0,
        }
    }

    /// Bytes at a position: at most the longest frame's, and none before those that were asked for
    /// last.
    ///
    /// # Errors
    /// As the disk says.
    pub fn at(&mut self, position: u64, length: u64) -> Result<&[u8], DiskError> {
        if position + length > self.start + self.filled as u64 {
            self.go_to(position);
            while position + length > self.start + self.filled as u64 {
                self.more()?;
            }
        }
        let from = (position - self.start) as usize;
        Ok(&self.buffer[from..from + length as usize])
    }

    /// Forgets what is before a position.
    fn go_to(&mut self, position: u64) {
        let before = (position - self.start) as usize;
        if before <= self.filled {
            self.buffer.copy_within(before..self.filled, 0);
            self.filled -= before;
        } else {
            // What is on its way was skipped.
            (self.filled, self.asked) = (0, position);
        }
        self.start = position;
    }

    fn more(&mut self) -> Result<(), DiskError> {
        let position = self.start + self.filled as u64;
        self.asked = self.asked.max(position);
        if self.asked <= position + self.stretch {
            let until = self.end.min(position + 2 * self.stretch);
            while self.asked < until {
                let length = self.chunk_at(self.asked);
                self.disk.ahead(self.area.place(self.asked), length);
                self.asked += length as u64;
            }
        }
        let length = self.chunk_at(position);
        let until = self.filled + length;
        if self.buffer.len() < until {
            self.buffer.resize(until, 0);
        }
        let into = &mut self.buffer[self.filled..until];
        self.disk.read(self.area.place(position), into)?;
        self.filled += length;
        self.read += length as u64;
        Ok(())
    }

    /// How much is read at a position.
    fn chunk_at(&self, position: u64) -> usize {
        self.chunk.min(self.area.to_end(position)).min(self.end - position) as usize
    }
}
