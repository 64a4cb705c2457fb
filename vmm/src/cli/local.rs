//! The commands that need no running system: `run`, `check`, `doctor`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::exit_code::ExitCode;
use crate::manifest::Manifest;
use crate::snapshot::Snapshot;
use crate::system::{self, Groundwork, Output, RunOptions};

use super::args::{CheckArgs, RunArgs};
use super::error::CliError;
use super::human::counted;

pub(super) fn run(args: &RunArgs, json: bool) -> Result<(), CliError> {
    let groundwork = Groundwork::begin();
    let from = args.from.as_deref().map(Snapshot::read).transpose()?;
    let (manifest, file) = match (&args.manifest, &from) {
        (Some(file), _) => (Manifest::load(file)?, file),
        // Its images are sought beside the file, as those of a manifest are.
        (None, Some(from)) => (Manifest::parse(from.manifest.as_bytes(), &from.file)?, &from.file),
        (None, None) => return Err(CliError::NoManifest),
    };
    let images_dir = images_dir(args.images.as_deref(), file);
    let output = if json { Output::Json } else { Output::Text };
    let (socket, disk_faults) = (args.socket.clone(), args.disk_fault.clone());
    let from = from.map(Arc::new);
    let options = RunOptions { images_dir, socket, output, disk_faults, from };
    Ok(system::run(groundwork, manifest, options)?)
}

pub(super) fn check(args: &CheckArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let manifest = Manifest::load(&args.manifest)?;
    system::check(&manifest, &images_dir(args.images.as_deref(), &args.manifest))?;
    if json {
        let domains: Vec<_> = manifest.domains.keys().map(|name| name.as_str()).collect();
        writeln!(out, "{}", json!({ "system": manifest.name.as_str(), "domains": domains }))?;
    } else {
        writeln!(
            out,
            "{}: system `{}` is in order: {}, {}, {}, {}",
            args.manifest.display(),
            manifest.name,
            counted(manifest.domains.len() as u64, "domain"),
            counted(manifest.channels.len() as u64, "channel"),
            counted(manifest.gateways.len() as u64, "gateway"),
            counted(manifest.disks.len() as u64, "disk"),
        )?;
    }
    Ok(())
}

pub(super) fn doctor(json: bool) -> Result<ExitCode, CliError> {
    Ok(crate::doctor::run(json)?)
}

fn images_dir(named: Option<&Path>, manifest: &Path) -> PathBuf {
    let beside = || manifest.parent().unwrap_or(Path::new(""));
    named.unwrap_or_else(beside).to_owned()
}
