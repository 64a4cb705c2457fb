//! The client's end of a channel.

use crate::channel::{
    self, Again, Epochs, Fate, Generation, Region, Replies, Requests, Role, Snapshot, Turn,
};
use crate::in_service::{InService, Slot};
use crate::lend::{Lender, Loan, Span};
use crate::message::{IpcError, Status};
use crate::record::{self, ALIGN, Kind, RequestKind, Short};
use crate::ring::{self, Consumer, Producer, Record, Reservation, RingError, Writer};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::fence;

/// Names a call that waits for its reply: where its request lies in the request ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    pub(crate) const fn at(position: u64) -> Self {
        Self(position)
    }

    /// What the reply will carry; unique among the calls that can wait at one time.
    pub const fn token(self) -> u32 {
        (self.0 / ALIGN as u64) as u32 & ((1 << record::reply::TOKEN_BITS) - 1)
    }

    /// Whether the server incarnation that ended had taken this request.
    pub const fn was_taken(self, resume: u64) -> bool {
        self.0 < resume
    }
}

/// What a client finds when it looks at its channel.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A call was answered.
    Reply(Reply),
    /// The server died; a new incarnation goes on at this position of the request ring, which is
    /// its end if what lay there cannot be read. Calls that [were taken](Ticket::was_taken) before
    /// it and have no reply by now never get one; nor do those behind of which the nucleus
    /// [says](Client::fate_of) so.
    Restarted {
        /// Where the new incarnation begins.
        resume: u64,
    },
}

/// A reply in the ring: read it, then release it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a reply that is never released takes up room"]
pub struct Reply {
    record: Record,
    slot: Slot,
    generation: u32,
    /// Which call it answers: that [`Ticket::token`], if the server is honest.
    pub token: u32,
    /// The call's fate.
    pub status: Status,
    /// The buffer that came with it.
    pub lent: Option<Span>,
}

impl Reply {
    /// Payload bytes in the ring.
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
    turn: Turn,
    in_service: InService,
    lender: Lender,
    /// What became of requests that servers had in service when they died.
    again: Again,
}

impl<R: Region> Client<R> {
    /// The client's end, at the start of a client incarnation.
    pub fn attach(region: R) -> Self {
        let snapshot = region.status().snapshot();
        let Snapshot { epochs, secrets, turn } = snapshot;
        // This incarnation has sent nothing: a server that goes on elsewhere was misled.
        let begins = epochs.requests != Epochs::NO_REQUESTS && epochs.resume == 0;
        let Generation { secret, number } =
            if begins { snapshot.requests() } else { snapshot.spare_requests() };
        let requests = Producer::new(Requests(region.clone()), secret, number);
        let replies = Consumer::new(Replies(region.clone()), secrets.replies, epochs.replies(), 0);
        if !begins {
            // The server cannot know yet which ring this is: it may sleep until it hears of it.
            requests.announce();
        }
        let lender = Lender::new(size_of_val(region.lent_requests()));
        let (in_service, again) = (InService::new(), Again::nothing());
        Self { region, requests, replies, epochs, turn, in_service, lender, again }
    }

    /// The server incarnation that this end knows of.
    pub fn server_epoch(&self) -> u32 {
        self.epochs.server
    }

    /// Whether the server is stopped for good.
    pub fn server_is_gone(&self) -> bool {
        self.region.status().is_gone(Role::Server)
    }

    /// Longest request payload that goes through the ring.
    pub fn max_request(&self) -> usize {
        self.requests.max_payload()
    }

    /// Longest buffer that can be lent with a request.
    pub fn max_lent(&self) -> usize {
        self.lender.longest()
    }

    /// Sends a request that is filled in place. Ask [`Client::must_kick`] afterwards, once for a
    /// batch.
    ///
    /// # Errors
    /// [`IpcError::PeerGone`] if the server is stopped for good, and the ring's own.
    #[inline(always)]
    pub fn request(
        &mut self,
        kind: RequestKind,
        operation: u16,
        payload: usize,
        fill: impl FnOnce(&mut Reservation<'_, Requests<R>>),
    ) -> Result<Ticket, IpcError> {
        if self.region.status().is_gone(Role::Server) {
            return Err(IpcError::PeerGone);
        }
        let (status, known) = (self.region.status(), self.epochs.server);
        match self.requests.reserve(payload) {
            Ok(mut reservation) => {
                fill(&mut reservation);
                Ok(Ticket(reservation.commit(kind.into(), record::request::word(operation))))
            }
            Err(error) => Err(refusal(error, status, known)),
        }
    }

    /// A buffer to be filled and sent with a request.
    ///
    /// # Errors
    /// [`IpcError::TooLarge`] if the channel's pool could never hold it, [`IpcError::Full`] if it
    /// cannot before the server has released more.
    pub fn lend(&mut self, length: usize) -> Result<Loan, IpcError> {
        let requests = &mut self.requests;
        // Until then the server may still read what this client's last incarnation lent.
        if self.lender.can_hold(length) && !requests.is_acknowledged() {
            return Err(IpcError::Full);
        }
        Ok(self.lender.lend(length, || requests.released())?)
    }

    /// Writes a part of a buffer.
    ///
    /// # Panics
    /// If it reaches beyond the buffer, or `offset` is not a multiple of 8.
    pub fn fill(&self, loan: &Loan, offset: usize, bytes: &[u8]) {
        loan.span().write(self.region.lent_requests(), offset, bytes);
    }

    /// The buffer is not sent after all.
    pub fn give_back(&mut self, loan: Loan) {
        self.lender.give_back(loan);
    }

    /// [`Client::request`], with a buffer that becomes the server's until it has answered.
    ///
    /// # Errors
    /// As there; the buffer comes back.
    pub fn request_lent(
        &mut self,
        kind: RequestKind,
        operation: u16,
        loan: Loan,
        payload: &[u8],
    ) -> Result<Ticket, (Loan, IpcError)> {
        if self.region.status().is_gone(Role::Server) {
            return Err((loan, IpcError::PeerGone));
        }
        let (status, known) = (self.region.status(), self.epochs.server);
        let position = match self.requests.reserve_with(Some(loan.item()), payload.len()) {
            Ok(mut reservation) => {
                reservation.write(0, payload);
                reservation.commit(kind.into(), record::request::word(operation))
            }
            Err(error) => return Err((loan, refusal(error, status, known))),
        };
        self.lender.sent(loan, self.requests.tail());
        Ok(Ticket(position))
    }

    /// Tells the server that nobody waits for a call's reply any more. It may reply all the same.
    ///
    /// # Errors
    /// [`IpcError::Full`] if the ring has no room for it now, and [`IpcError::Protocol`].
    pub fn cancel(&mut self, ticket: Ticket) -> Result<(), IpcError> {
        self.requests.reserve(0)?.commit(Kind::Cancel, ticket.token());
        Ok(())
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
    #[inline]
    pub fn must_kick(&self) -> bool {
        ring::must_kick(&self.requests, &self.replies)
            && self.region.alert().is_none_or(|alert| alert.raise())
    }

    /// Whether a reply, or rubbish, is there to be read: the cheapest look.
    #[inline]
    pub fn has_reply(&self) -> bool {
        self.replies.is_ready()
    }

    /// Up to where the server has released requests: the calls before it are answered, or never
    /// will be.
    pub(crate) fn released(&mut self) -> Result<u64, IpcError> {
        Ok(self.requests.released()?)
    }

    /// Most replies that the ring holds at a time.
    pub(crate) fn most_replies(&self) -> usize {
        self.replies.most_records()
    }

    /// Whether [`Client::poll`] has something to say, or notifications have arrived.
    pub fn is_ready(&self) -> bool {
        self.replies.is_ready()
            || self.server_has_restarted()
            || self.region.shared().notifications(Role::Client).load(Relaxed) != 0
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    /// [`IpcError::Protocol`] if the server broke the protocol; nothing more can be read before
    /// it restarts. [`IpcError::Exhausted`] if [too many](crate::server::IN_SERVICE_MAX) replies
    /// are not released.
    #[inline(always)]
    pub fn poll(&mut self) -> Result<Option<ClientEvent>, IpcError> {
        let found = self.take();
        if matches!(found, Ok(Some(_))) || !self.server_has_restarted() {
            return Ok(found?.map(ClientEvent::Reply));
        }
        self.follow_server()
    }

    /// Sends a short request whose reply, if it is short, takes its place: an exchange in one cache
    /// line (L4's message registers). A longer reply comes as one to a call does.
    ///
    /// Whoever sends something else before it has the answer may write over it; a [book of
    /// calls](crate::calls::Calls::enter) keeps it.
    ///
    /// # Errors
    /// As [`Client::request`].
    #[inline(always)]
    pub fn exchange(
        &mut self,
        operation: u16,
        payload: usize,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Result<Ticket, IpcError> {
        if self.region.status().is_gone(Role::Server) {
            return Err(IpcError::PeerGone);
        }
        let (status, known) = (self.region.status(), self.epochs.server);
        match self.requests.reserve_line(payload) {
            Ok(mut reservation) => {
                fill(&mut reservation.writer());
                Ok(Ticket(reservation.commit(Kind::Exchange, record::request::word(operation))))
            }
            Err(error) => Err(refusal(error, status, known)),
        }
    }

    /// Whether the short reply to an exchange is there: the cheapest look.
    #[inline(always)]
    pub fn has_answer(&self, ticket: Ticket) -> bool {
        self.requests.has_answer(ticket.0)
    }

    /// The short reply to an exchange, if it is there. Nothing is to be released.
    ///
    /// # Errors
    /// [`IpcError::Protocol`] if it is no reply.
    #[inline(always)]
    pub fn answer(&self, ticket: Ticket) -> Result<Option<(Status, Short)>, IpcError> {
        match self.requests.answer(ticket.0)? {
            Some((word, short)) => checked(ticket, word, short).map(Some),
            None => Ok(None),
        }
    }

    /// The answer to this exchange is asked for late: it is kept when other records take its
    /// place.
    pub(crate) fn keep_answer(&mut self, ticket: Ticket) {
        self.requests.keep_answer(ticket.0);
    }

    /// [`Client::answer`], even if it was [kept](Client::keep_answer).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn late_answer(&self, ticket: Ticket) -> Result<Option<(Status, Short)>, IpcError> {
        match self.requests.late_answer(ticket.0)? {
            Some((word, short)) => checked(ticket, word, short).map(Some),
            None => Ok(None),
        }
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
    #[inline(always)]
    pub fn read(&self, reply: &Reply, offset: usize, bytes: &mut [u8]) {
        if self.holds(reply) {
            self.replies.read(&reply.record, offset, bytes);
        } else {
            bytes.fill(0);
        }
    }

    /// Fills `bytes` from the buffer that came with the reply.
    ///
    /// # Errors
    /// [`IpcError::PeerRestarted`] if the server died meanwhile: the buffer is its successor's.
    ///
    /// # Panics
    /// If there is no buffer, if it asks for more than the buffer, or `offset` is not a multiple
    /// of 8.
    pub fn read_lent(
        &self,
        reply: &Reply,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), IpcError> {
        let Some(span) = reply.lent else { panic!("the reply came without a buffer") };
        span.read(self.region.lent_replies(), offset, bytes);
        // The epoch is looked at after the bytes: a new server changes it before it writes any.
        fence(Acquire);
        if self.holds(reply) && !self.server_has_restarted() {
            Ok(())
        } else {
            Err(IpcError::PeerRestarted)
        }
    }

    /// Gives the reply's room back, and its buffer. A server that waits for room is found by the
    /// next [`Client::must_kick`].
    #[inline(always)]
    pub fn release(&mut self, reply: Reply) {
        if self.holds(&reply)
            && let Some(end) = self.in_service.close(reply.slot)
        {
            self.replies.release(end);
        }
    }

    /// Gives a reply back that answers no call.
    pub fn reject(&mut self, reply: Reply) {
        self.replies.count_rejected();
        self.release(reply);
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

    /// Replies of an earlier server incarnation are no longer in the ring.
    fn holds(&self, reply: &Reply) -> bool {
        reply.generation == self.replies.generation()
    }

    #[inline]
    fn server_has_restarted(&self) -> bool {
        let status = self.region.status();
        status.has_moved(self.turn) && status.epoch(Role::Server) != self.epochs.server
    }

    #[cold]
    fn follow_server(&mut self) -> Result<Option<ClientEvent>, IpcError> {
        // The epoch went up after the server had stopped: what it still published is seen by now.
        if let Ok(Some(reply)) = self.take() {
            return Ok(Some(ClientEvent::Reply(reply)));
        }
        let (snapshot, again) = self.region.status().snapshot_with_again();
        let Snapshot { epochs, secrets, turn } = snapshot;
        (self.epochs, self.turn, self.again) = (epochs, turn, again);
        self.in_service.clear();
        // Before the replies: the server takes their acknowledgement for this decision, too.
        let resume = self.go_on_in(&snapshot);
        self.replies.restart(secrets.replies, epochs.replies(), 0);
        Ok(Some(ClientEvent::Restarted { resume }))
    }

    /// What the nucleus says of a call that a dead server had taken, on a channel whose requests are
    /// delivered again; as of the last [`ClientEvent::Restarted`].
    pub fn fate_of(&self, ticket: Ticket) -> Option<Fate> {
        self.again.fate_of(ticket.0)
    }

    /// Decides whether the new server goes on in the request ring, and where; or whether the dead
    /// one left nothing there that can be read.
    fn go_on_in(&mut self, snapshot: &Snapshot) -> u64 {
        let Epochs { requests: generation, resume, .. } = snapshot.epochs;
        let pool = self.region.lent_requests();
        if generation == self.requests.generation()
            && self
                .requests
                .is_intact_from(resume, self.again.until, |item| Span::of(item, pool).is_some())
        {
            self.requests.reassert();
            return resume;
        }
        let Generation { secret, number } = snapshot.spare_requests();
        self.requests.begin_anew(secret, number);
        self.requests.tail()
    }

    #[inline(always)]
    fn take(&mut self) -> Result<Option<Reply>, IpcError> {
        if self.in_service.is_full() {
            return Err(IpcError::Exhausted);
        }
        let Some(record) = self.replies.peek()? else { return Ok(None) };
        if !record.bits.is(Kind::Reply) {
            return Err(IpcError::Protocol);
        }
        let (token, status) = record::reply::parts(record.bits.word());
        let status = Status::from_code(status).ok_or(IpcError::Protocol)?;
        let span = |item| Span::of(item, self.region.lent_replies()).ok_or(IpcError::Protocol);
        let lent = self.replies.item(&record)?.map(span).transpose()?;
        self.replies.take(&record);
        let slot = self.in_service.open(record.position, record.end());
        let generation = self.replies.generation();
        Ok(Some(Reply { record, slot, generation, token, status, lent }))
    }
}

/// Why there is no room for a request. What a dead server left behind is nobody's breach: whoever
/// hears of its successor first will find room.
#[cold]
fn refusal(error: RingError, status: &channel::Status, known: u32) -> IpcError {
    match error {
        RingError::Protocol if status.epoch(Role::Server) != known => IpcError::Full,
        error => error.into(),
    }
}

/// The short reply to a call, if it is one.
#[inline(always)]
fn checked(ticket: Ticket, word: u32, short: Short) -> Result<(Status, Short), IpcError> {
    match record::reply::parts(word) {
        (token, status) if token == ticket.token() => {
            let status = Status::from_code(status).ok_or(IpcError::Protocol)?;
            Ok((status, short))
        }
        _ => Err(IpcError::Protocol),
    }
}

#[cfg(test)]
mod tests;
