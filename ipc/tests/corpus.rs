//! The fuzzer's corpus, replayed without a fuzzer: what it once found interesting stays harmless.

#![cfg(not(loom))]

mod harness;
#[allow(dead_code, reason = "this binary uses a part of it")]
#[path = "support/heap.rs"]
mod heap;

use std::fs;
use std::path::Path;

/// Runs all inputs of a target, in the order of their names; a few under Miri.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} has lost its inputs", folder.display());
    let most = if cfg!(miri) { 2 } else { usize::MAX };
    for file in files.iter().take(most) {
        // The name of the input that fails is in the captured output.
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
}

#[test]
fn no_input_of_the_corpus_harms_a_ring() {
    replay("ring", harness::ring::run);
}

#[test]
fn no_input_of_the_corpus_harms_a_channel() {
    replay("channel", harness::channel::run);
}
