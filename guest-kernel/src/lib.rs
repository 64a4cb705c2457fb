//! The guest kernel: what is linked under every Atoll server.
//!
//! A server is a `no_std` program with a declaration and a `main`:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! atoll::server! {
//!     name: "echo",
//!     memory: 8 << 20,
//!     ports: [ECHO: "echo" message],
//! }
//!
//! fn main() -> u32 {
//!     loop {
//!         let message = ECHO.receive();
//!         let payload = message.to_vec();
//!         message.reply(&payload);
//!     }
//! }
//! ```
//!
//! It runs in ring 3, like this crate. Only the exception stubs ([`stubs`]) run in ring 0, and
//! they do nothing but report. There are no interrupts and no threads: a vCPU runs the server's
//! code, and the messages that it asks for.
//!
//! | module | what it gives |
//! |---|---|
//! | [`ipc`] | ports to receive on, channels to call through |
//! | [`stream`] | client connections that a gateway carries |
//! | [`disk`] | blocks that outlive the domain |
//! | [`lines`] | those on which each line is answered with a line |
//! | [`clock`] | time, without leaving the micro-VM |
//! | [`boot`] | names, arguments, memory, randomness from the nucleus |
//! | [`console`] | log lines, through the `log` crate |
//! | [`heap`] | the global allocator |
//! | [`state`] | memory that a restart keeps |

#![no_std]
#![warn(missing_docs)]

extern crate alloc;

pub mod boot;
pub mod clock;
pub mod console;
pub mod disk;
mod entry;
mod exits;
pub mod heap;
pub mod ipc;
pub mod lines;
mod memory;
mod panic;
mod ready;
mod server;
pub mod state;
pub mod stream;
pub mod stubs;

pub use atoll_ipc::bailout;
pub use atoll_ipc::interface;
pub use atoll_ipc::message::{IpcError, Status};
pub use ipc::{Channel, Event, Message, Port};
pub use ready::{AlreadyReady, ready};

#[doc(hidden)]
pub use atoll_ipc as __ipc;

/// How often this domain has left its micro-VM so far, doorbells included.
pub fn exits() -> u64 {
    exits::made()
}

/// Says that the server is alive. One that works on a request for longer than its watchdog's limit
/// must say so meanwhile; answers to requests say it by themselves.
pub fn heartbeat() {
    exits::heartbeat();
}

/// Ends the server with a status. The nucleus reports it as a fault, unless the domain's restart
/// policy says that ending is fine.
pub fn exit(status: u32) -> ! {
    exits::exit(status)
}
