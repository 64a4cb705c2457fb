//! Many kills under load: each request gets the reply that belongs to it, the error that says that
//! the server restarted, or the end of its connection; and nobody waits for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::thread;

use atoll_tests::environment::{patience, rounds};
use atoll_tests::resp::request;
use atoll_tests::{Reply, Resp, System};

const CLIENTS: usize = 4;
/// Requests that a client has under way at a time.
const PIPELINE: usize = 8;

/// What all clients have seen together.
#[derive(Default)]
struct Progress {
    served: Mutex<u64>,
    news: Condvar,
    restarted: AtomicU64,
    closed: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    fn serve(&self, count: u64) {
        *self.served.lock().unwrap() += count;
        self.news.notify_all();
    }

    fn served(&self) -> u64 {
        *self.served.lock().unwrap()
    }

    /// Waits until so many more requests have been served.
    fn await_more(&self, more: u64) {
        let served = self.served.lock().unwrap();
        let goal = *served + more;
        let waited =
            self.news.wait_timeout_while(served, patience(), |served| *served < goal).unwrap();
        assert!(!waited.1.timed_out(), "the clients are not served any more");
    }
}

/// A request with what may become of it.
struct Numbered {
    bytes: Vec<u8>,
    expected: [Reply; 2],
}

/// The request of a number: no two requests of a test are the same.
fn numbered(client: usize, number: u64) -> Numbered {
    let token = format!("client {client} request {number}");
    let key = format!("key of {client}");
    let value = format!("client {client} request {}", number.saturating_sub(1));
    let (words, expected): (Vec<&[u8]>, _) = match number % 3 {
        0 => (vec![b"ECHO", token.as_bytes()], [Reply::bulk(&token), Reply::bulk(&token)]),
        1 => (vec![b"SET", key.as_bytes(), token.as_bytes()], [Reply::ok(), Reply::ok()]),
        // What was set before it; or nothing, if a restart came in between.
        _ => (vec![b"GET", key.as_bytes()], [Reply::bulk(value), Reply::NIL]),
    };
    Numbered { bytes: request(&words), expected }
}

/// Sends numbered requests until told to stop, and checks every reply against its request.
fn client(address: &str, client: usize, progress: &Progress) {
    let mut kv = Resp::connect(address);
    let mut next = 0;
    while !progress.stop.load(SeqCst) {
        let batch: Vec<_> = (0..PIPELINE as u64).map(|n| numbered(client, next + n)).collect();
        next += PIPELINE as u64;
        let bytes: Vec<_> = batch.iter().flat_map(|request| request.bytes.clone()).collect();
        if !(kv.send(&bytes) && replies_fit(&mut kv, &batch, progress)) {
            progress.closed.fetch_add(1, SeqCst);
            kv = Resp::connect(address);
        }
    }
    // A reply too many would be here.
    assert!(kv.is_in_step("the last") || Resp::connect(address).is_in_step("the last"));
}

/// Reads the replies to a batch. `false` if the connection ended.
fn replies_fit(kv: &mut Resp, batch: &[Numbered], progress: &Progress) -> bool {
    let mut served = 0;
    for Numbered { bytes, expected } in batch {
        let Some(reply) = kv.reply() else {
            progress.serve(served);
            return false;
        };
        if reply.is_restarted() {
            progress.restarted.fetch_add(1, SeqCst);
        } else {
            assert!(expected.contains(&reply), "{reply:?} to `{}`", bytes.escape_ascii());
            served += 1;
        }
    }
    progress.serve(served);
    true
}

#[test]
fn no_reply_is_lost_or_misplaced_in_hundreds_of_kills_under_load() {
    let manifest = "name = \"kv\"\n[domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\n\
        [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"kv:redis\"\n";
    let Some(system) = System::start(manifest) else { return };
    let address = system.gateway("kv:redis");
    let mut idle = Resp::connect(&address);
    assert!(idle.is_in_step("before"));
    let progress = Progress::default();
    let kills = rounds(400, 40);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (address, progress) = (&address, &progress);
            scope.spawn(move || {
                // Whatever ends a client ends the test, and nobody waits for the others.
                let guard = StopOnPanic(progress);
                client(address, number, progress);
                drop(guard);
            });
        }
        let _guard = StopOnPanic(&progress);
        for kill in 0..kills {
            // Clients are in full swing, and not always at the same point.
            progress.await_more(1 + kill as u64 % 7 * PIPELINE as u64);
            // Three faults in a row are free; an order to restart begins the count anew. More
            // would meet the pause that a crash loop is given.
            let verb = if kill % 4 == 3 { "restart" } else { "kill" };
            system.renew("kv", verb);
        }
        progress.await_more(CLIENTS as u64 * PIPELINE as u64);
        progress.stop.store(true, SeqCst);
    });
    assert!(idle.is_in_step("after"), "the idle connection outlived {kills} kills");
    let report = system.inspect("kv");
    assert_eq!(report["epoch"], kills + 1);
    println!(
        "{kills} kills: {} served, {} told of a restart, {} connections closed",
        progress.served(),
        progress.restarted.load(SeqCst),
        progress.closed.load(SeqCst)
    );
}

/// Stops the clients when the thread that holds it panics.
struct StopOnPanic<'a>(&'a Progress);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop.store(true, SeqCst);
        }
    }
}
