//! Serving while an answer is waited for: whichever comes first, the next message or that.
//!
//! For a server whose clients wait for what it has asked of others. It needs no thread for each of
//! them (RC 4000: *wait event*), and goes on with what comes meanwhile.

use atoll_ipc::message::IpcError;
use atoll_ipc::ready::ChannelSet;

use super::channel::{ForAnswer, Pending};
use super::endpoints::{Endpoints, with};
use super::message::Message;
use super::port::{Event, ForMessage, Port};
use super::reply::{Answer, Reply};
use super::wait::{Awaited, wait};
use crate::clock::Instant;
use crate::ready;

/// What came first.
#[derive(Debug)]
pub enum Arrival {
    /// A message, at a port.
    Message(Port, Message),
    /// The answer, as from [`Pending::wait_answer`].
    Answer(Result<Reply, IpcError>),
}

/// Waits for a message on any of the ports, as [`receive_any`](super::receive_any) does, or for the
/// answer to a call that is under way; until a deadline if there is one. The answer goes before
/// messages, and once it is here, nothing is under way any more.
pub fn receive_any_or_answer(
    ports: &[Port],
    pending: &mut Pending,
    deadline: Option<Instant>,
) -> Option<Arrival> {
    ready::at_first_wait();
    let Some(answer) = pending.awaited() else {
        return Some(Arrival::Answer(Err(IpcError::NotFound)));
    };
    let either = Either { answer, message: ForMessage::on(ports) };
    match with(|endpoints| wait(endpoints, deadline, ChannelSet::EMPTY, either))? {
        Found::Message(port, message) => Some(Arrival::Message(port, message)),
        Found::Answer(answer) => Some(Arrival::Answer(pending.conclude(answer))),
    }
}

struct Either<'p> {
    answer: ForAnswer,
    message: ForMessage<'p>,
}

enum Found {
    Message(Port, Message),
    Answer(Result<Answer, IpcError>),
}

impl Awaited for Either<'_> {
    type Found = Found;

    const HEEDS_CLIENTS: bool = true;

    fn peek(&self, endpoints: &mut Endpoints) -> bool {
        self.answer.peek(endpoints) || self.message.peek(endpoints)
    }

    fn look(&mut self, endpoints: &mut Endpoints) -> Option<Found> {
        if let Some(answer) = self.answer.look(endpoints) {
            return Some(Found::Answer(answer));
        }
        match self.message.look(endpoints)? {
            (port, Event::Message(message)) => Some(Found::Message(port, message)),
            (_, Event::Notified(_)) => None,
        }
    }

    fn declare_asleep(&self, endpoints: &mut Endpoints) {
        self.message.declare_asleep(endpoints);
        self.answer.declare_asleep(endpoints);
    }

    fn declare_awake(&self, endpoints: &mut Endpoints) {
        self.answer.declare_awake(endpoints);
        self.message.declare_awake(endpoints);
    }
}
