//! A vCPU's thread: runs the guest, serves its exits, obeys the nucleus.
//!
//! ```text
//!            Start / Resume                 Park, or the guest ends
//!   parked ───────────────────▶ running ─────────────────────────────▶ parked
//!     │                                          (reports what it saw)
//!     └── Quit ──▶ ends
//! ```
//!
//! A vCPU is run and dropped by one thread (some kernels make a vCPU that has run and changes threads
//! wait for all processors). Orders arrive on a channel; whoever sends one to a running vCPU also
//! interrupts it, and signals an event, in case it sleeps.

mod incarnation;
mod rest;
mod sight;
mod sleep;
mod word;

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use atoll_ipc::abi::TEXT_MAX;
use atoll_ipc::words;
use nix::unistd::gettid;
use vmm_sys_util::eventfd::EventFd;

use super::blueprint::Blueprint;
use super::counters::Counters;
use super::fault::Cause;
use super::registers;
use super::succession::Licence;
use crate::journal::{EventKind, Journal, Level};
use crate::machine::MachineError;
use crate::machine::exit::Exit;
use crate::machine::host::Host;
use crate::machine::memory::DomainMemory;
use crate::machine::vcpu::{Point, Vcpu};
use sleep::Running;

pub(super) use rest::resting;
pub use word::{Order, Origin, Report, ReportKind};

/// What all vCPU threads of a domain share.
#[derive(Debug)]
pub struct Shared {
    /// The host's KVM.
    pub host: Arc<Host>,
    /// Its memory.
    pub memory: Arc<DomainMemory>,
    /// What it was made from.
    pub blueprint: Arc<Blueprint>,
    /// What is counted.
    pub counters: Counters,
    /// Where console lines go.
    pub journal: Arc<Journal>,
    /// The incarnation that runs.
    pub epoch: AtomicU32,
    /// Thread ids, by vCPU; 0 while there is none.
    pub threads: Vec<AtomicI32>,
    /// Leave to go on without being told.
    pub licence: Licence,
}

/// One vCPU's thread.
pub struct VcpuThread {
    /// What it shares.
    pub shared: Arc<Shared>,
    /// Its number.
    pub index: u32,
    /// Where orders come from.
    pub orders: mpsc::Receiver<Order>,
    /// Signalled with each order, so that it ends a sleep.
    pub ordered: Arc<EventFd>,
    /// Where reports go.
    pub reports: mpsc::Sender<Report>,
    /// What makes the nucleus look at them.
    pub reported: Arc<EventFd>,
    /// Whether this incarnation has said that it has begun.
    pub ready: Cell<bool>,
    /// When it was started.
    pub started: Cell<Instant>,
    /// Where it is to stand at the domain's checkpoint, if that comes from elsewhere.
    pub point: Option<Point>,
}

/// What a vCPU's thread does next.
#[derive(PartialEq, Eq)]
enum Next {
    Order,
    Quit,
}

/// How a stretch of running ended.
enum Stop {
    Parked { ticket: u32 },
    Ended(Cause),
    Quit,
}

impl VcpuThread {
    /// The thread's whole life with its vCPU.
    pub fn run(self, vcpu: Result<Vcpu, MachineError>) {
        self.shared.threads[self.index as usize].store(gettid().as_raw(), Relaxed);
        if let Err(error) = vcpu.and_then(|vcpu| self.live(vcpu)) {
            self.report(ReportKind::Broken(error));
        }
        self.shared.threads[self.index as usize].store(0, Relaxed);
    }

    fn live(&self, mut vcpu: Vcpu) -> Result<(), MachineError> {
        if let Some(point) = &self.point {
            vcpu.begin_at(point)?;
        }
        while let Ok(order) = self.orders.recv() {
            match order {
                Order::Start { epoch, origin, afresh } => {
                    if afresh && let Some(state) = &self.shared.blueprint.state {
                        state.empty()?;
                    }
                    self.start(&mut vcpu, epoch, origin)?;
                }
                Order::Resume => (),
                Order::GoOn(registers) => vcpu.go_on(&registers::to_kvm(&registers))?,
                // It has ended already, and said so; who stands still is not to be harmed.
                Order::Kill { .. }
                | Order::Inject(_)
                | Order::Checkpoint { .. }
                | Order::GoOnFromRest => continue,
                // Parked already: the nucleus waits for the answer all the same.
                Order::Park { ticket } => {
                    self.report(ReportKind::Parked { ticket, snapshot: self.snapshot(&vcpu)? });
                    continue;
                }
                Order::Core(seat) => {
                    self.sit(&vcpu, seat);
                    continue;
                }
                Order::Quit => return Ok(()),
            }
            if self.run_incarnations(&mut vcpu)? == Next::Quit {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Runs the guest, and its next incarnations as far as it may begin them by itself.
    fn run_incarnations(&self, vcpu: &mut Vcpu) -> Result<Next, MachineError> {
        loop {
            match self.run_guest(vcpu)? {
                Stop::Parked { ticket } => {
                    self.report(ReportKind::Parked { ticket, snapshot: self.snapshot(vcpu)? });
                    return Ok(Next::Order);
                }
                Stop::Ended(cause) => {
                    let ended = Instant::now();
                    let snapshot = self.fault_snapshot(vcpu, &cause)?;
                    if !self.may_succeed(&cause) {
                        self.report(ReportKind::Ended { cause, snapshot });
                        return Ok(Next::Order);
                    }
                    self.succeed(vcpu, cause, snapshot, ended)?;
                }
                Stop::Quit => return Ok(Next::Quit),
            }
        }
    }

    fn run_guest(&self, vcpu: &mut Vcpu) -> Result<Stop, MachineError> {
        // An order interrupts the guest; but one that came while the vCPU was taken back to its
        // start interrupted only that.
        if let Some(stop) = self.order(vcpu)? {
            return Ok(stop);
        }
        let _running = Running::enter(&self.shared.blueprint);
        loop {
            let exit = vcpu.run()?;
            self.shared.counters.count(&exit);
            if let Some(stop) = self.serve(vcpu, exit)? {
                return Ok(stop);
            }
        }
    }

    /// Serves an exit; `None` lets the guest run on.
    fn serve(&self, vcpu: &mut Vcpu, exit: Exit) -> Result<Option<Stop>, MachineError> {
        let ended = |cause| Ok(Some(Stop::Ended(cause)));
        match exit {
            Exit::Wait => self.wait(vcpu),
            Exit::Interrupted => self.order(vcpu),
            Exit::Log => self.log().map(|()| None),
            Exit::Complaint => self.complain().map(|()| None),
            Exit::Ready => self.take_checkpoint(vcpu),
            Exit::Rest => self.rest(vcpu),
            Exit::End => ended(Cause::Exit { status: self.control()?.status.load(Relaxed) }),
            Exit::Panic => {
                vcpu.finish_io();
                ended(Cause::Panic { message: self.text()? })
            }
            Exit::Stub => {
                vcpu.finish_io();
                self.exception(vcpu).map(|cause| Some(Stop::Ended(cause)))
            }
            Exit::Port { port, write } => ended(Cause::Port { port, write }),
            Exit::Mmio { address, write } => ended(Cause::Mmio { address, write }),
            Exit::TripleFault => ended(Cause::TripleFault),
            Exit::Stuck { reason } => ended(Cause::Stuck { reason: reason.to_owned() }),
        }
    }

    /// An order that arrived while the guest ran.
    fn order(&self, vcpu: &mut Vcpu) -> Result<Option<Stop>, MachineError> {
        loop {
            return Ok(match self.orders.try_recv() {
                Ok(Order::Park { ticket }) => Some(Stop::Parked { ticket }),
                Ok(Order::Kill { epoch }) if epoch == self.shared.epoch.load(Relaxed) => {
                    Some(Stop::Ended(Cause::Killed))
                }
                Ok(Order::Quit) | Err(mpsc::TryRecvError::Disconnected) => Some(Stop::Quit),
                // One interruption may have been for this order and for the next.
                Ok(Order::Core(seat)) => {
                    self.sit(vcpu, seat);
                    continue;
                }
                Ok(Order::Inject(injection)) => {
                    let injected = injection.apply(vcpu, &self.shared)?;
                    // Who no longer waits for the answer need not have it.
                    let _ = injection.answer.send(injected);
                    continue;
                }
                // Its incarnation ended before it could be killed; and a running vCPU is neither
                // started nor resumed, nor at rest. The next order may have come with this one's
                // interruption.
                Ok(
                    Order::Kill { .. }
                    | Order::Start { .. }
                    | Order::Resume
                    | Order::GoOn(_)
                    | Order::Checkpoint { .. }
                    | Order::GoOnFromRest,
                ) => continue,
                Err(mpsc::TryRecvError::Empty) => None,
            });
        }
    }

    fn log(&self) -> Result<(), MachineError> {
        let level = match self.control()?.level.load(Relaxed) {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            _ => Level::Trace,
        };
        let shared = &*self.shared;
        let epoch = shared.epoch.load(Relaxed).into();
        shared.journal.log(shared.blueprint.name.as_str(), epoch, level, self.text()?.as_bytes());
        Ok(())
    }

    /// The server says that the peer of a channel broke the protocol. Both ends can write the
    /// channel, so nobody can prove it: it is told, and nothing is done to the accused.
    fn complain(&self) -> Result<(), MachineError> {
        let number = self.control()?.status.load(Relaxed) as usize;
        let shared = &*self.shared;
        let Some(channel) = shared.blueprint.channels.get(number) else { return Ok(()) };
        let event = EventKind::ProtocolBroken {
            epoch: shared.epoch.load(Relaxed).into(),
            channel: channel.name.to_string(),
            accused: channel.peer.clone(),
        };
        shared.journal.event(Some(shared.blueprint.name.as_str()), event);
        Ok(())
    }

    fn control(&self) -> Result<&atoll_ipc::abi::Control, MachineError> {
        self.shared.memory.control(self.shared.blueprint.plan.control(self.index))
    }

    /// The text in the control page: bounded, and made valid.
    fn text(&self) -> Result<String, MachineError> {
        let control = self.control()?;
        let mut bytes = vec![0; (control.length.load(Relaxed) as usize).min(TEXT_MAX)];
        words::read(&control.text, &mut bytes);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn report(&self, kind: ReportKind) {
        let report = Report { domain: self.shared.blueprint.id, vcpu: self.index, kind };
        // A nucleus that is gone needs no report.
        if self.reports.send(report).is_ok() {
            signal(&self.reported);
        }
    }
}

/// Signals an event; a counter that is full is a signal already.
pub fn signal(event: &EventFd) {
    let _ = event.write(1);
}
