//! Typed interfaces over channels and messages: see [`atoll_ipc::interface`].

use alloc::vec;
use core::time::Duration;

use atoll_ipc::abi::Name;
use atoll_ipc::interface::{Answerable, Caller, Interface, Payload};
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::record::SHORT;

use super::channel::Channel;
use super::message::Message;
use crate::clock::{self, Instant};

impl Caller for Channel {
    fn channel_name(&self) -> Name {
        self.entry().name
    }

    fn peer_interface(&self) -> Interface {
        self.entry().interface
    }

    fn now(&self) -> Duration {
        clock::uptime()
    }

    #[inline]
    fn call<T>(
        &mut self,
        operation: u16,
        request: Payload<'_>,
        deadline: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError> {
        let deadline = deadline.map(Instant::at_uptime);
        match request {
            Payload::Bytes(bytes) => self.call_with(operation, bytes, deadline, read),
            Payload::Encode { length, encode } => {
                let mut bytes = vec![0; length];
                encode(&mut bytes);
                self.call_with(operation, &bytes, deadline, read)
            }
        }
    }

    #[inline]
    fn send(
        &mut self,
        operation: u16,
        message: Payload<'_>,
        deadline: Option<Duration>,
    ) -> Result<(), IpcError> {
        let deadline = deadline.map(Instant::at_uptime);
        match message {
            Payload::Bytes(bytes) => Self::send(*self, operation, bytes, deadline),
            Payload::Encode { length, encode } => {
                let mut bytes = vec![0; length];
                encode(&mut bytes);
                Self::send(*self, operation, &bytes, deadline)
            }
        }
    }
}

impl Answerable for Message {
    #[inline]
    fn operation(&self) -> u16 {
        Self::operation(self)
    }

    #[inline]
    fn with_payload<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        let length = self.len();
        if length > SHORT {
            return read(&self.to_vec());
        }
        let mut bytes = [0; SHORT];
        let bytes = &mut bytes[..length];
        self.read(0, bytes);
        read(bytes)
    }

    #[inline]
    fn answer(self, status: Status, reply: Payload<'_>) {
        match (status, reply) {
            (Status::Ok, Payload::Bytes(bytes)) => self.reply(bytes),
            (Status::Ok, Payload::Encode { length, encode }) => {
                let mut bytes = vec![0; length];
                encode(&mut bytes);
                self.reply(&bytes);
            }
            (status, _) => self.fail(status),
        }
    }
}
