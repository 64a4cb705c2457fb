//! Core files: a domain as it stands, for a debugger.
//!
//! Every vCPU of the domain is given a [`Seat`]. Its thread sits down with the registers, whatever
//! it does otherwise: a running guest is taken out, one that is paused or has ended stays where it
//! is. Who sits down last copies the memory; then all get up, and go on as if nothing had been.
//! The nucleus is not in it: it neither waits nor changes what it thinks of the domain.
//!
//! | file | what |
//! |---|---|
//! | [`elf`] | the file's headers and its order |
//! | [`notes`] | registers and names, as debuggers expect them |
//! | [`pages`] | which memory is worth storing |

mod elf;
mod notes;
mod pages;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::blueprint::Blueprint;
use crate::machine::MachineError;
use crate::machine::memory::DomainMemory;

pub use notes::{Names, Standing};

/// Why there is no core file.
#[derive(Debug, Error)]
pub enum CoreError {
    /// A vCPU has no thread that could tell its registers.
    #[error("a vCPU of it is gone: its machine failed; `vmm restart` makes it a new one")]
    VcpuGone,
    /// The host does not tell about the domain, or does not copy it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The VMM has no memory for the copy.
    #[error("the VMM has no {bytes} bytes of memory for the copy; free some, or stop a domain")]
    NoMemory {
        /// The file's length.
        bytes: u64,
    },
}

/// Where the file goes when it is done.
pub type Deliver = Box<dyn FnOnce(Result<Vec<u8>, CoreError>) + Send>;

/// What has come together so far.
struct Gathering {
    standing: Vec<Standing>,
    /// Seats that are neither taken nor lost.
    open: usize,
    /// A seat was given up: the others wait for nothing.
    lost: bool,
    /// Gone when the file is done.
    deliver: Option<Deliver>,
}

struct Table {
    names: Names,
    gathering: Mutex<Gathering>,
    done: Condvar,
}

/// One vCPU's place in a core file. Dropped without being taken, it ends the whole attempt.
pub struct Seat {
    table: Arc<Table>,
    taken: bool,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("of", &self.table.names).finish_non_exhaustive()
    }
}

/// Seats for all vCPUs of a domain.
pub fn seats(count: usize, names: Names, deliver: Deliver) -> Vec<Seat> {
    let (standing, deliver) = (Vec::with_capacity(count), Some(deliver));
    let gathering = Mutex::new(Gathering { standing, open: count, lost: false, deliver });
    let table = Arc::new(Table { names, gathering, done: Condvar::new() });
    (0..count).map(|_| Seat { table: table.clone(), taken: false }).collect()
}

impl Seat {
    /// Sits down, and returns when the memory is copied, or will not be.
    pub fn take(mut self, standing: Standing, memory: &DomainMemory, blueprint: &Blueprint) {
        self.taken = true;
        let mut gathering = self.table.lock();
        gathering.standing.push(standing);
        gathering.open -= 1;
        if gathering.open > 0 {
            let waiting = |gathering: &mut Gathering| gathering.deliver.is_some();
            let woken = self.table.done.wait_while(gathering, waiting);
            return drop(woken.unwrap_or_else(PoisonError::into_inner));
        }
        let file = if gathering.lost {
            Err(CoreError::VcpuGone)
        } else {
            let standing = std::mem::take(&mut gathering.standing);
            elf::write(&self.table.names, standing, memory, blueprint)
        };
        self.table.deliver(gathering, file);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut gathering = self.table.lock();
        gathering.lost = true;
        gathering.open -= 1;
        if gathering.open == 0 {
            self.table.deliver(gathering, Err(CoreError::VcpuGone));
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Gathering> {
        self.gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, mut gathering: MutexGuard<'_, Gathering>, file: Result<Vec<u8>, CoreError>) {
        if let Some(deliver) = gathering.deliver.take() {
            deliver(file);
        }
        drop(gathering);
        self.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn names() -> Names {
        Names { program: "kv.elf".to_owned(), line: "demo/kv, epoch 1".to_owned() }
    }

    #[test]
    fn a_seat_that_is_given_up_ends_the_attempt() {
        let (send, receive) = mpsc::channel();
        let seats = seats(2, names(), Box::new(move |file| send.send(file).unwrap()));
        let mut seats = seats.into_iter();
        drop(seats.next());
        assert!(receive.try_recv().is_err(), "one is open still");
        drop(seats.next());
        assert!(matches!(receive.try_recv(), Ok(Err(CoreError::VcpuGone))));
    }
}
