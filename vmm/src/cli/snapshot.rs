//! `snapshot`: takes one, or says what is in one.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};

use super::args::SnapshotArgs;
use super::error::CliError;
use super::human::{counted, duration, size, time};
use super::table::{Align, Table, cell};
use super::target::converse;
use crate::snapshot::{Draft, DraftError, OnDisk, Saved, Snapshot};

const COLUMNS: [(&str, Align); 6] = [
    ("DOMAIN", Align::Left),
    ("EPOCH", Align::Right),
    ("MEMORY", Align::Right),
    ("STORED", Align::Right),
    ("IMAGE", Align::Left),
    ("HASH", Align::Left),
];

pub(super) fn snapshot(
    args: &SnapshotArgs,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    if args.manifest {
        return Ok(write!(out, "{}", Snapshot::read(&args.file)?.manifest)?);
    }
    if args.describe {
        return describe(&Snapshot::read(&args.file)?, json, out);
    }
    let snapshot = take(args)?;
    if json {
        writeln!(out, "{:#}", facts(&snapshot, &args.file))?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: {}, {}, stood still for {}",
        args.file.display(),
        size(snapshot.bytes),
        counted(snapshot.domains.len() as u64, "domain"),
        duration(snapshot.stood),
    )?;
    Ok(left_to_disks(&snapshot, out)?)
}

fn left_to_disks(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    snapshot.on_disks.iter().try_for_each(|OnDisk { domain, disk }| {
        writeln!(out, "{domain} is not in it: it begins with what is on disk `{disk}` by then")
    })
}

/// Has the system take one, and keeps the file if it is in order.
fn take(args: &SnapshotArgs) -> Result<Snapshot, CliError> {
    let client = args.target.client()?;
    let mut draft = Draft::begin(&args.file, args.force)?;
    let of = match &args.domain {
        Some(domain) => format!("domains/{domain}"),
        None => "system".to_owned(),
    };
    let target = format!("/v1/{of}/snapshot?deadline_ms={}", args.deadline.as_millis());
    let write = |piece: &[u8]| match draft.write(piece) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    };
    let broken: Option<DraftError> = converse(client.fetch(Method::POST, &target, write))?;
    broken.map_or(Ok(()), Err)?;
    draft.flush()?;
    // What the disk has is read back before anybody relies on it.
    let snapshot = Snapshot::read(draft.beside()).map_err(|error| error.of(&args.file))?;
    draft.keep()?;
    Ok(snapshot)
}

fn describe(snapshot: &Snapshot, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if json {
        writeln!(out, "{:#}", facts(snapshot, &snapshot.file))?;
        return Ok(());
    }
    let of = if snapshot.is_whole { "all of system" } else { "a domain of system" };
    writeln!(
        out,
        "{}: {of} `{}`, {}",
        snapshot.file.display(),
        snapshot.system,
        size(snapshot.bytes)
    )?;
    writeln!(
        out,
        "taken {} by vmm {}, stood still for {}",
        time(snapshot.taken),
        snapshot.vmm,
        duration(snapshot.stood)
    )?;
    let host = &snapshot.host;
    writeln!(out, "on {}; processor with {}", host.kind, host.features.join(" "))?;
    let mut table = Table::new(&COLUMNS);
    for Saved { facts, checkpoint } in &snapshot.domains {
        table.row(vec![
            cell(&facts.name),
            cell(checkpoint.epoch),
            cell(size(facts.memory)),
            cell(size(checkpoint.bytes())),
            cell(&facts.image),
            cell(facts.hash()),
        ]);
    }
    table.print("", out)?;
    Ok(left_to_disks(snapshot, out)?)
}

fn facts(snapshot: &Snapshot, file: &Path) -> Value {
    let domain = |Saved { facts, checkpoint }: &Saved| {
        json!({
            "name": facts.name,
            "epoch": checkpoint.epoch,
            "memory_bytes": facts.memory,
            "stored_bytes": checkpoint.bytes(),
            "image": facts.image,
            "image_hash": facts.hash(),
            "arguments": facts.arguments,
        })
    };
    json!({
        "file": file.to_string_lossy(),
        "bytes": snapshot.bytes,
        "system": snapshot.system,
        "whole_system": snapshot.is_whole,
        "taken": snapshot.taken,
        "stood_micros": snapshot.stood,
        "vmm": snapshot.vmm,
        "host": { "kind": snapshot.host.kind, "features": snapshot.host.features },
        "on_disks": snapshot.on_disks,
        "domains": snapshot.domains.iter().map(domain).collect::<Vec<_>>(),
        "manifest": snapshot.manifest,
    })
}
