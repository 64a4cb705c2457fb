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
use atoll::stream::{Connection, Connections};

atoll::server! {
    name: "crashme",
    memory: 16 << 20,
    ports: [CRASH: "crash" stream],
    worker: (worker, 4)
}

/// Longest line that is kept while its end has not arrived.
const LINE_MAX: usize = 4096;

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

#[derive(Default)]
struct Line {
    input: Vec<u8>,
    output: Vec<u8>,
    closing: bool,
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
        connections.serve(CRASH.receive(), &mut shared, |_, _| Line::default());
    }
}

impl Connection<Shared> for Line {
    fn feed(&mut self, shared: &mut Shared, input: &[u8]) -> usize {
        for &byte in input {
            if byte == b'\n' {
                let line = core::mem::take(&mut self.input);
                let answer = obey(shared, &String::from_utf8_lossy(&line));
                self.closing |= answer.is_none();
                self.output.extend_from_slice(answer.unwrap_or_default().as_bytes());
                self.output.push(b'\n');
            } else if self.input.len() < LINE_MAX {
                self.input.push(byte);
            }
        }
        input.len()
    }

    fn abort(&mut self, input: &[u8]) {
        for _ in input.split_inclusive(|&byte| byte == b'\n') {
            self.output.extend_from_slice(b"restarted\n");
        }
        self.closing |= !input.ends_with(b"\n");
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn advance(&mut self, count: usize) {
        self.output.drain(..count);
    }

    fn mid_request(&self) -> bool {
        !self.input.is_empty()
    }

    fn closing(&self) -> bool {
        self.closing
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
