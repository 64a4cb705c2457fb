//! A medium for tests: memory that does as it is told, and a list of what was done to it.

use std::io;
use std::sync::{Arc, Mutex};

use atoll_ipc::sync::AtomicU64;
use atoll_ipc::sync::Ordering::Relaxed;

use super::medium::Medium;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Read(u64, usize),
    Write(u64, usize),
    Sync,
    Punch(u64, u64),
}

/// What it does, and what was done to it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) bytes: Vec<u8>,
    pub(super) log: Vec<Done>,
    /// Most bytes at a time; all of them if 0.
    pub(super) most: usize,
    /// Errors that the next attempts end with, each once.
    pub(super) errors: Vec<i32>,
    /// It knows no holes.
    pub(super) solid: bool,
}

/// Clones are the same medium.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    pub(super) fn log(&self) -> Vec<Done> {
        self.with(|state| std::mem::take(&mut state.log))
    }

    fn attempt<T>(&self, f: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        self.with(|state| match state.errors.pop() {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Ok(f(state)),
        })
    }
}

impl State {
    fn portion(&self, wanted: usize) -> usize {
        if self.most == 0 { wanted } else { wanted.min(self.most) }
    }
}

impl Medium for Fake {
    fn read(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<usize> {
        self.attempt(|state| {
            let at = (offset as usize).min(state.bytes.len());
            let there = &state.bytes[at..];
            let count = state.portion(size_of_val(memory)).min(there.len());
            for (word, bytes) in memory.iter().zip(there[..count].chunks(8)) {
                let mut all = word.load(Relaxed).to_le_bytes();
                all[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_le_bytes(all), Relaxed);
            }
            state.log.push(Done::Read(offset, count));
            count
        })
    }

    fn write(&mut self, offset: u64, memory: &[AtomicU64]) -> io::Result<usize> {
        self.attempt(|state| {
            let bytes: Vec<u8> =
                memory.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
            let count = state.portion(bytes.len());
            let end = offset as usize + count;
            let length = state.bytes.len().max(end);
            state.bytes.resize(length, 0);
            state.bytes[offset as usize..end].copy_from_slice(&bytes[..count]);
            state.log.push(Done::Write(offset, count));
            count
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.attempt(|state| state.log.push(Done::Sync))
    }

    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()> {
        if self.with(|state| state.solid) {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        self.attempt(|state| {
            state.bytes[offset as usize..(offset + length) as usize].fill(0);
            state.log.push(Done::Punch(offset, length));
        })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.with(|state| state.bytes.len() as u64))
    }
}

/// Memory with these bytes in it.
pub(super) fn memory(bytes: &[u8]) -> Vec<AtomicU64> {
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    words.map(AtomicU64::new).collect()
}

/// The bytes that memory has in it.
pub(super) fn bytes(memory: &[AtomicU64]) -> Vec<u8> {
    memory.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
}
