//! Owns the log: frames behind frames, each of them durable before the next one is written.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use crate::disk::{Disk, DiskError};
use crate::frame::{Draft, Head, filler};
use crate::interface::Ailment;
use crate::layout::{DATA, UNIT, units};
use crate::superblock::Superblock;

/// How much is written at a time of what nobody has asked for yet.
const CHUNK: u64 = 1 << 20;

/// A frame of the log.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its position.
    pub position: u64,
    /// Its sequence number.
    pub sequence: u64,
}

/// The log, from its head to its tail.
#[derive(Debug)]
pub struct Log<D> {
    disk: D,
    /// As it is on the disk.
    pub superblock: Superblock,
    /// The frames, from the head on.
    pub frames: VecDeque<Entry>,
    /// Where the next frame goes.
    pub tail: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// Bytes of the disk that were written at some time, from its beginning on.
    written: u64,
    /// Why nothing is written any more.
    pub ailment: Option<Ailment>,
    zeros: Vec<u8>,
}

impl<D: Disk> Log<D> {
    /// One that ends there.
    pub fn new(
        disk: D,
        superblock: Superblock,
        frames: VecDeque<Entry>,
        tail: u64,
        sequence: u64,
    ) -> Self {
        let (written, ailment, zeros) = (0, None, Vec::new());
        let mut log = Self { disk, superblock, frames, tail, sequence, written, ailment, zeros };
        log.see_what_is_written();
        log
    }

    fn see_what_is_written(&mut self) {
        let area = self.superblock.area;
        self.written = match area.is_first_lap(self.tail) {
            true => units(self.disk.description().fresh).max(area.place(self.tail)),
            false => u64::MAX,
        };
    }

    /// The disk.
    pub fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Where its first frame is.
    pub fn head(&self) -> u64 {
        self.frames.front().map_or(self.tail, |entry| entry.position)
    }

    /// Its bytes. More may be taken: those before its head, until the superblock says so, too.
    pub fn used(&self) -> u64 {
        self.tail - self.superblock.head
    }

    /// Bytes of the frame with this index.
    pub fn span(&self, index: usize) -> u64 {
        let end = self.frames.get(index + 1).map_or(self.tail, |entry| entry.position);
        end - self.frames[index].position
    }

    /// Which frame a position is in.
    pub fn frame_of(&self, position: u64) -> Option<usize> {
        let after = self.frames.partition_point(|entry| entry.position <= position);
        (position < self.tail).then(|| after.checked_sub(1)).flatten()
    }

    /// Appends a frame; returns its position.
    ///
    /// # Errors
    /// As the disk says. After [`DiskError::Full`], nothing of it will ever be found in the log.
    pub fn append(&mut self, draft: &mut Draft) -> Result<u64, DiskError> {
        let to_end = self.superblock.area.to_end(self.tail);
        let span = draft.span_with(0);
        if span > to_end {
            let unit = self.filler(to_end, self.sequence + 1);
            self.place(&unit, to_end, self.sequence + 1)?;
        }
        self.place(
            draft.seal(self.superblock.key, self.sequence, self.tail),
            span,
            self.sequence + 1,
        )
    }

    /// Leaves sequence numbers out, so that nothing that was ever written behind the tail can be
    /// taken for a part of the log.
    ///
    /// # Errors
    /// As the disk says.
    pub fn leave_out(&mut self, next: u64) -> Result<(), DiskError> {
        let unit = self.filler(UNIT, next);
        self.place(&unit, UNIT, next).map(drop)
    }

    fn filler(&self, span: u64, next: u64) -> [u8; UNIT as usize] {
        filler(self.superblock.key, self.sequence, self.tail, span, next)
    }

    /// Writes the frame at the tail.
    fn place(&mut self, bytes: &[u8], span: u64, next: u64) -> Result<u64, DiskError> {
        if self.used() + span > self.superblock.area.capacity {
            return Err(DiskError::Full);
        }
        let (position, sequence) = (self.tail, self.sequence);
        let offset = self.superblock.area.place(position);
        match self.write(offset, bytes, true) {
            Ok(()) => (),
            Err(DiskError::Full) => {
                self.take_back(offset, sequence)?;
                return Err(DiskError::Full);
            }
            Err(error) => return Err(error),
        }
        self.frames.push_back(Entry { position, sequence });
        (self.tail, self.sequence) = (position + span, next);
        let area = self.superblock.area;
        self.written = match area.is_first_lap(self.tail) {
            true => self.written.max(area.place(self.tail)),
            false => u64::MAX,
        };
        Ok(position)
    }

    /// Makes sure that a frame for which there was no room on the host is not found there later:
    /// its batches were refused. If nobody can say so, the disk has failed.
    fn take_back(&mut self, offset: u64, sequence: u64) -> Result<(), DiskError> {
        let mut unit = [0; UNIT as usize];
        match self.disk.write(offset, &unit, true) {
            Ok(()) => return Ok(()),
            // Where there is no room even for this, there was none for the frame's head.
            Err(DiskError::Full) => (),
            Err(error) => return Err(self.fell_ill(error)),
        }
        match self.disk.read(offset, &mut unit) {
            Ok(()) => {
                let head = Head::read(self.superblock.key, &unit);
                match head.is_some_and(|head| head.sequence == sequence) {
                    true => Err(self.fell_ill(DiskError::Failed)),
                    false => Ok(()),
                }
            }
            Err(error) => Err(self.fell_ill(error)),
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> Result<(), DiskError> {
        match self.ailment {
            Some(Ailment::Failed) => return Err(DiskError::Failed),
            Some(Ailment::ReadOnly) => return Err(DiskError::ReadOnly),
            None => (),
        }
        let written = self.disk.write(offset, bytes, durable);
        written.map_err(|error| self.fell_ill(error))
    }

    /// After a write that failed, nothing is believed to reach the disk.
    fn fell_ill(&mut self, error: DiskError) -> DiskError {
        match error {
            DiskError::Full => (),
            DiskError::Failed => self.ailment = Some(Ailment::Failed),
            DiskError::ReadOnly => self.ailment = Some(Ailment::ReadOnly),
        }
        error
    }

    /// Writes the last frame again: a write that failed may have left it where it can be read and
    /// is not durable.
    ///
    /// # Errors
    /// As the disk says.
    pub fn confirm(&mut self) -> Result<(), DiskError> {
        let Some(entry) = self.frames.back() else { return Ok(()) };
        let (offset, key) = (self.superblock.area.place(entry.position), self.superblock.key);
        let mut bytes = vec![0; UNIT as usize];
        self.disk.read(offset, &mut bytes)?;
        let extent = Head::read(key, &bytes).map_or(UNIT, |head| head.extent());
        bytes.resize(extent as usize, 0);
        self.disk.read(offset, &mut bytes)?;
        self.write(offset, &bytes, true)
    }

    /// Writes the superblock, twice.
    ///
    /// # Errors
    /// As the disk says; then the one in memory stays as it is.
    pub fn write_superblock(&mut self, superblock: Superblock) -> Result<(), DiskError> {
        let superblock = Superblock { generation: self.superblock.generation + 1, ..superblock };
        let bytes = superblock.encode();
        for slot in [0, UNIT] {
            self.write(slot, &bytes, true)?;
        }
        let has_grown = self.superblock.area != superblock.area;
        self.superblock = superblock;
        if has_grown {
            self.see_what_is_written();
        }
        Ok(())
    }

    /// Has the log begin at its first frame, which frees what was before it.
    ///
    /// # Errors
    /// As the disk says.
    pub fn advance(&mut self, superblock: Superblock) -> Result<(), DiskError> {
        let sequence = self.frames.front().map_or(self.sequence, |entry| entry.sequence);
        let (head, reached) = (self.head(), self.tail);
        self.write_superblock(Superblock { head, sequence, reached, ..superblock })
    }

    /// Writes zeros to some of the disk that the log will come to soon, and that was never written.
    ///
    /// # Errors
    /// As the disk says.
    pub fn prepare(&mut self) -> Result<bool, DiskError> {
        let area = self.superblock.area;
        let end = DATA + area.capacity;
        if self.written >= end || self.written - area.place(self.tail) >= area.lead() {
            return Ok(false);
        }
        let length = (end - self.written).min(CHUNK);
        if self.zeros.is_empty() {
            self.zeros = vec![0; CHUNK.min(area.capacity) as usize];
        }
        let zeros = core::mem::take(&mut self.zeros);
        let done = self.write(self.written, &zeros[..length as usize], false);
        self.zeros = zeros;
        done?;
        self.written += length;
        Ok(true)
    }

    /// Reads a part of the log that does not go beyond the area's end.
    ///
    /// # Errors
    /// As the disk says.
    pub fn read(&mut self, position: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        self.disk.read(self.superblock.area.place(position), bytes)
    }

    /// Says that a part of the log will be read next.
    pub fn ahead(&mut self, position: u64, length: usize) {
        self.disk.ahead(self.superblock.area.place(position), length);
    }
}
