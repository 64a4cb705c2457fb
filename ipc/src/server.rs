//! The server's end of a channel.

use crate::channel::{Epochs, Region, Replies, Requests, Role, Snapshot};
use crate::client::Ticket;
use crate::message::{IpcError, Status};
use crate::record::{Head, Kind};
use crate::ring::{self, Consumer, Producer, Record, Reservation};
use crate::sync::Ordering::{AcqRel, Relaxed};

/// Most requests of one channel that a server has in service at a time; it takes no more until
/// the oldest of them is answered.
pub const IN_SERVICE_MAX: usize = 64;

/// A request that a server has taken and not yet answered.
///
/// It is the right to reply, once (Hydra's reply capability, L4's reply): answering consumes it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that is never answered keeps its client waiting"]
pub struct Request {
    record: Record,
    slot: u64,
    client_epoch: u32,
    /// Whether the client waits for a reply.
    pub is_call: bool,
    /// What it asks for.
    pub operation: u16,
}

impl Request {
    /// Payload bytes.
    #[expect(clippy::len_without_is_empty, reason = "an empty request is still a request")]
    pub fn len(&self) -> usize {
        self.record.len()
    }

    /// The incarnation of the client that sent it, from the nucleus's page.
    pub fn client_epoch(&self) -> u32 {
        self.client_epoch
    }
}

/// Requests may be answered in any order, the ring takes space back only in its own: this
/// remembers what is answered already.
#[derive(Debug)]
struct InService {
    /// Slots of the oldest request in service and of the next one to take; both only grow.
    oldest: u64,
    next: u64,
    ends: [u64; IN_SERVICE_MAX],
    answered: u64,
}

impl InService {
    const fn new() -> Self {
        Self { oldest: 0, next: 0, ends: [0; IN_SERVICE_MAX], answered: 0 }
    }

    fn is_full(&self) -> bool {
        self.next - self.oldest == IN_SERVICE_MAX as u64
    }

    fn open(&mut self, end: u64) -> u64 {
        let slot = self.next;
        self.ends[slot as usize % IN_SERVICE_MAX] = end;
        self.next += 1;
        slot
    }

    /// Marks one answered; returns up to where everything is, if that moved.
    fn close(&mut self, slot: u64) -> Option<u64> {
        self.answered |= 1 << (slot % IN_SERVICE_MAX as u64);
        let mut released = None;
        while self.oldest < self.next
            && self.answered & 1 << (self.oldest % IN_SERVICE_MAX as u64) != 0
        {
            self.answered &= !(1 << (self.oldest % IN_SERVICE_MAX as u64));
            released = Some(self.ends[self.oldest as usize % IN_SERVICE_MAX]);
            self.oldest += 1;
        }
        released
    }
}

/// The server's end: receives requests, sends replies.
#[derive(Debug)]
pub struct Server<R> {
    region: R,
    requests: Consumer<Requests<R>>,
    replies: Producer<Replies<R>>,
    epochs: Epochs,
    in_service: InService,
}

impl<R: Region> Server<R> {
    /// The server's end, at the start of a server incarnation. Requests that the last one did
    /// not take are still there.
    pub fn attach(region: R) -> Self {
        let Snapshot { epochs, secrets } = region.status().snapshot();
        let (generation, resume) = (epochs.requests(), epochs.resume);
        let requests =
            Consumer::new(Requests(region.clone()), secrets.requests, generation, resume);
        let replies = Producer::new(Replies(region.clone()), secrets.replies, epochs.replies());
        Self { region, requests, replies, epochs, in_service: InService::new() }
    }

    /// Longest reply payload.
    pub fn max_reply(&self) -> usize {
        self.replies.max_payload()
    }

    /// Whether [`Server::poll`] would find something, or notifications have arrived.
    pub fn is_ready(&self) -> bool {
        let to_take = self.requests.is_ready() || self.client_has_restarted();
        (to_take && !self.in_service.is_full())
            || self.region.shared().notifications(Role::Server).load(Relaxed) != 0
    }

    /// Takes the next request, if there is one.
    ///
    /// # Errors
    /// [`IpcError::Protocol`] if the client broke the protocol; nothing more can be read before
    /// it restarts.
    pub fn poll(&mut self) -> Result<Option<Request>, IpcError> {
        if self.in_service.is_full() {
            return Ok(None);
        }
        let found = self.take();
        if matches!(found, Ok(Some(_))) || !self.client_has_restarted() {
            return found;
        }
        // The epoch went up after the client had stopped: what it still published is seen by now.
        if let Ok(Some(request)) = self.take() {
            return Ok(Some(request));
        }
        self.follow_client();
        self.take()
    }

    /// Fills `bytes` from the request's payload.
    ///
    /// # Panics
    /// If it asks for more than the payload, or `offset` is not a multiple of 8.
    pub fn read(&self, request: &Request, offset: usize, bytes: &mut [u8]) {
        // A request of an earlier client incarnation is no longer in the ring.
        if request.client_epoch == self.epochs.client {
            self.requests.read(&request.record, offset, bytes);
        } else {
            bytes.fill(0);
        }
    }

    /// Answers a request with a payload that is filled in place, and gives its space back. Ask
    /// [`Server::must_kick`] afterwards, once for a batch. A one-way request is only given back.
    ///
    /// # Errors
    /// The request comes back with the reason: [`IpcError::TooLarge`], [`IpcError::Full`] (the
    /// client has to read first), [`IpcError::PeerRestarted`] (nobody waits for the reply),
    /// [`IpcError::Protocol`].
    pub fn reply(
        &mut self,
        request: Request,
        status: Status,
        payload: usize,
        fill: impl FnOnce(&mut Reservation<'_, Replies<R>>),
    ) -> Result<(), (Request, IpcError)> {
        let status_page = self.region.status();
        let nobody_waits = || status_page.epoch(Role::Client) != request.client_epoch;
        if nobody_waits() {
            return Err((request, IpcError::PeerRestarted));
        }
        if request.is_call {
            let token = Ticket::at(request.record.position).token();
            match self.replies.reserve(payload) {
                Ok(mut reservation) => {
                    fill(&mut reservation);
                    reservation.commit(Kind::Reply, status as u8, token);
                }
                // A client that restarts this very moment has reset its side of the ring.
                Err(_) if nobody_waits() => return Err((request, IpcError::PeerRestarted)),
                Err(error) => return Err((request, error.into())),
            }
        }
        self.forget(request);
        Ok(())
    }

    /// Gives a request's space back without a reply; its client waits until its deadline.
    pub fn forget(&mut self, request: Request) {
        if request.client_epoch != self.epochs.client {
            return;
        }
        if let Some(end) = self.in_service.close(request.slot) {
            self.requests.release(end);
        }
    }

    /// Raises notification bits at the client. Ask [`Server::must_kick`] afterwards.
    pub fn notify(&mut self, bits: u64) {
        self.region.shared().notifications(Role::Client).fetch_or(bits, AcqRel);
        self.replies.announce();
    }

    /// Notification bits that have arrived; collecting clears them.
    pub fn collect_notifications(&mut self) -> u64 {
        let bits = self.region.shared().notifications(Role::Server);
        if bits.load(Relaxed) == 0 { 0 } else { bits.swap(0, AcqRel) }
    }

    /// Whether the client must be kicked for what happened since the last time: it sleeps and has
    /// replies or notifications to read, or it waits for room that is there now. Ask before
    /// sleeping, too: [`Server::poll`] gives room when it goes over to a new client, even if it
    /// finds no request.
    #[must_use = "a client that waits must be kicked"]
    pub fn must_kick(&self) -> bool {
        ring::must_kick(&self.replies, &self.requests)
    }

    /// Declares that the server is about to sleep; poll once more after this.
    pub fn declare_asleep(&self) {
        self.requests.declare_asleep();
    }

    /// Declares that the server waits for room in the reply ring; try once more after this.
    pub fn declare_starved(&self) {
        self.replies.declare_starved();
    }

    /// Takes [`Server::declare_asleep`] back.
    pub fn declare_awake(&self) {
        self.requests.declare_awake();
    }

    /// Whether the client is stopped for good.
    pub fn client_is_gone(&self) -> bool {
        self.region.status().is_gone(Role::Client)
    }

    fn client_has_restarted(&self) -> bool {
        self.region.status().epoch(Role::Client) != self.epochs.client
    }

    fn take(&mut self) -> Result<Option<Request>, IpcError> {
        let Some(record) = self.requests.peek()? else { return Ok(None) };
        let Head { kind: kind @ (Kind::Call | Kind::Send), flags: 0, word, .. } = record.head
        else {
            return Err(IpcError::Protocol);
        };
        let operation = u16::try_from(word).map_err(|_| IpcError::Protocol)?;
        self.requests.take(&record);
        let slot = self.in_service.open(record.end());
        let is_call = kind == Kind::Call;
        Ok(Some(Request { record, slot, client_epoch: self.epochs.client, is_call, operation }))
    }

    /// Goes over to the client's new incarnation. What is still in service belongs to the old
    /// one: its replies will be refused.
    fn follow_client(&mut self) {
        let Snapshot { epochs, secrets } = self.region.status().snapshot();
        self.epochs = epochs;
        self.requests.restart(secrets.requests, epochs.requests(), 0);
        self.replies.restart(secrets.replies, epochs.replies());
        // Slots go on counting, so that a stale request cannot close a new one's slot.
        self.in_service.oldest = self.in_service.next;
        self.in_service.answered = 0;
    }
}

#[cfg(test)]
mod tests;
