//! What can be wrong with an image. Each rule has a variant; each message names the place, the
//! value and the remedy.

use crate::container::{FORMAT_VERSION, HEADER};
use crate::hash::Hash;
use crate::layout::{
    FILE_MAX, IMAGE_BASE, IMAGE_END, METADATA_MAX, PAGE_SIZE, PORTS_MAX, SEGMENTS_MAX,
};
use atoll_ipc::abi::layout::MEMORY_MAX;
use atoll_ipc::abi::{ABI_VERSION, NAME_MAX, STUB_COUNT, STUB_STRIDE, VCPUS_MAX};
use std::path::PathBuf;

/// Why a file could not be opened as an image.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("{}: no such file; build the image, or correct the path", path.display())]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{}: cannot read the image ({cause}); see that the file may be read", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The path leads to a directory, pipe or device.
    #[error("{}: not a regular file; name an image file", path.display())]
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The file was read, and breaks a rule of the format.
    #[error("{}: {cause}", path.display())]
    Bad {
        /// The path as it was given.
        path: PathBuf,
        /// The rule that it breaks.
        cause: ImageError,
    },
}

/// A rule of the format that an image breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields are the values that the messages name
pub enum ImageError {
    /// Longer than any image may be.
    #[error("image is {length} bytes long, {FILE_MAX} is the most; make its program smaller")]
    TooLong { length: u64 },
    /// Ends within the header.
    #[error(
        "image ends after {length} bytes, before its {HEADER}-byte header does; \
         it was cut short: copy or build it again"
    )]
    Headless { length: u64 },
    /// Ends before its contents do.
    #[error(
        "image ends after {length} of {stated} bytes; it was cut short: copy or build it again"
    )]
    Truncated { length: u64, stated: u64 },
    /// Goes on after its contents.
    #[error("image has {length} bytes where its header states {stated}; build it again")]
    Trailing { length: u64, stated: u64 },
    /// Not an image at all.
    #[error("begins with \"{found}\", not \"ATOLLIMG\"; make an image with `mkimage build`")]
    Magic { found: String },
    /// Written by another version of the builder.
    #[error(
        "image has format version {found}, this program reads version {FORMAT_VERSION}; \
         build it again with the `mkimage` of this version"
    )]
    FormatVersion { found: u32 },
    /// Linked with a guest kernel of another version.
    #[error(
        "image has ABI version {found}, this program speaks version {ABI_VERSION}; \
         build its server again with the guest kernel of this version"
    )]
    AbiVersion { found: u32 },
    /// Damaged.
    #[error(
        "image states hash {stated}, its contents hash to {actual}; \
         it was damaged or edited: build it again"
    )]
    WrongHash { stated: Hash, actual: Hash },
    /// Longer metadata than any image may have.
    #[error(
        "metadata is {length} bytes long, {METADATA_MAX} is the most; \
         give the program fewer symbols"
    )]
    MetadataTooLong { length: u64 },
    /// The metadata is not in postcard's encoding.
    #[error("metadata cannot be decoded ({detail}); build the image again")]
    Metadata { detail: String },
    /// The server's name is not a name.
    #[error(
        "server name \"{name}\" is not 1 to {NAME_MAX} ASCII letters, digits, '-' and '_' \
         that begin with a letter; rename the server"
    )]
    ServerName { name: String },
    /// More segments than the format has room for.
    #[error("image has {count} segments, {SEGMENTS_MAX} is the most; merge sections when linking")]
    TooManySegments { count: usize },
    /// A segment without memory, or with more bytes than memory.
    #[error(
        "segment {index} at {vaddr:#x} has {file_size:#x} bytes for {mem_size:#x} bytes of \
         memory; it needs some memory, and no more bytes than memory"
    )]
    SegmentSize { index: usize, vaddr: u64, file_size: u64, mem_size: u64 },
    /// A segment begins within a page.
    #[error(
        "segment {index} begins at {vaddr:#x}, which is no multiple of {PAGE_SIZE}; \
         build the image again"
    )]
    Misaligned { index: usize, vaddr: u64 },
    /// A segment lies where images may not.
    #[error(
        "segment {index} at {vaddr:#x} of {mem_size:#x} bytes lies outside \
         {IMAGE_BASE:#x}..{IMAGE_END:#x}; link the program to that window"
    )]
    OutsideWindow { index: usize, vaddr: u64, mem_size: u64 },
    /// A segment is both writable and executable.
    #[error(
        "segment {index} at {vaddr:#x} is both writable and executable; \
         link code and data into separate segments"
    )]
    WritableText { index: usize, vaddr: u64 },
    /// Two segments share a page.
    #[error(
        "segment {index} begins at {vaddr:#x}, before the pages of segment {} end at \
         {before_end:#x}; link them apart",
        index - 1
    )]
    Overlap { index: usize, vaddr: u64, before_end: u64 },
    /// Segments do not ascend.
    #[error("segment {index} at {vaddr:#x} comes after one at {before:#x}; build the image again")]
    SegmentOrder { index: usize, vaddr: u64, before: u64 },
    /// The entry is not code of ring 3.
    #[error(
        "entry {entry:#x} is not in the bytes of an executable user segment; \
         link the program with its entry in its text"
    )]
    EntryOutsideText { entry: u64 },
    /// The stubs are not what a segment begins with.
    #[error("stubs are said to be at {stubs:#x}, where no segment begins; build the image again")]
    StubsNowhere { stubs: u64 },
    /// The stubs can be reached from ring 3.
    #[error(
        "stubs segment {index} at {vaddr:#x} is not a supervisor segment; build the image again"
    )]
    StubsNotSupervisor { index: usize, vaddr: u64 },
    /// The stubs can be written, or cannot run.
    #[error(
        "stubs segment {index} at {vaddr:#x} has rights {rights}, it must have r-x; \
         put the stubs into a read-only, executable section"
    )]
    StubsRights { index: usize, vaddr: u64, rights: &'static str },
    /// The stubs section has not a stub for every vector.
    #[error(
        "stubs segment {index} has {file_size} bytes, {} are needed for {STUB_COUNT} stubs of \
         {STUB_STRIDE}; link the guest kernel's stubs",
        STUB_COUNT * STUB_STRIDE
    )]
    StubsShort { index: usize, file_size: u64 },
    /// A supervisor segment that is not the stubs.
    #[error(
        "segment {index} at {vaddr:#x} is a supervisor segment and not the stubs; \
         only the stubs may run in ring 0"
    )]
    SupervisorWithoutStubs { index: usize, vaddr: u64 },
    /// More ports than a domain can have.
    #[error("image declares {count} ports, {PORTS_MAX} is the most; declare fewer")]
    TooManyPorts { count: usize },
    /// A port's name is not a name.
    #[error(
        "port {index} has the name \"{name}\", which is not 1 to {NAME_MAX} ASCII letters, \
         digits, '-' and '_' that begin with a letter; rename the port"
    )]
    PortName { index: usize, name: String },
    /// Two ports have one name.
    #[error("ports {first} and {second} are both named \"{name}\"; rename one of them")]
    DuplicatePort { first: usize, second: usize, name: String },
    /// A port of no kind.
    #[error(
        "port {index} \"{name}\" has kind {kind}, known are 0 (message) and 1 (stream); \
         declare it with one of these"
    )]
    PortKind { index: usize, name: String, kind: u32 },
    /// An interface's name is not a name.
    #[error(
        "port {index} \"{port}\" has an interface named \"{name}\", which is not 1 to {NAME_MAX} \
         ASCII letters, digits, '-' and '_' that begin with a letter; rename the interface"
    )]
    InterfaceName { index: usize, port: String, name: String },
    /// No vCPU, or more than a domain can have.
    #[error("most vCPUs is {count}, it must be 1 to {VCPUS_MAX}; declare another number")]
    Vcpus { count: u32 },
    /// A stack that is no number of pages.
    #[error(
        "stack size {stack_size} is not a multiple of {PAGE_SIZE} between {PAGE_SIZE} and \
         {limit}; give another"
    )]
    StackSize { stack_size: u64, limit: u64 },
    /// Too little memory for the program itself.
    #[error(
        "default memory {memory} is less than the {needed} bytes that segments and one stack \
         need; give more"
    )]
    MemoryTooSmall { memory: u64, needed: u64 },
    /// More memory than any domain can have.
    #[error("default memory {memory} is more than the {MEMORY_MAX} of any domain; give less")]
    MemoryTooLarge { memory: u64 },
    /// Symbols do not ascend.
    #[error("symbol {index} at {start:#x} does not ascend; build the image again")]
    SymbolOrder { index: usize, start: u64 },
    /// A symbol's name would spoil a log.
    #[error(
        "symbol {index} at {start:#x} has an empty name or control characters in it; \
         build the image again"
    )]
    SymbolName { index: usize, start: u64 },
    /// The payload has not the length that its segments take.
    #[error(
        "payload is {length} bytes long where the segments take {expected}; build the image again"
    )]
    PayloadLength { length: u64, expected: u64 },
    /// The payload's headers say something else than the metadata.
    #[error(
        "payload's {place} disagrees with the metadata at byte {offset}; build the image again"
    )]
    PayloadHeader { place: String, offset: usize },
}

/// Text from an untrusted file, fit for a message: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
