//! The half of a client stub that is the same for every interface.

use core::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::identity::check;
use super::payload::{decoded, encoded};
use super::{BindError, Caller, Interface, Payload};
use crate::message::IpcError;

/// How often a stub repeats one call after the server has died of it or during it. A request
/// that has met so many deaths is likelier their cause than their victim.
pub const RETRIES_MAX: u32 = 4;

/// What a caller does about the server's death with its request in hand, when the operation may
/// or may not have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRestart {
    /// Learn of it: the call fails with [`IpcError::PeerRestarted`].
    Fail,
    /// Ask the next incarnation, at most [`RETRIES_MAX`] times: the caller knows that carrying
    /// the operation out twice does no harm here.
    Retry,
}

/// A bound channel. What [`interface!`](crate::interface!) generates is a thin typed face of it.
#[derive(Debug)]
pub struct Stub<C> {
    channel: C,
    timeout: Option<Duration>,
}

impl<C: Caller> Stub<C> {
    /// Binds to a channel whose other end speaks exactly `wanted`.
    ///
    /// # Errors
    /// If it speaks something else.
    pub fn bind(channel: C, wanted: &'static Interface) -> Result<Self, BindError> {
        check(channel.channel_name(), wanted, channel.peer_interface())?;
        Ok(Self { channel, timeout: None })
    }

    /// Every call, its retries included, takes at most this long.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The channel.
    pub fn channel(&mut self) -> &mut C {
        &mut self.channel
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// What became of the call; [`IpcError::Rejected`] if the arguments have no encoding.
    #[inline]
    pub fn call<A: Serialize, T>(
        &mut self,
        operation: u16,
        on_restart: OnRestart,
        arguments: &A,
        read: impl FnOnce(&[u8]) -> Result<T, IpcError>,
    ) -> Result<T, IpcError> {
        encoded(arguments, |request| match request {
            Some(request) => self.call_encoded(operation, on_restart, request, read),
            None => Err(IpcError::Rejected),
        })
    }

    /// Sends a message that has no reply.
    ///
    /// # Errors
    /// Why it was not sent; [`IpcError::Rejected`] if the arguments have no encoding.
    #[inline]
    pub fn send<A: Serialize>(&mut self, operation: u16, arguments: &A) -> Result<(), IpcError> {
        let deadline = self.deadline();
        encoded(arguments, |message| match message {
            Some(message) => self.channel.send(operation, message, deadline),
            None => Err(IpcError::Rejected),
        })
    }

    #[inline]
    fn call_encoded<T>(
        &mut self,
        operation: u16,
        on_restart: OnRestart,
        request: Payload<'_>,
        read: impl FnOnce(&[u8]) -> Result<T, IpcError>,
    ) -> Result<T, IpcError> {
        let deadline = self.deadline();
        let mut read = Some(read);
        let mut retries = match on_restart {
            OnRestart::Fail => 0,
            OnRestart::Retry => RETRIES_MAX,
        };
        loop {
            // A call that succeeds is the last one, so the reader is still there for it.
            let read = |reply: &[u8]| read.take().map_or(Err(IpcError::Protocol), |r| r(reply));
            match self.channel.call(operation, request, deadline, read) {
                Ok(outcome) => return outcome,
                Err(IpcError::PeerRestarted) if retries > 0 => retries -= 1,
                Err(error) => return Err(error),
            }
            if deadline.is_some_and(|deadline| self.channel.now() >= deadline) {
                return Err(IpcError::Timeout);
            }
        }
    }

    #[inline]
    fn deadline(&self) -> Option<Duration> {
        self.timeout.map(|timeout| self.channel.now().saturating_add(timeout))
    }
}

/// Decodes a reply.
///
/// # Errors
/// [`IpcError::Protocol`] if the bytes are not the encoding of a `T` and nothing else.
#[inline]
pub fn reply<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, IpcError> {
    decoded(bytes).ok_or(IpcError::Protocol)
}

/// Decodes a reply that borrows from its bytes.
///
/// # Errors
/// As [`reply`].
#[inline]
pub fn loan<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, IpcError> {
    decoded(bytes).ok_or(IpcError::Protocol)
}
