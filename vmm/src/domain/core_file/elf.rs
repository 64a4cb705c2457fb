//! The core file as a whole: ELF headers, notes, memory, one after the other.

use atoll_image::Rights;
use atoll_ipc::abi::layout::PAGE;

use super::notes::{self, Names, Standing};
use super::pages::{self, Load, Source};
use super::{Blueprint, CoreError};
use crate::machine::MachineError;
use crate::machine::memory::DomainMemory;

const FILE_HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;

const ET_CORE: u16 = 4;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

/// The core file of a domain whose vCPUs stand still.
pub fn write(
    names: &Names,
    standing: Vec<Standing>,
    memory: &DomainMemory,
    blueprint: &Blueprint,
) -> Result<Vec<u8>, CoreError> {
    let notes = notes::write(names, standing);
    let source = Source::of(memory, blueprint);
    let loads = pages::loads(&source, blueprint)?;
    let mut file = headers(&loads, notes.len() as u64);
    let stored: u64 = loads.iter().map(length).sum();
    let length = memory_offset(loads.len(), notes.len() as u64) + stored;
    let room = usize::try_from(length).ok().and_then(|bytes| bytes.checked_sub(file.len()));
    room.and_then(|room| file.try_reserve_exact(room).ok())
        .ok_or(CoreError::NoMemory { bytes: length })?;
    file.extend(notes);
    file.resize((length - stored) as usize, 0);
    loads.iter().try_for_each(|load| copy(&mut file, &source, load))?;
    Ok(file)
}

fn copy(file: &mut Vec<u8>, memory: &Source<'_>, load: &Load) -> Result<(), MachineError> {
    let start = file.len();
    file.resize(start + length(load) as usize, 0);
    memory.read(load.stored.start, &mut file[start..])
}

fn length(load: &Load) -> u64 {
    load.stored.end - load.stored.start
}

fn notes_offset(loads: usize) -> u64 {
    FILE_HEADER + PROGRAM_HEADER * (1 + loads as u64)
}

fn memory_offset(loads: usize, notes: u64) -> u64 {
    (notes_offset(loads) + notes).next_multiple_of(PAGE)
}

fn headers(loads: &[Load], notes: u64) -> Vec<u8> {
    let mut headers = file_header(1 + loads.len() as u16);
    let at = notes_offset(loads.len());
    headers.extend(program_header(PT_NOTE, 0, [at, 0, 0, notes, 0, 4]));
    let mut at = memory_offset(loads.len(), notes);
    for load in loads {
        let (address, memory) = (load.stored.start, load.end - load.stored.start);
        let fields = [at, address, address, length(load), memory, PAGE];
        headers.extend(program_header(PT_LOAD, flags(load.rights), fields));
        at += length(load);
    }
    headers
}

const fn flags(rights: Rights) -> u32 {
    match rights {
        Rights::Read => PF_R,
        Rights::ReadWrite => PF_R | PF_W,
        Rights::ReadExecute => PF_R | PF_X,
    }
}

fn file_header(segments: u16) -> Vec<u8> {
    // 64 bits, little-endian, version 1.
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([ET_CORE, EM_X86_64].into_iter().flat_map(u16::to_le_bytes));
    header.extend(1u32.to_le_bytes());
    // No entry, program headers at once, no section headers.
    header.extend([0, FILE_HEADER, 0].into_iter().flat_map(u64::to_le_bytes));
    header.extend(0u32.to_le_bytes());
    let sizes = [FILE_HEADER as u16, PROGRAM_HEADER as u16, segments, 0, 0, 0];
    header.extend(sizes.into_iter().flat_map(u16::to_le_bytes));
    header
}

/// Its fields are offset, address, physical address, bytes in the file, bytes in memory, alignment.
fn program_header(kind: u32, flags: u32, fields: [u64; 6]) -> Vec<u8> {
    let mut header = Vec::with_capacity(PROGRAM_HEADER as usize);
    header.extend([kind, flags].into_iter().flat_map(u32::to_le_bytes));
    header.extend(fields.into_iter().flat_map(u64::to_le_bytes));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_long_as_they_say_and_name_the_places_of_all_parts() {
        let loads = [
            Load { stored: 0x1000..0x3000, end: 0x9000, rights: Rights::ReadExecute },
            Load { stored: 0x10_0000..0x10_0000, end: 0x10_2000, rights: Rights::ReadWrite },
            Load { stored: 0x20_0000..0x20_1000, end: 0x20_1000, rights: Rights::Read },
        ];
        let headers = headers(&loads, 100);
        assert_eq!(headers.len() as u64, notes_offset(3));
        let header = |n: usize| &headers[64 + 56 * n..][..56];
        let field = |n: usize, at: usize| {
            u64::from_le_bytes(header(n)[8 + 8 * at..][..8].try_into().unwrap())
        };
        assert_eq!((field(0, 0), field(0, 3)), (64 + 4 * 56, 100));
        assert_eq!((field(1, 0), field(1, 3), field(1, 4)), (0x1000, 0x2000, 0x8000));
        assert_eq!((field(2, 3), field(2, 4)), (0, 0x2000));
        assert_eq!((field(3, 0), field(3, 1)), (0x3000, 0x20_0000));
    }
}
