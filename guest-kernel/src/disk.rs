//! A disk that the manifest lends to this domain: blocks that outlive it.
//!
//! ```ignore
//! let disk = Disk::open("disk")?;
//! disk.write(0, &block, Durability::OnAnswer)?;
//! disk.read(0, &mut block)?;
//! ```
//!
//! Each operation has a form that waits, and one that is [started](Disk::start_write) and
//! [finished](Writing::finish) later: writes that are under way together share what makes them
//! durable. Offsets and lengths are multiples of [`Description::block`]; what is not, or reaches
//! beyond the disk, is [`IpcError::Rejected`].
//!
//! At most [`CALLS_MAX`](atoll_ipc::calls::CALLS_MAX) are under way at a time: one more waits for the
//! service, but not for their user. It is refused as [`IpcError::Full`] if all of them have ended and
//! were not finished.
//!
//! Nothing here has a deadline. The disk service is a part of the VMM: it answers when the host's
//! disk does, and dies with all domains.

use core::fmt;

use atoll_ipc::abi::Interface;
use atoll_ipc::disk::{DISK, Extent, NOTE_MAX, Op, Outcome, VERSION};
use atoll_ipc::interface::BindError;
use atoll_ipc::message::IpcError;

use crate::ipc::{Channel, LentReply, Loan, Pending, Reply};

pub use atoll_ipc::disk::Description;

/// What the service speaks.
static INTERFACE: Interface = Interface::untyped(atoll_ipc::abi::Name::new(DISK), VERSION);

/// Why a disk cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The manifest gives this domain no channel of that name, or the service does not answer.
    Ipc(IpcError),
    /// The channel leads to something that is no disk.
    Interface(BindError),
    /// The service described something that no disk is.
    Description,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipc(error) => error.fmt(f),
            Self::Interface(error) => error.fmt(f),
            Self::Description => f.write_str("the disk service describes no disk"),
        }
    }
}

impl core::error::Error for OpenError {}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The host has no room left. Nothing, or a part, was written.
    Full,
    /// The host's disk failed: see [`Outcome::Failed`].
    Failed,
    /// The disk can only be read.
    ReadOnly,
    /// The service was not reached, or refused the request.
    Ipc(IpcError),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the host has no room left"),
            Self::Failed => f.write_str("the host's disk failed"),
            Self::ReadOnly => f.write_str("the disk can only be read"),
            Self::Ipc(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DiskError {}

impl From<IpcError> for DiskError {
    fn from(error: IpcError) -> Self {
        Self::Ipc(error)
    }
}

/// When what is written is safe from the end of the VMM and its host. From that of the domain it
/// is at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the write is answered, together with all that was written before.
    OnAnswer,
    /// When a later flush is answered.
    OnFlush,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    channel: Channel,
    description: Description,
}

impl Disk {
    /// The disk that the manifest gives this domain under a name.
    ///
    /// # Errors
    /// If it gives none, or something else.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        let channel = Channel::open(name).map_err(OpenError::Ipc)?;
        let found = channel.interface();
        if found != INTERFACE {
            let channel = channel.name();
            return Err(OpenError::Interface(BindError { channel, wanted: &INTERFACE, found }));
        }
        let reply = channel.call(Op::Describe as u16, &[], None).map_err(OpenError::Ipc)?;
        let description = Description::from_bytes(reply.payload());
        let description = description.filter(is_sound).ok_or(OpenError::Description)?;
        Ok(Self { channel, description })
    }

    /// What kind of disk it is. It stays so for as long as the system runs.
    pub const fn description(&self) -> Description {
        self.description
    }

    /// Fills `bytes` from the disk.
    ///
    /// # Errors
    /// As they say.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let mut at = offset;
        for piece in bytes.chunks_mut(self.most()) {
            self.start_read(at, piece.len())?.finish(piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes to the disk. What is too long for one request goes in several, one after the other.
    ///
    /// # Errors
    /// As they say. Then a part may be written.
    pub fn write(
        &self,
        offset: u64,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), DiskError> {
        let mut pieces = bytes.chunks(self.most()).peekable();
        let mut at = offset;
        while let Some(piece) = pieces.next() {
            // The last one makes those before it durable, too.
            let is_last = pieces.peek().is_none();
            let durability = if is_last { durability } else { Durability::OnFlush };
            self.start_write(at, piece, durability)?.finish()?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    /// As they say.
    pub fn flush(&self) -> Result<(), DiskError> {
        self.start_flush()?.finish()
    }

    /// Makes bytes zero again, and gives their room on the host back. It is durable with the next
    /// flush.
    ///
    /// # Errors
    /// As they say.
    pub fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        let extent = Extent { offset, length, flags: 0 };
        let reply = self.channel.call(Op::Discard as u16, &extent.to_bytes(), None)?;
        outcome(reply.payload())
    }

    /// Says how the domain uses the disk, for people: lines of `name value`, of which the first
    /// [`NOTE_MAX`] bytes are kept.
    ///
    /// # Errors
    /// As they say.
    pub fn note(&self, text: &str) -> Result<(), DiskError> {
        let text = &text.as_bytes()[..text.floor_char_boundary(NOTE_MAX)];
        Ok(self.channel.send(Op::Note as u16, text, None)?)
    }

    /// Starts to read at most [`Description::most`] bytes.
    ///
    /// # Errors
    /// As they say.
    pub fn start_read(&self, offset: u64, length: usize) -> Result<Reading, DiskError> {
        let extent = Extent { offset, length: length as u64, flags: 0 };
        let pending = self.channel.send_message(Op::Read as u16, &extent.to_bytes(), None)?;
        Ok(Reading { pending, length })
    }

    /// Starts to write at most [`Description::most`] bytes, which are copied before it returns.
    ///
    /// # Errors
    /// As they say.
    pub fn start_write(
        &self,
        offset: u64,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Writing, DiskError> {
        let mut loan = self.lend(bytes.len())?;
        loan.write(0, bytes);
        self.start_write_lent(offset, loan, durability)
    }

    /// A buffer for [`Disk::start_write_lent`], in memory that the service shares. It waits while
    /// writes that are under way take up the room.
    ///
    /// # Errors
    /// As they say.
    pub fn lend(&self, length: usize) -> Result<Loan, DiskError> {
        Ok(self.channel.lend(length, None)?)
    }

    /// Starts to write what a buffer holds: nobody copies it any more.
    ///
    /// # Errors
    /// As they say.
    ///
    /// # Panics
    /// If the buffer was not [lent](Disk::lend) by this disk.
    pub fn start_write_lent(
        &self,
        offset: u64,
        loan: Loan,
        durability: Durability,
    ) -> Result<Writing, DiskError> {
        assert!(loan.channel() == self.channel, "a buffer of another channel");
        let flags = match durability {
            Durability::OnAnswer => Extent::DURABLE,
            Durability::OnFlush => 0,
        };
        let extent = Extent { offset, length: loan.len() as u64, flags };
        Ok(Writing(loan.send_message(Op::Write as u16, &extent.to_bytes(), None)?))
    }

    /// Starts to make everything durable that was written so far.
    ///
    /// # Errors
    /// As they say.
    pub fn start_flush(&self) -> Result<Writing, DiskError> {
        Ok(Writing(self.channel.send_message(Op::Flush as u16, &[], None)?))
    }

    const fn most(&self) -> usize {
        self.description.most as usize
    }
}

/// A write or a flush that is under way. One that is dropped may be carried out all the same.
#[derive(Debug)]
#[must_use = "whoever does not ask never knows whether it was done"]
pub struct Writing(Pending);

impl Writing {
    /// Waits for its end.
    ///
    /// # Errors
    /// As they say.
    pub fn finish(self) -> Result<(), DiskError> {
        outcome(self.0.wait_answer(None)?.payload())
    }

    /// How it ended; or else itself, to be asked again.
    ///
    /// # Errors
    /// Itself while it is under way.
    pub fn poll(self) -> Result<Result<(), DiskError>, Self> {
        let answer = self.0.poll_answer().map_err(Self)?;
        Ok(answer.map_err(DiskError::Ipc).and_then(|reply: Reply| outcome(reply.payload())))
    }
}

/// A read that is under way.
#[derive(Debug)]
#[must_use = "whoever reads wants to know what"]
pub struct Reading {
    pending: Pending,
    length: usize,
}

impl Reading {
    /// Waits for its end, and copies what was read.
    ///
    /// # Errors
    /// As they say.
    ///
    /// # Panics
    /// If it was not asked for as many bytes.
    pub fn finish(self, bytes: &mut [u8]) -> Result<(), DiskError> {
        assert_eq!(bytes.len(), self.length, "as many bytes as were asked for");
        Ok(self.finish_in_place()?.read(0, bytes)?)
    }

    /// Waits for its end, and leaves what was read where the service has put it.
    ///
    /// # Errors
    /// As they say.
    pub fn finish_in_place(self) -> Result<LentReply, DiskError> {
        let reply = self.pending.wait_in_place(None)?;
        outcome(&reply.payload())?;
        if reply.buffer_len() == self.length { Ok(reply) } else { Err(IpcError::Protocol.into()) }
    }
}

/// Whether a disk can be like this: requests of whole blocks can be made of it.
const fn is_sound(description: &Description) -> bool {
    let Description { block, most, .. } = *description;
    block.is_power_of_two()
        && most >= block
        && most.is_multiple_of(block)
        && most <= u32::MAX as u64
}

fn outcome(reply: &[u8]) -> Result<(), DiskError> {
    match Outcome::from_bytes(reply).ok_or(IpcError::Protocol)? {
        Outcome::Done => Ok(()),
        Outcome::Full => Err(DiskError::Full),
        Outcome::Failed => Err(DiskError::Failed),
        Outcome::ReadOnly => Err(DiskError::ReadOnly),
    }
}
