//! From what a vCPU thread saw to a fault report.

use crate::control::api::{FaultKind, FaultReport, Hex, Registers};
use crate::machine::plan::Plan;

use super::backtrace::{self, Step};
use super::blueprint::Blueprint;

/// Why an incarnation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An exception that a stub reported.
    Exception {
        /// Its number.
        vector: u8,
        /// Its error code; 0 if it has none.
        error: u64,
        /// The address of a page fault.
        cr2: u64,
    },
    /// The server gave up.
    Panic {
        /// Why, in its own words.
        message: String,
    },
    /// The server ended.
    Exit {
        /// Its status; 0 is success.
        status: u32,
    },
    /// An I/O port that is not the server's.
    Port {
        /// Its number.
        port: u16,
        /// Whether it was written.
        write: bool,
    },
    /// A physical address without memory.
    Mmio {
        /// The address.
        address: u64,
        /// Whether it was written.
        write: bool,
    },
    /// An exception that could not be taken.
    TripleFault,
    /// KVM cannot go on.
    Stuck {
        /// Why.
        reason: String,
    },
    /// An operator ended it.
    Killed,
    /// It did not say in time that it is ready.
    NotReady,
    /// It had requests to answer, and made no progress.
    Hung {
        /// For so many milliseconds.
        for_ms: u64,
    },
    /// It wrote to a gateway's channel what no correct server writes.
    Protocol {
        /// The gateway.
        gateway: String,
    },
}

/// A vCPU that stands still: its registers, as the server had them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The general registers.
    pub registers: Registers,
    /// Who called whom.
    pub trace: Vec<Step>,
}

/// What the nucleus adds to a fault.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The incarnation that ended.
    pub epoch: u32,
    /// The vCPU that ended it.
    pub vcpu: u32,
    /// When it ended, in microseconds since 1970.
    pub ended_micros: u64,
    /// How long it ran, in microseconds.
    pub uptime_micros: u64,
    /// How often the domain had been restarted before.
    pub restarts: u64,
}

/// Writes the report of a fault.
pub fn report(
    blueprint: &Blueprint,
    cause: &Cause,
    snapshot: &Snapshot,
    circumstances: Circumstances,
) -> FaultReport {
    let Circumstances { epoch, vcpu, ended_micros, uptime_micros, restarts } = circumstances;
    let registers = snapshot.registers;
    let mut report = FaultReport {
        domain: blueprint.name.as_str().to_owned(),
        epoch: epoch.into(),
        time: ended_micros,
        kind: kind(cause),
        vector: None,
        vector_name: None,
        error_code: None,
        explanation: None,
        rip: registers.rip,
        cr2: None,
        registers,
        message: None,
        backtrace: backtrace::name(&blueprint.image, &snapshot.trace),
        vcpu,
        uptime_micros,
        restart_count: restarts,
        decision: None,
        restart: None,
    };
    explain(&mut report, &blueprint.plan, cause);
    report
}

fn kind(cause: &Cause) -> FaultKind {
    match cause {
        Cause::Exception { .. } => FaultKind::Exception,
        Cause::Panic { .. } => FaultKind::Panic,
        Cause::Exit { .. } => FaultKind::Exit,
        Cause::Port { .. } => FaultKind::IllegalPort,
        Cause::Mmio { .. } => FaultKind::Mmio,
        Cause::TripleFault => FaultKind::TripleFault,
        Cause::Stuck { .. } => FaultKind::InternalError,
        Cause::Killed => FaultKind::Killed,
        Cause::Hung { .. } => FaultKind::Hang,
        Cause::NotReady => FaultKind::NotReady,
        Cause::Protocol { .. } => FaultKind::Protocol,
    }
}

fn explain(report: &mut FaultReport, plan: &Plan, cause: &Cause) {
    let direction = |write: bool| if write { "write to" } else { "read of" };
    match cause {
        Cause::Exception { vector, error, cr2 } => {
            report.vector = Some(*vector);
            report.vector_name = Some(vector_name(*vector).to_owned());
            report.error_code = has_error_code(*vector).then_some(Hex(*error));
            if *vector == PAGE_FAULT {
                report.cr2 = Some(Hex(*cr2));
                report.explanation = Some(explain_page_fault(plan, *error, *cr2));
            }
        }
        Cause::Panic { message } => report.message = Some(message.clone()),
        Cause::Exit { status } => {
            report.explanation = Some(format!("the server ended with status {status}"));
        }
        Cause::Port { port, write } => {
            let what = direction(*write);
            report.explanation =
                Some(format!("{what} I/O port {port:#x}, which is not the server's"));
        }
        Cause::Mmio { address, write } => {
            let what = direction(*write);
            report.explanation =
                Some(format!("{what} physical address {address:#x}, which has no memory"));
        }
        Cause::TripleFault => {
            report.explanation = Some("an exception that could not be delivered".to_owned());
        }
        Cause::Stuck { reason } => report.explanation = Some(reason.clone()),
        Cause::NotReady => {
            report.explanation = Some("it was not ready in time".to_owned());
        }
        Cause::Hung { for_ms } => {
            report.explanation =
                Some(format!("no progress for {for_ms} ms, with requests to answer"));
        }
        Cause::Killed => report.explanation = Some("ended by an operator".to_owned()),
        Cause::Protocol { gateway } => {
            report.explanation = Some(format!("what it wrote to gateway {gateway} is no message"));
        }
    }
}

const PAGE_FAULT: u8 = 14;

fn explain_page_fault(plan: &Plan, error: u64, address: u64) -> String {
    let present = error & 1 != 0;
    let what = match (error & 16 != 0, error & 2 != 0) {
        (true, _) => "execution of",
        (_, true) => "write to",
        (_, false) => "read of",
    };
    if let Some(vcpu) = plan.guard_of(address) {
        return format!("stack overflow: {what} the guard page below the stack of vCPU {vcpu}");
    }
    let page = match (present, address) {
        (true, _) => "a page that does not allow it",
        (false, 0..=0xfff) => "page 0: a null pointer",
        (false, _) => "a page that is not mapped",
    };
    format!("{what} {page}, at {address:#x}")
}

/// Vectors whose exceptions come with an error code.
fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

/// The architecture's name of an exception.
fn vector_name(vector: u8) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        2 => "non-maskable interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid task-state segment",
        11 => "segment not present",
        12 => "stack-segment fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "x87 floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point error",
        20 => "virtualisation exception",
        21 => "control protection exception",
        29 => "VMM communication exception",
        30 => "security exception",
        _ => "reserved exception",
    }
}
