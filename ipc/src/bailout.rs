//! What the nucleus and a supervisor domain say to each other about a domain that failed (StarOS's
//! bailout mailbox: the process is suspended, and a capability to it sent in a message).
//!
//! ```text
//!   nucleus ── Bailout: faulted(report) ──▶ supervisor domain
//!      ▲                                        │ looks at the suspended domain, if it likes
//!      ├──── Suspended: read, registers … ◀─────┤
//!      └──────────── verdict ◀──────────────────┘
//! ```
//!
//! The nucleus is the client of [`Bailout`] and the server of [`Suspended`]. It believes neither a
//! verdict nor a capability: whatever comes concerns only domains whose faults this supervisor
//! domain was told of, and only as long as they are suspended.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::interface::{Bytes, Word};

/// The name of a supervisor domain's channel to the nucleus, on which [`Suspended`] is spoken.
pub const SUSPENDED: &str = "suspended";

/// Who reports faults, as supervisor domains see the sender.
pub const NUCLEUS: &str = "nucleus";

/// The number of [`Bailout`]'s `faulted`, for a client that does not wait for its answer.
pub const FAULTED: u16 = 1;

/// Most bytes that one [`Suspended`] `read` returns.
pub const READ_MAX: u32 = 4096;

crate::interface! {
    /// Spoken on the port that a manifest's `bailout` names.
    pub interface Bailout = "bailout" version 1, client BailoutClient, server BailoutServer {
        /// A domain has failed and is suspended: what is to follow?
        1 => idempotent fn faulted(report: Report<'_>) -> Verdict;
    }
}

crate::interface! {
    /// Spoken on a supervisor domain's channel [`SUSPENDED`]. A capability that is not, or no
    /// longer, one of a suspended domain is refused with `Denied`.
    pub interface Suspended = "suspended" version 1,
    client SuspendedClient, server SuspendedServer {
        /// Up to [`READ_MAX`] bytes of the domain's memory. `Malformed` if not all of them are its
        /// memory; what its channels share is not.
        1 => idempotent fn read(domain: Capability, address: Word, length: u32) -> Bytes<'_> as loan;
        /// The general registers, as they will be if it is resumed.
        2 => idempotent fn registers(domain: Capability) -> Registers;
        /// Changes them. `Denied` unless it can be resumed by an exception's return; `Malformed` if
        /// `rip` is no address.
        3 => idempotent fn set_registers(domain: Capability, registers: Registers);
    }
}

/// Names a suspended domain on one channel, for as long as it is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capability(pub u64);

/// A fault, and the domain that had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report<'a> {
    /// The domain, suspended.
    pub capability: Capability,
    /// Its name.
    pub domain: &'a str,
    /// The incarnation that failed.
    pub epoch: u32,
    /// What kind of fault it was.
    pub kind: Kind,
    /// The fault in words: what a fault report says, cut to a few hundred bytes.
    pub what: &'a str,
    /// The number of the exception, if it was one.
    pub vector: Option<u8>,
    /// The address that a page fault was about.
    pub address: Option<u64>,
    /// The registers, as the server had them.
    pub registers: Registers,
    /// Who called whom, innermost first, a line for each function; as many as there is room for.
    pub backtrace: &'a str,
    /// The vCPU that failed.
    pub vcpu: u32,
    /// How long the incarnation had run, in microseconds.
    pub uptime_us: u64,
    /// How often the domain has failed so far, this time included.
    pub faults: u64,
    /// Whether [`Verdict::Resume`] is possible.
    pub can_resume: bool,
    /// What would follow without this supervisor domain.
    pub forecast: Forecast,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The processor raised an exception.
    Exception,
    /// The server panicked.
    Panic,
    /// It ended with a status other than 0.
    Exit,
    /// It had requests to answer, and made no progress.
    Hang,
    /// It was not ready in time.
    NotReady,
    /// Something else that no server may do.
    Violation,
}

/// The general registers of a vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is the register of its name")]
pub struct Registers {
    pub rax: Word,
    pub rbx: Word,
    pub rcx: Word,
    pub rdx: Word,
    pub rsi: Word,
    pub rdi: Word,
    pub rbp: Word,
    pub rsp: Word,
    pub r8: Word,
    pub r9: Word,
    pub r10: Word,
    pub r11: Word,
    pub r12: Word,
    pub r13: Word,
    pub r14: Word,
    pub r15: Word,
    pub rip: Word,
    pub rflags: Word,
}

/// What the policy of the manifest would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forecast {
    /// Restart the domain from its checkpoint.
    Checkpoint,
    /// Restart it from its image.
    Image,
    /// Restart it from its image after so many microseconds.
    Pause {
        /// How many.
        micros: u64,
    },
    /// Restart it with others of its group.
    Group,
    /// Leave it down.
    StayDown,
    /// Give its group up.
    GiveUp,
    /// Let it end: others wait for that.
    End,
}

/// What is to follow a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// What the policy of the manifest says.
    BuiltIn,
    /// The next incarnation, from the checkpoint if there is one, without the pauses of a crash
    /// loop; it counts as a restart in the group.
    Restart,
    /// The same, from the image.
    RestartFromImage,
    /// The incarnation goes on, with the registers as they are set. After a fault that allows no
    /// such thing, the policy of the manifest acts.
    Resume,
    /// It is ended, and stays down until an operator or its group's restart brings it back.
    Hold,
    /// Its restart would not help: its group gives up.
    Escalate,
}

impl Verdict {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::BuiltIn,
        Self::Restart,
        Self::RestartFromImage,
        Self::Resume,
        Self::Hold,
        Self::Escalate,
    ];

    /// The verdict's word, as events and reports have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Restart => "restart",
            Self::RestartFromImage => "restart-from-image",
            Self::Resume => "resume",
            Self::Hold => "hold",
            Self::Escalate => "escalate",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{arguments, reply};

    #[test]
    fn a_report_of_usual_length_crosses_the_wall() {
        let registers = Registers { rip: Word(0x40_1000), ..Registers::default() };
        let report = Report {
            capability: Capability(u64::MAX),
            domain: "kv",
            epoch: 3,
            kind: Kind::Exception,
            what: "page fault",
            vector: Some(14),
            address: Some(0xdead_0000),
            registers,
            backtrace: "0x401000 kv::poke+0x12",
            vcpu: 0,
            uptime_us: 12,
            faults: 2,
            can_resume: true,
            forecast: Forecast::Pause { micros: 10_000 },
        };
        let mut bytes = [0; 512];
        let encoded = postcard::to_slice(&(report.clone(),), &mut bytes).unwrap();
        let (decoded,): (Report<'_>,) = arguments(encoded).unwrap();
        assert_eq!(decoded, report);
    }

    #[test]
    fn no_other_byte_is_a_verdict() {
        for (byte, verdict) in (0..).zip(Verdict::ALL) {
            assert_eq!(reply::<Verdict>(&[byte]), Ok(verdict));
        }
        for bytes in [&[6][..], &[0, 0], &[0xff; 10], &[]] {
            assert!(reply::<Verdict>(bytes).is_err(), "{bytes:?}");
        }
    }
}
