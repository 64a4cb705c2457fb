//! Calling: the client's end of a channel.

use core::hint::spin_loop;

use atoll_ipc::abi::{ChannelEntry, Interface, Name};
use atoll_ipc::channel::Role;
use atoll_ipc::client::Ticket;
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::ready::ChannelSet;
use atoll_ipc::record::{RequestKind, SHORT, Short};

use super::endpoints::{Endpoints, complain, with};
use super::lent::{LentReply, Loan};
use super::reply::{Answer, Reply};
use super::wait::{Awaited, ring_if_due, ring_now, wait};
use crate::boot;
use crate::clock::Instant;

/// A channel that this domain is the client of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel(pub(super) usize);

impl Channel {
    /// The channel that the manifest gives this domain under a name.
    ///
    /// # Errors
    /// [`IpcError::NotFound`] if it gives none.
    pub fn open(name: &str) -> Result<Self, IpcError> {
        let mut entries = boot::channels().iter();
        entries
            .position(|entry| entry.role() == Role::Client && entry.name.as_str() == name)
            .map(Self)
            .ok_or(IpcError::NotFound)
    }

    /// Sends a request and waits for its reply (QNX `MsgSend`, L4 call). A payload that is too
    /// long for the ring goes through a buffer of the channel, copied once on each side.
    ///
    /// # Errors
    /// [`IpcError::PeerRestarted`] if the server died with the request in its hands; a request
    /// that it had not taken yet is served by its next incarnation. [`IpcError::Timeout`] if the
    /// deadline passes first; the request is cancelled, but may still be carried out. The others
    /// as they say.
    #[inline(always)]
    pub fn call(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Reply, IpcError> {
        match with(|endpoints| self.call_short(endpoints, operation, payload)) {
            Quick::Done(short) => Ok(Reply::register(short)),
            Quick::Asked { ticket, owed } => self.call_on(ticket, owed, deadline),
            Quick::No => self.call_at_length(operation, payload, deadline),
        }
    }

    /// [`Channel::call`] for a reply that is looked at, and not kept.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn call_with<T>(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError> {
        let reply = match with(|endpoints| self.call_short(endpoints, operation, payload)) {
            Quick::Done(short) => return Ok(read(short.bytes())),
            Quick::Asked { ticket, owed } => self.call_on(ticket, owed, deadline),
            Quick::No => self.call_at_length(operation, payload, deadline),
        };
        Ok(read(reply?.payload()))
    }

    /// A short call to a server that runs: no book is kept of it, and no clock is read.
    #[inline(always)]
    fn call_short(self, endpoints: &mut Endpoints, operation: u16, payload: &[u8]) -> Quick {
        let calls = endpoints.calls(self.0);
        if payload.len() > SHORT || !calls.is_idle() {
            return Quick::No;
        }
        let client = calls.client_mut();
        let length = payload.len();
        let Ok(ticket) = client.exchange(operation, length, |r| r.write(0, payload)) else {
            return Quick::No;
        };
        let owed = client.must_kick();
        if !owed && boot::page().spin_ns != 0 {
            for _ in 0..QUICK_LOOKS {
                if client.has_answer(ticket) {
                    match client.answer(ticket) {
                        Ok(Some((Status::Ok, short))) => return Quick::Done(short),
                        _ => break,
                    }
                }
                spin_loop();
            }
        }
        Quick::Asked { ticket, owed }
    }

    /// Goes on with a call that [`Channel::call_short`] made.
    #[inline(never)]
    fn call_on(
        self,
        ticket: Ticket,
        owed: bool,
        deadline: Option<Instant>,
    ) -> Result<Reply, IpcError> {
        let answer = with(|endpoints| {
            endpoints.calls(self.0).enter(ticket);
            let owed = if owed { ChannelSet::from_iter([self.0]) } else { ChannelSet::EMPTY };
            self.await_answer(endpoints, ticket, deadline, owed)
        })?;
        answer.copy(self)
    }

    #[inline(never)]
    fn call_at_length(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Reply, IpcError> {
        let answer = with(|endpoints| {
            let ticket = self.start(endpoints, operation, payload, deadline)?;
            self.finish(endpoints, ticket, deadline)
        })?;
        answer.copy(self)
    }

    /// [`Channel::call`] for a reply that is to stay where it is: in the buffer that the server
    /// lends with it.
    ///
    /// # Errors
    /// As [`Channel::call`].
    pub fn call_in_place(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<LentReply, IpcError> {
        let answer = with(|endpoints| {
            let ticket = self.start(endpoints, operation, payload, deadline)?;
            self.finish(endpoints, ticket, deadline)
        })?;
        answer.borrow(self)
    }

    /// Sends a request that has no reply (CHORUS `ipcSend`). It waits only for room.
    ///
    /// # Errors
    /// [`IpcError::Timeout`] if there is no room until the deadline, and as they say.
    pub fn send(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), IpcError> {
        with(|endpoints| {
            let client = endpoints.calls(self.0).client_mut();
            let length = payload.len();
            let sent = if goes_through_ring(length, client.max_request(), client.max_lent()) {
                match client.request(RequestKind::Send, operation, length, |r| r.write(0, payload))
                {
                    Err(IpcError::Full) => wait_for_room(endpoints, self, deadline, |endpoints| {
                        let client = endpoints.calls(self.0).client_mut();
                        client
                            .request(RequestKind::Send, operation, length, |r| r.write(0, payload))
                    }),
                    sent => sent,
                }
            } else {
                let loan = self.borrow_for(endpoints, payload, deadline)?;
                self.send_loan(endpoints, RequestKind::Send, operation, loan, &[], deadline)
            };
            ring_if_due(endpoints, self.0);
            sent.map(drop)
        })
    }

    /// Sends a request and goes on; its answer is [waited for](Pending::wait_answer) later (RC
    /// 4000 *send message*). At most [`CALLS_MAX`](atoll_ipc::calls::CALLS_MAX) are under way at a
    /// time: more wait for room, as they do when the server is slow.
    ///
    /// # Errors
    /// [`IpcError::Full`] if that many have ended and were not asked for, [`IpcError::Timeout`] if there is no room until the deadline, and as they say.
    pub fn send_message(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Pending, IpcError> {
        with(|endpoints| {
            let ticket = self.start(endpoints, operation, payload, deadline)?;
            ring_if_due(endpoints, self.0);
            Ok(Pending::new(self, ticket))
        })
    }

    /// A buffer of `length` bytes, to be filled in place and sent.
    ///
    /// # Errors
    /// [`IpcError::TooLarge`] if the channel's pool could never hold it, [`IpcError::Timeout`] if
    /// it cannot until the deadline.
    pub fn lend(self, length: usize, deadline: Option<Instant>) -> Result<Loan, IpcError> {
        let loan = with(|endpoints| match endpoints.calls(self.0).client_mut().lend(length) {
            Err(IpcError::Full) => wait_for_room(endpoints, self, deadline, |endpoints| {
                endpoints.calls(self.0).client_mut().lend(length)
            }),
            lent => lent,
        })?;
        Ok(Loan::of_client(self, loan))
    }

    /// Raises notification bits at the server; bits that it has not collected yet coalesce (seL4
    /// notification, QNX pulse).
    pub fn notify(self, bits: u64) {
        with(|endpoints| {
            endpoints.calls(self.0).client_mut().notify(bits);
            ring_if_due(endpoints, self.0);
        });
    }

    /// Notification bits that the server has raised since last asked.
    pub fn notifications(self) -> u64 {
        with(|endpoints| endpoints.calls(self.0).client_mut().collect_notifications())
    }

    /// Which incarnation of the server is known to serve this channel.
    pub fn server_epoch(self) -> u32 {
        with(|endpoints| endpoints.calls(self.0).client().server_epoch())
    }

    /// Longest request that fits the channel, in bytes.
    pub fn max_request(self) -> usize {
        self.entry().layout.max_request()
    }

    /// Its name here.
    pub fn name(self) -> Name {
        self.entry().name
    }

    /// What is spoken on the port that it leads to.
    pub fn interface(self) -> Interface {
        self.entry().interface
    }

    /// The unique identifier of the port that it leads to (CHORUS): it stays the same when the
    /// server restarts.
    pub fn port_id(self) -> u128 {
        u128::from_le_bytes(self.entry().port_id)
    }

    pub(super) fn entry(self) -> &'static ChannelEntry {
        &boot::channels()[self.0]
    }

    #[inline]
    fn start(
        self,
        endpoints: &mut Endpoints,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Ticket, IpcError> {
        let calls = endpoints.calls(self.0);
        let client = calls.client();
        if !goes_through_ring(payload.len(), client.max_request(), client.max_lent()) {
            let loan = self.borrow_for(endpoints, payload, deadline)?;
            return self.send_loan(endpoints, RequestKind::Call, operation, loan, &[], deadline);
        }
        match calls.start(operation, payload.len(), |r| r.write(0, payload)) {
            Err(IpcError::Full) => wait_for_room(endpoints, self, deadline, |endpoints| {
                endpoints.calls(self.0).start(operation, payload.len(), |r| r.write(0, payload))
            }),
            started => started,
        }
    }

    /// A buffer with these bytes in it.
    fn borrow_for(
        self,
        endpoints: &mut Endpoints,
        bytes: &[u8],
        deadline: Option<Instant>,
    ) -> Result<atoll_ipc::lend::Loan, IpcError> {
        let loan = wait_for_room(endpoints, self, deadline, |endpoints| {
            endpoints.calls(self.0).client_mut().lend(bytes.len())
        })?;
        endpoints.calls(self.0).client().fill(&loan, 0, bytes);
        Ok(loan)
    }

    /// Sends a buffer, or gives it back.
    pub(super) fn send_loan(
        self,
        endpoints: &mut Endpoints,
        kind: RequestKind,
        operation: u16,
        loan: atoll_ipc::lend::Loan,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Ticket, IpcError> {
        let calls = endpoints.calls(self.0);
        let first = match kind {
            RequestKind::Call => calls.start_lent(operation, loan, payload),
            _ => calls.client_mut().request_lent(kind, operation, loan, payload),
        };
        let loan = match first {
            Ok(ticket) => return Ok(ticket),
            Err((loan, _)) => loan,
        };
        let mut left = Some(loan);
        let sent = wait_for_room(endpoints, self, deadline, |endpoints| {
            let calls = endpoints.calls(self.0);
            let loan = left.take().ok_or(IpcError::Protocol)?;
            let sent = match kind {
                RequestKind::Call => calls.start_lent(operation, loan, payload),
                _ => calls.client_mut().request_lent(kind, operation, loan, payload),
            };
            sent.map_err(|(loan, error)| {
                left = Some(loan);
                error
            })
        });
        if let Some(loan) = left {
            endpoints.calls(self.0).client_mut().give_back(loan);
        }
        sent
    }

    /// Waits for a call's answer, and gives the call up at the deadline.
    #[inline]
    pub(super) fn finish(
        self,
        endpoints: &mut Endpoints,
        ticket: Ticket,
        deadline: Option<Instant>,
    ) -> Result<Answer, IpcError> {
        let mut owed = ChannelSet::EMPTY;
        if endpoints.all[self.0].must_kick() {
            owed.insert(self.0);
        }
        self.await_answer(endpoints, ticket, deadline, owed)
    }

    fn await_answer(
        self,
        endpoints: &mut Endpoints,
        ticket: Ticket,
        deadline: Option<Instant>,
        owed: ChannelSet,
    ) -> Result<Answer, IpcError> {
        match wait(endpoints, deadline, owed, ForAnswer { channel: self, ticket }) {
            Some(answer) => answer,
            None => {
                endpoints.calls(self.0).cancel(ticket);
                ring_if_due(endpoints, self.0);
                Err(IpcError::Timeout)
            }
        }
    }
}

/// Looks for the reply to a short call before anything is noted down: about two microseconds.
const QUICK_LOOKS: u32 = 64;

/// What became of a short call that was tried.
enum Quick {
    Done(Short),
    /// It is under way; the server must be kicked if `owed`.
    Asked {
        ticket: Ticket,
        owed: bool,
    },
    /// Nothing was sent.
    No,
}

/// A call whose answer is still to be waited for. One that is dropped is cancelled.
#[derive(Debug)]
#[must_use = "a pending call that is dropped is cancelled"]
pub struct Pending {
    channel: Channel,
    /// There until it is answered.
    ticket: Option<Ticket>,
}

impl Pending {
    pub(super) const fn new(channel: Channel, ticket: Ticket) -> Self {
        Self { channel, ticket: Some(ticket) }
    }

    /// Waits for the answer (RC 4000 *wait answer*). Answers may be waited for in any order.
    ///
    /// # Errors
    /// As [`Channel::call`]; at the deadline the call is cancelled.
    pub fn wait_answer(mut self, deadline: Option<Instant>) -> Result<Reply, IpcError> {
        let Some(ticket) = self.ticket.take() else { return Err(IpcError::NotFound) };
        let channel = self.channel;
        with(|endpoints| channel.finish(endpoints, ticket, deadline))?.copy(channel)
    }

    /// [`Pending::wait_answer`] for a reply that is to stay where it is: in the buffer that the server
    /// lends with it. One that came before it was asked for has been copied out of the way.
    ///
    /// # Errors
    /// As there.
    pub fn wait_in_place(mut self, deadline: Option<Instant>) -> Result<LentReply, IpcError> {
        let Some(ticket) = self.ticket.take() else { return Err(IpcError::NotFound) };
        let channel = self.channel;
        with(|endpoints| channel.finish(endpoints, ticket, deadline))?.borrow(channel)
    }

    /// The answer, if it is there; or else the call, to be asked again.
    ///
    /// # Errors
    /// The call itself while it is under way.
    pub fn poll_answer(mut self) -> Result<Result<Reply, IpcError>, Self> {
        let Some(ticket) = self.ticket else { return Ok(Err(IpcError::NotFound)) };
        let outcome = with(|endpoints| endpoints.calls(self.channel.0).outcome(ticket));
        let answer = match outcome {
            Ok(None) => return Err(self),
            Ok(Some(outcome)) => Ok(Answer(outcome)),
            Err(error) => Err(error),
        };
        self.ticket = None;
        Ok(answer.and_then(|answer| answer.copy(self.channel)))
    }

    /// What to wait for; `None` if it is there already.
    pub(super) fn awaited(&self) -> Option<ForAnswer> {
        Some(ForAnswer { channel: self.channel, ticket: self.ticket? })
    }

    /// The answer has been found.
    pub(super) fn conclude(&mut self, answer: Result<Answer, IpcError>) -> Result<Reply, IpcError> {
        self.ticket = None;
        answer?.copy(self.channel)
    }

    /// Gives the call up, and tells the server so. It may have been carried out all the same.
    pub fn cancel(self) {
        drop(self);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            with(|endpoints| {
                endpoints.calls(self.channel.0).cancel(ticket);
                ring_if_due(endpoints, self.channel.0);
            });
        }
    }
}

/// Payloads above this are copied through a buffer, even where the ring would hold them: the pool
/// is larger than a processor's own cache, so that what one side has written lies where the other
/// gets it at the speed of the cache that they share.
const THROUGH_POOL: usize = 8 << 10;

/// Whether a payload goes through the ring.
pub(super) const fn goes_through_ring(length: usize, ring: usize, pool: usize) -> bool {
    length <= ring && (length <= THROUGH_POOL || length > pool)
}

/// Does something that needs room, and waits while there is none.
fn wait_for_room<T>(
    endpoints: &mut Endpoints,
    channel: Channel,
    deadline: Option<Instant>,
    attempt: impl FnMut(&mut Endpoints) -> Result<T, IpcError>,
) -> Result<T, IpcError> {
    // What was published before may be what the server has to read first.
    ring_now(endpoints, channel.0);
    wait(endpoints, deadline, ChannelSet::EMPTY, ForRoom { channel, attempt })
        .unwrap_or(Err(IpcError::Timeout))
}

pub(super) struct ForAnswer {
    channel: Channel,
    ticket: Ticket,
}

impl Awaited for ForAnswer {
    type Found = Result<Answer, IpcError>;

    const HEEDS_CLIENTS: bool = false;

    #[inline]
    fn peek(&self, endpoints: &mut Endpoints) -> bool {
        endpoints.calls(self.channel.0).has_news()
    }

    #[inline]
    fn look(&mut self, endpoints: &mut Endpoints) -> Option<Self::Found> {
        match endpoints.calls(self.channel.0).outcome(self.ticket) {
            Ok(outcome) => outcome.map(|outcome| Ok(Answer(outcome))),
            Err(error) => {
                complain(self.channel.0, error);
                Some(Err(error))
            }
        }
    }

    fn declare_asleep(&self, endpoints: &mut Endpoints) {
        endpoints.calls(self.channel.0).client().declare_asleep();
    }

    fn declare_awake(&self, endpoints: &mut Endpoints) {
        endpoints.calls(self.channel.0).client().declare_awake();
    }
}

struct ForRoom<F> {
    channel: Channel,
    attempt: F,
}

impl<T, F: FnMut(&mut Endpoints) -> Result<T, IpcError>> Awaited for ForRoom<F> {
    type Found = Result<T, IpcError>;

    const HEEDS_CLIENTS: bool = false;

    fn peek(&self, _: &mut Endpoints) -> bool {
        // The server frees room when it reads; its position costs a cache miss, so look rarely.
        false
    }

    fn look(&mut self, endpoints: &mut Endpoints) -> Option<Self::Found> {
        match (self.attempt)(endpoints) {
            // Too many calls under way: answers make room, too.
            Err(IpcError::Full) => {
                let calls = endpoints.calls(self.channel.0);
                calls.settle_answers();
                calls.is_overdue().then_some(Err(IpcError::Full))
            }
            done => Some(done),
        }
    }

    fn declare_asleep(&self, endpoints: &mut Endpoints) {
        let client = endpoints.calls(self.channel.0).client();
        client.declare_starved();
        client.declare_asleep();
    }

    fn declare_awake(&self, endpoints: &mut Endpoints) {
        endpoints.calls(self.channel.0).client().declare_awake();
    }
}
