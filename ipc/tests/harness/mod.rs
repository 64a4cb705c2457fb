//! Peers at their worst, driven by bytes: each byte decides what happens next. The fuzzer invents
//! the bytes, `tests/corpus.rs` replays those that it found worth keeping, and a property of the
//! crate tries random ones.
//!
//! Nothing here may panic, read beyond a channel's memory, or go on for ever, whatever the bytes.
//!
//! Whoever includes this has `heap`, of the tests' support, beside it.

mod input;

pub mod channel;
pub mod ring;
