//! A gateway: host sockets on one side, a channel to a stream port on the other.
//!
//! The gateway is an ordinary client of the port, in the VMM's event loop, and knows nothing of
//! the protocol that its clients speak. Each connection has at most one request under way (see
//! [`atoll_ipc::stream`]), so each has a definite fate when the server dies.
//!
//! Sockets are watched edge-triggered, once and for all, so that a request costs one read and
//! one write. The server is kicked only when it sleeps, and the gateway declares itself asleep
//! only when the event loop is about to block.

mod connection;
mod listener;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_ipc::client::{Client, ClientEvent, Reply};
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::record::RequestKind;
use atoll_ipc::stream::{Op, REPLY_HEAD, REQUEST_HEAD, ReplyHead, RequestHead};
use event_manager::{EventOps, Events, MutEventSubscriber};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::EventFd;

use crate::channel::ChannelMemory;
use crate::control::api::GatewayReport;
use crate::domain::signal;
use crate::journal::{EventKind, Journal};
use crate::manifest;

use connection::{Ask, Connection, Next, Traffic};
pub use listener::{Listener, Stream};

/// Connections accepted at one go, so that a flood of them does not starve those there are.
const ACCEPT_BATCH: usize = 64;
/// Refusals are counted all, and reported once in this time.
const REFUSAL_REPORTS: Duration = Duration::from_secs(1);

/// What an event of the gateway's is about; rides in the event's data.
const LISTENER: u32 = u32::MAX;
const DOORBELL: u32 = u32::MAX - 1;

/// A gateway's end of its channel, and whom to wake.
#[derive(Debug)]
pub struct Line {
    /// The channel.
    pub memory: ChannelMemory,
    /// Wakes the server.
    pub server: Arc<EventFd>,
    /// Wakes this gateway.
    pub doorbell: Arc<EventFd>,
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    listener: Listener,
    address: String,
    to: manifest::PortRef,
    limit: usize,
    line: Line,
    client: Client<ChannelMemory>,
    /// The server broke the protocol: nothing is read from it until it restarts.
    broken: bool,
    complaint: bool,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    next_id: u64,
    /// Which connection a call is for, by its token.
    asked: HashMap<u32, usize>,
    /// Connections whose ask, and closed ones whose end, found no room in the ring.
    stalled: Vec<usize>,
    unsaid: Vec<u64>,
    /// More connections may wait to be accepted.
    accepting: bool,
    traffic: Traffic,
    counts: Counts,
    last_refusal: Option<Instant>,
    journal: Arc<Journal>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    open: u64,
    accepted: u64,
    refused: u64,
    requests: u64,
    aborted: u64,
}

impl Gateway {
    /// A gateway over a listening socket and a channel.
    pub fn new(
        listener: Listener,
        config: &manifest::Gateway,
        line: Line,
        journal: Arc<Journal>,
    ) -> Self {
        let address = listener.address();
        let client = Client::attach(line.memory.clone());
        let port = config.to.to_string();
        journal.event(None, EventKind::GatewayListening { listen: address.clone(), port });
        Self {
            listener,
            address,
            to: config.to,
            limit: config.max_connections.get() as usize,
            line,
            client,
            broken: false,
            complaint: false,
            connections: Vec::new(),
            free: Vec::new(),
            next_id: 1,
            asked: HashMap::new(),
            stalled: Vec::new(),
            unsaid: Vec::new(),
            accepting: false,
            traffic: Traffic::default(),
            counts: Counts::default(),
            last_refusal: None,
            journal,
        }
    }

    /// Where it listens, as bound.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port that it leads to.
    pub fn to(&self) -> &manifest::PortRef {
        &self.to
    }

    /// What it has done so far.
    pub fn report(&self) -> GatewayReport {
        GatewayReport {
            listen: self.address.clone(),
            port: self.to.to_string(),
            connections: self.counts.open,
            accepted: self.counts.accepted,
            refused: self.counts.refused,
            requests: self.counts.requests,
            aborted: self.counts.aborted,
            bytes_in: self.traffic.received,
            bytes_out: self.traffic.sent,
        }
    }

    /// Whether the server broke the protocol since last asked.
    pub fn take_complaint(&mut self) -> bool {
        std::mem::take(&mut self.complaint)
    }

    /// The event loop is about to block. Returns `false` if there is something to do first.
    pub fn may_sleep(&mut self) -> bool {
        if self.accepting {
            return false;
        }
        self.client.declare_asleep();
        let ready = self.client.is_ready() && !self.broken;
        if ready {
            self.client.declare_awake();
        }
        !ready
    }

    /// The event loop has served its sockets: reads what the server answered, and asks what
    /// found no room before.
    pub fn pump(&mut self, ops: &mut EventOps<'_>) {
        self.client.declare_awake();
        self.read_answers(ops);
        for slot in std::mem::take(&mut self.stalled) {
            self.advance(slot, ops);
        }
        for id in std::mem::take(&mut self.unsaid) {
            self.say_closed(id);
        }
        if std::mem::take(&mut self.accepting) {
            self.accept(ops);
        }
        self.kick();
    }

    fn read_answers(&mut self, ops: &mut EventOps<'_>) {
        loop {
            match self.client.poll() {
                Ok(Some(ClientEvent::Reply(reply))) => self.answered(reply, ops),
                Ok(Some(ClientEvent::Restarted { resume })) => self.restarted(resume, ops),
                Ok(None) => break,
                Err(_) => {
                    self.complaint |= !self.broken;
                    self.broken = true;
                    break;
                }
            }
        }
        if self.client.server_is_gone() {
            self.close_all(ops);
        }
    }

    fn answered(&mut self, reply: Reply, ops: &mut EventOps<'_>) {
        let slot = self.asked.remove(&reply.token);
        let connection = slot.and_then(|slot| self.connections[slot].as_mut());
        // The client of a request may have left before its answer came.
        let sensible = connection.map(|connection| {
            let head = read_answer(&self.client, &reply, connection.output());
            head.is_some_and(|head| connection.was_answered(head))
        });
        self.client.release(reply);
        match (slot, sensible) {
            (Some(slot), Some(true)) => self.advance(slot, ops),
            (Some(slot), Some(false)) => self.abandon(slot, ops),
            _ => (),
        }
    }

    fn restarted(&mut self, resume: u64, ops: &mut EventOps<'_>) {
        self.broken = false;
        self.asked.clear();
        for slot in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[slot] else { continue };
            if !connection.server_restarted(resume) {
                self.abandon(slot, ops);
                continue;
            }
            if let Some(token) = connection.awaited() {
                self.asked.insert(token, slot);
            }
            self.advance(slot, ops);
        }
    }

    /// Moves a connection on as far as it goes.
    fn advance(&mut self, slot: usize, ops: &mut EventOps<'_>) {
        let Some(connection) = &mut self.connections[slot] else { return };
        match connection.advance(&mut self.traffic) {
            Next::Wait => (),
            Next::Close => self.close(slot, ops),
            Next::Ask(ask) => self.ask(slot, ask, ops),
        }
    }

    fn ask(&mut self, slot: usize, ask: Ask, ops: &mut EventOps<'_>) {
        let Some(connection) = &mut self.connections[slot] else { return };
        let head = RequestHead { connection: connection.id, continues: ask.continues };
        let input = &connection.input()[..ask.bytes];
        let sent = self.client.request(
            RequestKind::Call,
            ask.op as u16,
            REQUEST_HEAD + input.len(),
            |r| {
                r.write(0, &head.to_bytes());
                r.write(REQUEST_HEAD, input);
            },
        );
        match sent {
            Ok(ticket) => {
                connection.was_asked(ticket, ask);
                self.asked.insert(ticket.token(), slot);
                self.counts.requests += 1;
                self.kick();
            }
            Err(IpcError::Full) => {
                connection.was_stalled();
                self.stalled.push(slot);
                self.client.declare_starved();
            }
            Err(_) => self.abandon(slot, ops),
        }
    }

    fn kick(&self) {
        if self.client.must_kick() {
            signal(&self.line.server);
        }
    }

    fn accept(&mut self, ops: &mut EventOps<'_>) {
        for _ in 0..ACCEPT_BATCH {
            match self.listener.accept() {
                Ok(stream) => self.welcome(stream, ops),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_transient(&error) => (),
                // Out of descriptors or memory: those who wait will be accepted when a
                // connection closes.
                Err(error) => return self.refuse(&error.to_string()),
            }
        }
        self.accepting = true;
    }

    fn welcome(&mut self, stream: Stream, ops: &mut EventOps<'_>) {
        if self.counts.open as usize >= self.limit {
            return self.refuse("it has as many connections as the manifest allows");
        }
        if self.client.server_is_gone() {
            return self.refuse("its server is stopped");
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let events =
            EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED;
        if let Err(error) = ops.add(Events::with_data(&stream, slot as u32, events)) {
            self.free.push(slot);
            return self.refuse(&error.to_string());
        }
        self.connections[slot] = Some(Connection::new(self.next_id, stream));
        self.next_id += 1;
        self.counts.open += 1;
        self.counts.accepted += 1;
        self.advance(slot, ops);
    }

    fn refuse(&mut self, reason: &str) {
        self.counts.refused += 1;
        if self.last_refusal.is_some_and(|last| last.elapsed() < REFUSAL_REPORTS) {
            return;
        }
        self.last_refusal = Some(Instant::now());
        let (listen, reason) = (self.address.clone(), reason.to_owned());
        self.journal.event(None, EventKind::ConnectionRefused { listen, reason });
    }

    /// Closes a connection whose server went away under its request.
    fn abandon(&mut self, slot: usize, ops: &mut EventOps<'_>) {
        self.counts.aborted += 1;
        self.close(slot, ops);
    }

    fn close(&mut self, slot: usize, ops: &mut EventOps<'_>) {
        let Some(connection) = self.connections[slot].take() else { return };
        // The descriptor closes here, so it cannot fail for any reason that matters.
        let _ = ops.remove(Events::empty(&connection.stream));
        self.free.push(slot);
        self.counts.open -= 1;
        if let Some(token) = connection.awaited() {
            self.asked.remove(&token);
        }
        if connection.is_known() {
            self.say_closed(connection.id);
        }
        // Somebody may wait for the descriptor.
        self.accepting = true;
    }

    fn close_all(&mut self, ops: &mut EventOps<'_>) {
        (0..self.connections.len()).for_each(|slot| self.close(slot, ops));
    }

    /// Tells the server that a connection is gone.
    fn say_closed(&mut self, id: u64) {
        let head = RequestHead { connection: id, continues: false };
        let sent = self.client.request(RequestKind::Send, Op::Close as u16, REQUEST_HEAD, |r| {
            r.write(0, &head.to_bytes());
        });
        match sent {
            Ok(_) => self.kick(),
            Err(error) => {
                // Also for a server that is gone: its next incarnation may find a request of this
                // connection in the ring.
                self.unsaid.push(id);
                if error == IpcError::Full {
                    self.client.declare_starved();
                }
            }
        }
    }
}

/// Puts a reply's output behind what is there; `None` if the reply is a refusal or nonsense.
fn read_answer(
    client: &Client<ChannelMemory>,
    reply: &Reply,
    output: &mut Vec<u8>,
) -> Option<ReplyHead> {
    if reply.status != Status::Ok || reply.len() < REPLY_HEAD {
        return None;
    }
    let mut head = [0; REPLY_HEAD];
    client.read(reply, 0, &mut head);
    let old = output.len();
    output.resize(old + reply.len() - REPLY_HEAD, 0);
    client.read(reply, REPLY_HEAD, &mut output[old..]);
    ReplyHead::from_bytes(&head)
}

/// Failures of one `accept` that say nothing about the next.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

impl MutEventSubscriber for Gateway {
    fn init(&mut self, ops: &mut EventOps<'_>) {
        let listener =
            Events::with_data(&self.listener, LISTENER, EventSet::IN | EventSet::EDGE_TRIGGERED);
        let doorbell = Events::with_data(&*self.line.doorbell, DOORBELL, EventSet::IN);
        for (events, what) in [(listener, "listen"), (doorbell, "hear its server")] {
            if let Err(error) = ops.add(events) {
                log::error!("gateway {} cannot {what}: {error}", self.address);
            }
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps<'_>) {
        match events.data() {
            LISTENER => self.accept(ops),
            // Clients wait for what it rang for; what else has come at the same time, like the
            // report of a fault, can wait until they are served.
            DOORBELL => {
                drop(self.line.doorbell.read());
                self.client.declare_awake();
                self.read_answers(ops);
            }
            slot => self.socket_event(slot as usize, events.event_set(), ops),
        }
    }
}

impl Gateway {
    fn socket_event(&mut self, slot: usize, set: EventSet, ops: &mut EventOps<'_>) {
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        // A client that is gone altogether waits for no answer; but what it sent last may still be
        // there to be read.
        let gone = set.contains(EventSet::HANG_UP);
        if set.contains(EventSet::ERROR) || (gone && connection.awaited().is_some()) {
            return self.close(slot, ops);
        }
        let finished = set.intersects(EventSet::READ_HANG_UP | EventSet::HANG_UP);
        if finished {
            connection.client_finished();
        }
        let readable = finished || set.contains(EventSet::IN);
        connection.socket_ready(readable, set.contains(EventSet::OUT));
        self.advance(slot, ops);
    }
}
