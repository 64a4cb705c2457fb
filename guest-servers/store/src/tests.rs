//! The store on a disk that breaks as it is told to.

mod crash;
mod damage;
mod faults;
mod identity;
mod model;
mod random;
mod serving;
mod sim;
mod speed;

use std::string::String;
use std::vec::Vec;

use atoll_ipc::interface::Bytes;

use crate::record::{Record, records};
use crate::{OpenError, Options, Store};
use model::Space;
use sim::Sim;

/// The smallest disk, on which the log comes round soon.
const SMALL: usize = crate::SIZE_MIN as usize;

const OPTIONS: Options<'static> =
    Options { name: "store", adopt: None, repair: false, seed: [11, 22, 33, 44], memory: 64 << 20 };

fn open(disk: &Sim) -> Result<Store<Sim>, OpenError> {
    Store::open(disk.clone(), &OPTIONS, |_| ())
}

/// The encoding of records.
fn encoded(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.encode(&mut bytes));
    bytes
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
    Record::Put { key, value }
}

fn amend<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
    Record::Amend { key, value }
}

/// All of a client's space, as a client loads it, `most` bytes at a time.
fn loaded(store: &mut Store<Sim>, client: &str, most: usize) -> Space {
    let mut space = Space { last: store.opened(client).last.0, ..Space::default() };
    let mut cursor = 0;
    loop {
        let chunk = store.load(client, cursor, most).expect("a chunk");
        let Bytes(bytes) = chunk.records;
        records(bytes).for_each(|record| space.apply(&record.expect("a record")).unwrap());
        cursor = chunk.next.0;
        if cursor == 0 {
            return space;
        }
    }
}

/// A batch's number after the last one.
fn next(store: &Store<Sim>, client: &str) -> u64 {
    store.opened(client).last.0 + 1
}

/// A key of some length.
fn key(number: usize) -> String {
    std::format!("key-{number}")
}
