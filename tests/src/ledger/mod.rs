//! Owns the independent judge of durability: a client that keeps a ledger of what it asked for and
//! what it was told, and says of what a server holds afterwards whether that can be.
//!
//! It shares no code with the servers. What it believes of them is what they promise: a client's
//! requests are carried out in their order; one that is answered well was carried out and stays so;
//! one whose fate is unknown, since the server or the VMM died of it or under it, was carried out
//! wholly or not at all, and not unless those before it on the same connection were.

mod chance;
mod look;
mod model;

use std::time::Instant;

use crate::environment::patience;
use crate::resp::{Reply, Resp, request};
use crate::socket::Socket;

pub use chance::Chance;
pub use look::{Interrupted, look};
pub use model::{Bytes, Change, Held, Keys};

/// What one client knows of its keys: all that they may hold by now.
#[derive(Debug)]
pub struct Ledger {
    client: String,
    /// At least one, and no two the same.
    possible: Vec<Keys>,
    /// Those of them in which all unknown requests since the last good answer were carried out: one
    /// more such request can only have been carried out after these.
    tips: Vec<Keys>,
    chance: Chance,
    /// What became of its requests so far.
    pub tally: Tally,
}

/// How many requests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered well: durable from then on.
    pub acknowledged: u64,
    /// Perhaps carried out.
    pub unknown: u64,
    /// Refused, so not carried out.
    pub refused: u64,
    /// Comparisons of everything that the server holds for the client with the ledger.
    pub looks: u64,
}

impl Tally {
    /// Both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            unknown: self.unknown + other.unknown,
            refused: self.refused + other.refused,
            looks: self.looks + other.looks,
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Unknown,
    Refused,
}

impl Ledger {
    /// Of a client that has no keys yet.
    pub fn new(client: &str, seed: u64) -> Self {
        let (chance, tally) = (Chance::new(seed), Tally::default());
        let possible = vec![Keys::new()];
        Self { client: client.to_owned(), tips: possible.clone(), possible, chance, tally }
    }

    /// Asks for some changes at once, and notes the answers. Returns whether all of them are known.
    pub fn work(&mut self, connection: &mut Resp, depth: usize) -> bool {
        let changes: Vec<_> = (0..depth).map(|_| self.chance.change(&self.client)).collect();
        let requests = changes.iter().flat_map(|change| {
            let words = change.words();
            request(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
        });
        let mut is_open = connection.send(&requests.collect::<Vec<_>>());
        let mut are_known = true;
        for change in &changes {
            let reply = if is_open { connection.reply() } else { None };
            is_open = reply.is_some();
            let fate = fate(change, reply.as_ref());
            self.note(change, fate);
            are_known &= fate != Fate::Unknown;
        }
        are_known
    }

    fn note(&mut self, change: &Change, fate: Fate) {
        match fate {
            Fate::Acknowledged => {
                self.tally.acknowledged += 1;
                self.possible.iter_mut().for_each(|keys| change.apply(keys));
                self.possible.sort();
                self.possible.dedup();
                self.tips.clone_from(&self.possible);
            }
            Fate::Unknown => {
                self.tally.unknown += 1;
                for tip in &mut self.tips {
                    change.apply(tip);
                    if !self.possible.contains(tip) {
                        self.possible.push(tip.clone());
                    }
                }
            }
            Fate::Refused => self.tally.refused += 1,
        }
    }

    /// Compares all that the server holds for this client with the ledger, which then knows. A server that
    /// dies meanwhile is asked again: looking changes nothing.
    ///
    /// # Panics
    /// If the server holds what it cannot: something that was acknowledged is not there, or something
    /// that was never asked for is.
    pub fn check(&mut self, mut connect: impl FnMut() -> Resp) {
        let began = Instant::now();
        let found = loop {
            match look(&mut connect(), &self.client) {
                Ok(found) => break found,
                Err(Interrupted) => {
                    assert!(began.elapsed() < patience(), "{} never gets to look", self.client);
                }
            }
        };
        self.tally.looks += 1;
        assert!(
            self.possible.contains(&found),
            "{} finds what cannot be:\n{}",
            self.client,
            self.explain(&found)
        );
        self.possible = vec![found];
        self.tips.clone_from(&self.possible);
    }

    /// How what was found differs from each thing that could be.
    fn explain(&self, found: &Keys) -> String {
        let differences = self.possible.iter().map(|keys| {
            let all = keys.keys().chain(found.keys().filter(|key| !keys.contains_key(*key)));
            let differ = all.filter(|key| keys.get(*key) != found.get(*key));
            let lines = differ.map(|key| {
                format!("  {key}: expected {:.200?}, found {:.200?}", keys.get(key), found.get(key))
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        differences.collect::<Vec<_>>().join("\n or\n")
    }
}

/// What a reply says of its request. Nobody but the server may say that a change was not made.
fn fate(change: &Change, reply: Option<&Reply>) -> Fate {
    match reply {
        None => Fate::Unknown,
        Some(reply) if reply.is_restarted() => Fate::Unknown,
        Some(reply) if reply.is_error("MISCONF") => Fate::Refused,
        Some(Reply::Error(text)) if text.starts_with("ERR the store is full") => Fate::Refused,
        // What is not there cannot be renamed; that the server says so is known, as an answer.
        Some(Reply::Error(text)) if matches!(change, Change::Rename(..)) => {
            assert_eq!(text, "ERR no such key");
            Fate::Acknowledged
        }
        Some(Reply::Error(text)) => panic!("{change:?}: {text}"),
        Some(_) => Fate::Acknowledged,
    }
}

/// Connects as soon as somebody listens: a VMM that was killed is started again by others.
pub fn connect_in_time(address: &str) -> Resp {
    let began = Instant::now();
    loop {
        match Socket::try_connect(address) {
            Ok(socket) => return Resp::over(socket),
            Err(error) => {
                assert!(began.elapsed() < patience(), "nobody listens at {address}: {error}");
                // Nothing tells when a socket begins to listen.
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}
