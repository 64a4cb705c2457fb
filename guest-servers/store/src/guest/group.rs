//! Group commit: batches that wait at the same time share a write.

use alloc::vec::Vec;

use atoll::interface::{Answerable, Bytes, Word, answer, arguments};
use atoll::{Message, Port, Status, boot, clock::Instant};
use store::interface::{Committed, Store as Protocol};
use store::{Added, Disk, Space, Store};

/// The operation that is gathered; [`Protocol`] has its definition.
const COMMIT: u16 = 2;

/// Most batches of a group. A channel has 64 requests in service at most.
const GROUP_MAX: usize = 256;

/// Serves a message, and those that wait behind it.
pub fn serve(store: &mut Store<impl Disk>, port: Port, message: Message) {
    let mut waiting = Vec::new();
    let mut next = Some(message);
    while let Some(message) = next {
        if message.operation() == COMMIT {
            gather(store, message, &mut waiting);
        } else {
            let client = message.sender();
            Protocol::dispatch(&mut Space { store, client }, message);
        }
        // A server that is asked to end does so when it looks for messages; these are answered first.
        let is_over = waiting.len() >= GROUP_MAX || boot::is_stopping();
        next = if is_over { None } else { port.receive_until(Instant::now()) };
    }
    write(store, &mut waiting);
}

/// Adds a batch to the group.
fn gather(store: &mut Store<impl Disk>, message: Message, waiting: &mut Vec<Message>) {
    let client = message.sender();
    let add = |store: &mut Store<_>| {
        message.with_payload(|bytes| {
            let (Word(number), Bytes(records)) = arguments(bytes)?;
            store.add(client, number, records)
        })
    };
    let mut added = add(store);
    if added == Ok(Added::Later) {
        write(store, waiting);
        added = add(store);
    }
    match added {
        Ok(Added::Waits) => waiting.push(message),
        Ok(Added::Done) => reply(store, message, Ok(())),
        // An empty group has room for each batch that any group has room for.
        Ok(Added::Later) => reply(store, message, Err(Status::Exhausted)),
        Err(status) => reply(store, message, Err(status)),
    }
}

/// Makes the group durable, and answers it.
fn write(store: &mut Store<impl Disk>, waiting: &mut Vec<Message>) {
    let done = store.write();
    waiting.drain(..).for_each(|message| reply(store, message, done));
}

fn reply(store: &Store<impl Disk>, message: Message, done: Result<(), Status>) {
    answer(message, done.map(|()| Committed { room: Word(store.room()) }));
}
