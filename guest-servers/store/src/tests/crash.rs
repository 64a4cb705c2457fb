//! Every point at which power can fail during a workload: before each write, within it at each
//! sector, and after it; with what was not durable yet lost, kept, or some of each.

use std::collections::BTreeMap;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::model::{Model, Space};
use super::sim::{SECTOR, Sim, Write};
use super::{SMALL, amend, encoded, key, loaded, open, put};
use crate::record::Record;
use crate::{Store, UNIT};

const CLIENTS: [&str; 2] = ["kv", "queue"];

/// A workload on a disk: what was acknowledged after how many writes.
struct Run {
    disk: Sim,
    store: Store<Sim>,
    /// The number of writes, and the state that they made.
    states: Vec<(usize, Model)>,
}

impl Run {
    fn on(disk: Sim) -> Self {
        let store = open(&disk).unwrap();
        let model = CLIENTS.map(|client| (client.to_string(), Space::default()));
        let states = [(disk.writes(), BTreeMap::from(model))].into();
        Self { disk, store, states }
    }

    /// Carries a group out, one batch for each client that has records.
    fn group(&mut self, batches: [&[Record<'_>]; 2]) {
        let mut model = self.states.last().unwrap().1.clone();
        for (client, records) in CLIENTS.into_iter().zip(batches) {
            if !records.is_empty() {
                let bytes = encoded(records);
                let space = model.get_mut(client).unwrap();
                self.store.add(client, space.last + 1, &bytes).unwrap();
                space.batch(&bytes).unwrap();
            }
        }
        self.store.write().unwrap();
        self.states.push((self.disk.writes(), model));
    }

    fn tidy(&mut self) {
        while self.store.tidy(true) {}
    }

    fn reopen(&mut self) {
        self.store = open(&self.disk).unwrap();
    }
}

/// What is on a disk, as it becomes so.
struct Past {
    /// All that was durable.
    bytes: Vec<u8>,
    /// What was written since.
    volatile: Vec<Write>,
}

impl Past {
    fn write(&mut self, write: &Write) {
        self.volatile.push(write.clone());
        if write.durable {
            let volatile = core::mem::take(&mut self.volatile);
            volatile.iter().for_each(|write| put_bytes(&mut self.bytes, write, usize::MAX));
        }
    }

    /// What a crash leaves, with `sectors` of a write under way.
    fn crashed(&self, keep: impl Fn(usize) -> bool, write: &Write, sectors: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (index, write) in self.volatile.iter().enumerate() {
            if keep(index) {
                put_bytes(&mut bytes, write, usize::MAX);
            }
        }
        put_bytes(&mut bytes, write, sectors);
        bytes
    }
}

fn put_bytes(bytes: &mut [u8], write: &Write, sectors: usize) {
    let length = write.bytes.len().min(sectors.saturating_mul(SECTOR));
    bytes[write.offset..write.offset + length].copy_from_slice(&write.bytes[..length]);
}

/// Recovers after a crash at every point of a run; returns how many there were.
fn crash_everywhere(run: &Run, size: usize, most: usize) -> usize {
    let writes = run.disk.0.borrow().writes.clone();
    let mut past = Past { bytes: vec![0; size], volatile: Vec::new() };
    let mut crashes = 0;
    for (number, write) in writes.iter().enumerate() {
        let sectors = write.bytes.len() / SECTOR;
        // Zeros ahead of the log are long, and one half is as good as another.
        let step = if write.durable { 1 } else { (sectors / 8).max(1) };
        for torn in (0..=sectors).step_by(step) {
            let keeps: [fn(usize) -> bool; 3] = [|_| false, |_| true, |index| index % 2 == 1];
            for keep in &keeps[..if past.volatile.is_empty() { 1 } else { 3 }] {
                let bytes = past.crashed(keep, write, torn);
                // It is done once all that it is to make durable is there.
                let is_done = torn == sectors && (0..past.volatile.len()).all(keep);
                check(run, number + usize::from(is_done), bytes, most);
                crashes += 1;
            }
        }
        past.write(write);
    }
    crashes
}

/// What was acknowledged within the first `writes` writes is there, and at most the group in
/// flight besides; and the store goes on from there.
fn check(run: &Run, writes: usize, bytes: Vec<u8>, most: usize) {
    let disk = Sim::with(bytes).in_pieces_of(most);
    let mut store = open(&disk).unwrap_or_else(|error| panic!("after {writes} writes: {error}"));
    let found = all(&mut store);
    let after = run.states.partition_point(|(at, _)| *at <= writes);
    let acknowledged = after.saturating_sub(1);
    let allowed = &run.states[acknowledged..(after + 1).min(run.states.len())];
    let place = allowed.iter().position(|(_, state)| *state == found);
    assert!(place.is_some(), "after {writes} writes: state {acknowledged} or the next expected");
    let bytes = encoded(&[put(b"after the crash", &[1; 300])]);
    store.commit("kv", found["kv"].last + 1, &bytes).unwrap();
    drop(store);
    let mut expected = found;
    expected.get_mut("kv").unwrap().batch(&bytes).unwrap();
    assert_eq!(all(&mut open(&disk).unwrap()), expected, "after {writes} writes, and one more");
}

fn all(store: &mut Store<Sim>) -> Model {
    let client = |client: &str| (client.to_string(), loaded(store, client, 4000));
    CLIENTS.map(client).into()
}

#[test]
fn no_crash_loses_what_was_acknowledged() {
    let mut run = Run::on(Sim::new(SMALL));
    for round in 0..6_usize {
        let value = vec![round as u8; 100 + 1500 * (round % 3)];
        let (one, other) = (key(round % 4), key(round));
        let one = [put(one.as_bytes(), &value), put(b"both", b"1"), amend(b"both", &value)];
        run.group([&one, &[put(other.as_bytes(), &value)]]);
        run.group([&[], &[Record::Delete { key: key(round / 2).as_bytes() }]]);
    }
    run.reopen();
    run.group([&[Record::Clear], &[put(b"last", b"one")]]);
    let crashes = crash_everywhere(&run, SMALL, 1 << 20);
    assert!(crashes > 200, "{crashes}");
}

/// The log goes round, chains move, and one of them is longer than a frame.
fn busy(disk: Sim, rounds: usize) -> Run {
    let mut run = Run::on(disk);
    run.group([&[put(b"long", &[1; 6000])], &[]]);
    run.group([&[amend(b"long", &[2; 6000])], &[put(b"still", b"here")]]);
    for round in 0..rounds {
        let value = vec![round as u8; 2500];
        let (one, two) = (key(round % 5), key(round % 3));
        run.group([&[put(one.as_bytes(), &value)], &[put(two.as_bytes(), &value)]]);
        if round % 4 == 0 {
            run.group([&[amend(b"long", &[round as u8; 100])], &[]]);
        }
        if round % 8 == 0 {
            run.store.tidy(true);
        }
    }
    run.tidy();
    run
}

#[test]
fn no_crash_while_the_log_is_cleaned_loses_anything() {
    let run = busy(Sim::new(SMALL), 60);
    let figures = run.store.figures();
    assert!(figures.moved > 30_000, "{figures:?}");
    let disk = &run.disk.0;
    let parts = disk.borrow().writes.iter().filter(|write| write.bytes.get(64) == Some(&3)).count();
    assert!(parts > 1, "a chain moved in {parts} parts");
    let wraps =
        disk.borrow().writes.windows(2).filter(|pair| pair[1].offset < pair[0].offset).count();
    assert!(wraps > 0);
    let crashes = crash_everywhere(&run, SMALL, 1 << 20);
    assert!(crashes > 1000, "{crashes}");
}

#[test]
fn no_crash_between_the_pieces_of_a_write_loses_anything() {
    let most = UNIT as usize;
    let run = busy(Sim::new(SMALL).in_pieces_of(most), 24);
    let crashes = crash_everywhere(&run, SMALL, most);
    assert!(crashes > 500, "{crashes}");
}
