//! What the library asks of a disk, answered by the guest kernel.

use alloc::collections::VecDeque;

use atoll::disk::{self, Durability, Reading};
use atoll_ipc::disk::Description;
use store::{Disk, DiskError};

/// Most reads that are under way at a time.
const AHEAD: usize = 32;

/// The disk that the manifest lends to this domain.
#[derive(Debug)]
pub struct Lent {
    disk: disk::Disk,
    /// What will be asked for next: offset and length.
    ahead: VecDeque<(u64, usize, Reading)>,
}

impl Lent {
    pub const fn new(disk: disk::Disk) -> Self {
        Self { disk, ahead: VecDeque::new() }
    }

    /// Says how the disk is used. Nobody depends on it, so it may fail.
    pub fn note(&self, text: &str) {
        if let Err(error) = self.disk.note(text) {
            log::debug!("the disk takes no note: {error}");
        }
    }

    fn most(&self) -> usize {
        self.disk.description().most as usize
    }

    fn piece(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), disk::DiskError> {
        match self.ahead.pop_front() {
            Some((at, length, reading)) if at == offset && length == bytes.len() => {
                reading.finish(bytes)
            }
            // Something else is wanted than was said.
            Some(_) | None => {
                self.ahead.clear();
                self.disk.start_read(offset, bytes.len())?.finish(bytes)
            }
        }
    }
}

impl Disk for Lent {
    fn description(&self) -> Description {
        self.disk.description()
    }

    fn ahead(&mut self, offset: u64, length: usize) {
        let (end, most) = (offset + length as u64, self.most());
        let mut at = offset;
        while at < end && self.ahead.len() < AHEAD {
            let length = (end - at).min(most as u64) as usize;
            // What cannot be started now is read when it is asked for.
            let Ok(reading) = self.disk.start_read(at, length) else { return };
            self.ahead.push_back((at, length, reading));
            at += length as u64;
        }
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        atoll::heartbeat();
        let mut at = offset;
        for piece in bytes.chunks_mut(self.most()) {
            self.piece(at, piece).map_err(error)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> Result<(), DiskError> {
        atoll::heartbeat();
        // What was read ahead and is not asked for must not take up the room for answers.
        self.ahead.clear();
        let durability = if durable { Durability::OnAnswer } else { Durability::OnFlush };
        self.disk.write(offset, bytes, durability).map_err(error)
    }
}

/// A disk that cannot be asked has failed.
fn error(error: disk::DiskError) -> DiskError {
    match error {
        disk::DiskError::Full => DiskError::Full,
        disk::DiskError::ReadOnly => DiskError::ReadOnly,
        disk::DiskError::Failed => DiskError::Failed,
        disk::DiskError::Ipc(error) => {
            log::error!("the disk service: {error}");
            DiskError::Failed
        }
    }
}
