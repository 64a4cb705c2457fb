//! Connections on which each line is answered with a line: for servers that people and tests talk to.
//!
//! A server implements [`Obey`] for what all connections share, and serves [`Lines`] as the state of
//! each.

use alloc::vec::Vec;
use core::mem::take;

use crate::stream::Connection;

/// Longest line; of a longer one the rest is dropped.
pub const LINE_MAX: usize = 1 << 20;
/// Output above which a connection's further lines wait until its client has read.
const OUTPUT_ENOUGH: usize = 256 << 10;

/// Carries lines out.
pub trait Obey {
    /// Answers a line that a dead incarnation had in its hands.
    const INTERRUPTED: &str;

    /// Carries a line out; its answer, or `None` to close the connection.
    fn obey(&mut self, line: &[u8]) -> Option<Vec<u8>>;
}

/// One connection.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    output: Vec<u8>,
    closing: bool,
}

impl Lines {
    fn say(&mut self, line: &[u8]) {
        self.output.extend_from_slice(line);
        self.output.push(b'\n');
    }
}

impl<S: Obey> Connection<S> for Lines {
    fn feed(&mut self, shared: &mut S, input: &[u8]) -> usize {
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
                let answer = shared.obey(&take(&mut self.line));
                self.closing |= answer.is_none();
                self.say(&answer.unwrap_or_default());
            }
        }
        used
    }

    fn abort(&mut self, input: &[u8]) {
        for _ in input.split_inclusive(|&byte| byte == b'\n') {
            self.say(S::INTERRUPTED.as_bytes());
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
