//! Beginning from a snapshot: what of it must be known before anything is made, and which domain
//! gets what.

use std::fs;
use std::io;
use std::path::Path;

use super::SystemError;
use crate::control::api::Restored;
use crate::domain::{Blueprint, Checkpoint};
use crate::machine::host::Host;
use crate::manifest::Manifest;
use crate::snapshot::{DomainFacts, HostFacts, Misfit, Saved, Snapshot, SnapshotError, Unreadable};

/// Whether a snapshot is one of this kind of host, and of domains that there are; and whether what
/// it left to disks is there.
///
/// # Errors
/// If not.
pub(super) fn check(
    snapshot: &Snapshot,
    manifest: &Manifest,
    kvm: &Host,
) -> Result<(), SystemError> {
    snapshot.host.fit(&HostFacts::of(kvm)?).map_err(|cause| misfit(snapshot, cause))?;
    domains_fit(snapshot, manifest)
        .and_then(|()| disks_fit(snapshot, manifest))
        .map_err(|cause| misfit(snapshot, cause).into())
}

fn domains_fit(snapshot: &Snapshot, manifest: &Manifest) -> Result<(), Misfit> {
    let on_disks = manifest.on_disks();
    for Saved { facts, .. } in &snapshot.domains {
        let domain = || facts.name.clone();
        let Some(name) = manifest.domains.keys().find(|name| name.as_str() == facts.name) else {
            return Err(Misfit::NoDomain { domain: domain() });
        };
        if let Some(disk) = on_disks.get(name) {
            return Err(Misfit::OnDisk { domain: domain(), disk: disk.to_string() });
        }
    }
    Ok(())
}

/// A disk is made if it is not there; but then it would have lost what domains count on that are
/// not in the snapshot for its sake.
fn disks_fit(snapshot: &Snapshot, manifest: &Manifest) -> Result<(), Misfit> {
    for (name, disk) in &manifest.disks {
        let theirs = snapshot.on_disks.iter().filter(|it| it.disk == name.as_str());
        let domains: Vec<_> = theirs.map(|it| it.domain.clone()).collect();
        if !domains.is_empty() && is_absent(&disk.file) {
            return Err(Misfit::NoDisk { disk: name.to_string(), at: disk.file.clone(), domains });
        }
    }
    Ok(())
}

/// Whatever else may be wrong with it is told when it is opened.
fn is_absent(file: &Path) -> bool {
    matches!(fs::metadata(file), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// What a domain goes on from, if it is in the snapshot.
///
/// # Errors
/// If it is not as it was.
pub(super) fn of<'s>(
    snapshot: Option<&'s Snapshot>,
    blueprint: &Blueprint,
) -> Result<Option<(&'s Checkpoint, Restored)>, SystemError> {
    let Some(snapshot) = snapshot else { return Ok(None) };
    let Some(saved) = snapshot.domain(blueprint.name.as_str()) else { return Ok(None) };
    saved.facts.fit(&DomainFacts::of(blueprint)).map_err(|cause| misfit(snapshot, cause))?;
    // The file's hash does not say who wrote it.
    if let Some(address) = saved.checkpoint.memory.outside(&blueprint.writable()) {
        let cause = Unreadable::Extent { domain: saved.facts.name.clone(), address };
        return Err(SnapshotError::Unreadable { file: snapshot.file.clone(), cause }.into());
    }
    let from = Restored {
        file: snapshot.file.display().to_string(),
        epoch: saved.checkpoint.epoch.into(),
        taken: snapshot.taken,
    };
    Ok(Some((&saved.checkpoint, from)))
}

fn misfit(snapshot: &Snapshot, cause: Misfit) -> SnapshotError {
    SnapshotError::Misfit { file: snapshot.file.clone(), cause: Box::new(cause) }
}
