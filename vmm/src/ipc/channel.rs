//! The VMM as a client.

use std::sync::Arc;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use atoll_ipc::abi::{Interface, Name};
use atoll_ipc::calls::{Calls, Outcome};
use atoll_ipc::client::{Client, Ticket};
use atoll_ipc::interface::{Caller, Payload};
use atoll_ipc::lend::Loan;
use atoll_ipc::message::IpcError;
use atoll_ipc::record::RequestKind;
use vmm_sys_util::eventfd::EventFd;

use super::End;
use super::wait::Waiter;
use crate::channel::ChannelMemory;
use crate::domain::signal;

/// A channel from the VMM to a domain's port.
#[derive(Debug)]
pub struct Channel {
    name: Name,
    interface: Interface,
    calls: Calls<ChannelMemory>,
    server: Arc<EventFd>,
    waiter: Waiter,
    created: Instant,
}

/// A call whose answer is still to be waited for.
#[derive(Debug)]
#[must_use = "a call that is not waited for takes up room until it is cancelled"]
pub struct Pending(Ticket);

impl Channel {
    /// The client's end of a channel.
    pub fn new(end: End) -> Self {
        Self {
            name: end.name,
            interface: end.interface,
            calls: Calls::new(Client::attach(end.memory)),
            server: end.peer,
            waiter: end.waiter,
            created: Instant::now(),
        }
    }

    /// Sends a request and waits for its reply (QNX `MsgSend`, L4 call).
    ///
    /// # Errors
    /// [`IpcError::PeerRestarted`] if the server died with the request in its hands,
    /// [`IpcError::Timeout`] at the deadline: then the call is cancelled. The others as they say.
    pub fn call(
        &mut self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, IpcError> {
        let pending = self.send_message(operation, payload, deadline)?;
        self.wait_answer(pending, deadline)
    }

    /// Sends a request and goes on (RC 4000 *send message*).
    ///
    /// # Errors
    /// [`IpcError::Timeout`] if there is no room until the deadline, and as they say.
    pub fn send_message(
        &mut self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Pending, IpcError> {
        let loan = self.loan_for(payload, deadline)?;
        let ticket = match loan {
            Some(loan) => self.send_loan(RequestKind::Call, operation, loan, deadline),
            None => self.when_there_is_room(deadline, |calls| {
                calls.start(operation, payload.len(), |request| request.write(0, payload))
            }),
        }?;
        self.kick();
        Ok(Pending(ticket))
    }

    /// Waits for an answer (RC 4000 *wait answer*), in any order.
    ///
    /// # Errors
    /// As [`Channel::call`].
    pub fn wait_answer(
        &mut self,
        pending: Pending,
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, IpcError> {
        let ticket = pending.0;
        let outcome = self.wait(
            deadline,
            |calls| calls.outcome(ticket).transpose(),
            |calls| calls.client().declare_asleep(),
        );
        match outcome {
            Some(outcome) => self.copy(outcome?),
            None => {
                self.cancel(Pending(ticket));
                Err(IpcError::Timeout)
            }
        }
    }

    /// What became of a call, without waiting. A call that is still under way comes back, and
    /// this end's event is signalled when there is news.
    ///
    /// # Errors
    /// The call, if it is still under way.
    pub fn poll_answer(&mut self, pending: Pending) -> Result<Result<Vec<u8>, IpcError>, Pending> {
        self.calls.client().declare_awake();
        let look = |calls: &mut Calls<ChannelMemory>| calls.outcome(pending.0).transpose();
        let found = look(&mut self.calls).or_else(|| {
            self.calls.client().declare_asleep();
            look(&mut self.calls)
        });
        // The look may have given room to a server that has restarted.
        self.kick();
        match found {
            Some(outcome) => Ok(outcome.and_then(|outcome| self.copy(outcome))),
            None => Err(pending),
        }
    }

    /// Gives a call up, and tells the server so. It may have been carried out all the same.
    pub fn cancel(&mut self, pending: Pending) {
        self.calls.cancel(pending.0);
        self.kick();
    }

    /// Sends a request that has no reply (CHORUS `ipcSend`). It waits only for room.
    ///
    /// # Errors
    /// [`IpcError::Timeout`] if there is no room until the deadline, and as they say.
    pub fn send(
        &mut self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), IpcError> {
        match self.loan_for(payload, deadline)? {
            Some(loan) => self.send_loan(RequestKind::Send, operation, loan, deadline),
            None => self.when_there_is_room(deadline, |calls| {
                let fill = |request: &mut atoll_ipc::ring::Reservation<'_, _>| {
                    request.write(0, payload);
                };
                calls.client_mut().request(RequestKind::Send, operation, payload.len(), fill)
            }),
        }?;
        self.kick();
        Ok(())
    }

    /// Raises notification bits at the server; they coalesce (seL4 notification, QNX pulse).
    pub fn notify(&mut self, bits: u64) {
        self.calls.client_mut().notify(bits);
        self.kick();
    }

    /// Notification bits that the server has raised since last asked.
    pub fn notifications(&mut self) -> u64 {
        self.calls.client_mut().collect_notifications()
    }

    /// Which incarnation of the server is known to serve this channel.
    pub fn server_epoch(&self) -> u32 {
        self.calls.client().server_epoch()
    }

    fn kick(&self) {
        if self.calls.client().must_kick() {
            signal(&self.server);
            // The server's thread may have been put on this processor, where it would wait until this
            // one has looked for an answer in vain.
            yield_now();
        }
    }

    /// A filled buffer, for a payload that is too long for the ring.
    fn loan_for(
        &mut self,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Option<Loan>, IpcError> {
        if payload.len() <= self.calls.client().max_request() {
            return Ok(None);
        }
        let loan =
            self.when_there_is_room(deadline, |calls| calls.client_mut().lend(payload.len()))?;
        self.calls.client().fill(&loan, 0, payload);
        Ok(Some(loan))
    }

    fn send_loan(
        &mut self,
        kind: RequestKind,
        operation: u16,
        loan: Loan,
        deadline: Option<Instant>,
    ) -> Result<Ticket, IpcError> {
        let mut left = Some(loan);
        let sent = self.when_there_is_room(deadline, |calls| {
            let loan = left.take().ok_or(IpcError::Protocol)?;
            let sent = match kind {
                RequestKind::Call => calls.start_lent(operation, loan, &[]),
                _ => calls.client_mut().request_lent(kind, operation, loan, &[]),
            };
            sent.map_err(|(loan, error)| {
                left = Some(loan);
                error
            })
        });
        if let Some(loan) = left {
            self.calls.client_mut().give_back(loan);
        }
        sent
    }

    fn copy(&mut self, outcome: Outcome) -> Result<Vec<u8>, IpcError> {
        let (status, bytes) = match outcome {
            Outcome::Short(status, short) => (status, short.bytes().to_vec()),
            Outcome::Kept(kept) => match kept.lent {
                Some(buffer) if kept.payload.is_empty() => (kept.status, buffer.into_vec()),
                _ => (kept.status, kept.payload.into_vec()),
            },
            Outcome::Reply(reply) => {
                let client = self.calls.client_mut();
                let (bytes, read) = match reply.lent {
                    Some(buffer) if reply.len() == 0 => {
                        let mut bytes = vec![0; buffer.len()];
                        let read = client.read_lent(&reply, 0, &mut bytes);
                        (bytes, read)
                    }
                    _ => {
                        let mut bytes = vec![0; reply.len()];
                        client.read(&reply, 0, &mut bytes);
                        (bytes, Ok(()))
                    }
                };
                let status = reply.status;
                client.release(reply);
                read?;
                (status, bytes)
            }
        };
        status.error().map_or(Ok(bytes), Err)
    }

    fn when_there_is_room<T>(
        &mut self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Calls<ChannelMemory>) -> Result<T, IpcError>,
    ) -> Result<T, IpcError> {
        let attempt = |calls: &mut Calls<ChannelMemory>| match attempt(calls) {
            Err(IpcError::Full) => {
                // Too many calls under way: answers make room, too.
                calls.settle_answers();
                calls.is_overdue().then_some(Err(IpcError::Full))
            }
            done => Some(done),
        };
        let declare = |calls: &Calls<ChannelMemory>| {
            calls.client().declare_starved();
            calls.client().declare_asleep();
        };
        self.wait(deadline, attempt, declare).unwrap_or(Err(IpcError::Timeout))
    }

    /// Waits until `look` finds something, or the deadline passes.
    fn wait<T>(
        &mut self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&mut Calls<ChannelMemory>) -> Option<T>,
        declare: impl Fn(&Calls<ChannelMemory>),
    ) -> Option<T> {
        loop {
            if let Some(found) = look(&mut self.calls) {
                return Some(found);
            }
            self.kick();
            let (calls, server) = (&mut self.calls, &self.server);
            let watchful = || {
                let found = look(calls);
                // It may have given room to a server that has restarted, however long this looks.
                if calls.client().must_kick() {
                    signal(server);
                }
                found
            };
            if let Some(found) = self.waiter.spin(deadline, watchful) {
                return Some(found);
            }
            declare(&self.calls);
            let found = look(&mut self.calls);
            // The last look may have given room to a server that has restarted.
            self.kick();
            let late = found.is_none() && self.waiter.sleep(deadline);
            self.calls.client().declare_awake();
            if found.is_some() || late {
                return found.or_else(|| look(&mut self.calls));
            }
        }
    }
}

impl Caller for Channel {
    fn channel_name(&self) -> Name {
        self.name
    }

    fn peer_interface(&self) -> Interface {
        self.interface
    }

    fn now(&self) -> Duration {
        self.created.elapsed()
    }

    fn call<T>(
        &mut self,
        operation: u16,
        request: Payload<'_>,
        deadline: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError> {
        let deadline = deadline.map(|deadline| self.created + deadline);
        let mut scratch = vec![0; request.len()];
        let request = request.bytes_in(|_| &mut scratch);
        Self::call(self, operation, request, deadline).map(|reply| read(&reply))
    }

    fn send(
        &mut self,
        operation: u16,
        message: Payload<'_>,
        deadline: Option<Duration>,
    ) -> Result<(), IpcError> {
        let deadline = deadline.map(|deadline| self.created + deadline);
        let mut scratch = vec![0; message.len()];
        let message = message.bytes_in(|_| &mut scratch);
        Self::send(self, operation, message, deadline)
    }
}
