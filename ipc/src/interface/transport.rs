//! What stubs and dispatch ask of the channel beneath them.

use core::time::Duration;

use super::{Interface, Payload};
use crate::abi::Name;
use crate::message::{IpcError, Status};

/// A channel, as its client sees it.
pub trait Caller {
    /// The channel's name, for messages about it.
    fn channel_name(&self) -> Name;

    /// What the port at the other end speaks. The nucleus says so, not the peer.
    fn peer_interface(&self) -> Interface;

    /// Time on the clock that deadlines are read by; it never goes back.
    fn now(&self) -> Duration;

    /// Requests an operation and waits for its reply until `deadline` (a time on [`now`]'s
    /// clock; `None`: for ever). `read` gets a copy of the reply that the peer cannot change; it
    /// is called only for a call that succeeds.
    ///
    /// # Errors
    /// Whatever became of the call.
    ///
    /// [`now`]: Caller::now
    fn call<T>(
        &mut self,
        operation: u16,
        request: Payload<'_>,
        deadline: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError>;

    /// Sends a message that has no reply; waits for room until `deadline`.
    ///
    /// # Errors
    /// Why it was not sent.
    fn send(
        &mut self,
        operation: u16,
        message: Payload<'_>,
        deadline: Option<Duration>,
    ) -> Result<(), IpcError>;
}

impl<C: Caller> Caller for &mut C {
    fn channel_name(&self) -> Name {
        (**self).channel_name()
    }

    fn peer_interface(&self) -> Interface {
        (**self).peer_interface()
    }

    fn now(&self) -> Duration {
        (**self).now()
    }

    #[inline]
    fn call<T>(
        &mut self,
        operation: u16,
        request: Payload<'_>,
        deadline: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError> {
        (**self).call(operation, request, deadline, read)
    }

    #[inline]
    fn send(
        &mut self,
        operation: u16,
        message: Payload<'_>,
        deadline: Option<Duration>,
    ) -> Result<(), IpcError> {
        (**self).send(operation, message, deadline)
    }
}

/// A message in service.
pub trait Answerable {
    /// Which operation it asks for.
    fn operation(&self) -> u16;

    /// Lends a copy of the payload that the client cannot change any more.
    fn with_payload<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T;

    /// Ends the service with an answer. Whoever sent the message one-way gets none.
    fn answer(self, status: Status, reply: Payload<'_>);
}
