//! How long recovery takes beside a plain pass over the same bytes:
//!
//! ```text
//!   cargo test --release -p store --lib speed -- --ignored --nocapture
//! ```

use std::hint::black_box;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use super::sim::Sim;
use super::{OPTIONS, encoded, put};
use crate::disk::Disk;
use crate::{Options, Store};

const SIZE: usize = 512 << 20;

fn open(disk: &Sim) -> Store<Sim> {
    let options = Options { memory: 1 << 30, ..OPTIONS };
    Store::open(disk.clone(), &options, |_| ()).unwrap()
}

/// How long this thread has had a processor: what else runs does not count.
fn worked() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// A disk full of log, with records of so many bytes, of which each key has a few.
fn filled(value: usize, group: usize) -> Sim {
    let disk = Sim::new(SIZE);
    let mut store = open(&disk);
    let keys = SIZE * 3 / 10 / (value + 30);
    let bytes = vec![7; value];
    let (mut key, mut batch) = (0_u64, 0);
    // As much as fits without cleaning: this is about reading.
    while store.figures().log < (SIZE as u64) / 2 {
        let names: Vec<_> = (0..group)
            .map(|_| {
                key = (key + 0x9e37_79b9) % keys as u64;
                key.to_le_bytes()
            })
            .collect();
        let records: Vec<_> = names.iter().map(|name| put(name, &bytes)).collect();
        batch += 1;
        store.commit("kv", batch, &encoded(&records)).unwrap();
        disk.0.borrow_mut().writes.clear();
    }
    disk
}

/// The same bytes, read as a store reads them, and looked at once.
fn pass(disk: &mut Sim, length: usize) -> Duration {
    let mut bytes = vec![0; 1 << 20];
    let start = worked();
    for offset in (0..length).step_by(bytes.len()) {
        disk.read(offset as u64, &mut bytes).unwrap();
        black_box(bytes.iter().copied().map(u64::from).sum::<u64>());
    }
    worked() - start
}

#[test]
#[ignore = "takes a GiB and some seconds; it measures"]
fn recovery_beside_a_plain_pass() {
    for (value, group) in [(1000, 64), (200, 64), (60, 64), (60, 1), (4000, 1)] {
        let mut disk = filled(value, group);
        let mut best = [Duration::MAX; 2];
        let mut figures = None;
        for _ in 0..5 {
            let start = worked();
            let store = open(&disk);
            best[1] = best[1].min(worked() - start);
            figures = Some(store.figures());
            let length = store.figures().log as usize;
            drop(store);
            best[0] = best[0].min(pass(&mut disk, length));
        }
        let figures = figures.unwrap();
        let rate = |time: Duration| figures.log as f64 / time.as_secs_f64() / 1e9;
        std::println!(
            "values of {value} bytes, {group} a frame: {} MiB, {} keys: plain {:.2} GB/s, recovery \
             {:.2} GB/s, ratio {:.2}",
            figures.log >> 20,
            figures.records,
            rate(best[0]),
            rate(best[1]),
            best[1].as_secs_f64() / best[0].as_secs_f64(),
        );
    }
}
