//! Faults on demand: the partner of the whole-system tests, and a way to see what the nucleus
//! makes of each kind of fault.
//!
//! Its stream port `crash` takes a verb a line. Harmless ones answer with a line; the others end
//! the incarnation as their name says. `count` lives in memory: it shows what a restart forgot.

#![no_std]
#![no_main]

extern crate alloc;

mod faults;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use atoll::boot;
use atoll::lines::{Lines, Obey};
use atoll::stream::Connections;

atoll::server! {
    name: "crashme",
    memory: 16 << 20,
    ports: [CRASH: "crash" stream],
    worker: (worker, 4)
}

/// Turns of the workers, one count for each vCPU.
static TURNS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
/// The vCPU whose worker is to fault; 0 for none.
static VICTIM: AtomicU64 = AtomicU64::new(0);

/// What runs on vCPUs 1 and up: counts, so that it can be seen to run.
fn worker(vcpu: u32) -> u32 {
    loop {
        TURNS[vcpu as usize].fetch_add(1, Relaxed);
        if VICTIM.load(Relaxed) == u64::from(vcpu) {
            faults::ud2();
        }
        core::hint::spin_loop();
    }
}

#[derive(Default)]
struct Shared {
    count: u64,
}

fn main() -> u32 {
    let mut connections = Connections::new();
    let mut shared = Shared::default();
    match boot::argument("at-start") {
        Some("panic") => panic!("told to panic at start"),
        Some("loop") => faults::forever(),
        _ => (),
    }
    if let Err(error) = atoll::ready() {
        panic!("{error}");
    }
    log::info!("ready in epoch {}", boot::epoch());
    loop {
        connections.serve(CRASH.receive(), &mut shared, |_, _| Lines::default());
    }
}

impl Obey for Shared {
    const INTERRUPTED: &str = "restarted";

    fn obey(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        obey(self, &String::from_utf8_lossy(line)).map(String::into_bytes)
    }
}

/// Carries out one line. `None` closes the connection.
fn obey(shared: &mut Shared, line: &str) -> Option<String> {
    let (verb, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
    Some(match verb {
        "ping" => String::from("pong"),
        "echo" => String::from(rest),
        "epoch" => format!("{}", boot::epoch()),
        "count" => {
            shared.count += 1;
            format!("{}", shared.count)
        }
        "arguments" => boot::arguments().collect::<Vec<_>>().join(" "),
        "log" => {
            log::info!("{rest}");
            String::from("logged")
        }
        "turns" => {
            let vcpu = rest.parse().unwrap_or(0) % TURNS.len();
            format!("{}", TURNS[vcpu].load(Relaxed))
        }
        "fault-vcpu" => {
            VICTIM.store(rest.parse().unwrap_or(0), Relaxed);
            String::from("told")
        }
        "wall" => format!("{}", atoll::clock::unix_time().as_millis()),
        "quit" => return None,
        "exit" => atoll::exit(rest.parse().unwrap_or(0)),
        "panic" => panic!("{rest}"),
        "allocate" => format!("{}", Vec::<u8>::with_capacity(rest.parse().unwrap_or(0)).capacity()),
        "port" => faults::port(rest.parse().unwrap_or(0)),
        _ => match faults::by_name(verb) {
            Some(fault) => {
                fault();
                format!("survived {verb}")
            }
            None => format!("no such verb: {verb}"),
        },
    })
}
