//! Whatever the bytes are, reading them ends in a manifest or in errors with places inside.

use std::path::Path;

use proptest::prelude::*;

use super::super::{Manifest, ManifestError};
use super::with;

fn never_panics(bytes: &[u8]) {
    match Manifest::parse(bytes, Path::new("x.toml")) {
        Ok(manifest) => assert!(!manifest.domains.is_empty()),
        Err(ManifestError::Invalid(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let text = problem.to_string();
                assert!(problem.place.line >= 1 && problem.place.column >= 1);
                assert!(!text.contains(|c: char| c.is_control() && c != '\t'), "{text:?}");
            }
        }
        Err(error) => panic!("{error}"),
    }
}

/// A size, often near one that is allowed.
fn size() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u32..40, -1_i64..2).prop_map(|(shift, more)| ((1_i64 << shift) + more).to_string()),
        any::<i64>().prop_map(|bytes| bytes.to_string()),
        (0_u64..300, "KiB|MiB|GiB|kb|").prop_map(|(n, unit)| format!("\"{n} {unit}\"")),
    ]
}

/// Pieces that get a random text past the parser and into the rules.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "name",
        "image",
        "memory",
        "state",
        "state-on-crash-loop",
        "vcpus",
        "arguments",
        "restart",
        "wait",
        "cpus",
        "ring",
        "buffers",
        "from",
        "as",
        "to",
        "listen",
        "max-connections",
        "supervision",
        "groups",
        "group",
        "parent",
        "after",
        "bailout",
        "intensity",
        "watchdog",
        "ports",
        "poison-after",
        "[supervision]\n",
        "[groups.kv]\n",
        "[domains.kv.ports.kv]\n",
        "[\"kv\"]",
        "\"kv\"",
        "\"5 s\"",
        "domains",
        "channels",
        "gateways",
        "kv",
        "[",
        "]",
        "[[",
        "]]",
        "[domains.kv]\n",
        "[[channels]]\n",
        "[[gateways]]\n",
        "=",
        "\"",
        "\n",
        ".",
        ",",
        "{",
        "}",
        "1",
        "-1",
        "99999999999999999999",
        "0x10",
        "true",
        "1.5",
        "\"kv:redis\"",
        "\"unix:/x\"",
        "\"256 MiB\"",
        "\"300 KiB\"",
        "\"[::1]:0\"",
        "\"\\u0000\"",
        "é",
        "\r",
        "\t",
        "#",
    ];
    prop_oneof![proptest::sample::select(words.to_vec()).prop_map(str::to_owned), ".{0,4}"]
}

proptest! {
    /// Whatever a channel asks for, it has sizes that the ring protocol allows, or is refused.
    #[test]
    fn any_sizes_of_a_channel(ring in size(), buffers in size()) {
        let text = with(&format!(
            "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = {ring}\nbuffers = {buffers}\n"
        ));
        never_panics(text.as_bytes());
        if let Ok(manifest) = Manifest::parse(text.as_bytes(), Path::new("x.toml")) {
            prop_assert!(manifest.channels[0].layout.is_valid());
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        never_panics(&bytes);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(piece(), 0..60)) {
        never_panics(pieces.concat().as_bytes());
    }

    #[test]
    fn a_good_file_with_a_hole(start in 0_usize..200, length in 0_usize..20, byte: u8) {
        let mut bytes = with(
            "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\n\
             [[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\n",
        ).into_bytes();
        let start = start.min(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, [byte]);
        never_panics(&bytes);
    }
}
