//! The VMM as a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_ipc::interface::{Answerable, Payload};
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::server::{Request, Server};
use vmm_sys_util::eventfd::EventFd;

use super::End;
use super::wait::Waiter;
use crate::channel::ChannelMemory;
use crate::domain::signal;

/// How long it waits for a client that leaves no room for its reply.
const PATIENCE: Duration = Duration::from_millis(10);

/// A port of the VMM, which one domain calls.
#[derive(Debug)]
pub struct Port {
    server: Server<ChannelMemory>,
    client: Arc<EventFd>,
    waiter: Waiter,
    patience: Duration,
}

/// A message that was received, to be answered with [`Port::reply`] or [`Port::fail`], at once or
/// later.
#[derive(Debug)]
#[must_use = "a call that is never answered keeps its client waiting"]
pub struct Message {
    request: Request,
    /// Its payload: a copy that the client cannot change.
    pub payload: Vec<u8>,
}

impl Message {
    /// The operation that the client asks for.
    pub fn operation(&self) -> u16 {
        self.request.operation()
    }

    /// Which incarnation of the client sent it.
    pub fn sender_epoch(&self) -> u32 {
        self.request.client_epoch()
    }
}

impl Port {
    /// The server's end of a channel.
    pub fn new(end: End) -> Self {
        let (server, client, waiter) = (Server::attach(end.memory), end.peer, end.waiter);
        Self { server, client, waiter, patience: PATIENCE }
    }

    /// The same, for a thread that must not wait: a client that leaves no room for its answer
    /// learns at once, when it reads again, that it was given up.
    #[must_use]
    pub fn without_patience(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
    }

    /// The next message, without waiting. If there is none, this end's event is signalled when one
    /// comes.
    ///
    /// # Errors
    /// [`IpcError::Protocol`], as [`Port::receive`].
    pub fn poll(&mut self) -> Result<Option<Message>, IpcError> {
        self.server.declare_awake();
        let mut found = self.server.poll()?;
        if found.is_none() {
            self.server.declare_asleep();
            self.server.declare_starved();
            found = self.server.poll()?;
        }
        self.kick();
        Ok(found.map(|request| self.copy(request)))
    }

    /// A message and the port to answer it on, for the dispatch of a typed interface.
    pub const fn in_hand(&mut self, message: Message) -> InHand<'_> {
        InHand { port: self, message }
    }

    /// Waits for the next message (QNX `MsgReceive`, RC 4000 *wait message*), until a deadline if
    /// there is one.
    ///
    /// # Errors
    /// [`IpcError::Timeout`] at the deadline; [`IpcError::Protocol`], once, if the client broke
    /// the protocol: nothing more is heard of it before it restarts.
    pub fn receive(&mut self, deadline: Option<Instant>) -> Result<Message, IpcError> {
        self.wait(deadline, |server| server.poll().transpose())
            .unwrap_or(Err(IpcError::Timeout))
            .map(|request| self.copy(request))
    }

    /// Answers a message (QNX `MsgReply`, RC 4000 *send answer*). A client that has died
    /// meanwhile gets nothing, and one that leaves no room for the answer learns, when it reads
    /// again, that it was given up.
    pub fn reply(&mut self, message: Message, payload: &[u8]) {
        self.answer(message.request, Status::Ok, payload);
    }

    /// Answers with a failure.
    pub fn fail(&mut self, message: Message, status: Status) {
        self.answer(message.request, status, &[]);
    }

    /// Whether the client no longer waits for the reply.
    pub fn is_cancelled(&mut self, message: &Message) -> bool {
        self.server.is_cancelled(&message.request)
    }

    fn copy(&self, request: Request) -> Message {
        let payload = match request.lent {
            Some(buffer) if request.len() == 0 => {
                let mut bytes = vec![0; buffer.len()];
                self.server.read_lent(&request, 0, &mut bytes);
                bytes
            }
            _ => {
                let mut bytes = vec![0; request.len()];
                self.server.read(&request, 0, &mut bytes);
                bytes
            }
        };
        Message { request, payload }
    }

    fn answer(&mut self, request: Request, status: Status, payload: &[u8]) {
        let patience = if self.server.owes() { Duration::ZERO } else { self.patience };
        let mut left = Some(request);
        let answered = self.wait(Some(Instant::now() + patience), |server| {
            let request = left.take()?;
            match try_answer(server, request, status, payload) {
                Ok(()) => Some(()),
                Err((request, IpcError::Full)) => {
                    left = Some(request);
                    None
                }
                Err((request, IpcError::TooLarge)) => {
                    server.owe(request, Status::Exhausted);
                    Some(())
                }
                // The client died, or broke the protocol: nobody can be told.
                Err((request, _)) => {
                    server.forget(request);
                    Some(())
                }
            }
        });
        if let (None, Some(request)) = (answered, left) {
            self.server.owe(request, Status::Exhausted);
        }
        self.kick();
    }

    fn kick(&self) {
        if self.server.must_kick() {
            signal(&self.client);
        }
    }

    /// Waits until `look` finds something, or the deadline passes.
    fn wait<T>(
        &mut self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&mut Server<ChannelMemory>) -> Option<T>,
    ) -> Option<T> {
        loop {
            if let Some(found) = look(&mut self.server) {
                return Some(found);
            }
            self.kick();
            let server = &mut self.server;
            if let Some(found) = self.waiter.spin(deadline, || look(server)) {
                return Some(found);
            }
            self.server.declare_asleep();
            self.server.declare_starved();
            let found = look(&mut self.server);
            self.kick();
            let late = found.is_none() && self.waiter.sleep(deadline);
            self.server.declare_awake();
            if found.is_some() || late {
                return found.or_else(|| look(&mut self.server));
            }
        }
    }
}

/// A message in service, see [`Port::in_hand`].
#[derive(Debug)]
#[must_use = "a call that is never answered keeps its client waiting"]
pub struct InHand<'p> {
    port: &'p mut Port,
    message: Message,
}

impl Answerable for InHand<'_> {
    fn operation(&self) -> u16 {
        self.message.operation()
    }

    fn with_payload<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&self.message.payload)
    }

    fn answer(self, status: Status, reply: Payload<'_>) {
        let mut scratch = vec![0; reply.len()];
        let reply = reply.bytes_in(|_| &mut scratch);
        self.port.answer(self.message.request, status, reply);
    }
}

fn try_answer(
    server: &mut Server<ChannelMemory>,
    request: Request,
    status: Status,
    payload: &[u8],
) -> Result<(), (Request, IpcError)> {
    if payload.len() <= server.max_reply() {
        return server.reply(request, status, payload.len(), |reply| reply.write(0, payload));
    }
    match server.lend(payload.len()) {
        Ok(loan) => {
            server.fill(&loan, 0, payload);
            server.reply_lent(request, loan, &[]).map_err(|(request, loan, error)| {
                server.give_back(loan);
                (request, error)
            })
        }
        Err(error) => Err((request, error)),
    }
}
