//! Owns `cargo xtask campaign`: builds all that `vmm campaign` harms, and starts it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::cli::CampaignArgs;
use crate::guest;
use crate::host;
use crate::images;
use crate::kvm;
use crate::process;
use crate::workspace::Workspace;

/// The servers that are harmed, and those that are not.
const IMAGES: [&str; 2] = ["echo", "kv"];

/// Builds, then injects faults. That the VMM or a bystander was harmed is an error.
pub fn run(workspace: &Workspace, arguments: &CampaignArgs) -> Result<()> {
    // In the emulated machine a watchdog would take slowness for a hang.
    kvm::check().context("the campaign needs a usable KVM")?;
    host::build_vmm(workspace)?;
    images::make(workspace, &guest::named(workspace, &IMAGES.map(str::to_owned))?)?;
    process::run(&mut command(workspace, arguments))
}

fn command(workspace: &Workspace, arguments: &CampaignArgs) -> Command {
    let CampaignArgs { faults, seed, json, report } = arguments;
    let mut command = Command::new(workspace.vmm());
    command.args(["campaign", "--images"]).arg(workspace.images()).args([
        "--faults",
        &faults.to_string(),
        "--seed",
        &seed.to_string(),
    ]);
    if *json {
        command.arg("--json");
    }
    if let Some(report) = report {
        command.arg("--report").arg(report);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_handed_over() {
        let text = r#"{"workspace_root": "/w", "target_directory": "/t", "packages": []}"#;
        let workspace: Workspace = serde_json::from_str(text).unwrap();
        let report = Some("docs/campaign.md".into());
        let arguments = CampaignArgs { faults: 7, seed: 3, json: true, report };
        let command = command(&workspace, &arguments);
        assert_eq!(command.get_program(), "/t/release/vmm");
        let words: Vec<_> = command.get_args().collect();
        let asked = ["--faults", "7", "--seed", "3", "--json", "--report", "docs/campaign.md"];
        assert_eq!(words, [&["campaign", "--images", "/t/images"], &asked[..]].concat());
    }
}
