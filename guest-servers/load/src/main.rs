//! Makes load for benchmarks, or takes it: as its first argument says, `make` or `take`. What takes
//! it can be told to fault, so that restarts can be timed.

#![no_std]
#![no_main]

extern crate alloc;

mod crash;
mod dirt;
mod make;
mod take;

use atoll::boot;
use atoll_ipc::load::Load;

atoll::server! {
    name: "load",
    memory: 32 << 20,
    ports: [CONTROL: "control" message speaks Load, WORK: "work" message],
}

fn main() -> u32 {
    match boot::arguments().next() {
        Some("make") => make::serve(CONTROL),
        Some("take") => take::serve(WORK),
        other => panic!("the first argument is `make` or `take`, not {other:?}"),
    }
}
