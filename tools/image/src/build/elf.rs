//! Reads an ELF file and refuses every one that could not run without an operating system.

use super::BuildError;
use crate::error::shown;
use crate::image::Rights;
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, SymbolTable};

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// A static executable.
pub(super) struct Elf<'a> {
    pub entry: u64,
    pub loads: Vec<Load<'a>>,
    pub sections: Vec<Section<'a>>,
    pub symbols: SymbolTable<'a, Header>,
}

/// A loadable segment, as the linker left it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub vaddr: u64,
    pub mem_size: u64,
    pub bytes: &'a [u8],
    pub rights: Rights,
}

/// A section with a place in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub name: &'a str,
    pub vaddr: u64,
    pub size: u64,
    /// Its bytes; none if it has only memory.
    pub bytes: &'a [u8],
    kind: elf::SectionType,
    allocated: bool,
}

impl Section<'_> {
    /// Whether it takes memory when the program runs.
    pub fn in_memory(&self) -> bool {
        self.allocated && self.size > 0
    }
}

impl<'a> Elf<'a> {
    /// Reads the file, if it is a static x86-64 executable.
    pub fn read(file: &'a [u8]) -> Result<Self, BuildError> {
        check_ident(file)?;
        let header = Header::parse(file).map_err(malformed("file header"))?;
        check_machine(header)?;
        let programs = header.program_headers(LE, file).map_err(malformed("program headers"))?;
        // An interpreter explains more than the file type that comes with it.
        check_programs(header.e_type(LE), programs, file)?;
        check_type(header)?;
        let table = header.sections(LE, file).map_err(malformed("section headers"))?;
        let sections = table.iter().map(|section| read_section(section, &table, file));
        let sections = sections.collect::<Result<Vec<_>, _>>()?;
        sections.iter().try_for_each(check_relocations)?;
        let symbols = table.symbols(LE, file, elf::SHT_SYMTAB).map_err(malformed("symbols"))?;
        let loads = read_loads(programs, file)?;
        Ok(Self { entry: header.e_entry(LE), loads, sections, symbols })
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }
}

/// Makes an error that says what was being read.
pub(super) fn malformed(what: &str) -> impl Fn(object::Error) -> BuildError {
    move |error| BuildError::Malformed { what: what.to_owned(), detail: error.to_string() }
}

fn check_ident(file: &[u8]) -> Result<(), BuildError> {
    if !file.starts_with(&elf::ELFMAG) {
        let start = &file[..file.len().min(elf::ELFMAG.len())];
        return Err(BuildError::NotElf { found: start.escape_ascii().to_string() });
    }
    let foreign = |found: &str| Err(BuildError::Foreign { found: found.to_owned() });
    match (file.get(4), file.get(5)) {
        (Some(&1), _) => foreign("a 32-bit machine"),
        (_, Some(&2)) => foreign("a big-endian machine"),
        _ => Ok(()),
    }
}

fn check_machine(header: &Header) -> Result<(), BuildError> {
    let machine = header.e_machine(LE);
    if machine != elf::EM_X86_64 {
        return Err(BuildError::Foreign { found: format!("machine {}", machine.0) });
    }
    Ok(())
}

fn check_type(header: &Header) -> Result<(), BuildError> {
    match header.e_type(LE) {
        elf::ET_EXEC => Ok(()),
        elf::ET_REL => Err(BuildError::Relocatable),
        elf::ET_DYN => Err(BuildError::PositionIndependent),
        other => Err(BuildError::NotExecutable { kind: other.0 }),
    }
}

fn check_programs(
    kind: elf::FileType,
    programs: &[ProgramHeader64<LittleEndian>],
    file: &[u8],
) -> Result<(), BuildError> {
    for program in programs {
        match program.p_type(LE) {
            elf::PT_INTERP => {
                let path = program.interpreter(LE, file).ok().flatten().unwrap_or_default();
                let path = shown(&String::from_utf8_lossy(path));
                return Err(BuildError::Interpreter { path });
            }
            elf::PT_TLS if program.p_memsz(LE) > 0 => {
                return Err(BuildError::ThreadLocal { size: program.p_memsz(LE) });
            }
            // A position-independent executable has one as well, and should hear the better reason.
            elf::PT_DYNAMIC if kind != elf::ET_DYN => return Err(BuildError::Dynamic),
            _ => {}
        }
    }
    Ok(())
}

fn read_section<'a>(
    section: &'a SectionHeader64<LittleEndian>,
    table: &SectionTable<'a, Header>,
    file: &'a [u8],
) -> Result<Section<'a>, BuildError> {
    let name = table.section_name(LE, section).map_err(malformed("section name"))?;
    let kind = section.sh_type(LE);
    let allocated = section.sh_flags(LE).contains(elf::SHF_ALLOC);
    let bytes = section.data(LE, file).map_err(malformed("section bytes"))?;
    Ok(Section {
        // A name that is not text is none of those looked for.
        name: std::str::from_utf8(name).unwrap_or("?"),
        vaddr: section.sh_addr(LE),
        size: section.sh_size(LE),
        bytes,
        kind,
        allocated,
    })
}

/// Relocations that are not loaded are a linker's notes (`--emit-relocs`) and do no harm.
fn check_relocations(section: &Section<'_>) -> Result<(), BuildError> {
    let relocates = matches!(section.kind, elf::SHT_REL | elf::SHT_RELA | elf::SHT_RELR);
    if relocates && section.in_memory() {
        let (section, size) = (shown(section.name), section.size);
        return Err(BuildError::Relocations { section, size });
    }
    Ok(())
}

fn read_loads<'a>(
    programs: &'a [ProgramHeader64<LittleEndian>],
    file: &'a [u8],
) -> Result<Vec<Load<'a>>, BuildError> {
    let loadable = |program: &&ProgramHeader64<LittleEndian>| {
        program.p_type(LE) == elf::PT_LOAD && (program.p_memsz(LE) > 0 || program.p_filesz(LE) > 0)
    };
    let loads: Vec<_> = programs
        .iter()
        .filter(loadable)
        .map(|program| read_load(program, file))
        .collect::<Result<_, _>>()?;
    if loads.is_empty() {
        return Err(BuildError::NoSegments);
    }
    Ok(loads)
}

fn read_load<'a>(
    program: &ProgramHeader64<LittleEndian>,
    file: &'a [u8],
) -> Result<Load<'a>, BuildError> {
    let (vaddr, mem_size) = (program.p_vaddr(LE), program.p_memsz(LE));
    let bytes = program.data(LE, file).map_err(|()| BuildError::Malformed {
        what: format!("segment at {vaddr:#x}"),
        detail: "its bytes lie beyond the end of the file".to_owned(),
    })?;
    let file_size = bytes.len() as u64;
    if file_size > mem_size {
        return Err(BuildError::SegmentSize { vaddr, file_size, mem_size });
    }
    if !crate::check::in_window(vaddr, mem_size) {
        return Err(BuildError::OutsideWindow { vaddr, mem_size });
    }
    let flags = program.p_flags(LE);
    let rights = Rights::from_flags(flags.contains(elf::PF_W), flags.contains(elf::PF_X))
        .ok_or(BuildError::WritableText { vaddr })?;
    Ok(Load { vaddr, mem_size, bytes, rights })
}
