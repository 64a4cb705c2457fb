//! Manifests: what a good one means, and one bad one for each rule with its exact message.

mod bad;
mod disks;
mod good;
mod images;
mod robust;
mod supervision;
mod supervision_bad;

use std::path::Path;

use super::{Manifest, ManifestError};

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text.as_bytes(), Path::new("images/system.toml"))
}

/// A good system to which `more` is added.
fn with(more: &str) -> String {
    format!(
        "name = \"demo\"\n[domains.kv]\nimage = \"kv\"\n[domains.relay]\nimage = \"relay\"\n{more}"
    )
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string().replace("images/system.toml:", "")
}
