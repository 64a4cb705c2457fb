//! Owns what the tests drive the server with: a world with a clock that they set, and
//! requests and replies that are easy to write down.

use std::format;
use std::string::String;
use std::vec::Vec;

use store::interface::Figures;

use crate::{Crash, Database, Env, Facts, Options, Session};

pub struct World {
    pub now: u64,
    pub crashes: Vec<Crash>,
    state: u64,
}

impl Env for World {
    fn now_ms(&self) -> u64 {
        self.now
    }

    fn now_us(&self) -> u64 {
        self.now * 1000 + 7
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.state >> 16
    }

    fn debug(&mut self, crash: Crash) {
        self.crashes.push(crash);
    }

    fn info(&self) -> Facts {
        Facts { epoch: 3, uptime_ms: 61_500, clients: 2, heap_used: 10, heap_total: 20 }
    }

    fn store(&mut self) -> Option<Figures> {
        Some(Figures { log: 4_000, live: 3_000, records: 5, batches: 2, ..Figures::default() })
    }
}

pub struct Rig {
    pub db: Database,
    pub env: World,
    pub session: Session,
}

/// The time at which every test begins.
pub const START: u64 = 1_700_000_000_000;

impl Rig {
    pub fn new() -> Self {
        Self::with(64 << 20, Options { debug: true, ..Options::default() })
    }

    pub fn with(limit: usize, options: Options) -> Self {
        let db = Database::new(limit, 42, options);
        let env = World { now: START, crashes: Vec::new(), state: 9 };
        let session = Session::new(&db, 7);
        Self { db, env, session }
    }

    /// Feeds bytes until all are consumed, taking the output whenever it stops.
    pub fn bytes(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut replies = Vec::new();
        loop {
            let used = self.session.feed(&mut self.db, &mut self.env, input);
            input = &input[used..];
            let output = self.session.output();
            let taken = output.len();
            replies.extend_from_slice(output);
            self.session.advance(taken);
            if input.is_empty() {
                return replies;
            }
            assert!(used + taken > 0, "neither bytes taken nor replies given");
        }
    }

    /// Runs a request and returns its reply as it is.
    pub fn raw(&mut self, args: &[&[u8]]) -> Vec<u8> {
        self.bytes(&request(args))
    }

    /// Runs a request written as words; the reply's line ends become blanks.
    pub fn run(&mut self, words: &str) -> String {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let reply = self.raw(&args);
        String::from_utf8(reply).unwrap().replace("\r\n", " ").trim_end().into()
    }

    /// Runs requests and compares their replies.
    pub fn check(&mut self, cases: &[(&str, &str)]) {
        for (words, expected) in cases {
            assert_eq!(self.run(words), *expected, "{words}");
        }
    }

    /// The strings in an array of them, sorted.
    pub fn sorted(&mut self, words: &str) -> Vec<String> {
        let reply = self.run(words);
        let mut found: Vec<String> =
            reply.split(' ').filter(|word| !word.starts_with(['*', '$'])).map(Into::into).collect();
        found.sort();
        found
    }
}

/// A request in the protocol's form.
pub fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.len()).into_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
