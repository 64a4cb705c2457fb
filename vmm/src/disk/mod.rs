//! The disk service: files of the host that the VMM lends to domains as disks, block by block
//! ([`atoll_ipc::disk`] says what is spoken).
//!
//! ```text
//!   domain ══ channel ══▶ Service ──▶ Volume ──▶ Medium
//!   lends buffers         batches,     checks,    the file: one
//!                         answers      faults     system call each
//! ```
//!
//! Each disk has a thread of its own, `disk/NAME`, so that a slow one keeps nobody else waiting. It
//! takes all requests that wait, carries each out as it comes, and makes what is to be durable so
//! once for all of them: that is the group commit. Blocks go between the file and the memory that
//! the domain has lent; nobody copies them.
//!
//! It must never make a file shorter, write beyond the disk's size, or say that something is durable
//! after the host once failed to make it so.

mod bounce;
mod error;
mod fault;
mod figures;
mod file;
mod lock;
mod medium;
mod service;
mod volume;

#[cfg(test)]
mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use atoll_ipc::abi::Interface;
use atoll_ipc::disk::{DISK, VERSION};
use vmm_sys_util::eventfd::EventFd;

use crate::control::api::DiskReport;
use crate::domain::signal;
use crate::ipc::End;
use crate::manifest::Manifest;

pub use error::DiskError;
pub use fault::{DiskFault, FaultKind, FaultSyntax};
pub use file::{DiskFile, open_all};
pub use service::Presence;

use figures::Shared;
use medium::FileMedium;
use service::Service;
use volume::Volume;

/// What is spoken on a disk's channel.
pub const INTERFACE: Interface = Interface::untyped(atoll_ipc::abi::Name::new(DISK), VERSION);

/// A disk that is served: what there is to say of it.
#[derive(Debug)]
pub struct Desk {
    /// The domain's number.
    pub domain: u32,
    file: Arc<DiskFile>,
    figures: Arc<Shared>,
}

impl Desk {
    /// What there is to say.
    pub fn report(&self) -> DiskReport {
        self.figures.report(&self.file)
    }
}

/// A disk that is ready to be served.
#[derive(Debug)]
pub struct Line {
    name: String,
    service: Service<FileMedium>,
    wake: Arc<EventFd>,
    stop: Arc<AtomicBool>,
}

/// Joins an open file to the channel of the domain that has it, which is woken by `wake` at this end.
/// Writes meet these faults.
pub fn join(
    domain: u32,
    file: Arc<DiskFile>,
    faults: &[DiskFault],
    end: End,
    wake: Arc<EventFd>,
    presence: Presence,
) -> (Desk, Line) {
    let name = file.name.clone();
    let figures = Arc::new(Shared::default());
    let stop = Arc::new(AtomicBool::new(false));
    let faults = faults.iter().filter(|fault| fault.disk == name);
    let volume = Volume::new(file.title(), FileMedium::new(file.clone()), file.shape(), faults);
    let service = Service::new(end, presence, volume, figures.clone(), stop.clone());
    (Desk { domain, file, figures }, Line { name, service, wake, stop })
}

/// The threads that serve disks. Dropping it ends them, once the requests that they have in their
/// hands are done and everything that was written is durable.
#[derive(Debug, Default)]
pub struct Servants(Vec<(JoinHandle<()>, Arc<EventFd>, Arc<AtomicBool>)>);

impl Servants {
    /// Begins to serve all of them.
    ///
    /// # Errors
    /// If the host gives no thread.
    pub fn begin(lines: Vec<Line>) -> Result<Self, DiskError> {
        let mut servants = Self::default();
        for Line { name, service, wake, stop } in lines {
            let thread = thread::Builder::new().name(format!("disk/{name}"));
            let thread = thread
                .spawn(move || service.run())
                .map_err(|source| DiskError::Thread { disk: name, source })?;
            servants.0.push((thread, wake, stop));
        }
        Ok(servants)
    }
}

impl Drop for Servants {
    fn drop(&mut self) {
        for (_, wake, stop) in &self.0 {
            stop.store(true, Ordering::Release);
            signal(wake);
        }
        for (thread, ..) in self.0.drain(..) {
            if thread.join().is_err() {
                log::error!("a disk's thread panicked; nothing else was touched");
            }
        }
    }
}

/// Checks that each fault is meant for a disk of this manifest.
///
/// # Errors
/// If one is not.
pub fn check_faults(faults: &[DiskFault], manifest: &Manifest) -> Result<(), DiskError> {
    let unknown = faults.iter().find(|fault| !manifest.disks.contains_key(fault.disk.as_str()));
    unknown.map_or(Ok(()), |fault| {
        let known = manifest.disks.keys().map(ToString::to_string).collect();
        Err(DiskError::Unknown { disk: fault.disk.clone(), known })
    })
}
