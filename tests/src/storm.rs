//! Owns clients of `storm`, the guest that sends and answers storms of messages, and systems of it.

use std::collections::BTreeMap;

use crate::environment::patience;
use crate::lines::Lines;
use crate::system::System;

/// Operations of the port `storm`, as the guest numbers them.
pub mod op {
    /// Answered with its payload, each bit turned over.
    pub const INVERT: u16 = 1;
    /// A head and a body; answered with a body.
    pub const EXCHANGE: u16 = 2;
    /// Not answered before [`RELEASE`].
    pub const KEEP: u16 = 3;
    /// Answers those that were kept.
    pub const RELEASE: u16 = 4;
    /// What the server has counted, as text.
    pub const COUNTS: u16 = 5;
    /// Refused.
    pub const DENY: u16 = 7;
    /// Given up without an answer.
    pub const DROP: u16 = 8;
    /// Answered with more than the ring carries.
    pub const BURST: u16 = 9;
    /// The server dies of it, unless it was delivered as often before as the payload has bytes; the
    /// answer has a byte for each time that it was.
    pub const CRASH: u16 = 11;
    /// None that the server knows.
    pub const UNKNOWN: u16 = 999;
}

/// A client and a server, with a channel of the usual size between them.
pub const PAIR: &str = r#"
name = "storm"
[domains.client]
image = "storm"
[domains.server]
image = "storm"
arguments = ["role=server"]
[[channels]]
from = "client"
to = "server:storm"
[[gateways]]
listen = "127.0.0.1:0"
to = "client:commands"
"#;

/// One more client of [`PAIR`]'s server, or of another one.
pub fn one_more(client: &str, server: &str) -> String {
    format!(
        "[domains.{client}]\nimage = \"storm\"\n\
         [[channels]]\nfrom = \"{client}\"\nto = \"{server}:storm\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{client}:commands\"\n"
    )
}

/// One more server of storms.
pub fn one_more_server(server: &str) -> String {
    format!("[domains.{server}]\nimage = \"storm\"\narguments = [\"role=server\"]\n")
}

/// Messages of one command: a machine that is busy with other things must answer in time, too.
const AT_ONCE: usize = 10_000;
/// Names and numbers by turns, as `storm` says them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// The outcomes of calls.
    const OUTCOMES: [&str; 10] = [
        "ok",
        "restarted",
        "poisoned",
        "gone",
        "timeout",
        "rejected",
        "exhausted",
        "protocol",
        "other",
        "wrong",
    ];

    /// From a line.
    pub fn of(line: &str) -> Self {
        let words: Vec<_> = line.split_whitespace().collect();
        let pairs = words.chunks(2).map(|pair| match pair {
            [name, number] => ((*name).to_owned(), number.parse().ok()),
            _ => (line.to_owned(), None),
        });
        let number = |(name, number): (String, Option<u64>)| {
            (name, number.unwrap_or_else(|| panic!("`{line}` is no tally")))
        };
        Self(pairs.map(number).collect())
    }

    /// The number that goes by a name.
    pub fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("there is no {name} in {self:?}"))
    }

    /// Calls that ended, in whatever way.
    pub fn ended(&self) -> u64 {
        Self::OUTCOMES.iter().map(|name| self.get(name)).sum()
    }

    /// Fails unless so many calls ended, and only in these ways.
    pub fn assert_only(&self, count: u64, ways: &[&str]) {
        assert_eq!(self.ended(), count, "each call has one outcome: {self:?}");
        let allowed: u64 = ways.iter().map(|way| self.get(way)).sum();
        assert_eq!(allowed, count, "only {ways:?} may be: {self:?}");
    }
}

/// A connection to a domain that runs storms.
#[derive(Debug)]
pub struct Stormer {
    lines: Lines,
    /// No two storms of a connection are the same.
    seed: u64,
}

impl Stormer {
    /// Connects to a client domain.
    pub fn connect(system: &System, domain: &str) -> Self {
        let lines = Lines::connect(&system.gateway(&format!("{domain}:commands")));
        Self { lines, seed: 0 }
    }

    /// Carries a command out; returns the line that it says.
    pub fn ask(&mut self, line: &str) -> String {
        self.lines.ask(line)
    }

    /// Tells a command, whose answer is heard later.
    pub fn tell(&mut self, line: &str) {
        self.lines.tell(line);
    }

    /// The answer of a command that was told; `None` if the connection was closed, or the client
    /// died with the command in its hands.
    pub fn hear(&mut self) -> Option<String> {
        self.lines.hear().filter(|line| line != "aborted")
    }

    /// A storm of `count` messages, each of which must be served; `how` is the rest of the line.
    pub fn storm(&mut self, kind: &str, count: usize, how: &str) -> Vec<Tally> {
        let mut storms = Vec::new();
        let mut left = count;
        while left > 0 {
            let next = left.min(AT_ONCE);
            self.seed += 1;
            let how = format!("seed {} {how}", self.seed);
            let tally = self.any_storm(kind, next, &how).expect("the client lives");
            tally.assert_only(next as u64, &["ok"]);
            storms.push(tally);
            left -= next;
        }
        storms
    }

    /// A storm, whatever becomes of it; `None` if the client died of it.
    pub fn any_storm(&mut self, kind: &str, count: usize, how: &str) -> Option<Tally> {
        // A call that hangs is to be told by its client, not by the connection.
        let ms = patience().as_millis() / 3;
        self.tell(&format!("{kind} {count} {how} ms {ms}"));
        let tally = Tally::of(&self.hear()?);
        assert_eq!(tally.get("done"), count as u64);
        Some(tally)
    }

    /// What the server has counted.
    pub fn counts(&mut self) -> Tally {
        Tally::of(&self.ask(&format!("text {}", op::COUNTS)))
    }
}
