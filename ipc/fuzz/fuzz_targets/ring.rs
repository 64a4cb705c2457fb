//! One ring, whose memory somebody else writes.

#![no_main]

#[allow(dead_code, reason = "the other target uses the other half")]
#[path = "../../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each target uses a part of it")]
#[path = "../../tests/support/heap.rs"]
mod heap;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| harness::ring::run(bytes));
