//! A channel's shared memory.
//!
//! ```text
//!  0          4096       8192             8192 + requests            + replies
//!  | status   | shared   | request data   | reply data               |
//!  | nucleus  | both     | client writes  | server writes            |
//! ```
//!
//! The **status page** is the nucleus's: both domains map it read-only. What it says can be
//! believed: which incarnations the two ends are in, and where a new server takes up the request
//! ring. Everything behind it is written by the domains and is hostile.
//!
//! The request ring's generation is the client's epoch; the reply ring's is the sum of both
//! epochs, because either end's restart makes the replies under way pointless.

use core::mem::size_of;

use crate::lend::max_lent;
use crate::ready::Alert;
use crate::record::ALIGN;
use crate::ring::{self, Claims, Control, Memory};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use Ordering::{Acquire, Relaxed, Release};

/// Where the data areas begin.
const DATA: usize = 8192;

/// What the nucleus says of a channel.
///
/// What changes together is kept twice: `turn` says which view counts, and the nucleus fills
/// the other one before it moves on. So a reader never waits for the nucleus, and never mixes
/// one incarnation's numbers with another's.
#[repr(C, align(4096))]
#[derive(Debug, Default)]
pub struct Status {
    turn: AtomicU32,
    gone: AtomicU32,
    /// The secret of the next view.
    fresh: AtomicU64,
    views: [View; 2],
}

#[repr(C)]
#[derive(Debug, Default)]
struct View {
    client: AtomicU32,
    server: AtomicU32,
    resume: AtomicU64,
    request_secret: AtomicU64,
    reply_secret: AtomicU64,
}

impl View {
    fn read(&self, turn: u32) -> Snapshot {
        let epochs = Epochs {
            client: self.client.load(Acquire),
            server: self.server.load(Acquire),
            resume: self.resume.load(Acquire),
        };
        let secrets = Secrets {
            requests: self.request_secret.load(Acquire),
            replies: self.reply_secret.load(Acquire),
        };
        Snapshot { epochs, secrets, turn: Turn(turn) }
    }

    /// Each store is a release, so that a reader who meets one of them also sees that `turn` has
    /// left this view.
    fn write(&self, Snapshot { epochs, secrets, .. }: Snapshot) {
        self.client.store(epochs.client, Release);
        self.server.store(epochs.server, Release);
        self.resume.store(epochs.resume, Release);
        self.request_secret.store(secrets.requests, Release);
        self.reply_secret.store(secrets.replies, Release);
    }
}

/// What the keys of the two rings are made of.
#[derive(Clone, Copy)]
pub(crate) struct Secrets {
    pub(crate) requests: u64,
    pub(crate) replies: u64,
}

/// A channel's status at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot {
    pub(crate) epochs: Epochs,
    pub(crate) secrets: Secrets,
    pub(crate) turn: Turn,
}

/// Which of the views it was. While it counts, nothing has changed: one word to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(u32);

/// Which end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// Sends requests.
    Client = 0,
    /// Answers them.
    Server = 1,
}

impl Role {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A consistent reading of a [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The client's incarnation.
    pub client: u32,
    /// The server's incarnation.
    pub server: u32,
    /// Where this incarnation of the server begins to take requests; what lies before and is not
    /// answered died with the last one.
    pub resume: u64,
}

impl Epochs {
    /// Generation of the request ring.
    pub const fn requests(self) -> u32 {
        self.client
    }

    /// Generation of the reply ring.
    pub const fn replies(self) -> u32 {
        self.client.wrapping_add(self.server)
    }
}

impl Status {
    /// For the nucleus: the first contents, before either end exists.
    pub fn initialise(&self, secret: u64, client: u32, server: u32) {
        self.renew(secret);
        self.advance(|next| {
            next.epochs = Epochs { client, server, resume: 0 };
            next.secrets.requests = secret;
        });
    }

    /// For the nucleus, while an end that is about to restart stands still: the secret of the
    /// rings that the restart begins anew. An incarnation that could guess it could leave
    /// records behind which its successor's peer would take for the successor's.
    pub fn renew(&self, secret: u64) {
        self.fresh.store(secret, Relaxed);
    }

    /// For the nucleus, while the server stands still: it will go on in `epoch`, at `resume`
    /// (see [`resume_point`]). [Renew](Status::renew) the secret first.
    pub fn server_restarts(&self, epoch: u32, resume: u64) {
        self.advance(|next| {
            next.epochs.server = epoch;
            next.epochs.resume = resume;
        });
    }

    /// For the nucleus, while the client stands still: it will go on in `epoch`. Its new request
    /// ring begins at 0, and so does a server that restarts from now on.
    /// [Renew](Status::renew) the secret first.
    pub fn client_restarts(&self, epoch: u32) {
        let secret = self.fresh.load(Relaxed);
        self.advance(|next| {
            next.epochs.client = epoch;
            next.epochs.resume = 0;
            next.secrets.requests = secret;
        });
    }

    fn advance(&self, change: impl FnOnce(&mut Snapshot)) {
        let turn = self.turn.load(Relaxed);
        let mut next = self.view(turn).read(turn);
        // The two rings of one generation must not share a key.
        next.secrets.replies = !self.fresh.load(Relaxed);
        change(&mut next);
        self.view(turn.wrapping_add(1)).write(next);
        self.turn.store(turn.wrapping_add(1), Release);
    }

    /// For the nucleus: whether an end is stopped for good.
    pub fn set_gone(&self, role: Role, gone: bool) {
        let bit = 1 << role as u32;
        if gone {
            self.gone.fetch_or(bit, Release);
        } else {
            self.gone.fetch_and(!bit, Release);
        }
    }

    /// Whether that end is stopped for good.
    pub fn is_gone(&self, role: Role) -> bool {
        self.gone.load(Acquire) & 1 << role as u32 != 0
    }

    /// Whether something may have changed since then: what a waiting end watches.
    #[inline]
    pub(crate) fn has_moved(&self, since: Turn) -> bool {
        self.turn.load(Acquire) != since.0
    }

    /// The epoch of one end.
    pub fn epoch(&self, role: Role) -> u32 {
        self.stable(|view, _| match role {
            Role::Client => view.client.load(Acquire),
            Role::Server => view.server.load(Acquire),
        })
    }

    /// All of it, from one moment.
    pub fn epochs(&self) -> Epochs {
        self.snapshot().epochs
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.stable(View::read)
    }

    /// Reads the view that counts; again only if the nucleus has moved on meanwhile.
    fn stable<T>(&self, read: impl Fn(&View, u32) -> T) -> T {
        loop {
            let turn = self.turn.load(Acquire);
            let found = read(self.view(turn), turn);
            if self.turn.load(Relaxed) == turn {
                return found;
            }
        }
    }

    fn view(&self, turn: u32) -> &View {
        &self.views[turn as usize % 2]
    }
}

/// Positions that no honest ring reaches: at 10 GB/s, this many bytes take 14 years.
const POSITION_MAX: u64 = 1 << 62;

/// For the nucleus, when a server has died: where its next incarnation goes on in a request ring
/// of `ring_bytes`, from what the two ends last said of it and the epoch that the client has.
///
/// This is where the server stopped taking, if it had come to know this client at all and if
/// the claim can be true. A claim that cannot is the work of a server gone wild (or of a client
/// that cheats): then whatever was requested so far counts as taken, so that nothing is served
/// twice and each caller learns that its request is lost.
pub fn resume_point(claims: &Claims, client_epoch: u32, ring_bytes: u64) -> u64 {
    // A client that restarted and has not run yet: `tail` is still its predecessor's.
    let tail = if claims.producing == client_epoch { claims.tail } else { 0 };
    let taken = if claims.generation == client_epoch { claims.taken } else { 0 };
    let is_position =
        |position: u64| position.is_multiple_of(ALIGN as u64) && position < POSITION_MAX;
    let is_possible = taken <= tail && tail - taken <= ring_bytes;
    match (is_position(tail), is_position(taken)) {
        (true, true) if is_possible => taken,
        (true, _) => tail,
        _ => 0,
    }
}

#[repr(C, align(128))]
#[derive(Debug, Default)]
struct Bits(AtomicU64);

/// The shared words of a channel.
#[repr(C, align(4096))]
#[derive(Debug, Default)]
pub struct Shared {
    requests: Control,
    replies: Control,
    to_client: Bits,
    to_server: Bits,
}

const _: () = assert!(size_of::<Status>() == 4096 && size_of::<Shared>() == 4096);

impl Shared {
    /// The request ring's shared words.
    pub fn requests(&self) -> &Control {
        &self.requests
    }

    /// The reply ring's shared words.
    pub fn replies(&self) -> &Control {
        &self.replies
    }

    /// Notification bits under way to one end; they coalesce until that end collects them.
    pub fn notifications(&self, to: Role) -> &AtomicU64 {
        match to {
            Role::Client => &self.to_client.0,
            Role::Server => &self.to_server.0,
        }
    }
}

/// Sizes of a channel's data areas, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// Request data; a power of two, at least 4096.
    pub requests: u32,
    /// Reply data; a power of two, at least 4096.
    pub replies: u32,
    /// Buffers that the client lends; a multiple of 4096, may be 0.
    pub lent_requests: u32,
    /// Buffers that the server lends; a multiple of 4096, may be 0.
    pub lent_replies: u32,
}

impl Layout {
    /// What channels between domains get unless something else is asked for: 256 KiB of ring and
    /// 2 MiB of buffers each way. Memory that is never touched takes no room.
    pub const DEFAULT: Self = Self {
        requests: 256 << 10,
        replies: 256 << 10,
        lent_requests: 2 << 20,
        lent_replies: 2 << 20,
    };

    /// What a channel gets whose ends copy anyway, such as a gateway's: rings only.
    pub const PLAIN: Self = Self { lent_requests: 0, lent_replies: 0, ..Self::DEFAULT };

    /// Whether the sizes are allowed.
    pub const fn is_valid(self) -> bool {
        const fn ring(bytes: u32) -> bool {
            bytes.is_power_of_two() && bytes >= 4096 && bytes <= AREA_MAX
        }
        const fn pool(bytes: u32) -> bool {
            bytes.is_multiple_of(4096) && bytes <= AREA_MAX
        }
        ring(self.requests)
            && ring(self.replies)
            && pool(self.lent_requests)
            && pool(self.lent_replies)
    }

    /// Bytes of the whole channel.
    pub const fn total(self) -> usize {
        self.pools_at() + self.lent_requests as usize + self.lent_replies as usize
    }

    /// Where the pools begin: at a large page, so that they cost few page tables.
    const fn pools_at(self) -> usize {
        let rings_end = DATA + self.requests as usize + self.replies as usize;
        if self.lent_requests == 0 && self.lent_replies == 0 {
            return rings_end;
        }
        rings_end.next_multiple_of(crate::abi::layout::LARGE_PAGE as usize)
    }

    /// Longest request payload: in the ring, or copied through a buffer.
    pub const fn max_request(self) -> usize {
        longest(self.requests, self.lent_requests)
    }

    /// Longest reply payload: in the ring, or copied through a buffer.
    pub const fn max_reply(self) -> usize {
        longest(self.replies, self.lent_replies)
    }
}

/// No area of a channel is larger: all of them have to fit between one channel and the next, and a
/// token has to tell the positions of a ring apart.
const AREA_MAX: u32 = 1 << 27;

const _: () = {
    use crate::abi::layout::CHANNEL_STRIDE;
    let all = AREA_MAX;
    let largest = Layout { requests: all, replies: all, lent_requests: all, lent_replies: all };
    assert!(largest.is_valid() && largest.total() as u64 <= CHANNEL_STRIDE);
    assert!(AREA_MAX as u64 / ALIGN as u64 <= 1 << crate::record::reply::TOKEN_BITS);
};

const fn longest(ring: u32, pool: u32) -> usize {
    let (inline, lent) = (ring::max_payload(ring as usize), max_lent(pool as usize));
    if inline > lent { inline } else { lent }
}

/// A channel's memory, wherever it is mapped.
pub trait Region: Clone {
    /// The nucleus's page.
    fn status(&self) -> &Status;
    /// The shared words.
    fn shared(&self) -> &Shared;
    /// Request data.
    fn requests(&self) -> &[AtomicU64];
    /// Reply data.
    fn replies(&self) -> &[AtomicU64];
    /// Buffers that the client lends.
    fn lent_requests(&self) -> &[AtomicU64];
    /// Buffers that the server lends.
    fn lent_replies(&self) -> &[AtomicU64];
    /// Where the client tells the server's domain that this channel wants attention; without it,
    /// each wake-up is a kick.
    fn alert(&self) -> Option<Alert<'_>> {
        None
    }
}

/// The request ring of a channel.
#[derive(Clone, Debug)]
pub struct Requests<R>(pub R);

impl<R: Region> Memory for Requests<R> {
    fn control(&self) -> &Control {
        self.0.shared().requests()
    }

    fn data(&self) -> &[AtomicU64] {
        self.0.requests()
    }
}

/// The reply ring of a channel.
#[derive(Clone, Debug)]
pub struct Replies<R>(pub R);

impl<R: Region> Memory for Replies<R> {
    fn control(&self) -> &Control {
        self.0.shared().replies()
    }

    fn data(&self) -> &[AtomicU64] {
        self.0.replies()
    }
}

/// A channel mapped at an address for as long as `'a`.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<'a> {
    status: &'a Status,
    shared: &'a Shared,
    requests: &'a [AtomicU64],
    replies: &'a [AtomicU64],
    lent_requests: &'a [AtomicU64],
    lent_replies: &'a [AtomicU64],
    alert: Option<Alert<'a>>,
}

#[cfg(not(loom))]
impl<'a> Mapped<'a> {
    /// The channel that is mapped at `base`.
    ///
    /// # Safety
    /// `layout.total()` bytes at `base` must be mapped readable for `'a`, and all but the first
    /// page writable; `base` must be page-aligned; nothing in this address space may access
    /// them other than through atomics.
    ///
    /// # Panics
    /// If the layout is not valid.
    pub unsafe fn at(base: *const u8, layout: Layout) -> Self {
        assert!(layout.is_valid() && (base as usize).is_multiple_of(4096));
        let area = |start: usize, bytes: u32| {
            // SAFETY: in bounds and valid for 'a by this function's contract; page-aligned, and
            // any bits are a valid AtomicU64.
            unsafe {
                core::slice::from_raw_parts(
                    base.add(start).cast::<AtomicU64>(),
                    bytes as usize / size_of::<AtomicU64>(),
                )
            }
        };
        // SAFETY: as above; both types are made of atomics, for which any bits are valid.
        let (status, shared) =
            unsafe { (&*base.cast::<Status>(), &*base.add(4096).cast::<Shared>()) };
        let pools = layout.pools_at();
        Self {
            status,
            shared,
            requests: area(DATA, layout.requests),
            replies: area(DATA + layout.requests as usize, layout.replies),
            lent_requests: area(pools, layout.lent_requests),
            lent_replies: area(pools + layout.lent_requests as usize, layout.lent_replies),
            alert: None,
        }
    }

    /// The same, where the client raises the server's attention there.
    pub const fn alerting(self, alert: Alert<'a>) -> Self {
        Self { alert: Some(alert), ..self }
    }
}

impl Region for Mapped<'_> {
    fn status(&self) -> &Status {
        self.status
    }

    fn shared(&self) -> &Shared {
        self.shared
    }

    fn requests(&self) -> &[AtomicU64] {
        self.requests
    }

    fn replies(&self) -> &[AtomicU64] {
        self.replies
    }

    fn lent_requests(&self) -> &[AtomicU64] {
        self.lent_requests
    }

    fn lent_replies(&self) -> &[AtomicU64] {
        self.lent_replies
    }

    fn alert(&self) -> Option<Alert<'_>> {
        self.alert
    }
}

#[cfg(test)]
mod tests;
