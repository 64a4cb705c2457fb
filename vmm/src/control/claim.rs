//! Owning a system's control socket: one process at a time, and nothing left behind.
//!
//! Whoever holds the lock file beside the socket owns the socket. The kernel gives the lock up
//! when its holder dies, however it dies, so a socket without a locked lock is a dead one's.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use thiserror::Error;

use super::paths::{default_dir, lock_of};

/// Why a control socket cannot be had.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Another process has it.
    #[error(
        "system `{system}` already runs ({}); stop it with `vmm stop --system {system}`, \
         or give this one another name or --socket",
        process(*.pid)
    )]
    AlreadyRuns {
        /// The system.
        system: String,
        /// Its process, if it has said so already.
        pid: Option<u32>,
    },
    /// Something else is at the socket's path.
    #[error(
        "{} is there and is not a socket; remove it, or choose another --socket",
        path.display()
    )]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The directory of sockets is open to others.
    #[error("{} {why}; remove it, or choose another --socket", path.display())]
    UnsafeDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host refused something.
    #[error(
        "cannot {action} {}: {source}; choose another --socket if this cannot be",
        path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "it is just starting".to_owned(), |pid| format!("pid {pid}"))
}

/// A control socket that this process owns and listens on. Dropping it removes the socket.
#[derive(Debug)]
pub struct Claim {
    socket: PathBuf,
    listener: UnixListener,
    _lock: Lock,
}

impl Claim {
    /// Claims `socket` for the system of this name; a dead process's socket is replaced.
    ///
    /// # Errors
    /// When the system already runs, or the socket cannot be made.
    pub fn new(socket: &Path, system: &str) -> Result<Self, ClaimError> {
        if socket.parent() == Some(&default_dir()) {
            private_directory(&default_dir())?;
        }
        let lock = Lock::take(socket, system)?;
        clear(socket, system)?;
        let listener = listen(socket).map_err(|source| failed("listen on", socket, source))?;
        Ok(Self { socket: socket.to_owned(), listener, _lock: lock })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.socket
    }

    /// A second handle on the listening socket, for the server's event loop.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock goes after this, so nobody else can have put a socket here.
        if let Err(error) = std::fs::remove_file(&self.socket) {
            log::debug!("control socket {} was gone already: {error}", self.socket.display());
        }
    }
}

/// A locked lock file with this process's id in it. Dropping it removes the file.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path, system: &str) -> Result<Self, ClaimError> {
        let path = lock_of(socket);
        loop {
            let mut file = open(&path).map_err(|source| failed("open", &path, source))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let system = system.to_owned();
                    return Err(ClaimError::AlreadyRuns { system, pid: pid_in(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
            }
            // The last owner may have removed the file between our opening and our locking it;
            // then somebody else may lock a new file of that name. Only the named one counts.
            if same_file(&file, &path) {
                write_pid(&mut file).map_err(|source| failed("write", &path, source))?;
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::debug!("lock {} was gone already: {error}", self.path.display());
        }
    }
}

/// A wait for the end of the process that owns a control socket now.
#[derive(Debug)]
pub struct Departure {
    lock: File,
}

impl Departure {
    /// The owner of `socket` as of now; `None` if its lock cannot be seen. Take this before the
    /// order to stop: afterwards the lock may belong to the next owner.
    pub fn of(socket: &Path) -> Option<Self> {
        File::open(lock_of(socket)).ok().map(|lock| Self { lock })
    }

    /// Waits until that owner has given up its socket or is dead.
    ///
    /// # Errors
    /// When the host cannot wait for the lock.
    pub fn wait(self) -> io::Result<()> {
        self.lock.lock_shared()
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Removes a dead process's socket. The lock is ours, so a live one belongs to somebody who does
/// not know of locks: it is left alone all the same.
fn clear(socket: &Path, system: &str) -> Result<(), ClaimError> {
    match std::fs::symlink_metadata(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("look at", socket, source)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ClaimError::NotASocket { path: socket.to_owned() });
        }
        Ok(_) => {}
    }
    if UnixStream::connect(socket).is_ok() {
        return Err(ClaimError::AlreadyRuns { system: system.to_owned(), pid: None });
    }
    log::info!("replacing control socket {} of a dead process", socket.display());
    std::fs::remove_file(socket).map_err(|source| failed("remove", socket, source))
}

/// A listening socket with mode 0600 from its first moment: the mode is set before it has a name.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    nix::sys::stat::fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    nix::sys::socket::bind(socket.as_raw_fd(), &address)?;
    // Not every kernel takes the mode over to the name.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    nix::sys::socket::listen(&socket, Backlog::MAXCONN)?;
    Ok(socket.into())
}

/// Makes the directory, or checks that an existing one is ours alone: in `/tmp` it may be not.
fn private_directory(path: &Path) -> Result<(), ClaimError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed("make directory", path, source)),
        Ok(()) => return Ok(()),
    }
    let found = std::fs::symlink_metadata(path).map_err(|e| failed("look at", path, e))?;
    let why = if !found.is_dir() {
        "is not a directory"
    } else if found.uid() != geteuid().as_raw() {
        "belongs to another user"
    } else if found.mode() & 0o077 != 0 {
        "is open to other users (its mode must be 0700)"
    } else {
        return Ok(());
    };
    Err(ClaimError::UnsafeDirectory { path: path.to_owned(), why })
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ClaimError {
    ClaimError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn one_owner_at_a_time_and_nothing_left() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kv.sock");
        let claim = Claim::new(&socket, "kv").unwrap();
        assert_eq!(mode(&socket), 0o600);
        let error = Claim::new(&socket, "kv").unwrap_err().to_string();
        let ours = format!("system `kv` already runs (pid {}); ", std::process::id());
        assert!(error.starts_with(&ours), "{error}");
        drop(claim);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        Claim::new(&socket, "kv").unwrap();
    }

    #[test]
    fn a_dead_owners_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kv.sock");
        drop(UnixListener::bind(&socket).unwrap());
        std::fs::write(lock_of(&socket), "1\n").unwrap();
        let _claim = Claim::new(&socket, "kv").unwrap();
        UnixStream::connect(&socket).unwrap();
    }

    #[test]
    fn a_live_stranger_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kv.sock");
        let _stranger = UnixListener::bind(&socket).unwrap();
        let error = Claim::new(&socket, "kv").unwrap_err();
        assert!(matches!(error, ClaimError::AlreadyRuns { pid: None, .. }), "{error}");
        UnixStream::connect(&socket).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kv.sock");
        std::fs::write(&socket, "precious").unwrap();
        let error = Claim::new(&socket, "kv").unwrap_err();
        assert!(matches!(error, ClaimError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("atoll");
        private_directory(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        private_directory(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        let error = private_directory(&path).unwrap_err();
        assert!(matches!(error, ClaimError::UnsafeDirectory { .. }), "{error}");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        let error = private_directory(&link).unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }

    #[test]
    fn a_departure_is_seen_after_the_socket_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kv.sock");
        assert!(Departure::of(&socket).is_none());
        let claim = Claim::new(&socket, "kv").unwrap();
        let departure = Departure::of(&socket).unwrap();
        assert!(matches!(departure.lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                departure.wait().unwrap();
                assert!(!socket.exists());
            });
            drop(claim);
            waiter.join().unwrap();
        });
    }

    #[test]
    fn many_claim_and_leave_at_once_and_one_at_a_time_has_it() {
        use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("kv.sock");
        let (owned, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while turns.load(Ordering::SeqCst) < 2_000 {
                        match Claim::new(&socket, "kv") {
                            Ok(_claim) => {
                                assert!(!owned.swap(true, Ordering::SeqCst), "two owners");
                                turns.fetch_add(1, Ordering::SeqCst);
                                owned.store(false, Ordering::SeqCst);
                            }
                            Err(ClaimError::AlreadyRuns { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
