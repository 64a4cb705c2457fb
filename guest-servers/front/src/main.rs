//! Text lines in front of a message port: what `nc` or a test types is sent through the channel
//! `next`, and the answer comes back as a line.
//!
//! | a line | what it does |
//! |---|---|
//! | `send TEXT` | sends `TEXT` without waiting for an answer; says `sent` |
//! | `notify BITS` | raises notification bits at the next server; says `notified` |
//! | `epoch` | says which incarnation of the next server is known to serve |
//! | anything else | is called; says what the next server answers |
//!
//! Whatever fails is said as `error: ` and why, so each line has exactly one line for an answer.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use atoll::clock::Instant;
use atoll::stream::{Connection, Connections};
use atoll::{Channel, IpcError};

atoll::server! {
    name: "front",
    memory: 16 << 20,
    ports: [LINES: "lines" stream],
}

/// The operation that lines are called and sent with.
const OPERATION: u16 = 1;
/// Longest line; of a longer one the rest is dropped.
const LINE_MAX: usize = 1 << 20;
/// Output above which a connection's further lines wait until its client has read.
const OUTPUT_ENOUGH: usize = 256 << 10;
/// Longer than a chain of servers takes for any answer.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Client {
    line: Vec<u8>,
    output: Vec<u8>,
    closing: bool,
}

fn main() -> u32 {
    let mut next = match Channel::open("next") {
        Ok(next) => next,
        Err(error) => panic!("the manifest gives this front no channel `next`: {error}"),
    };
    let mut connections = Connections::new();
    loop {
        connections.serve(LINES.receive(), &mut next, |_, _| Client::default());
    }
}

impl Client {
    fn say(&mut self, line: &[u8]) {
        self.output.extend_from_slice(line);
        self.output.push(b'\n');
    }

    fn obey(&mut self, next: Channel, line: &[u8]) {
        match carry_out(next, line) {
            Ok(answer) => self.say(&answer),
            Err(error) => self.say(format!("error: {error}").as_bytes()),
        }
    }
}

fn carry_out(next: Channel, line: &[u8]) -> Result<Vec<u8>, IpcError> {
    let deadline = Some(Instant::now().after(PATIENCE));
    if let Some(text) = line.strip_prefix(b"send ") {
        return next.send(OPERATION, text, deadline).map(|()| b"sent".to_vec());
    }
    if let Some(bits) = number(line, b"notify ") {
        next.notify(bits);
        return Ok(b"notified".to_vec());
    }
    if line == b"epoch" {
        return Ok(format!("{}", next.server_epoch()).into_bytes());
    }
    Ok(next.call(OPERATION, line, deadline)?.into_payload())
}

/// The number that follows a verb, if this is what the line is.
fn number(line: &[u8], verb: &[u8]) -> Option<u64> {
    core::str::from_utf8(line.strip_prefix(verb)?).ok()?.parse().ok()
}

impl Connection<Channel> for Client {
    fn feed(&mut self, next: &mut Channel, input: &[u8]) -> usize {
        let mut used = 0;
        while used < input.len() && self.output.len() < OUTPUT_ENOUGH {
            let rest = &input[used..];
            let end = rest.iter().position(|&byte| byte == b'\n');
            let part = &rest[..end.unwrap_or(rest.len())];
            let room = LINE_MAX - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            used += part.len();
            if end.is_some() {
                used += 1;
                let line = core::mem::take(&mut self.line);
                self.obey(*next, &line);
            }
        }
        used
    }

    fn abort(&mut self, input: &[u8]) {
        for _ in input.split_inclusive(|&byte| byte == b'\n') {
            self.say(b"error: the front restarted with the line in its hands");
        }
        // Nobody knows where the next line begins.
        self.closing |= !input.ends_with(b"\n");
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn advance(&mut self, count: usize) {
        self.output.drain(..count);
    }

    fn mid_request(&self) -> bool {
        !self.line.is_empty()
    }

    fn closing(&self) -> bool {
        self.closing
    }
}
