//! What a program says of itself: records that the guest kernel's macros place in ELF sections
//! and the image builder reads.

/// Version of everything in this crate that a guest and the nucleus must agree on. An image of
/// another version is refused at load.
pub const ABI_VERSION: u32 = 6;

/// ELF section that holds one [`ServerDecl`].
pub const SERVER_SECTION: &str = ".atoll.server";
/// ELF section that holds any number of [`PortDecl`]s, back to back.
pub const PORTS_SECTION: &str = ".atoll.ports";
/// ELF section with the ring-0 exception stubs; page-aligned, in a segment of its own.
pub const STUBS_SECTION: &str = ".atoll.stubs";
/// The stub of vector *n* begins at the section's start plus *n* times this many bytes.
pub const STUB_STRIDE: u64 = 16;
/// Exception vectors that have a stub (the architecture reserves these 32).
pub const STUB_COUNT: u64 = 32;

/// Longest name of a server, domain or port, in bytes.
pub const NAME_MAX: usize = 32;

/// A name of at most [`NAME_MAX`] bytes, padded with zero bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Name([u8; NAME_MAX]);

impl Name {
    /// A name from text.
    ///
    /// # Panics
    /// If the text is longer than [`NAME_MAX`] or not a name (see [`Name::is_valid`]); in a
    /// `const` this is a compile-time error.
    pub const fn new(text: &str) -> Self {
        assert!(Self::is_valid(text.as_bytes()), "not a name");
        let mut bytes = [0; NAME_MAX];
        let mut at = 0;
        while at < text.len() {
            bytes[at] = text.as_bytes()[at];
            at += 1;
        }
        Self(bytes)
    }

    /// A name from its padded form; `None` unless it is one.
    pub fn from_bytes(bytes: [u8; NAME_MAX]) -> Option<Self> {
        let length = bytes.iter().position(|&b| b == 0).unwrap_or(NAME_MAX);
        let padded = bytes[length..].iter().all(|&b| b == 0);
        (padded && Self::is_valid(&bytes[..length])).then_some(Self(bytes))
    }

    /// Whether this is a name: 1 to [`NAME_MAX`] ASCII letters, digits, `-` and `_`, the first
    /// one a letter.
    pub const fn is_valid(text: &[u8]) -> bool {
        if text.is_empty() || text.len() > NAME_MAX || !text[0].is_ascii_alphabetic() {
            return false;
        }
        let mut at = 0;
        while at < text.len() {
            if !(text[at].is_ascii_alphanumeric() || text[at] == b'-' || text[at] == b'_') {
                return false;
            }
            at += 1;
        }
        true
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&b| b == 0).unwrap_or(NAME_MAX);
        core::str::from_utf8(&self.0[..length]).unwrap_or("?")
    }

    /// The padded form.
    pub const fn to_bytes(self) -> [u8; NAME_MAX] {
        self.0
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PortKind {
    /// Messages between domains.
    Message = 0,
    /// Byte streams from a gateway (see [`crate::stream`]).
    Stream = 1,
}

impl PortKind {
    /// The kind with this code, if there is one.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Message),
            1 => Some(Self::Stream),
            _ => None,
        }
    }
}

/// What is spoken on a port: an interface's identity, by which a client and a server make sure
/// that they mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Interface {
    /// The interface's name.
    pub name: Name,
    /// Its version, raised by whoever changes its meaning.
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// A hash over its operations and their types, or 0 where they are not declared: so that a
    /// change is noticed even if nobody raised the version.
    pub fingerprint: u64,
}

impl Interface {
    /// An interface with a typed definition.
    pub const fn new(name: Name, version: u32, fingerprint: u64) -> Self {
        Self { name, version, reserved: 0, fingerprint }
    }

    /// An interface without one.
    pub const fn untyped(name: Name, version: u32) -> Self {
        Self::new(name, version, 0)
    }
}

impl core::fmt::Display for Interface {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "`{}` version {}", self.name, self.version)
    }
}

/// One server program, as its image declares it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ServerDecl {
    /// [`ABI_VERSION`] of the guest kernel that the program was linked with.
    pub abi_version: u32,
    /// Most vCPUs that the program makes use of.
    pub max_vcpus: u32,
    /// The program's name.
    pub name: Name,
    /// Memory for a domain whose manifest names none, in bytes.
    pub default_memory: u64,
    /// Stack of each vCPU, in bytes; a multiple of 4096.
    pub stack_size: u64,
}

/// One receive endpoint of a server, as its image declares it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PortDecl {
    /// The port's name, unique in its image.
    pub name: Name,
    /// What it carries: a [`PortKind`] as its code.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// What is spoken on it.
    pub interface: Interface,
}
