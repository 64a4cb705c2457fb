//! The supervisor by example, each against what OTP's documentation says, and by properties over
//! generated trees in a world that answers its orders.

mod driver;
mod groups;
mod ladder;
mod lives;
mod model;
mod properties;
mod world;

use std::path::Path;

use crate::manifest::{Manifest, Supervision};

/// A supervisor for a manifest with these tables, whose servers all announce that they are ready.
pub(in crate::supervisor) fn of(tables: &str) -> super::Supervisor {
    super::Supervisor::new(&supervision(tables), |_| true, 7)
}

/// What a manifest with these tables asks for.
fn supervision(tables: &str) -> Supervision {
    let text = format!("name = \"test\"\n{tables}");
    match Manifest::parse(text.as_bytes(), Path::new("test.toml")) {
        Ok(manifest) => manifest.supervision,
        Err(error) => panic!("{error}\n{text}"),
    }
}
