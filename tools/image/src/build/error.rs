//! Why an ELF file cannot become an image. Messages speak of the ELF and of the linker.

use crate::error::ImageError;
use crate::layout::{FILE_MAX, IMAGE_BASE, IMAGE_END, METADATA_MAX, PAGE_SIZE};
use atoll_ipc::abi::{ABI_VERSION, Name, STUB_COUNT, STUB_STRIDE};

/// Why an ELF file cannot become an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields are the values that the messages name
pub enum BuildError {
    /// No ELF magic.
    #[error("begins with \"{found}\", which is no ELF file; give the linker's output")]
    NotElf { found: String },
    /// Another class, byte order or machine.
    #[error("ELF is for {found}; build the program for x86-64")]
    Foreign { found: String },
    /// Parts of the file cannot be read.
    #[error("ELF is malformed: {what} ({detail}); link it again")]
    Malformed { what: String, detail: String },
    /// An object file.
    #[error("ELF is a relocatable object; link it to an executable first")]
    Relocatable,
    /// ET_DYN.
    #[error(
        "ELF is position-independent or a shared object; link with `-no-pie -static` \
         (rustc: `-C relocation-model=static`)"
    )]
    PositionIndependent,
    /// Neither executable nor one of the above.
    #[error("ELF has type {kind}, not 2 (executable); give the linker's output")]
    NotExecutable { kind: u16 },
    /// Wants a program interpreter.
    #[error(
        "ELF wants the interpreter \"{path}\", of which a domain has none; link with `-static`"
    )]
    Interpreter { path: String },
    /// Wants a dynamic linker.
    #[error("ELF has a dynamic section, and a domain has no dynamic linker; link with `-static`")]
    Dynamic,
    /// Wants thread-local storage.
    #[error(
        "ELF has {size} bytes of thread-local storage, which a domain does not set up; \
         use none, or build without `std`"
    )]
    ThreadLocal { size: u64 },
    /// Wants its addresses patched at load.
    #[error(
        "section {section} has {size} bytes of relocations, which nobody would apply; \
         link with `-no-pie -static`, without indirect functions"
    )]
    Relocations { section: String, size: u64 },
    /// Nothing to load.
    #[error("ELF has no loadable segment; give the linker's output")]
    NoSegments,
    /// A segment with more bytes than memory.
    #[error(
        "segment at {vaddr:#x} has {file_size:#x} bytes for {mem_size:#x} bytes of memory; link it again"
    )]
    SegmentSize { vaddr: u64, file_size: u64, mem_size: u64 },
    /// A segment lies where images may not.
    #[error(
        "segment at {vaddr:#x} of {mem_size:#x} bytes lies outside {IMAGE_BASE:#x}..{IMAGE_END:#x}; \
         link with `--image-base={IMAGE_BASE:#x}` (GNU ld: `-Ttext-segment={IMAGE_BASE:#x}`)"
    )]
    OutsideWindow { vaddr: u64, mem_size: u64 },
    /// A segment is both writable and executable.
    #[error(
        "segment at {vaddr:#x} is both writable and executable; \
         link without `-N` and `--omagic`, and mark no section \"awx\""
    )]
    WritableText { vaddr: u64 },
    /// Two segments have bytes in common.
    #[error("segments at {first:#x} and {second:#x} overlap; correct the linker script")]
    Overlap { first: u64, second: u64 },
    /// Two segments with different rights have a page in common.
    #[error(
        "segments at {first:#x} ({first_rights}) and {second:#x} ({second_rights}) share the page \
         at {page:#x} with different rights; link with `-z separate-code -z max-page-size={PAGE_SIZE}`"
    )]
    SharedPage { first: u64, first_rights: String, second: u64, second_rights: String, page: u64 },
    /// The entry is not code of ring 3.
    #[error(
        "entry {entry:#x} is not in the bytes of an executable user segment; \
         export the entry's symbol and link with `-e <symbol>`"
    )]
    EntryOutsideText { entry: u64 },
    /// More bytes than an image may have.
    #[error("image would be {length} bytes long, {FILE_MAX} is the most; make the program smaller")]
    TooLarge { length: u64 },
    /// More metadata than an image may have.
    #[error(
        "metadata would be {length} bytes long, {METADATA_MAX} is the most; \
         strip symbols from the ELF"
    )]
    TooManySymbols { length: u64 },
    /// The metadata could not be encoded.
    #[error("metadata cannot be encoded ({detail}); report this as an error of mkimage")]
    Encoding { detail: String },
    /// The server section is not one declaration.
    #[error(
        "section .atoll.server has {size} bytes, one declaration has {expected}; \
         declare exactly one server, with the guest kernel of this version"
    )]
    ServerSection { size: u64, expected: usize },
    /// Linked with another guest kernel.
    #[error(
        "ELF declares ABI version {found}, this mkimage speaks version {ABI_VERSION}; \
         link it with the guest kernel of this version"
    )]
    AbiVersion { found: u32 },
    /// The declared name is not a name.
    #[error(
        "section .atoll.server holds no valid server name; declare the server with the guest kernel's macro"
    )]
    ServerName,
    /// The ports section is not a number of declarations.
    #[error(
        "section .atoll.ports has {size} bytes, no multiple of the {expected} of a declaration; \
         declare ports with the guest kernel's macro only"
    )]
    PortsSection { size: u64, expected: usize },
    /// A declared name is not a name.
    #[error(
        "port {index} in section .atoll.ports has no valid name; \
         declare ports with the guest kernel's macro only"
    )]
    PortName { index: usize },
    /// The name of an interface is not a name.
    #[error(
        "port {index} \"{port}\" in section .atoll.ports has no valid interface name; \
         declare ports with the guest kernel's macro only"
    )]
    InterfaceName { index: usize, port: Name },
    /// A reserved field of a declaration is in use.
    #[error(
        "port {index} \"{port}\" in section .atoll.ports has {found:#x} in `{field}`, which must \
         be zero; declare ports with the guest kernel's macro only"
    )]
    PortReserved { index: usize, port: Name, field: &'static str, found: u32 },
    /// The stubs begin within a page.
    #[error(
        "section .atoll.stubs begins at {vaddr:#x}, which is no multiple of {PAGE_SIZE}; align it to a page"
    )]
    StubsMisaligned { vaddr: u64 },
    /// The stubs are fewer than the vectors.
    #[error(
        "section .atoll.stubs has {size} bytes, {} are needed for {STUB_COUNT} stubs of {STUB_STRIDE}; \
         link the guest kernel's stubs",
        STUB_COUNT * STUB_STRIDE
    )]
    StubsShort { size: u64 },
    /// The stubs are in no segment, or in one without bytes for them.
    #[error(
        "section .atoll.stubs at {vaddr:#x} is not in the bytes of a loadable segment; \
         give it the flags \"ax\""
    )]
    StubsNotLoaded { vaddr: u64 },
    /// The stubs can be written, or cannot run.
    #[error(
        "section .atoll.stubs at {vaddr:#x} is in a segment with rights {rights}, not r-x; give it the flags \"ax\""
    )]
    StubsRights { vaddr: u64, rights: &'static str },
    /// Something else lies in the stubs' pages and would become inaccessible.
    #[error(
        "section {section} at {vaddr:#x} lies in a page of .atoll.stubs, which ring 3 cannot use; \
         pad .atoll.stubs to whole pages (`.balign {PAGE_SIZE}` at its end)"
    )]
    StubsNotAlone { section: String, vaddr: u64 },
    /// No name was given.
    #[error(
        "ELF declares no server (section .atoll.server) and so no name; give one with `--name`"
    )]
    NoName,
    /// No memory was given.
    #[error(
        "ELF declares no server (section .atoll.server) and so no memory size; \
         give one with `--memory`"
    )]
    NoMemory,
    /// What was built breaks a rule of the format.
    #[error("{0}")]
    Refused(ImageError),
}
