//! What is measured of restarts: which server, how it ends, from where it begins again, and how much
//! memory it has written to meanwhile.

use std::fmt;

use atoll_ipc::load::fault;
use serde::{Deserialize, Serialize};

use crate::bench::form;
use crate::domain::Origin;

const KI: usize = 1 << 10;
const MI: usize = 1 << 20;

/// Bytes that are written to before a crash.
const DIRTY: [usize; 4] = [0, 64 * KI, MI, 16 * MI];

/// One kind of restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Case {
    /// Who crashes.
    pub server: Server,
    /// How.
    pub fault: Fault,
    /// From where its next incarnation begins.
    pub from: Beginning,
    /// Bytes that it has written to since it was ready.
    pub dirty: usize,
}

/// A server that can be told to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// One that sends messages back, called through a channel.
    Echo,
    /// A store, through its gateway.
    Kv,
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It reads an address that no page has.
    PageFault,
    /// It executes an instruction that is none.
    Ud2,
    /// It divides by zero.
    Divide,
    /// It panics.
    Panic,
    /// It recurses without end.
    StackOverflow,
    /// It writes an I/O port that means nothing.
    IllegalPort,
    /// An operator ends it.
    Kill,
}

/// From where an incarnation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beginning {
    /// Where the server was ready.
    Checkpoint,
    /// Where it was before it had done anything.
    Image,
}

impl Beginning {
    /// As events tell it.
    pub(super) const fn origin(self) -> Origin {
        match self {
            Self::Checkpoint => Origin::Checkpoint,
            Self::Image => Origin::Image,
        }
    }

    /// As manifests and people name it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Image => "image",
        }
    }
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::PageFault,
        Self::Ud2,
        Self::Divide,
        Self::Panic,
        Self::StackOverflow,
        Self::IllegalPort,
        Self::Kill,
    ];

    /// Its number for a load server; None if that is not asked to.
    pub(super) const fn number(self) -> Option<u8> {
        Some(match self {
            Self::PageFault => fault::PAGE,
            Self::Ud2 => fault::UD2,
            Self::Divide => fault::DIVIDE,
            Self::Panic => fault::PANIC,
            Self::StackOverflow => fault::STACK,
            Self::IllegalPort => fault::PORT,
            Self::Kill => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PageFault => "page fault",
            Self::Ud2 => "UD2",
            Self::Divide => "divide by zero",
            Self::Panic => "panic",
            Self::StackOverflow => "stack overflow",
            Self::IllegalPort => "illegal port",
            Self::Kill => "kill",
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Echo => "echo",
            Self::Kv => "kv",
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, fault, from, dirty } = self;
        write!(f, "{server}, {fault}, from its {}, {} dirty", from.word(), form::size(*dirty))
    }
}

/// What is measured. A quick run leaves out what differs from another case in one thing that is
/// measured elsewhere by itself.
pub(super) fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for from in [Beginning::Checkpoint, Beginning::Image] {
        let case = |server, fault, dirty| Case { server, fault, from, dirty };
        for fault in Fault::ALL {
            // What the memory costs does not depend on how the server ended: its other sizes are
            // measured of one fault, and in a long run of all.
            let sizes: &[usize] = match (fault, quick) {
                (Fault::PageFault, _) | (_, false) => &DIRTY,
                (_, true) => &DIRTY[..1],
            };
            cases.extend(sizes.iter().map(|&dirty| case(Server::Echo, fault, dirty)));
        }
        cases.extend([0, MI].map(|dirty| case(Server::Kv, Fault::PageFault, dirty)));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_long_run_has_every_fault_with_every_size_from_both() {
        let all = cases(false);
        let echo = all.iter().filter(|case| case.server == Server::Echo).count();
        assert_eq!(echo, Fault::ALL.len() * DIRTY.len() * 2);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let quick = cases(true);
        assert!(quick.len() < all.len() / 2 && quick.iter().all(|case| all.contains(case)));
    }

    #[test]
    fn a_case_is_told_in_words() {
        let case = Case {
            server: Server::Echo,
            fault: Fault::StackOverflow,
            from: Beginning::Image,
            dirty: 64 * KI,
        };
        assert_eq!(case.to_string(), "echo, stack overflow, from its image, 64 KiB dirty");
    }
}
