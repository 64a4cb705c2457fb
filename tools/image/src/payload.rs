//! The payload: a minimal ELF file that any ELF loader takes.
//!
//! Its headers follow from the segments and the entry alone, so the writer and the verifier are
//! the same code: the verifier makes the headers anew and compares.

use crate::error::ImageError;
use crate::image::{Rights, Segment};
use crate::layout::{PAGE_SIZE, page_ceil};

const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

const ET_EXEC: u16 = 2;
const EM_X86_64: u16 = 62;
const EV_CURRENT: u8 = 1;
const ELFCLASS64: u8 = 2;
const ELFDATA2LSB: u8 = 1;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

/// What the payload of these segments looks like.
pub(crate) struct Plan {
    /// The file header and the program headers.
    pub headers: Vec<u8>,
    /// Where the bytes of each segment begin.
    pub offsets: Vec<u64>,
    /// Length of the whole.
    pub length: u64,
}

/// Lays out the payload. The segments must have passed their checks, so that no sum overflows.
pub(crate) fn plan(segments: &[Segment], entry: u64) -> Plan {
    let mut headers = file_header(entry, segments.len() as u16);
    let mut length = (FILE_HEADER + PROGRAM_HEADER * segments.len()) as u64;
    let mut offsets = Vec::with_capacity(segments.len());
    for segment in segments {
        let offset = if segment.file_size > 0 { page_ceil(length) } else { 0 };
        if segment.file_size > 0 {
            length = offset + segment.file_size;
        }
        offsets.push(offset);
        headers.extend(program_header(segment, offset));
    }
    Plan { headers, offsets, length }
}

/// Checks that the payload is the one that its segments imply; returns where each begins.
pub(crate) fn verify(
    payload: &[u8],
    segments: &[Segment],
    entry: u64,
) -> Result<Vec<u64>, ImageError> {
    let plan = plan(segments, entry);
    let length = payload.len() as u64;
    if length != plan.length {
        return Err(ImageError::PayloadLength { length, expected: plan.length });
    }
    let differs = payload.iter().zip(&plan.headers).position(|(is, should)| is != should);
    match differs {
        Some(offset) => Err(ImageError::PayloadHeader { place: place_of(offset), offset }),
        None => Ok(plan.offsets),
    }
}

/// Writes the payload: the headers, then each segment's bytes on a page boundary.
#[cfg(any(feature = "build", test))]
pub(crate) fn write(segments: &[(Segment, &[u8])], entry: u64) -> Vec<u8> {
    let shapes: Vec<Segment> = segments.iter().map(|(segment, _)| *segment).collect();
    let plan = plan(&shapes, entry);
    let mut payload = plan.headers;
    for ((_, bytes), offset) in segments.iter().zip(plan.offsets) {
        if !bytes.is_empty() {
            payload.resize(offset as usize, 0);
            payload.extend_from_slice(bytes);
        }
    }
    payload
}

/// The header that holds this byte, for messages.
fn place_of(offset: usize) -> String {
    match offset.checked_sub(FILE_HEADER) {
        None => "file header".to_owned(),
        Some(into) => format!("program header {}", into / PROGRAM_HEADER),
    }
}

fn file_header(entry: u64, segments: u16) -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT];
    header.resize(16, 0);
    header.extend(ET_EXEC.to_le_bytes());
    header.extend(EM_X86_64.to_le_bytes());
    header.extend(u32::from(EV_CURRENT).to_le_bytes());
    header.extend(entry.to_le_bytes());
    header.extend((FILE_HEADER as u64).to_le_bytes());
    header.extend(0u64.to_le_bytes()); // no section headers
    header.extend(0u32.to_le_bytes()); // no flags
    header.extend((FILE_HEADER as u16).to_le_bytes());
    header.extend((PROGRAM_HEADER as u16).to_le_bytes());
    header.extend(segments.to_le_bytes());
    header.extend([0; 6]);
    header
}

fn program_header(segment: &Segment, offset: u64) -> Vec<u8> {
    let flags = match segment.rights {
        Rights::Read => PF_R,
        Rights::ReadWrite => PF_R | PF_W,
        Rights::ReadExecute => PF_R | PF_X,
    };
    let mut header = Vec::with_capacity(PROGRAM_HEADER);
    header.extend(PT_LOAD.to_le_bytes());
    header.extend(flags.to_le_bytes());
    let physical = segment.vaddr;
    let fields = [offset, segment.vaddr, physical, segment.file_size, segment.mem_size, PAGE_SIZE];
    header.extend(fields.into_iter().flat_map(u64::to_le_bytes));
    header
}
