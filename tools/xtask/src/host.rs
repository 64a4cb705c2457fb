//! Owns the choice between this host's KVM and the emulated machine, and the building of the VMM.

use anyhow::Result;

use crate::kvm;
use crate::process::{self, cargo};
use crate::workspace::Workspace;

/// Where micro-VMs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this host's /dev/kvm.
    Host,
    /// In the emulated machine.
    Emulated,
}

/// Chooses the place; if it is the emulated machine without having been asked for, says why.
pub fn place(emulate: bool) -> Place {
    if emulate {
        return Place::Emulated;
    }
    match kvm::check() {
        Ok(()) => Place::Host,
        Err(reason) => {
            eprintln!("KVM cannot be used here, so an emulated machine is used instead: {reason}.");
            Place::Emulated
        }
    }
}

/// Builds the `vmm` program.
pub fn build_vmm(workspace: &Workspace) -> Result<()> {
    let mut command = cargo();
    command
        .args(["build", "--release", "-p", "atoll-vmm", "--bin", "vmm"])
        .current_dir(&workspace.root);
    process::run(&mut command)
}
