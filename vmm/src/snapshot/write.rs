//! From checkpoints to a file's bytes.

use super::facts::{DomainFacts, OnDisk};
use super::format::{Area, DomainHead, Head, MEMORY, STATE, front};
use super::host::HostFacts;
use crate::domain::Checkpoint;
use crate::machine::memory::Contents;

/// A moment of a system, or of one domain.
#[derive(Debug)]
pub struct Shot {
    /// The host that it was taken on.
    pub host: HostFacts,
    /// The system's name.
    pub system: String,
    /// The text of its manifest.
    pub manifest: String,
    /// Whether it is one of the system, not of one domain.
    pub is_whole: bool,
    /// Domains of the system that are not in it.
    pub on_disks: Vec<OnDisk>,
    /// When it was taken, in microseconds since 1970.
    pub taken: u64,
    /// The longest time that a domain stood still for it, in microseconds.
    pub stood: u64,
    /// The domains.
    pub domains: Vec<(DomainFacts, Checkpoint)>,
}

/// The file, in pieces that follow each other.
///
/// # Errors
/// If what it says of itself cannot be encoded.
pub fn encode(shot: Shot) -> Result<Vec<Vec<u8>>, String> {
    let Shot { host, system, manifest, is_whole, on_disks, taken, stood, domains } = shot;
    let (mut heads, mut pieces) = (Vec::with_capacity(domains.len()), Vec::new());
    for (facts, checkpoint) in domains {
        let Checkpoint { epoch, point, memory, state } = checkpoint;
        if state.is_some() != (facts.state > 0) {
            return Err(format!("what {} has in its state region was not copied", facts.name));
        }
        let (registers, vectors) = point.to_parts();
        let all = [(MEMORY, Some(memory)), (STATE, state)];
        let all = all.into_iter().filter_map(|(name, contents)| Some((name, contents?)));
        let mut areas = Vec::new();
        for (name, contents) in all {
            areas.push(area(name, &contents));
            pieces.push(contents.bytes);
        }
        heads.push(DomainHead {
            facts,
            epoch,
            registers: registers.to_vec(),
            vectors: vectors.to_vec(),
            areas,
        });
    }
    let vmm = env!("CARGO_PKG_VERSION").to_owned();
    let head =
        Head { vmm, host, system, manifest, is_whole, on_disks, taken, stood, domains: heads };
    let front = front(&head, &pieces).map_err(|error| error.to_string())?;
    pieces.insert(0, front);
    Ok(pieces)
}

fn area(name: &str, contents: &Contents) -> Area {
    let extents = contents.extents.iter().map(|extent| (extent.start, extent.end - extent.start));
    Area { name: name.to_owned(), extents: extents.collect() }
}
