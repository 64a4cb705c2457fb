//! A domain as the nucleus holds it: the threads of its vCPUs, and orders to all of them.

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU32};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use atoll_ipc::abi::BootPage;
use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

use super::birth::Birth;
use super::blueprint::Blueprint;
use super::checkpoint::{Checkpoint, Room, Taken};
use super::core_file::{self, Deliver, Names};
use super::counters::Counters;
use super::fault::{self, Cause, Circumstances, Snapshot};
use super::injection::Injection;
use super::succession::Licence;
use super::vcpu_thread::{Order, Origin, Report, Shared, VcpuThread, resting, signal};
use crate::control::api::{FaultReport, Registers};
use crate::journal::Journal;
use crate::machine::MachineError;
use crate::machine::host::Host;
use crate::machine::interrupt::interrupt;
use crate::machine::threads;
use crate::machine::vcpu::{Point, Vcpu};
use crate::machine::vm::Vm;

/// Why a domain could not be made.
#[derive(Debug, Error)]
pub enum DomainError {
    /// Its machine could not be made.
    #[error("domain `{domain}`: {cause}")]
    Machine {
        /// The domain.
        domain: String,
        /// Why.
        cause: MachineError,
    },
    /// The host gives it no thread.
    #[error("domain `{domain}`: no thread for a vCPU: {cause}; raise the limit on processes")]
    Thread {
        /// The domain.
        domain: String,
        /// What the host said.
        cause: io::Error,
    },
}

#[derive(Debug)]
struct VcpuHandle {
    orders: mpsc::Sender<Order>,
    ordered: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// A vCPU whose thread does not know its domain yet.
struct Seat {
    handle: VcpuHandle,
    shared: mpsc::Sender<Arc<Shared>>,
}

impl Seat {
    /// Begins its thread, which makes the vCPU. It ends if the seat is dropped.
    fn take(
        domain: &str,
        birth: Birth,
        index: u32,
        point: Option<Point>,
        line: &Line,
    ) -> Result<Self, DomainError> {
        let (orders, received) = mpsc::channel();
        let (shared, known) = mpsc::channel();
        let ordered = Arc::new(new_event().map_err(|cause| DomainError::Machine {
            domain: domain.to_owned(),
            cause: MachineError::Memory { what: "an event", cause },
        })?);
        let (line, interrupted) = (line.clone(), ordered.clone());
        let live = move |vcpu: Result<Vcpu, MachineError>| {
            let Ok(shared) = known.recv() else { return };
            let thread = VcpuThread {
                shared,
                index,
                orders: received,
                ordered: interrupted,
                reports: line.reports,
                reported: line.reported,
                ready: Cell::new(false),
                started: Cell::new(Instant::now()),
                point,
            };
            thread.run(vcpu);
        };
        let name = format!("{domain:.12}/{index}");
        let thread = if let Some(attendant) = birth.attendant() {
            attendant.send(Box::new(move |blank| {
                threads::rename(&name);
                live(blank.and_then(|blank| birth.adopt(blank)));
            }))
        } else {
            let is_free = birth.is_free();
            let thread = thread::Builder::new()
                .name(name)
                .spawn(move || live(birth.vcpu()))
                .map_err(|cause| DomainError::Thread { domain: domain.to_owned(), cause })?;
            // This one goes on with the memory. A thread with processors of its own goes there itself,
            // and must not be let away again.
            if is_free {
                threads::begin_elsewhere(&thread);
            }
            thread
        };
        Ok(Self { handle: VcpuHandle { orders, ordered, thread: Some(thread) }, shared })
    }

    /// Tells the thread its domain, whose orders it takes from now on.
    fn open(self, shared: &Arc<Shared>) -> VcpuHandle {
        // A thread that has ended says so when it is joined.
        let _ = self.shared.send(shared.clone());
        self.handle
    }
}

/// A domain: its machine, and the threads that run it. Dropping it ends them.
#[derive(Debug)]
pub struct Domain {
    shared: Arc<Shared>,
    vcpus: Vec<VcpuHandle>,
    line: Line,
}

/// How a domain's vCPUs reach the nucleus.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where reports go.
    pub reports: mpsc::Sender<Report>,
    /// What makes the nucleus look at them.
    pub reported: Arc<EventFd>,
}

impl Domain {
    /// Makes a domain in an empty VM. Its vCPUs stand still until [`Domain::start`]. With a
    /// checkpoint, which is one of its own kind, that is where incarnations can begin.
    ///
    /// # Errors
    /// If the host lacks something for it.
    pub fn new(
        host: &Arc<Host>,
        vm: Arc<Vm>,
        blueprint: Arc<Blueprint>,
        checkpoint: Option<&Checkpoint>,
        journal: &Arc<Journal>,
        line: &Line,
    ) -> Result<Self, DomainError> {
        let domain = blueprint.name.as_str().to_owned();
        let failed = |cause| DomainError::Machine { domain: domain.clone(), cause };
        let births = (0..blueprint.plan.vcpus).map(|vcpu| Birth::of(host, &vm, &blueprint, vcpu));
        // The vCPUs are made while the memory is.
        let seats: Vec<_> = births
            .zip(0..)
            .map(|(birth, index)| {
                let point = checkpoint.filter(|_| index == 0).map(|it| it.point.clone());
                Seat::take(&domain, birth, index, point, line)
            })
            .collect::<Result<_, _>>()?;
        let shared = Self::share(host, &vm, blueprint, journal).map_err(failed)?;
        if let Some(checkpoint) = checkpoint {
            checkpoint.place(&shared.blueprint, &shared.memory).map_err(failed)?;
        }
        let shared = Arc::new(shared);
        let vcpus = seats.into_iter().map(|seat| seat.open(&shared)).collect();
        Ok(Self { shared, vcpus, line: line.clone() })
    }

    /// Makes it anew from nothing, as if it had never run: for a machine that failed.
    ///
    /// # Errors
    /// If the host lacks something for it.
    pub fn rebuild(&self) -> Result<Self, DomainError> {
        let Shared { host, blueprint, journal, .. } = &*self.shared;
        let failed = |cause| DomainError::Machine { domain: blueprint.name.to_string(), cause };
        let vm = Vm::new(host).map(Arc::new).map_err(failed)?;
        Self::new(host, vm, blueprint.clone(), None, journal, &self.line)
    }

    fn share(
        host: &Arc<Host>,
        vm: &Vm,
        blueprint: Arc<Blueprint>,
        journal: &Arc<Journal>,
    ) -> Result<Shared, MachineError> {
        let memory = Arc::new(blueprint.build_memory()?);
        vm.lend(0, memory.clone())?;
        for (number, channel) in blueprint.channels.iter().enumerate() {
            let port = atoll_ipc::abi::ports::KICK + number as u16;
            vm.add_doorbell(port, &channel.doorbell)?;
        }
        let threads = (0..blueprint.plan.vcpus).map(|_| AtomicI32::new(0)).collect();
        Ok(Shared {
            host: host.clone(),
            memory,
            blueprint,
            counters: Counters::default(),
            journal: journal.clone(),
            epoch: AtomicU32::new(0),
            threads,
            licence: Licence::default(),
        })
    }

    /// What it was made from.
    pub fn blueprint(&self) -> &Blueprint {
        &self.shared.blueprint
    }

    /// What its vCPU threads count.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Bytes of its memory.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.memory.size()
    }

    /// Where the VMM has its memory mapped.
    pub fn host_range(&self) -> Range<u64> {
        let start = self.shared.memory.host_address();
        start..start + self.shared.memory.size()
    }

    /// Starts an incarnation on vCPU 0; all vCPUs stand still. The others are started by
    /// [`Domain::start_others`] once it reports that the memory is ready.
    /// `afresh` has the state region emptied before.
    pub fn start(&self, epoch: u32, origin: Origin, afresh: bool) {
        self.order(0, Order::Start { epoch, origin, afresh });
    }

    /// Starts the vCPUs other than 0.
    pub fn start_others(&self, epoch: u32) {
        let order = || Order::Start { epoch, origin: Origin::Image, afresh: false };
        (1..self.vcpus.len()).for_each(|vcpu| self.order(vcpu, order()));
    }

    /// Lets the domain begin its next incarnation by itself, once: see [`Licence`].
    pub fn license(&self) {
        self.shared.licence.grant();
    }

    /// Takes the licence back.
    pub fn revoke_licence(&self) {
        self.shared.licence.take();
    }

    /// Asks the server to end when it has answered what it has, if it is in that incarnation.
    pub fn ask_to_stop(&self, epoch: u32) {
        let Shared { memory, blueprint, .. } = &*self.shared;
        let at = blueprint.plan.boot() + std::mem::offset_of!(BootPage, stopping) as u64;
        if let Err(error) = memory.write(at, &epoch.to_le_bytes()) {
            log::error!("{}: it cannot be told to stop: {error}", blueprint.name);
        }
        signal(&blueprint.wake);
    }

    /// Asks the server to come to rest, if it is in that incarnation; 0 for none.
    pub fn ask_to_rest(&self, epoch: u32) {
        let Shared { memory, blueprint, .. } = &*self.shared;
        if let Err(error) = memory.write(resting(blueprint.plan.boot()), &epoch.to_le_bytes()) {
            log::error!("{}: it cannot be told to rest: {error}", blueprint.name);
        }
        signal(&blueprint.wake);
    }

    /// Has a checkpoint taken of the server, which is at rest; it goes on then.
    pub fn take_checkpoint(&self, room: Room, taken: mpsc::Sender<Taken>) {
        self.order(0, Order::Checkpoint { room, taken });
    }

    /// What makes room for a checkpoint, on any thread.
    pub fn room(&self) -> impl FnOnce() -> Room + Send + use<> {
        let shared = self.shared.clone();
        move || {
            let Shared { memory, blueprint, .. } = &*shared;
            let state = blueprint.state.as_ref().map(|state| state.room());
            Room { memory: memory.room(&blueprint.writable()), state: state.unwrap_or_default() }
        }
    }

    /// Lets the server go on that is at rest.
    pub fn go_on_from_rest(&self) {
        self.order(0, Order::GoOnFromRest);
    }

    /// How often the server said that it is alive; its own word.
    pub fn heartbeats(&self) -> u64 {
        let Shared { memory, blueprint, .. } = &*self.shared;
        memory.control(blueprint.plan.control(0)).map_or(0, |page| page.heartbeats.load(Relaxed))
    }

    /// Ends that incarnation as a crash does, if it still runs. Only for a domain with one vCPU.
    pub fn kill(&self, epoch: u32) {
        self.order(0, Order::Kill { epoch });
    }

    /// Does harm to the guest on vCPU 0, if it runs.
    pub fn inject(&self, injection: Injection) {
        self.order(0, Order::Inject(injection));
    }

    /// Tells all vCPUs to stand still. Each answers, with this ticket.
    pub fn park(&self, ticket: u32) {
        (0..self.vcpus.len()).for_each(|vcpu| self.order(vcpu, Order::Park { ticket }));
    }

    /// Lets all vCPUs run on.
    pub fn resume(&self) {
        (0..self.vcpus.len()).for_each(|vcpu| self.order(vcpu, Order::Resume));
    }

    /// Has the vCPU that an exception stopped go on with these registers, and the others with
    /// their own.
    pub fn go_on(&self, vcpu: u32, registers: Registers) {
        for number in 0..self.vcpus.len() {
            let order = if number == vcpu as usize {
                Order::GoOn(Box::new(registers))
            } else {
                Order::Resume
            };
            self.order(number, order);
        }
    }

    /// Fills `bytes` from its memory.
    ///
    /// # Errors
    /// If the range is not all memory.
    pub fn read_memory(&self, address: u64, bytes: &mut [u8]) -> Result<(), MachineError> {
        self.shared.memory.read(address, bytes)
    }

    /// Has a core file written of the domain as it is: `deliver` gets it, on another thread. Its
    /// vCPUs stand still meanwhile; nothing else changes.
    pub fn core_file(&self, names: Names, deliver: Deliver) {
        let seats = core_file::seats(self.vcpus.len(), names, deliver);
        for (vcpu, seat) in seats.into_iter().enumerate() {
            self.order(vcpu, Order::Core(seat));
        }
    }

    /// Writes the report of a fault.
    pub fn report(
        &self,
        cause: &Cause,
        snapshot: &Snapshot,
        circumstances: Circumstances,
    ) -> FaultReport {
        fault::report(&self.shared.blueprint, cause, snapshot, circumstances)
    }

    /// Processor time that its vCPU threads have used, in microseconds.
    pub fn cpu_micros(&self) -> u64 {
        let ids = self.shared.threads.iter().map(|id| id.load(Relaxed)).filter(|&id| id != 0);
        ids.filter_map(thread_cpu_ns).sum::<u64>() / 1000
    }

    fn order(&self, vcpu: usize, order: Order) {
        let handle = &self.vcpus[vcpu];
        let interrupts = matches!(
            order,
            Order::Park { .. }
                | Order::Kill { .. }
                | Order::Core(_)
                | Order::Inject(_)
                | Order::Quit
        );
        // A thread that has ended has said so.
        if handle.orders.send(order).is_err() {
            return;
        }
        if interrupts && let Some(thread) = &handle.thread {
            signal(&handle.ordered);
            interrupt(thread);
        }
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        (0..self.vcpus.len()).for_each(|vcpu| self.order(vcpu, Order::Quit));
        for vcpu in &mut self.vcpus {
            if let Some(thread) = vcpu.thread.take()
                && thread.join().is_err()
            {
                log::error!("a vCPU thread of {} panicked", self.shared.blueprint.name);
            }
        }
    }
}

/// An event that nobody has signalled yet.
pub fn new_event() -> io::Result<EventFd> {
    EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
}

/// Time on a processor of one thread of this process, in nanoseconds.
fn thread_cpu_ns(id: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
