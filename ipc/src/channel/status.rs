//! The status page of a channel: what the nucleus says of it.

use super::Role;
use super::again::{Again, Table};
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicU32, AtomicU64};

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
    policy: AtomicU32,
    /// A part of each view, that only channels have whose requests are delivered again.
    again: [Table; 2],
}

/// In `policy`: requests that a dead server had in service are delivered again.
const REDELIVERS: u32 = 1;

/// In `gone`, behind a bit for each end: see [`Status::set_forsaken`].
const FORSAKEN: u32 = 1 << 2;

#[repr(C)]
#[derive(Debug, Default)]
struct View {
    client: AtomicU32,
    server: AtomicU32,
    requests: AtomicU32,
    resume: AtomicU64,
    request_secret: AtomicU64,
    reply_secret: AtomicU64,
}

impl View {
    fn read(&self, turn: u32) -> Snapshot {
        let epochs = Epochs {
            client: self.client.load(Acquire),
            server: self.server.load(Acquire),
            requests: self.requests.load(Acquire),
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
        self.requests.store(epochs.requests, Release);
        self.resume.store(epochs.resume, Release);
        self.request_secret.store(secrets.requests, Release);
        self.reply_secret.store(secrets.replies, Release);
    }
}

/// What the keys of the two rings are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secrets {
    pub(crate) requests: u64,
    pub(crate) replies: u64,
}

/// A channel's status at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) epochs: Epochs,
    pub(crate) secrets: Secrets,
    pub(crate) turn: Turn,
}

/// A generation of a ring, and the secret that its key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) secret: u64,
    pub(crate) number: u32,
}

impl Snapshot {
    /// The request ring in which a new server goes on.
    pub(crate) const fn requests(&self) -> Generation {
        Generation { secret: self.secrets.requests, number: self.epochs.requests }
    }

    /// The request ring that a client may begin instead.
    pub(crate) const fn spare_requests(&self) -> Generation {
        // The two rings of one generation must not share a key.
        Generation { secret: !self.secrets.replies, number: self.epochs.spare() }
    }
}

/// Where a new server goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) generation: u32,
    pub(super) position: u64,
}

/// Which of the views it was. While it counts, nothing has changed: one word to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(u32);

/// A consistent reading of a [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The client's incarnation.
    pub client: u32,
    /// The server's incarnation.
    pub server: u32,
    /// The generation of the request ring in which this incarnation of the server goes on;
    /// [`Epochs::NO_REQUESTS`] if there is none that the nucleus could believe in.
    pub requests: u32,
    /// Where in it the server begins; what lies before and is not answered died with the last one.
    pub resume: u64,
}

impl Epochs {
    /// No generation of a request ring.
    pub const NO_REQUESTS: u32 = 0;

    /// Generation of the reply ring.
    pub const fn replies(self) -> u32 {
        self.client.wrapping_add(self.server)
    }

    /// The generation of the request ring that the client begins if it cannot go on in
    /// [`Epochs::requests`]. Like that of the reply ring it goes up with each restart of either
    /// end, so none comes twice.
    pub const fn spare(self) -> u32 {
        self.replies()
    }
}

impl Status {
    /// For the nucleus: the first contents, before either end exists.
    pub fn initialise(&self, secret: u64, client: u32, server: u32) {
        self.renew(secret);
        self.advance(&Again::nothing(), |_, next| {
            next.epochs = Epochs { client, server, requests: 0, resume: 0 };
            begin_anew(next);
        });
    }

    /// For the nucleus, while an end that is about to restart stands still: the secret of the
    /// rings that the restart begins anew. An incarnation that could guess it could leave
    /// records behind which its successor's peer would take for the successor's.
    pub fn renew(&self, secret: u64) {
        self.fresh.store(secret, Relaxed);
    }

    /// For the nucleus, before either end exists: requests that a dead server had in service are
    /// delivered again.
    pub fn redeliver(&self) {
        self.policy.fetch_or(REDELIVERS, Release);
    }

    /// Whether requests that a dead server had in service are delivered again.
    pub fn redelivers(&self) -> bool {
        self.policy.load(Relaxed) & REDELIVERS != 0
    }

    /// The server, which stands still, will go on in `epoch`, there if anywhere.
    pub(super) fn server_restarts(&self, epoch: u32, resume: Option<Resume>, again: &Again) {
        self.advance(again, |now, next| {
            let spare = now.spare_requests();
            next.epochs.server = epoch;
            next.epochs.requests = resume.map_or(Epochs::NO_REQUESTS, |resume| resume.generation);
            next.epochs.resume = resume.map_or(0, |resume| resume.position);
            if next.epochs.requests == spare.number {
                next.secrets.requests = spare.secret;
            }
        });
    }

    /// The client, which stands still, will go on in `epoch`. Its new request ring begins at 0.
    pub(super) fn client_restarts(&self, epoch: u32) {
        self.advance(&Again::nothing(), |_, next| {
            next.epochs.client = epoch;
            begin_anew(next);
        });
    }

    fn advance(&self, again: &Again, change: impl FnOnce(&Snapshot, &mut Snapshot)) {
        let turn = self.turn.load(Relaxed);
        let now = self.view(turn).read(turn);
        let mut next = now;
        next.secrets.replies = !self.fresh.load(Relaxed);
        change(&now, &mut next);
        self.view(turn.wrapping_add(1)).write(next);
        if self.redelivers() {
            self.table(turn.wrapping_add(1)).write(again);
        }
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

    /// For the nucleus: whether the client's incarnation, which is to end, has nothing to expect of
    /// the server, which is down. The next incarnation of either has.
    pub fn set_forsaken(&self, forsaken: bool) {
        if forsaken {
            self.gone.fetch_or(FORSAKEN, Release);
        } else {
            self.gone.fetch_and(!FORSAKEN, Release);
        }
    }

    /// Whether the other end need not wait for that one: it is stopped for good, or comes back too
    /// late.
    pub fn is_gone(&self, role: Role) -> bool {
        let bits = match role {
            Role::Client => 1 << role as u32,
            Role::Server => 1 << role as u32 | FORSAKEN,
        };
        self.gone.load(Acquire) & bits != 0
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

    /// The same, and what the new server and its client are to know of requests that were taken
    /// before.
    pub(crate) fn snapshot_with_again(&self) -> (Snapshot, Again) {
        if self.redelivers() {
            self.stable(|view, turn| (view.read(turn), self.table(turn).read()))
        } else {
            (self.snapshot(), Again::nothing())
        }
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

    fn table(&self, turn: u32) -> &Table {
        &self.again[turn as usize % 2]
    }
}

/// Both rings begin in the generation that is new with this view.
const fn begin_anew(next: &mut Snapshot) {
    let Generation { secret, number } = next.spare_requests();
    (next.secrets.requests, next.epochs.requests, next.epochs.resume) = (secret, number, 0);
}
