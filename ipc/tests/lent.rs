//! Buffers that two threads lend each other as fast as they can: each arrives whole, whatever
//! became of its place in the pool before.

#![cfg(not(loom))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use atoll_ipc::client::{Client, ClientEvent};
use atoll_ipc::message::IpcError;
use atoll_ipc::record::RequestKind;
use atoll_ipc::server::{Request, Server};
use support::{HeapChannel, Words, pattern};

/// Less under Miri, which is a thousand times slower.
const CALLS: u64 = if cfg!(miri) { 30 } else { 15_000 };
/// Calls that the client has under way at a time.
const AHEAD: u64 = 8;
const LONGEST: usize = if cfg!(miri) { 256 } else { 4096 };

/// A length that differs from call to call and is known to both threads.
fn length(call: u64) -> usize {
    (call.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % (LONGEST + 1)
}

/// Tells the other thread when this one fails, so that it does not wait for ever.
struct Guard(Arc<AtomicBool>);

impl Guard {
    fn pause(&self) {
        assert!(!self.0.load(Relaxed), "the other thread failed");
        thread::yield_now();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_or(thread::panicking(), Relaxed);
    }
}

/// Checks a request's buffer, and answers with another.
fn echo(server: &mut Server<HeapChannel>, request: Request, call: u64, guard: &Guard) {
    let mut bytes = vec![0; request.lent.expect("each comes with a buffer").len()];
    server.read_lent(&request, 0, &mut bytes);
    assert!(bytes == pattern(call, length(call)), "call {call} arrived torn");
    let loan = loop {
        match server.lend(length(!call)) {
            Ok(loan) => break loan,
            Err(error) => assert_eq!(error, IpcError::Full),
        }
        guard.pause();
    };
    server.fill(&loan, 0, &pattern(!call, length(!call)));
    let (mut request, mut loan) = (request, loan);
    while let Err((again, back, error)) = server.reply_lent(request, loan, &call.to_le_bytes()) {
        assert_eq!(error, IpcError::Full);
        (request, loan) = (again, back);
        guard.pause();
    }
}

/// Sends the next call, if there is room for it.
fn send(client: &mut Client<HeapChannel>, call: u64) -> bool {
    let loan = match client.lend(length(call)) {
        Ok(loan) => loan,
        Err(error) => {
            assert_eq!(error, IpcError::Full);
            return false;
        }
    };
    client.fill(&loan, 0, &pattern(call, length(call)));
    match client.request_lent(RequestKind::Call, 1, loan, &[]) {
        Ok(_) => true,
        Err((loan, error)) => {
            assert_eq!(error, IpcError::Full);
            client.give_back(loan);
            false
        }
    }
}

#[test]
fn buffers_that_cross_between_threads_arrive_whole() {
    let pool = LONGEST * 4 / 8;
    let words = Words { requests: 128, replies: 128, lent_requests: pool, lent_replies: pool };
    let channel = HeapChannel::with_buffers(words);
    let (mut client, mut server) =
        (Client::attach(channel.clone()), Server::attach(channel.clone()));
    let failed = Arc::new(AtomicBool::new(false));
    let guard = Guard(failed.clone());
    let echoes = thread::spawn(move || {
        for call in 0..CALLS {
            let request = loop {
                match server.poll().unwrap() {
                    Some(request) => break request,
                    None => guard.pause(),
                }
            };
            echo(&mut server, request, call, &guard);
        }
    });
    let guard = Guard(failed);
    let (mut sent, mut heard) = (0, 0);
    while heard < CALLS {
        if sent < CALLS.min(heard + AHEAD) && send(&mut client, sent) {
            sent += 1;
        }
        let Some(ClientEvent::Reply(reply)) = client.poll().unwrap() else {
            guard.pause();
            continue;
        };
        let mut bytes = vec![0; reply.lent.expect("each comes with a buffer").len()];
        client.read_lent(&reply, 0, &mut bytes).unwrap();
        assert!(bytes == pattern(!heard, length(!heard)), "answer {heard} arrived torn");
        client.release(reply);
        heard += 1;
    }
    echoes.join().unwrap();
}
