//! Typed interfaces over a channel that leads straight back: what the stub encodes, the dispatch
//! decodes, and the other way, with deaths, late clocks and hostile bytes put in between.

mod calls;
mod deaths;
mod hostile;
mod identity;
mod loopback;

use atoll_ipc::interface::{Blob, Bytes, Word};
use atoll_ipc::message::Status;
use serde::{Deserialize, Serialize, Serializer};

/// An argument of a type of one's own, which borrows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair<'a> {
    key: &'a str,
    value: Option<i32>,
}

/// Has no encoding if so told.
#[derive(Debug, Deserialize)]
pub struct Fickle(bool);

impl Serialize for Fickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 {
            return Err(serde::ser::Error::custom("not today"));
        }
        serializer.serialize_bool(self.0)
    }
}

atoll_ipc::interface! {
    /// A bit of everything.
    pub interface Bench = "bench" version 3, client BenchClient, server BenchServer {
        /// Adds.
        1 => idempotent fn add(a: u64, b: u64) -> u64;
        /// Appends a line.
        2 => once fn append(line: &str) -> u32;
        /// Sets a level.
        3 => oneway fn note(level: u8);
        /// Nothing in, nothing out.
        4 => idempotent fn nothing();
        /// The bytes, owned.
        5 => idempotent fn double(bytes: Bytes<'_>) -> Blob<Vec<u8>>;
        /// The bytes, lent from the server.
        6 => idempotent fn keep(bytes: Bytes<'_>) -> Bytes<'_> as loan;
        /// As `keep`, but not to be repeated.
        7 => once fn swap(pairs: Vec<Pair<'_>>) -> Vec<Pair<'_>> as loan;
        /// Refused, with the status of this code.
        8 => once fn refuse(status: u8);
        /// Eight bytes.
        9 => idempotent fn turn(word: Word) -> Word;
        /// A value without an encoding, either way.
        10 => once fn fickle(to: Fickle, from: bool) -> Fickle;
    }
}

/// Compiles although its user's names are those that generated code is tempted to use.
mod shadows {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct T;
    #[derive(Serialize, Deserialize)]
    struct S<'a>(&'a str);
    type Result = T;

    atoll_ipc::interface! {
        interface A = "a" version 1, client C, server Server {
            1 => once fn read(read: S<'_>, bytes: T, on_restart: u8) -> S<'_> as loan;
            2 => idempotent fn reply(outcome: T, message: u8, server: u8) -> Result;
        }
    }
}

#[derive(Default)]
struct Server {
    lines: Vec<String>,
    level: u8,
    kept: Vec<u8>,
    served: u32,
}

impl BenchServer for Server {
    fn add(&mut self, a: u64, b: u64) -> Result<u64, Status> {
        self.served += 1;
        Ok(a.wrapping_add(b))
    }

    fn append(&mut self, line: &str) -> Result<u32, Status> {
        self.lines.push(line.to_owned());
        Ok(self.lines.len() as u32)
    }

    fn note(&mut self, level: u8) {
        self.level = level;
    }

    fn nothing(&mut self) -> Result<(), Status> {
        self.served += 1;
        Ok(())
    }

    fn double(&mut self, bytes: Bytes<'_>) -> Result<Blob<Vec<u8>>, Status> {
        Ok(Blob([bytes.0, bytes.0].concat()))
    }

    fn keep(&mut self, bytes: Bytes<'_>) -> Result<Bytes<'_>, Status> {
        self.kept = bytes.to_vec();
        Ok(Bytes(&self.kept))
    }

    fn swap(&mut self, pairs: Vec<Pair<'_>>) -> Result<Vec<Pair<'_>>, Status> {
        self.lines = pairs.iter().map(|pair| pair.key.to_owned()).collect();
        Ok(self.lines.iter().map(|key| Pair { key, value: None }).collect())
    }

    fn refuse(&mut self, status: u8) -> Result<(), Status> {
        Err(Status::from_code(status).ok_or(Status::Malformed)?)
    }

    fn turn(&mut self, word: Word) -> Result<Word, Status> {
        Ok(Word(!word.0))
    }

    fn fickle(&mut self, _: Fickle, from: bool) -> Result<Fickle, Status> {
        Ok(Fickle(from))
    }
}
