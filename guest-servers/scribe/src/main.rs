//! Writes and reads disks as it is told, for the whole-system tests and a benchmark. Its stream port
//! `lines` takes a verb a line, and answers with a line:
//!
//! | a line | what it does | answer |
//! |---|---|---|
//! | `describe` | asks what kind of disk it is | `size S block B most M fresh F` |
//! | `write OFFSET LENGTH SEED` | writes bytes that follow from the seed | `done`, or the error |
//! | `commit OFFSET LENGTH SEED` | the same, and they are durable when it answers | as above |
//! | `check OFFSET LENGTH SEED` | reads | `right`, or how many bytes are others |
//! | `zeros OFFSET LENGTH` | reads | `zeros`, or how many bytes are others |
//! | `flush`, `discard OFFSET LENGTH` | as it says | `done`, or the error |
//! | `note TEXT` | says it of the disk; `/` stands for the end of a line | `done` |
//! | `pile COUNT SEED` | starts so many durable writes of 4 KiB, back to back | `piled COUNT` |
//! | `pile-and-die COUNT SEED` | the same, and panics | – |
//! | `harvest` | waits for all that were started | `done N`, and of errors how many of each |
//! | `fetch COUNT LENGTH SEED` | starts so many reads before it asks for the first, and checks them | `right`, or what is wrong |
//! | `raw OP OFFSET LENGTH FLAGS LENT` | sends just that, with a buffer of `LENT` bytes if that is not 0 | the answer's bytes, or the error |
//! | `stub OP BYTES` | sends a payload of so many zeros | as above |
//! | `time COUNT LENGTH` | so many durable writes to the same place, one after the other | microseconds, the fastest and the median |
//! | `crash` | panics | – |
//!
//! `on NAME` before any of them says which disk, instead of `disk`.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::str::SplitWhitespace;

use atoll::Channel;
use atoll::clock::Instant;
use atoll::disk::{Disk, DiskError, Durability, Writing};
use atoll::lines::{Lines, Obey};
use atoll::stream::Connections;

atoll::server! {
    name: "scribe",
    memory: 32 << 20,
    ports: [LINES: "lines" stream],
}

/// Bytes of each write of a pile.
const PILED: usize = 4096;
/// Most pieces that are read before the first is looked at.
const FETCHED: usize = 64;

fn main() -> u32 {
    let mut connections = Connections::new();
    let mut scribe = Scribe::default();
    loop {
        connections.serve(LINES.receive(), &mut scribe, |_, _| Lines::default());
    }
}

/// What all connections share.
#[derive(Default)]
struct Scribe {
    under_way: Vec<Writing>,
}

impl Scribe {
    fn carry_out(&mut self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let mut verb = words.next().unwrap_or_default();
        let mut name = "disk";
        if verb == "on" {
            name = words.next().unwrap_or_default();
            verb = words.next().unwrap_or_default();
        }
        match verb {
            "raw" | "stub" => return raw(name, verb, &mut words),
            // All calls that can be under way at a time may be: there is none left to open with.
            "harvest" => return Ok(self.harvest()),
            "crash" => panic!("as it was told"),
            _ => (),
        }
        let disk = Disk::open(name).map_err(|error| error.to_string())?;
        let said = match verb {
            "describe" => {
                let kind = disk.description();
                let (size, block, most, fresh) = (kind.size, kind.block, kind.most, kind.fresh);
                Ok(format!("size {size} block {block} most {most} fresh {fresh}"))
            }
            "write" => write(disk, &mut words, Durability::OnFlush),
            "commit" => write(disk, &mut words, Durability::OnAnswer),
            "check" => {
                let (offset, length) = (number(&mut words), number(&mut words) as usize);
                let wanted = pattern(offset, length, number(&mut words));
                read(disk, offset, length).map(|found| compared(&found, &wanted, "right"))
            }
            "zeros" => {
                let (offset, length) = (number(&mut words), number(&mut words) as usize);
                read(disk, offset, length).map(|found| compared(&found, &vec![0; length], "zeros"))
            }
            "flush" => disk.flush().map(done),
            "discard" => disk.discard(number(&mut words), number(&mut words)).map(done),
            "note" => {
                let text: Vec<_> = words.collect();
                disk.note(&text.join(" ").replace('/', "\n")).map(done)
            }
            "pile" => self.pile(disk, &mut words),
            "pile-and-die" => {
                self.pile(disk, &mut words).map_err(|error| error.to_string())?;
                panic!("as it was told");
            }
            "fetch" => fetch(disk, &mut words),
            "time" => time(disk, &mut words),
            _ => Ok("what?".to_string()),
        };
        said.map_err(|error| error.to_string())
    }

    fn pile(&mut self, disk: Disk, words: &mut SplitWhitespace<'_>) -> Result<String, DiskError> {
        let (count, seed) = (number(words), number(words));
        for n in 0..count {
            let offset = n * PILED as u64;
            let bytes = pattern(offset, PILED, seed);
            self.under_way.push(disk.start_write(offset, &bytes, Durability::OnAnswer)?);
        }
        Ok(format!("piled {count}"))
    }

    fn harvest(&mut self) -> String {
        let mut done = 0;
        let mut others: Vec<(DiskError, usize)> = Vec::new();
        for writing in self.under_way.drain(..) {
            match writing.finish() {
                Ok(()) => done += 1,
                Err(error) => match others.iter_mut().find(|(known, _)| *known == error) {
                    Some((_, count)) => *count += 1,
                    None => others.push((error, 1)),
                },
            }
        }
        let others = others.iter().map(|(error, count)| format!(", {count} {error}"));
        format!("done {done}{}", others.collect::<String>())
    }
}

fn write(
    disk: Disk,
    words: &mut SplitWhitespace<'_>,
    durability: Durability,
) -> Result<String, DiskError> {
    let (offset, length) = (number(words), number(words) as usize);
    let bytes = pattern(offset, length, number(words));
    disk.write(offset, &bytes, durability).map(done)
}

fn read(disk: Disk, offset: u64, length: usize) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0xff; length];
    disk.read(offset, &mut bytes)?;
    Ok(bytes)
}

/// Reads pieces that lie back to back, all of them under way at once.
fn fetch(disk: Disk, words: &mut SplitWhitespace<'_>) -> Result<String, DiskError> {
    let count = (number(words) as usize).min(FETCHED);
    let (length, seed) = (number(words) as usize, number(words));
    let place = |n: usize| (n * length) as u64;
    let mut readings = Vec::new();
    for n in 0..count {
        readings.push(disk.start_read(place(n), length)?);
    }
    let mut wrong = Vec::new();
    for (n, reading) in readings.into_iter().enumerate() {
        let blocks = reading.finish_in_place()?;
        let mut bytes = vec![0; length];
        blocks.read(0, &mut bytes)?;
        if bytes != pattern(place(n), length, seed) {
            wrong.push(n);
        }
    }
    Ok(if wrong.is_empty() { "right".to_string() } else { format!("wrong {wrong:?}") })
}

fn time(disk: Disk, words: &mut SplitWhitespace<'_>) -> Result<String, DiskError> {
    let (count, length) = (number(words).max(1) as usize, number(words) as usize);
    let bytes = pattern(0, length, 1);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        disk.write(0, &bytes, Durability::OnAnswer)?;
        times.push(Instant::now().since(start).as_nanos() as u64);
    }
    times.sort_unstable();
    let micros = |ns: u64| format!("{}.{}", ns / 1000, ns % 1000 / 100);
    Ok(format!("fastest {} median {}", micros(times[0]), micros(times[count / 2])))
}

/// A request of any form.
fn raw(name: &str, verb: &str, words: &mut SplitWhitespace<'_>) -> Result<String, String> {
    let channel = Channel::open(name).map_err(|error| error.to_string())?;
    let operation = number(words) as u16;
    let answer = if verb == "stub" {
        channel.call(operation, &vec![0; number(words) as usize], None)
    } else {
        let extent = [number(words), number(words), number(words)].map(u64::to_le_bytes).concat();
        match number(words) as usize {
            0 => channel.call(operation, &extent, None),
            lent => channel.lend(lent, None).and_then(|loan| loan.call(operation, &extent, None)),
        }
    };
    let answer = answer.map_err(|error| error.to_string())?;
    Ok(format!("{:?}", answer.payload()))
}

/// Bytes that follow from where they lie, and a seed.
fn pattern(offset: u64, length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (place, word) in bytes.chunks_mut(8).zip(offset / 8..) {
        let word = (word ^ (seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        place.copy_from_slice(&word.to_le_bytes()[..place.len()]);
    }
    bytes
}

fn compared(found: &[u8], wanted: &[u8], right: &str) -> String {
    match found.iter().zip(wanted).filter(|(found, wanted)| found != wanted).count() {
        0 => right.to_string(),
        others => format!("{others} of {} bytes are others", wanted.len()),
    }
}

fn done((): ()) -> String {
    "done".to_string()
}

fn number(words: &mut SplitWhitespace<'_>) -> u64 {
    words.next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

impl Obey for Scribe {
    const INTERRUPTED: &str = "aborted";

    fn obey(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let said = self.carry_out(&String::from_utf8_lossy(line));
        Some(said.unwrap_or_else(|error| format!("error: {error}")).into_bytes())
    }
}
