//! A client, a server, a nucleus that restarts them, and the record of what became of each call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::vec;
use std::vec::Vec;

use super::actors::{Awake, Unborn};
use crate::channel::{Region, Role, restart_client, restart_server};
use crate::client::{Client, ClientEvent, Reply, Ticket};
use crate::message::{IpcError, Status};
use crate::record::{Kind, RequestKind, SHORT};
use crate::server::{Request, Server};
use crate::support::{HeapChannel, pattern};
use crate::words::WORD;

/// One step of a conversation.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Call {
        length: usize,
    },
    Exchange {
        length: usize,
    },
    Send {
        length: usize,
    },
    /// The server takes a request, if there is one.
    Take,
    /// The server answers one of the requests that it holds.
    Answer {
        which: usize,
    },
    /// The client tells the server that it does not wait for a call; it hears the answer, if one
    /// comes all the same.
    Cancel {
        which: usize,
    },
    /// The client looks for an event.
    Hear,
    /// Both notify each other.
    Notify {
        bits: u64,
    },
    RestartServer,
    RestartClient,
    /// Both ends run by themselves, as long as they are awake.
    Live {
        steps: usize,
    },
    /// One end runs until it sleeps, while the other is not given a processor.
    Alone {
        role: Role,
    },
}

/// A request under way, by the number in its payload.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) is_call: bool,
    is_exchange: bool,
    pub(super) length: usize,
    pub(super) client_epoch: u32,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) channel: HeapChannel,
    pub(super) client: Client<HeapChannel>,
    pub(super) server: Server<HeapChannel>,
    pub(super) awake: Awake,
    /// Restarted, and not at work yet: the new incarnation attaches when it first does something.
    pub(super) unborn: Unborn,
    client_epoch: u32,
    server_epoch: u32,
    next: u64,
    /// Requests that the client could not place yet.
    pub(super) outbox: VecDeque<(Kind, usize)>,
    sent: BTreeMap<u64, Sent>,
    /// Calls of the living client without an outcome, by token.
    waiting: BTreeMap<u32, (Ticket, u64)>,
    /// What the server took, ever.
    taken: BTreeSet<u64>,
    /// What the living server holds.
    pub(super) held: Vec<(u64, Request)>,
    /// Requests that nobody took before both of their ends had died.
    lost_with_both: BTreeSet<u64>,
    answered: usize,
    failed: usize,
}

impl World {
    pub(super) fn new(request_words: usize, reply_words: usize) -> Self {
        let channel = HeapChannel::new(request_words, reply_words);
        Self {
            client: Client::attach(channel.clone()),
            server: Server::attach(channel.clone()),
            channel,
            awake: Awake::default(),
            unborn: Unborn::default(),
            client_epoch: 1,
            server_epoch: 1,
            next: 0,
            outbox: VecDeque::new(),
            sent: BTreeMap::new(),
            waiting: BTreeMap::new(),
            taken: BTreeSet::new(),
            held: Vec::new(),
            lost_with_both: BTreeSet::new(),
            answered: 0,
            failed: 0,
        }
    }

    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    pub(super) fn apply(&mut self, op: &Op) {
        self.attach_for(op);
        match *op {
            Op::Call { length } => self.ask(Kind::Call, length),
            Op::Exchange { length } => self.ask(Kind::Exchange, length),
            Op::Send { length } => self.ask(Kind::Send, length),
            Op::Take => _ = self.take(),
            Op::Answer { which } if !self.held.is_empty() => {
                _ = self.answer(which % self.held.len());
            }
            Op::Answer { .. } => {}
            Op::Cancel { which } => self.cancel(which),
            Op::Hear => _ = self.hear(),
            Op::Notify { bits } => {
                self.client.notify(bits);
                self.server.notify(bits);
            }
            Op::RestartServer => self.restart_server(),
            Op::RestartClient => self.restart_client(),
            Op::Live { steps } => self.live(steps),
            Op::Alone { role } => self.live_alone(role),
        }
        // Whoever acted by hand is awake, and asks what an end asks before it sleeps.
        match op {
            Op::Call { .. }
            | Op::Exchange { .. }
            | Op::Send { .. }
            | Op::Cancel { .. }
            | Op::Hear => self.awake.client = true,
            Op::Take | Op::Answer { .. } => self.awake.server = true,
            Op::Notify { .. } => self.awake = Awake::default(),
            Op::RestartServer | Op::RestartClient | Op::Live { .. } | Op::Alone { .. } => {}
        }
        self.kick_both();
    }

    /// Whoever does something by hand has begun.
    fn attach_for(&mut self, op: &Op) {
        match op {
            Op::Call { .. }
            | Op::Exchange { .. }
            | Op::Send { .. }
            | Op::Cancel { .. }
            | Op::Hear => self.attach_client(),
            Op::Take | Op::Answer { .. } => self.attach_server(),
            Op::Notify { .. } => {
                self.attach_client();
                self.attach_server();
            }
            Op::RestartServer | Op::RestartClient | Op::Live { .. } | Op::Alone { .. } => {}
        }
    }

    pub(super) fn attach_client(&mut self) {
        if std::mem::take(&mut self.unborn.client) {
            self.client = Client::attach(self.channel.clone());
        }
    }

    pub(super) fn attach_server(&mut self) {
        if std::mem::take(&mut self.unborn.server) {
            self.server = Server::attach(self.channel.clone());
        }
    }

    /// The client wants to send something with at least a number in it.
    fn ask(&mut self, kind: Kind, length: usize) {
        let length = length.clamp(WORD, self.client.max_request());
        self.outbox.push_back((kind, length));
        self.flush();
    }

    fn cancel(&mut self, which: usize) {
        self.hear_in_place();
        let tickets: Vec<Ticket> = self.waiting.values().map(|&(ticket, _)| ticket).collect();
        if !tickets.is_empty()
            && let Err(error) = self.client.cancel(tickets[which % tickets.len()])
        {
            assert_eq!(error, IpcError::Full);
        }
    }

    /// Places what waits in the outbox. Returns whether something was placed.
    pub(super) fn flush(&mut self) -> bool {
        let mut placed = false;
        // What is written next may take the place of an answer.
        self.hear_in_place();
        while let Some(&(kind, length)) = self.outbox.front() {
            let id = self.next;
            let mut bytes = id.to_le_bytes().to_vec();
            bytes.extend(pattern(id, length - WORD));
            let manner = if kind == Kind::Send { RequestKind::Send } else { RequestKind::Call };
            let result = match kind {
                Kind::Exchange => self.client.exchange(1, length, |line| line.write(0, &bytes)),
                _ => self.client.request(manner, 1, length, |room| room.write(0, &bytes)),
            };
            let ticket = match result {
                Ok(ticket) => ticket,
                Err(error) => {
                    assert_eq!(error, IpcError::Full);
                    break;
                }
            };
            self.note_sent(kind, length, ticket);
            placed = true;
        }
        placed
    }

    fn note_sent(&mut self, kind: Kind, length: usize, ticket: Ticket) {
        let (id, is_call) = (self.next, kind != Kind::Send);
        let is_exchange = kind == Kind::Exchange;
        self.next += 1;
        self.outbox.pop_front();
        let client_epoch = self.client_epoch;
        self.sent.insert(id, Sent { is_call, is_exchange, length, client_epoch });
        if is_call {
            let double = self.waiting.insert(ticket.token(), (ticket, id));
            assert!(double.is_none(), "two waiting calls share a token");
        }
    }

    /// Returns whether there was a request.
    pub(super) fn take(&mut self) -> bool {
        let ready = self.server.is_ready();
        let Some(request) = self.server.poll().unwrap() else { return false };
        assert!(ready, "a request that `is_ready` did not see");
        let mut payload = vec![0; request.len()];
        self.server.read(&request, 0, &mut payload);
        let id = number(&payload);
        let sent = &self.sent[&id];
        assert_eq!((request.is_call(), request.len()), (sent.is_call, sent.length));
        assert_eq!(request.client_epoch(), sent.client_epoch);
        assert_eq!(payload[WORD..], pattern(id, sent.length - WORD));
        assert!(self.taken.insert(id), "a request is taken once, whoever restarts");
        self.held.push((id, request));
        true
    }

    /// Answers a held request with its own number. Returns whether it is off the server's hands.
    pub(super) fn answer(&mut self, which: usize) -> bool {
        let (id, request) = self.held.remove(which);
        let is_old = request.client_epoch() != self.client_epoch;
        // Some replies are too long for the place of their request, if the ring carries such.
        let length = if id % 3 == 0 { self.server.max_reply().min(SHORT + WORD) } else { WORD };
        let result = self.server.reply(request, Status::Ok, length, |room| {
            room.write(0, &id.to_le_bytes());
        });
        match result {
            Ok(()) => assert!(!is_old, "a reply to a client that is dead"),
            Err((request, IpcError::PeerRestarted)) => {
                assert!(is_old);
                self.server.forget(request);
            }
            Err((request, error)) => {
                assert_eq!(error, IpcError::Full);
                self.held.insert(which, (id, request));
                return false;
            }
        }
        true
    }

    /// Returns whether there was an event.
    pub(super) fn hear(&mut self) -> bool {
        if self.hear_in_place() {
            return true;
        }
        let ready = self.client.is_ready();
        let Some(event) = self.client.poll().unwrap() else { return false };
        assert!(ready, "an event that `is_ready` did not see");
        match event {
            ClientEvent::Reply(reply) => self.hear_reply(reply),
            ClientEvent::Restarted { resume } => self.hear_of_restart(resume),
        }
        true
    }

    /// Looks at each exchange under way. Returns whether one was answered in its place.
    fn hear_in_place(&mut self) -> bool {
        let mut heard = false;
        for (token, (ticket, id)) in self.waiting.clone() {
            let Some((status, short)) = self.client.answer(ticket).unwrap() else { continue };
            assert!(self.sent[&id].is_exchange, "an answer over a call that asked for none");
            assert_eq!((status, number(short.bytes())), (Status::Ok, id));
            self.waiting.remove(&token);
            self.answered += 1;
            heard = true;
        }
        heard
    }

    fn hear_reply(&mut self, reply: Reply) {
        let mut payload = [0; WORD];
        self.client.read(&reply, 0, &mut payload);
        let waiting = self.waiting.remove(&reply.token);
        let (_, id) = waiting.expect("a reply to a call that has its outcome already");
        assert_eq!(number(&payload), id, "a reply to another call");
        self.answered += 1;
        self.client.release(reply);
    }

    fn hear_of_restart(&mut self, resume: u64) {
        assert_eq!(self.client.server_epoch(), self.server_epoch);
        let (lost, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, (ticket, _))| ticket.was_taken(resume));
        for (_, id) in lost.values() {
            assert!(self.taken.contains(id), "a call failed that nobody had taken");
        }
        self.failed += lost.len();
        self.waiting = kept;
    }

    fn restart_server(&mut self) {
        self.held.clear();
        self.server_epoch += 1;
        self.channel.status().renew(u64::from(self.server_epoch));
        restart_server(&self.channel, self.server_epoch);
        self.unborn.server = true;
        self.lose_with_both();
        self.awake = Awake::default();
    }

    /// What a dead client has sent, no server takes that begins now.
    fn lose_with_both(&mut self) {
        for (&id, sent) in &self.sent {
            if sent.client_epoch != self.client_epoch && !self.taken.contains(&id) {
                self.lost_with_both.insert(id);
            }
        }
    }

    fn restart_client(&mut self) {
        // The dead client's requests are of no interest to anyone but the server.
        self.waiting.clear();
        self.outbox.clear();
        self.client_epoch += 1;
        self.channel.status().renew(u64::from(self.client_epoch) << 32);
        restart_client(&self.channel, self.client_epoch);
        self.unborn.client = true;
        if self.unborn.server {
            self.lose_with_both();
        }
        self.awake = Awake::default();
    }

    /// What must be true when both ends have nothing left to do.
    pub(super) fn check_settled(&mut self) {
        assert!(self.outbox.is_empty(), "the client waits for room that is there");
        assert!(self.held.is_empty(), "the server waits for room that is there");
        assert!(self.waiting.is_empty(), "a call has no outcome: {:?}", self.waiting);
        for id in self.sent.keys() {
            let is_lost = self.lost_with_both.contains(id);
            assert!(is_lost != self.taken.contains(id), "request {id} was not read and not lost");
        }
        let epochs = self.channel.status().epochs();
        assert_eq!((epochs.client, epochs.server), (self.client_epoch, self.server_epoch));
        assert_eq!(self.channel.status().epoch(Role::Client), self.client_epoch);
    }
}

/// The number that a request or a reply begins with.
fn number(payload: &[u8]) -> u64 {
    let mut bytes = [0; WORD];
    bytes.copy_from_slice(&payload[..WORD]);
    u64::from_le_bytes(bytes)
}
