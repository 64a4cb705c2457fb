//! Random batches of several clients, with cleaning and reopening in between, beside a model.

use std::collections::BTreeMap;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use atoll_ipc::message::Status;
use proptest::prelude::*;

use super::model::{Model, Space};
use super::sim::Sim;
use super::{OPTIONS, SMALL, encoded, loaded, next, open};
use crate::record::Record;
use crate::{Added, Store};

const CLIENTS: [&str; 3] = ["kv", "queue", "a client with a longer name"];

#[derive(Clone, Debug)]
enum Change {
    Put(u8, usize),
    Amend(u8, usize),
    Delete(u8),
    Clear,
}

#[derive(Clone, Debug)]
enum Step {
    /// Batches that share a write, some of one client.
    Group(Vec<(usize, Vec<Change>)>),
    Repeat(usize),
    Tidy(bool),
    Reopen,
    /// Loads a client's space, by so many bytes.
    Load(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let length = prop_oneof![8 => 0..200_usize, 1 => 200..9000_usize];
    prop_oneof![
        10 => (any::<u8>(), length.clone()).prop_map(|(key, length)| Change::Put(key, length)),
        6 => (0..8_u8, length).prop_map(|(key, length)| Change::Amend(key, length)),
        3 => any::<u8>().prop_map(Change::Delete),
        1 => Just(Change::Clear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let batch = (0..3_usize, prop::collection::vec(change(), 1..6));
    prop_oneof![
        20 => prop::collection::vec(batch, 1..4).prop_map(Step::Group),
        1 => (0..3_usize).prop_map(Step::Repeat),
        10 => any::<bool>().prop_map(Step::Tidy),
        1 => Just(Step::Reopen),
        1 => (0..3_usize, 1..5000_usize).prop_map(|(client, most)| Step::Load(client, most)),
    ]
}

/// Values differ, so that an old one cannot pass for a new one.
fn bytes(changes: &[Change], stamp: usize) -> Vec<u8> {
    let value = |length: usize| {
        let mut value = vec![stamp as u8; length];
        let stamp = stamp.to_le_bytes();
        let known = length.min(stamp.len());
        value[..known].copy_from_slice(&stamp[..known]);
        value
    };
    let mut bytes = Vec::new();
    for change in changes {
        let (key, value) = match change {
            Change::Put(key, length) | Change::Amend(key, length) => ([*key], value(*length)),
            Change::Delete(key) => ([*key], Vec::new()),
            Change::Clear => ([0], Vec::new()),
        };
        let (key, value) = (&key[..], &value[..]);
        bytes.extend(encoded(&[match change {
            Change::Put(..) => Record::Put { key, value },
            Change::Amend(..) => Record::Amend { key, value },
            Change::Delete(_) => Record::Delete { key },
            Change::Clear => Record::Clear,
        }]));
    }
    bytes
}

struct Rig {
    disk: Sim,
    store: Store<Sim>,
    model: Model,
    stamp: usize,
    refused: usize,
}

impl Rig {
    fn new(size: usize) -> Self {
        let disk = Sim::new(size).in_pieces_of(8192);
        let store = open(&disk).unwrap();
        let model = CLIENTS.map(|client| (client.to_string(), Space::default()));
        Self { disk, store, model: BTreeMap::from(model), stamp: 0, refused: 0 }
    }

    fn group(&mut self, batches: &[(usize, Vec<Change>)]) {
        let mut after = self.model.clone();
        for (client, changes) in batches {
            self.stamp += 1;
            let name = CLIENTS[*client];
            let bytes = bytes(changes, self.stamp);
            let space = after.get_mut(name).unwrap();
            let number = space.last + 1;
            let mut added = self.store.add(name, number, &bytes);
            if added == Ok(Added::Later) {
                self.store.write().unwrap();
                added = self.store.add(name, number, &bytes);
            }
            match added {
                Ok(added) => {
                    assert_eq!(added, Added::Waits);
                    space.batch(&bytes).expect("refused what amends nothing");
                }
                Err(Status::Exhausted) => self.refused += 1,
                Err(error) => {
                    assert_eq!(error, Status::Malformed);
                    assert!(space.clone().batch(&bytes).is_err());
                }
            }
        }
        self.store.write().expect("what was added has room");
        self.model = after;
    }

    fn repeat(&mut self, client: usize) {
        let name = CLIENTS[client];
        let last = self.model[name].last;
        let expected = if last == 0 { Err(Status::Malformed) } else { Ok(()) };
        assert_eq!(self.store.commit(name, last, b"whatever"), expected);
        for wrong in [last + 2, last.wrapping_sub(1)] {
            assert_eq!(self.store.commit(name, wrong, b"whatever"), Err(Status::Malformed));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Group(batches) => self.group(batches),
            Step::Repeat(client) => self.repeat(*client),
            Step::Tidy(is_idle) => drop(self.store.tidy(*is_idle)),
            Step::Reopen => self.store = open(&self.disk).unwrap(),
            Step::Load(client, most) => {
                let space = loaded(&mut self.store, CLIENTS[*client], *most);
                assert_eq!(space, self.model[CLIENTS[*client]]);
            }
        }
    }

    fn check(&mut self) {
        for client in CLIENTS {
            let space = loaded(&mut self.store, client, 3000);
            assert_eq!(space, self.model[client]);
            let opened = self.store.opened(client);
            assert_eq!((opened.records, opened.bytes), (space.records(), space.bytes()));
        }
        let figures = self.store.figures();
        assert_eq!(figures.live, self.model.values().map(Space::bytes).sum::<u64>());
        assert_eq!(figures.batches, self.model.values().map(|space| space.last).sum::<u64>());
        assert_eq!(self.store.trouble(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..250)) {
        let mut rig = Rig::new(SMALL);
        steps.iter().for_each(|step| rig.step(step));
        rig.check();
        let figures = rig.store.figures();
        rig.store = open(&rig.disk).unwrap();
        rig.check();
        let again = rig.store.figures();
        prop_assert_eq!((again.writes, again.moved), (figures.writes, figures.moved));
    }
}

#[test]
fn a_log_is_bounded_by_what_lives_once_the_store_is_idle() {
    let mut rig = Rig::new(4 << 20);
    let big = vec![(0, vec![Change::Put(1, 5000), Change::Put(2, 100)])];
    for round in 0..1000 {
        rig.group(&[(round % 3, vec![Change::Put(round as u8, 100)])]);
        rig.group(&big);
        rig.store.tidy(false);
        let figures = rig.store.figures();
        assert!(figures.log <= 3 * figures.live + (2 << 20), "{figures:?}");
    }
    while rig.store.tidy(true) {}
    rig.check();
    let figures = rig.store.figures();
    assert!(figures.moved > 0, "{figures:?}");
    assert!(figures.log <= 2 * figures.live + (1 << 20), "{figures:?}");
    let before = rig.disk.0.borrow().read;
    let store = open(&rig.disk).unwrap();
    let read = rig.disk.0.borrow().read - before;
    assert!(read <= figures.log + (2 << 20) + (1 << 20), "{read} for {figures:?}");
    drop(store);
}

#[test]
fn a_full_store_says_so_and_takes_deletes() {
    let mut rig = Rig::new(SMALL);
    let mut number = 0_u32;
    let value = [7; 700];
    let refused = loop {
        let key = number.to_le_bytes();
        let room = rig.store.room();
        let bytes = encoded(&[super::put(&key, &value)]);
        match rig.store.commit("kv", next(&rig.store, "kv"), &bytes) {
            Ok(()) => assert!(room >= bytes.len() as u64),
            Err(error) => break (error, room, bytes.len() as u64),
        }
        number += 1;
        rig.store.tidy(false);
    };
    let (error, room, wanted) = refused;
    assert_eq!(error, Status::Exhausted);
    assert!(room < wanted, "{room} were left, {wanted} asked");
    // What does not grow is taken for as long as anybody likes.
    for round in 0..2000_u32 {
        let key = (round % number).to_le_bytes();
        let value = [round as u8; 700];
        let bytes = encoded(&[super::put(&key, &value)]);
        rig.store.commit("kv", next(&rig.store, "kv"), &bytes).unwrap();
        if round % 3 == 0 {
            rig.store.tidy(false);
        }
    }
    assert_eq!(loaded(&mut rig.store, "kv", 5000).chains.len() as u32, number);
    for gone in 0..number {
        let bytes = encoded(&[Record::Delete { key: &gone.to_le_bytes() }]);
        rig.store.commit("kv", next(&rig.store, "kv"), &bytes).unwrap();
    }
    assert_eq!(rig.store.figures().live, 0);
    let store = Store::open(rig.disk.clone(), &OPTIONS, |_| ()).unwrap();
    assert_eq!(store.figures().live, 0);
    assert_eq!(store.opened("kv").last.0, u64::from(number) * 2 + 2000);
}
