//! Owns what the store asks of a disk.

use atoll_ipc::disk::Description;

/// Why a disk did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// The host has no room left. Nothing, or a part, was written.
    #[error("the host has no room left")]
    Full,
    /// It failed. Whether anything was written, nobody knows.
    #[error("the disk failed")]
    Failed,
    /// It can only be read.
    #[error("the disk can only be read")]
    ReadOnly,
}

/// An array of bytes that outlives the store. Offsets and lengths are multiples of
/// [`UNIT`](crate::UNIT); how many requests one operation takes is the implementor's business.
pub trait Disk {
    /// What kind of disk it is.
    fn description(&self) -> Description;

    /// Says what will be read next, so that it can be on its way.
    fn ahead(&mut self, offset: u64, length: usize) {
        let _ = (offset, length);
    }

    /// Fills `bytes`.
    ///
    /// # Errors
    /// As they say.
    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError>;

    /// Writes `bytes`. If that is to be durable, so is all that was written before, once this
    /// returns.
    ///
    /// # Errors
    /// As they say.
    fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> Result<(), DiskError>;
}
