//! Locking a disk's file: one system writes it at a time, whatever path or name each knows it by.
//!
//! The lock that counts is `flock`'s: it belongs to the open file, so two disks of one process
//! exclude each other, too, and it goes when the process does, however it ends. A POSIX lock on the
//! same file is there because its holder can be asked for.

use std::fs::{File, TryLockError};
use std::io;

use nix::fcntl::{FcntlArg, fcntl};

/// Why a file is not locked.
#[derive(Debug)]
pub(super) enum Refused {
    /// Somebody else holds it: this process, if the host tells.
    Held(Option<u32>),
    /// The host failed.
    Io(io::Error),
}

/// Locks a file for as long as it is open: for its only user, or for one of several readers.
pub(super) fn lock(file: &File, for_reading: bool) -> Result<(), Refused> {
    let tried = if for_reading { file.try_lock_shared() } else { file.try_lock() };
    match tried {
        Ok(()) => {
            say_who(file, for_reading);
            Ok(())
        }
        Err(TryLockError::WouldBlock) => Err(Refused::Held(holder(file))),
        Err(TryLockError::Error(error)) => Err(Refused::Io(error)),
    }
}

fn say_who(file: &File, for_reading: bool) {
    let kind = if for_reading { libc::F_RDLCK } else { libc::F_WRLCK };
    if let Err(errno) = fcntl(file, FcntlArg::F_SETLK(&whole(kind))) {
        log::debug!("others will not learn who uses a disk's file: {errno}");
    }
}

fn holder(file: &File) -> Option<u32> {
    let mut found = whole(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut found)).ok()?;
    let is_held = i32::from(found.l_type) != libc::F_UNLCK;
    u32::try_from(found.l_pid).ok().filter(|&pid| is_held && pid != 0)
}

fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
