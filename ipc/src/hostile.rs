//! A peer that writes anything anywhere in a channel: the other end neither panics, nor leaves
//! the channel's memory, nor goes on for ever, and after a restart it is served again.
//! `exchange` is about one line of it.

mod exchange;
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::vec;

use proptest::prelude::*;

use crate::calls::Calls;
use crate::channel::Region;
use crate::client::Client;
use crate::message::{IpcError, Status};
use crate::record::{Head, Kind, RequestKind};
use crate::ring::{MIN_WORDS, key};
use crate::server::Server;
use crate::support::{HeapChannel, Words, cases, heap, steps};
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;
use crate::words::WORD;

/// Bytes of each pool.
const POOL: usize = 1024;

fn channel() -> HeapChannel {
    let pool = POOL / WORD;
    let words = Words { requests: 64, replies: 64, lent_requests: pool, lent_replies: pool };
    HeapChannel::with_buffers(words)
}

/// A record with a right tag and any contents, which a peer that knows the secret can make.
fn forge(data: &[AtomicU64], key: u64, position: u64, head: u64, rest: &[u64]) {
    let words = [position ^ key, head];
    let at = position as usize / WORD;
    for (step, &word) in words.iter().chain(rest).enumerate() {
        data[(at + step) % data.len()].store(word, Relaxed);
    }
}

fn forge_request(channel: &HeapChannel, position: u64, head: Head, rest: &[u64]) {
    let now = channel.status().snapshot();
    let key = key(now.secrets.requests, now.epochs.requests);
    forge(channel.requests(), key, position, head.to_bits(), rest);
}

fn forge_reply(channel: &HeapChannel, position: u64, head: Head, rest: &[u64]) {
    let now = channel.status().snapshot();
    let key = key(now.secrets.replies, now.epochs.replies());
    forge(channel.replies(), key, position, head.to_bits(), rest);
}

/// The word of an item, and values near those that it can have.
fn item_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(|length| 1 | u64::from(length) << 32),
        (0..40_u64).prop_map(|n| 1 | (n * 64) << 32),
        (0..40_u64).prop_map(|n| n * 64),
        (0..40_u64).prop_map(|n| (n * 64).wrapping_neg()),
    ]
}

/// Whether the words say of a buffer that lies within the pool, counted without wrapping.
fn is_within([first, offset]: [u64; 2]) -> bool {
    let end = u128::from(offset) + u128::from(first >> 32);
    first as u32 == 1 && offset % 64 == 0 && end <= POOL as u128
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_hostile_peer_breaks_nothing_and_its_successor_is_served(
        bytes in prop::collection::vec(any::<u8>(), 1..=steps(100) * 8),
    ) {
        harness::channel::run(&bytes);
    }

    #[test]
    fn a_hostile_ring_breaks_nothing_and_its_next_generation_works(
        bytes in prop::collection::vec(any::<u8>(), 1..=steps(100) * 4),
    ) {
        harness::ring::run(&bytes);
    }

    #[test]
    fn any_two_words_are_a_buffer_within_the_pool_or_a_breach(first in item_word(), offset in item_word()) {
        let channel = channel();
        let mut server = Server::attach(channel.clone());
        let head = Head { length: 0, kind: Kind::Call, items: 1, word: 1 };
        forge_request(&channel, 0, head, &[first, offset]);
        match server.poll() {
            Ok(Some(request)) => {
                prop_assert!(is_within([first, offset]));
                let span = request.lent.unwrap();
                server.read_lent(&request, 0, &mut vec![0; span.len()]);
            }
            found => {
                prop_assert_eq!(found, Err(IpcError::Protocol));
                prop_assert!(!is_within([first, offset]));
            }
        }

        let mut client = Client::attach(channel.clone());
        let head = Head { kind: Kind::Reply, ..head };
        forge_reply(&channel, 0, head, &[first, offset]);
        let found = client.poll();
        prop_assert_eq!(found.is_ok(), is_within([first, offset]));
    }
}

#[test]
fn an_operation_code_beyond_sixteen_bits_is_a_breach_of_the_protocol() {
    for (word, found) in [(1 << 16, None), (u16::MAX.into(), Some(u16::MAX))] {
        let channel = channel();
        let mut server = Server::attach(channel.clone());
        let head = Head { length: 0, kind: Kind::Call, items: 0, word };
        forge_request(&channel, 0, head, &[]);
        match server.poll() {
            Ok(Some(request)) => assert_eq!(Some(request.operation()), found),
            other => assert_eq!((other, found), (Err(IpcError::Protocol), None)),
        }
    }
}

#[test]
fn a_status_that_nobody_knows_is_a_breach_of_the_protocol() {
    let channel = channel();
    let mut client = Client::attach(channel.clone());
    let head = Head { length: 0, kind: Kind::Reply, items: 0, word: 15 << 24 | 1 };
    forge_reply(&channel, 0, head, &[]);
    assert_eq!(client.poll(), Err(IpcError::Protocol));
}

#[test]
fn more_items_than_one_and_items_where_none_belong_are_breaches() {
    let item = [1, 0, 1, 0, 1, 0];
    for (kind, items) in [(Kind::Call, 2), (Kind::Send, 3), (Kind::Cancel, 1)] {
        let channel = channel();
        let mut server = Server::attach(channel.clone());
        forge_request(&channel, 0, Head { length: 0, kind, items, word: 1 }, &item);
        assert_eq!(server.poll(), Err(IpcError::Protocol), "{kind:?} with {items}");
    }
}

#[test]
fn a_client_that_broke_the_protocol_is_reported_once_and_not_read_again() {
    let channel = channel();
    let mut server = Server::attach(channel.clone());
    let head = Head { length: 0, kind: Kind::Reply, items: 0, word: 1 };
    forge_request(&channel, 0, head, &[]);
    assert_eq!(server.poll(), Err(IpcError::Protocol));
    forge_request(&channel, 0, Head { kind: Kind::Call, ..head }, &[]);
    assert_eq!(server.poll(), Ok(None));
    assert!(!server.has_request() && !server.is_ready(), "or it would spin on it");
}

/// A peer that refills the ring as fast as it is read, on another processor: a region that does
/// it whenever its consumer looks.
#[derive(Clone, Debug)]
struct Pouring {
    channel: HeapChannel,
    requests: bool,
}

impl Pouring {
    /// Writes the next record at each place where the consumer can come to look.
    fn pour(&self) {
        let shared = self.channel.shared();
        if self.requests {
            let at = shared.requests().claims().taken;
            let head = Head { length: 0, kind: Kind::Cancel, items: 0, word: 0 };
            forge_request(&self.channel, at, head, &[]);
        } else {
            let at = shared.replies().claims().taken;
            let head = Head { length: 0, kind: Kind::Reply, items: 0, word: 77 };
            forge_reply(&self.channel, at, head, &[]);
        }
    }
}

impl Region for Pouring {
    fn status(&self) -> &crate::channel::Status {
        self.channel.status()
    }

    fn shared(&self) -> &crate::channel::Shared {
        self.channel.shared()
    }

    fn requests(&self) -> &[AtomicU64] {
        if self.requests {
            self.pour();
        }
        self.channel.requests()
    }

    fn replies(&self) -> &[AtomicU64] {
        if !self.requests {
            self.pour();
        }
        self.channel.replies()
    }

    fn lent_requests(&self) -> &[AtomicU64] {
        self.channel.lent_requests()
    }

    fn lent_replies(&self) -> &[AtomicU64] {
        self.channel.lent_replies()
    }
}

#[test]
fn a_client_that_pours_out_cancellations_does_not_keep_its_server_from_the_others() {
    let mut server = Server::attach(Pouring { channel: channel(), requests: true });
    assert_eq!(server.poll(), Ok(None));
    assert!(server.has_request(), "there are always more");
}

#[test]
fn a_server_that_pours_out_answers_to_nobody_does_not_keep_its_client_from_its_deadline() {
    let channel = channel();
    let _server = Server::attach(channel.clone());
    let mut calls = Calls::new(Client::attach(Pouring { channel, requests: false }));
    let ticket = calls.start(1, 0, |_| ()).unwrap();
    assert!(calls.outcome(ticket).unwrap().is_none());
    calls.settle_answers();
    assert!(calls.client().has_reply(), "there are always more");
}

#[test]
fn a_consumer_whose_flags_are_changed_by_its_peer_loses_wake_ups_and_nothing_else() {
    let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
    let mut client = Client::attach(channel.clone());
    let mut server = Server::attach(channel.clone());
    server.declare_asleep();
    channel.scribble(9, 0);
    client.request(RequestKind::Call, 1, 0, |_| ()).unwrap();
    assert!(!client.must_kick());
    let request = server.poll().unwrap().unwrap();
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    assert!(client.has_reply());
}
