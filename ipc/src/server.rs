//! The server's end of a channel.

mod again;
mod following;
mod owed;

use crate::channel::{Again, Epochs, Generation, Region, Replies, Requests, Role, Snapshot, Turn};
use crate::client::Ticket;
use crate::in_service::{InService, Slot};
use crate::lend::{Lender, Loan, Span};
use crate::message::{IpcError, Status};
use crate::record::{self, Head, Kind, SHORT};
use crate::ring::{self, Consumer, Producer, Record, Writer};
use crate::sync::AtomicU64;
use crate::sync::Ordering::{AcqRel, Relaxed};
use owed::Owed;

pub use crate::in_service::IN_SERVICE_MAX;

/// A request that a server has taken and not yet answered.
///
/// It is the right to reply, once (Hydra's reply capability, L4's reply): answering consumes it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that is never answered keeps its client waiting"]
pub struct Request {
    record: Record,
    slot: Slot,
    /// Of the ring that it is in.
    generation: u32,
    client_epoch: u32,
    /// The buffer that came with it; it goes back to the client with the answer.
    pub lent: Option<Span>,
}

impl Request {
    /// Whether the client waits for a reply.
    #[inline(always)]
    pub const fn is_call(&self) -> bool {
        !self.record.bits.is(Kind::Send)
    }

    /// What it asks for.
    #[inline(always)]
    pub const fn operation(&self) -> u16 {
        self.record.bits.word() as u16
    }

    /// Payload bytes in the ring.
    #[expect(clippy::len_without_is_empty, reason = "an empty request is still a request")]
    pub fn len(&self) -> usize {
        self.record.len()
    }

    /// The incarnation of the client that sent it, from the nucleus's page.
    pub fn client_epoch(&self) -> u32 {
        self.client_epoch
    }
}

/// The server's end: receives requests, sends replies.
#[derive(Debug)]
pub struct Server<R> {
    region: R,
    requests: Consumer<Requests<R>>,
    replies: Producer<Replies<R>>,
    epochs: Epochs,
    turn: Turn,
    in_service: InService,
    lender: Lender,
    owed: Owed,
    /// What earlier incarnations had taken, if it is delivered again.
    again: Again,
    /// Short replies to exchanges take their requests' places if they are shorter than this. Where
    /// requests are delivered again none is: half an answer would have destroyed its request.
    in_place_below: usize,
    /// Failures are owed, or not everything was taken that was taken before: only then is there
    /// more to do than to take the next request.
    has_chores: bool,
    /// Nothing more is read in this generation: the client broke the protocol, or the nucleus knows
    /// of none.
    broken: bool,
    /// The client has still to say whether the request ring goes on, or this one begins.
    unsettled: Option<Generation>,
}

impl<R: Region> Server<R> {
    /// The server's end, at the start of a server incarnation. Requests that the last one did
    /// not take are still there.
    pub fn attach(region: R) -> Self {
        let (snapshot, again) = region.status().snapshot_with_again();
        let Snapshot { epochs, secrets, turn } = snapshot;
        let Generation { secret, number } = snapshot.requests();
        let in_place_below = if region.status().redelivers() { 0 } else { SHORT + 1 };
        let requests = Consumer::new(Requests(region.clone()), secret, number, epochs.resume);
        let replies = Producer::new(Replies(region.clone()), secrets.replies, epochs.replies());
        let lender = Lender::new(size_of_val(region.lent_replies()));
        let (in_service, owed) = (InService::new(), Owed::nothing());
        let broken = number == Epochs::NO_REQUESTS;
        let spare = snapshot.spare_requests();
        let unsettled = (number != spare.number).then_some(spare);
        let mut server = Self {
            region,
            requests,
            replies,
            epochs,
            turn,
            in_service,
            lender,
            owed,
            again,
            in_place_below,
            has_chores: false,
            broken,
            unsettled,
        };
        server.pass_over();
        server
    }

    /// Longest reply payload that goes through the ring.
    pub fn max_reply(&self) -> usize {
        self.replies.max_payload()
    }

    /// Longest buffer that can be lent with a reply.
    pub fn max_lent(&self) -> usize {
        self.lender.longest()
    }

    /// Whether a request, or rubbish, waits and may be taken: the cheapest look.
    #[inline]
    pub fn has_request(&self) -> bool {
        self.requests.is_ready() && self.may_take()
    }

    /// Whether [`Server::poll`] may find something, or has failures to tell.
    pub fn may_have_request(&self) -> bool {
        self.finds_request() || self.owes()
    }

    /// Whether [`Server::poll`] would find something, or notifications have arrived.
    pub fn is_ready(&self) -> bool {
        self.finds_request() || self.region.shared().notifications(Role::Server).load(Relaxed) != 0
    }

    /// The next request, if there is one and fewer than [`IN_SERVICE_MAX`] are in service.
    ///
    /// # Errors
    /// [`IpcError::Protocol`], once, if the client broke the protocol; nothing more is read before
    /// it restarts.
    #[inline(always)]
    pub fn poll(&mut self) -> Result<Option<Request>, IpcError> {
        let found = if self.has_chores { self.take_with_chores() } else { self.take() };
        if matches!(found, Ok(Some(_)))
            || !(self.unsettled.is_some() || self.client_has_restarted())
        {
            return found;
        }
        self.look_at_client(found)
    }

    /// Fills `bytes` from the request's payload.
    ///
    /// # Panics
    /// If it asks for more than the payload, or `offset` is not a multiple of 8.
    #[inline(always)]
    pub fn read(&self, request: &Request, offset: usize, bytes: &mut [u8]) {
        if self.holds(request) {
            self.requests.read(&request.record, offset, bytes);
        } else {
            bytes.fill(0);
        }
    }

    /// Fills `bytes` from the buffer that came with the request.
    ///
    /// # Panics
    /// If there is no buffer, if it asks for more than the buffer, or `offset` is not a multiple
    /// of 8.
    pub fn read_lent(&self, request: &Request, offset: usize, bytes: &mut [u8]) {
        let Some(span) = request.lent else { panic!("the request came without a buffer") };
        if self.holds(request) {
            span.read(self.region.lent_requests(), offset, bytes);
        } else {
            bytes.fill(0);
        }
    }

    /// The whole words of the buffer that came with the request, for a server that has the host's
    /// kernel read them where they are: the client can change them meanwhile. `None` if there is no
    /// buffer, or the client's next incarnation may use it for something else.
    pub fn lent(&self, request: &Request) -> Option<&[AtomicU64]> {
        let span = request.lent.filter(|_| self.holds(request))?;
        Some(span.words(self.region.lent_requests()))
    }

    /// Whether somebody waits for the reply: the incarnation that sent the request is not dead.
    pub fn is_awaited(&self, request: &Request) -> bool {
        !self.nobody_waits(request)
    }

    /// Whether the client has said that it no longer waits for the reply. Whoever works on a
    /// request for long may ask now and then, and give it up.
    pub fn is_cancelled(&mut self, request: &Request) -> bool {
        // A cancellation that is the next record is heard now, others with the records before.
        for _ in 0..self.requests.most_records() {
            match self.requests.peek() {
                Ok(Some(record)) if record.bits.is(Kind::Cancel) && self.may_take() => {
                    self.note_cancellation(&record);
                }
                _ => break,
            }
        }
        self.holds(request) && self.in_service.is_cancelled(request.slot)
    }

    /// Answers a request with a payload that is filled in place, and gives its space back. Ask
    /// [`Server::must_kick`] afterwards, once for a batch. A one-way request is only given back.
    ///
    /// # Errors
    /// The request comes back with the reason: [`IpcError::TooLarge`], [`IpcError::Full`] (the
    /// client has to read first), [`IpcError::PeerRestarted`] (nobody waits for the reply),
    /// [`IpcError::Protocol`].
    #[inline(always)]
    pub fn reply(
        &mut self,
        request: Request,
        status: Status,
        payload: usize,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), (Request, IpcError)> {
        let (status_page, epochs, turn) = (self.region.status(), self.epochs, self.turn);
        let is_held = self.holds(&request);
        let nobody_waits = || {
            !is_held
                || (status_page.has_moved(turn) && status_page.epoch(Role::Client) != epochs.client)
        };
        if nobody_waits() {
            return Err((request, IpcError::PeerRestarted));
        }
        if request.is_call() {
            let word = answer_to(&request, status);
            if request.record.bits.is(Kind::Exchange) && payload < self.in_place_below {
                self.answer_in_place(&request, word, payload, fill);
                return Ok(());
            }
            match self.replies.reserve(payload) {
                Ok(mut reservation) => {
                    fill(&mut reservation.writer());
                    reservation.commit(Kind::Reply, word);
                }
                // A client that restarts this very moment has reset its side of the ring.
                Err(_) if nobody_waits() => return Err((request, IpcError::PeerRestarted)),
                Err(error) => return Err((request, error.into())),
            }
        }
        self.forget(request);
        Ok(())
    }

    /// Writes a short reply over its request.
    #[inline(always)]
    fn answer_in_place(
        &mut self,
        request: &Request,
        word: u32,
        payload: usize,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        fill(&mut self.requests.place_of(&request.record, payload));
        let head = Head { length: payload as u32, kind: Kind::Reply, items: 0, word };
        self.requests.publish_over(&request.record, head);
        self.replies.count_elsewhere();
        if let Some(end) = self.in_service.close(request.slot) {
            self.requests.release(end);
        }
    }

    /// A buffer to be filled and sent with a reply.
    ///
    /// # Errors
    /// [`IpcError::TooLarge`] if the channel's pool could never hold it, [`IpcError::Full`] if it
    /// cannot before the client has released more.
    pub fn lend(&mut self, length: usize) -> Result<Loan, IpcError> {
        let replies = &mut self.replies;
        Ok(self.lender.lend(length, || replies.released())?)
    }

    /// Writes a part of a buffer.
    ///
    /// # Panics
    /// If it reaches beyond the buffer, or `offset` is not a multiple of 8.
    pub fn fill(&self, loan: &Loan, offset: usize, bytes: &[u8]) {
        loan.span().write(self.region.lent_replies(), offset, bytes);
    }

    /// The whole words of a buffer, for a server that has the host's kernel fill them where they
    /// are: the client can read and change them meanwhile.
    pub fn words_of(&self, loan: &Loan) -> &[AtomicU64] {
        loan.span().words(self.region.lent_replies())
    }

    /// The buffer is not sent after all.
    pub fn give_back(&mut self, loan: Loan) {
        self.lender.give_back(loan);
    }

    /// Answers a request with a buffer that becomes the client's until it releases the reply.
    ///
    /// # Errors
    /// As [`Server::reply`]; the buffer comes back, too.
    pub fn reply_lent(
        &mut self,
        request: Request,
        loan: Loan,
        payload: &[u8],
    ) -> Result<(), (Request, Loan, IpcError)> {
        let (status_page, epochs, turn) = (self.region.status(), self.epochs, self.turn);
        let is_held = self.holds(&request);
        let nobody_waits = || {
            !is_held
                || (status_page.has_moved(turn) && status_page.epoch(Role::Client) != epochs.client)
        };
        if nobody_waits() {
            return Err((request, loan, IpcError::PeerRestarted));
        }
        if request.is_call() {
            let word = answer_to(&request, Status::Ok);
            match self.replies.reserve_with(Some(loan.item()), payload.len()) {
                Ok(mut reservation) => {
                    reservation.write(0, payload);
                    reservation.commit(Kind::Reply, word);
                }
                Err(_) if nobody_waits() => {
                    return Err((request, loan, IpcError::PeerRestarted));
                }
                Err(error) => return Err((request, loan, error.into())),
            }
            self.lender.sent(loan, self.replies.tail());
        } else {
            self.lender.give_back(loan);
        }
        self.forget(request);
        Ok(())
    }

    /// Whether requests are in service: taken, and not answered.
    pub fn is_serving(&self) -> bool {
        !self.in_service.is_empty()
    }

    /// Whether the client has come to know this incarnation: until then the reply ring is full,
    /// which is not the client's fault.
    pub fn is_known(&mut self) -> bool {
        self.replies.is_acknowledged()
    }

    /// Gives a request's space back without a reply; its client waits until its deadline.
    #[inline(always)]
    pub fn forget(&mut self, request: Request) {
        if !self.holds(&request) {
            return;
        }
        match self.in_service.close(request.slot) {
            Some(end) => self.requests.release(end),
            None if self.in_place_below == 0 => self.requests.mark_done(&request.record),
            None => (),
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
    #[inline]
    pub fn must_kick(&self) -> bool {
        ring::must_kick(&self.replies, &self.requests)
    }

    /// Declares that the server is about to sleep; poll once more after this.
    pub fn declare_asleep(&self) {
        self.requests.declare_asleep();
    }

    /// Whether [`Server::declare_asleep`] stands. If not, nobody will wake the server for what
    /// comes next.
    pub fn is_declared_asleep(&self) -> bool {
        self.region.shared().requests().is_consumer_asleep()
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

    /// Whether [`Server::poll`] would find a request, a new client, or a decision of the old one.
    fn finds_request(&self) -> bool {
        // What is owed to a client that is dead takes up no place any more.
        let has_place = || !self.in_service.is_full() || self.owes();
        self.has_request()
            || ((self.client_has_restarted() || self.client_has_decided()) && has_place())
    }

    #[inline]
    fn nobody_waits(&self, request: &Request) -> bool {
        !self.holds(request) || self.region.status().epoch(Role::Client) != request.client_epoch
    }

    /// Requests of an earlier generation are no longer in the ring.
    #[inline(always)]
    fn holds(&self, request: &Request) -> bool {
        request.generation == self.requests.generation()
    }

    #[inline(always)]
    fn take(&mut self) -> Result<Option<Request>, IpcError> {
        let taken = self.take_next();
        self.broken |= taken.is_err();
        taken
    }

    #[inline]
    fn may_take(&self) -> bool {
        !self.in_service.is_full() && !self.broken
    }

    #[inline(always)]
    fn take_next(&mut self) -> Result<Option<Request>, IpcError> {
        for _ in 0..self.requests.most_records() {
            if !self.may_take() {
                break;
            }
            let Some(record) = self.requests.peek()? else { return Ok(None) };
            if record.bits.is(Kind::Cancel) {
                self.note_cancellation(&record);
                continue;
            }
            let is_call = record.bits.is(Kind::Call) || record.bits.is(Kind::Exchange);
            let word = record.bits.word();
            if !(is_call || record.bits.is(Kind::Send))
                || record::request::operation(word).is_none()
            {
                return Err(IpcError::Protocol);
            }
            let span = |item| Span::of(item, self.region.lent_requests()).ok_or(IpcError::Protocol);
            let lent = self.requests.item(&record)?.map(span).transpose()?;
            self.requests.take(&record);
            let slot = self.in_service.open(record.position, record.end());
            let (generation, client_epoch) = (self.requests.generation(), self.epochs.client);
            return Ok(Some(Request { record, slot, generation, client_epoch, lent }));
        }
        Ok(None)
    }

    #[cold]
    fn note_cancellation(&mut self, record: &Record) {
        self.requests.take(record);
        let slot = self.in_service.open(record.position, record.end());
        let token = record.bits.word();
        self.in_service.cancel(|start| Ticket::at(start).token() == token);
        if let Some(end) = self.in_service.close(slot) {
            self.requests.release(end);
        }
        self.pass_over();
    }
}

const fn answer_to(request: &Request, status: Status) -> u32 {
    record::reply::word(Ticket::at(request.record.position).token(), status as u8)
}

#[cfg(test)]
mod tests;
