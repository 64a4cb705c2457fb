//! An image that has passed every check: the only way to have an [`Image`] is through them.

use crate::error::{ImageError, OpenError};
use crate::hash::Hash;
use crate::layout::{FILE_MAX, page_ceil};
use crate::symbols::{Symbol, Symbols};
use crate::{check, container, executable, payload};
use atoll_ipc::abi::{Interface, Name, PortKind};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What a program may do with a segment. Writable and executable at once cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read only: constants.
    Read,
    /// Read and write: data.
    ReadWrite,
    /// Read and execute: text.
    ReadExecute,
}

impl Rights {
    /// The rights of a readable segment with these flags; `None` if it has both.
    pub const fn from_flags(write: bool, execute: bool) -> Option<Self> {
        match (write, execute) {
            (false, false) => Some(Self::Read),
            (true, false) => Some(Self::ReadWrite),
            (false, true) => Some(Self::ReadExecute),
            (true, true) => None,
        }
    }

    /// Whether the segment may be written.
    pub const fn write(self) -> bool {
        matches!(self, Self::ReadWrite)
    }

    /// Whether the segment may be executed.
    pub const fn execute(self) -> bool {
        matches!(self, Self::ReadExecute)
    }

    /// The three letters that tools print: `r--`, `rw-` or `r-x`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "r--",
            Self::ReadWrite => "rw-",
            Self::ReadExecute => "r-x",
        }
    }
}

impl std::fmt::Display for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A piece of a program's memory; it begins on a page and shares its pages with no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address of the first byte, in the guest's virtual and physical memory alike.
    pub vaddr: u64,
    /// Bytes that the image has for it.
    pub file_size: u64,
    /// Bytes that it takes in memory; those that the image does not have are zero.
    pub mem_size: u64,
    /// What the program may do with it.
    pub rights: Rights,
    /// Whether only ring 0 may use it.
    pub supervisor: bool,
}

impl Segment {
    /// First address above its bytes in memory.
    pub const fn end(&self) -> u64 {
        self.vaddr + self.mem_size
    }

    /// First address above its pages.
    pub const fn pages_end(&self) -> u64 {
        page_ceil(self.end())
    }
}

/// A receive endpoint that a server declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, unique in the image.
    pub name: Name,
    /// What it carries.
    pub kind: PortKind,
    /// What is spoken on it.
    pub interface: Interface,
}

/// One server program, verified and ready to load.
#[derive(Clone)]
pub struct Image {
    hash: Hash,
    abi_version: u32,
    name: Name,
    entry: u64,
    default_memory: u64,
    stack_size: u64,
    max_vcpus: u32,
    stubs: Option<u64>,
    segments: Vec<Segment>,
    ports: Vec<Port>,
    symbols: Symbols,
    /// The whole file; the payload is its end.
    file: Vec<u8>,
    payload_start: usize,
    /// Where each segment's bytes begin in the payload.
    offsets: Vec<u64>,
}

impl Image {
    /// Reads and verifies an image file.
    ///
    /// # Errors
    /// If the file cannot be read, or breaks a rule of the format; the error names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let unreadable = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => OpenError::Missing { path: path.to_owned() },
            _ => OpenError::Unreadable { path: path.to_owned(), cause },
        };
        // Looked at before it is opened: opening a pipe waits for a writer.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let bad = |cause| OpenError::Bad { path: path.to_owned(), cause };
        if length > FILE_MAX {
            return Err(bad(ImageError::TooLong { length }));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        // A file that grows meanwhile is read to one byte past the limit, which `parse` refuses.
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::parse(bytes).map_err(bad)
    }

    /// Verifies an image that is in memory.
    ///
    /// # Errors
    /// If it breaks a rule of the format.
    pub fn parse(file: impl Into<Vec<u8>>) -> Result<Self, ImageError> {
        let file = file.into();
        let parts = container::split(&file)?;
        let raw = container::decode(parts.metadata)?;
        let check::Checked { name, segments, ports } = check::metadata(&raw)?;
        let offsets = payload::verify(parts.payload, &segments, raw.entry)?;
        Ok(Self {
            hash: parts.hash,
            abi_version: parts.abi_version,
            name,
            entry: raw.entry,
            default_memory: raw.default_memory,
            stack_size: raw.stack_size,
            max_vcpus: raw.max_vcpus,
            stubs: raw.stubs,
            segments,
            ports,
            symbols: Symbols::new(&raw.symbols),
            payload_start: file.len() - parts.payload.len(),
            offsets,
            file,
        })
    }

    /// The hash of its contents.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// ABI version of the guest kernel in it; always the one that this program speaks.
    pub const fn abi_version(&self) -> u32 {
        self.abi_version
    }

    /// The server's name.
    pub const fn name(&self) -> Name {
        self.name
    }

    /// Where the program begins.
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// Memory of a domain whose manifest names none, in bytes.
    pub const fn default_memory(&self) -> u64 {
        self.default_memory
    }

    /// Stack of each vCPU, in bytes.
    pub const fn stack_size(&self) -> u64 {
        self.stack_size
    }

    /// Most vCPUs that the program makes use of.
    pub const fn max_vcpus(&self) -> u32 {
        self.max_vcpus
    }

    /// Where the exception stubs begin. Without stubs, every exception of the program shows as a
    /// triple fault.
    pub const fn stubs(&self) -> Option<u64> {
        self.stubs
    }

    /// The segments, by ascending address.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The ports, in the order of their declaration.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// The port of this name.
    pub fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name.as_str() == name)
    }

    /// The functions, by ascending address.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = Symbol<'_>> {
        self.symbols.iter()
    }

    /// The function that holds this address, and how far into it the address is.
    pub fn symbolise(&self, address: u64) -> Option<(&str, u64)> {
        self.symbols.find(address).map(|symbol| (symbol.name, address - symbol.start))
    }

    /// Memory that the segments need, in bytes from [`crate::IMAGE_BASE`] on; gaps between them
    /// count. Stacks, heap and channels come on top.
    pub fn min_memory(&self) -> u64 {
        check::min_memory(&self.segments)
    }

    /// First address above the pages of all segments.
    pub fn segments_end(&self) -> u64 {
        crate::IMAGE_BASE + self.min_memory()
    }

    /// An ELF file of these segments, for an ELF loader.
    pub fn payload(&self) -> &[u8] {
        &self.file[self.payload_start..]
    }

    /// An ELF file for debuggers: the payload with the names of all functions. It loads as the
    /// payload does.
    pub fn executable(&self) -> Vec<u8> {
        executable::write(self, &self.offsets)
    }

    /// The bytes that the image has for one of its segments; `None` if there is no such segment.
    pub fn segment_bytes(&self, index: usize) -> Option<&[u8]> {
        let start = *self.offsets.get(index)? as usize;
        let length = self.segments.get(index)?.file_size as usize;
        self.payload().get(start..start + length)
    }

    /// The whole file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.file
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("name", &self.name)
            .field("hash", &self.hash)
            .field("entry", &self.entry)
            .field("segments", &self.segments)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
