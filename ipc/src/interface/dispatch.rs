//! The half of a server's dispatch that is the same for every interface.

use serde::{Deserialize, Serialize};

use super::payload::{decoded, encoded};
use super::{Answerable, Payload};
use crate::message::Status;

/// Decodes the arguments of an operation.
///
/// # Errors
/// [`Status::Malformed`] if the bytes are not the encoding of a `T` and nothing else.
#[inline]
pub fn arguments<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Status> {
    decoded(bytes).ok_or(Status::Malformed)
}

/// Answers with what a server made of a request. A reply that has no encoding leaves the request
/// [`Status::Dropped`], and so does a refusal that calls itself [`Status::Ok`].
#[inline]
pub fn answer<R: Serialize>(message: impl Answerable, outcome: Result<R, Status>) {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(status) => {
            let status = if status == Status::Ok { Status::Dropped } else { status };
            return message.answer(status, Payload::EMPTY);
        }
    };
    encoded(&reply, |reply| match reply {
        Some(reply) => message.answer(Status::Ok, reply),
        None => message.answer(Status::Dropped, Payload::EMPTY),
    });
}
