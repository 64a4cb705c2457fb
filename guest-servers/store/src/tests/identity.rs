//! Disks that hold something else, and disks of another size.

use std::vec;

use super::sim::Sim;
use super::{OPTIONS, SMALL, encoded, loaded, open, put};
use crate::error::OpenError;
use crate::{Options, Store, UNIT};

#[test]
fn zeros_become_a_store_and_anything_else_stays() {
    let zeros = Sim::with(vec![0; SMALL]);
    assert_eq!(open(&zeros).unwrap().opened("kv").last.0, 0);
    for offset in [0, 5000, SMALL as u64 - 1] {
        let disk = Sim::with(vec![0; SMALL]);
        disk.0.borrow_mut().bytes[offset as usize] = 1;
        assert_eq!(open(&disk).unwrap_err(), OpenError::Foreign { offset });
        assert_eq!(disk.writes(), 0);
    }
}

#[test]
fn another_format_is_named_and_left_alone() {
    let disk = Sim::new(SMALL);
    drop(open(&disk).unwrap());
    let writes = disk.writes();
    for slot in [0, UNIT as usize] {
        disk.0.borrow_mut().bytes[slot + 16] = 2;
    }
    let error = open(&disk).unwrap_err();
    assert_eq!(error, OpenError::Version { found: 2 });
    assert!(std::format!("{error}").contains("format 2, and this release reads format 1"));
    assert_eq!(disk.writes(), writes);
}

#[test]
fn another_store_is_taken_over_only_if_it_is_named() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    let id = store.opened("kv").store;
    store.commit("kv", 1, &encoded(&[put(b"key", b"value")])).unwrap();
    let other = Options { name: "spare", seed: [5, 6, 7, 8], ..OPTIONS };
    let opened = |options: &Options<'_>| Store::open(disk.clone(), options, |_| ());
    let error = opened(&other).unwrap_err();
    assert!(std::format!("{error}").contains("the store `store`, and this is `spare`"), "{error}");
    assert!(opened(&Options { adopt: Some("stone"), ..other }).is_err());
    let mut store = opened(&Options { adopt: Some("store"), ..other }).unwrap();
    assert_eq!(loaded(&mut store, "kv", 100).records(), 1);
    assert_eq!(store.opened("kv").store, id);
    assert!(opened(&other).is_ok(), "it has the new name");
    assert!(open(&disk).is_err());
}

#[test]
fn a_store_grows_with_its_disk_and_does_not_shrink() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    store.commit("kv", 1, &encoded(&[put(b"key", b"value")])).unwrap();
    let room = store.room();
    let mut bytes = disk.bytes();
    bytes.resize(2 * SMALL, 0);
    let larger = Sim::with(bytes);
    let mut store = open(&larger).unwrap();
    assert!(store.room() > room * 19 / 10, "{} after {room}", store.room());
    // The log goes round in its new room.
    for number in 2..400 {
        store.commit("kv", number, &encoded(&[put(b"other", &[number as u8; 5000])])).unwrap();
        store.tidy(false);
    }
    let mut store = open(&larger).unwrap();
    assert_eq!(loaded(&mut store, "kv", 100).records(), 2);
    let shorter = Sim::with(larger.bytes()[..SMALL].to_vec());
    let wanted = 2 * SMALL as u64;
    assert_eq!(open(&shorter).unwrap_err(), OpenError::Shrunk { size: SMALL as u64, wanted });
}

#[test]
fn keys_that_do_not_fit_into_memory_are_an_error() {
    let disk = Sim::new(1 << 20);
    let mut store = open(&disk).unwrap();
    let keys: std::vec::Vec<_> = (0..2000_u32).map(u32::to_le_bytes).collect();
    let bytes = encoded(&keys.iter().map(|key| put(key, b"")).collect::<std::vec::Vec<_>>());
    store.commit("kv", 1, &bytes).unwrap();
    let small = Options { memory: 50_000, ..OPTIONS };
    let error = Store::open(disk.clone(), &small, |_| ()).unwrap_err();
    assert_eq!(error, OpenError::Memory { memory: 50_000 });

    let mut store = Store::open(Sim::new(1 << 20), &small, |_| ()).unwrap();
    assert!(store.commit("kv", 1, &bytes).is_err());
    assert!(store.commit("kv", 1, &encoded(&[put(b"key", b"value")])).is_ok());
}
