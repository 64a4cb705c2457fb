//! Writes small ELF files, right or wrong, for the tests of the builder.

use atoll_ipc::abi::{ABI_VERSION, Interface, Name};

pub const PT_LOAD: u32 = 1;
pub const SHT_PROGBITS: u32 = 1;
pub const R: u32 = 4;
pub const RW: u32 = 6;
pub const RX: u32 = 5;
pub const ALLOC: u64 = 2;

/// What the ports of [`Elf::server`] speak.
pub const CALLS: Interface = Interface::new(Name::new("echo"), 3, 0x0123_4567_89ab_cdef);
pub const CLIENTS: Interface = Interface::untyped(Name::new("redis-protocol"), 12);

/// An ELF file in the making. Every field may hold nonsense.
#[derive(Clone)]
pub struct Elf {
    pub class: u8,
    pub order: u8,
    pub kind: u16,
    pub machine: u16,
    pub entry: u64,
    pub segments: Vec<Segment>,
    pub sections: Vec<Section>,
    pub symbols: Vec<Symbol>,
}

#[derive(Clone)]
pub struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub vaddr: u64,
    pub mem_size: u64,
    pub bytes: Vec<u8>,
}

#[derive(Clone)]
pub struct Section {
    pub name: &'static str,
    pub kind: u32,
    pub flags: u64,
    pub vaddr: u64,
    pub bytes: Vec<u8>,
}

#[derive(Clone)]
pub struct Symbol {
    pub name: &'static str,
    pub start: u64,
    pub size: u64,
    /// The lower half of `st_info`; 2 is a function.
    pub kind: u8,
}

pub fn load(flags: u32, vaddr: u64, bytes: Vec<u8>, mem_size: u64) -> Segment {
    Segment { kind: PT_LOAD, flags, vaddr, mem_size, bytes }
}

pub fn section(name: &'static str, vaddr: u64, bytes: Vec<u8>) -> Section {
    Section { name, kind: SHT_PROGBITS, flags: ALLOC, vaddr, bytes }
}

/// A `ServerDecl` as it lies in memory.
pub fn server_record(name: &str) -> Vec<u8> {
    let mut record = Vec::new();
    record.extend(ABI_VERSION.to_le_bytes());
    record.extend(2u32.to_le_bytes());
    record.extend(padded(name));
    record.extend((1u64 << 20).to_le_bytes());
    record.extend((16u64 << 10).to_le_bytes());
    record
}

/// A `PortDecl` as it lies in memory.
pub fn port_record(name: &str, kind: u32, interface: &Interface) -> Vec<u8> {
    let mut record = padded(name).to_vec();
    record.extend(kind.to_le_bytes());
    record.extend(0u32.to_le_bytes());
    record.extend(interface.name.to_bytes());
    record.extend(interface.version.to_le_bytes());
    record.extend(interface.reserved.to_le_bytes());
    record.extend(interface.fingerprint.to_le_bytes());
    record
}

fn padded(name: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

impl Elf {
    /// Text and data, and nothing that a guest kernel would add.
    pub fn plain() -> Self {
        Self {
            class: 2,
            order: 1,
            kind: 2,
            machine: 62,
            entry: 0x40_1000,
            segments: vec![
                load(RX, 0x40_1000, vec![0x90; 64], 64),
                load(RW, 0x40_2008, vec![0xdd; 8], 0x1000),
            ],
            sections: vec![section(".text", 0x40_1000, vec![0x90; 64])],
            symbols: vec![function("_start", 0x40_1000, 16)],
        }
    }

    /// A server as the guest kernel makes it, with the stubs amid its text.
    pub fn server() -> Self {
        let stubs = vec![0xcc; 0x1000];
        let text = [vec![0x90; 0x1000], stubs.clone(), vec![0x91; 32]].concat();
        let ports = [port_record("calls", 0, &CALLS), port_record("clients", 1, &CLIENTS)];
        Self {
            segments: vec![
                load(R, 0x40_0000, vec![0xaa; 24], 24),
                load(RX, 0x40_1000, text, 0x2020),
                load(RW, 0x40_4010, vec![0xdd; 8], 0x1000),
            ],
            sections: vec![
                section(".text", 0x40_1000, vec![0x90; 0x1000]),
                section(".atoll.stubs", 0x40_2000, stubs),
                section(".text.late", 0x40_3000, vec![0x91; 32]),
                section(".atoll.server", 0x40_0000, server_record("echo")),
                section(".atoll.ports", 0x40_0100, ports.concat()),
            ],
            symbols: vec![
                function("_ZN4echo5serve17h0123456789abcdefE", 0x40_1010, 8),
                function("_start", 0x40_1000, 16),
                function("assembly", 0x40_1020, 0),
                function("late", 0x40_3000, 0x5000),
                Symbol { name: "DATA", start: 0x40_4010, size: 8, kind: 1 },
            ],
            ..Self::plain()
        }
    }

    /// The section of this name.
    pub fn section(&mut self, name: &str) -> &mut Section {
        self.sections.iter_mut().find(|section| section.name == name).unwrap()
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let mut file = vec![0; 64];
        let headers_end = 64 + 56 * self.segments.len();
        let mut offset = headers_end;
        for segment in &self.segments {
            file.extend(program_header(segment, offset));
            offset += segment.bytes.len();
        }
        self.segments.iter().for_each(|segment| file.extend(&segment.bytes));

        let (symbols, strings) = self.symbol_table();
        let mut names = vec![0];
        let mut headers = vec![0; 64];
        for section in &self.sections {
            let fields = [section.flags, section.vaddr];
            headers.extend(section_header(
                &mut names,
                section.name,
                section.kind,
                fields,
                &mut file,
                &section.bytes,
                0,
            ));
        }
        let strings_index = self.sections.len() as u32 + 2;
        headers.extend(section_header(
            &mut names,
            ".symtab",
            2,
            [0; 2],
            &mut file,
            &symbols,
            strings_index,
        ));
        headers.extend(section_header(&mut names, ".strtab", 3, [0; 2], &mut file, &strings, 0));
        let own_name = names.len() as u32;
        names.extend(b".shstrtab\0");
        let all_names = names.clone();
        headers.extend(raw_section_header(own_name, 3, [0; 2], file.len(), all_names.len(), 0));
        file.extend(all_names);

        let table = file.len() as u64;
        file.extend(headers);
        file[..64].copy_from_slice(&self.file_header(table));
        file
    }

    fn file_header(&self, sections: u64) -> Vec<u8> {
        let mut header = vec![0x7f, b'E', b'L', b'F', self.class, self.order, 1];
        header.resize(16, 0);
        header.extend(self.kind.to_le_bytes());
        header.extend(self.machine.to_le_bytes());
        header.extend(1u32.to_le_bytes());
        header.extend([self.entry, 64, sections].into_iter().flat_map(u64::to_le_bytes));
        header.extend(0u32.to_le_bytes());
        let count = self.sections.len() as u16 + 4;
        let numbers = [64, 56, self.segments.len() as u16, 64, count, count - 1];
        header.extend(numbers.into_iter().flat_map(u16::to_le_bytes));
        header
    }

    fn symbol_table(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut table, mut strings) = (vec![0; 24], vec![0]);
        for symbol in &self.symbols {
            table.extend((strings.len() as u32).to_le_bytes());
            table.extend([symbol.kind | 1 << 4, 0, 1, 0]);
            table.extend([symbol.start, symbol.size].into_iter().flat_map(u64::to_le_bytes));
            strings.extend(symbol.name.as_bytes());
            strings.push(0);
        }
        (table, strings)
    }
}

pub fn function(name: &'static str, start: u64, size: u64) -> Symbol {
    Symbol { name, start, size, kind: 2 }
}

fn program_header(segment: &Segment, offset: usize) -> Vec<u8> {
    let mut header = [segment.kind.to_le_bytes(), segment.flags.to_le_bytes()].concat();
    let size = segment.bytes.len() as u64;
    let fields = [offset as u64, segment.vaddr, segment.vaddr, size, segment.mem_size, 1];
    header.extend(fields.into_iter().flat_map(u64::to_le_bytes));
    header
}

/// Appends the section's bytes to the file and its name to the names; returns its header.
fn section_header(
    names: &mut Vec<u8>,
    name: &str,
    kind: u32,
    flags_and_address: [u64; 2],
    file: &mut Vec<u8>,
    bytes: &[u8],
    link: u32,
) -> Vec<u8> {
    let name_at = names.len() as u32;
    names.extend(name.as_bytes());
    names.push(0);
    let offset = file.len();
    file.extend(bytes);
    raw_section_header(name_at, kind, flags_and_address, offset, bytes.len(), link)
}

fn raw_section_header(
    name: u32,
    kind: u32,
    [flags, vaddr]: [u64; 2],
    offset: usize,
    size: usize,
    link: u32,
) -> Vec<u8> {
    let mut header = [name.to_le_bytes(), kind.to_le_bytes()].concat();
    header
        .extend([flags, vaddr, offset as u64, size as u64].into_iter().flat_map(u64::to_le_bytes));
    header.extend([link, 1].into_iter().flat_map(u32::to_le_bytes));
    let entry_size = if kind == 2 { 24 } else { 0 };
    header.extend([1u64, entry_size].into_iter().flat_map(u64::to_le_bytes));
    header
}
