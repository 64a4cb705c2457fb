//! Messages that were received, and their answers.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use atoll_ipc::abi::ChannelEntry;
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::ready::ChannelSet;
use atoll_ipc::ring::Writer;
use atoll_ipc::server::Request;

use super::channel::goes_through_ring;
use super::endpoints::{Endpoints, with};
use super::lent::ReplyLoan;
use super::wait::{Awaited, ring_if_due, ring_now, wait};
use crate::boot;
use crate::clock::Instant;

/// How long a server waits for a client that leaves no room for its reply. After that the reply
/// is given up; the client gets [`IpcError::Exhausted`] once it reads again, and until then the
/// server waits for it no more.
const PATIENCE: Duration = Duration::from_millis(10);

/// A message that was received, and the right to reply to it, once (Hydra, L4). It may be kept
/// and answered later, in any order, while others are received.
///
/// Its payload lies in shared memory until then, and may change under a hostile client: read
/// what must not change into a buffer of your own, once.
///
/// A message that is dropped without a reply is answered for you: its client gets
/// [`IpcError::Rejected`].
#[derive(Debug)]
pub struct Message {
    channel: usize,
    /// There until it is answered.
    request: Option<Request>,
}

impl Message {
    pub(super) const fn new(channel: usize, request: Request) -> Self {
        Self { channel, request: Some(request) }
    }

    pub(super) const fn channel(&self) -> usize {
        self.channel
    }

    /// The operation that the client asks for.
    #[inline]
    pub fn operation(&self) -> u16 {
        self.request.as_ref().map_or(0, |request| request.operation())
    }

    /// Whether the client waits for a reply.
    pub fn is_call(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.is_call())
    }

    /// Whether the client has said that it no longer waits for the reply. A server that works on
    /// a message for long, or keeps it, may ask now and then, and give it up.
    pub fn is_cancelled(&self) -> bool {
        self.request.as_ref().is_some_and(|request| {
            with(|endpoints| endpoints.server(self.channel).is_cancelled(request))
        })
    }

    /// The name of the domain or gateway that sent it, as the nucleus knows it: a sender cannot
    /// choose it (RC 4000, CHORUS: the kernel stamps the sender).
    pub fn sender(&self) -> &'static str {
        let peer = &self.entry().peer;
        let length = peer.iter().position(|&b| b == 0).unwrap_or(peer.len());
        str::from_utf8(&peer[..length]).unwrap_or("?")
    }

    /// Which incarnation of its sender sent it.
    pub fn sender_epoch(&self) -> u32 {
        self.request.as_ref().map_or(0, Request::client_epoch)
    }

    /// How often it was delivered before, to incarnations that did not live to answer it: on a port
    /// with `on-crash = "redeliver"`. 0 for a first delivery. The nucleus counts, so no client can
    /// make it up; a server that may have carried a message out already can look before it does
    /// so again.
    pub fn redeliveries(&self) -> u32 {
        self.request.as_ref().map_or(0, |request| {
            with(|endpoints| endpoints.server(self.channel).redeliveries(request))
        })
    }

    /// Bytes of payload, wherever it lies.
    #[expect(clippy::len_without_is_empty, reason = "an empty message is still a message")]
    #[inline]
    pub fn len(&self) -> usize {
        match &self.request {
            Some(request) if request.len() == 0 => self.buffer_len(),
            Some(request) => request.len(),
            None => 0,
        }
    }

    /// Fills `bytes` from the payload, from `offset` on.
    ///
    /// # Panics
    /// If it asks for more than the payload, or `offset` is not a multiple of 8.
    #[inline]
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let Some(request) = &self.request else { return };
        if request.len() == 0 && request.lent.is_some() {
            return self.read_buffer(offset, bytes);
        }
        with(|endpoints| endpoints.server(self.channel).read(request, offset, bytes));
    }

    /// The payload as a vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.read(0, &mut bytes);
        bytes
    }

    /// Bytes of the buffer that the client lends with it; 0 without one.
    pub fn buffer_len(&self) -> usize {
        self.request.as_ref().and_then(|request| request.lent).map_or(0, |buffer| buffer.len())
    }

    /// Fills `bytes` from the buffer that the client lends, from `offset` on.
    ///
    /// # Panics
    /// If it asks for more than the buffer, or `offset` is not a multiple of 8.
    pub fn read_buffer(&self, offset: usize, bytes: &mut [u8]) {
        if let Some(request) = &self.request
            && request.lent.is_some()
        {
            with(|endpoints| endpoints.server(self.channel).read_lent(request, offset, bytes));
        } else {
            assert!(bytes.is_empty(), "the message came without a buffer");
        }
    }

    /// Longest reply that fits the channel, in bytes.
    pub fn max_reply(&self) -> usize {
        self.entry().layout.max_reply()
    }

    /// Answers the message (QNX `MsgReply`). A one-way message is only given back. A client that
    /// has died meanwhile gets nothing. A payload that is too long for the ring goes through a
    /// buffer of the channel, copied once on each side.
    #[inline]
    pub fn reply(mut self, payload: &[u8]) {
        let Some(request) = self.request.take() else { return };
        with(|endpoints| {
            let server = endpoints.server(self.channel);
            if goes_through_ring(payload.len(), server.max_reply(), server.max_lent()) {
                let fill = &mut |reply: &mut Writer<'_>| {
                    reply.write(0, payload);
                };
                answer(endpoints, self.channel, request, Status::Ok, payload.len(), fill);
            } else {
                answer_long(endpoints, self.channel, request, payload);
            }
        });
    }

    /// [`Message::reply`] by its name in RC 4000.
    pub fn send_answer(self, payload: &[u8]) {
        self.reply(payload);
    }

    /// Answers with a failure and no payload.
    pub fn fail(self, status: Status) {
        self.reply_with(status, 0, |_| ());
    }

    /// Answers with a payload of `length` bytes that is written in place, in the ring. One that
    /// is longer than the ring carries becomes [`Status::Exhausted`].
    pub fn reply_with(
        mut self,
        status: Status,
        length: usize,
        mut fill: impl FnMut(&mut Writer<'_>),
    ) {
        if let Some(request) = self.request.take() {
            with(|endpoints| {
                answer(endpoints, self.channel, request, status, length, &mut fill);
            });
        }
    }

    /// A buffer of `length` bytes, to be filled in place and sent with the reply.
    ///
    /// # Errors
    /// The message comes back: the channel's pool cannot hold the buffer, or not while its client
    /// reads nothing.
    pub fn lend(self, length: usize) -> Result<ReplyLoan, (Self, IpcError)> {
        let channel = self.channel;
        let lent = with(|endpoints| {
            let attempt = |endpoints: &mut Endpoints| endpoints.server(channel).lend(length);
            wait_for_room(endpoints, channel, attempt)
        });
        match lent {
            Ok(loan) => Ok(ReplyLoan::new(self, loan)),
            Err(error) => Err((self, error)),
        }
    }

    pub(super) fn answer_lent(&mut self, loan: atoll_ipc::lend::Loan, payload: &[u8]) {
        if let Some(request) = self.request.take() {
            with(|endpoints| answer_lent(endpoints, self.channel, request, loan, payload));
        }
    }

    fn entry(&self) -> &'static ChannelEntry {
        &boot::channels()[self.channel]
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            with(|endpoints| {
                answer(endpoints, self.channel, request, Status::Dropped, 0, &mut |_| ());
            });
        }
    }
}

type Fill<'f> = &'f mut dyn FnMut(&mut Writer<'_>);

#[inline]
fn answer(
    endpoints: &mut Endpoints,
    channel: usize,
    request: Request,
    status: Status,
    length: usize,
    fill: &mut impl FnMut(&mut Writer<'_>),
) {
    let server = endpoints.server(channel);
    match server.reply(request, status, length, &mut *fill) {
        Ok(()) => (),
        Err((request, error)) => {
            answer_late(endpoints, channel, request, status, length, error, fill);
        }
    }
    // It may have had as many requests in service as it can.
    endpoints.watch(channel);
    ring_if_due(endpoints, channel);
}

/// The reply did not go out at once.
#[cold]
fn answer_late(
    endpoints: &mut Endpoints,
    channel: usize,
    request: Request,
    status: Status,
    length: usize,
    error: IpcError,
    fill: Fill<'_>,
) {
    match error {
        IpcError::TooLarge => endpoints.server(channel).owe(request, Status::Exhausted),
        IpcError::Full => {
            let mut left = Some(request);
            let replied = wait_for_room(endpoints, channel, |endpoints| {
                let request = left.take().ok_or(IpcError::Protocol)?;
                let reply = endpoints.server(channel).reply(request, status, length, &mut *fill);
                reply.map_err(|(request, error)| {
                    left = Some(request);
                    error
                })
            });
            if let (Err(error), Some(request)) = (replied, left) {
                give_up(endpoints, channel, request, error);
            }
        }
        // The client died, or broke the protocol: nobody can be told.
        _ => endpoints.server(channel).forget(request),
    }
}

fn give_up(endpoints: &mut Endpoints, channel: usize, request: Request, error: IpcError) {
    let server = endpoints.server(channel);
    if error == IpcError::Timeout {
        server.owe(request, Status::Exhausted);
    } else {
        server.forget(request);
    }
}

/// A payload that is too long for the ring.
#[cold]
fn answer_long(endpoints: &mut Endpoints, channel: usize, request: Request, payload: &[u8]) {
    let lent = wait_for_room(endpoints, channel, |endpoints| {
        endpoints.server(channel).lend(payload.len())
    });
    match lent {
        Ok(loan) => {
            endpoints.server(channel).fill(&loan, 0, payload);
            answer_lent(endpoints, channel, request, loan, &[]);
        }
        Err(_) => {
            endpoints.server(channel).owe(request, Status::Exhausted);
            endpoints.watch(channel);
            ring_if_due(endpoints, channel);
        }
    }
}

fn answer_lent(
    endpoints: &mut Endpoints,
    channel: usize,
    request: Request,
    loan: atoll_ipc::lend::Loan,
    payload: &[u8],
) {
    let mut left = Some((request, loan));
    let replied = wait_for_room(endpoints, channel, |endpoints| {
        let (request, loan) = left.take().ok_or(IpcError::Protocol)?;
        let reply = endpoints.server(channel).reply_lent(request, loan, payload);
        reply.map_err(|(request, loan, error)| {
            left = Some((request, loan));
            error
        })
    });
    if let (Err(error), Some((request, loan))) = (replied, left) {
        endpoints.server(channel).give_back(loan);
        give_up(endpoints, channel, request, error);
    }
    endpoints.watch(channel);
    ring_if_due(endpoints, channel);
}

/// How long it waits for one that has not noticed yet that this is another incarnation: on a busy
/// host, it may not have had a processor.
const COURTESY: Duration = Duration::from_secs(1);

/// Does something that needs room in the reply ring or pool, and waits a little for the client to
/// make some.
fn wait_for_room<T>(
    endpoints: &mut Endpoints,
    channel: usize,
    attempt: impl FnMut(&mut Endpoints) -> Result<T, IpcError>,
) -> Result<T, IpcError> {
    ring_now(endpoints, channel);
    // Who is owed failures already has shown that it does not read.
    let server = endpoints.server(channel);
    let patience = match (server.owes(), server.is_known()) {
        (true, _) => Duration::ZERO,
        (false, true) => PATIENCE,
        (false, false) => COURTESY,
    };
    let deadline = Instant::now().after(patience);
    wait(endpoints, Some(deadline), ChannelSet::EMPTY, ForRoom { channel, attempt })
        .unwrap_or(Err(IpcError::Timeout))
}

struct ForRoom<F> {
    channel: usize,
    attempt: F,
}

impl<T, F: FnMut(&mut Endpoints) -> Result<T, IpcError>> Awaited for ForRoom<F> {
    type Found = Result<T, IpcError>;

    const HEEDS_CLIENTS: bool = false;

    fn peek(&self, _: &mut Endpoints) -> bool {
        // What the client has released costs a cache miss to learn, so look rarely.
        false
    }

    fn look(&mut self, endpoints: &mut Endpoints) -> Option<Self::Found> {
        match (self.attempt)(endpoints) {
            Err(IpcError::Full) if endpoints.server(self.channel).client_is_gone() => {
                Some(Err(IpcError::PeerGone))
            }
            Err(IpcError::Full) => None,
            done => Some(done),
        }
    }

    fn declare_asleep(&self, endpoints: &mut Endpoints) {
        endpoints.server(self.channel).declare_starved();
        endpoints.declare_asleep();
    }

    fn declare_awake(&self, endpoints: &mut Endpoints) {
        endpoints.declare_awake();
    }
}
