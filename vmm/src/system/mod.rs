//! From a manifest to a running system.

mod assembly;
mod crowd;
mod error;
mod event_loop;
mod host_ends;
mod images;
mod printer;
mod restore;
mod sleep;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use atoll_ipc::abi::HostPage;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::control::{Claim, ControlHandle, Server, default_socket};
use crate::disk::{self, DiskFault, Servants};
use crate::domain::{new_event, signal};
use crate::journal::Journal;
use crate::machine::MachineError;
use crate::machine::host::Host;
use crate::machine::shared_page::SharedPage;
use crate::machine::threads;
use crate::manifest::Manifest;
use crate::snapshot::Snapshot;

use assembly::Assembled;
pub use error::SystemError;
pub use host_ends::{HostEnds, HostLink};
use images::Images;
use printer::Printer;
pub use sleep::SleepCost;

/// How a system is to be run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where images lie that the manifest names without a path.
    pub images_dir: PathBuf,
    /// The control socket; by default one named after the system.
    pub socket: Option<PathBuf>,
    /// How events and log lines are printed.
    pub output: Output,
    /// Where domains go on that are in it.
    pub from: Option<Arc<Snapshot>>,
    /// Faults that disks are to meet, for tests.
    pub disk_faults: Vec<DiskFault>,
}

/// How a system's events and log lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// As text.
    Text,
    /// As JSON, one a line.
    Json,
    /// Not at all.
    None,
}

/// Checks a manifest against the images that it names.
///
/// # Errors
/// If an image is missing or wrong, or does not fit the manifest.
pub fn check(manifest: &Manifest, images_dir: &Path) -> Result<(), SystemError> {
    Images::load(manifest, images_dir).map(drop)
}

/// What any system needs of the process and of KVM. KVM takes as long to make a VM as the rest does to
/// read the manifest, so this comes first.
#[derive(Debug)]
pub struct Groundwork {
    signals: Result<SignalFd, SystemError>,
    kvm: Result<Arc<Host>, MachineError>,
}

impl Groundwork {
    /// Begins it. What fails is told when it is needed.
    pub fn begin() -> Self {
        // Before any thread exists, so that all of them leave these signals to the event loop.
        let signals = take_signals();
        let kvm = Host::open().map(Arc::new).inspect(Host::get_ready);
        Self { signals, kvm }
    }
}

/// Runs a system until it is stopped: by a signal, or through its control API.
///
/// # Errors
/// If it cannot be started, or its event loop fails.
pub fn run(
    groundwork: Groundwork,
    manifest: Manifest,
    options: RunOptions,
) -> Result<(), SystemError> {
    run_with(groundwork, manifest, options, Vec::new(), |_: HostEnds, _: Stop| ())
}

/// Ends a system that [`run_with`] runs.
#[derive(Clone, Debug)]
pub struct Stop {
    handle: ControlHandle,
    journal: Arc<Journal>,
}

impl Stop {
    /// Asks for the end; [`run_with`] returns soon after.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// The nucleus, for orders that no control API takes.
    pub(crate) const fn handle(&self) -> &ControlHandle {
        &self.handle
    }

    /// What happens.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// Runs a system as [`run`] does, with channels between it and the VMM, for `host` to use on a
/// thread of its own. The system goes on when `host` returns, unless that [stops](Stop::stop) it.
///
/// # Errors
/// If it cannot be started, or its event loop fails.
pub fn run_with(
    groundwork: Groundwork,
    manifest: Manifest,
    options: RunOptions,
    host_links: Vec<HostLink>,
    host: impl FnOnce(HostEnds, Stop) + Send,
) -> Result<(), SystemError> {
    disk::check_faults(&options.disk_faults, &manifest)?;
    let Groundwork { signals, kvm } = groundwork;
    if let Ok(kvm) = &kvm {
        make_more(kvm, manifest.domains.len().saturating_sub(1));
    }
    let images = Images::load(&manifest, &options.images_dir)?;
    raise_descriptor_limit();
    let (signals, kvm) = (signals?, kvm?);
    if let Some(snapshot) = &options.from {
        restore::check(snapshot, &manifest, &kvm)?;
    }
    let name = manifest.name.as_str();
    let socket = options.socket.unwrap_or_else(|| default_socket(name));
    let claim = Claim::new(&socket, name)?;
    let disks = disk::open_all(&manifest)?;
    let journal = Arc::new(Journal::default());
    let printer = match options.output {
        Output::None => None,
        output => Some(Printer::start(journal.clone(), output == Output::Json)?),
    };
    let news = Arc::new(new_event().map_err(SystemError::EventLoop)?);
    let (requests, requested) = mpsc::channel();
    let host_page: Arc<SharedPage<HostPage>> = Arc::new(SharedPage::new()?);
    let sleep_cost = SleepCost::guessed(host_page.clone());

    let parts = assembly::Parts {
        host: kvm.clone(),
        journal: journal.clone(),
        news: news.clone(),
        signals,
        host_page,
        sleep_cost: sleep_cost.clone(),
        host_links,
        from: options.from,
        disks,
        disk_faults: options.disk_faults,
    };
    let Assembled { mut nucleus, ends, disks } =
        assembly::assemble(&manifest, &images, parts, requested)?;
    let wake = Arc::new(move || signal(&news));
    let handle = ControlHandle::new(requests, wake);
    let stop = Stop { handle: handle.clone(), journal: journal.clone() };
    let servants = Servants::begin(disks)?;
    // Its domains begin while the control API does. What they report until the event loop runs is
    // kept for it.
    nucleus.start();
    let server = Server::start(claim, handle, journal)?;

    let result = thread::scope(|scope| {
        // This thread sleeps next; the domains' threads do not.
        threads::begin_here(|leave| {
            scope.spawn(move || {
                leave.take();
                host(ends, stop);
            })
        });
        let result = event_loop::run(nucleus, || {
            let measure = || sleep_cost.measure(&kvm);
            let thread = thread::Builder::new().name("sleep-cost".to_owned());
            if let Err(error) = thread.spawn_scoped(scope, measure) {
                log::debug!("the cost of a sleep is not measured: {error}");
                sleep_cost.settle();
            }
        });
        // Nobody measures any more.
        sleep_cost.settle();
        result
    });
    // No domain writes any more.
    drop(servants);
    server.stop();
    if let Some(printer) = printer {
        printer.stop();
    }
    result
}

/// Has KVM make so many VMs more meanwhile. What cannot be made now is made when it is needed.
fn make_more(kvm: &Arc<Host>, more: usize) {
    if more == 0 {
        return;
    }
    kvm.want(more);
    let host = kvm.clone();
    match thread::Builder::new().name("kvm".to_owned()).spawn(move || host.make_wanted()) {
        Ok(thread) => threads::begin_elsewhere(&thread),
        Err(error) => log::debug!("no thread to make VMs: {error}"),
    }
}

/// Allows this process as many descriptors as it may allow itself: a domain takes half a dozen,
/// a connection one, and the usual limit of 1,024 is for programs that use `select`.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        log::warn!("the limit on open files stays as it is: {errno}");
    }
}

/// Takes the signals that ask a process to end: they become events.
fn take_signals() -> Result<SignalFd, SystemError> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    let failed = |errno: nix::errno::Errno| SystemError::EventLoop(errno.into());
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(failed)
}
