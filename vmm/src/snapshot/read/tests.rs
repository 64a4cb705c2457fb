//! What a file can be, whole, damaged and forged.

use super::super::facts::{DomainFacts, OnDisk};
use super::super::format::{self, HEADER};
use super::super::write::{Shot, encode};
use super::*;
use crate::control::api::HostKind;
use proptest::prelude::*;

const HASH: std::ops::Range<usize> = 8..40;

fn facts() -> DomainFacts {
    DomainFacts {
        name: "kv".to_owned(),
        image: "kv".to_owned(),
        image_hash: [7; 32],
        memory: 8 << 20,
        state: 1 << 20,
        vcpus: 1,
        arguments: vec!["debug=yes".to_owned()],
        channels: Vec::new(),
    }
}

fn point() -> Point {
    let registers: Vec<u64> = (1..=18).collect();
    Point::from_parts(&registers, &[0; 512]).unwrap()
}

fn memory() -> Contents {
    let bytes = [[3; PAGE as usize], [5; PAGE as usize]].concat();
    Contents { extents: vec![0x14_0000..0x14_1000, 0x40_2000..0x40_3000], bytes }
}

fn state() -> Contents {
    Contents { extents: std::iter::once(0..PAGE).collect(), bytes: vec![9; PAGE as usize] }
}

fn shot() -> Shot {
    let checkpoint =
        Checkpoint { epoch: 3, point: point(), memory: memory(), state: Some(state()) };
    Shot {
        host: HostFacts { kind: HostKind::Software, features: vec!["sse3".to_owned()] },
        system: "demo".to_owned(),
        manifest: "name = \"demo\"\n".to_owned(),
        is_whole: true,
        on_disks: vec![OnDisk { domain: "db".to_owned(), disk: "data".to_owned() }],
        taken: 1_700_000_000_000_000,
        stood: 250,
        domains: vec![(facts(), checkpoint)],
    }
}

fn file() -> Vec<u8> {
    encode(shot()).unwrap().concat()
}

fn parse(bytes: &[u8]) -> Result<Snapshot, Unreadable> {
    Snapshot::parse(Path::new("x.snap"), bytes)
}

/// A file with this head and these contents, with the hash that they have.
fn forged(change: impl FnOnce(&mut Head)) -> Result<Snapshot, Unreadable> {
    let file = file();
    let format::Parts { mut head, contents } = split(&file).unwrap();
    change(&mut head);
    let contents = contents.to_vec();
    let mut bytes = format::front(&head, std::slice::from_ref(&contents)).unwrap();
    bytes.extend(contents);
    parse(&bytes)
}

#[test]
fn what_is_written_is_read() {
    let file = file();
    let snapshot = parse(&file).unwrap();
    let shot = shot();
    assert_eq!(snapshot.host, shot.host);
    assert_eq!((&snapshot.system, &snapshot.manifest), (&shot.system, &shot.manifest));
    assert_eq!((snapshot.taken, snapshot.stood, snapshot.is_whole), (shot.taken, 250, true));
    assert_eq!((&snapshot.on_disks, snapshot.bytes), (&shot.on_disks, file.len() as u64));
    let saved = snapshot.domain("kv").unwrap();
    assert_eq!((&saved.facts, saved.checkpoint.epoch), (&facts(), 3));
    assert_eq!((&saved.checkpoint.point, &saved.checkpoint.memory), (&point(), &memory()));
    assert_eq!(saved.checkpoint.state, Some(state()));
    assert!(snapshot.domain("kw").is_none());
}

#[test]
fn every_byte_that_is_flipped_is_found() {
    let file = file();
    for at in 0..file.len() {
        for bits in [1, 0x80] {
            let mut damaged = file.clone();
            damaged[at] ^= bits;
            let error = parse(&damaged).map(|_| ()).unwrap_err();
            match at {
                0..8 => assert_eq!(error, Unreadable::Magic),
                40..44 => assert!(matches!(error, Unreadable::Format { .. }), "{at}: {error}"),
                48..64 => assert!(matches!(error, Unreadable::Length { .. }), "{at}: {error}"),
                _ => assert_eq!(error, Unreadable::Hash, "{at}"),
            }
        }
    }
}

#[test]
fn every_length_but_the_right_one_is_found() {
    let mut file = file();
    for length in 0..file.len() {
        let error = parse(&file[..length]).map(|_| ()).unwrap_err();
        match length {
            0 => assert_eq!(error, Unreadable::Magic),
            1..HEADER => assert!(matches!(error, Unreadable::Headless { .. }), "{length}: {error}"),
            _ => assert!(matches!(error, Unreadable::Length { .. }), "{length}: {error}"),
        }
    }
    file.push(0);
    assert!(matches!(parse(&file), Err(Unreadable::Length { .. })));
}

#[test]
fn another_abi_is_not_called_damage() {
    let mut file = file();
    file[44] ^= 1;
    let hash = *blake3::hash(&file[40..]).as_bytes();
    file[HASH].copy_from_slice(&hash);
    assert!(matches!(parse(&file), Err(Unreadable::Abi { .. })));
}

#[test]
fn memory_that_cannot_be_is_refused_though_its_hash_is_right() {
    let with = |extents: &[(u64, u64)]| {
        let extents = extents.to_vec();
        forged(move |head| head.domains[0].areas[0].extents = extents).map(|_| ()).unwrap_err()
    };
    let extent = |address| Unreadable::Extent { domain: "kv".to_owned(), address };
    assert_eq!(with(&[(1, PAGE), (0x2000, PAGE)]), extent(1));
    assert_eq!(with(&[(0x1000, 1), (0x2000, PAGE)]), extent(0x1000));
    assert_eq!(with(&[(0x1000, 0), (0x2000, PAGE)]), extent(0x1000));
    assert_eq!(with(&[(0x2000, PAGE), (0x1000, PAGE)]), extent(0x1000));
    assert_eq!(with(&[(0x2000, PAGE), (0x2000, PAGE)]), extent(0x2000));
    assert_eq!(with(&[(0x2000, PAGE), (8 << 20, PAGE)]), extent(8 << 20));
    assert_eq!(with(&[(u64::MAX - 4095, PAGE)]), extent(u64::MAX - 4095));
    assert_eq!(with(&[(0, u64::MAX / PAGE * PAGE)]), extent(0));
    assert_eq!(with(&[(0, 4 * PAGE)]), extent(0), "there is less than that");
    assert!(matches!(with(&[(0, PAGE)]), Unreadable::Head { .. }), "there is more than that");
    let state = |extents: &[(u64, u64)]| {
        let extents = extents.to_vec();
        forged(move |head| head.domains[0].areas[1].extents = extents).map(|_| ()).unwrap_err()
    };
    assert_eq!(state(&[(1 << 20, PAGE)]), extent(1 << 20), "its state region ends there");
}

#[test]
fn what_else_cannot_be_is_refused_too() {
    let error = |change: fn(&mut Head)| forged(change).map(|_| ()).unwrap_err();
    let epoch = |epoch| Unreadable::Epoch { domain: "kv".to_owned(), epoch };
    assert_eq!(error(|head| head.domains[0].epoch = 0), epoch(0));
    assert_eq!(error(|head| head.domains[0].epoch = u32::MAX), epoch(u32::MAX));
    let point = error(|head| head.domains[0].registers[16] = u64::MAX);
    assert!(matches!(point, Unreadable::Point { .. }), "{point}");
    let area = error(|head| head.domains[0].areas[0].name = "hat".to_owned());
    assert_eq!(area, Unreadable::Area { domain: "kv".to_owned(), area: "hat".to_owned() });
    let none = error(|head| head.domains[0].areas.clear());
    assert!(matches!(none, Unreadable::Head { .. }), "{none}");
    let stateless = error(|head| head.domains[0].facts.state = 0);
    assert!(matches!(stateless, Unreadable::Extent { .. }), "{stateless}");
    let forgetful = error(|head| head.domains[0].areas[1].name = MEMORY.to_owned());
    assert!(matches!(forgetful, Unreadable::Head { .. }), "{forgetful}");
}

#[test]
fn a_state_region_that_was_not_copied_makes_no_file() {
    let mut shot = shot();
    shot.domains[0].1.state = None;
    assert!(encode(shot).unwrap_err().contains("its state region was not copied"));
}

#[test]
fn a_file_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.snap");
    let says = Snapshot::read(&absent).unwrap_err().to_string();
    assert!(says.contains("absent.snap") && says.contains("vmm snapshot"), "{says}");
    let says = Snapshot::read(dir.path()).unwrap_err().to_string();
    assert!(says.contains("it is not a file"), "{says}");
    let says = Snapshot::read(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(says.contains("it is not a file"), "{says}");
}

proptest! {
    /// Whoever forges a file can give it the right hash.
    #[test]
    fn a_forged_head_never_panics(
        changes in proptest::collection::vec((0usize..2048, any::<u8>()), 1..8),
    ) {
        let mut file = file();
        let head = u64::from_le_bytes(file[48..56].try_into().unwrap()) as usize;
        for (at, byte) in changes {
            file[HEADER + at % head] = byte;
        }
        let hash = *blake3::hash(&file[40..]).as_bytes();
        file[HASH].copy_from_slice(&hash);
        if let Ok(snapshot) = parse(&file) {
            for saved in &snapshot.domains {
                let length = |range: &std::ops::Range<u64>| range.end - range.start;
                for contents in saved.checkpoint.state.iter().chain([&saved.checkpoint.memory]) {
                    let total: u64 = contents.extents.iter().map(length).sum();
                    prop_assert_eq!(total, contents.bytes.len() as u64);
                }
            }
        }
    }
}
