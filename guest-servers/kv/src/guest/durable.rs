//! Serving with a store: what a client hears is on disk.
//!
//! Messages are carried out in rounds: the first one is waited for, and all that wait already go
//! with it. Then everything that they changed is committed at once, and only then are they
//! answered: the reads among them, too, since they may have seen what was not on disk yet.

use alloc::vec::Vec;

use atoll::clock::unix_time;
use atoll::interface::{Answerable, Payload};
use atoll::stream::{Connections, Taken};
use atoll::{Message, Port, Status, ipc};
use kv::typed::{Kv, Typed};

use crate::keeper::{Keeper, Refused};
use crate::{Client, Server, Sweep, TYPED, turns};

/// Most messages of a round: as many as one channel has in service.
const ROUND: usize = 64;

/// What a client is told whose requests were in a batch that the store had no room for.
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

pub fn serve() -> ! {
    // What comes now is done again in each incarnation.
    if let Err(error) = atoll::ready() {
        panic!("{error}");
    }
    let mut keeper = Keeper::bind();
    let mut server = Server::new(keeper.memory());
    keeper.fill(&mut server.database);
    server.surroundings.keeper = Some(keeper);
    let mut connections = Connections::new();
    let mut round = Vec::with_capacity(ROUND);
    let mut sweep = Sweep::new();
    let mut last = TYPED;
    loop {
        let deadline = sweep.due(&server.database);
        let mut found = ipc::receive_any(&turns(last), deadline);
        if let Some(keeper) = &mut server.surroundings.keeper {
            keeper.reconsider(&mut server.database);
        }
        while let Some((port, message)) = found {
            take(&mut server, &mut connections, &mut round, port, message);
            last = port;
            let goes_on = round.len() < ROUND && !server.database.is_sated();
            found = if goes_on { ipc::poll_any(&turns(last)) } else { None };
        }
        sweep.go_on(&mut server.database, deadline);
        let committed = match &mut server.surroundings.keeper {
            Some(keeper) => keeper.commit(&mut server.database),
            None => Ok(()),
        };
        match committed {
            Ok(()) => round.drain(..).for_each(|held| release(&mut connections, held)),
            Err(Refused) => round.drain(..).for_each(|held| revoke(&mut connections, held)),
        }
    }
}

/// Carries a message out.
fn take(
    server: &mut Server,
    connections: &mut Connections<Client>,
    round: &mut Vec<Held>,
    port: Port,
    message: Message,
) {
    if port == TYPED {
        let now = unix_time().as_millis() as u64;
        Kv::dispatch(&mut Typed::new(&mut server.database, now), Answer { message, round });
        return;
    }
    server.surroundings.clients = connections.len();
    round.extend(connections.take(message, server, Server::open).map(Held::Stream));
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
