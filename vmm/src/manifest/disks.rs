//! Reading `[disks.NAME]`: the files that the VMM lends to domains as disks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};

use atoll_ipc::abi::layout::PAGE;
use atoll_ipc::channel::Layout;
use atoll_ipc::disk::DISK;
use indexmap::IndexMap;
use thiserror::Error;
use toml::Spanned;
use toml::de::DeValue;

use crate::journal::printable;

use super::areas;
use super::domain::{name, word};
use super::error::{hint, words};
use super::links::Links;
use super::memory::{self, MemorySizeError};
use super::name::{DiskName, DomainName, PortName};
use super::refs;
use super::source::Span;
use super::table::{Found, Integer, Problems, Table, as_integer, in_order, wrong_type};

pub(super) const KEYS: [&str; 7] = ["file", "size", "domain", "as", "sync", "read-only", "buffers"];

/// A host file that one domain uses as a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file, relative to the manifest's directory if it was written so.
    pub file: PathBuf,
    /// Most bytes of it.
    pub size: DiskSize,
    /// The only domain that may use it; the manifest has it.
    pub domain: DomainName,
    /// That domain's name for the channel, unique in the domain.
    pub alias: PortName,
    /// How what is written becomes durable.
    pub durability: Durability,
    /// Nothing may be written.
    pub read_only: bool,
    /// Sizes of the channel; valid.
    pub layout: Layout,
}

/// How what is written to a disk becomes durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It goes through the host's page cache, which `fdatasync` writes out.
    #[default]
    Fdatasync,
    /// It goes past the page cache (`O_DIRECT`), and `fdatasync` tells the device to keep it.
    Direct,
}

impl Durability {
    /// Every way, as written.
    const WORDS: [(&'static str, Self); 2] =
        [("fdatasync", Self::Fdatasync), ("direct", Self::Direct)];
}

/// The size of a disk: whole pages, from one to 16 TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSize(u64);

impl DiskSize {
    /// The most that a file of today's file systems can have, in bytes.
    const MAX: u64 = 16 << 40;

    /// This many bytes.
    ///
    /// # Errors
    /// When it is not whole pages, or out of range.
    pub fn from_bytes(bytes: u64) -> Result<Self, DiskSizeError> {
        if bytes == 0 || bytes > Self::MAX {
            Err(DiskSizeError::Range(bytes.to_string()))
        } else if !bytes.is_multiple_of(PAGE) {
            Err(DiskSizeError::Pages(bytes))
        } else {
            Ok(Self(bytes))
        }
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(1 << 30) => write!(f, "{} GiB", bytes >> 30),
            bytes if bytes.is_multiple_of(1 << 20) => write!(f, "{} MiB", bytes >> 20),
            bytes => write!(f, "{} KiB", bytes >> 10),
        }
    }
}

/// A size that no disk can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiskSizeError {
    /// Not a number with a unit.
    #[error("`{0}` is not a size; write bytes as an integer, or `64 MiB`, `10 GiB`")]
    Syntax(String),
    /// A unit that there is not.
    #[error(transparent)]
    Unit(MemorySizeError),
    /// Not whole pages.
    #[error(
        "{0} bytes is not a whole number of 4 KiB pages; the next one is {next}",
        next = .0.next_multiple_of(PAGE)
    )]
    Pages(u64),
    /// Nothing, or beyond all reason.
    #[error("{0} is out of range; use 4 KiB to {max} GiB", max = DiskSize::MAX >> 30)]
    Range(String),
}

/// The rules for disks, each as the message for who broke it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiskRule {
    /// What no file can be meant by.
    #[error("`file` is `{file}`, which names no file; write a path such as `./store.disk`")]
    File {
        /// As written.
        file: String,
    },
    /// Two disks in one file.
    #[error("disk `{first}` already uses {file} (line {line}); give each disk a file of its own")]
    DuplicateFile {
        /// The file.
        file: String,
        /// The other disk.
        first: String,
        /// Line of that one's `file`.
        line: usize,
    },
    /// A size that no disk can have.
    #[error("`size`: {0}")]
    Size(#[from] DiskSizeError),
    /// No way to make things durable.
    #[error("`sync` is `{value}`; {}", hint(.nearest, "use", &ways()))]
    Sync {
        /// As written.
        value: String,
        /// The way that it is most like.
        nearest: Option<String>,
    },
}

fn ways() -> Vec<String> {
    words(&Durability::WORDS.map(|(word, _)| word))
}

/// All disks that are in order.
pub(super) fn disks(
    system: &Table<'_>,
    links: &mut Links<'_>,
    problems: &mut Problems,
) -> IndexMap<DiskName, Disk> {
    let (mut disks, mut files) = (IndexMap::new(), HashMap::new());
    let Some(value) = system.get("disks") else { return disks };
    let Some(tables) = value.get_ref().as_table() else {
        wrong_type("disks", value, "tables, each headed `[disks.NAME]`", problems);
        return disks;
    };
    for (key, value) in in_order(tables) {
        let key = Found { value: key.get_ref().as_ref(), span: key.span() };
        let Some(name) = name::<DiskName>("disks", &key, problems) else { continue };
        if let Some((disk, file_span)) = disk(name, value, links, problems) {
            take_file(&mut files, name, &disk.file, file_span, problems);
            disks.insert(name, disk);
        }
    }
    disks
}

/// `None` only if a problem was noted.
fn disk<'a>(
    name: DiskName,
    value: &'a Spanned<DeValue<'a>>,
    links: &mut Links<'_>,
    problems: &mut Problems,
) -> Option<(Disk, Span)> {
    let Some(entries) = value.get_ref().as_table() else {
        wrong_type(&format!("disks.{name}"), value, "a table", problems);
        return None;
    };
    let title = format!("`[disks.{name}]`");
    let table = Table::open((entries, value.span()), &title, &KEYS, problems);
    let file = table.required("file", &format!("file = \"./{name}.disk\""), problems);
    let file = file.and_then(|text| Some((path(&text, problems)?, text.span)));
    let size = size(&table, problems);
    let domain = table.required("domain", "domain = \"DOMAIN\"", problems);
    let domain = domain.and_then(|text| {
        Some((refs::domain(links.domains(), "domain", &text, problems)?, text.span))
    });
    let alias = alias(&table, problems);
    let unknown = |value, nearest| DiskRule::Sync { value, nearest }.into();
    let durability = word(&table, "sync", &Durability::WORDS, problems, unknown);
    let read_only = table.flag("read-only", problems);
    let layout = areas::layout_of_disk(&table, problems);
    let ((file, file_span), (domain, domain_span)) = (file?, domain?);
    let (alias, alias_span) = alias?;
    links.host_channel(domain, alias, &alias_span.unwrap_or(domain_span), problems);
    let disk = Disk { file, size: size?, domain, alias, durability, read_only, layout };
    Some((disk, file_span))
}

/// What the domain calls the disk, and where it says so; `None` only if a problem was noted.
fn alias(table: &Table<'_>, problems: &mut Problems) -> Option<(PortName, Option<Span>)> {
    match table.text("as", problems) {
        Some(text) => Some((name("as", &text, problems)?, Some(text.span))),
        None => Some((DISK.parse().ok()?, None)),
    }
}

fn path(text: &Found<&str>, problems: &mut Problems) -> Option<PathBuf> {
    let file = text.value;
    if file.is_empty() || file.ends_with('/') || file.contains('\0') {
        problems.at(&text.span, DiskRule::File { file: printable(file) }.into());
        return None;
    }
    let directory = problems.source.file().parent().unwrap_or("".as_ref());
    Some(directory.join(file))
}

fn size(table: &Table<'_>, problems: &mut Problems) -> Option<DiskSize> {
    let value = table.required_value("size", "size = \"64 MiB\"", problems)?;
    let size = if let Some(text) = value.get_ref().as_str() {
        bytes(text).and_then(DiskSize::from_bytes)
    } else if let Some(Found { value: Integer { written, value }, .. }) = as_integer(value) {
        value.ok_or(DiskSizeError::Range(written)).and_then(DiskSize::from_bytes)
    } else {
        wrong_type("size", value, "a string such as `64 MiB`, or bytes as an integer", problems);
        return None;
    };
    size.map_err(|error| problems.at(&value.span(), DiskRule::Size(error).into())).ok()
}

fn bytes(text: &str) -> Result<u64, DiskSizeError> {
    memory::amount(text).map_err(|error| match error {
        MemorySizeError::Syntax(text) => DiskSizeError::Syntax(text),
        MemorySizeError::Range(text) => DiskSizeError::Range(text),
        MemorySizeError::Pages(bytes) => DiskSizeError::Pages(bytes),
        error @ MemorySizeError::Unit { .. } => DiskSizeError::Unit(error),
    })
}

/// A file that no other disk of this manifest names so. Other names of one file are found when it
/// is locked.
fn take_file(
    files: &mut HashMap<PathBuf, (DiskName, Span)>,
    disk: DiskName,
    file: &Path,
    span: Span,
    problems: &mut Problems,
) {
    match files.entry(file.to_owned()) {
        Entry::Vacant(free) => {
            free.insert((disk, span));
        }
        Entry::Occupied(taken) => {
            let (first, at) = taken.get();
            let (first, line) = (first.to_string(), problems.line(at));
            let file = printable(&file.display().to_string());
            problems.at(&span, DiskRule::DuplicateFile { file, first, line }.into());
        }
    }
}
