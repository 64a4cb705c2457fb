//! The domain's ends of all its channels, and the doorbells that are due.

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::time::Duration;

use atoll_ipc::abi::ChannelEntry;
use atoll_ipc::channel::{Mapped, Role};
use atoll_ipc::client::Client;
use atoll_ipc::server::Server;
use atoll_ipc::sync::{AtomicU32, Ordering::Acquire, Ordering::Release};

use crate::boot;
use crate::clock::Instant;

/// A peer's wake-up that is due is put off while this domain goes on publishing, for this long; it
/// is rung by the first message published after that, or by the next wait. (Nothing runs beside
/// the server's code, so a server that publishes and then computes for long rings late.) A
/// doorbell costs a few microseconds, so it pays to let a few messages share one.
const KICK_DELAY: Duration = Duration::from_micros(10);

/// One end of one channel.
#[expect(clippy::large_enum_variant, reason = "there are few, and a box would be one more load")]
pub(super) enum Endpoint {
    Client(Client<Mapped<'static>>),
    Server(Server<Mapped<'static>>),
}

impl Endpoint {
    fn attach(entry: &ChannelEntry) -> Self {
        // SAFETY: the nucleus maps the channel at this address for as long as the domain runs:
        // its first page readable, the others writable. Only `atoll_ipc` touches it, by atomics.
        let region = unsafe { Mapped::at(entry.address as *const u8, entry.layout()) };
        match entry.role() {
            Role::Client => Self::Client(Client::attach(region)),
            Role::Server => Self::Server(Server::attach(region)),
        }
    }

    fn must_kick(&self) -> bool {
        match self {
            Self::Client(client) => client.must_kick(),
            Self::Server(server) => server.must_kick(),
        }
    }

    fn declare_asleep(&self) {
        match self {
            Self::Client(client) => client.declare_asleep(),
            Self::Server(server) => server.declare_asleep(),
        }
    }

    fn declare_awake(&self) {
        match self {
            Self::Client(client) => client.declare_awake(),
            Self::Server(server) => server.declare_awake(),
        }
    }
}

/// A set of channels, a bit each: whose doorbells are to be rung.
pub(super) type Kicks = [u64; 4];

/// Everything that IPC needs to remember.
pub(super) struct Endpoints {
    pub(super) all: Vec<Endpoint>,
    /// Where the next search begins, so that no channel starves another.
    pub(super) turn: usize,
    /// When something was first published that peers were not yet kicked for.
    due_since: Option<Instant>,
}

impl Endpoints {
    /// Notes that something was published. Returns the doorbells that must not wait any longer.
    pub(super) fn published(&mut self) -> Kicks {
        let now = Instant::now();
        let since = *self.due_since.get_or_insert(now);
        if now.since(since) < KICK_DELAY { [0; 4] } else { self.take_kicks() }
    }

    /// Channels whose peer sleeps and must be kicked for what happened since last asked.
    ///
    /// All are asked, not only those with something published: whoever looks for a message may
    /// thereby give room to a peer that has restarted and waits for it.
    pub(super) fn take_kicks(&mut self) -> Kicks {
        self.due_since = None;
        let mut kicks = [0; 4];
        for (channel, endpoint) in self.all.iter().enumerate() {
            if endpoint.must_kick() {
                kicks[channel / 64] |= 1 << (channel % 64);
            }
        }
        kicks
    }

    pub(super) fn declare_asleep(&self) {
        self.all.iter().for_each(Endpoint::declare_asleep);
    }

    pub(super) fn declare_awake(&self) {
        self.all.iter().for_each(Endpoint::declare_awake);
    }
}

struct Cell(UnsafeCell<Endpoints>);

// SAFETY: `with` lets one caller at a time in, whatever vCPU it is on.
unsafe impl Sync for Cell {}

static ENDPOINTS: Cell =
    Cell(UnsafeCell::new(Endpoints { all: Vec::new(), turn: 0, due_since: None }));
static BORROWED: AtomicU32 = AtomicU32::new(0);

/// Attaches all channels of the boot page.
pub(crate) fn adopt() {
    with(|endpoints| endpoints.all = boot::channels().iter().map(Endpoint::attach).collect());
}

/// Runs `f` with the endpoints to itself.
///
/// # Panics
/// If IPC is in use already: by another vCPU, or by the closure that fills a message.
pub(super) fn with<T>(f: impl FnOnce(&mut Endpoints) -> T) -> T {
    assert!(BORROWED.swap(1, Acquire) == 0, "IPC belongs to vCPU 0, one operation at a time");
    // SAFETY: the flag was free and is ours until it is cleared below; a panic in `f` ends the
    // incarnation.
    let result = f(unsafe { &mut *ENDPOINTS.0.get() });
    BORROWED.store(0, Release);
    result
}
