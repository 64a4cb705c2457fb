//! Every byte of a store flipped, every truncation, and what a repair leaves.

use std::vec;
use std::vec::Vec;

use atoll_ipc::message::Status;

use super::model::Space;
use super::sim::Sim;
use super::{OPTIONS, SMALL, amend, encoded, key, loaded, open, put};
use crate::error::{Damage, OpenError};
use crate::layout::{DATA, units};
use crate::record::Record;
use crate::{Options, Store, Trouble, UNIT};

/// A store's bytes, and all states that it went through, the last one last.
fn example(groups: usize, reopen: bool) -> (Vec<u8>, Vec<Space>) {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    let mut states = vec![Space::default()];
    for group in 0..groups {
        let bytes = match group % 4 {
            3 => encoded(&[Record::Delete { key: key(group - 3).as_bytes() }]),
            2 => encoded(&[amend(key(group - 2).as_bytes(), &[group as u8; 5000])]),
            _ => encoded(&[put(key(group).as_bytes(), &[group as u8; 50])]),
        };
        let mut space = states.last().unwrap().clone();
        space.batch(&bytes).unwrap();
        store.commit("kv", space.last, &bytes).unwrap();
        states.push(space);
    }
    if reopen {
        drop(open(&disk).unwrap());
    }
    (disk.bytes(), states)
}

/// What opening made of it: an error, or which of the states.
fn outcome(bytes: Vec<u8>, states: &[Space]) -> Result<usize, OpenError> {
    let mut store = open(&Sim::with(bytes))?;
    let found = loaded(&mut store, "kv", 1000);
    assert_eq!(store.trouble(), None);
    let state = states.iter().position(|state| *state == found);
    Ok(state.expect("a state that the store was in, and no other"))
}

/// The bytes that anything was ever written to.
fn end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

#[test]
fn no_flipped_byte_makes_a_wrong_answer() {
    for reopen in [false, true] {
        let (bytes, states) = example(6, reopen);
        let last = states.len() - 1;
        let (mut damaged, mut earlier, mut unharmed) = (0, 0, 0);
        for at in 0..end(&bytes) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match outcome(flipped, &states) {
                Ok(state) if state == last => unharmed += 1,
                // Only the last frame can pass for one that was never finished.
                Ok(state) => {
                    assert_eq!(state, last - 1, "byte {at}");
                    assert!(!reopen, "byte {at}: the superblock knows of all frames");
                    earlier += 1;
                }
                Err(error) => {
                    let OpenError::Damaged { offset, .. } = error else { panic!("{at}: {error}") };
                    assert!(offset <= at as u64 && offset >= DATA, "byte {at}: {offset}");
                    damaged += 1;
                }
            }
        }
        assert!(damaged > 5000, "{damaged} {earlier} {unharmed}");
        assert_eq!(earlier > 0, !reopen);
    }
}

#[test]
fn no_truncation_makes_a_wrong_answer() {
    let (bytes, states) = example(5, true);
    for length in 0..end(&bytes) {
        // The manifest gives the disk its size; what the file lacks is zeros.
        let mut cut = bytes.clone();
        cut[length..].fill(0);
        match outcome(cut, &states) {
            Ok(state) => assert!(length == 0 && state == 0, "{length}: {state}"),
            Err(OpenError::Foreign { offset: 0 }) => assert!(length < 16, "{length}"),
            Err(OpenError::Version { found: 0 }) => assert_eq!(length, 16),
            Err(OpenError::Superblock) => assert!(length < UNIT as usize, "{length}"),
            Err(OpenError::Damaged { offset, .. }) => {
                assert!(offset <= units(DATA.max(length as u64)), "{length}: {offset}");
            }
            Err(error) => panic!("{length}: {error}"),
        }
    }
    for units in 0..SMALL / UNIT as usize {
        let cut = bytes[..units * UNIT as usize].to_vec();
        let size = cut.len() as u64;
        assert_eq!(open(&Sim::with(cut)).unwrap_err(), OpenError::Small { size });
    }
}

#[test]
fn a_truncation_that_the_superblock_does_not_know_of_ends_at_a_whole_frame() {
    let (bytes, states) = example(5, false);
    for length in DATA as usize..end(&bytes) {
        let mut cut = bytes.clone();
        cut[length..].fill(0);
        let state = outcome(cut, &states).unwrap();
        assert!(state < states.len() - 1 || length + 64 >= end(&bytes), "{length}: {state}");
    }
}

#[test]
fn both_superblocks_broken_is_an_error_and_one_is_none() {
    let (bytes, states) = example(3, true);
    for at in [0, 17, 24, 40, 80, 200] {
        let mut one = bytes.clone();
        one[at] ^= 0x10;
        assert_eq!(outcome(one.clone(), &states), Ok(3), "byte {at}");
        one[UNIT as usize + at] ^= 0x10;
        let error = outcome(one, &states).unwrap_err();
        let expected = match at {
            0 => OpenError::Foreign { offset: 0 },
            17 => OpenError::Version { found: 1 + (0x10 << 8) },
            _ => OpenError::Superblock,
        };
        assert_eq!(error, expected, "byte {at}");
    }
}

/// A store with a byte of the frame of its third batch flipped.
fn broken() -> (Vec<u8>, Vec<Space>, u64) {
    let (mut bytes, states) = example(9, true);
    let offset = DATA + 2 * UNIT;
    bytes[offset as usize + 100] ^= 1;
    (bytes, states, offset)
}

#[test]
fn damage_is_named_and_nothing_is_written() {
    let (bytes, _, offset) = broken();
    let disk = Sim::with(bytes);
    let error = open(&disk).unwrap_err();
    let OpenError::Damaged { offset: found, what: Damage::Short { .. } } = error else {
        panic!("{error}")
    };
    assert_eq!(found, offset);
    assert_eq!(disk.writes(), 0);
    let text = std::format!("{error}");
    assert!(text.contains("damaged at byte 16384") && text.contains("repair=truncate"), "{text}");
}

#[test]
fn a_repair_ends_the_log_at_the_damage_for_good() {
    let (bytes, states, _) = broken();
    let disk = Sim::with(bytes);
    let repair = Options { repair: true, ..OPTIONS };
    let mut store = Store::open(disk.clone(), &repair, |_| ()).unwrap();
    let mut space = loaded(&mut store, "kv", 1000);
    assert_eq!(space, states[2]);
    // Frames of the old log lie behind the end, and are reached by the new one.
    for round in 0..40_usize {
        let bytes = encoded(&[put(key(round).as_bytes(), &[9; 40])]);
        space.batch(&bytes).unwrap();
        store.commit("kv", space.last, &bytes).unwrap();
        let mut again = open(&Sim::with(disk.bytes())).unwrap_or_else(|e| panic!("{round}: {e}"));
        assert_eq!(loaded(&mut again, "kv", 1000), space, "round {round}");
    }
}

#[test]
fn damage_that_comes_later_is_not_served() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    store.commit("kv", 1, &encoded(&[put(b"key", &[1; 100])])).unwrap();
    store.commit("kv", 2, &encoded(&[put(b"other", &[2; 100])])).unwrap();
    disk.0.borrow_mut().bytes[DATA as usize + 150] ^= 1;
    assert_eq!(store.load("kv", 0, 1000).err(), Some(Status::Denied));
    assert_eq!(store.trouble(), Some(Trouble::Damaged { offset: DATA }));
    assert_eq!(store.commit("kv", 3, &encoded(&[put(b"a", b"b")])), Err(Status::Denied));
}
