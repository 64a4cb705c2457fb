//! Turns a linker's segments into an image's: whole pages each, the stubs apart.
//!
//! Linkers pack files tightly, so a segment may begin within a page; it is widened downwards
//! with zeros. Segments that meet in a page become one if their rights agree, and are an error
//! otherwise, because a page has only one set of rights.

use super::BuildError;
use super::elf::{Elf, Load, Section};
use crate::check;
use crate::error::shown;
use crate::image::{Rights, Segment};
use crate::layout::{FILE_MAX, is_page_start, page_ceil, page_floor};
use crate::wire;
use atoll_ipc::abi::{STUB_COUNT, STUB_STRIDE, STUBS_SECTION};

/// Where the stubs section lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stubs {
    pub start: u64,
    pub end: u64,
}

/// A part of a linker's segment, all of it stubs or none.
#[derive(Clone, Copy)]
struct Piece<'a> {
    load: Load<'a>,
    supervisor: bool,
}

/// A segment of the image, with its bytes.
pub(super) struct Run {
    start: u64,
    end: u64,
    /// Where the last piece began, for messages.
    last: u64,
    rights: Rights,
    supervisor: bool,
    pub bytes: Vec<u8>,
}

impl Run {
    pub fn shape(&self) -> Segment {
        Segment {
            vaddr: self.start,
            file_size: self.bytes.len() as u64,
            mem_size: self.end - self.start,
            rights: self.rights,
            supervisor: self.supervisor,
        }
    }

    pub fn record(&self) -> wire::Segment {
        wire::Segment {
            vaddr: self.start,
            file_size: self.bytes.len() as u64,
            mem_size: self.end - self.start,
            write: self.rights.write(),
            execute: self.rights.execute(),
            supervisor: self.supervisor,
        }
    }
}

/// Finds the stubs section, and checks that its pages are its own.
pub(super) fn stubs(elf: &Elf<'_>) -> Result<Option<Stubs>, BuildError> {
    let Some(section) = elf.section(STUBS_SECTION) else {
        return Ok(None);
    };
    let (vaddr, size) = (section.vaddr, section.size);
    if !is_page_start(vaddr) {
        return Err(BuildError::StubsMisaligned { vaddr });
    }
    if size < STUB_COUNT * STUB_STRIDE {
        return Err(BuildError::StubsShort { size });
    }
    let load = elf.loads.iter().find(|load| holds(load, section));
    let load = load.ok_or(BuildError::StubsNotLoaded { vaddr })?;
    if load.rights != Rights::ReadExecute {
        return Err(BuildError::StubsRights { vaddr, rights: load.rights.as_str() });
    }
    let stubs = Stubs { start: vaddr, end: vaddr + size };
    match elf.sections.iter().find(|other| other.name != STUBS_SECTION && meets(other, stubs)) {
        Some(Section { name, vaddr, .. }) => {
            Err(BuildError::StubsNotAlone { section: shown(name), vaddr: *vaddr })
        }
        None => Ok(Some(stubs)),
    }
}

/// Whether all bytes of the section are bytes of the segment.
fn holds(load: &Load<'_>, section: &Section<'_>) -> bool {
    let length = load.bytes.len() as u64;
    section.vaddr >= load.vaddr
        && section.size <= length
        && section.vaddr - load.vaddr <= length - section.size
}

/// Whether the section has memory in a page of the stubs.
fn meets(section: &Section<'_>, stubs: Stubs) -> bool {
    section.in_memory()
        && section.vaddr < page_ceil(stubs.end)
        && section.vaddr.saturating_add(section.size) > stubs.start
}

/// Lays out the image's segments, by ascending address.
pub(super) fn lay_out(elf: &Elf<'_>, stubs: Option<Stubs>) -> Result<Vec<Run>, BuildError> {
    let mut loads = elf.loads.clone();
    loads.sort_by_key(|load| load.vaddr);
    for pair in loads.windows(2) {
        let (first, second) = (pair[0].vaddr, pair[1].vaddr);
        if first + pair[0].mem_size > second {
            return Err(BuildError::Overlap { first, second });
        }
    }
    let mut runs = Vec::new();
    let mut total = 0;
    for piece in loads.into_iter().flat_map(|load| carve(load, stubs)) {
        total += place(&mut runs, &piece)?;
        if total > FILE_MAX {
            return Err(BuildError::TooLarge { length: total });
        }
    }
    Ok(runs)
}

/// Parts a segment into what lies below, in and above the pages of the stubs.
fn carve(load: Load<'_>, stubs: Option<Stubs>) -> Vec<Piece<'_>> {
    let whole = Piece { load, supervisor: false };
    let Some(stubs) = stubs.filter(|stubs| load.vaddr <= stubs.start) else {
        return vec![whole];
    };
    if load.vaddr + load.mem_size <= stubs.start {
        return vec![whole];
    }
    let (below, rest) = split(load, stubs.start);
    let (own, rest) = split(rest, stubs.end);
    let (_padding, above) = split(rest, page_ceil(stubs.end));
    [(below, false), (own, true), (above, false)]
        .into_iter()
        .filter(|(load, _)| load.mem_size > 0)
        .map(|(load, supervisor)| Piece { load, supervisor })
        .collect()
}

/// Parts a segment at an address; a part may be empty.
fn split(load: Load<'_>, at: u64) -> (Load<'_>, Load<'_>) {
    let size = at.saturating_sub(load.vaddr).min(load.mem_size);
    let cut = load.bytes.len().min(size as usize);
    let (below, above) = load.bytes.split_at(cut);
    let vaddr = load.vaddr + size;
    (
        Load { mem_size: size, bytes: below, ..load },
        Load { vaddr, mem_size: load.mem_size - size, bytes: above, ..load },
    )
}

/// Whether a segment that begins here begins in the run's last page.
fn meet(run: &Run, vaddr: u64) -> bool {
    page_floor(vaddr) < page_ceil(run.end)
}

/// Adds a piece to the run whose last page it begins in, or makes it a run of its own. Returns
/// by how many bytes the image grew.
fn place(runs: &mut Vec<Run>, piece: &Piece<'_>) -> Result<u64, BuildError> {
    let Piece { load, supervisor } = *piece;
    match runs.last_mut().filter(|run| meet(run, load.vaddr)) {
        Some(run) if (run.rights, run.supervisor) != (load.rights, supervisor) => {
            Err(BuildError::SharedPage {
                first: run.last,
                first_rights: rights_text(run.rights, run.supervisor),
                second: load.vaddr,
                second_rights: rights_text(load.rights, supervisor),
                page: page_floor(load.vaddr),
            })
        }
        Some(run) => extend(run, &load),
        None => {
            let start = page_floor(load.vaddr);
            let rights = load.rights;
            let mut run =
                Run { start, end: start, last: start, rights, supervisor, bytes: Vec::new() };
            let grown = extend(&mut run, &load)?;
            runs.push(run);
            Ok(grown)
        }
    }
}

fn rights_text(rights: Rights, supervisor: bool) -> String {
    if supervisor { format!("{rights} of ring 0") } else { rights.to_string() }
}

/// Appends a segment to a run, with zeros in between if it has bytes. Refuses before it
/// allocates: what lies between may be a large zeroed area.
fn extend(run: &mut Run, load: &Load<'_>) -> Result<u64, BuildError> {
    run.end = load.vaddr + load.mem_size;
    run.last = load.vaddr;
    if load.bytes.is_empty() {
        return Ok(0);
    }
    let before = run.bytes.len();
    let length = load.vaddr - run.start + load.bytes.len() as u64;
    if length > FILE_MAX {
        return Err(BuildError::TooLarge { length });
    }
    run.bytes.resize((load.vaddr - run.start) as usize, 0);
    run.bytes.extend_from_slice(load.bytes);
    Ok(length - before as u64)
}

/// Checks that the program begins in its own text.
pub(super) fn check_entry(entry: u64, runs: &[Run]) -> Result<(), BuildError> {
    if runs.iter().any(|run| check::is_entry(entry, &run.shape())) {
        return Ok(());
    }
    Err(BuildError::EntryOutsideText { entry })
}
