//! Disks that fail, fill up, or can only be read.

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use atoll_ipc::message::Status;

use super::model::Space;
use super::sim::{Fault, Leaves, Sim};
use super::{SMALL, encoded, key, loaded, next, open, put};
use crate::disk::DiskError;
use crate::error::OpenError;
use crate::interface::Ailment;
use crate::{Store, Trouble};

/// What a client knows: what it was told is durable, and what it was not.
struct Client {
    known: Space,
    /// A batch of whose fate nobody was told.
    doubtful: Option<Vec<u8>>,
}

impl Client {
    /// A few rounds of commits, with cleaning. Each refusal is looked at.
    fn work(&mut self, store: &mut Store<Sim>, rounds: usize) {
        for round in 0..rounds {
            let value = vec![round as u8; 2000];
            // Some keys stay as they are, and are moved.
            let key = key(if round < 5 { round } else { 5 + round % 2 });
            let bytes = encoded(&[put(key.as_bytes(), &value)]);
            match store.commit("kv", self.known.last + 1, &bytes) {
                Ok(()) => self.known.batch(&bytes).unwrap(),
                Err(Status::Exhausted) => assert_eq!(store.ailment(), None),
                Err(error) => {
                    assert_eq!(error, Status::Denied);
                    assert!(store.ailment().is_some());
                    self.doubtful.get_or_insert(bytes);
                }
            }
            assert_eq!(loaded(store, "kv", 3000), self.known, "round {round}");
            store.tidy(true);
        }
    }

    /// What it may find after a restart.
    fn may_find(&self) -> Vec<Space> {
        let mut states = vec![self.known.clone()];
        if let Some(bytes) = &self.doubtful {
            let mut after = self.known.clone();
            after.batch(bytes).unwrap();
            states.push(after);
        }
        states
    }
}

const ROUNDS: usize = 60;

fn run(fault: Fault) {
    let disk = Sim::new(SMALL).in_pieces_of(8192).fails(fault);
    let mut client = Client { known: Space::default(), doubtful: None };
    match open(&disk) {
        Ok(mut store) => {
            client.work(&mut store, ROUNDS);
            assert!(client.doubtful.is_none() || store.ailment().is_some());
        }
        Err(error) => assert!(matches!(error, OpenError::Disk { .. }), "{error}"),
    }
    disk.0.borrow_mut().fault = None;
    let mut store = open(&disk).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    let found = loaded(&mut store, "kv", 3000);
    assert!(client.may_find().contains(&found), "{fault:?}");
    let mut client = Client { known: found, doubtful: None };
    client.work(&mut store, 10);
    assert_eq!(client.doubtful, None);
}

fn writes_of_a_run() -> usize {
    let disk = Sim::new(SMALL).in_pieces_of(8192);
    let mut client = Client { known: Space::default(), doubtful: None };
    let mut store = open(&disk).unwrap();
    client.work(&mut store, ROUNDS);
    assert!(store.figures().moved > 0);
    disk.writes()
}

#[test]
fn each_write_may_fail_or_find_no_room() {
    for write in 0..writes_of_a_run() {
        for error in [DiskError::Failed, DiskError::Full] {
            for leaves in [Leaves::Nothing, Leaves::Part, Leaves::All] {
                for stays in [false, true] {
                    run(Fault { write, stays, error, leaves });
                }
            }
        }
    }
}

#[test]
fn a_failed_write_ends_commits_and_not_reads() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    let bytes = encoded(&[put(b"key", b"value")]);
    store.commit("kv", 1, &bytes).unwrap();
    let fault =
        Fault { write: disk.writes(), stays: false, error: DiskError::Failed, leaves: Leaves::All };
    disk.0.borrow_mut().fault = Some(fault);
    assert_eq!(store.commit("kv", 2, &bytes), Err(Status::Denied));
    assert_eq!(store.trouble(), Some(Trouble::Disk(DiskError::Failed)));
    assert_eq!(
        store.commit("kv", 2, &bytes),
        Err(Status::Denied),
        "although the disk is well again"
    );
    assert_eq!(store.commit("kv", 1, &bytes), Ok(()), "that one is durable");
    let opened = store.opened("kv");
    assert_eq!((opened.ailment, opened.last.0), (Some(Ailment::Failed), 1));
    assert_eq!(loaded(&mut store, "kv", 100).records(), 1);
    let writes = disk.writes();
    assert!(!store.tidy(true));
    assert_eq!(disk.writes(), writes, "nothing more is written");
}

#[test]
fn a_batch_that_may_not_be_durable_is_not_acknowledged_when_it_is_sent_again() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    let bytes = encoded(&[put(b"key", b"value")]);
    let fault =
        Fault { write: disk.writes(), stays: true, error: DiskError::Failed, leaves: Leaves::All };
    disk.0.borrow_mut().fault = Some(fault);
    assert_eq!(store.commit("kv", 1, &bytes), Err(Status::Denied));
    // The frame can be read, but neither write of it was said to be durable.
    let mut store = open(&disk).unwrap();
    assert_eq!(store.opened("kv").last.0, 1);
    assert_eq!(store.commit("kv", 1, &bytes), Err(Status::Denied));
    disk.0.borrow_mut().fault = None;
    assert_eq!(open(&disk).unwrap().commit("kv", 1, &bytes), Ok(()));
}

#[test]
fn a_batch_that_found_no_room_is_not_there_later() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    let fault =
        Fault { write: disk.writes(), stays: false, error: DiskError::Full, leaves: Leaves::All };
    disk.0.borrow_mut().fault = Some(fault);
    let refused = encoded(&[put(b"key", b"refused")]);
    assert_eq!(store.commit("kv", 1, &refused), Err(Status::Exhausted));
    assert_eq!(store.opened("kv").ailment, None);
    assert_eq!(open(&disk).unwrap().opened("kv").last.0, 0);
    let taken = encoded(&[put(b"key", b"taken")]);
    store.commit("kv", 1, &taken).unwrap();
    let found = loaded(&mut open(&disk).unwrap(), "kv", 100);
    assert_eq!(found.chains, BTreeMap::from([(b"key".to_vec(), vec![b"taken".to_vec()])]));
}

#[test]
fn a_disk_that_can_only_be_read_is_read() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    store.commit("kv", 1, &encoded(&[put(b"key", b"value")])).unwrap();
    disk.0.borrow_mut().read_only = true;
    let mut store = open(&disk).unwrap();
    assert_eq!(store.opened("kv").ailment, Some(Ailment::ReadOnly));
    assert_eq!(loaded(&mut store, "kv", 100).records(), 1);
    let number = next(&store, "kv");
    assert_eq!(store.commit("kv", number, &encoded(&[put(b"a", b"b")])), Err(Status::Denied));

    let empty = Sim::new(SMALL);
    empty.0.borrow_mut().read_only = true;
    let error = open(&empty).unwrap_err();
    let text = "making a store on an empty disk: the disk can only be read";
    assert_eq!(std::format!("{error}"), text);
}

#[test]
fn a_disk_that_cannot_be_read_is_no_store() {
    let disk = Sim::new(SMALL);
    let mut store = open(&disk).unwrap();
    store.commit("kv", 1, &encoded(&[put(b"key", b"value")])).unwrap();
    disk.0.borrow_mut().fails_reads = true;
    assert!(matches!(open(&disk), Err(OpenError::Disk { doing: "reading the superblock", .. })));
    assert_eq!(store.load("kv", 0, 100).err(), Some(Status::Denied));
    assert_eq!(store.trouble(), Some(Trouble::Disk(DiskError::Failed)));
}
