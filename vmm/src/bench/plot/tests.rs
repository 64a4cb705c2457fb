//! Whole pictures: the files of a run in which much was measured.

use std::fs;

use resvg::tiny_skia::Pixmap;
use resvg::usvg::{Options, Tree};

use super::*;
use crate::bench::engine::Round;
use crate::bench::fixture::{case, times};
use crate::bench::placement::Placement;
use crate::bench::report::Measured;
use crate::bench::subject::Sample;
use crate::bench::wire::{Case, Cpus, Suite, Wait};

fn measured(case: Case, sample: Sample) -> Measured {
    let placement = Placement::between(Some(225.0), Some(228.0));
    Measured { rounds: vec![Round { placement, sample }], ..Measured::new(case) }
}

fn trip(subject: &str, size: usize, wait: Wait, p50: u64) -> Measured {
    let mut slow: Vec<u64> = (0..90).map(|step| p50 + p50 * step / 60).collect();
    slow.extend((1..10).map(|step| p50 * (3 + step)));
    let sample = times(&vec![p50; 5_000], &slow);
    measured(Case { wait, ..case(Suite::RoundTrip, subject, size) }, sample)
}

fn flow(suite: Suite, subject: &str, size: usize, rate: f64) -> Measured {
    measured(case(suite, subject, size), Sample::Rate(rate))
}

/// Figures like those of a run, so that the pictures look like those of one.
fn report() -> Report {
    let polling = [
        ("ping-pong", 8, 223),
        ("atoll", 8, 262),
        ("atoll raw", 8, 240),
        ("atoll ring", 8, 231),
        ("rtrb", 8, 314),
        ("crossbeam", 8, 430),
        ("memcpy", 64, 300),
        ("pipe", 8, 1_520),
        ("unix-stream", 8, 3_245),
        ("iceoryx2 pub-sub", 8, 1_390),
        ("iceoryx2 request-response", 8, 3_097),
    ];
    let blocking = [
        ("eventfd", 8_040),
        ("futex", 8_576),
        ("pipe", 8_585),
        ("unix-stream", 8_200),
        ("ipc-channel", 11_600),
        ("atoll", 9_000),
    ];
    let mut all: Vec<Measured> = polling
        .into_iter()
        .map(|(subject, size, p50)| trip(subject, size, Wait::Polling, p50))
        .collect();
    for (subject, p50) in blocking {
        all.push(trip(subject, 8, Wait::Blocking, p50));
        let mut one = trip(subject, 8, Wait::Blocking, p50 / 3);
        one.case.cpus = Cpus::One;
        all.push(one);
    }
    for (subject, each, bytes) in [
        ("atoll raw", 20e-9, 8e9),
        ("rtrb", 30e-9, 7e9),
        ("memcpy", 60e-9, 9e9),
        ("crossbeam", 70e-9, 5e9),
        ("pipe", 450e-9, 3e9),
        ("unix-stream", 950e-9, 4e9),
        ("ipc-channel", 1_200e-9, 4.2e9),
        ("iceoryx2 pub-sub", 570e-9, 9e9),
    ] {
        for size in [64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20] {
            all.push(flow(Suite::OneWay, subject, size, 1.0 / (each + size as f64 / bytes)));
        }
    }
    for size in [64, 1 << 10, 64 << 10, 1 << 20] {
        all.push(flow(Suite::Lent, "atoll raw", size, 2e7 + size as f64));
        all.push(flow(Suite::Lent, "iceoryx2 pub-sub", size, 1.8e6));
    }
    Report::new(1, None, all, Vec::new())
}

#[test]
fn every_picture_is_well_formed_and_says_who_is_who() {
    let expected = [
        ("round-trip", "memcpy, 64 B"),
        ("round-trip-percentiles", "iceoryx2 request-response"),
        ("round-trip-blocking", "futex, one CPU"),
        ("one-way-messages", "unix-stream"),
        ("one-way-payload", "crossbeam"),
        ("lent-messages", "atoll raw"),
    ];
    let pictures = pictures(&report()).unwrap();
    let names: Vec<_> = pictures.iter().map(|picture| picture.name).collect();
    assert_eq!(names, expected.map(|(name, _)| name));
    for (Picture { name, svg }, (_, subject)) in pictures.iter().zip(expected) {
        let tree = Tree::from_str(svg, &Options::default()).unwrap();
        assert!(tree.size().width() >= 1_000.0, "{name}");
        assert!(svg.contains(subject), "{subject} is not in {name}");
        assert!(svg.contains("CPUs: far"), "{name} does not say where it was measured");
    }
}

#[test]
fn each_picture_is_a_file_of_lines_and_one_of_pixels() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("new/plots");
    let only = ["eventfd", "pipe"].map(|subject| trip(subject, 8, Wait::Blocking, 8_000));
    let files = write(&Report::new(1, None, only.into(), Vec::new()), &place).unwrap();
    let path = |kind| place.join("round-trip-blocking").with_extension(kind);
    assert_eq!(files, [path("svg"), path("png")]);
    let svg = fs::read_to_string(&files[0]).unwrap();
    let size = Tree::from_str(&svg, &Options::default()).unwrap().size();
    let pixels = Pixmap::load_png(&files[1]).unwrap();
    assert_eq!(pixels.width(), 2 * size.width() as u32);
    // Lines, points and letters: far more than an empty frame has.
    let inked = pixels.pixels().iter().filter(|pixel| pixel.red() < 128).count();
    assert!(inked > 4_000, "{inked} dark pixels");
}

#[test]
fn what_was_not_measured_makes_no_picture() {
    let directory = tempfile::tempdir().unwrap();
    let only = Report::new(1, None, vec![flow(Suite::Lent, "atoll raw", 64, 1e6)], Vec::new());
    let names: Vec<_> = pictures(&only).unwrap().iter().map(|picture| picture.name).collect();
    assert_eq!(names, ["lent-messages"]);
    assert!(
        write(&Report::new(1, None, Vec::new(), Vec::new()), directory.path()).unwrap().is_empty()
    );
}

#[test]
fn a_place_that_cannot_be_is_told_before_anything_is_drawn() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = prepare(&file.path().join("plots")).unwrap_err().to_string();
    assert!(error.starts_with("cannot make the directory /"), "{error}");
    assert!(error.ends_with("(os error 20); choose another with --plot"), "{error}");
}
