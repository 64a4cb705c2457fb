//! Failures that are still to be told, because a client leaves no room for replies.

use super::{IN_SERVICE_MAX, Request, Server};
use crate::channel::Region;
use crate::message::{IpcError, Status};

/// Requests whose failure is still to be told, because the client leaves no room for a reply.
#[derive(Debug)]
pub(super) struct Owed {
    requests: [Option<(Request, Status)>; IN_SERVICE_MAX],
    pub(super) count: usize,
}

impl Owed {
    pub(super) const fn nothing() -> Self {
        Self { requests: [const { None }; IN_SERVICE_MAX], count: 0 }
    }

    /// There is room: each is in service, so there are no more than can be.
    fn push(&mut self, request: Request, status: Status) {
        self.requests[self.count] = Some((request, status));
        self.count += 1;
    }

    fn pop(&mut self) -> Option<(Request, Status)> {
        self.count = self.count.checked_sub(1)?;
        self.requests[self.count].take()
    }
}

impl<R: Region> Server<R> {
    /// Answers a request with a failure as soon as its client leaves room for a reply; the server
    /// need not wait for that. Meanwhile the request stays in service, so a client that never
    /// reads is soon served no more.
    pub fn owe(&mut self, request: Request, status: Status) {
        if self.nobody_waits(&request) || !request.is_call() {
            self.forget(request);
        } else {
            self.owed.push(request, status);
            self.has_chores = true;
            self.pay();
        }
    }

    /// Whether failures are owed to this client.
    pub fn owes(&self) -> bool {
        self.owed.count > 0
    }

    /// Tells failures that are owed, as far as there is room.
    #[cold]
    pub(super) fn pay(&mut self) {
        if self.pay_what_fits() == Err(IpcError::Full) {
            // The client is to say when there is room; it may have made some just before.
            self.replies.declare_starved();
            let _ = self.pay_what_fits();
        }
    }

    fn pay_what_fits(&mut self) -> Result<(), IpcError> {
        while let Some((request, status)) = self.owed.pop() {
            match self.reply(request, status, 0, |_| ()) {
                Ok(()) => (),
                Err((request, IpcError::Full)) => {
                    self.owed.push(request, status);
                    return Err(IpcError::Full);
                }
                Err((request, _)) => self.forget(request),
            }
        }
        Ok(())
    }
}
