//! The interface's operations, as a client in another domain meets them.

use std::vec;
use std::vec::Vec;

use atoll_ipc::interface::{Bytes, Word};
use atoll_ipc::message::Status;

use super::sim::Sim;
use super::{SMALL, encoded, loaded, open, put};
use crate::interface::{Committed, StoreServer};
use crate::{Added, Space};

#[test]
fn each_client_has_a_space_of_its_own() {
    let mut store = open(&Sim::new(SMALL)).unwrap();
    let records = encoded(&[put(b"key", b"value")]);
    let mut kv = Space { store: &mut store, client: "kv" };
    let Committed { room } = kv.commit(Word(1), Bytes(&records)).unwrap();
    let opened = kv.open().unwrap();
    assert_eq!((opened.room, opened.last, opened.records), (room, Word(1), 1));
    assert_eq!(kv.load(Word(0)).unwrap().records, Bytes(&records));
    let mut other = Space { store: &mut store, client: "other" };
    assert_eq!(other.open().unwrap().last, Word(0));
    assert_eq!(other.load(Word(0)).unwrap().records, Bytes(&[]));
    assert_eq!(other.commit(Word(2), Bytes(&records)), Err(Status::Malformed));
    assert_eq!(other.figures().unwrap().records, 1);
}

#[test]
fn what_is_no_batch_is_malformed() {
    let mut store = open(&Sim::new(SMALL)).unwrap();
    let amendment = encoded(&[super::amend(b"nothing", b"to amend")]);
    let half = &encoded(&[put(b"key", b"value")])[..12];
    for records in [&[][..], &[9; 20], half, &amendment] {
        assert_eq!(store.commit("kv", 1, records), Err(Status::Malformed));
    }
    assert_eq!(store.commit("kv", 0, &encoded(&[put(b"key", b"value")])), Err(Status::Malformed));
    assert_eq!(store.figures().writes, 0);
}

#[test]
fn a_batch_that_no_frame_holds_is_refused() {
    let mut store = open(&Sim::new(SMALL)).unwrap();
    let longest = store.opened("kv").longest.0 as usize;
    assert!(longest > 8 << 10, "{longest} bytes");
    let value = vec![1; longest - encoded(&[put(b"key", b"")]).len() + 1];
    assert_eq!(store.commit("kv", 1, &encoded(&[put(b"key", &value)])), Err(Status::Exhausted));
    assert_eq!(store.commit("kv", 1, &encoded(&[put(b"key", &value[1..])])), Ok(()));
}

#[test]
fn batches_that_wait_share_a_write() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    let records = encoded(&[put(b"key", b"value")]);
    let writes = disk.writes();
    assert_eq!(store.add("kv", 1, &records), Ok(Added::Waits));
    assert_eq!(store.add("kv", 2, &records), Ok(Added::Waits));
    assert_eq!(store.add("queue", 1, &records), Ok(Added::Waits));
    assert_eq!(store.add("kv", 2, &records), Ok(Added::Waits), "again, before it is durable");
    assert_eq!(store.add("kv", 2, &[]), Ok(Added::Waits));
    assert_eq!(store.add("queue", 3, &records), Err(Status::Malformed));
    store.write().unwrap();
    assert_eq!(disk.writes(), writes + 1);
    assert_eq!(store.add("kv", 2, &records), Ok(Added::Done), "again, afterwards");
    let figures = store.figures();
    assert_eq!((figures.batches, figures.writes, figures.records), (3, 1, 2));
}

#[test]
fn a_cursor_is_one_that_was_given() {
    let mut store = open(&Sim::new(SMALL)).unwrap();
    for number in 1..=20 {
        let records =
            encoded(&[put(&[number as u8], &[1; 500]), put(&[number as u8, 0], &[2; 500])]);
        store.commit("kv", number, &records).unwrap();
    }
    let mut cursors = vec![0];
    loop {
        let chunk = store.load("kv", cursors[cursors.len() - 1], 1200).unwrap();
        assert!(chunk.records.len() <= 1200 && !chunk.records.is_empty());
        match chunk.next.0 {
            0 => break,
            next => cursors.push(next),
        }
    }
    assert_eq!(cursors.len(), 20);
    let tail = store.figures().log;
    let given = |cursor: &u64| cursors.contains(cursor) || cursor.is_multiple_of(4096);
    let made_up: Vec<u64> = (1..tail).step_by(7).filter(|cursor| !given(cursor)).collect();
    let malformed = made_up
        .iter()
        .filter(|cursor| store.load("kv", **cursor, 1200).err() == Some(Status::Malformed));
    // Some hit a record by chance, and those begin there.
    assert!(malformed.count() * 100 > made_up.len() * 95);
    for cursor in [tail, tail + 1, u64::MAX] {
        assert_eq!(store.load("kv", cursor, 1200).err(), Some(Status::Malformed));
    }
    assert_eq!(store.load("nobody", 0, 10).unwrap().next, Word(0));
    assert_eq!(store.load("nobody", 5, 10).err(), Some(Status::Malformed));
}

#[test]
fn a_space_that_is_loaded_while_others_write_comes_whole() {
    let mut store = open(&Sim::new(SMALL)).unwrap();
    for number in 1..=30_u64 {
        let key = [number as u8];
        let records = encoded(&[put(&key, &[1; 300]), super::amend(&key, &[2; 300])]);
        store.commit("kv", number, &records).unwrap();
    }
    let expected = loaded(&mut store, "kv", 1000);
    let mut space = super::model::Space::default();
    let mut cursor = 0;
    let filling = encoded(&[put(b"key", &[3; 4000])]);
    (1..=6).for_each(|number| store.commit("queue", number, &filling).unwrap());
    let mut number = 6;
    for calls in 0.. {
        assert!(calls < 100, "it is not kept from its end");
        let chunk = store.load("kv", cursor, 4000).unwrap();
        for record in crate::record::records(&chunk.records) {
            space.apply(&record.unwrap()).expect("an amendment of something");
        }
        cursor = chunk.next.0;
        if cursor == 0 {
            break;
        }
        for _ in 0..2 {
            number += 1;
            store.commit("queue", number, &filling).unwrap();
            store.tidy(true);
        }
    }
    // Room was needed, so some of it was moved meanwhile.
    assert!(store.figures().moved > 10_000, "{:?}", store.figures());
    assert_eq!(space.chains, expected.chains);
}
