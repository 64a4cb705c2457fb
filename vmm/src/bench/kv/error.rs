//! Why a server could not be measured.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::bench::atoll::AtollError;

/// Why a server could not be measured.
#[derive(Debug, Error)]
pub enum KvError {
    /// There is no such program.
    #[error("cannot start {}: {cause}; --redis-server names the program of redis", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// A server came to its end.
    #[error("{who} ended ({status}): {said}")]
    Ended {
        /// The server.
        who: String,
        /// How it ended.
        status: String,
        /// The last line that it wrote.
        said: String,
    },
    /// A server does not answer.
    #[error("the server did not answer for {0} s")]
    Silent(u64),
    /// What is kept here is in memory.
    #[error(
        "{} is in memory ({kind}), where nothing is durable; choose a directory on a disk with \
         --directory",
        directory.display()
    )]
    InMemory {
        /// The directory.
        directory: PathBuf,
        /// Its file system.
        kind: &'static str,
    },
    /// The host denied something.
    #[error("{what}: {cause}")]
    Host {
        /// What was asked of it.
        what: String,
        /// What it said.
        cause: io::Error,
    },
    /// A reply is not what it must be.
    #[error("`{reply}` to {request}")]
    Reply {
        /// What was asked.
        request: String,
        /// What was replied.
        reply: String,
    },
    /// A server is not set up as it should be.
    #[error("{0}")]
    Setting(String),
    /// The system of kv does not do what it is asked.
    #[error(transparent)]
    Atoll(#[from] AtollError),
}

impl KvError {
    /// Of something that the host was asked.
    pub(in crate::bench) fn host(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Host { what, cause }
    }
}
