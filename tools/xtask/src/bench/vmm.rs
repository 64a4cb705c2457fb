//! Owns the benchmarks that `vmm bench` makes: builds all that they measure, and starts them.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::guest;
use crate::host;
use crate::images;
use crate::process::{self, cargo};
use crate::workspace::Workspace;

/// What Atoll itself is measured with.
const IMAGES: [&str; 5] = ["echo", "kv", "load", "relay", "store"];

/// The package and the program that measure the peers.
const PEERS: &str = "atoll-peers";

/// Builds, then measures beside the peers with the `options` of `vmm bench WHICH`.
pub fn run(workspace: &Workspace, which: &str, options: &[OsString]) -> Result<()> {
    build_peers(workspace)?;
    let peers = [OsString::from("--peers"), workspace.release().join(PEERS).into()];
    run_alone(workspace, which, &[&peers, options].concat())
}

/// Builds, then measures what is compared with nothing but itself.
pub fn run_alone(workspace: &Workspace, which: &str, options: &[OsString]) -> Result<()> {
    host::build_vmm(workspace)?;
    images::make(workspace, &guest::named(workspace, &IMAGES.map(str::to_owned))?)?;
    process::run(&mut command(workspace, which, options))
}

/// By itself: what the peers depend on must not switch on features of the VMM's dependencies.
fn build_peers(workspace: &Workspace) -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--release", "-p", PEERS, "--bin", PEERS]).current_dir(&workspace.root);
    process::run(&mut command)
}

fn command(workspace: &Workspace, which: &str, options: &[OsString]) -> Command {
    let mut command = Command::new(workspace.vmm());
    command.args(["bench", which, "--images"]).arg(workspace.images()).args(options);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_what_was_built() {
        let text = r#"{"workspace_root": "/w", "target_directory": "/t", "packages": []}"#;
        let workspace: Workspace = serde_json::from_str(text).unwrap();
        for which in ["ipc", "kv", "recovery", "restart", "boot", "storm"] {
            let command = command(&workspace, which, &["--rounds".into(), "3".into()]);
            assert_eq!(command.get_program(), "/t/release/vmm");
            let words: Vec<_> = command.get_args().collect();
            let built = ["--images", "/t/images"];
            assert_eq!(words, [&["bench", which], &built[..], &["--rounds", "3"]].concat());
        }
    }
}
