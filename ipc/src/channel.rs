//! A channel's shared memory.
//!
//! ```text
//!  0          4096       8192             8192 + requests            + replies
//!  | status   | shared   | request data   | reply data               |
//!  | nucleus  | both     | client writes  | server writes            |
//! ```
//!
//! The **status page** is the nucleus's: both domains map it read-only. What it says can be
//! believed: which incarnations the two ends are in, and where the nucleus thinks that a new server
//! takes up the request ring. Everything behind it is written by the domains and is hostile.
//!
//! The reply ring's generation is the sum of both epochs, because either end's restart makes the
//! replies under way pointless. The request ring's outlives its server, and is named in the page.

mod again;
mod fates;
mod layout;
mod restart;
mod status;

use core::mem::size_of;

use crate::ready::Alert;
use crate::ring::{Control, Memory};
use crate::sync::AtomicU64;

pub(crate) use again::Again;
pub use again::Fate;
pub use fates::{Buried, Death, Fates, restart_server_again};
pub use layout::Layout;
pub(crate) use restart::is_position;
pub use restart::{restart_client, restart_server};
pub use status::{Epochs, Status};
pub(crate) use status::{Generation, Snapshot, Turn};

/// Where the data areas begin.
const DATA: usize = 8192;

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
