//! What a domain is, apart from its machine: a checkpoint that was taken while it was at rest, for
//! a snapshot, and from which a domain can begin elsewhere.

use std::time::Duration;

use crate::machine::MachineError;
use crate::machine::memory::Contents;
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
    /// Bytes of what was in memory.
    pub fn bytes(&self) -> u64 {
        [&self.memory].into_iter().chain(&self.state).map(|part| part.bytes.len() as u64).sum()
    }
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
