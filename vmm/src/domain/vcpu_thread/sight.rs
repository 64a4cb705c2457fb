//! Where the guest stands: registers, who called whom, and what an exception stub found.

use std::sync::atomic::Ordering::Relaxed;

use super::super::backtrace::{self, Step, Top};
use super::super::blueprint::Blueprint;
use super::super::core_file::{Seat, Standing};
use super::super::fault::{Cause, Snapshot};
use super::VcpuThread;
use crate::control::api::{Hex, Registers};
use crate::machine::MachineError;
use crate::machine::descriptors;
use crate::machine::vcpu::Vcpu;

/// Words that a stub leaves on the ring-0 stack: vector, error code, RIP, CS, RFLAGS, RSP, SS.
const STUB_FRAME: usize = 7;

impl VcpuThread {
    /// Takes part in a core file.
    pub(super) fn sit(&self, vcpu: &Vcpu, seat: Seat) {
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

    /// What an exception stub found; or, if ring 3 wrote the port itself, that it did.
    pub(super) fn exception(&self, vcpu: &Vcpu) -> Result<Cause, MachineError> {
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

    pub(super) fn snapshot(&self, vcpu: &Vcpu) -> Result<Box<Snapshot>, MachineError> {
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
        let Blueprint { plan, image, .. } = &*self.shared.blueprint;
        let stack = plan.stack(self.index)..plan.stack_top(self.index);
        let top = Top { rip, rsp: registers.rsp.0, rbp };
        backtrace::walk(&self.shared.memory, image, stack, top)
    }

    /// The registers as the server had them when it faulted.
    pub(super) fn fault_snapshot(
        &self,
        vcpu: &Vcpu,
        cause: &Cause,
    ) -> Result<Box<Snapshot>, MachineError> {
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
}
