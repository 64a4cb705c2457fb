//! Answers to calls.

use alloc::vec::Vec;

use atoll_ipc::calls::{Kept, Outcome};
use atoll_ipc::client::Reply as InRing;
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::record::Short;

use super::body::Body;
use super::channel::Channel;
use super::endpoints::{Endpoints, with};
use super::lent::LentReply;

/// A call's reply: a copy that the server cannot change.
#[derive(Debug)]
pub struct Reply(Body);

impl Reply {
    #[inline(always)]
    pub(super) const fn register(short: Short) -> Self {
        Self(Body::Register(short))
    }

    /// The answer.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The answer, taken.
    pub fn into_payload(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

/// A call's outcome, whose reply may still lie in the ring.
pub(super) struct Answer(pub(super) Outcome);

impl Answer {
    /// The reply as a copy; its room in the ring is given back.
    #[inline]
    pub(super) fn copy(self, channel: Channel) -> Result<Reply, IpcError> {
        match self.0 {
            Outcome::Reply(reply) => with(|endpoints| copy(endpoints, channel, reply)),
            Outcome::Kept(kept) => keep(kept),
            Outcome::Short(status, short) => checked(status, Body::Register(short)),
        }
    }

    /// The reply where it lies.
    pub(super) fn borrow(self, channel: Channel) -> Result<LentReply, IpcError> {
        match self.0 {
            Outcome::Short(status, short) => {
                let kept = Kept { status, payload: short.bytes().into(), lent: None };
                status.error().map_or_else(|| Ok(LentReply::kept(kept)), Err)
            }
            Outcome::Kept(kept) => match kept.status.error() {
                Some(error) => Err(error),
                None => Ok(LentReply::kept(kept)),
            },
            Outcome::Reply(reply) => match reply.status.error() {
                Some(error) => {
                    with(|endpoints| endpoints.calls(channel.0).client_mut().release(reply));
                    Err(error)
                }
                None => Ok(LentReply::in_place(channel, reply)),
            },
        }
    }
}

#[inline]
fn copy(endpoints: &mut Endpoints, channel: Channel, reply: InRing) -> Result<Reply, IpcError> {
    let client = endpoints.calls(channel.0).client_mut();
    let mut result = Ok(());
    let body = match reply.lent {
        // The payload was too long for the ring.
        Some(buffer) if reply.len() == 0 => {
            Body::read(buffer.len(), |bytes| result = client.read_lent(&reply, 0, bytes))
        }
        _ => Body::read(reply.len(), |bytes| client.read(&reply, 0, bytes)),
    };
    let status = reply.status;
    client.release(reply);
    result?;
    checked(status, body)
}

fn keep(kept: Kept) -> Result<Reply, IpcError> {
    let bytes = match kept.lent {
        Some(buffer) if kept.payload.is_empty() => buffer,
        _ => kept.payload,
    };
    checked(kept.status, Body::Long(bytes))
}

#[inline]
fn checked(status: Status, body: Body) -> Result<Reply, IpcError> {
    status.error().map_or(Ok(Reply(body)), Err)
}
