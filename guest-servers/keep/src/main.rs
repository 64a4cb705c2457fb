//! Keeps things through restarts, and dies on demand while it changes them: the partner of the tests
//! of state regions.
//!
//! The first part of its region is a value, the rest an arena. Its stream port `keep` takes a verb a
//! line. The argument `version` is the version that it gives to both; `then` and `size` are those
//! of later incarnations, as if another server, or one with a smaller region, had come after it.

#![no_std]
#![no_main]

extern crate alloc;

mod arena;
mod value;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use atoll::lines::{Lines, Obey};
use atoll::state::{self, Foreign};
use atoll::stream::Connections;
use atoll::{boot, state::Value};

use arena::Kept;

atoll::server! {
    name: "keep",
    memory: 16 << 20,
    ports: [KEEP: "keep" stream],
}

/// What the region's first part is for.
const VALUE_BYTES: u64 = 64 << 10;

struct Shared {
    kept: Kept,
    value: Result<Value, Foreign>,
    step: u64,
}

fn main() -> u32 {
    let Some(region) = state::region() else { panic!("a state region is missing in the manifest") };
    // In each incarnation from here on: what is in the region is newer than this memory.
    if let Err(error) = atoll::ready() {
        panic!("{error}");
    }
    let number = |key| boot::argument(key).and_then(|text| text.parse::<u32>().ok());
    let is_later = boot::epoch() > 1;
    let later = number("then").filter(|_| is_later);
    let version = later.or(number("version")).unwrap_or(1);
    let (first, mut rest) = region.split(VALUE_BYTES);
    if let Some(bytes) = number("size").filter(|_| is_later) {
        rest = rest.split(bytes.into()).0;
    }
    let value = Value::open(first, "value", version);
    let kept = Kept::open(rest, version);
    let mut shared = Shared { kept, value, step: 0 };
    shared.step = shared.value.as_mut().map_or(0, value::number);
    let mut connections = Connections::new();
    loop {
        connections.serve(KEEP.receive(), &mut shared, |_, _| Lines::default());
    }
}

impl Obey for Shared {
    const INTERRUPTED: &str = "restarted";

    fn obey(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        Some(self.carry_out(&String::from_utf8_lossy(line)).into_bytes())
    }
}

impl Shared {
    fn carry_out(&mut self, line: &str) -> String {
        let (verb, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        match verb {
            "epoch" => format!("{}", boot::epoch()),
            "step" | "value" | "value-anew" => self.of_the_value(verb),
            _ => self.kept.obey(verb, rest),
        }
    }

    fn of_the_value(&mut self, verb: &str) -> String {
        if verb == "value-anew" {
            let (first, _) = self.kept.region().split(VALUE_BYTES);
            self.value = Ok(Value::start_over(first, "value", self.kept.version()));
        }
        match &mut self.value {
            Err(foreign) => format!("{foreign}"),
            Ok(value) if verb == "step" => {
                self.step += 1;
                value::step(value, self.step)
            }
            Ok(value) => value::show(value),
        }
    }
}
