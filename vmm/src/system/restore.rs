//! Beginning from a snapshot: what of it must be known before anything is made, and which domain
//! gets what.

use super::SystemError;
use crate::control::api::Restored;
use crate::domain::{Blueprint, Checkpoint};
use crate::machine::host::Host;
use crate::manifest::Manifest;
use crate::snapshot::{DomainFacts, HostFacts, Misfit, Snapshot, SnapshotError};

/// Whether a snapshot is one of this kind of host, and of domains that there are.
///
/// # Errors
/// If not.
pub(super) fn check(
    snapshot: &Snapshot,
    manifest: &Manifest,
    kvm: &Host,
) -> Result<(), SystemError> {
    let misfit = |cause| misfit(snapshot, cause);
    snapshot.host.fit(&HostFacts::of(kvm)?).map_err(misfit)?;
    let names = snapshot.domains.iter().map(|saved| &saved.facts.name);
    let is_there = |name: &str| manifest.domains.keys().any(|domain| domain.as_str() == name);
    match names.into_iter().find(|name| !is_there(name)) {
        None => Ok(()),
        Some(name) => Err(misfit(Misfit::NoDomain { domain: name.clone() }).into()),
    }
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
