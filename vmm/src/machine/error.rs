//! What can go wrong with a machine.

use std::io;

use thiserror::Error;

/// Why a micro-VM could not be made or driven.
#[derive(Debug, Error)]
pub enum MachineError {
    /// `/dev/kvm` cannot be used.
    #[error("/dev/kvm cannot be used: {cause}; {remedy}")]
    NoKvm {
        /// What the host said.
        cause: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// KVM lacks something that Atoll needs.
    #[error("this host's KVM lacks {what}; Linux 5.10 and later has it on x86_64")]
    Lacks {
        /// The capability's name.
        what: &'static str,
    },
    /// A call to KVM failed.
    #[error("KVM refused to {what}: {cause}")]
    Kvm {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        cause: io::Error,
    },
    /// Host memory could not be had.
    #[error("no memory for {what}: {cause}")]
    Memory {
        /// What it was for.
        what: &'static str,
        /// What the host said.
        cause: io::Error,
    },
    /// An address is not in guest memory.
    #[error("address {address:#x} is not in the domain's memory")]
    OutOfBounds {
        /// The guest address.
        address: u64,
    },
    /// The image's segments could not be loaded.
    #[error("the image cannot be loaded: {cause}")]
    Load {
        /// What the loader said.
        cause: String,
    },
    /// The domain's memory is too small.
    #[error("{given} bytes of memory are too few; this image needs at least {needed}")]
    TooSmall {
        /// What the domain has.
        given: u64,
        /// What it needs.
        needed: u64,
    },
    /// The page tables have no room.
    #[error("the image and its channels need more page tables than fit; give it fewer channels")]
    TablesFull,
}

impl MachineError {
    /// A failed call to KVM.
    pub(crate) fn kvm(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |cause| Self::Kvm { what, cause: io::Error::from_raw_os_error(cause.errno()) }
    }
}
