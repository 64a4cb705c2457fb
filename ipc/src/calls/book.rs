//! The book of calls: which are under way, where each stands, and the places that they take.

use super::Kept;
use crate::client::Ticket;
use crate::message::IpcError;

/// Most calls of one channel that are under way at a time.
pub const CALLS_MAX: usize = 64;

/// Where a call stands.
#[derive(Debug)]
pub(super) enum State {
    Waiting,
    /// Nobody waits for its reply any more, but it may still come.
    GivenUp,
    Ended(Result<Kept, IpcError>),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) ticket: Ticket,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) struct Book {
    /// Oldest first: replies mostly come in this order.
    calls: [Option<Call>; CALLS_MAX],
    /// The oldest call and the place of the next; both only grow.
    oldest: usize,
    next: usize,
}

impl Book {
    pub(super) const fn empty() -> Self {
        Self { calls: [const { None }; CALLS_MAX], oldest: 0, next: 0 }
    }

    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.next == self.oldest
    }

    #[inline(always)]
    pub(super) const fn has_room(&self) -> bool {
        self.next - self.oldest < CALLS_MAX
    }

    /// Enters a call, for which there must be room.
    #[inline]
    pub(super) fn note(&mut self, ticket: Ticket) {
        self.calls[self.next % CALLS_MAX] = Some(Call { ticket, state: State::Waiting });
        self.next += 1;
    }

    /// Makes one call that stays open for long count for one place, not for all that came after.
    /// Returns whether there is room then.
    pub(super) fn close_ranks(&mut self) -> bool {
        let first = self.oldest;
        let mut count = 0;
        for at in first..self.next {
            if let Some(call) = self.calls[at % CALLS_MAX].take() {
                self.calls[(first + count) % CALLS_MAX] = Some(call);
                count += 1;
            }
        }
        self.next = first + count;
        self.has_room()
    }

    /// Whether all places are taken by calls that have ended.
    pub(super) fn is_full_of_ended(&self) -> bool {
        let ended = |call: &Option<Call>| matches!(call, Some(Call { state: State::Ended(_), .. }));
        self.calls.iter().all(ended)
    }

    /// The places that may be taken, oldest call first.
    #[inline]
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        (self.oldest..self.next).map(|at| at % CALLS_MAX)
    }

    /// Whether the call there was given up, and its request lies before `position`.
    pub(super) fn is_given_up_before(&self, place: usize, position: u64) -> bool {
        let call = self.get(place);
        call.is_some_and(|call| {
            matches!(call.state, State::GivenUp) && call.ticket.was_taken(position)
        })
    }

    /// Where the call with that token is.
    #[inline]
    pub(super) fn find(&self, token: u32) -> Option<usize> {
        let is_it =
            |call: &Option<Call>| call.as_ref().is_some_and(|call| call.ticket.token() == token);
        self.places().find(|&place| is_it(&self.calls[place]))
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&Call> {
        self.calls[place].as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Call> {
        self.calls[place].as_mut()
    }

    #[inline]
    pub(super) fn state(&self, place: usize) -> Option<&State> {
        self.get(place).map(|call| &call.state)
    }

    #[inline]
    pub(super) fn state_mut(&mut self, place: usize) -> Option<&mut State> {
        self.get_mut(place).map(|call| &mut call.state)
    }

    /// Takes a call out; its place comes back with those of all older ones.
    #[inline]
    pub(super) fn remove(&mut self, place: usize) -> Option<Call> {
        let call = self.calls[place].take();
        while self.oldest < self.next && self.calls[self.oldest % CALLS_MAX].is_none() {
            self.oldest += 1;
        }
        call
    }
}
