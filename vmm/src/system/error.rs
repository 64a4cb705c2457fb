//! Why a system could not be started, or could not go on.

use std::io;

use atoll_image::OpenError;
use thiserror::Error;

use crate::control::{ClaimError, ServerError};
use crate::disk::DiskError;
use crate::domain::DomainError;
use crate::exit_code::ExitCode;
use crate::machine::MachineError;
use crate::manifest::ManifestError;
use crate::snapshot::SnapshotError;

/// Why a system could not be started, or could not go on.
#[derive(Debug, Error)]
pub enum SystemError {
    /// The manifest does not fit its images.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An image is missing or wrong.
    #[error("domain `{domain}`: {cause}")]
    Image {
        /// The first domain that names it.
        domain: String,
        /// What is wrong.
        cause: OpenError,
    },
    /// A snapshot cannot be restored.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// KVM cannot be used.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A domain could not be made.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The control socket cannot be had.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The control API cannot be served.
    #[error(transparent)]
    Control(#[from] ServerError),
    /// A disk cannot be had.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A gateway cannot listen.
    #[error(
        "gateway {listen} cannot listen: {cause}; \
         stop what uses the address, or change `listen` in {manifest}"
    )]
    Listen {
        /// Where.
        listen: String,
        /// What the host said.
        cause: io::Error,
        /// The manifest's file.
        manifest: String,
    },
    /// Restarts did not help.
    #[error(
        "supervision gave up: restarts did not help; what was printed before tells which domain failed and why"
    )]
    GaveUp,
    /// The event loop failed.
    #[error("the event loop failed: {0}; check the limits on open files and threads")]
    EventLoop(io::Error),
}

impl SystemError {
    /// The exit code of its class.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Manifest(_) => ExitCode::Manifest,
            Self::Image { .. } => ExitCode::Image,
            Self::Snapshot(_) => ExitCode::Snapshot,
            Self::Domain(DomainError::Machine { cause: MachineError::Load { .. }, .. }) => {
                ExitCode::Image
            }
            Self::Machine(_) | Self::Domain(_) | Self::Listen { .. } => ExitCode::Host,
            Self::Claim(_) | Self::Control(_) => ExitCode::Host,
            Self::Disk(DiskError::Unknown { .. }) => ExitCode::Usage,
            Self::Disk(
                DiskError::Locked { .. }
                | DiskError::Twice { .. }
                | DiskError::TooLong { .. }
                | DiskError::Missing { .. }
                | DiskError::Unwritable { .. }
                | DiskError::NotAFile { .. }
                | DiskError::NoDirect { .. }
                | DiskError::Io { .. }
                | DiskError::Thread { .. },
            ) => ExitCode::Host,
            Self::GaveUp => ExitCode::GaveUp,
            Self::EventLoop(_) => ExitCode::Runtime,
        }
    }
}
