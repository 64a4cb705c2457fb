//! Calls under way: several at a time through one channel, each with one outcome.
//!
//! This is RC 4000's asynchronous exchange from the client's side. *Send message* is
//! [`Calls::start`]; *wait answer* is [`Calls::outcome`], asked until it says something. Answers
//! may come in any order: one that comes before it is asked for is kept, and its room in the ring
//! given back at once, so that a caller who is in no hurry holds nobody up. (Keeping it is the one
//! thing in this crate that allocates.)
//!
//! Each call that was started has exactly one outcome: its reply, [`IpcError::PeerRestarted`],
//! [`IpcError::Poisoned`], [`IpcError::PeerGone`], or, if the caller gives it up, none that anybody waits for.

extern crate alloc;

mod book;

use alloc::boxed::Box;
use alloc::vec;

use crate::channel::{Fate, Region, Requests};
use crate::client::{Client, ClientEvent, Reply, Ticket};
use crate::lend::Loan;
use crate::message::{IpcError, Status};
use crate::record::{RequestKind, Short};
use crate::ring::Reservation;
use book::{Book, Call, State};

pub use book::CALLS_MAX;

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// Its reply, in the ring: read it, then [release](Client::release) it.
    Reply(Reply),
    /// Its reply, as it was kept.
    Kept(Kept),
    /// The short reply to an exchange. Nothing is to be released.
    Short(Status, Short),
}

/// A reply that came before it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// The call's fate.
    pub status: Status,
    /// The payload.
    pub payload: Box<[u8]>,
    /// A copy of the buffer that came with it.
    pub lent: Option<Box<[u8]>>,
}

/// A client's end with the calls that are under way.
#[derive(Debug)]
pub struct Calls<R> {
    client: Client<R>,
    book: Book,
    /// The exchange that is under way, or was given up: there is at most one.
    exchange: Option<Ticket>,
}

impl<R: Region> Calls<R> {
    /// None under way yet.
    pub const fn new(client: Client<R>) -> Self {
        Self { client, book: Book::empty(), exchange: None }
    }

    /// The channel's end.
    #[inline]
    pub const fn client(&self) -> &Client<R> {
        &self.client
    }

    /// The channel's end. Its events are this type's to read.
    #[inline]
    pub const fn client_mut(&mut self) -> &mut Client<R> {
        &mut self.client
    }

    /// Whether no call is under way: then the next one may be an [exchange](Client::exchange) past
    /// this book, to be [entered](Calls::enter) if it takes long.
    #[inline(always)]
    pub const fn is_idle(&self) -> bool {
        self.book.is_empty()
    }

    /// Enters an exchange that was made while the book was idle.
    pub fn enter(&mut self, ticket: Ticket) {
        debug_assert!(self.is_idle());
        self.book.note(ticket);
        self.exchange = Some(ticket);
        self.client.keep_answer(ticket);
    }

    /// Whether there is anything to read: the cheapest look.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.client.has_reply() || self.exchange.is_some_and(|ticket| self.is_answered(ticket))
    }

    /// Starts a call (RC 4000 *send message*).
    ///
    /// # Errors
    /// [`IpcError::Full`] if [`CALLS_MAX`] are under way, or the ring is full; and as
    /// [`Client::request`].
    #[inline]
    pub fn start(
        &mut self,
        operation: u16,
        payload: usize,
        fill: impl FnOnce(&mut Reservation<'_, Requests<R>>),
    ) -> Result<Ticket, IpcError> {
        self.make_place()?;
        let ticket = self.client.request(RequestKind::Call, operation, payload, fill)?;
        self.book.note(ticket);
        Ok(ticket)
    }

    /// Starts a call with a buffer that becomes the server's until it has answered.
    ///
    /// # Errors
    /// As [`Calls::start`]; the buffer comes back.
    pub fn start_lent(
        &mut self,
        operation: u16,
        loan: Loan,
        payload: &[u8],
    ) -> Result<Ticket, (Loan, IpcError)> {
        if let Err(error) = self.make_place() {
            return Err((loan, error));
        }
        let ticket = self.client.request_lent(RequestKind::Call, operation, loan, payload)?;
        self.book.note(ticket);
        Ok(ticket)
    }

    /// How a call ended; `None` while it is under way. Whoever has its outcome must not ask again.
    ///
    /// # Errors
    /// Those that a call can end with, and [`IpcError::Protocol`].
    #[inline]
    pub fn outcome(&mut self, ticket: Ticket) -> Result<Option<Outcome>, IpcError> {
        if self.exchange.is_some()
            && let Some((status, short)) = self.exchanged(ticket)?
        {
            return Ok(Some(Outcome::Short(status, short)));
        }
        // A server that pours out replies to nobody must not keep its client from its deadline.
        for _ in 0..=self.client.most_replies() {
            let event = match self.client.poll() {
                Ok(event) => event,
                Err(error) => return self.fail(ticket, error),
            };
            match event {
                Some(ClientEvent::Reply(reply)) if reply.token == ticket.token() => {
                    if self.take_waiting(ticket) {
                        return Ok(Some(Outcome::Reply(reply)));
                    }
                    self.keep(reply);
                }
                Some(ClientEvent::Reply(reply)) => self.keep(reply),
                Some(ClientEvent::Restarted { resume }) => self.settle(resume),
                None => break,
            }
        }
        self.ended(ticket)
    }

    /// Reads what answers there are, so that they make room. Nothing is lost by it.
    pub fn settle_answers(&mut self) {
        self.hear_exchange();
        for _ in 0..=self.client.most_replies() {
            match self.client.poll() {
                Ok(Some(ClientEvent::Reply(reply))) => self.keep(reply),
                Ok(Some(ClientEvent::Restarted { resume })) => self.settle(resume),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Gives a call up: its reply, should it come, is dropped. The server is told, if there is
    /// room to tell it.
    pub fn cancel(&mut self, ticket: Ticket) {
        let Some(place) = self.book.find(ticket.token()) else { return };
        match self.book.state_mut(place) {
            Some(state @ State::Waiting) => {
                *state = State::GivenUp;
                // A server that does not hear of it answers in vain, which harms nobody.
                let _ = self.client.cancel(ticket);
            }
            Some(State::Ended(_)) => self.remove(place),
            _ => (),
        }
    }

    /// Calls under way, with those that were given up and may still be answered.
    pub fn under_way(&self) -> usize {
        self.book.places().filter(|&place| self.book.state(place).is_some()).count()
    }

    #[inline]
    fn make_place(&mut self) -> Result<(), IpcError> {
        if self.exchange.is_some() {
            self.hear_exchange();
        }
        if self.book.has_room() { Ok(()) } else { self.find_place() }
    }

    #[cold]
    fn find_place(&mut self) -> Result<(), IpcError> {
        if !self.book.close_ranks() {
            self.drop_unanswered();
            if !self.book.close_ranks() {
                return Err(IpcError::Full);
            }
        }
        Ok(())
    }

    /// Drops the calls that were given up and that the server has released without an answer:
    /// nothing will be heard of them.
    fn drop_unanswered(&mut self) {
        // In this order: an answer that was sent before the release is there by now.
        let Ok(released) = self.client.released() else { return };
        if self.book.places().any(|place| self.book.is_given_up_before(place, released)) {
            self.settle_answers();
        }
        for place in self.book.places() {
            if self.book.is_given_up_before(place, released) {
                self.remove(place);
            }
        }
    }

    /// Whether all places are taken by calls that have ended: only their caller can make room, by
    /// asking for their outcomes.
    pub fn is_overdue(&self) -> bool {
        self.book.is_full_of_ended()
    }

    #[inline]
    fn remove(&mut self, place: usize) {
        if let Some(call) = self.book.remove(place)
            && self.exchange == Some(call.ticket)
        {
            self.exchange = None;
        }
    }

    /// Takes out a call whose reply is there; whether it waited for one.
    #[inline]
    fn take_waiting(&mut self, ticket: Ticket) -> bool {
        let Some(place) = self.book.find(ticket.token()) else { return false };
        let waits = matches!(self.book.state(place), Some(State::Waiting));
        if waits {
            self.remove(place);
        }
        waits
    }

    /// The server broke the protocol: nothing will be heard of the call, if nothing was before.
    #[cold]
    fn fail(&mut self, ticket: Ticket, error: IpcError) -> Result<Option<Outcome>, IpcError> {
        if let Some(place) = self.book.find(ticket.token()) {
            if let Some(State::Ended(_)) = self.book.state(place) {
                return self.ended(ticket);
            }
            self.remove(place);
        }
        Err(error)
    }

    /// Files the reply to another call.
    #[cold]
    fn keep(&mut self, reply: Reply) {
        let place = self.book.find(reply.token);
        match place.and_then(|place| self.book.state(place)) {
            Some(State::Waiting) => (),
            Some(State::GivenUp) => {
                self.client.release(reply);
                return place.map_or((), |place| self.remove(place));
            }
            // Nobody asked, or was answered before.
            Some(State::Ended(_)) | None => return self.client.reject(reply),
        }
        let kept = self.copy(&reply);
        self.client.release(reply);
        if let Some(place) = place {
            self.end(place, kept);
        }
    }

    fn end(&mut self, place: usize, how: Result<Kept, IpcError>) {
        if let Some(call) = self.book.get_mut(place) {
            if self.exchange == Some(call.ticket) {
                self.exchange = None;
            }
            call.state = State::Ended(how);
        }
    }

    fn is_answered(&self, exchange: Ticket) -> bool {
        self.client.has_answer(exchange) || !matches!(self.client.late_answer(exchange), Ok(None))
    }

    /// The short reply to the exchange, which is over then, if that is the call that is asked for.
    fn exchanged(&mut self, asked: Ticket) -> Result<Option<(Status, Short)>, IpcError> {
        if self.exchange != Some(asked) {
            self.hear_exchange();
            return Ok(None);
        }
        let answer = self.client.late_answer(asked);
        if matches!(answer, Ok(None)) || self.take_waiting(asked) {
            return answer;
        }
        // It was given up.
        self.hear_exchange();
        Ok(None)
    }

    /// Files the short reply to the exchange, if it is there.
    fn hear_exchange(&mut self) {
        let Some(ticket) = self.exchange else { return };
        let fate = match self.client.late_answer(ticket) {
            Ok(None) => return,
            Ok(Some((status, short))) => Ok(keep_short(status, &short)),
            Err(error) => Err(error),
        };
        let Some(place) = self.book.find(ticket.token()) else { return };
        match self.book.state(place) {
            Some(State::Waiting) => self.end(place, fate),
            // It was given up.
            _ => self.remove(place),
        }
    }

    fn copy(&self, reply: &Reply) -> Result<Kept, IpcError> {
        let mut payload = vec![0; reply.len()].into_boxed_slice();
        self.client.read(reply, 0, &mut payload);
        let lent = reply.lent.map(|span| -> Result<_, IpcError> {
            let mut bytes = vec![0; span.len()].into_boxed_slice();
            self.client.read_lent(reply, 0, &mut bytes)?;
            Ok(bytes)
        });
        Ok(Kept { status: reply.status, payload, lent: lent.transpose()? })
    }

    /// The server died: the calls that it had taken and not answered have met their fate, unless
    /// they are delivered again.
    #[cold]
    fn settle(&mut self, resume: u64) {
        for place in self.book.places() {
            let Some(call) = self.book.get(place) else { continue };
            let ticket = call.ticket;
            let is_poisoned = match self.client.fate_of(ticket) {
                Some(Fate::Poisoned) => true,
                Some(Fate::Done) => false,
                Some(Fate::Again(_)) | None if !ticket.was_taken(resume) => continue,
                Some(Fate::Again(_)) | None => false,
            };
            match call.state {
                State::Waiting if is_poisoned => self.end(place, Err(IpcError::Poisoned)),
                State::Waiting => {
                    let fate = self.last_word(ticket);
                    self.end(place, fate);
                }
                State::GivenUp => self.remove(place),
                State::Ended(_) => (),
            }
        }
    }

    /// What a server that has died since said to a call, if not in the reply ring.
    fn last_word(&self, ticket: Ticket) -> Result<Kept, IpcError> {
        if self.exchange != Some(ticket) {
            return Err(IpcError::PeerRestarted);
        }
        let answer = self.client.late_answer(ticket)?.ok_or(IpcError::PeerRestarted);
        answer.map(|(status, short)| keep_short(status, &short))
    }

    /// The outcome of a call of which nothing new was heard.
    fn ended(&mut self, ticket: Ticket) -> Result<Option<Outcome>, IpcError> {
        // What it answered before it stopped is there by now.
        let is_gone = self.client.server_is_gone();
        if is_gone {
            self.hear_exchange();
        }
        let Some(place) = self.book.find(ticket.token()) else { return Err(IpcError::NotFound) };
        if let Some(State::Ended(_)) = self.book.state(place) {
            let Some(Call { state: State::Ended(kept), .. }) = self.book.remove(place) else {
                return Ok(None);
            };
            return kept.map(|kept| Some(Outcome::Kept(kept)));
        }
        if is_gone && !self.client.has_reply() {
            self.remove(place);
            return Err(IpcError::PeerGone);
        }
        Ok(None)
    }
}

fn keep_short(status: Status, short: &Short) -> Kept {
    Kept { status, payload: short.bytes().into(), lent: None }
}

#[cfg(test)]
mod tests;
