//! A disk: what may be done to it, and what comes of it, over a [`Medium`] that does it.

use std::io;
use std::ops::Range;

use atoll_ipc::disk::{Extent, Outcome};
use atoll_ipc::sync::AtomicU64;
use atoll_ipc::sync::Ordering::Relaxed;

use super::fault::{DiskFault, FaultKind, Faults, die};
use super::file::Shape;
use super::medium::Medium;

/// What the host's disks write whole or not at all: a torn write ends at a multiple of it.
const SECTOR: usize = 512;
/// Bytes of a word.
const WORD: usize = size_of::<u64>();
/// Words of zeros that are written at once where holes cannot be made: 64 KiB.
const ZEROS: usize = 8 << 10;

#[repr(C, align(4096))]
struct Zeros([AtomicU64; ZEROS]);

static ZERO: Zeros = Zeros([const { AtomicU64::new(0) }; ZEROS]);

/// A disk.
#[derive(Debug)]
pub(super) struct Volume<M> {
    /// What it is called where people read of its failures.
    title: String,
    medium: M,
    shape: Shape,
    faults: Faults,
    /// Something was written that is not known to be durable; also by those who had the file before.
    is_dirty: bool,
    /// The host once failed to make it durable, and has forgotten by now what it lost.
    is_lost: bool,
    /// What was said last of failures: a disk that goes on failing says so once.
    said: Option<Outcome>,
}

impl<M: Medium> Volume<M> {
    pub(super) fn new<'a>(
        title: String,
        medium: M,
        shape: Shape,
        faults: impl Iterator<Item = &'a DiskFault>,
    ) -> Self {
        let (faults, said) = (Faults::of(faults), None);
        Self { title, medium, shape, faults, is_dirty: true, is_lost: false, said }
    }

    pub(super) const fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether an extent is made of whole blocks, at least one, of this disk.
    pub(super) fn has(&self, extent: Extent) -> bool {
        let Extent { offset, length, .. } = extent;
        let is_whole = |bytes: u64| bytes.is_multiple_of(self.shape.block);
        let end = offset.checked_add(length);
        length > 0
            && is_whole(offset)
            && is_whole(length)
            && end.is_some_and(|end| end <= self.shape.size)
    }

    /// Reads bytes that the disk [has](Self::has). Behind the end of the file there are zeros.
    pub(super) fn read(&mut self, offset: u64, memory: &[AtomicU64]) -> Outcome {
        let length = size_of_val(memory);
        let mut done = 0;
        while done < length {
            match retried(|| self.medium.read(offset + done as u64, &memory[done / WORD..])) {
                Ok(count) => {
                    done += count;
                    if count > 0 && count.is_multiple_of(self.shape.block as usize) {
                        continue;
                    }
                    // A file ends where it likes; nothing else may look like its end.
                    match self.medium.length() {
                        Ok(end) if end <= offset + done as u64 => break,
                        Ok(_) => return self.failed("read", &io::ErrorKind::UnexpectedEof.into()),
                        Err(error) => return self.failed("read", &error),
                    }
                }
                Err(error) => return self.failed("read", &error),
            }
        }
        clear(memory, done..length);
        Outcome::Done
    }

    /// Writes bytes that the disk [has](Self::has).
    pub(super) fn write(&mut self, offset: u64, memory: &[AtomicU64]) -> Outcome {
        if self.shape.read_only {
            return Outcome::ReadOnly;
        }
        match self.faults.count() {
            Some(FaultKind::Stop) => die(),
            Some(FaultKind::Tear) => {
                let torn = size_of_val(memory) / 2 / SECTOR * SECTOR;
                // How it ends no longer matters to anybody.
                let _ = self.write_all(offset, &memory[..torn / WORD]);
                die()
            }
            Some(FaultKind::Fail) => {
                return self.failed("write", &io::Error::from_raw_os_error(libc::EIO));
            }
            Some(FaultKind::Full) => {
                return self.failed("write", &io::Error::from_raw_os_error(libc::ENOSPC));
            }
            None => (),
        }
        self.is_dirty = true;
        match self.write_all(offset, memory) {
            Ok(()) => {
                self.said = None;
                Outcome::Done
            }
            Err(error) => self.failed("write", &error),
        }
    }

    /// Makes everything durable that was written. Once that has failed it stays so: the host marks
    /// what it could not write as clean, and a second attempt would succeed without it.
    pub(super) fn sync(&mut self) -> Outcome {
        if self.is_lost {
            return Outcome::Failed;
        }
        if !self.is_dirty || self.shape.read_only {
            return Outcome::Done;
        }
        match retried(|| self.medium.sync()) {
            Ok(()) => {
                self.is_dirty = false;
                Outcome::Done
            }
            Err(error) => {
                log::error!(
                    "{}: what was written is not durable: {error}; nothing is from now on, before the \
                     system is started again",
                    self.title
                );
                self.is_lost = true;
                Outcome::Failed
            }
        }
    }

    /// Whether there is something to make durable.
    pub(super) const fn is_dirty(&self) -> bool {
        self.is_dirty && !self.is_lost && !self.shape.read_only
    }

    /// Makes bytes zero that the disk [has](Self::has).
    pub(super) fn discard(&mut self, extent: Extent) -> Outcome {
        if self.shape.read_only {
            return Outcome::ReadOnly;
        }
        self.is_dirty = true;
        match self.try_discard(extent) {
            Ok(()) => Outcome::Done,
            Err(error) => self.failed("discard", &error),
        }
    }

    /// What the domain is told of an error; people are told, too.
    fn failed(&mut self, what: &str, error: &io::Error) -> Outcome {
        let (outcome, remedy) = match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => (Outcome::Full, "make room there"),
            _ => (Outcome::Failed, "look at the host's disk"),
        };
        if self.said.replace(outcome) != Some(outcome) {
            log::error!("{}: a {what} failed: {error}; {remedy}", self.title);
        }
        outcome
    }

    fn try_discard(&mut self, Extent { offset, length, .. }: Extent) -> io::Result<()> {
        // Behind the end there are zeros already.
        let end = (offset + length).min(self.medium.length()?);
        if end <= offset {
            return Ok(());
        }
        match retried(|| self.medium.punch(offset, end - offset)) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                // To the end of the block, which the disk has: whole ones can always be written.
                self.write_zeros(offset, (end - offset).next_multiple_of(self.shape.block))
            }
            punched => punched,
        }
    }

    fn write_zeros(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let most = size_of_val(&ZERO.0) as u64;
        for at in (0..length).step_by(most as usize) {
            let words = (length - at).min(most) as usize / WORD;
            self.write_all(offset + at, &ZERO.0[..words])?;
        }
        Ok(())
    }

    fn write_all(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<()> {
        let mut done = 0;
        while done < size_of_val(memory) {
            match retried(|| self.medium.write(offset + done as u64, &memory[done / WORD..]))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                // Part of a word is written again with the rest of it.
                count => done = (done + count) / WORD * WORD,
            }
        }
        Ok(())
    }
}

/// Does it again as often as a signal came in between.
fn retried<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            done => return done,
        }
    }
}

/// Makes bytes of memory zero; those before them may share a word with them, and stay.
fn clear(memory: &[AtomicU64], bytes: Range<usize>) {
    let Range { start, end } = bytes;
    let kept = start % WORD;
    let mut words = &memory[start / WORD..end.div_ceil(WORD)];
    if kept > 0
        && let Some((first, rest)) = words.split_first()
    {
        // Little-endian: the bytes that were read are the low ones.
        first.store(first.load(Relaxed) & ((1 << (8 * kept)) - 1), Relaxed);
        words = rest;
    }
    words.iter().for_each(|word| word.store(0, Relaxed));
}

#[cfg(test)]
mod tests;
