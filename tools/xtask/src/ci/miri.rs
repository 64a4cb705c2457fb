//! Owns Miri's part in the checks: which tests of the protocol it runs.

use std::io;

use anyhow::Result;

use super::{PROTOCOL, needs, some_passed};
use crate::workspace::Workspace;

/// The test programs: that of the library, and two in which real threads share the memory. Left
/// out are `interface`, in which there is no shared memory, and `corpus`, whose inputs the fuzzer
/// runs under AddressSanitizer.
const TARGETS: [&str; 5] = ["--lib", "--test", "lent", "--test", "threads"];

/// Modules of safe code for one thread at a time: there is nothing in them that only Miri would see.
const SKIPPED: [&str; 6] = ["abi::", "disk::", "geometry::", "record::", "state::", "stream::"];

/// Runs them.
pub fn run(workspace: &Workspace) -> Result<()> {
    let remedy = "rustup toolchain install nightly --component miri,rust-src";
    let mut probe = needs::nightly(&["miri", "--version"]);
    if !needs::met(&mut probe, "nightly toolchain with Miri", remedy)? {
        return Ok(());
    }
    let mut command = needs::nightly(&["miri", "test", "-p", PROTOCOL]);
    command
        .args(TARGETS)
        .arg("--")
        .args(SKIPPED.iter().flat_map(|name| ["--skip", name]))
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", workspace.target.join("miri"))
        // Property tests note failures in files.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation");
    some_passed(&mut command, &mut io::stdout())
}
