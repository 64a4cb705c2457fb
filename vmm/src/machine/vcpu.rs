//! One vCPU: made to start in ring 3, run, and taken back to its start or to a checkpoint.

use kvm_bindings::{
    kvm_debugregs, kvm_fpu, kvm_mp_state, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;

mod blank;
mod page;
mod point;

pub use blank::Blank;

use super::MachineError;
use super::descriptors::{self, RFLAGS};
use super::exit::Exit;
use super::host::Host;
use super::interrupt::Interruptible;
use super::plan::Plan;
use super::vm::Vm;

/// All of a vCPU that a guest in ring 3 can change, directly or by faulting.
///
/// Parts that a host's KVM cannot read are left out; it could not have let the guest change them.
#[derive(Debug)]
struct State {
    regs: kvm_regs,
    sregs: kvm_sregs,
    vectors: Vectors,
    xcrs: Option<kvm_xcrs>,
    debug: Option<kvm_debugregs>,
    events: Option<kvm_vcpu_events>,
    mp: Option<kvm_mp_state>,
}

impl State {
    /// Of a vCPU that has not run: its general registers are all zero here.
    fn of_new(fd: &VcpuFd) -> Result<Self, MachineError> {
        let failed = || MachineError::kvm("read a vCPU's registers");
        Ok(Self {
            regs: kvm_regs::default(),
            sregs: fd.get_sregs().map_err(failed())?,
            vectors: Vectors::read(fd).map_err(failed())?,
            xcrs: fd.get_xcrs().ok(),
            debug: fd.get_debug_regs().ok(),
            events: fd.get_vcpu_events().ok(),
            mp: fd.get_mp_state().ok(),
        })
    }

    /// Has a new vCPU begin so, which otherwise is as it was made. Tells whether the page holds that.
    fn begin(&self, fd: &mut VcpuFd, has_page: bool) -> Result<bool, MachineError> {
        if let Some(events) = self.events.filter(|_| has_page) {
            page::put(fd, &self.regs, &self.sregs, &events);
            return Ok(true);
        }
        let set = fd.set_sregs(&self.sregs).and_then(|()| fd.set_regs(&self.regs));
        set.map_err(MachineError::kvm("set a vCPU's registers"))?;
        Ok(false)
    }

    fn write_what_ring_3_cannot(&self, fd: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
        if let Some(mp) = self.mp {
            fd.set_mp_state(mp)?;
        }
        self.xcrs.as_ref().map_or(Ok(()), |xcrs| fd.set_xcrs(xcrs))
    }

    /// Sets all, each part by a call.
    fn write(&self, fd: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
        self.write_what_ring_3_cannot(fd)?;
        fd.set_sregs(&self.sregs)?;
        self.vectors.write(fd)?;
        self.write_debug(fd)?;
        if let Some(events) = &self.events {
            fd.set_vcpu_events(events)?;
        }
        fd.set_regs(&self.regs)
    }

    fn write_debug(&self, fd: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
        self.debug.as_ref().map_or(Ok(()), |debug| fd.set_debug_regs(debug))
    }
}

/// How much of a vCPU may have changed, and is to be set. Each part that is a call takes 6 us on
/// software KVM, a fifth of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What code in ring 3 can change, or have changed by an exception. Activity state and XCR0 are
    /// not among that; nor are the debug registers, as long as no instruction was traced.
    Ring3,
    /// That, and the debug registers: there was a debug exception, or there may have been one.
    Traced,
    /// All of it: a vCPU that KVM gave up may be anything.
    All,
}

/// The flag that raises a debug exception after each instruction.
const TRACED: u64 = 1 << 8;

/// Floating-point and vector registers, with what controls them.
#[derive(Debug)]
enum Vectors {
    /// All that the processor has: x87, SSE, AVX, AVX-512, and what will come.
    All(Box<kvm_xsave>),
    /// x87 and SSE, on a host whose processor has no more. KVM does not set `MXCSR` with them, but
    /// neither is there a processor with 64-bit rings that lets KVM have no more.
    Basic(Box<kvm_fpu>),
}

/// Where the XSAVE area says which of its parts are not as after a reset, in words of 32 bits.
const XSAVE_PARTS: usize = 512 / 4;
/// The parts that hold x87, SSE and `MXCSR`.
const XSAVE_BASIC: u32 = 0b11;

impl Vectors {
    fn read(fd: &VcpuFd) -> Result<Self, kvm_ioctls::Error> {
        let Ok(mut area) = fd.get_xsave() else {
            return fd.get_fpu().map(|fpu| Self::Basic(Box::new(fpu)));
        };
        // What a part that is as after a reset holds is in the area all the same. Said to be
        // there, it is written; otherwise `MXCSR` may stay what it is.
        area.region[XSAVE_PARTS] |= XSAVE_BASIC;
        Ok(Self::All(Box::new(area)))
    }

    fn write(&self, fd: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
        match self {
            // SAFETY: KVM reads more than the area has only if this process asked for features
            // that must be enabled for it (`arch_prctl`); it does not.
            Self::All(area) => unsafe { fd.set_xsave(area) },
            Self::Basic(fpu) => fd.set_fpu(fpu),
        }
    }
}

pub use point::{NotAPoint, Point};

/// Where a vCPU starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The vCPU's number in its domain.
    pub index: u32,
    /// Address of the first instruction.
    pub entry: u64,
    /// Address of the boot page, handed over in `rdi`.
    pub boot: u64,
    /// Whether the image has exception stubs.
    pub has_stubs: bool,
}

/// A vCPU. It is run and dropped by one thread.
#[derive(Debug)]
pub struct Vcpu {
    // Dropped before the vCPU, whose memory it points into.
    _interruptible: Interruptible,
    fd: VcpuFd,
    initial: State,
    checkpoint: Option<State>,
    tsc_hz: Option<u64>,
    /// Whether KVM takes registers from the page that it shares with the VMM, and puts them there.
    has_page: bool,
    /// Whether the registers in that page are the vCPU's: it owes nothing and was not run since.
    page_holds: bool,
    /// Nothing has changed since it was made.
    is_new: bool,
}

impl Vcpu {
    /// A vCPU of `vm`, for the calling thread to run.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn new(host: &Host, vm: &Vm, plan: &Plan, start: Start) -> Result<Self, MachineError> {
        Self::of(Blank::new(host, vm, start.index)?, plan, start)
    }

    /// The same of one that was made before, which this thread runs from now on.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn of(blank: Blank, plan: &Plan, start: Start) -> Result<Self, MachineError> {
        let Blank { mut fd, state: mut initial, tsc_hz, has_page } = blank;
        descriptors::set_system_registers(&mut initial.sregs, plan, start.index, start.has_stubs);
        initial.regs = kvm_regs {
            rip: start.entry,
            rsp: plan.stack_top(start.index),
            rflags: RFLAGS,
            rdi: start.boot,
            rsi: start.index.into(),
            ..Default::default()
        };
        let page_holds = initial.begin(&mut fd, has_page)?;
        let flag = &raw mut fd.get_kvm_run().immediate_exit;
        // SAFETY: `kvm_run` stays mapped until `fd` is dropped, after the guard; `Vcpu` is not
        // `Send`, because the guard must stay on this thread.
        let interruptible = unsafe { Interruptible::new(flag) };
        Ok(Self {
            _interruptible: interruptible,
            fd,
            initial,
            checkpoint: None,
            tsc_hz,
            has_page,
            page_holds,
            is_new: true,
        })
    }

    /// Whether it is as it was made.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Frequency of the guest's time stamp counter, in Hz, if KVM knows.
    pub const fn tsc_hz(&self) -> Option<u64> {
        self.tsc_hz
    }

    /// Runs the guest until it exits.
    ///
    /// # Errors
    /// If KVM refuses to run it.
    pub fn run(&mut self) -> Result<Exit, MachineError> {
        self.page_holds = false;
        self.is_new = false;
        match self.fd.run() {
            Ok(exit) => Ok(Exit::of(&exit)),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
                self.fd.set_kvm_immediate_exit(0);
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(MachineError::kvm("run a vCPU")(error)),
        }
    }

    /// Remembers where it stands, after an exit by a port.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn take_checkpoint(&mut self) -> Result<(), MachineError> {
        self.enter_and_leave();
        let failed = || MachineError::kvm("read a vCPU's registers");
        let (regs, sregs) = (self.registers()?, self.system_registers()?);
        let State { xcrs, mp, .. } = self.initial;
        self.checkpoint = Some(State {
            regs,
            sregs,
            vectors: Vectors::read(&self.fd).map_err(failed())?,
            debug: self.fd.get_debug_regs().ok(),
            events: self.fd.get_vcpu_events().ok(),
            // Ring 3 can change neither.
            xcrs,
            mp,
        });
        Ok(())
    }

    /// Where it stands, after an exit by a port.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn point(&mut self) -> Result<Point, MachineError> {
        self.finish_io();
        let lacks = MachineError::Lacks { what: "XSAVE (KVM_CAP_XSAVE), as snapshots need" };
        Ok(Point::new(&self.registers()?, self.vectors().ok_or(lacks)?))
    }

    /// Has its checkpoint be there.
    ///
    /// # Errors
    /// If KVM does not take it.
    pub fn begin_at(&mut self, point: &Point) -> Result<(), MachineError> {
        let State { sregs, xcrs, debug, events, mp, .. } = &self.initial;
        let state = State {
            regs: point.registers(),
            sregs: *sregs,
            vectors: Vectors::All(Box::new(point.vectors())),
            xcrs: *xcrs,
            debug: *debug,
            events: *events,
            mp: *mp,
        };
        self.is_new = false;
        state.write(&self.fd).map_err(MachineError::kvm("set a vCPU's registers"))?;
        self.checkpoint = Some(state);
        Ok(())
    }

    /// Takes the vCPU back to its start, and forgets its checkpoint.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        if self.is_new {
            return Ok(());
        }
        self.checkpoint = None;
        self.roll_back(Reach::All)
    }

    /// Takes the vCPU back to its checkpoint, or to its start if it has none.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn roll_back(&mut self, reach: Reach) -> Result<(), MachineError> {
        self.finish_io();
        let Self { fd, initial, checkpoint, has_page, page_holds, .. } = self;
        let state = checkpoint.as_ref().unwrap_or(initial);
        let failed = || MachineError::kvm("set a vCPU's registers");
        let events = state.events.filter(|_| *has_page && reach != Reach::All);
        let Some(events) = events else {
            *page_holds = false;
            page::withdraw(fd);
            return state.write(fd).map_err(failed());
        };
        // With this flag an instruction that exited may have had such an exception to come.
        let is_traced = !*page_holds || page::registers(fd).regs.rflags & TRACED != 0;
        if reach == Reach::Traced || is_traced {
            state.write_debug(fd).map_err(failed())?;
        }
        state.vectors.write(fd).map_err(failed())?;
        page::put(fd, &state.regs, &state.sregs, &events);
        *page_holds = true;
        Ok(())
    }

    /// Has the guest go on in ring 3 with these general registers, wherever it stands: an exception
    /// stub that it stood in is left behind.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn go_on(&mut self, regs: &kvm_regs) -> Result<(), MachineError> {
        self.finish_io();
        self.page_holds = false;
        page::withdraw(&mut self.fd);
        let set = self.fd.set_sregs(&self.initial.sregs).and_then(|()| self.fd.set_regs(regs));
        set.map_err(MachineError::kvm("set a vCPU's registers"))
    }

    /// Pays what KVM still owes the guest for its last exit, so that its registers are its own. They
    /// can be read without a call then, where KVM has the page for it.
    pub fn finish_io(&mut self) {
        if !self.page_holds {
            self.enter_and_leave();
        }
    }

    fn enter_and_leave(&mut self) {
        // An exit for I/O is complete only when the vCPU is entered again: until then KVM may
        // still owe the guest a change of registers. Entering it with this flag pays that, and
        // nothing else.
        self.is_new = false;
        page::ask(&mut self.fd, self.has_page);
        self.fd.set_kvm_immediate_exit(1);
        let entered = self.fd.run().map(|_| ());
        self.fd.set_kvm_immediate_exit(0);
        page::ask(&mut self.fd, false);
        let is_paid = matches!(&entered, Err(error) if error.errno() == libc::EINTR);
        self.page_holds = self.has_page && is_paid;
        if !is_paid {
            log::debug!("settling I/O: {entered:?}");
        }
    }

    /// Changes the general registers.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn change_registers(
        &mut self,
        change: impl FnOnce(&mut kvm_regs),
    ) -> Result<(), MachineError> {
        self.is_new = false;
        let mut regs = self.registers()?;
        change(&mut regs);
        if self.page_holds {
            page::put_general(&mut self.fd, &regs);
            return Ok(());
        }
        self.fd.set_regs(&regs).map_err(MachineError::kvm("set a vCPU's registers"))
    }

    /// Changes the floating-point and vector registers.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn change_fpu(&mut self, change: impl FnOnce(&mut kvm_fpu)) -> Result<(), MachineError> {
        self.is_new = false;
        let mut fpu = self.fd.get_fpu().map_err(MachineError::kvm("read a vCPU's registers"))?;
        change(&mut fpu);
        self.fd.set_fpu(&fpu).map_err(MachineError::kvm("set a vCPU's registers"))
    }

    /// The general registers.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn registers(&self) -> Result<kvm_regs, MachineError> {
        if self.page_holds {
            return Ok(page::registers(&self.fd).regs);
        }
        self.fd.get_regs().map_err(MachineError::kvm("read a vCPU's registers"))
    }

    /// The x87 and SSE registers as FXSAVE writes them, if KVM tells.
    pub fn vectors(&self) -> Option<[u8; 512]> {
        let area = self.fd.get_xsave().ok()?;
        let mut bytes = [0; 512];
        for (place, word) in bytes.chunks_exact_mut(4).zip(area.region) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Some(bytes)
    }

    /// The system registers.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn system_registers(&self) -> Result<kvm_sregs, MachineError> {
        if self.page_holds {
            return Ok(page::registers(&self.fd).sregs);
        }
        self.fd.get_sregs().map_err(MachineError::kvm("read a vCPU's registers"))
    }
}

#[cfg(test)]
mod tests;
