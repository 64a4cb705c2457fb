//! Owns what is known of the workspace: where it is, where it builds, which packages it has.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::cargo;

/// The feature that a guest server's program needs, and by which guest servers are known.
const GUEST_FEATURE: &str = "guest";

/// The workspace, as cargo describes it.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    /// The checkout.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Where everything is built.
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(rename = "required-features", default)]
    required_features: Vec<String>,
}

/// A program that runs in a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestServer {
    /// The package that has it.
    pub package: String,
    /// The program, after which the image is named.
    pub program: String,
}

impl Workspace {
    /// Asks cargo about the workspace around the current directory.
    pub fn load() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .stderr(std::process::Stdio::inherit())
            .output()
            .context("starting cargo")?;
        if !output.status.success() {
            bail!("cargo metadata failed; its message is above");
        }
        serde_json::from_slice(&output.stdout).context("reading what cargo metadata says")
    }

    /// Where image files go.
    pub fn images(&self) -> PathBuf {
        self.target.join("images")
    }

    /// Where system manifests are.
    pub fn manifests(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Where guest programs are built: apart from the host's, whose flags differ.
    pub fn guest_target(&self) -> PathBuf {
        self.target.join("guest")
    }

    /// Where the emulated machine is kept.
    pub fn emulate(&self) -> PathBuf {
        self.target.join("emulate")
    }

    /// Where optimised programs of the host are, once they are built.
    pub fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// The VMM, once it is built.
    pub fn vmm(&self) -> PathBuf {
        self.release().join("vmm")
    }

    /// All guest servers, by name.
    pub fn guest_servers(&self) -> Vec<GuestServer> {
        let folder = self.root.join("guest-servers");
        let mut servers: Vec<_> = self
            .packages
            .iter()
            .filter(|package| package.manifest_path.starts_with(&folder))
            .flat_map(|package| package.targets.iter().map(move |target| (package, target)))
            .filter(|(_, target)| is_guest_program(target))
            .map(|(package, target)| GuestServer {
                package: package.name.clone(),
                program: target.name.clone(),
            })
            .collect();
        servers.sort();
        servers
    }
}

fn is_guest_program(target: &Target) -> bool {
    target.kind.iter().any(|kind| kind == "bin")
        && target.required_features.iter().any(|feature| feature == GUEST_FEATURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_servers_are_programs_below_their_folder_that_need_the_feature() {
        let text = r#"{
            "workspace_root": "/w", "target_directory": "/w/target", "packages": [
            {"name": "kv", "manifest_path": "/w/guest-servers/kv/Cargo.toml", "targets": [
                {"name": "kv", "kind": ["lib"]},
                {"name": "kv", "kind": ["bin"], "required-features": ["guest"]},
                {"name": "kv-tool", "kind": ["bin"]}]},
            {"name": "odd", "manifest_path": "/w/tools/odd/Cargo.toml", "targets": [
                {"name": "odd", "kind": ["bin"], "required-features": ["guest"]}]}]}"#;
        let workspace: Workspace = serde_json::from_str(text).unwrap();
        let expected = GuestServer { package: "kv".into(), program: "kv".into() };
        assert_eq!(workspace.guest_servers(), [expected]);
        assert_eq!(workspace.images(), PathBuf::from("/w/target/images"));
    }
}
