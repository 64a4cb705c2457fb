//! Faults that tests have a disk meet, at the n-th write since the start: `NAME:KIND@N`.

use std::str::FromStr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thiserror::Error;

/// A fault that a disk is to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFault {
    /// The disk.
    pub disk: String,
    /// What happens.
    pub kind: FaultKind,
    /// At which write, from 1.
    pub at: u64,
}

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The process is killed just before it.
    Stop,
    /// The first half of its sectors is written, and the process is killed.
    Tear,
    /// It fails.
    Fail,
    /// There is no room for it, nor for any later one.
    Full,
}

impl FaultKind {
    const WORDS: [(&'static str, Self); 4] =
        [("stop", Self::Stop), ("tear", Self::Tear), ("fail", Self::Fail), ("full", Self::Full)];
}

/// Text that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "write it as DISK:KIND@N, where KIND is `stop`, `tear`, `fail` or `full`, and N counts writes from 1"
)]
pub struct FaultSyntax;

impl FromStr for DiskFault {
    type Err = FaultSyntax;

    fn from_str(text: &str) -> Result<Self, FaultSyntax> {
        let (disk, what) = text.split_once(':').ok_or(FaultSyntax)?;
        let (kind, at) = what.split_once('@').ok_or(FaultSyntax)?;
        let known = FaultKind::WORDS.iter().find(|(word, _)| *word == kind);
        let (_, kind) = *known.ok_or(FaultSyntax)?;
        let at = at.parse().ok().filter(|&at| at > 0).ok_or(FaultSyntax)?;
        Ok(Self { disk: disk.to_owned(), kind, at })
    }
}

/// The faults of one disk, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: Vec<(u64, FaultKind)>,
    writes: u64,
    is_full: bool,
}

impl Faults {
    pub(super) fn of<'a>(faults: impl Iterator<Item = &'a DiskFault>) -> Self {
        let planned = faults.map(|fault| (fault.at, fault.kind)).collect();
        Self { planned, writes: 0, is_full: false }
    }

    /// Counts a write; what happens to it.
    pub(super) fn count(&mut self) -> Option<FaultKind> {
        self.writes += 1;
        let due = self.planned.iter().find(|(at, _)| *at == self.writes).map(|(_, kind)| *kind);
        self.is_full |= due == Some(FaultKind::Full);
        due.or(self.is_full.then_some(FaultKind::Full))
    }
}

/// Ends this process as a crash of the host would: nothing more is done.
pub(super) fn die() -> ! {
    log::warn!("an injected fault of a disk kills this process");
    loop {
        // It cannot be refused, and does not return to its receiver.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        for (word, kind) in FaultKind::WORDS {
            let fault = DiskFault { disk: "log".to_owned(), kind, at: 12 };
            assert_eq!(format!("log:{word}@12").parse(), Ok(fault));
        }
        for text in ["", "log", "log:stop", "stop@1", "log:stop@0", "log:stop@x", "log:halt@1"] {
            assert_eq!(text.parse::<DiskFault>(), Err(FaultSyntax), "{text}");
        }
    }

    #[test]
    fn faults_happen_at_their_writes_and_a_full_disk_stays_full() {
        let at = |kind, at| DiskFault { disk: String::new(), kind, at };
        let planned = [at(FaultKind::Full, 4), at(FaultKind::Fail, 2), at(FaultKind::Tear, 6)];
        let mut faults = Faults::of(planned.iter());
        let met: Vec<_> = (0..7).map(|_| faults.count()).collect();
        let (fail, full, tear) = (FaultKind::Fail, FaultKind::Full, FaultKind::Tear);
        assert_eq!(met, [None, Some(fail), None, Some(full), Some(full), Some(tear), Some(full)]);
    }
}
