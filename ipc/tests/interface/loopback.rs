//! A channel that leads straight back to a server of the same program.

use std::collections::VecDeque;
use std::time::Duration;

use atoll_ipc::abi::Name;
use atoll_ipc::interface::{Answerable, Caller, Interface, Payload};
use atoll_ipc::message::{IpcError, Status};

use crate::{Bench, BenchClient, Server};

/// A message in service, and where its answer goes.
pub struct Incoming<'a> {
    pub operation: u16,
    pub payload: &'a [u8],
    pub answer: &'a mut Option<(Status, Vec<u8>)>,
}

impl Answerable for Incoming<'_> {
    fn operation(&self) -> u16 {
        self.operation
    }

    fn with_payload<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(self.payload)
    }

    fn answer(self, status: Status, reply: Payload<'_>) {
        *self.answer = Some((status, bytes_of(reply)));
    }
}

/// As a transport does it, but into a scratch that holds rubbish.
fn bytes_of(payload: Payload<'_>) -> Vec<u8> {
    let mut scratch = vec![0xa5; payload.len() + 7];
    let bytes = payload.bytes_in(|length| &mut scratch[..length]);
    assert_eq!(bytes.len(), payload.len());
    bytes.to_vec()
}

pub fn serve(server: &mut Server, operation: u16, payload: &[u8]) -> (Status, Vec<u8>) {
    let mut answer = None;
    Bench::dispatch(server, Incoming { operation, payload, answer: &mut answer });
    answer.expect("each message is answered")
}

/// What becomes of a call instead of reaching the server, or after it has.
#[derive(Clone, Copy)]
pub enum Fate {
    Reached,
    /// The server dies before it takes the request.
    Lost(IpcError),
    /// The server dies with the request carried out.
    Unanswered(IpcError),
}

pub struct Loopback {
    pub server: Server,
    pub interface: Interface,
    pub fates: VecDeque<Fate>,
    pub clock: Duration,
    /// What each call takes.
    pub pace: Duration,
    pub calls: u32,
    pub deadlines: Vec<Option<Duration>>,
    /// A reply to be put in the place of the server's.
    pub forged: Option<Vec<u8>>,
    pub sent: Vec<u8>,
}

impl Default for Loopback {
    fn default() -> Self {
        Self {
            server: Server::default(),
            interface: Bench::INTERFACE,
            fates: VecDeque::new(),
            clock: Duration::from_secs(100),
            pace: Duration::ZERO,
            calls: 0,
            deadlines: Vec::new(),
            forged: None,
            sent: Vec::new(),
        }
    }
}

impl Loopback {
    pub fn with_fates(fates: impl IntoIterator<Item = Fate>) -> Self {
        Self { fates: fates.into_iter().collect(), ..Self::default() }
    }

    fn carry(
        &mut self,
        operation: u16,
        payload: Payload<'_>,
        deadline: Option<Duration>,
    ) -> Result<Vec<u8>, IpcError> {
        self.calls += 1;
        self.clock += self.pace;
        self.deadlines.push(deadline);
        self.sent = bytes_of(payload);
        let fate = self.fates.pop_front().unwrap_or(Fate::Reached);
        if let Fate::Lost(error) = fate {
            return Err(error);
        }
        let (status, reply) = serve(&mut self.server, operation, &self.sent);
        if let Fate::Unanswered(error) = fate {
            return Err(error);
        }
        match status.error() {
            None => Ok(self.forged.clone().unwrap_or(reply)),
            Some(error) => Err(error),
        }
    }
}

impl Caller for Loopback {
    fn channel_name(&self) -> Name {
        Name::new("loop")
    }

    fn peer_interface(&self) -> Interface {
        self.interface
    }

    fn now(&self) -> Duration {
        self.clock
    }

    fn call<T>(
        &mut self,
        operation: u16,
        request: Payload<'_>,
        deadline: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError> {
        self.carry(operation, request, deadline).map(|reply| read(&reply))
    }

    fn send(
        &mut self,
        operation: u16,
        message: Payload<'_>,
        deadline: Option<Duration>,
    ) -> Result<(), IpcError> {
        self.carry(operation, message, deadline).map(drop)
    }
}

pub fn bound(channel: &mut Loopback) -> BenchClient<&mut Loopback> {
    BenchClient::bind(channel).expect("the same definition")
}
