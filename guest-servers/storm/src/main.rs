//! Storms of messages, as client and as server: the partner of the IPC tests.
//!
//! The manifest's argument `role` says what a domain is:
//!
//! | role | what it does |
//! |---|---|
//! | `client` | carries out the lines of its port `commands` ([`commands`]) against its channels |
//! | `server` | serves the port `storm` ([`server`]) |
//! | `typed` | serves the ports that speak typed interfaces ([`typed`]) |

#![no_std]
#![no_main]

extern crate alloc;

mod commands;
mod outcome;
mod random;
mod scribble;
mod server;
mod storms;
mod typed;
mod wire;

use atoll::boot;

atoll::server! {
    name: "storm",
    memory: 32 << 20,
    ports: [
        COMMANDS: "commands" stream,
        STORM: "storm" message,
        SUMS: "sums" message speaks typed::Sums,
        OLDER: "older" message speaks typed::older::Sums,
        TWIN: "twin" message speaks typed::twin::Sums,
    ],
}

fn main() -> u32 {
    match boot::argument("role").unwrap_or("client") {
        "client" => commands::serve(COMMANDS),
        "server" => server::serve(STORM),
        "typed" => typed::serve([SUMS, OLDER, TWIN]),
        other => panic!("there is no role `{other}`; it is `client`, `server` or `typed`"),
    }
}
