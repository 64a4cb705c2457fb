//! Buffers that change hands without a copy.
//!
//! A buffer lies in memory that both ends of a channel have mapped, and its former owner could
//! still write it. So it is never lent out as a Rust slice: it is filled and read piece by piece,
//! each byte at most once, and what a reader must rely on it copies.

use alloc::boxed::Box;

use atoll_ipc::calls::Kept;
use atoll_ipc::client::Reply as InRing;
use atoll_ipc::message::IpcError;
use atoll_ipc::record::RequestKind;

use super::channel::{Channel, Pending};
use super::endpoints::with;
use super::message::Message;
use super::reply::Reply;
use super::wait::ring_if_due;
use crate::clock::Instant;

/// A buffer to be filled and sent to a channel's server. One that is dropped goes back.
#[derive(Debug)]
pub struct Loan {
    channel: Channel,
    /// There until it is sent.
    loan: Option<atoll_ipc::lend::Loan>,
}

impl Loan {
    pub(super) const fn of_client(channel: Channel, loan: atoll_ipc::lend::Loan) -> Self {
        Self { channel, loan: Some(loan) }
    }

    /// The channel that it can be sent through.
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// Its bytes.
    #[expect(clippy::len_without_is_empty, reason = "nobody borrows nothing")]
    pub fn len(&self) -> usize {
        self.loan.as_ref().map_or(0, atoll_ipc::lend::Loan::len)
    }

    /// Writes a part of it.
    ///
    /// # Panics
    /// If the part reaches beyond the buffer, or `offset` is not a multiple of 8.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(loan) = &self.loan {
            with(|endpoints| endpoints.calls(self.channel.0).client().fill(loan, offset, bytes));
        }
    }

    /// Calls with the buffer, and a short payload beside it. The buffer is the server's until it
    /// has answered.
    ///
    /// # Errors
    /// As [`Channel::call`].
    pub fn call(
        mut self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Reply, IpcError> {
        let channel = self.channel;
        let Some(loan) = self.loan.take() else { return Err(IpcError::NotFound) };
        let answer = with(|endpoints| {
            let ticket = channel.send_loan(
                endpoints,
                RequestKind::Call,
                operation,
                loan,
                payload,
                deadline,
            )?;
            channel.finish(endpoints, ticket, deadline)
        })?;
        answer.copy(channel)
    }

    /// Calls with the buffer, and goes on; the answer is [waited for](Pending::wait_answer) later.
    ///
    /// # Errors
    /// As [`Channel::send_message`].
    pub fn send_message(
        mut self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Pending, IpcError> {
        let channel = self.channel;
        let Some(loan) = self.loan.take() else { return Err(IpcError::NotFound) };
        with(|endpoints| {
            let kind = RequestKind::Call;
            let sent = channel.send_loan(endpoints, kind, operation, loan, payload, deadline);
            ring_if_due(endpoints, channel.0);
            sent.map(|ticket| Pending::new(channel, ticket))
        })
    }

    /// Sends the buffer one-way. It comes back when the server gives the message up.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send(
        mut self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), IpcError> {
        let channel = self.channel;
        let Some(loan) = self.loan.take() else { return Err(IpcError::NotFound) };
        with(|endpoints| {
            let sent =
                channel.send_loan(endpoints, RequestKind::Send, operation, loan, payload, deadline);
            ring_if_due(endpoints, channel.0);
            sent.map(drop)
        })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(loan) = self.loan.take() {
            with(|endpoints| endpoints.calls(self.channel.0).client_mut().give_back(loan));
        }
    }
}

/// A buffer to be filled and sent with a reply. One that is dropped with its message unanswered
/// goes back.
#[derive(Debug)]
pub struct ReplyLoan {
    message: Message,
    loan: Option<atoll_ipc::lend::Loan>,
}

impl ReplyLoan {
    pub(super) const fn new(message: Message, loan: atoll_ipc::lend::Loan) -> Self {
        Self { message, loan: Some(loan) }
    }

    /// The message that it will answer.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Writes a part of it.
    ///
    /// # Panics
    /// If the part reaches beyond the buffer, or `offset` is not a multiple of 8.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(loan) = &self.loan {
            let channel = self.message.channel();
            with(|endpoints| endpoints.server(channel).fill(loan, offset, bytes));
        }
    }

    /// Answers with the buffer, and a short payload beside it. The buffer is the client's until it
    /// has read the reply.
    pub fn reply(mut self, payload: &[u8]) {
        if let Some(loan) = self.loan.take() {
            self.message.answer_lent(loan, payload);
        }
    }
}

impl Drop for ReplyLoan {
    fn drop(&mut self) {
        if let Some(loan) = self.loan.take() {
            with(|endpoints| endpoints.server(self.message.channel()).give_back(loan));
        }
    }
}

/// A reply that stays where the server put it, until it is dropped.
#[derive(Debug)]
pub struct LentReply(Place);

#[derive(Debug)]
enum Place {
    Ring {
        channel: Channel,
        /// There until it is released.
        reply: Option<InRing>,
    },
    Kept(Kept),
}

impl LentReply {
    pub(super) const fn in_place(channel: Channel, reply: InRing) -> Self {
        Self(Place::Ring { channel, reply: Some(reply) })
    }

    pub(super) const fn kept(kept: Kept) -> Self {
        Self(Place::Kept(kept))
    }

    /// Bytes of the buffer; 0 if the server lent none.
    pub fn buffer_len(&self) -> usize {
        match &self.0 {
            Place::Ring { reply, .. } => {
                reply.as_ref().and_then(|reply| reply.lent).map_or(0, |buffer| buffer.len())
            }
            Place::Kept(kept) => kept.lent.as_ref().map_or(0, |bytes| bytes.len()),
        }
    }

    /// Fills `bytes` from the buffer.
    ///
    /// # Errors
    /// [`IpcError::PeerRestarted`] if the server died meanwhile: then the buffer is its
    /// successor's, and what was read means nothing.
    ///
    /// # Panics
    /// If it asks for more than the buffer, or `offset` is not a multiple of 8.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IpcError> {
        match &self.0 {
            Place::Ring { channel, reply: Some(reply) } => with(|endpoints| {
                endpoints.calls(channel.0).client().read_lent(reply, offset, bytes)
            }),
            Place::Ring { reply: None, .. } => Err(IpcError::NotFound),
            Place::Kept(kept) => {
                let kept: &[u8] = kept.lent.as_deref().unwrap_or_default();
                bytes.copy_from_slice(&kept[offset..offset + bytes.len()]);
                Ok(())
            }
        }
    }

    /// The payload beside the buffer, as a copy.
    pub fn payload(&self) -> Box<[u8]> {
        match &self.0 {
            Place::Ring { channel, reply: Some(reply) } => {
                let mut bytes = alloc::vec![0; reply.len()].into_boxed_slice();
                with(|endpoints| endpoints.calls(channel.0).client().read(reply, 0, &mut bytes));
                bytes
            }
            Place::Ring { reply: None, .. } => Box::default(),
            Place::Kept(kept) => kept.payload.clone(),
        }
    }
}

impl Drop for LentReply {
    fn drop(&mut self) {
        if let Place::Ring { channel, reply } = &mut self.0
            && let Some(reply) = reply.take()
        {
            with(|endpoints| {
                endpoints.calls(channel.0).client_mut().release(reply);
                ring_if_due(endpoints, channel.0);
            });
        }
    }
}
