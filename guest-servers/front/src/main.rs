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
use atoll::lines::{Lines, Obey};
use atoll::stream::Connections;
use atoll::{Channel, IpcError};

atoll::server! {
    name: "front",
    memory: 16 << 20,
    ports: [LINES: "lines" stream],
}

/// The operation that lines are called and sent with.
const OPERATION: u16 = 1;
/// Longer than a chain of servers takes for any answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The channel to whom all lines go.
struct Front(Channel);

fn main() -> u32 {
    let mut front = match Channel::open("next") {
        Ok(next) => Front(next),
        Err(error) => panic!("the manifest gives this front no channel `next`: {error}"),
    };
    let mut connections = Connections::new();
    loop {
        connections.serve(LINES.receive(), &mut front, |_, _| Lines::default());
    }
}

impl Obey for Front {
    const INTERRUPTED: &str = "error: the front restarted with the line in its hands";

    fn obey(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let said = carry_out(self.0, line);
        Some(said.unwrap_or_else(|error| format!("error: {error}").into_bytes()))
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
