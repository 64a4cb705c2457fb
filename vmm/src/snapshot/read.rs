//! From a file to checkpoints.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use atoll_ipc::abi::layout::{MEMORY_MAX, PAGE, STATE_MAX};

use super::error::{SnapshotError, Unreadable};
use super::facts::{DomainFacts, OnDisk};
use super::format::{Area, DomainHead, Head, MEMORY, STATE, split};
use super::host::HostFacts;
use crate::domain::Checkpoint;
use crate::machine::memory::Contents;
use crate::machine::vcpu::Point;

/// The last epoch from which another one can be counted for long enough.
const EPOCH_MAX: u32 = u32::MAX / 2;

/// A file that is in order.
#[derive(Debug)]
pub struct Snapshot {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Version of the VMM that wrote it.
    pub vmm: String,
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
    pub domains: Vec<Saved>,
}

/// One domain of it.
#[derive(Debug)]
pub struct Saved {
    /// What it must be like.
    pub facts: DomainFacts,
    /// From where it goes on.
    pub checkpoint: Checkpoint,
}

impl Snapshot {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not in order.
    pub fn read(file: &Path) -> Result<Self, SnapshotError> {
        let failed = |cause| SnapshotError::Io { file: file.to_owned(), cause };
        let bytes = bytes_of(file).map_err(failed)?;
        let unreadable = |cause| SnapshotError::Unreadable { file: file.to_owned(), cause };
        Self::parse(file, &bytes).map_err(unreadable)
    }

    fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Unreadable> {
        let parts = split(bytes)?;
        let Head { vmm, host, system, manifest, is_whole, on_disks, taken, stood, domains } =
            parts.head;
        let mut rest = parts.contents;
        let domains = domains.into_iter().map(|head| saved(head, &mut rest));
        let domains = domains.collect::<Result<Vec<_>, _>>()?;
        if !rest.is_empty() {
            let why = format!("{} bytes of memory are nobody's", rest.len());
            return Err(Unreadable::Head { why });
        }
        let (file, bytes) = (file.to_owned(), bytes.len() as u64);
        Ok(Self {
            file,
            bytes,
            vmm,
            host,
            system,
            manifest,
            is_whole,
            on_disks,
            taken,
            stood,
            domains,
        })
    }

    /// What it has of a domain.
    pub fn domain(&self, name: &str) -> Option<&Saved> {
        self.domains.iter().find(|saved| saved.facts.name == name)
    }
}

/// The whole of a file, if it is one and there is memory for it.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe of that name must not keep anybody waiting.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let no_memory = |error| io::Error::new(io::ErrorKind::OutOfMemory, error);
    let length = usize::try_from(metadata.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(no_memory)?;
    // One that grows meanwhile is longer than it says, and refused for that.
    file.take(metadata.len() + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn saved(head: DomainHead, rest: &mut &[u8]) -> Result<Saved, Unreadable> {
    let DomainHead { facts, epoch, registers, vectors, areas } = head;
    let domain = || facts.name.clone();
    if !(1..=EPOCH_MAX).contains(&epoch) {
        return Err(Unreadable::Epoch { domain: domain(), epoch });
    }
    let point = Point::from_parts(&registers, &vectors)
        .map_err(|cause| Unreadable::Point { domain: domain(), cause })?;
    let (mut memory, mut state) = (None, None);
    for area in areas {
        let (place, size) = match area.name.as_str() {
            MEMORY => (&mut memory, facts.memory.min(MEMORY_MAX)),
            STATE => (&mut state, facts.state.min(STATE_MAX)),
            _ => return Err(Unreadable::Area { domain: domain(), area: area.name }),
        };
        if place.replace(contents(&facts.name, &area, size, rest)?).is_some() {
            let why = format!("domain `{}` has its {} twice", facts.name, area.name);
            return Err(Unreadable::Head { why });
        }
    }
    match memory {
        Some(memory) if state.is_some() == (facts.state > 0) => {
            Ok(Saved { facts, checkpoint: Checkpoint { epoch, point, memory, state } })
        }
        _ => {
            let why = format!("domain `{}` lacks a part of its memory", facts.name);
            Err(Unreadable::Head { why })
        }
    }
}

/// The contents of an area, which are next in the file: whole pages, in their order,
/// below `size`.
fn contents(
    domain: &str,
    area: &Area,
    size: u64,
    rest: &mut &[u8],
) -> Result<Contents, Unreadable> {
    let wrong = |address| Unreadable::Extent { domain: domain.to_owned(), address };
    let mut contents = Contents::default();
    let mut free = 0;
    for &(start, length) in &area.extents {
        let end = start.checked_add(length).ok_or_else(|| wrong(start))?;
        let is_whole = start.is_multiple_of(PAGE) && length.is_multiple_of(PAGE) && length > 0;
        if !is_whole || start < free || end > size {
            return Err(wrong(start));
        }
        free = end;
        let (bytes, others) = rest.split_at_checked(length as usize).ok_or_else(|| wrong(start))?;
        *rest = others;
        contents.bytes.extend_from_slice(bytes);
        contents.extents.push(start..end);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests;
