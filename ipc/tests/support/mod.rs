//! What tests share: inside the crate, beside it, and under loom.

#![allow(dead_code, unused_imports, reason = "each test binary uses another part of it")]

pub mod heap;

pub use heap::{HeapChannel, HeapRing, Words};

/// How many cases a property is tried with. Miri, a thousand times slower, gets one, and another
/// one with each run: it looks for undefined behaviour in the code, which any case leads through.
#[cfg(not(loom))]
pub fn cases(cases: u32) -> proptest::test_runner::Config {
    let mut config = proptest::test_runner::Config::with_cases(cases);
    if cfg!(miri) {
        config.cases = 1;
        // Failed cases are stored in files, which Miri does not let a test touch.
        config.failure_persistence = None;
    }
    config
}

/// How many operations a case may have; fewer under Miri, for the same reason.
pub const fn steps(most: usize) -> usize {
    if cfg!(miri) { 25 } else { most }
}

/// Each value from 0 up to and with the highest; under Miri only some of them, and the highest.
pub fn each(highest: usize, miri_step: usize) -> impl Iterator<Item = usize> {
    let step = if cfg!(miri) { miri_step } else { 1 };
    (0..highest).step_by(step).chain([highest])
}

/// Payload bytes that differ from record to record and from place to place.
pub fn pattern(seed: u64, length: usize) -> std::vec::Vec<u8> {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..length).map(|at| (mixed >> (at % 8 * 8)) as u8 ^ (at / 8) as u8).collect()
}
