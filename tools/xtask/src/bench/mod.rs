//! Owns `cargo xtask bench`: what is measured, with what around it, and where the results go.
//!
//! Everything is measured beside its peer in one run, for on a shared machine only ratios mean anything.

mod bracket;
mod control;
mod cpu;
mod figures;
mod load;
mod machine;
mod peers;
/// The probe, and what it tells of the CPUs. The file is the VMM's; it is taken as it is, with the
/// one that it builds on, so that the builder need not be built with the whole VMM.
#[path = "../../../../vmm/src/bench/placement.rs"]
mod placement;
mod plain;
#[path = "../../../../vmm/src/machine/processors.rs"]
mod processors;
mod redis;
mod resp;
mod system;
mod table;
mod vmm;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tempfile::TempDir;

use crate::cli::Bench;
use crate::guest;
use crate::host;
use crate::images;
use crate::kvm;
use crate::workspace::Workspace;

use machine::Machine;
use peers::Peers;

/// What a benchmark beside Redis needs.
#[derive(Debug)]
struct Setting<'a> {
    workspace: &'a Workspace,
    peers: Peers,
    /// For sockets, logs and programs of this run; it goes with this value.
    scratch: TempDir,
}

/// Results, with what is to be known to judge them.
#[derive(Debug, Serialize)]
struct Record<T> {
    machine: Machine,
    redis_version: String,
    /// The load average before and after.
    load: [f64; 2],
    results: T,
}

/// Runs one benchmark. A bar that is missed is an error, after all results are told.
pub fn bench(workspace: &Workspace, which: &Bench) -> Result<()> {
    // In the emulated machine a figure would mean nothing.
    kvm::check().context("benchmarks need a usable KVM")?;
    match which {
        Bench::Ipc(arguments) => vmm::run(workspace, "ipc", &arguments.vmm),
        Bench::Restart(arguments) => vmm::run(workspace, "restart", &arguments.vmm),
        Bench::Boot(arguments) => vmm::run(workspace, "boot", &arguments.vmm),
        Bench::Storm(arguments) => vmm::run_alone(workspace, "storm", &arguments.vmm),
        Bench::Recovery(arguments) => vmm::run_alone(workspace, "recovery", &arguments.vmm),
        Bench::Kv(arguments) => beside_redis(workspace, "kv", &arguments.vmm),
        Bench::Redis(arguments) => {
            let setting = Setting::make(workspace)?;
            let record = setting.record(|| redis::measure(&setting, arguments))?;
            record.tell(&redis::report(&record.results), arguments.json.as_deref())?;
            judge(&redis::missed(&record.results))
        }
    }
}

/// Runs a benchmark of `vmm bench` that starts redis-server itself.
fn beside_redis(workspace: &Workspace, which: &str, options: &[OsString]) -> Result<()> {
    let setting = Setting::make(workspace)?;
    let program = setting.peers.redis_server_as_one(setting.scratch.path())?;
    let redis = [OsString::from("--redis-server"), program.into()];
    vmm::run_alone(workspace, which, &[&redis, options].concat())
}

fn judge(missed: &[String]) -> Result<()> {
    if !missed.is_empty() {
        bail!("missed: {}", missed.join("; "));
    }
    Ok(())
}

impl<'a> Setting<'a> {
    fn make(workspace: &'a Workspace) -> Result<Self> {
        host::build_vmm(workspace)?;
        let names = [system::KV.to_owned()];
        images::make(workspace, &guest::named(workspace, &names)?)?;
        let directory = workspace.target.join("bench");
        fs::create_dir_all(&directory)
            .with_context(|| format!("making {}", directory.display()))?;
        let peers = Peers::provide(&directory)?;
        // Not below `target`: the path of a Unix socket may have 107 bytes and no more.
        let scratch = TempDir::with_prefix("atoll-bench-")?;
        Ok(Self { workspace, peers, scratch })
    }

    fn record<T>(&self, measure: impl FnOnce() -> Result<T>) -> Result<Record<T>> {
        let (machine, redis_version) = (Machine::this()?, self.peers.version()?);
        let before = machine::load()?;
        let results = measure()?;
        Ok(Record { machine, redis_version, load: [before, machine::load()?], results })
    }
}

impl<T: Serialize> Record<T> {
    fn tell(&self, report: &str, json: Option<&Path>) -> Result<()> {
        let Self { machine, redis_version, load: [before, after], .. } = self;
        println!("{}; redis-server {redis_version}", machine.sentence());
        println!(
            "load average before {before:.2}, after {after:.2}\n{}\n\n{report}",
            bracket::NOTE
        );
        if let Some(path) = json {
            let text = serde_json::to_string_pretty(self)?;
            fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bar_is_an_error_that_names_it() {
        judge(&[]).unwrap();
        let error = judge(&["set at P1".into(), "get at P16".into()]).unwrap_err();
        assert_eq!(error.to_string(), "missed: set at P1; get at P16");
    }
}
