//! The fault report: why an incarnation of a domain ended.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Aftermath, Decision, Hex};

/// What ended an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The CPU raised an exception.
    Exception,
    /// The server panicked; the report carries its message.
    Panic,
    /// The server exited with a status other than 0.
    Exit,
    /// An access to an I/O port that no guest may use.
    IllegalPort,
    /// An access to guest-physical memory that does not exist.
    Mmio,
    /// An exception that could not be delivered.
    TripleFault,
    /// KVM could not carry on with the vCPU.
    InternalError,
    /// Ended by an operator, as a crash.
    Killed,
    /// The server did not say in time that it is ready.
    NotReady,
    /// Requests waited, and the server made no progress.
    Hang,
    /// A hypercall or a ring that breaks the guest/host ABI.
    Protocol,
}

impl FaultKind {
    /// The kind's word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Panic => "panic",
            Self::Exit => "exit",
            Self::IllegalPort => "illegal-port",
            Self::Mmio => "mmio",
            Self::TripleFault => "triple-fault",
            Self::InternalError => "internal-error",
            Self::Killed => "killed",
            Self::Hang => "hang",
            Self::NotReady => "not-ready",
            Self::Protocol => "protocol",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an incarnation ended, written down before anything of it was torn down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultReport {
    /// The domain.
    pub domain: String,
    /// The incarnation that ended.
    pub epoch: u64,
    /// When, in microseconds since 1970.
    pub time: u64,
    /// What ended it.
    pub kind: FaultKind,
    /// Number of the exception, for [`FaultKind::Exception`].
    pub vector: Option<u8>,
    /// Name of the exception, such as `page fault`.
    pub vector_name: Option<String>,
    /// The exception's error code, if it has one.
    pub error_code: Option<Hex>,
    /// The error in words, such as `write to a page that is not mapped`.
    pub explanation: Option<String>,
    /// Address of the instruction.
    pub rip: Hex,
    /// Address whose translation failed, for a page fault.
    pub cr2: Option<Hex>,
    /// The vCPU's registers.
    pub registers: Registers,
    /// What the server said of it: a panic's message. It comes from the guest, so it may hold
    /// anything.
    pub message: Option<String>,
    /// Who called whom, innermost first.
    pub backtrace: Vec<Frame>,
    /// Which vCPU.
    pub vcpu: u32,
    /// How long the incarnation had run, in microseconds.
    pub uptime_micros: u64,
    /// How often the domain had been restarted before.
    pub restart_count: u64,
    /// Who decided what follows, if a supervisor domain was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What followed, as far as it has.
    #[serde(default)]
    pub restart: Option<Aftermath>,
}

impl FaultReport {
    /// The fault in one line: what, where, and in which function.
    pub fn summary(&self) -> FaultSummary {
        FaultSummary {
            kind: self.kind,
            what: self.what(),
            rip: self.rip,
            symbol: self.backtrace.first().and_then(|frame| frame.symbol.clone()),
        }
    }

    fn what(&self) -> String {
        let name = self.vector_name.as_deref();
        match (name, self.explanation.as_deref(), self.message.as_deref()) {
            (Some(name), Some(explanation), _) => format!("{name}: {explanation}"),
            (Some(name), None, _) => name.to_owned(),
            (None, _, Some(message)) => message.to_owned(),
            (None, Some(explanation), None) => explanation.to_owned(),
            (None, None, None) => self.kind.to_string(),
        }
    }
}

/// A fault in one line, for the event stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultSummary {
    /// What ended the incarnation.
    pub kind: FaultKind,
    /// The fault in words.
    pub what: String,
    /// Address of the instruction.
    pub rip: Hex,
    /// The function it belongs to, if the image names one.
    pub symbol: Option<String>,
}

/// The general registers of a vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "each field is the register of its name")]
pub struct Registers {
    pub rax: Hex,
    pub rbx: Hex,
    pub rcx: Hex,
    pub rdx: Hex,
    pub rsi: Hex,
    pub rdi: Hex,
    pub rbp: Hex,
    pub rsp: Hex,
    pub r8: Hex,
    pub r9: Hex,
    pub r10: Hex,
    pub r11: Hex,
    pub r12: Hex,
    pub r13: Hex,
    pub r14: Hex,
    pub r15: Hex,
    pub rip: Hex,
    pub rflags: Hex,
}

impl Registers {
    /// Every register with its name, in the order of the fields.
    pub fn named(&self) -> [(&'static str, Hex); 18] {
        [
            ("rax", self.rax),
            ("rbx", self.rbx),
            ("rcx", self.rcx),
            ("rdx", self.rdx),
            ("rsi", self.rsi),
            ("rdi", self.rdi),
            ("rbp", self.rbp),
            ("rsp", self.rsp),
            ("r8", self.r8),
            ("r9", self.r9),
            ("r10", self.r10),
            ("r11", self.r11),
            ("r12", self.r12),
            ("r13", self.r13),
            ("r14", self.r14),
            ("r15", self.r15),
            ("rip", self.rip),
            ("rflags", self.rflags),
        ]
    }
}

/// One function in a backtrace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// Address of the instruction, or of the one to return to.
    pub address: Hex,
    /// The function, if the image names one.
    pub symbol: Option<String>,
    /// Distance from the function's start, in bytes; zero without a symbol.
    pub offset: u64,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.symbol {
            Some(symbol) => write!(f, "{} {symbol}+{:#x}", self.address, self.offset),
            None => write!(f, "{} ?", self.address),
        }
    }
}
