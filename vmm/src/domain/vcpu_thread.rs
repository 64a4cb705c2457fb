//! A vCPU's thread: runs the guest, serves its exits, obeys the nucleus.
//!
//! ```text
//!            Start / Resume                 Park, or the guest ends
//!   parked ───────────────────▶ running ─────────────────────────────▶ parked
//!     │                                          (reports what it saw)
//!     └── Quit ──▶ ends
//! ```
//!
//! A vCPU is created, run and dropped by one thread (some kernels make a vCPU that changes threads
//! wait for all processors). Orders arrive on a channel; whoever sends one to a running vCPU also
//! interrupts it, and signals an event, in case it sleeps.

use std::cell::Cell;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use atoll_ipc::abi::{BootPage, FOREVER, TEXT_MAX, layout::BOOT};
use atoll_ipc::words;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::gettid;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vmm_sys_util::eventfd::EventFd;

use super::backtrace::{self, Step, Top};
use super::blueprint::{Blueprint, bytes_of_boot_page};
use super::core_file::{Seat, Standing};
use super::counters::Counters;
use super::fault::{Cause, Snapshot};
use super::injection::Injection;
use super::registers;
use super::succession::{Licence, Steps, Stopwatch, Succession, renew_channels};
use crate::control::api::{Hex, Registers};
use crate::journal::{EventKind, Journal, Level};
use crate::machine::MachineError;
use crate::machine::descriptors;
use crate::machine::exit::Exit;
use crate::machine::host::Host;
use crate::machine::memory::DomainMemory;
use crate::machine::vcpu::{Reach, Vcpu};

/// Words that a stub leaves on the ring-0 stack: vector, error code, RIP, CS, RFLAGS, RSP, SS.
const STUB_FRAME: usize = 7;

/// Vectors of exceptions.
const DEBUG: u8 = 1;
const DOUBLE_FAULT: u8 = 8;

/// What the nucleus tells a vCPU.
#[derive(Debug)]
pub enum Order {
    /// Go to the start of an incarnation and run. vCPU 0 rolls the memory back first.
    Start {
        /// The incarnation.
        epoch: u32,
        /// From where.
        origin: Origin,
    },
    /// Stand still; the answer is [`ReportKind::Parked`] with the same ticket.
    Park {
        /// Tells this order's answer from an earlier one's.
        ticket: u32,
    },
    /// End the incarnation as a crash does, unless it is another one.
    Kill {
        /// The one that is meant.
        epoch: u32,
    },
    /// Run on from where it was parked.
    Resume,
    /// Go on with these registers in the incarnation that an exception had suspended.
    GoOn(Box<Registers>),
    /// Tell a core file where it stands, and stand still until that is written.
    Core(Seat),
    /// Do harm to the guest, which runs, and run on.
    Inject(Injection),
    /// End the thread.
    Quit,
}

/// From where an incarnation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The server's entry, with memory as the image has it.
    Image,
    /// Where an earlier incarnation had begun; the image, if none came so far.
    Checkpoint,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::Checkpoint => "checkpoint",
        })
    }
}

/// What a vCPU tells the nucleus.
#[derive(Debug)]
pub struct Report {
    /// The domain's number.
    pub domain: u32,
    /// The vCPU's number.
    pub vcpu: u32,
    /// What happened.
    pub kind: ReportKind,
}

/// What happened to a vCPU.
#[derive(Debug)]
pub enum ReportKind {
    /// vCPU 0 has the memory ready and runs the incarnation.
    Started {
        /// The incarnation.
        epoch: u32,
        /// From where it really began.
        origin: Origin,
    },
    /// The server has begun.
    Ready {
        /// The incarnation.
        epoch: u32,
        /// Whether a later one can begin here.
        checkpoint: bool,
        /// How long it took to begin.
        after: Duration,
    },
    /// It stands still, as ordered.
    Parked {
        /// The order's ticket.
        ticket: u32,
        /// Where it stands.
        snapshot: Box<Snapshot>,
    },
    /// The guest ended; it stands still.
    Ended {
        /// Why.
        cause: Cause,
        /// Where.
        snapshot: Box<Snapshot>,
    },
    /// The guest ended, and its next incarnation runs, by leave of a [`Licence`].
    Succeeded(Box<Succession>),
    /// The vCPU cannot be used; its thread has ended.
    Broken(MachineError),
}

/// What all vCPU threads of a domain share.
#[derive(Debug)]
pub struct Shared {
    /// The host's KVM.
    pub host: Arc<Host>,
    /// Its memory.
    pub memory: Arc<DomainMemory>,
    /// What it was made from.
    pub blueprint: Blueprint,
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
        while let Ok(order) = self.orders.recv() {
            match order {
                Order::Start { epoch, origin } => self.start(&mut vcpu, epoch, origin)?,
                Order::Resume => (),
                Order::GoOn(registers) => vcpu.go_on(&registers::to_kvm(&registers))?,
                // It has ended already, and said so; who stands still is not to be harmed.
                Order::Kill { .. } | Order::Inject(_) => continue,
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

    /// Whether the next incarnation may begin without an order.
    fn may_succeed(&self, cause: &Cause) -> bool {
        let shared = &*self.shared;
        *cause != Cause::Exit { status: 0 }
            && shared.memory.has_checkpoint()
            && shared.licence.take()
    }

    /// Begins the next incarnation from the checkpoint.
    fn succeed(
        &self,
        vcpu: &mut Vcpu,
        cause: Cause,
        snapshot: Box<Snapshot>,
        ended: Instant,
    ) -> Result<(), MachineError> {
        let shared = &*self.shared;
        let mut watch = Stopwatch::since(ended);
        let mut steps = Steps { report: watch.lap(), ..Steps::default() };
        let epoch = shared.epoch.load(Relaxed) + 1;
        vcpu.roll_back(reach_of(&cause))?;
        steps.registers = watch.lap();
        shared.memory.roll_back()?;
        self.introduce(vcpu, epoch)?;
        steps.memory = watch.lap();
        renew_channels(&shared.blueprint, epoch, &cause, &snapshot);
        steps.channels = watch.lap();
        self.ready.set(true);
        let succession = Succession { epoch, cause, snapshot, ended, steps };
        self.report(ReportKind::Succeeded(Box::new(succession)));
        Ok(())
    }

    fn start(&self, vcpu: &mut Vcpu, epoch: u32, origin: Origin) -> Result<(), MachineError> {
        if self.index != 0 {
            return vcpu.reset();
        }
        let shared = &*self.shared;
        let origin = if shared.memory.has_checkpoint() { origin } else { Origin::Image };
        match origin {
            Origin::Image => {
                vcpu.reset()?;
                shared.memory.return_to_image()?;
            }
            Origin::Checkpoint => {
                vcpu.roll_back(Reach::All)?;
                shared.memory.roll_back()?;
            }
        }
        self.ready.set(origin == Origin::Checkpoint);
        self.started.set(Instant::now());
        self.introduce(vcpu, epoch)?;
        self.report(ReportKind::Started { epoch, origin });
        Ok(())
    }

    /// Writes what differs between incarnations.
    fn introduce(&self, vcpu: &Vcpu, epoch: u32) -> Result<(), MachineError> {
        let shared = &*self.shared;
        shared.epoch.store(epoch, Relaxed);
        let page = self.boot_page(vcpu, epoch)?;
        shared.memory.write(BOOT, bytes_of_boot_page(&page))
    }

    /// The server has begun: it can be taken back here from now on, if it says so and no other
    /// vCPU is under way.
    fn take_checkpoint(&self, vcpu: &mut Vcpu) -> Result<Option<Stop>, MachineError> {
        if self.index != 0 || self.ready.replace(true) {
            let port = atoll_ipc::abi::ports::READY;
            return Ok(Some(Stop::Ended(Cause::Port { port, write: true })));
        }
        let shared = &*self.shared;
        let checkpoint =
            self.control()?.status.load(Relaxed) == 0 && shared.blueprint.plan.vcpus == 1;
        if checkpoint {
            vcpu.take_checkpoint()?;
            shared.memory.take_checkpoint()?;
        }
        let (epoch, after) = (shared.epoch.load(Relaxed), self.started.get().elapsed());
        self.report(ReportKind::Ready { epoch, checkpoint, after });
        // An interruption that came while the registers were read ended only that.
        self.order(vcpu)
    }

    fn boot_page(&self, vcpu: &Vcpu, epoch: u32) -> Result<BootPage, MachineError> {
        let mut seed = [[0; 8]; 4];
        getrandom::fill(seed.as_flattened_mut()).map_err(|error| MachineError::Memory {
            what: "a random seed",
            cause: std::io::Error::other(error.to_string()),
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(BootPage {
            epoch: epoch.into(),
            seed: seed.map(|word| u64::from_ne_bytes(word).into()),
            tsc_hz: vcpu.tsc_hz().unwrap_or_else(crate::machine::host::measured_tsc_hz),
            started_unix_ns: (now.as_nanos() as u64).into(),
            ..self.shared.blueprint.boot_page()
        })
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
                // started nor resumed. The next order may have come with this one's interruption.
                Ok(Order::Kill { .. } | Order::Start { .. } | Order::Resume | Order::GoOn(_)) => {
                    continue;
                }
                Err(mpsc::TryRecvError::Empty) => None,
            });
        }
    }

    /// Takes part in a core file.
    fn sit(&self, vcpu: &Vcpu, seat: Seat) {
        let shared = &*self.shared;
        match self.standing(vcpu) {
            Ok(standing) => seat.take(standing, &shared.memory, &shared.blueprint),
            // The seat is given up, and whoever asked is told.
            Err(error) => log::error!("{}: no core file: {error}", shared.blueprint.name),
        }
    }

    /// Where this vCPU stands: if in an exception stub, where the server stood.
    fn standing(&self, vcpu: &Vcpu) -> Result<Standing, MachineError> {
        let (registers, system) = (vcpu.registers()?, vcpu.system_registers()?);
        let (index, vectors) = (self.index, vcpu.vectors());
        let in_stub = descriptors::ring(system.cs.selector) == 0;
        let frame = in_stub.then(|| self.stub_frame(registers.rsp)).flatten();
        let standing = Standing { index, registers, system, vectors, vector: None };
        Ok(match frame {
            Some([vector, frame @ ..]) => standing.before_exception(vector as u8, frame),
            None => standing,
        })
    }

    /// The guest sleeps: rings the doorbells that it asks for, and waits for its own.
    fn wait(&self, vcpu: &mut Vcpu) -> Result<Option<Stop>, MachineError> {
        let control = self.control()?;
        let channels = &self.shared.blueprint.channels;
        for (index, word) in control.kick.iter().enumerate() {
            let mut bits = word.load(Relaxed);
            while bits != 0 {
                let number = index * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(channel) = channels.get(number) {
                    signal(&channel.doorbell);
                }
            }
        }
        let asleep = Asleep::enter(&self.shared.blueprint);
        // A client that came before it was told asleep did not kick.
        if self.index != 0 || !self.shared.blueprint.ready.is_raised() {
            self.sleep(control.wait_ns.load(Relaxed));
        }
        drop(asleep);
        self.order(vcpu)
    }

    /// Sleeps until the domain is woken (vCPU 0 only: it does the IPC), an order comes, or `ns`
    /// nanoseconds have passed.
    fn sleep(&self, ns: u64) {
        let limit = (ns != FOREVER).then(|| TimeSpec::from_duration(Duration::from_nanos(ns)));
        let events = [&*self.ordered, &*self.shared.blueprint.wake];
        let mut fds = events.map(|event| PollFd::new(borrowed(event), PollFlags::POLLIN));
        let count = if self.index == 0 { 2 } else { 1 };
        match nix::poll::ppoll(&mut fds[..count], limit, None) {
            Ok(0) | Err(Errno::EINTR) => return,
            Ok(_) => (),
            Err(errno) => log::error!("{}: sleeping failed: {errno}", self.shared.blueprint.name),
        }
        for (event, fd) in events.iter().zip(&fds[..count]) {
            if fd.any() == Some(true) {
                // It may have been read meanwhile; then there is nothing to clear.
                let _ = event.read();
            }
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

    /// What an exception stub found; or, if ring 3 wrote the port itself, that it did.
    fn exception(&self, vcpu: &Vcpu) -> Result<Cause, MachineError> {
        let system = vcpu.system_registers()?;
        if descriptors::ring(system.cs.selector) != 0 {
            return Ok(Cause::Port { port: atoll_ipc::abi::ports::FAULT, write: true });
        }
        Ok(match self.stub_frame(vcpu.registers()?.rsp) {
            Some(frame) => {
                Cause::Exception { vector: frame[0] as u8, error: frame[1], cr2: system.cr2 }
            }
            None => Cause::Stuck { reason: "an exception stub lost its stack".to_owned() },
        })
    }

    /// What a stub left on the ring-0 stack of this vCPU.
    fn stub_frame(&self, rsp: u64) -> Option<[u64; STUB_FRAME]> {
        let top = self.shared.blueprint.plan.ring0_stack_top(self.index);
        let bytes = (STUB_FRAME * 8) as u64;
        if rsp.checked_add(bytes)? > top || rsp < top - atoll_ipc::abi::layout::PAGE {
            return None;
        }
        let mut frame = [0; STUB_FRAME];
        for (at, word) in frame.iter_mut().enumerate() {
            *word = self.shared.memory.read_word(rsp + 8 * at as u64).ok()?;
        }
        Some(frame)
    }

    fn snapshot(&self, vcpu: &Vcpu) -> Result<Box<Snapshot>, MachineError> {
        let r = vcpu.registers()?;
        let registers = Registers {
            rax: Hex(r.rax),
            rbx: Hex(r.rbx),
            rcx: Hex(r.rcx),
            rdx: Hex(r.rdx),
            rsi: Hex(r.rsi),
            rdi: Hex(r.rdi),
            rbp: Hex(r.rbp),
            rsp: Hex(r.rsp),
            r8: Hex(r.r8),
            r9: Hex(r.r9),
            r10: Hex(r.r10),
            r11: Hex(r.r11),
            r12: Hex(r.r12),
            r13: Hex(r.r13),
            r14: Hex(r.r14),
            r15: Hex(r.r15),
            rip: Hex(r.rip),
            rflags: Hex(r.rflags),
        };
        let trace = self.trace(&registers, (registers.rip.0, registers.rbp.0));
        Ok(Box::new(Snapshot { registers, trace }))
    }

    /// Who called whom, from an instruction and a frame on.
    fn trace(&self, registers: &Registers, (rip, rbp): (u64, u64)) -> Vec<Step> {
        let Blueprint { plan, image, .. } = &self.shared.blueprint;
        let stack = plan.stack(self.index)..plan.stack_top(self.index);
        let top = Top { rip, rsp: registers.rsp.0, rbp };
        backtrace::walk(&self.shared.memory, image, stack, top)
    }

    /// The registers as the server had them when it faulted.
    fn fault_snapshot(&self, vcpu: &Vcpu, cause: &Cause) -> Result<Box<Snapshot>, MachineError> {
        let mut snapshot = self.snapshot(vcpu)?;
        match cause {
            Cause::Exception { .. } => {
                if let Some([_, _, rip, _, rflags, rsp, _]) =
                    self.stub_frame(snapshot.registers.rsp.0)
                {
                    let mut registers = snapshot.registers;
                    (registers.rip, registers.rflags, registers.rsp) =
                        (Hex(rip), Hex(rflags), Hex(rsp));
                    let trace = self.trace(&registers, (rip, registers.rbp.0));
                    *snapshot = Snapshot { registers, trace };
                }
            }
            Cause::Panic { .. } => {
                let [pc, frame] = &self.control()?.frame;
                let from = (pc.load(Relaxed), frame.load(Relaxed));
                snapshot.trace = self.trace(&snapshot.registers, from);
            }
            _ => (),
        }
        Ok(snapshot)
    }

    fn report(&self, kind: ReportKind) {
        let report = Report { domain: self.shared.blueprint.id, vcpu: self.index, kind };
        // A nucleus that is gone needs no report.
        if self.reports.send(report).is_ok() {
            signal(&self.reported);
        }
    }
}

/// How much of the vCPU may have changed in an incarnation that ended so.
const fn reach_of(cause: &Cause) -> Reach {
    match cause {
        Cause::TripleFault | Cause::Stuck { .. } => Reach::All,
        // A double fault may have followed a debug exception.
        Cause::Exception { vector: DEBUG | DOUBLE_FAULT, .. } => Reach::Traced,
        _ => Reach::Ring3,
    }
}

/// A vCPU that runs, as the host page tells it.
struct Running<'b>(&'b Blueprint);

impl<'b> Running<'b> {
    fn enter(blueprint: &'b Blueprint) -> Self {
        blueprint.host_page.enter(blueprint.group, blueprint.id);
        Self(blueprint)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.host_page.leave(self.0.group, self.0.id);
    }
}

/// One that sleeps for a while.
struct Asleep<'b>(&'b Blueprint);

impl<'b> Asleep<'b> {
    fn enter(blueprint: &'b Blueprint) -> Self {
        blueprint.host_page.leave(blueprint.group, blueprint.id);
        Self(blueprint)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.host_page.enter(self.0.group, self.0.id);
    }
}

/// Signals an event; a counter that is full is a signal already.
pub fn signal(event: &EventFd) {
    let _ = event.write(1);
}

fn borrowed(event: &EventFd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as `event` is borrowed.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}
