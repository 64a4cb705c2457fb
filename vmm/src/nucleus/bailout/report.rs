//! From a fault report to the message that a supervisor domain gets: bounded, so that it fits a
//! record whatever a server said of its own fault.

use atoll_ipc::bailout::{Capability, Forecast, Kind, Registers, Report};
use atoll_ipc::interface::Word;

use crate::control::api::{self, FaultKind, FaultReport, Hex};
use crate::manifest::RestartFrom;
use crate::supervisor;

/// Bytes of the fault in words.
const WHAT_MAX: usize = 512;
/// Bytes of the backtrace: some ten functions.
const BACKTRACE_MAX: usize = 1024;

/// What is told beside the fault report.
#[derive(Clone, Copy, Debug)]
pub struct Prospects {
    /// The suspended domain.
    pub capability: Capability,
    /// Faults of the domain so far.
    pub faults: u64,
    /// Whether it can be resumed.
    pub can_resume: bool,
    /// What would follow without its supervisor domain.
    pub forecast: supervisor::Forecast,
}

/// Calls `with` on the message about a fault.
pub fn with_report<T>(
    fault: &FaultReport,
    prospects: Prospects,
    with: impl FnOnce(Report<'_>) -> T,
) -> T {
    let what = fault.summary().what;
    let backtrace = backtrace(fault);
    with(Report {
        capability: prospects.capability,
        domain: &fault.domain,
        epoch: fault.epoch as u32,
        kind: kind(fault.kind),
        what: cut(&what, WHAT_MAX),
        vector: fault.vector,
        address: fault.cr2.map(|cr2| cr2.0),
        registers: registers(&fault.registers),
        backtrace: &backtrace,
        vcpu: fault.vcpu,
        uptime_us: fault.uptime_micros,
        faults: prospects.faults,
        can_resume: prospects.can_resume,
        forecast: forecast(prospects.forecast),
    })
}

fn kind(kind: FaultKind) -> Kind {
    match kind {
        FaultKind::Exception => Kind::Exception,
        FaultKind::Panic => Kind::Panic,
        FaultKind::Exit => Kind::Exit,
        FaultKind::Hang => Kind::Hang,
        FaultKind::NotReady => Kind::NotReady,
        FaultKind::IllegalPort
        | FaultKind::Mmio
        | FaultKind::TripleFault
        | FaultKind::InternalError
        | FaultKind::Killed
        | FaultKind::Protocol => Kind::Violation,
    }
}

fn forecast(forecast: supervisor::Forecast) -> Forecast {
    match forecast {
        supervisor::Forecast::Restart(RestartFrom::Checkpoint) => Forecast::Checkpoint,
        supervisor::Forecast::Restart(RestartFrom::Image) => Forecast::Image,
        supervisor::Forecast::Pause(pause) => {
            Forecast::Pause { micros: u64::try_from(pause.as_micros()).unwrap_or(u64::MAX) }
        }
        supervisor::Forecast::Group => Forecast::Group,
        supervisor::Forecast::StayDown => Forecast::StayDown,
        supervisor::Forecast::GiveUp => Forecast::GiveUp,
        supervisor::Forecast::Wait => Forecast::End,
    }
}

/// Whole lines only: half a name would be another name.
fn backtrace(fault: &FaultReport) -> String {
    let mut text = String::new();
    for frame in &fault.backtrace {
        let line = frame.to_string();
        if text.len() + line.len() >= BACKTRACE_MAX {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// The start of a text, no longer than that, and whole characters.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Registers as messages have them.
pub fn registers(from: &api::Registers) -> Registers {
    let word = |hex: Hex| Word(hex.0);
    Registers {
        rax: word(from.rax),
        rbx: word(from.rbx),
        rcx: word(from.rcx),
        rdx: word(from.rdx),
        rsi: word(from.rsi),
        rdi: word(from.rdi),
        rbp: word(from.rbp),
        rsp: word(from.rsp),
        r8: word(from.r8),
        r9: word(from.r9),
        r10: word(from.r10),
        r11: word(from.r11),
        r12: word(from.r12),
        r13: word(from.r13),
        r14: word(from.r14),
        r15: word(from.r15),
        rip: word(from.rip),
        rflags: word(from.rflags),
    }
}

/// And back.
pub fn from_message(from: &Registers) -> api::Registers {
    let hex = |word: Word| Hex(word.0);
    api::Registers {
        rax: hex(from.rax),
        rbx: hex(from.rbx),
        rcx: hex(from.rcx),
        rdx: hex(from.rdx),
        rsi: hex(from.rsi),
        rdi: hex(from.rdi),
        rbp: hex(from.rbp),
        rsp: hex(from.rsp),
        r8: hex(from.r8),
        r9: hex(from.r9),
        r10: hex(from.r10),
        r11: hex(from.r11),
        r12: hex(from.r12),
        r13: hex(from.r13),
        r14: hex(from.r14),
        r15: hex(from.r15),
        rip: hex(from.rip),
        rflags: hex(from.rflags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{Frame, Registers as Api};

    fn fault(message: String, functions: usize) -> FaultReport {
        let frame = |n: usize| Frame {
            address: Hex(n as u64),
            symbol: Some("a_function_with_a_name_of_its_own".repeat(3)),
            offset: 1,
        };
        FaultReport {
            domain: "kv".to_owned(),
            epoch: 2,
            time: 0,
            kind: FaultKind::Panic,
            vector: None,
            vector_name: None,
            error_code: None,
            explanation: None,
            rip: Hex(7),
            cr2: None,
            registers: Api { rip: Hex(7), r15: Hex(15), ..Api::default() },
            message: Some(message),
            backtrace: (0..functions).map(frame).collect(),
            vcpu: 0,
            uptime_micros: 9,
            restart_count: 1,
            decision: None,
            restart: None,
        }
    }

    #[test]
    fn whatever_a_server_said_the_message_is_short_and_whole() {
        let prospects = Prospects {
            capability: Capability(1),
            faults: 1,
            can_resume: false,
            forecast: supervisor::Forecast::StayDown,
        };
        // A character of three bytes lies across the limit.
        let long = fault("\u{20ac}".repeat(WHAT_MAX), 64);
        with_report(&long, prospects, |report| {
            assert_eq!(report.what.len(), WHAT_MAX / 3 * 3);
            assert!(report.backtrace.len() < BACKTRACE_MAX && !report.backtrace.is_empty());
            assert!(report.backtrace.lines().all(|line| line.ends_with("+0x1")));
            assert_eq!((report.registers.r15, report.forecast), (Word(15), Forecast::StayDown));
        });
        with_report(&fault("why".to_owned(), 0), prospects, |report| {
            assert_eq!((report.what, report.backtrace), ("why", ""));
        });
    }

    #[test]
    fn registers_come_back_as_they_went() {
        let some = fault(String::new(), 0).registers;
        assert_eq!(from_message(&registers(&some)), some);
    }
}
