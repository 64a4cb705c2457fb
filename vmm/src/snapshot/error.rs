//! Why a snapshot cannot be used, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::FORMAT_VERSION;
use crate::control::api::HostKind;
use crate::machine::vcpu::NotAPoint;
use atoll_ipc::abi::ABI_VERSION;

/// Why a snapshot cannot be used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}; name a file that `vmm snapshot` wrote", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// The file is not a snapshot, or is damaged.
    #[error("{}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: Unreadable,
    },
    /// It was taken of something else.
    #[error("{} cannot be restored here: {cause}", file.display())]
    Misfit {
        /// The file.
        file: PathBuf,
        /// What is different.
        cause: Box<Misfit>,
    },
}

impl SnapshotError {
    /// The same, of a file that has another name by now, or will have.
    #[must_use]
    pub fn of(self, file: &Path) -> Self {
        let file = file.to_owned();
        match self {
            Self::Io { cause, .. } => Self::Io { file, cause },
            Self::Unreadable { cause, .. } => Self::Unreadable { file, cause },
            Self::Misfit { cause, .. } => Self::Misfit { file, cause },
        }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It does not begin as one.
    #[error("this is no snapshot; name a file that `vmm snapshot` wrote")]
    Magic,
    /// It ends within its header.
    #[error("the file ends after {length} bytes, within its header; it is damaged, take it anew")]
    Headless {
        /// Its length.
        length: u64,
    },
    /// It is shorter or longer than it says.
    #[error("the file has {length} bytes and says {stated}; it is damaged, take it anew")]
    Length {
        /// Its length.
        length: u64,
        /// What it says.
        stated: u64,
    },
    /// Its content is not what was written.
    #[error("the file is damaged: its content does not have its hash; take it anew")]
    Hash,
    /// Another version of the format.
    #[error(
        "the file has format version {found}, and this vmm reads {FORMAT_VERSION}; \
         use the vmm that wrote it, or take it anew"
    )]
    Format {
        /// The version.
        found: u32,
    },
    /// Another version of the ABI.
    #[error(
        "its domains have ABI version {found}, and this vmm runs {ABI_VERSION}; \
         use the vmm that wrote it"
    )]
    Abi {
        /// The version.
        found: u32,
    },
    /// The head makes no sense.
    #[error("what it says of itself cannot be understood ({why}); take it anew")]
    Head {
        /// Why.
        why: String,
    },
    /// Contents where there can be none.
    #[error("domain `{domain}`: memory at {address:#x} makes no sense; take it anew")]
    Extent {
        /// The domain.
        domain: String,
        /// Where.
        address: u64,
    },
    /// A part that this version does not know.
    #[error(
        "domain `{domain}` has `{area}`, which this vmm does not know; use the vmm that wrote it"
    )]
    Area {
        /// The domain.
        domain: String,
        /// The part.
        area: String,
    },
    /// Registers that cannot be.
    #[error("domain `{domain}` cannot go on: {cause}; take it anew")]
    Point {
        /// The domain.
        domain: String,
        /// Why.
        cause: NotAPoint,
    },
    /// An incarnation that cannot be followed by another.
    #[error("domain `{domain}` is in epoch {epoch}, which cannot be; take it anew")]
    Epoch {
        /// The domain.
        domain: String,
        /// The epoch.
        epoch: u32,
    },
}

/// What is not as it was where a snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// The other kind of KVM.
    #[error(
        "it was taken on {theirs}, and this host has {ours}, where a vCPU is another one; \
         restore it on a host of its own kind, or take one here"
    )]
    Kind {
        /// The file's.
        theirs: HostKind,
        /// This host's.
        ours: HostKind,
    },
    /// The processor lacks something.
    #[error(
        "this host's processor lacks {}, which its servers may be using; \
         restore it on a host that has that, or take one here", lacks.join(", ")
    )]
    Features {
        /// What.
        lacks: Vec<String>,
    },
    /// The manifest has no such domain.
    #[error(
        "the manifest has no domain `{domain}`; name the manifest that it was taken with \
         (`vmm snapshot --manifest FILE` prints it)"
    )]
    NoDomain {
        /// The domain.
        domain: String,
    },
    /// Its memory follows what is on a disk.
    #[error(
        "domain `{domain}`: in the manifest it depends on disk `{disk}`, which may be ahead of what it \
         knew; name the manifest that the snapshot was taken with, or begin without --from"
    )]
    OnDisk {
        /// The domain.
        domain: String,
        /// The disk.
        disk: String,
    },
    /// What is not in the snapshot is not on disk either.
    #[error(
        "there is no {}, where disk `{disk}` has what {} knows; put it there, or name a manifest that \
         says where it is (`vmm snapshot --manifest FILE` prints the one to change)",
        at.display(), domains.join(", ")
    )]
    NoDisk {
        /// The disk.
        disk: String,
        /// Where its file would be.
        at: PathBuf,
        /// Who depends on it.
        domains: Vec<String>,
    },
    /// Another image.
    #[error(
        "domain `{domain}`: it was taken of image {image} with hash {theirs}, and the image here \
         has {ours}; name the directory of the other with --images, or take a new snapshot"
    )]
    Image {
        /// The domain.
        domain: String,
        /// The image.
        image: String,
        /// The file's.
        theirs: String,
        /// The one here.
        ours: String,
    },
    /// Something of its table in the manifest is different.
    #[error(
        "domain `{domain}`: its {what} was {theirs} when it was taken, and is {ours} in the manifest; \
         change that back, or take a new snapshot"
    )]
    Changed {
        /// The domain.
        domain: String,
        /// What.
        what: &'static str,
        /// In the file.
        theirs: String,
        /// In the manifest.
        ours: String,
    },
    /// Its channels are different.
    #[error(
        "domain `{domain}`: its channel {number} was {theirs} when it was taken, and is {ours} in the \
         manifest; change that back, or take a new snapshot"
    )]
    Channel {
        /// The domain.
        domain: String,
        /// Which one.
        number: usize,
        /// In the file.
        theirs: String,
        /// In the manifest.
        ours: String,
    },
}
