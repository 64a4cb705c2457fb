//! Round trips through the two ends of a channel, in the form that calls use: an exchange in one
//! cache line if the payload is short, a record in each ring otherwise. There is no book of calls,
//! no deadline and no sleep.

use atoll_ipc::client::{Client, ClientEvent};
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::record::{RequestKind, SHORT};
use atoll_ipc::server::Server;

use super::super::system::Told;
use super::Meeting;
use crate::bench::atoll::clock::timed;
use crate::channel::ChannelMemory;

/// It does not matter which.
const OPERATION: u16 = 1;

/// Answers each request with its payload until the other side ends.
pub(super) fn serve(memory: &ChannelMemory, size: usize, meeting: &Meeting) {
    let mut server = Server::attach(memory.clone());
    let mut payload = vec![0; size];
    meeting.open();
    while meeting.wait_until(|| server.has_request()) {
        let request = match server.poll() {
            Ok(Some(request)) => request,
            Ok(None) => continue,
            // The other side is told by this one's end.
            Err(_) => return,
        };
        server.read(&request, 0, &mut payload);
        let replied = server.reply(request, Status::Ok, payload.len(), |w| w.write(0, &payload));
        // Nobody sleeps here; but asking is part of what a message costs.
        let _ = server.must_kick();
        if replied.is_err() {
            return;
        }
    }
}

/// Times round trips of numbered messages, each checked.
pub(super) fn ask(
    memory: &ChannelMemory,
    size: usize,
    millis: u32,
    meeting: &Meeting,
) -> Result<Told, IpcError> {
    if !meeting.wait_until(|| meeting.is_open()) {
        return Err(IpcError::PeerGone);
    }
    let mut client = Client::attach(memory.clone());
    let (mut payload, mut reply) = (vec![7; size], vec![0; size]);
    timed(millis, |number: u64| {
        if let Some(stamp) = payload.first_chunk_mut() {
            *stamp = number.to_le_bytes();
        }
        if size <= SHORT {
            exchange(&mut client, &payload, meeting)
        } else {
            call(&mut client, &payload, &mut reply, meeting)
        }
    })
}

#[inline(always)]
fn exchange(
    client: &mut Client<ChannelMemory>,
    payload: &[u8],
    meeting: &Meeting,
) -> Result<(), IpcError> {
    let ticket = client.exchange(OPERATION, payload.len(), |w| w.write(0, payload))?;
    let _ = client.must_kick();
    if !meeting.wait_until(|| client.has_answer(ticket)) {
        return Err(IpcError::PeerGone);
    }
    match client.answer(ticket)? {
        Some((Status::Ok, short)) if short.bytes() == payload => Ok(()),
        _ => Err(IpcError::Protocol),
    }
}

#[inline(always)]
fn call(
    client: &mut Client<ChannelMemory>,
    payload: &[u8],
    reply: &mut [u8],
    meeting: &Meeting,
) -> Result<(), IpcError> {
    let ticket =
        client.request(RequestKind::Call, OPERATION, payload.len(), |r| r.write(0, payload))?;
    let _ = client.must_kick();
    if !meeting.wait_until(|| client.has_reply()) {
        return Err(IpcError::PeerGone);
    }
    match client.poll()? {
        Some(ClientEvent::Reply(answer))
            if answer.token == ticket.token() && answer.len() == payload.len() =>
        {
            client.read(&answer, 0, reply);
            client.release(answer);
            if reply == payload { Ok(()) } else { Err(IpcError::Protocol) }
        }
        _ => Err(IpcError::Protocol),
    }
}
