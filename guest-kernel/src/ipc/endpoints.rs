//! The domain's ends of all its channels, and what it knows of them.

use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};

use atoll_ipc::abi::layout::{ALERTS, CONTROL, HOST, PAGE, READY};
use atoll_ipc::abi::{ChannelEntry, HostPage, NO_ALERT};
use atoll_ipc::calls::Calls;
use atoll_ipc::channel::{Mapped, Role};
use atoll_ipc::client::Client;
use atoll_ipc::message::IpcError;
use atoll_ipc::ready::{Alert, ChannelSet, Ready, Watch};
use atoll_ipc::server::{Request, Server};

use crate::{boot, exits};

pub(super) type Region = Mapped<'static>;

/// One end of one channel.
#[expect(
    clippy::large_enum_variant,
    reason = "neither is small, and none is moved; an indirection would be paid for by each message"
)]
pub(super) enum Endpoint {
    Client(Calls<Region>),
    Server(Server<Region>),
}

impl Endpoint {
    fn attach(number: usize, entry: &ChannelEntry) -> Self {
        // SAFETY: the nucleus maps the channel at this address for as long as the domain runs:
        // its first page readable, the others writable. Only `atoll_ipc` touches it.
        let region = unsafe { Mapped::at(entry.address as *const u8, entry.layout) };
        match entry.role() {
            Role::Server => Self::server(region),
            Role::Client => Self::client(number, entry, region),
        }
    }

    // Ends are large. In one function, each would have its place on the stack, a few times over; and
    // each page of the stack that is touched once is a fault at the start, and memory ever after.
    #[inline(never)]
    fn server(region: Region) -> Self {
        Self::Server(Server::attach(region))
    }

    #[inline(never)]
    fn client(number: usize, entry: &ChannelEntry, region: Region) -> Self {
        if entry.alert == NO_ALERT {
            return Self::Client(Calls::new(Client::attach(region)));
        }
        let ready = ready_page(ALERTS + number as u64 * PAGE);
        let alert = Alert::new(ready, entry.alert);
        let alert = alert.watched_by(host_page(), entry.peer_domain);
        Self::Client(Calls::new(Client::attach(region.alerting(alert))))
    }

    #[inline]
    pub(super) fn must_kick(&self) -> bool {
        match self {
            Self::Client(calls) => calls.client().must_kick(),
            Self::Server(server) => server.must_kick(),
        }
    }
}

/// A ready page, where the nucleus has it mapped.
fn ready_page(address: u64) -> &'static Ready {
    // SAFETY: the nucleus maps one there for as long as the domain runs; it is made of atomics,
    // for which any bits are valid.
    unsafe { &*(address as *const Ready) }
}

/// The host page, where the nucleus has it mapped.
pub(super) fn host_page() -> &'static HostPage {
    // SAFETY: as for a ready page.
    unsafe { &*(HOST as *const HostPage) }
}

/// All channels are looked at after so many looks for a message: what another client did to the
/// hints is made up for.
const SWEEP_AFTER: u32 = 4096;

/// So many looks for the only client there is, and the next one takes the long way.
const LONG_WAY_AFTER: u32 = 16;

/// Everything that IPC needs to remember.
pub(super) struct Endpoints {
    pub(super) all: Vec<Endpoint>,
    /// The channels that lead to each port.
    ports: Vec<ChannelSet>,
    /// The server's ends: which of them may have a message.
    watch: Watch,
    looks: u32,
    /// Doorbells are not rung yet: see [`together`](super::together).
    pub(super) more_comes: bool,
    /// Some may be left to be rung when this next waits.
    pub(super) puts_off: bool,
}

impl Endpoints {
    const fn new() -> Self {
        // The first look takes the long way, on which the server is found to be ready.
        let looks = LONG_WAY_AFTER - 1;
        Self {
            all: Vec::new(),
            ports: Vec::new(),
            watch: Watch::new(),
            looks,
            more_comes: false,
            puts_off: false,
        }
    }

    fn attach(&mut self, entries: &[ChannelEntry]) {
        for (number, entry) in entries.iter().enumerate() {
            self.all.push(Endpoint::attach(number, entry));
            if entry.role() == Role::Server {
                let port = entry.port as usize;
                self.ports.resize(self.ports.len().max(port + 1), ChannelSet::EMPTY);
                self.ports[port].insert(number);
                // Requests may have waited for this incarnation; and nobody raises its attention
                // for a channel before that is left.
                self.watch.add(number);
            }
        }
    }

    /// Attaches all channels again, for a new incarnation with the memory of an old one.
    pub(super) fn attach_anew(&mut self, entries: &[ChannelEntry]) {
        for (number, (end, entry)) in self.all.iter_mut().zip(entries).enumerate() {
            *end = Endpoint::attach(number, entry);
            if entry.role() == Role::Server {
                self.watch.add(number);
            }
        }
    }

    /// The channels that lead to a port.
    #[inline]
    pub(super) fn of_port(&self, port: u32) -> ChannelSet {
        self.ports.get(port as usize).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn calls(&mut self, channel: usize) -> &mut Calls<Region> {
        match &mut self.all[channel] {
            Endpoint::Client(calls) => calls,
            Endpoint::Server(_) => unreachable!("channels are opened on clients' ends only"),
        }
    }

    #[inline]
    pub(super) fn server(&mut self, channel: usize) -> &mut Server<Region> {
        match &mut self.all[channel] {
            Endpoint::Server(server) => server,
            Endpoint::Client(_) => unreachable!("messages are received on servers' ends only"),
        }
    }

    /// A request of this channel was answered: another may have waited for that.
    #[inline]
    pub(super) fn watch(&mut self, channel: usize) {
        self.watch.add(channel);
    }

    /// The only watched channel, if there is but one. Now and then there is none, so that
    /// whoever asks takes the long way, on which others are noticed; and when doorbells were put off,
    /// which are rung there.
    #[inline(always)]
    pub(super) fn sole(&mut self) -> Option<usize> {
        self.looks += 1;
        let is_short = !self.looks.is_multiple_of(LONG_WAY_AFTER) && !self.puts_off;
        if is_short { self.watch.sole() } else { None }
    }

    /// Whether a watched channel has a request, or another one wants attention: the cheapest look.
    #[inline]
    pub(super) fn has_request(&mut self, of: &ChannelSet) -> bool {
        self.notice();
        let all = &self.all;
        let mut watched = self.watch.rotation(of);
        watched.any(
            |channel| matches!(&all[channel], Endpoint::Server(server) if server.has_request()),
        )
    }

    /// The next request of these channels; each of them gets its turn.
    #[inline]
    pub(super) fn next_request(&mut self, of: &ChannelSet) -> Option<(usize, Request)> {
        self.notice();
        let mut in_vain = ChannelSet::EMPTY;
        for channel in self.watch.rotation(of) {
            let Endpoint::Server(server) = &mut self.all[channel] else { continue };
            match server.poll() {
                Ok(Some(request)) => {
                    self.watch.served(channel);
                    self.leave_idle(&in_vain);
                    return Some((channel, request));
                }
                Ok(None) => in_vain.insert(channel),
                // It has lost its own messages, and nothing else.
                Err(error) => complain(channel, error),
            }
        }
        None
    }

    /// Heeds the channels that want attention.
    #[inline]
    fn notice(&mut self) {
        let wanted = ready_page(READY).collect();
        if !wanted.is_empty() {
            self.add(&wanted);
        }
        self.looks += 1;
        if self.looks > SWEEP_AFTER {
            self.sweep();
        }
    }

    #[cold]
    fn add(&mut self, wanted: &ChannelSet) {
        for channel in wanted.iter() {
            if let Some(Endpoint::Server(_)) = self.all.get(channel) {
                self.watch.add(channel);
            }
        }
    }

    /// Looks at all channels, whatever the hints say. A flag that is up stays so: the client's
    /// next request takes it down.
    #[cold]
    fn sweep(&mut self) {
        self.looks = 0;
        for (channel, endpoint) in self.all.iter().enumerate() {
            if let Endpoint::Server(server) = endpoint
                && server.may_have_request()
            {
                self.watch.add(channel);
            }
        }
    }

    /// Watches those no longer that have been silent for long, while others speak.
    fn leave_idle(&mut self, in_vain: &ChannelSet) {
        for channel in in_vain.iter() {
            if self.watch.missed(channel) {
                self.leave(channel);
            }
        }
    }

    fn leave(&mut self, channel: usize) {
        let Endpoint::Server(server) = &self.all[channel] else { return };
        server.declare_asleep();
        if !server.may_have_request() {
            self.watch.remove(channel);
        }
    }

    /// Whether messages were received and not answered.
    pub(super) fn are_serving(&self) -> bool {
        let mut ends = self.all.iter();
        ends.any(|end| matches!(end, Endpoint::Server(server) if server.is_serving()))
    }

    /// Whether calls are under way.
    pub(super) fn are_calling(&self) -> bool {
        let mut ends = self.all.iter();
        ends.any(|end| matches!(end, Endpoint::Client(calls) if !calls.is_idle()))
    }

    /// About to sleep until a message comes. The caller must look once more after this.
    pub(super) fn declare_asleep(&mut self) {
        ready_page(READY).declare_asleep();
        for (channel, endpoint) in self.all.iter().enumerate() {
            if let Endpoint::Server(server) = endpoint
                && (self.watch.watched().contains(channel) || !server.is_declared_asleep())
            {
                server.declare_asleep();
            }
        }
        // Those whose attention was lost by a hostile hand are found here.
        self.sweep();
    }

    /// Takes [`Endpoints::declare_asleep`] back. Those with something to say are found, and those
    /// whose flags are up will raise their hands. The others have done so: maybe only to say what
    /// is not waited for here, as a notification, and maybe before the last look.
    pub(super) fn declare_awake(&mut self) {
        ready_page(READY).declare_awake();
        self.watch.clear();
        self.sweep();
        for (channel, endpoint) in self.all.iter().enumerate() {
            if let Endpoint::Server(server) = endpoint
                && !server.is_declared_asleep()
            {
                self.watch.add(channel);
            }
        }
    }

    /// Channels whose peers must be kicked for what was [done together](super::together), once that is
    /// over.
    #[inline]
    pub(super) fn take_put_off(&mut self) -> ChannelSet {
        if self.more_comes || !core::mem::take(&mut self.puts_off) {
            return ChannelSet::EMPTY;
        }
        self.take_kicks()
    }

    /// Channels whose peer sleeps and must be kicked for what happened since last asked.
    ///
    /// All are asked, not only those with something published: whoever looks for a message may
    /// thereby give room to a peer that has restarted and waits for it.
    pub(super) fn take_kicks(&mut self) -> ChannelSet {
        let all = self.all.iter().enumerate();
        all.filter(|(_, endpoint)| endpoint.must_kick()).map(|(channel, _)| channel).collect()
    }
}

/// Tells the nucleus that the peer of a channel broke the protocol.
#[cold]
pub(super) fn complain(channel: usize, error: IpcError) {
    if error == IpcError::Protocol {
        exits::complain(channel as u32);
    }
}

/// What only vCPU 0 touches.
struct Owned {
    borrowed: Cell<bool>,
    endpoints: UnsafeCell<Endpoints>,
}

// SAFETY: `with` lets vCPU 0 in only, and only once at a time.
unsafe impl Sync for Owned {}

static ENDPOINTS: Owned =
    Owned { borrowed: Cell::new(false), endpoints: UnsafeCell::new(Endpoints::new()) };

/// Attaches all channels of the boot page.
pub(crate) fn adopt() {
    with(|endpoints| endpoints.attach(boot::channels()));
}

/// Attaches all channels for an incarnation that began from a checkpoint.
pub(crate) fn attach_anew() {
    with(|endpoints| endpoints.attach_anew(boot::channels()));
}

/// Whether no call is under way.
pub(crate) fn is_idle() -> bool {
    with(|endpoints| !endpoints.are_calling())
}

/// Runs `f` with the endpoints to itself.
///
/// # Panics
/// On a vCPU other than 0, and if IPC is in use already (by the closure that fills a message).
#[inline]
pub(super) fn with<T>(f: impl FnOnce(&mut Endpoints) -> T) -> T {
    assert!(exits::control_page() == CONTROL, "IPC belongs to vCPU 0");
    assert!(!ENDPOINTS.borrowed.replace(true), "IPC is in use: one operation at a time");
    // SAFETY: this is vCPU 0, the flag was clear and is ours until it is cleared below; a panic in
    // `f` ends the incarnation.
    let result = f(unsafe { &mut *ENDPOINTS.endpoints.get() });
    ENDPOINTS.borrowed.set(false);
    result
}
