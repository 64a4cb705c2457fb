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

#![no_std]
#![no_main]

extern crate alloc;

#[path = "guest/crash.rs"]
mod crash;
#[path = "guest/durable.rs"]
mod durable;
#[path = "guest/keeper.rs"]
mod keeper;
#[path = "guest/surroundings.rs"]
mod surroundings;

use core::time::Duration;

use atoll::clock::{Instant, unix_time};
use atoll::stream::{Connection, Connections};
use atoll::{Port, boot, heap, ipc};
use kv::typed::{Kv, Typed};
use kv::{Database, Options, Session};
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
    database: Database,
    surroundings: Surroundings,
}

struct Client(Session);

fn main() -> u32 {
    match boot::argument("durable") {
        Some("yes") => durable::serve(),
        None | Some("no") => serve(Server::new(0)),
        Some(other) => panic!("argument `durable` is `{other}`: it can be `yes` or `no`"),
    }
}

impl Server {
    /// An empty database. So many bytes of the heap are for others.
    fn new(spoken_for: usize) -> Self {
        let options = Options { debug: boot::argument("debug") == Some("yes"), buffers: buffers() };
        let limit = limit(spoken_for);
        log::info!("{} MiB for keys and values, epoch {}", limit >> 20, boot::epoch());
        Self { database: Database::new(limit, seed(), options), surroundings: Surroundings::new() }
    }

    /// The state of a new connection.
    fn open(&mut self, id: u64) -> Client {
        Client(Session::new(&self.database, id))
    }
}

fn serve(mut server: Server) -> ! {
    let mut connections = Connections::new();
    let mut sweep = Sweep::new();
    let mut last = TYPED;
    loop {
        let deadline = sweep.due(&server.database);
        match ipc::receive_any(&turns(last), deadline) {
            Some((TYPED, message)) => {
                let now = unix_time().as_millis() as u64;
                Kv::dispatch(&mut Typed::new(&mut server.database, now), message);
                last = TYPED;
            }
            Some((port, message)) => {
                server.surroundings.clients = connections.len();
                connections.serve(message, &mut server, Server::open);
                last = port;
            }
            None => (),
        }
        sweep.go_on(&mut server.database, deadline);
    }
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
    fn go_on(&mut self, database: &mut Database, due: Option<Instant>) {
        if due.is_some_and(|due| due <= Instant::now()) {
            database.expire_some(unix_time().as_millis() as u64, SWEEP_KEYS);
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

/// Bytes for keys and values, where so many are spoken for.
fn limit(spoken_for: usize) -> usize {
    // A fifth goes to fragments between allocations.
    let most = heap::capacity().saturating_sub(buffers() + spoken_for) / 5 * 4;
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
        self.0.feed(&mut server.database, &mut server.surroundings, input)
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
