//! The executable of an image, for debuggers: the payload, followed by sections and the names of
//! all functions.

use crate::image::{Image, Rights, Segment};

const PROGRAM_HEADERS: usize = 64;
const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;

/// Where the file header says where the section headers are, how long, how many, and which of them
/// has their names.
const SECTIONS_AT: usize = 40;
const SECTION_SIZES_AT: usize = 58;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_NOBITS: u32 = 8;
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
/// A function that all may see.
const GLOBAL_FUNCTION: u8 = 1 << 4 | 2;

/// One section header, but for its name.
#[derive(Default)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    entry: u64,
}

/// Strings, each ended by a zero; the first is empty.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// The ELF file of an image.
pub(crate) fn write(image: &Image, offsets: &[u64]) -> Vec<u8> {
    let mut file = image.payload().to_vec();
    let mut names = Strings(vec![0]);
    let mut sections = vec![Section::default()];
    sections.extend(image.segments().iter().zip(offsets).map(|(segment, &offset)| Section {
        name: names.add(section_name(segment)),
        ..section(segment, offset)
    }));
    let (symbols, strings) = symbols(image);
    let link = sections.len() as u32 + 1;
    let size = symbols.len() as u64;
    let (name, offset) = (names.add(".symtab"), append(&mut file, &symbols));
    sections.push(Section {
        name,
        kind: SHT_SYMTAB,
        offset,
        size,
        link,
        info: 1, // the first that all may see
        entry: SYMBOL as u64,
        ..Section::default()
    });
    let (name, names_name) = (names.add(".strtab"), names.add(".shstrtab"));
    for (name, strings) in [(name, strings), (names_name, names.0)] {
        let (size, offset) = (strings.len() as u64, append(&mut file, &strings));
        sections.push(Section { name, kind: SHT_STRTAB, offset, size, ..Section::default() });
    }
    let headers: Vec<u8> = sections.iter().flat_map(header).collect();
    let at = append(&mut file, &headers);
    let count = sections.len() as u16;
    file[SECTIONS_AT..SECTIONS_AT + 8].copy_from_slice(&at.to_le_bytes());
    let sizes = [SECTION_HEADER as u16, count, count - 1].map(u16::to_le_bytes).concat();
    file[SECTION_SIZES_AT..SECTION_SIZES_AT + 6].copy_from_slice(&sizes);
    file
}

/// Adds a part on a boundary of eight bytes; returns where it is.
fn append(file: &mut Vec<u8>, part: &[u8]) -> u64 {
    file.resize(file.len().next_multiple_of(8), 0);
    let at = file.len() as u64;
    file.extend(part);
    at
}

fn section_name(segment: &Segment) -> &'static str {
    match (segment.supervisor, segment.rights) {
        (true, _) => ".stubs",
        (_, Rights::ReadExecute) => ".text",
        (_, Rights::Read) => ".rodata",
        (_, Rights::ReadWrite) if segment.file_size == 0 => ".bss",
        (_, Rights::ReadWrite) => ".data",
    }
}

/// A section of a segment's bytes; without any, of its place.
fn section(segment: &Segment, offset: u64) -> Section {
    let rights = match segment.rights {
        Rights::Read => 0,
        Rights::ReadWrite => SHF_WRITE,
        Rights::ReadExecute => SHF_EXECINSTR,
    };
    let empty = segment.file_size == 0;
    Section {
        kind: if empty { SHT_NOBITS } else { SHT_PROGBITS },
        flags: SHF_ALLOC | rights,
        address: segment.vaddr,
        offset,
        size: if empty { segment.mem_size } else { segment.file_size },
        ..Section::default()
    }
}

fn header(section: &Section) -> Vec<u8> {
    let Section { name, kind, flags, address, offset, size, link, info, entry } = *section;
    let mut header = Vec::with_capacity(SECTION_HEADER);
    header.extend([name, kind].into_iter().flat_map(u32::to_le_bytes));
    header.extend([flags, address, offset, size].into_iter().flat_map(u64::to_le_bytes));
    header.extend([link, info].into_iter().flat_map(u32::to_le_bytes));
    header.extend([1, entry].into_iter().flat_map(u64::to_le_bytes));
    header
}

/// The table of functions, and their names.
fn symbols(image: &Image) -> (Vec<u8>, Vec<u8>) {
    let mut names = Strings(vec![0]);
    let mut table = vec![0; SYMBOL];
    for symbol in image.symbols() {
        let holds = |segment: &Segment| (segment.vaddr..segment.end()).contains(&symbol.start);
        // Section 0 stands for none, so segments count from 1.
        let section = image.segments().iter().position(holds).map_or(0, |index| index + 1);
        table.extend(names.add(symbol.name).to_le_bytes());
        table.extend([GLOBAL_FUNCTION, 0]);
        table.extend((section as u16).to_le_bytes());
        table.extend([symbol.start, symbol.size].into_iter().flat_map(u64::to_le_bytes));
    }
    (table, names.0)
}

const _: () = assert!(SECTIONS_AT < PROGRAM_HEADERS && SECTION_SIZES_AT + 6 == PROGRAM_HEADERS);
