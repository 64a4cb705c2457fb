//! The exit codes of the `vmm` command, by class of failure: a promise to scripts.

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Success = 0,
    /// Something failed while it ran.
    Runtime = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The manifest is wrong.
    Manifest = 3,
    /// An image is missing or wrong.
    Image = 4,
    /// The host lacks something, or denies it: KVM, an address in use.
    Host = 5,
    /// No such system runs, or it cannot be reached.
    Unreachable = 6,
    /// The system refused: an unknown domain, or one in the wrong state.
    Refused = 7,
    /// Domains kept failing until the root group gave up.
    GaveUp = 8,
    /// A snapshot is missing, damaged, or of something else.
    Snapshot = 9,
}

impl ExitCode {
    /// Every code, in order.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Runtime,
        Self::Usage,
        Self::Manifest,
        Self::Image,
        Self::Host,
        Self::Unreachable,
        Self::Refused,
        Self::GaveUp,
        Self::Snapshot,
    ];

    /// What the code means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Runtime => "something failed while it ran",
            Self::Usage => "the command line is wrong",
            Self::Manifest => "the manifest is wrong",
            Self::Image => "an image is missing or wrong",
            Self::Host => "the host lacks or denies something: KVM, an address, a file",
            Self::Unreachable => "no such system runs, or it cannot be reached",
            Self::Refused => "the system refused: unknown domain, or wrong state",
            Self::GaveUp => "supervision gave up: restarts did not help",
            Self::Snapshot => "a snapshot is missing, damaged, or of something else",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
