//! A value that is replaced step by step, each as long as its number says, so that a mixture of two
//! would show.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use atoll::state::Value;

/// The value of a step: its number, then bytes that all follow from it.
fn of_step(step: u64) -> Vec<u8> {
    let length = 100 + step.wrapping_mul(7919) % 20_000;
    let bytes = (0..length).map(|at| (step ^ at ^ at >> 8) as u8);
    step.to_le_bytes().into_iter().chain(bytes).collect()
}

/// Replaces the value by that of a step.
pub fn step(value: &mut Value, step: u64) -> String {
    match value.commit(&of_step(step)) {
        Ok(()) => step.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The step that the value is of.
pub fn number(value: &mut Value) -> u64 {
    let bytes = value.get().unwrap_or_default();
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The step that the value is of, if it is whole.
pub fn show(value: &mut Value) -> String {
    let Some(bytes) = value.get() else { return "none".to_owned() };
    let number = number(value);
    let written = value.written_in().unwrap_or_default();
    if bytes == of_step(number) {
        format!("{number} written in {written}")
    } else {
        format!("a mixture of {} bytes that says it is {number}", bytes.len())
    }
}
