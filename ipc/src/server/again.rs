//! What earlier incarnations had taken: delivered again, or passed over.

use super::{Request, Server};
use crate::channel::{Fate, Region};
use crate::message::IpcError;
use crate::ring::Place;

impl<R: Region> Server<R> {
    /// How often a request was delivered to earlier incarnations that did not live to answer it, as
    /// the nucleus has counted.
    pub fn redeliveries(&self, request: &Request) -> u32 {
        match self.again.fate_of(request.record.position) {
            Some(Fate::Again(times)) if self.holds(request) => times,
            _ => 0,
        }
    }

    /// Takes the next request where that is not all there is to do.
    #[cold]
    pub(super) fn take_with_chores(&mut self) -> Result<Option<Request>, IpcError> {
        if self.owes() {
            self.pay();
        }
        self.pass_over();
        let found = self.take();
        self.pass_over();
        self.has_chores = self.owes() || self.is_among_taken();
        found
    }

    /// Whether the next record is one that an earlier incarnation had taken.
    fn is_among_taken(&self) -> bool {
        self.requests.cursor() < self.again.until
    }

    /// Passes over what earlier incarnations have done with, or are poisoned by, up to the next
    /// request that is to be delivered. (So that a look at the next record tells whether there is
    /// one, as it always does.)
    pub(super) fn pass_over(&mut self) {
        while self.is_among_taken() && self.may_take() {
            self.has_chores = true;
            let start = self.requests.cursor();
            let end = match self.requests.place() {
                Place::Open(record) if self.requests.passes_pad(&record) => continue,
                Place::Open(record) if self.is_listed_over(start) => record.end(),
                Place::Done(end) => end,
                Place::Open(_) | Place::Nothing => return,
            };
            self.requests.pass(end);
            let slot = self.in_service.open(start, end);
            if let Some(end) = self.in_service.close(slot) {
                self.requests.release(end);
            }
        }
    }

    fn is_listed_over(&self, position: u64) -> bool {
        matches!(self.again.fate_of(position), Some(Fate::Done | Fate::Poisoned))
    }
}
