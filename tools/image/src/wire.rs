//! Metadata as it lies in the file: decoded, and not yet believed.
//!
//! Only [`crate::check`] turns these records into the types that the rest of the crate hands
//! out. They can express every broken image (writable text, a port of no kind), so that each
//! gets an error of its own rather than "cannot decode". The order of fields is the format:
//! whoever changes it raises [`crate::FORMAT_VERSION`].

use serde::{Deserialize, Serialize};

/// Everything that an image says of itself besides its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metadata<'a> {
    pub name: &'a str,
    pub entry: u64,
    pub default_memory: u64,
    pub stack_size: u64,
    pub max_vcpus: u32,
    pub stubs: Option<u64>,
    pub segments: Vec<Segment>,
    #[serde(borrow)]
    pub ports: Vec<Port<'a>>,
    #[serde(borrow)]
    pub symbols: Vec<Symbol<'a>>,
}

/// One segment; it is always readable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub vaddr: u64,
    pub file_size: u64,
    pub mem_size: u64,
    pub write: bool,
    pub execute: bool,
    pub supervisor: bool,
}

/// One port; the kind is a code of [`atoll_ipc::abi::PortKind`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Port<'a> {
    pub name: &'a str,
    pub kind: u32,
    #[serde(borrow)]
    pub interface: Interface<'a>,
}

/// What is spoken on a port: an [`atoll_ipc::abi::Interface`] without its reserved word, for
/// which this format has no place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interface<'a> {
    pub name: &'a str,
    pub version: u32,
    pub fingerprint: u64,
}

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Symbol<'a> {
    pub start: u64,
    pub size: u64,
    pub name: &'a str,
}
