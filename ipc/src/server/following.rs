//! How a server goes over to its client's next incarnation, or to the ring that the client begins.

use super::owed::Owed;
use super::{Request, Server};
use crate::channel::{Again, Generation, Region, Role, Snapshot, is_position};
use crate::message::IpcError;

impl<R: Region> Server<R> {
    #[inline]
    pub(super) fn client_has_restarted(&self) -> bool {
        let status = self.region.status();
        status.has_moved(self.turn) && status.epoch(Role::Client) != self.epochs.client
    }

    /// Whether the client, which has heard of this incarnation, has said whether the request ring
    /// goes on.
    pub(super) fn client_has_decided(&self) -> bool {
        self.unsettled.is_some()
            && self.region.shared().replies().is_consumed_in(self.epochs.replies())
    }

    /// No request was found: the client may have restarted, or have given the request ring up that
    /// the last incarnation left.
    #[cold]
    pub(super) fn look_at_client(
        &mut self,
        found: Result<Option<Request>, IpcError>,
    ) -> Result<Option<Request>, IpcError> {
        if !self.client_has_restarted() {
            return match self.unsettled {
                Some(spare) if self.client_has_decided() => self.hear_decision(spare),
                // Rubbish may be what the last incarnation left.
                _ => Ok(found.unwrap_or(None)),
            };
        }
        // The epoch went up after the client had stopped: what it still published is seen by now.
        if let Ok(Some(request)) = self.take() {
            return Ok(Some(request));
        }
        if self.in_service.is_full() {
            return Ok(None);
        }
        self.follow_client();
        self.take()
    }

    /// The client goes on in the request ring that the last incarnation left, or has given up all
    /// calls of that and begins the spare one.
    fn hear_decision(&mut self, spare: Generation) -> Result<Option<Request>, IpcError> {
        let claims = self.region.shared().requests().claims();
        if claims.producing != spare.number {
            self.unsettled = None;
            return if self.broken { Err(IpcError::Protocol) } else { self.take() };
        }
        if self.in_service.is_full() {
            return Ok(None);
        }
        if !is_position(claims.tail) {
            (self.unsettled, self.broken) = (None, true);
            return Err(IpcError::Protocol);
        }
        self.begin_in(spare, claims.tail);
        self.take()
    }

    /// Goes over to the client's new incarnation. What is still in service belongs to the old
    /// one: its replies will be refused.
    fn follow_client(&mut self) {
        let snapshot = self.region.status().snapshot();
        let Snapshot { epochs, secrets, turn } = snapshot;
        (self.epochs, self.turn) = (epochs, turn);
        self.begin_in(snapshot.requests(), 0);
        self.replies.restart(secrets.replies, epochs.replies());
        self.lender.restart();
    }

    fn begin_in(&mut self, Generation { secret, number }: Generation, start: u64) {
        self.requests.restart(secret, number, start);
        self.in_service.clear();
        self.owed = Owed::nothing();
        (self.again, self.has_chores) = (Again::nothing(), false);
        (self.broken, self.unsettled) = (false, None);
    }
}
