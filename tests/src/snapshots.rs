//! Owns what tests of snapshots have in common: systems to be taken, where the files go, and what
//! comes of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Place, System};

/// The port of [`crashme`].
pub const CRASH: &str = "crashme:crash";

/// A server that can be made to fail, with further keys.
pub fn crashme(keys: &str) -> String {
    format!(
        "name = \"snapped\"\n[domains.crashme]\nimage = \"crashme\"\n{keys}\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{CRASH}\"\n"
    )
}

/// Three domains, each of which calls the next one.
pub const CHAIN: &str = r#"
name = "chain"
[domains.front]
image = "front"
[domains.relay]
image = "relay"
[domains.echo]
image = "echo"
[[channels]]
from = "front"
as = "next"
to = "relay:relay"
[[channels]]
from = "relay"
as = "next"
to = "echo:echo"
[[gateways]]
listen = "127.0.0.1:0"
to = "front:lines"
"#;

/// Where the tests put their files: outside the system's directory, which must stay as it is.
pub fn scratch() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("x.snap");
    (dir, path)
}

/// A path, as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths are text here")
}

/// Takes a snapshot of a whole system; returns what is said of it.
pub fn snap(system: &System, path: &Path) -> Value {
    let said = system.json(&["snapshot", text(path)]);
    assert_eq!(said["bytes"], fs::metadata(path).expect("it is there").len());
    said
}

/// The system of a snapshot, with its own manifest.
pub fn restore(path: &Path) -> System {
    System::start_at(Place::of_snapshot(path))
}

/// Runs what must not start; returns what it says.
pub fn refused(place: &Place) -> String {
    let outcome = place.run();
    assert_eq!(outcome.code, Some(9), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    outcome.stderr
}
