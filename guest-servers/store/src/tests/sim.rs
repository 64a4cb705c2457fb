//! A disk in memory, with a cache that a crash empties, and faults on demand.

use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use atoll_ipc::disk::Description;

use crate::disk::{Disk, DiskError};

/// What is written whole or not at all.
pub const SECTOR: usize = 512;

/// A write that the disk was asked for.
#[derive(Clone, Debug)]
pub struct Write {
    pub offset: usize,
    pub bytes: Vec<u8>,
    pub durable: bool,
}

/// What a failing write leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    Nothing,
    Part,
    All,
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which write fails, counted from 0; later ones do if `stays`.
    pub write: usize,
    pub stays: bool,
    pub error: DiskError,
    pub leaves: Leaves,
}

#[derive(Debug)]
pub struct Inner {
    pub bytes: Vec<u8>,
    pub writes: Vec<Write>,
    pub read: u64,
    pub fault: Option<Fault>,
    pub read_only: bool,
    pub fails_reads: bool,
    fresh: u64,
    most: usize,
}

/// A handle of the disk: the store has one, the test another.
#[derive(Clone, Debug)]
pub struct Sim(pub Rc<RefCell<Inner>>);

impl Sim {
    pub fn new(size: usize) -> Self {
        let disk = Self::with(vec![0; size]);
        disk.0.borrow_mut().fresh = 0;
        disk
    }

    /// One with these bytes on it.
    pub fn with(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            fresh: bytes.len() as u64,
            bytes,
            writes: Vec::new(),
            read: 0,
            fault: None,
            read_only: false,
            fails_reads: false,
            most: 1 << 20,
        })))
    }

    /// It takes at most so many bytes at a time.
    pub fn in_pieces_of(self, most: usize) -> Self {
        self.0.borrow_mut().most = most;
        self
    }

    pub fn fails(self, fault: Fault) -> Self {
        self.0.borrow_mut().fault = Some(fault);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// Writes that it was asked for.
    pub fn writes(&self) -> usize {
        self.0.borrow().writes.len()
    }
}

impl Inner {
    fn write(&mut self, offset: usize, bytes: &[u8], durable: bool) -> Result<(), DiskError> {
        assert!(offset.is_multiple_of(SECTOR) && bytes.len().is_multiple_of(SECTOR));
        if self.read_only {
            return Err(DiskError::ReadOnly);
        }
        let number = self.writes.len();
        self.writes.push(Write { offset, bytes: bytes.to_vec(), durable });
        let fault =
            self.fault.filter(|fault| number == fault.write || fault.stays && number > fault.write);
        let written = match fault.map(|fault| fault.leaves) {
            Some(Leaves::Nothing) => 0,
            Some(Leaves::Part) => bytes.len() / SECTOR / 2 * SECTOR,
            Some(Leaves::All) | None => bytes.len(),
        };
        self.bytes[offset..offset + written].copy_from_slice(&bytes[..written]);
        fault.map_or(Ok(()), |fault| Err(fault.error))
    }
}

impl Disk for Sim {
    fn description(&self) -> Description {
        let inner = self.0.borrow();
        let (size, most) = (inner.bytes.len() as u64, inner.most as u64);
        Description { size, block: SECTOR as u64, most, fresh: inner.fresh }
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let mut inner = self.0.borrow_mut();
        if inner.fails_reads {
            return Err(DiskError::Failed);
        }
        inner.read += bytes.len() as u64;
        bytes.copy_from_slice(&inner.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> Result<(), DiskError> {
        let mut inner = self.0.borrow_mut();
        let most = inner.most;
        let mut pieces = bytes.chunks(most).enumerate().peekable();
        while let Some((index, piece)) = pieces.next() {
            let is_last = pieces.peek().is_none();
            inner.write(offset as usize + index * most, piece, durable && is_last)?;
        }
        Ok(())
    }
}
