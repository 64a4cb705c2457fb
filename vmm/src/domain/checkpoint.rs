//! What a domain is, apart from its machine: a checkpoint that was taken while it was at rest, for
//! a snapshot, and from which a domain can begin elsewhere.

use std::time::Duration;

use super::blueprint::Blueprint;
use crate::machine::MachineError;
use crate::machine::memory::{Contents, DomainMemory, Validity};
use crate::machine::vcpu::Point;

/// A domain at rest.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The incarnation that it was.
    pub epoch: u32,
    /// Where its vCPU stood.
    pub point: Point,
    /// What was in the memory that ring 3 can write. All else follows from its image and its
    /// manifest.
    pub memory: Contents,
    /// What was in its state region, if it has one.
    pub state: Option<Contents>,
}

impl Checkpoint {
    /// Has a domain begin here whose memory nobody has written yet.
    ///
    /// What is kept in a state region moves on from here, and this memory fits it no longer: later
    /// incarnations begin at the image, and look at the region as they find it.
    ///
    /// # Errors
    /// If the contents are not in memory that ring 3 can write, or the host has no memory.
    pub fn place(&self, blueprint: &Blueprint, memory: &DomainMemory) -> Result<(), MachineError> {
        let is_kept = blueprint.state.is_some();
        let validity = if is_kept { Validity::Once } else { Validity::Lasting };
        memory.begin_with(&blueprint.writable(), &self.memory, validity)?;
        match (&blueprint.state, &self.state) {
            (Some(region), Some(contents)) => region.begin_with(contents),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Bytes of what was in memory.
    pub fn bytes(&self) -> u64 {
        [&self.memory].into_iter().chain(&self.state).map(|part| part.bytes.len() as u64).sum()
    }
}

/// Room for the copies that a checkpoint is made of: empty, with memory behind it.
#[derive(Debug, Default)]
pub struct Room {
    /// For the memory.
    pub memory: Vec<u8>,
    /// For the state region.
    pub state: Vec<u8>,
}

/// A checkpoint, and how long the domain stood still for it.
#[derive(Debug)]
pub struct Taken {
    /// The domain's number.
    pub domain: u32,
    /// The checkpoint, if it could be taken.
    pub checkpoint: Result<Checkpoint, MachineError>,
    /// How long the domain stood still.
    pub stood: Duration,
}
