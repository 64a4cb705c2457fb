//! The store server: the library's store on the disk that the manifest lends, behind a port.
//!
//! | port | kind | for |
//! |---|---|---|
//! | `store` | message, speaks [`Protocol`] | domains whose records are to outlive them |
//!
//! | argument | meaning | without it |
//! |---|---|---|
//! | `repair=truncate` | a damaged log ends where it is broken, and what came after is lost | the store does not open |
//! | `adopt=NAME` | takes over the disk of the store of that name, and gives it its own | another store's disk is refused |
//! | `log=LEVEL` | least level of console lines | `info` |
//!
//! The disk is the channel `disk`. Each incarnation reads the log anew; requests wait meanwhile.

#![no_std]
#![no_main]

extern crate alloc;

#[path = "guest/disk.rs"]
mod disk;

use alloc::format;
use core::time::Duration;

use atoll::clock::Instant;
use atoll::disk::Disk;
use atoll::{Message, Port, boot, heap, ipc};
use disk::Lent;
use store::interface::Store as Protocol;
use store::{Options, Progress, Store, Trouble, group};

atoll::server! {
    name: "store",
    memory: 128 << 20,
    ports: [STORE: "store" message speaks Protocol],
}

/// Time between two words of progress, and between two notes to the disk.
const PERIOD: Duration = Duration::from_secs(1);

/// Most batches of a group. A channel has 64 requests in service at most.
const GROUP_MAX: usize = 256;

/// Memory that is not for keys: frames, windows, messages, the heap's fragments.
const OTHER_MEMORY: usize = 40 << 20;

fn main() -> u32 {
    let disk = match Disk::open("disk") {
        Ok(disk) => disk,
        Err(error) => panic!("a store needs a disk as its channel `disk`: {error}"),
    };
    if let Err(error) = atoll::ready() {
        panic!("{error}");
    }
    let mut store = open(Lent::new(disk));
    let mut note_due = Some(Instant::now());
    let mut is_idle = true;
    let mut last_trouble = None;
    loop {
        let has_more = store.tidy(is_idle);
        say_trouble(&mut store, &mut last_trouble);
        let until = if has_more { Some(Instant::now()) } else { note_due };
        match ipc::receive_any(&[STORE], until) {
            Some((port, message)) => {
                serve(&mut store, port, message);
                note_due = note_due.or_else(|| Some(Instant::now().after(PERIOD)));
                is_idle = false;
            }
            None => is_idle = true,
        }
        if note_due.is_some_and(|due| due <= Instant::now()) {
            note(&mut store);
            note_due = None;
        }
    }
}

/// Serves a message, and those that wait behind it. Whoever waits for the answers is woken with the
/// exit that waits for the disk, or for the next message.
fn serve(store: &mut Store<Lent>, port: Port, message: Message) {
    let first = (message.sender(), message);
    let next = |waiting| {
        // A server that is asked to end does so when it looks for messages; these are answered first.
        let is_over = waiting >= GROUP_MAX || boot::is_stopping();
        let (_, message) = if is_over { None } else { ipc::poll_any(&[port]) }?;
        Some((message.sender(), message))
    };
    ipc::together(|| group::serve(store, first, next));
}

/// Opens the store, and says how far that has come.
fn open(disk: Lent) -> Store<Lent> {
    let options = Options {
        name: boot::domain(),
        adopt: boot::argument("adopt"),
        repair: repair(),
        seed: boot::seed(),
        memory: heap::capacity() - OTHER_MEMORY.min(heap::capacity() / 2),
    };
    let start = Instant::now();
    let mut told = start;
    let opened = Store::open(disk, &options, |progress| {
        atoll::heartbeat();
        if Instant::now().since(told) >= PERIOD {
            told = Instant::now();
            say_progress(progress);
        }
    });
    let mut store = match opened {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    };
    let took = Instant::now().since(start);
    store.took(took.as_micros() as u64);
    let figures = store.figures();
    log::info!(
        "recovered {} records, {} bytes of them, from {} bytes of log in {} us ({} bytes read)",
        figures.records,
        figures.live,
        figures.log,
        figures.recovery_us,
        figures.recovery_read,
    );
    if let Some(ailment) = store.ailment() {
        log::warn!("nothing can be committed: {ailment:?}");
    }
    store
}

fn repair() -> bool {
    match boot::argument("repair") {
        None => false,
        Some("truncate") => true,
        Some(other) => panic!("argument `repair` is `truncate` or is not given, not `{other}`"),
    }
}

fn say_progress(progress: &Progress) {
    let Progress { read, log, least, records } = progress;
    log::info!("recovering: {log} bytes of at least {least}, {records} records, {read} bytes read");
}

/// Says what went wrong, once for as long as it is the same.
fn say_trouble(store: &mut Store<Lent>, last: &mut Option<Trouble>) {
    if let Some(trouble) = store.trouble()
        && last.replace(trouble) != Some(trouble)
    {
        log::error!("{trouble}");
    }
}

/// Tells the disk how it is used, for people who look at it.
fn note(store: &mut Store<Lent>) {
    let figures = store.figures();
    let share = figures.live * 100 / figures.log.max(1);
    let text = format!(
        "log {}\nlive {}\nlive-share {share}%\nrecords {}\nbatches {}\nwrites {}\nmoved {}\n",
        figures.log, figures.live, figures.records, figures.batches, figures.writes, figures.moved,
    );
    store.disk().note(&text);
}
