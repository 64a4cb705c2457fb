//! Owns group commit: batches that wait at the same time share a write, and are answered once it is
//! durable.

use alloc::vec::Vec;

use atoll_ipc::interface::{Answerable, Bytes, Word, answer, arguments};
use atoll_ipc::message::Status;

use crate::disk::Disk;
use crate::interface::{COMMIT, Committed, Store as Protocol};
use crate::server::Space;
use crate::store::{Added, Store};

/// Serves a message of a client, and those that `next` finds behind it; it is told how many batches
/// wait already. They are answered when it finds none.
///
/// Whatever else is asked is asked of a store that has the batches before it: a client that has
/// restarted, and opens its space, must hear of the batch that it sent just before it died.
pub fn serve<D: Disk, M: Answerable>(
    store: &mut Store<D>,
    first: (&str, M),
    mut next: impl FnMut(usize) -> Option<(&'static str, M)>,
) {
    let mut waiting = Vec::new();
    let mut found = Some(first);
    while let Some((client, message)) = found {
        if message.operation() == COMMIT {
            gather(store, client, message, &mut waiting);
        } else {
            write(store, &mut waiting);
            Protocol::dispatch(&mut Space { store, client }, message);
        }
        found = next(waiting.len());
    }
    write(store, &mut waiting);
}

/// Adds a batch to the group.
fn gather<D: Disk, M: Answerable>(
    store: &mut Store<D>,
    client: &str,
    message: M,
    waiting: &mut Vec<M>,
) {
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
fn write<D: Disk, M: Answerable>(store: &mut Store<D>, waiting: &mut Vec<M>) {
    let done = store.write();
    waiting.drain(..).for_each(|message| reply(store, message, done));
}

fn reply<D: Disk>(store: &Store<D>, message: impl Answerable, done: Result<(), Status>) {
    answer(message, done.map(|()| Committed { room: Word(store.room()) }));
}
