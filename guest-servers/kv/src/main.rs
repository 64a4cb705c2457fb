//! The kv server: the library's database behind two ports.
//!
//! | port | kind | for |
//! |---|---|---|
//! | `redis` | stream | clients of the host, through a gateway, in Redis's protocol |
//! | `typed` | message, speaks [`Kv`] | domains |
//!
//! | argument | meaning | without it |
//! |---|---|---|
//! | `durable=yes` | a write is answered when the channel `store` has it on disk, and what is there is loaded at the start | `no`: all is in memory |
//! | `maxmemory=BYTES` | most memory for keys and values; `KiB`, `MiB`, `GiB` may follow | what the heap allows |
//! | `debug=yes` | clients may crash the server with `DEBUG` | `no` |
//! | `log=LEVEL` | least level of console lines | `info` |
//!
//! With `state` in its domain's manifest, keys and values live there, and a restart keeps them. One
//! of a durable kv then asks its store only for what that last took.

#![no_std]
#![no_main]

extern crate alloc;

#[path = "guest/crash.rs"]
mod crash;
#[path = "guest/durable.rs"]
mod durable;
#[path = "guest/keeper.rs"]
mod keeper;
#[path = "guest/place.rs"]
mod place;
#[path = "guest/surroundings.rs"]
mod surroundings;

use alloc::borrow::ToOwned;
use core::time::Duration;

use atoll::clock::{Instant, unix_time};
use atoll::stream::{Connection, Connections};
use atoll::{Message, Port, boot, heap, ipc};
use kv::typed::{Kv, Typed};
use kv::{Database, Edits, Origin, Session};
use place::{Found, Place};
use surroundings::{Surroundings, seed};

atoll::server! {
    name: "kv",
    memory: 256 << 20,
    ports: [REDIS: "redis" stream, TYPED: "typed" message speaks Kv],
}

/// Time between two looks for keys that have expired and that nobody asks for.
const SWEEP_PERIOD: Duration = Duration::from_millis(100);
/// Keys looked at in one such look; clients wait no longer than that takes.
const SWEEP_KEYS: usize = 200;
/// What a client is told whose request a dead incarnation had.
const RESTARTED: &str =
    "RESTARTED the server restarted; the command may or may not have been executed";

struct Server {
    database: &'static mut Database,
    surroundings: Surroundings,
}

struct Client(Session);

fn main() -> u32 {
    match boot::argument("durable") {
        Some("yes") => durable::serve(),
        None | Some("no") => serve(Server::alone()),
        Some(other) => panic!("argument `durable` is `{other}`: it can be `yes` or `no`"),
    }
}

impl Server {
    /// One whose keys and values nobody keeps, but for the state region if there is one.
    fn alone() -> Self {
        let judge = |database: &Database| match database.is_kept() {
            false => Ok(()),
            true => Err("it has changes for a store, and this server has none".to_owned()),
        };
        let Place { database, changes, found } = Place::find(0, judge);
        let mut server = Self::new(database, Surroundings::new(changes));
        let origin = match found {
            Found::Nothing => Origin::Nowhere,
            Found::All => {
                log::info!("{} keys were kept", server.database.len());
                Origin::Kept
            }
            Found::Lost(why) => {
                log::warn!("all keys are lost: {why}");
                Origin::Nowhere
            }
        };
        server.surroundings.begins(origin);
        server
    }

    fn new(database: &'static mut Database, surroundings: Surroundings) -> Self {
        log::info!("{} MiB for keys and values, epoch {}", database.limit() >> 20, boot::epoch());
        Self { database, surroundings }
    }

    /// The state of a new connection.
    fn open(&mut self, id: u64) -> Client {
        Client(Session::new(self.database, id))
    }
}

/// Most messages that are answered before anybody who sleeps is woken for them.
const ROUND: usize = 16;

fn serve(mut server: Server) -> ! {
    let mut connections = Connections::new();
    let mut sweep = Sweep::new();
    let mut last = TYPED;
    loop {
        let deadline = sweep.due(server.database);
        let mut found = ipc::receive_any(&turns(last), deadline);
        ipc::together(|| {
            let mut count = 0;
            while let Some((port, message)) = found {
                carry_out(&mut server, &mut connections, port, message);
                (last, count) = (port, count + 1);
                found = if count < ROUND { ipc::poll_any(&turns(last)) } else { None };
            }
        });
        sweep.go_on(&mut server, deadline);
    }
}

fn carry_out(
    server: &mut Server,
    connections: &mut Connections<Client>,
    port: Port,
    message: Message,
) {
    if port == TYPED {
        let now = unix_time().as_millis() as u64;
        let Server { database, surroundings } = server;
        return Kv::dispatch(&mut Typed::new(database, surroundings, now), message);
    }
    server.surroundings.clients = connections.len();
    connections.serve(message, server, Server::open);
}

/// The search for keys whose time is over and that nobody asks for.
struct Sweep {
    next: Instant,
}

impl Sweep {
    fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// When there is something to do.
    fn due(&self, database: &Database) -> Option<Instant> {
        (database.volatile() > 0).then_some(self.next)
    }

    /// Looks at some keys, if that was due.
    fn go_on(&mut self, server: &mut Server, due: Option<Instant>) {
        if due.is_some_and(|due| due <= Instant::now()) {
            let now = unix_time().as_millis() as u64;
            let Server { database, surroundings } = server;
            surroundings.edit(|| database.expire_some(now, SWEEP_KEYS));
            self.next = Instant::now().after(SWEEP_PERIOD);
        }
    }
}

/// The order in which the ports are looked at. `redis` comes first, since one message of the
/// gateway carries requests of many clients; but not right after another one of its own, or a
/// gateway that is never out of work would keep domains from their turn for good.
const fn turns(last: Port) -> [Port; 2] {
    match last {
        REDIS => [TYPED, REDIS],
        _ => [REDIS, TYPED],
    }
}

/// Bytes for keys and values, where all that they take is `room`.
fn limit(room: usize) -> usize {
    // A fifth goes to fragments between allocations.
    let most = room / 5 * 4;
    boot::argument("maxmemory").and_then(bytes).map_or(most, |asked| asked.min(most))
}

/// Bytes for unfinished requests and undelivered replies.
fn buffers() -> usize {
    (heap::capacity() / 4).min(64 << 20)
}

/// `128MiB`, `4096`.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_shl(shift)
}

impl Connection<Server> for Client {
    fn feed(&mut self, server: &mut Server, input: &[u8]) -> usize {
        self.0.feed(server.database, &mut server.surroundings, input)
    }

    fn abort(&mut self, input: &[u8]) {
        self.0.abort(input, RESTARTED);
    }

    fn output(&self) -> &[u8] {
        self.0.output()
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }

    fn mid_request(&self) -> bool {
        self.0.mid_request()
    }

    fn closing(&self) -> bool {
        self.0.closing()
    }
}
