//! Serving with a store: what a client hears is on disk.
//!
//! Messages are carried out in rounds: the first one is waited for, and all that wait already go
//! with it. Then everything that they changed is sent to the store as one batch, and the next round
//! begins. A round's messages are answered when its batch is on disk, and all before it: the reads among
//! them, too, since they may have seen what was not on disk yet.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;

use atoll::clock::{Instant, unix_time};
use atoll::interface::{Answerable, Payload};
use atoll::ipc::Arrival;
use atoll::stream::{Connections, Taken};
use atoll::{Message, Port, Status, ipc};
use kv::Database;
use kv::typed::{Kv, Typed};

use crate::keeper::{self, Fate, Keeper};
use crate::place::{Found, Place};
use crate::surroundings::Surroundings;
use crate::{Client, Server, Sweep, TYPED, turns};

/// Most messages of a round: as many as one channel has in service.
const ROUND: usize = 64;

/// What a client is told whose requests the store had no room for, or followed on such.
const REFUSED: &str = "ERR the store is full: its disk had no room for this, nor for what others \
                       wrote at the same time; nothing of it was carried out";

/// A message that was carried out, and whose answer waits.
enum Held {
    Stream(Taken),
    Typed { message: Message, status: Status, reply: Vec<u8> },
}

/// Takes the answer to a message of the port `typed`.
struct Answer<'a> {
    message: Message,
    round: &'a mut Vec<Held>,
}

impl Answerable for Answer<'_> {
    fn operation(&self) -> u16 {
        self.message.operation()
    }

    fn with_payload<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        self.message.with_payload(read)
    }

    fn answer(self, status: Status, payload: Payload<'_>) {
        let mut reply = Vec::new();
        // Only what `get` answers is long, and that has changed nothing.
        let status = match reply.try_reserve_exact(payload.len()) {
            Ok(()) => status,
            Err(_) => Status::Exhausted,
        };
        if status == Status::Ok {
            match payload {
                Payload::Bytes(bytes) => reply.extend_from_slice(bytes),
                Payload::Encode { length, encode } => {
                    reply.resize(length, 0);
                    encode(&mut reply);
                }
            }
        }
        self.round.push(Held::Typed { message: self.message, status, reply });
    }
}

/// Messages that were carried out together.
type Round = Vec<Held>;

/// What is between messages and their answers.
struct Rounds {
    server: Server,
    keeper: Keeper,
    connections: Connections<Client>,
    /// Those whose batches are under way, the oldest first.
    sent: VecDeque<Round>,
    /// The one that is being carried out.
    open: Round,
    /// The port of the last message.
    last: Port,
}

pub fn serve() -> ! {
    // What comes now is done again in each incarnation.
    if let Err(error) = atoll::ready() {
        panic!("{error}");
    }
    let (server, keeper) = begin();
    let mut rounds = Rounds {
        server,
        keeper,
        connections: Connections::new(),
        sent: VecDeque::new(),
        open: Vec::with_capacity(ROUND),
        last: TYPED,
    };
    let mut sweep = Sweep::new();
    loop {
        ipc::together(|| {
            rounds.hear_all();
            rounds.send();
        });
        let deadline = sweep.due(rounds.server.database);
        rounds.wait(deadline);
        sweep.go_on(&mut rounds.server, deadline);
    }
}

impl Rounds {
    /// Lets everything go whose batch is on disk.
    fn hear_all(&mut self) {
        while let Some(fate) = self.keeper.poll(self.server.database) {
            self.conclude(fate);
        }
        self.keeper.reconsider(self.server.database);
    }

    /// Ends the open round, if that is possible: its batch is sent. One that has changed nothing goes
    /// with the last one that was sent, of which it may have seen something.
    fn send(&mut self) {
        let Self { server: Server { database, .. }, keeper, sent, open, .. } = self;
        if database.has_changes() {
            if database.can_seal() {
                keeper.send(database);
                sent.push_back(mem::replace(open, Vec::with_capacity(ROUND)));
            }
        } else if let Some(last) = sent.back_mut() {
            last.append(open);
        } else {
            let connections = &mut self.connections;
            open.drain(..).for_each(|held| release(connections, held));
        }
    }

    /// Waits for messages, and carries out all that are there; or for the oldest batch.
    fn wait(&mut self, deadline: Option<Instant>) {
        if !self.goes_on() {
            if let Some(fate) = self.keeper.wait(self.server.database) {
                self.conclude(fate);
            }
            return;
        }
        let ports = turns(self.last);
        match self.keeper.oldest() {
            None => self.take_all(ipc::receive_any(&ports, deadline)),
            Some(oldest) => match ipc::receive_any_or_answer(&ports, oldest, deadline) {
                Some(Arrival::Message(port, message)) => self.take_all(Some((port, message))),
                Some(Arrival::Answer(answer)) => {
                    let fate = self.keeper.hear(self.server.database, answer);
                    self.conclude(fate);
                }
                None => (),
            },
        }
    }

    /// Whether another message may be carried out before something is committed.
    fn goes_on(&self) -> bool {
        self.open.len() < ROUND && !self.server.database.is_sated()
    }

    fn take_all(&mut self, mut found: Option<(Port, Message)>) {
        while let Some((port, message)) = found {
            self.take(port, message);
            self.last = port;
            found = if self.goes_on() { ipc::poll_any(&turns(port)) } else { None };
        }
    }

    /// Carries a message out.
    fn take(&mut self, port: Port, message: Message) {
        let Self { server, connections, open, .. } = self;
        if port == TYPED {
            let now = unix_time().as_millis() as u64;
            let Server { database, surroundings } = server;
            let answer = Answer { message, round: open };
            return Kv::dispatch(&mut Typed::new(database, surroundings, now), answer);
        }
        server.surroundings.clients = connections.len();
        open.extend(connections.take(message, server, Server::open).map(Held::Stream));
    }

    /// Answers as it went with the batches.
    fn conclude(&mut self, fate: Fate) {
        let Self { connections, sent, open, .. } = self;
        let (kept, is_refused) = match fate {
            Fate::Kept(kept) => (kept, false),
            Fate::Refused { kept } => (kept, true),
        };
        ipc::together(|| {
            let rounds = sent.drain(..kept.min(sent.len()));
            rounds.flatten().for_each(|held| release(connections, held));
            if is_refused {
                // Whatever came after it was undone with it.
                let rest = sent.drain(..).flatten().chain(open.drain(..));
                rest.for_each(|held| revoke(connections, held));
            }
        });
    }
}

/// A server that has what its store has: because a restart has kept it, or it is loaded.
fn begin() -> (Server, Keeper) {
    let (store, terms) = keeper::bind();
    let judge = |database: &Database| database.fits(&terms).map_err(|stale| stale.to_string());
    let Place { database, changes, found } = Place::find(2 * terms.largest, judge);
    let mut server = Server::new(database, Surroundings::new(changes));
    server.surroundings.store = Some(keeper::store());
    let mut keeper = Keeper::new(store, terms.largest, changes);
    let origin = match found {
        Found::All => keeper.go_on(server.database, terms),
        Found::Nothing => keeper.fill(server.database),
        Found::Lost(why) => {
            log::warn!("the keys that were kept are not used: {why}");
            keeper.fill(server.database)
        }
    };
    server.surroundings.begins(origin);
    (server, keeper)
}

/// Lets a message's answer go.
fn release(connections: &mut Connections<Client>, held: Held) {
    match held {
        Held::Stream(taken) => connections.answer::<Server>(taken),
        Held::Typed { message, status: Status::Ok, reply } => message.reply(&reply),
        Held::Typed { message, status, .. } => message.fail(status),
    }
}

/// Tells who sent a message that nothing of it was carried out.
fn revoke(connections: &mut Connections<Client>, held: Held) {
    match held {
        Held::Stream(taken) => {
            if let Some(Client(session)) = connections.of(&taken) {
                session.revoke(REFUSED);
            }
            connections.answer::<Server>(taken);
        }
        Held::Typed { message, .. } => message.fail(Status::Exhausted),
    }
}
