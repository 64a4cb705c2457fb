//! The client's end of a channel.

use crate::channel::{Epochs, Region, Replies, Requests, Role, Snapshot};
use crate::message::{IpcError, Status};
use crate::record::{ALIGN, Head, Kind};
use crate::ring::{self, Consumer, Producer, Record, Reservation};
use crate::sync::Ordering::{AcqRel, Relaxed};

/// Names a call that waits for its reply: where its request lies in the request ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    pub(crate) const fn at(position: u64) -> Self {
        Self(position)
    }

    /// What the reply will carry; unique among the calls that can wait at one time.
    pub const fn token(self) -> u32 {
        (self.0 / ALIGN as u64) as u32
    }

    /// Whether the server incarnation that ended had taken this request.
    pub const fn was_taken(self, resume: u64) -> bool {
        self.0 < resume
    }
}

/// What a client finds when it looks at its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A call was answered.
    Reply(Reply),
    /// The server died; a new incarnation goes on at this position of the request ring. Calls
    /// that [were taken](Ticket::was_taken) before it and have no reply by now never get one.
    Restarted {
        /// Where the new incarnation begins.
        resume: u64,
    },
}

/// A reply in the ring: read it, then release it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    record: Record,
    /// Which call it answers: that [`Ticket::token`], if the server is honest.
    pub token: u32,
    /// The call's fate.
    pub status: Status,
}

impl Reply {
    /// Payload bytes.
    #[expect(clippy::len_without_is_empty, reason = "an empty reply is still a reply")]
    pub fn len(&self) -> usize {
        self.record.len()
    }
}

/// The client's end: sends requests, receives replies.
#[derive(Debug)]
pub struct Client<R> {
    region: R,
    requests: Producer<Requests<R>>,
    replies: Consumer<Replies<R>>,
    epochs: Epochs,
}

impl<R: Region> Client<R> {
    /// The client's end, at the start of a client incarnation.
    pub fn attach(region: R) -> Self {
        let Snapshot { epochs, secrets } = region.status().snapshot();
        let requests = Producer::new(Requests(region.clone()), secrets.requests, epochs.requests());
        let replies = Consumer::new(Replies(region.clone()), secrets.replies, epochs.replies(), 0);
        Self { region, requests, replies, epochs }
    }

    /// The server incarnation that this end knows of.
    pub fn server_epoch(&self) -> u32 {
        self.epochs.server
    }

    /// Whether the server is stopped for good.
    pub fn server_is_gone(&self) -> bool {
        self.region.status().is_gone(Role::Server)
    }

    /// Longest request payload.
    pub fn max_request(&self) -> usize {
        self.requests.max_payload()
    }

    /// Sends a request that is filled in place; it waits for a reply if `kind` is
    /// [`Kind::Call`]. Ask [`Client::must_kick`] afterwards, once for a batch.
    ///
    /// # Errors
    /// [`IpcError::PeerGone`] if the server is stopped for good, and the ring's own.
    pub fn request(
        &mut self,
        kind: Kind,
        operation: u16,
        payload: usize,
        fill: impl FnOnce(&mut Reservation<'_, Requests<R>>),
    ) -> Result<Ticket, IpcError> {
        if self.region.status().is_gone(Role::Server) {
            return Err(IpcError::PeerGone);
        }
        let mut reservation = self.requests.reserve(payload)?;
        fill(&mut reservation);
        Ok(Ticket(reservation.commit(kind, 0, operation.into())))
    }

    /// Raises notification bits at the server. They coalesce (seL4's notification, QNX's pulse).
    /// Ask [`Client::must_kick`] afterwards.
    pub fn notify(&mut self, bits: u64) {
        self.region.shared().notifications(Role::Server).fetch_or(bits, AcqRel);
        self.requests.announce();
    }

    /// Whether the server must be kicked for what happened since the last time: it sleeps and has
    /// requests or notifications to read, or it waits for room that is there now. Ask before
    /// sleeping, too: [`Client::poll`] gives room when it goes over to a new server.
    #[must_use = "a server that sleeps must be kicked"]
    pub fn must_kick(&self) -> bool {
        ring::must_kick(&self.requests, &self.replies)
    }

    /// Whether [`Client::poll`] has something to say.
    pub fn is_ready(&self) -> bool {
        self.replies.is_ready()
            || self.server_has_restarted()
            || self.region.shared().notifications(Role::Client).load(Relaxed) != 0
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`IpcError::Protocol`] if the server broke the protocol; nothing more can be read before
    /// it restarts.
    pub fn poll(&mut self) -> Result<Option<ClientEvent>, IpcError> {
        let found = self.peek();
        if matches!(found, Ok(Some(_))) || !self.server_has_restarted() {
            return Ok(found?.map(ClientEvent::Reply));
        }
        // The epoch went up after the server had stopped: what it still published is seen by now.
        if let Ok(Some(reply)) = self.peek() {
            return Ok(Some(ClientEvent::Reply(reply)));
        }
        let Snapshot { epochs, secrets } = self.region.status().snapshot();
        self.epochs = epochs;
        self.replies.restart(secrets.replies, epochs.replies(), 0);
        Ok(Some(ClientEvent::Restarted { resume: epochs.resume }))
    }

    /// Notification bits that have arrived; collecting clears them.
    pub fn collect_notifications(&mut self) -> u64 {
        let bits = self.region.shared().notifications(Role::Client);
        if bits.load(Relaxed) == 0 { 0 } else { bits.swap(0, AcqRel) }
    }

    /// Fills `bytes` from the reply's payload.
    ///
    /// # Panics
    /// If it asks for more than the payload, or `offset` is not a multiple of 8.
    pub fn read(&self, reply: &Reply, offset: usize, bytes: &mut [u8]) {
        self.replies.read(&reply.record, offset, bytes);
    }

    /// Takes the reply out of the ring. Replies are released in the order they were polled.
    /// Returns whether the server waits for that room and must be kicked.
    pub fn release(&mut self, reply: &Reply) -> bool {
        self.replies.take(&reply.record);
        self.replies.release(reply.record.end());
        self.replies.must_kick()
    }

    /// Declares that the client is about to sleep; look for events once more after this.
    pub fn declare_asleep(&self) {
        self.replies.declare_asleep();
    }

    /// Declares that the client waits for room in the request ring; try once more after this.
    pub fn declare_starved(&self) {
        self.requests.declare_starved();
    }

    /// Takes [`Client::declare_asleep`] back.
    pub fn declare_awake(&self) {
        self.replies.declare_awake();
    }

    fn server_has_restarted(&self) -> bool {
        self.region.status().epoch(Role::Server) != self.epochs.server
    }

    fn peek(&mut self) -> Result<Option<Reply>, IpcError> {
        let Some(record) = self.replies.peek()? else { return Ok(None) };
        let Head { kind: Kind::Reply, flags, word, .. } = record.head else {
            return Err(IpcError::Protocol);
        };
        let status = Status::from_code(flags).ok_or(IpcError::Protocol)?;
        Ok(Some(Reply { record, token: word, status }))
    }
}

#[cfg(test)]
mod tests;
