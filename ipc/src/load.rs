//! What a benchmark asks of a domain that makes load, and hears from it.
//!
//! The domain calls, or sends through, its channel `peer` for a while, and tells how it went. It
//! times with its own clock, so that asking it costs nothing.

use serde::{Deserialize, Serialize};

use crate::interface::Bytes;

/// Most round trips of which the times are told; of more, the first.
pub const SAMPLES_MAX: usize = 30_000;

/// Operations of a load server's port `work`, untyped.
pub mod work {
    /// Reply with the same payload.
    pub const ECHO: u16 = 1;
    /// Take messages, each of which begins with its number, counted from 0; no reply.
    pub const SINK: u16 = 2;
    /// Take a buffer that begins with its number and look at nothing else of it; no reply.
    pub const SINK_LENT: u16 = 3;
    /// Reply with how many messages were taken since the last time, as 8 bytes; or with all ones,
    /// if one of them was not the next.
    pub const COUNT: u16 = 4;
    /// Fault; the payload is one byte, one of the [`fault`](super::fault) numbers. Its caller learns
    /// of the end of the incarnation, and of nothing else.
    pub const CRASH: u16 = 5;
    /// Write to so much memory, 4 bytes of payload, that was not written to before; reply when it is
    /// done.
    pub const DIRTY: u16 = 6;
}

/// The ways to fault that a load server knows.
pub mod fault {
    /// Reads an address that no page has.
    pub const PAGE: u8 = 1;
    /// Executes an instruction that is none.
    pub const UD2: u8 = 2;
    /// Divides by zero.
    pub const DIVIDE: u8 = 3;
    /// Panics.
    pub const PANIC: u8 = 4;
    /// Recurses without end.
    pub const STACK: u8 = 5;
    /// Writes an I/O port that means nothing.
    pub const PORT: u8 = 6;
}

/// How messages are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Calls through the typed interface of an echo server, each timed.
    Typed,
    /// Calls with untyped messages, each timed.
    Raw,
    /// Untyped calls, so many under way at a time, counted.
    Calls {
        /// How many.
        depth: u32,
    },
    /// Sent one-way, copied in and out.
    Sent,
    /// Lent one-way, untouched.
    Lent,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// How messages are exchanged.
    pub how: How,
    /// Payload bytes of a message.
    pub size: u32,
    /// Messages that go together in one record.
    pub batch: u32,
    /// For how long, in milliseconds; a fifth of that goes before, uncounted.
    pub millis: u32,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally<'a> {
    /// Messages that went through.
    pub messages: u64,
    /// Ticks of the time stamp counter that it took.
    pub ticks: u64,
    /// Ticks in a second.
    pub hz: u64,
    /// Exits of the domain meanwhile.
    pub exits: u64,
    /// Ticks of each round trip, where they were timed: 4 bytes each.
    #[serde(borrow)]
    pub samples: Bytes<'a>,
}

crate::interface! {
    /// A domain that makes load.
    pub interface Load = "load" version 1, client LoadClient, server LoadServer {
        /// Does it, and tells how it went.
        1 => once fn run(work: Work) -> Tally<'_> as loan;
    }
}
