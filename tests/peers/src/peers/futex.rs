//! A word each way in memory that two processes share, and a futex to sleep on it.

use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::ends::{self, Ends};
use crate::subjects::{Runner, Subject, blocking_round_trips};
use crate::suites::{Receive, Send, echo, round_trips};
use crate::task::{Role, Task};
use crate::wire::{Case, Outcome};

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "futex", cases, runner: Runner::Processes { ends, side } };

fn cases() -> Vec<Case> {
    blocking_round_trips(SUBJECT.name, &[size_of::<u64>()]).collect()
}

/// Both sides get the shared memory as their standard input.
fn ends(_: &Case) -> Result<[Ends; 2]> {
    let memory =
        memfd_create("atoll-peers", MFdFlags::MFD_CLOEXEC).context("cannot make shared memory")?;
    let memory = File::from(memory);
    memory.set_len(size_of::<Shared>() as u64).context("cannot size shared memory")?;
    let again = memory.try_clone().context("cannot hold shared memory twice")?;
    let end = |memory: File| Ends { input: OwnedFd::from(memory).into(), output: Stdio::null() };
    Ok([end(memory), end(again)])
}

fn side(task: &Task) -> Result<Option<Outcome>> {
    let shared = Mapping::new(&ends::input()?)?;
    let Shared { there, back } = shared.get();
    match task.role {
        Role::First => {
            let mut post = Post { mine: there, theirs: back, seen: 0 };
            round_trips(&mut post, task.budget()).map(Some)
        }
        Role::Second => {
            let mut post = Post { mine: back, theirs: there, seen: 0 };
            echo(&mut post).map(|()| None)
        }
    }
}

/// A place for one message, and the number of those that have been put there.
#[derive(Debug)]
#[repr(C, align(128))]
struct Mailbox {
    posted: AtomicU32,
    word: AtomicU64,
}

/// What is in the memory. Fresh memory is all zeroes, which are empty mailboxes.
#[derive(Debug)]
#[repr(C)]
struct Shared {
    there: Mailbox,
    back: Mailbox,
}

/// The memory, in this process.
#[derive(Debug)]
struct Mapping(NonNull<Shared>);

impl Mapping {
    fn new(memory: &File) -> Result<Self> {
        const SIZE: NonZeroUsize = NonZeroUsize::new(size_of::<Shared>()).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses a free place, so no memory of ours is replaced.
        let address = unsafe { mmap(None, SIZE, access, MapFlags::MAP_SHARED, memory, 0) }
            .context("cannot map shared memory")?;
        Ok(Self(address.cast()))
    }

    fn get(&self) -> &Shared {
        // SAFETY: the mapping is as large as a `Shared`, begins at a page, lives as long as `self`,
        // and holds nothing but atomics, for which any bytes are good, whoever else writes them.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and no borrow of it outlives `self`.
        // It cannot fail for a mapping that exists.
        let _ = unsafe { munmap(self.0.cast::<c_void>(), size_of::<Shared>()) };
    }
}

#[derive(Debug)]
struct Post<'a> {
    mine: &'a Mailbox,
    theirs: &'a Mailbox,
    seen: u32,
}

impl Send for Post<'_> {
    fn send(&mut self, word: u64) -> Result<()> {
        self.mine.word.store(word, Ordering::Relaxed);
        self.mine.posted.fetch_add(1, Ordering::Release);
        wake(&self.mine.posted)
    }
}

impl Receive for Post<'_> {
    fn receive(&mut self) -> Result<u64> {
        loop {
            let posted = self.theirs.posted.load(Ordering::Acquire);
            if posted != self.seen {
                self.seen = posted;
                return Ok(self.theirs.word.load(Ordering::Relaxed));
            }
            sleep(&self.theirs.posted, posted)?;
        }
    }
}

fn wake(futex: &AtomicU32) -> Result<()> {
    // SAFETY: the address is that of a live atomic, and the kernel only looks up who waits for it.
    let woken = unsafe { libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAKE, 1) };
    Errno::result(woken).context("cannot wake the other side")?;
    Ok(())
}

/// Sleeps unless the value has changed already.
fn sleep(futex: &AtomicU32, value: u32) -> Result<()> {
    let forever = ptr::null::<libc::timespec>();
    // SAFETY: the address is that of a live atomic, which the kernel only reads, and the time is
    // none.
    let slept =
        unsafe { libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAIT, value, forever) };
    match Errno::result(slept) {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
        Err(error) => Err(error).context("cannot sleep on shared memory"),
    }
}
