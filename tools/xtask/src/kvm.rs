//! Owns the question whether this host's KVM can be used, and the sentence that says why not.

use std::ffi::CStr;

use kvm_ioctls::Kvm;
use nix::errno::Errno;
use thiserror::Error;

const DEVICE: &CStr = c"/dev/kvm";

/// The only version there is; a KVM that says otherwise is older than its stable interface.
const API_VERSION: i32 = 12;

/// Why KVM cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unusable {
    /// There is no device.
    #[error(
        "there is no {path} (the CPU, or the cloud it is in, offers no virtualisation, or the kvm module is not loaded)"
    )]
    Missing {
        /// The device.
        path: String,
    },
    /// The device may not be opened.
    #[error(
        "{path} may not be opened for reading and writing (join the group `kvm`, or hand the device into the container)"
    )]
    NotPermitted {
        /// The device.
        path: String,
    },
    /// The device cannot be opened for another reason.
    #[error("{path} cannot be opened: {reason}")]
    CannotOpen {
        /// The device.
        path: String,
        /// What the kernel says.
        reason: Errno,
    },
    /// The device is not a KVM of a known version.
    #[error("{path} speaks version {found} of the KVM interface, not {API_VERSION}")]
    Version {
        /// The device.
        path: String,
        /// What it says.
        found: i32,
    },
    /// It opens, but makes no virtual machine.
    #[error("{path} opens but creates no virtual machine: {reason}")]
    CannotCreate {
        /// The device.
        path: String,
        /// What the kernel says.
        reason: Errno,
    },
}

/// Tries KVM out: opens it, asks its version and creates one virtual machine.
pub fn check() -> Result<(), Unusable> {
    check_at(DEVICE)
}

fn check_at(device: &CStr) -> Result<(), Unusable> {
    let path = device.to_string_lossy().into_owned();
    let kvm = match Kvm::new_with_path(device) {
        Ok(kvm) => kvm,
        Err(error) => return Err(cannot_open(path, Errno::from_raw(error.errno()))),
    };
    let found = kvm.get_api_version();
    if found != API_VERSION {
        return Err(Unusable::Version { path, found });
    }
    match kvm.create_vm() {
        Ok(_) => Ok(()),
        Err(error) => Err(Unusable::CannotCreate { path, reason: Errno::from_raw(error.errno()) }),
    }
}

fn cannot_open(path: String, reason: Errno) -> Unusable {
    match reason {
        Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => Unusable::Missing { path },
        Errno::EACCES | Errno::EPERM => Unusable::NotPermitted { path },
        reason => Unusable::CannotOpen { path, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_told_from_a_wrong_one() {
        let missing = check_at(c"/dev/no-such-kvm").unwrap_err();
        assert_eq!(missing, Unusable::Missing { path: "/dev/no-such-kvm".into() });
        let wrong = check_at(c"/dev/null").unwrap_err();
        assert_eq!(wrong, Unusable::Version { path: "/dev/null".into(), found: -1 });
    }

    #[test]
    fn errors_say_what_can_be_done() {
        let error = cannot_open("/dev/kvm".into(), Errno::EACCES).to_string();
        assert!(error.contains("join the group `kvm`"), "{error}");
        let error = cannot_open("/dev/kvm".into(), Errno::EBUSY).to_string();
        assert!(error.starts_with("/dev/kvm cannot be opened: EBUSY"), "{error}");
    }
}
