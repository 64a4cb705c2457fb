//! Owns what one side of a measurement is told, and what it tells.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::wire::{Case, Outcome};

/// Which side of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The side that sends first.
    First,
    /// The side that answers, or only receives.
    Second,
}

/// One side's part of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// What is measured.
    pub case: Case,
    /// This side.
    pub role: Role,
    /// How long to measure.
    pub milliseconds: u64,
    /// The CPUs of the two sides.
    pub cpus: [usize; 2],
    /// A directory for this round alone. Whatever a peer has to name, it names after it.
    pub room: PathBuf,
    /// The process that started this one.
    pub parent: i32,
}

impl Task {
    /// The time of the round.
    pub fn budget(&self) -> Budget {
        Budget::of_milliseconds(self.milliseconds)
    }

    /// The CPU of a side.
    pub fn cpu(&self, role: Role) -> usize {
        match role {
            Role::First => self.cpus[0],
            Role::Second => self.cpus[1],
        }
    }

    /// Leaves what came of this side for whoever started it.
    pub fn report(&self, outcome: &Outcome) -> Result<()> {
        let path = report_path(&self.room, self.role);
        let text = serde_json::to_string(outcome).context("cannot write an outcome as JSON")?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What a side left, if it left anything.
pub fn read_report(room: &Path, role: Role) -> Result<Option<Outcome>> {
    let path = report_path(room, role);
    if !path.exists() {
        return Ok(None);
    }
    let text =
        fs::read(&path).with_context(|| format!("cannot read the report {}", path.display()))?;
    let outcome = serde_json::from_slice(&text)
        .with_context(|| format!("{} holds no outcome", path.display()))?;
    Ok(Some(outcome))
}

fn report_path(room: &Path, role: Role) -> PathBuf {
    room.join(match role {
        Role::First => "first.json",
        Role::Second => "second.json",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    #[test]
    fn a_report_is_read_back_and_an_absent_one_is_none() {
        let room = tempfile::tempdir().expect("there is a place for temporary files");
        let task = Task {
            case: subjects::cases().remove(0),
            role: Role::Second,
            milliseconds: 1,
            cpus: [0, 0],
            room: room.path().to_path_buf(),
            parent: 1,
        };
        task.report(&Outcome::Rate(2.5)).expect("the room can be written to");
        let read = |role| read_report(room.path(), role).expect("it can be read");
        assert_eq!(read(Role::Second), Some(Outcome::Rate(2.5)));
        assert_eq!(read(Role::First), None);
    }
}
