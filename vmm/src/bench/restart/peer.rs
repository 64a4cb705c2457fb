//! Processes that are killed and started again, in the same run: measured by the program of peers.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::wire::{Answer, Program, Question, Way};
use crate::bench::histogram;
use crate::bench::peers::{self, PeerError, Running};
use crate::bench::statistics::Times;

/// No round takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// A peer that failed this often is not tried again.
const FAILURES_MAX: usize = 2;

/// A kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// The program.
    pub program: Program,
    /// How a process is made for it.
    pub way: Way,
}

impl Process {
    /// Every kind.
    pub const ALL: [Self; 6] = {
        use Program::{Dynamic, Static, Tiny};
        use Way::{Fork, Vfork};
        [
            Self { program: Dynamic, way: Fork },
            Self { program: Dynamic, way: Vfork },
            Self { program: Static, way: Fork },
            Self { program: Static, way: Vfork },
            Self { program: Tiny, way: Fork },
            Self { program: Tiny, way: Vfork },
        ]
    };
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = match self.program {
            Program::Dynamic => "Rust, dynamic glibc",
            Program::Static => "Rust, static glibc",
            Program::Tiny => "tiny, static, no libc",
        };
        let way = match self.way {
            Way::Fork => "fork+exec",
            Way::Vfork => "vfork+exec",
        };
        write!(f, "process: {program}, {way}")
    }
}

/// What came of a kind of process.
#[derive(Clone, Debug, Serialize)]
pub struct PeerResult {
    /// Which.
    #[serde(flatten)]
    pub process: Process,
    /// From before the kill until the first reply of the next process.
    pub restarts: Option<Times>,
    /// From before the start until the first reply.
    pub starts: Option<Times>,
    /// Why rounds failed.
    pub failures: Vec<String>,
}

/// All kinds, and what came of their rounds so far.
#[derive(Debug)]
pub(in crate::bench) struct Peers {
    program: peers::Program,
    running: Option<Running>,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    process: Process,
    restarts: Vec<Histogram<u64>>,
    starts: Vec<Histogram<u64>>,
    failures: Vec<String>,
}

impl Peers {
    /// Those that this program measures.
    pub(in crate::bench) fn of(program: &Path, processes: &[Process]) -> Self {
        let found = processes.iter().map(|&process| Found {
            process,
            restarts: Vec::new(),
            starts: Vec::new(),
            failures: Vec::new(),
        });
        let program = peers::Program::new(program, PATIENCE);
        Self { program, running: None, found: found.collect() }
    }

    /// Kills each kind so often.
    pub(in crate::bench) fn round(&mut self, kills: u32, watch: &mut dyn FnMut(&Process)) {
        for at in 0..self.found.len() {
            let process = self.found[at].process;
            watch(&process);
            if self.found[at].failures.len() >= FAILURES_MAX {
                continue;
            }
            let answer = self.ask(&Question { program: process.program, way: process.way, kills });
            if let Err(reason) = self.found[at].take(answer) {
                self.found[at].failures.push(reason);
            }
        }
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, PeerError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.program.start("lives")?,
        };
        // One that failed is not kept: its next answer might be to an older question.
        let answer = self.program.ask(&mut running, question)?;
        self.running = Some(running);
        Ok(answer)
    }

    /// What came of all rounds.
    pub(in crate::bench) fn results(self) -> Vec<PeerResult> {
        let result = |found: Found| PeerResult {
            process: found.process,
            restarts: Times::of(&found.restarts.iter().collect::<Vec<_>>()),
            starts: Times::of(&found.starts.iter().collect::<Vec<_>>()),
            failures: found.failures,
        };
        self.found.into_iter().map(result).collect()
    }
}

impl Found {
    fn take(&mut self, answer: Result<Answer, PeerError>) -> Result<(), String> {
        match answer.map_err(|error| error.to_string())? {
            Answer::Times { restarts, starts } => {
                let restarts = of_nanoseconds(&restarts);
                let starts = of_nanoseconds(&starts);
                let (Some(restarts), Some(starts)) = (restarts, starts) else {
                    return Err("it measured nothing".to_owned());
                };
                self.restarts.push(restarts);
                self.starts.push(starts);
                Ok(())
            }
            Answer::Failed(reason) => Err(reason),
        }
    }
}

/// Times as a histogram; None without any.
pub(in crate::bench) fn of_nanoseconds(times: &[u64]) -> Option<Histogram<u64>> {
    let mut histogram = histogram::empty().ok()?;
    times.iter().for_each(|&time| histogram.saturating_record(time));
    (!histogram.is_empty()).then_some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    use tempfile::TempDir;

    /// A program that answers each question with this.
    fn script(answer: &str) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        let text = format!("#!/bin/sh\nwhile read line; do echo '{answer}'; done\n");
        // Another program writes it: a file that is open for writing here may be so for a moment in
        // a child that another test starts, and cannot be started itself meanwhile.
        let write = "printf %s \"$1\" >\"$2\" && chmod +x \"$2\"";
        let written = Command::new("sh").args(["-c", write, "sh", &text]).arg(&path).status();
        assert!(written.unwrap().success());
        (dir, path)
    }

    fn measured(answer: &str, rounds: u32) -> (PeerResult, u32) {
        let (_dir, path) = script(answer);
        let mut peers = Peers::of(&path, &Process::ALL[..1]);
        let mut watched = 0;
        (0..rounds).for_each(|_| peers.round(3, &mut |_| watched += 1));
        (peers.results().remove(0), watched)
    }

    #[test]
    fn times_of_all_rounds_are_one_result() {
        let answer = r#"{"times":{"restarts":[5000,7000],"starts":[4000,4000]}}"#;
        let (result, watched) = measured(answer, 3);
        assert_eq!((result.restarts.unwrap().count, result.starts.unwrap().count), (6, 6));
        assert_eq!((watched, result.failures.len()), (3, 0));
    }

    #[test]
    fn a_peer_that_keeps_failing_is_given_up() {
        for answer in [r#"{"failed":"no fork"}"#, r#"{"times":{"restarts":[],"starts":[]}}"#] {
            let (result, _) = measured(answer, 5);
            assert!(result.restarts.is_none());
            assert_eq!(result.failures.len(), FAILURES_MAX, "{:?}", result.failures);
        }
    }
}
