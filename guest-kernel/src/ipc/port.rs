//! Receiving: ports, and the messages that arrive on them.

use alloc::vec;
use alloc::vec::Vec;

use atoll_ipc::abi::ChannelEntry;
use atoll_ipc::channel::Replies;
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::ring::Reservation;
use atoll_ipc::server::{Request, Server};

use super::endpoints::{Endpoint, Endpoints, with};
use super::wait::{ring, wait};
use crate::boot;
use crate::clock::Instant;

type Region = atoll_ipc::channel::Mapped<'static>;

/// A named receive endpoint of this domain (CHORUS). Any number of channels lead to it.
///
/// Made by the [`server!`](crate::server!) macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(u32);

impl Port {
    #[doc(hidden)]
    pub const fn __new(index: u32) -> Self {
        Self(index)
    }

    /// Waits for the next message (QNX `MsgReceive`, RC 4000 `wait message`).
    pub fn receive(self) -> Message {
        loop {
            if let Some((_, message)) = receive_any(&[self], None) {
                return message;
            }
        }
    }

    /// Waits for the next message or for notifications, whichever comes first (seL4: a bound
    /// notification; QNX: a pulse on the channel), until a deadline if there is one.
    pub fn event(self, deadline: Option<Instant>) -> Option<Event> {
        wait(deadline, |endpoints| {
            let bits = collect(endpoints, self);
            if bits != 0 {
                return Some(Event::Notified(bits));
            }
            next(endpoints, self).map(Event::Message)
        })
    }

    /// Waits for the next message until a deadline.
    pub fn receive_until(self, deadline: Instant) -> Option<Message> {
        receive_any(&[self], Some(deadline)).map(|(_, message)| message)
    }
}

/// What arrives at a port.
#[derive(Debug)]
pub enum Event {
    /// A message.
    Message(Message),
    /// Bits that clients have raised since the last time; those of all clients coalesce.
    Notified(u64),
}

/// Notification bits that the clients of a port have raised; collecting clears them.
fn collect(endpoints: &mut Endpoints, port: Port) -> u64 {
    let mut bits = 0;
    for (endpoint, entry) in endpoints.all.iter_mut().zip(boot::channels()) {
        if let Endpoint::Server(server) = endpoint
            && entry.port == port.0
        {
            bits |= server.collect_notifications();
        }
    }
    bits
}

/// Waits for a message on any of the ports. A port that stands before another in `ports` goes
/// before it; among the channels of one port, each gets its turn.
pub fn receive_any(ports: &[Port], deadline: Option<Instant>) -> Option<(Port, Message)> {
    wait(deadline, |endpoints| ports.iter().find_map(|&port| Some((port, next(endpoints, port)?))))
}

fn next(endpoints: &mut Endpoints, port: Port) -> Option<Message> {
    let count = endpoints.all.len();
    for step in 0..count {
        let channel = (endpoints.turn + step) % count;
        let Endpoint::Server(server) = &mut endpoints.all[channel] else { continue };
        if boot::channels()[channel].port != port.0 || !server.is_ready() {
            continue;
        }
        // A client that breaks the protocol has lost its own messages, and nothing else.
        if let Ok(Some(request)) = server.poll() {
            endpoints.turn = channel + 1;
            return Some(Message { channel, request: Some(request) });
        }
    }
    None
}

/// A message that was received, and the right to reply to it, once (Hydra, L4).
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
    /// The operation that the client asks for.
    pub fn operation(&self) -> u16 {
        self.request.as_ref().map_or(0, |request| request.operation)
    }

    /// Whether the client waits for a reply.
    pub fn is_call(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.is_call)
    }

    /// The name of the domain or gateway that sent it, as the nucleus knows it: a sender cannot
    /// choose it.
    pub fn sender(&self) -> &'static str {
        let peer = &self.entry().peer;
        let length = peer.iter().position(|&b| b == 0).unwrap_or(peer.len());
        str::from_utf8(&peer[..length]).unwrap_or("?")
    }

    /// Which incarnation of its sender sent it.
    pub fn sender_epoch(&self) -> u32 {
        self.request.as_ref().map_or(0, Request::client_epoch)
    }

    /// Bytes of payload.
    #[expect(clippy::len_without_is_empty, reason = "an empty message is still a message")]
    pub fn len(&self) -> usize {
        self.request.as_ref().map_or(0, Request::len)
    }

    /// Fills `bytes` from the payload, from `offset` on.
    ///
    /// # Panics
    /// If it asks for more than the payload, or `offset` is not a multiple of 8.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        if let Some(request) = &self.request {
            with(|endpoints| server(endpoints, self.channel).read(request, offset, bytes));
        }
    }

    /// The payload as a vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.read(0, &mut bytes);
        bytes
    }

    /// Longest reply that fits the channel, in bytes.
    pub fn max_reply(&self) -> usize {
        self.entry().layout().max_reply()
    }

    /// Answers the message (QNX `MsgReply`, RC 4000 `send answer`). A one-way message is only
    /// given back. A client that has died meanwhile gets nothing.
    pub fn reply(self, payload: &[u8]) {
        self.reply_with(Status::Ok, payload.len(), |reply| reply.write(0, payload));
    }

    /// Answers with a failure and no payload.
    pub fn fail(self, status: Status) {
        self.reply_with(status, 0, |_| ());
    }

    /// Answers with a payload of `length` bytes that is written in place. One that is longer
    /// than the channel carries becomes [`Status::Exhausted`].
    pub fn reply_with(
        mut self,
        status: Status,
        length: usize,
        mut fill: impl FnMut(&mut Reservation<'_, Replies<Region>>),
    ) {
        let request = self.request.take();
        if let Some(request) = request {
            answer(self.channel, request, status, length, &mut fill);
        }
    }

    fn entry(&self) -> &'static ChannelEntry {
        &boot::channels()[self.channel]
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            answer(self.channel, request, Status::Dropped, 0, &mut |_| ());
        }
    }
}

fn server(endpoints: &mut Endpoints, channel: usize) -> &mut Server<Region> {
    match &mut endpoints.all[channel] {
        Endpoint::Server(server) => server,
        Endpoint::Client(_) => unreachable!("messages are received on servers' ends only"),
    }
}

fn answer(
    channel: usize,
    request: Request,
    status: Status,
    length: usize,
    fill: &mut impl FnMut(&mut Reservation<'_, Replies<Region>>),
) {
    let mut next = Some((request, status, length));
    // Waits while the client leaves no room for the reply.
    wait(None, |endpoints| {
        let (request, status, length) = next.take()?;
        let server = server(endpoints, channel);
        match server.reply(request, status, length, &mut *fill) {
            Ok(()) => return Some(()),
            Err((request, IpcError::TooLarge)) => next = Some((request, Status::Exhausted, 0)),
            Err((request, IpcError::Full)) if !server.client_is_gone() => {
                server.declare_starved();
                next = Some((request, status, length));
            }
            // The client died, or broke the protocol: nobody can be told.
            Err((request, _)) => {
                server.forget(request);
                return Some(());
            }
        }
        None
    });
    ring(with(Endpoints::published));
}
