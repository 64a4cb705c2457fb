//! Files of snapshots: what fits, what does not and why, and what is in them.

use std::fs;
use std::ops::Range;

use atoll_tests::snapshots::{CHAIN, CRASH, crashme, refused, scratch, snap};
use atoll_tests::system::{Place, command};
use atoll_tests::{System, environment, process};
use serde_json::Value;

/// Where a file's hash lies, from where on it covers everything, and where the head begins.
const HASH: Range<usize> = 8..40;
const HASHED: usize = 40;
const HEADER: usize = 64;

#[test]
fn a_file_that_does_not_fit_is_refused_by_name_and_with_the_reason() {
    let Some(system) = System::start(&crashme("")) else { return };
    let (_dir, path) = scratch();
    snap(&system, &path);
    let other = |manifest: String| refused(&Place::new(&manifest).from_snapshot(&path));
    let memory = other(crashme("memory = \"32 MiB\""));
    assert!(memory.contains("x.snap") && memory.contains("its memory was 16777216"), "{memory}");
    let arguments = other(crashme("arguments = [\"new\"]"));
    assert!(arguments.contains("its list of arguments was []"), "{arguments}");
    let image = other(
        crashme("")
            .replace("image = \"crashme\"", "image = \"front\"")
            .replace(CRASH, "crashme:lines"),
    );
    assert!(image.contains("with hash") && image.contains("--images"), "{image}");
    let name =
        other(crashme("").replace("crashme", "smashme").replace("\"smashme\"", "\"crashme\""));
    assert!(name.contains("has no domain `crashme`"), "{name}");
    let gateway = format!("[[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{CRASH}\"\n");
    let channels = other(crashme("") + &gateway);
    assert!(channels.contains("channel 1 was not there"), "{channels}");
    let vcpus = other(crashme("vcpus = 2"));
    assert!(vcpus.contains("number of vCPUs was 1"), "{vcpus}");
}

#[test]
fn a_file_of_the_other_kind_of_host_is_refused_with_the_reason() {
    let Some(system) = System::start(&crashme("")) else { return };
    let (_dir, path) = scratch();
    snap(&system, &path);
    let mut file = fs::read(&path).unwrap();
    // The head begins with the version of the VMM; then comes the kind.
    let kind = HEADER + 1 + usize::from(file[HEADER]);
    assert!(file[kind] < 2);
    file[kind] ^= 1;
    let hash = blake3::hash(&file[HASHED..]);
    file[HASH].copy_from_slice(hash.as_bytes());
    fs::write(&path, file).unwrap();
    let said = refused(&Place::of_snapshot(&path));
    assert!(said.contains("x.snap cannot be restored here: it was taken on"), "{said}");
    assert!(said.contains("restore it on a host of its own kind"), "{said}");
}

#[test]
fn a_file_that_is_damaged_is_refused_by_name_and_with_the_reason() {
    let Some(system) = System::start(&crashme("")) else { return };
    let (dir, path) = scratch();
    snap(&system, &path);
    let whole = fs::read(&path).unwrap();
    let damaged = dir.path().join("damaged.snap");
    let place = Place::of_snapshot(&damaged);
    let says = |bytes: &[u8]| {
        fs::write(&damaged, bytes).unwrap();
        let said = refused(&place);
        assert!(said.contains("damaged.snap"), "{said}");
        said
    };
    // A sample; all places of a small one are tried where the format is defined.
    for part in 1..8 {
        let at = whole.len() * part / 8;
        assert!(says(&whole[..at]).contains("it is damaged"), "{at} bytes");
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        assert!(says(&flipped).contains("the file is damaged"), "byte {at}");
    }
    assert!(says(b"#!/bin/sh").contains("this is no snapshot"));
    assert!(says(b"").contains("this is no snapshot"));
    let mut newer = whole;
    newer[40] += 1;
    assert!(says(&newer).contains("format version 2, and this vmm reads 1"));
    fs::remove_file(&damaged).unwrap();
    assert!(refused(&place).contains("damaged.snap"));
}

#[test]
fn a_file_says_what_is_in_it() {
    let Some(system) = System::start(CHAIN) else { return };
    let (_dir, path) = scratch();
    snap(&system, &path);
    let run = |arguments: &[&str]| {
        let outcome = process::run(command().arg("snapshot").args(arguments).arg(&path));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stdout
    };
    let described = run(&["--describe"]);
    assert!(described.contains("all of system `chain`"), "{described}");
    assert!(
        described.contains("relay") && described.contains(" KVM; processor with"),
        "{described}"
    );
    let facts: Value = serde_json::from_str(&run(&["--describe", "--json"])).unwrap();
    assert_eq!(
        (&facts["system"], &facts["domains"][1]["name"]),
        (&"chain".into(), &"relay".into())
    );
    assert_eq!(facts["domains"][1]["image_hash"], system.inspect("relay")["image_hash"]);
    assert_eq!(run(&["--manifest"]), CHAIN);
    assert!(environment::images().is_dir());
}
