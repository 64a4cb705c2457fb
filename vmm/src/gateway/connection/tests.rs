//! What a connection asks, and what becomes of it, without a server: the tests play the server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use atoll_ipc::channel::Layout;
use atoll_ipc::client::Client;
use atoll_ipc::record::RequestKind;

use super::*;
use crate::channel::ChannelMemory;

/// A connection, its client, and a ring that hands out tickets.
struct Fixture {
    connection: Connection,
    peer: UnixStream,
    traffic: Traffic,
    ring: Client<ChannelMemory>,
    /// Holds the server's end attached, so that the ring has room.
    _server: atoll_ipc::server::Server<ChannelMemory>,
}

impl Fixture {
    fn new() -> Self {
        let (ours, peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        let memory =
            ChannelMemory::new(Layout { requests: 1 << 20, replies: 4096, ..Layout::PLAIN })
                .unwrap();
        Self {
            connection: Connection::new(1, Stream::Unix(ours)),
            peer,
            traffic: Traffic::default(),
            ring: Client::attach(memory.clone()),
            _server: atoll_ipc::server::Server::attach(memory),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).unwrap();
        self.connection.socket_ready(true, false);
    }

    fn next(&mut self) -> Next {
        self.connection.advance(&mut self.traffic)
    }

    /// Expects an ask and lets the server have it. Returns the position just behind it.
    fn ask(&mut self, expected: Ask) -> u64 {
        assert_eq!(self.next(), Next::Ask(expected));
        let ticket = self.ring.request(RequestKind::Call, 1, 0, |_| ()).unwrap();
        self.connection.was_asked(ticket, expected);
        assert_eq!(self.next(), Next::Wait);
        u64::from(ticket.token()) * 16 + 16
    }

    fn answer(&mut self, output: &[u8], head: ReplyHead) -> bool {
        self.connection.output().extend_from_slice(output);
        self.connection.was_answered(head)
    }

    fn received(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let count = self.peer.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }
}

fn data(bytes: usize) -> Ask {
    Ask { op: Op::Data, continues: false, bytes }
}

fn consumed(count: u32) -> ReplyHead {
    ReplyHead { consumed: count, ..ReplyHead::default() }
}

#[test]
fn a_request_goes_to_the_server_and_its_answer_to_the_client() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.next(), Next::Wait);
    fixture.send(b"PING\r\n");
    fixture.ask(data(6));
    assert!(fixture.answer(b"+PONG\r\n", consumed(6)));
    assert_eq!(fixture.next(), Next::Wait);
    assert_eq!(fixture.received(), b"+PONG\r\n");
    assert_eq!((fixture.traffic.received, fixture.traffic.sent), (6, 7));
}

#[test]
fn what_was_not_consumed_is_asked_again_with_what_arrived_since() {
    let mut fixture = Fixture::new();
    fixture.send(b"PING\r\nPI");
    fixture.ask(data(8));
    assert!(fixture.answer(b"+PONG\r\n", consumed(6)));
    assert_eq!(fixture.next(), Next::Wait);
    fixture.send(b"NG\r\n");
    fixture.ask(data(6));
}

#[test]
fn output_that_is_not_all_is_pulled_once_the_client_has_read() {
    let mut fixture = Fixture::new();
    fixture.send(b"GET big\r\n");
    fixture.ask(data(9));
    assert!(fixture.answer(b"part", ReplyHead { more: true, ..consumed(9) }));
    fixture.ask(Ask { op: Op::Pull, continues: true, bytes: 0 });
    assert!(fixture.answer(b"rest", consumed(0)));
    assert_eq!(fixture.next(), Next::Wait);
    assert_eq!(fixture.received(), b"partrest");
}

#[test]
fn a_client_that_does_not_read_is_asked_for_no_more() {
    let mut fixture = Fixture::new();
    fixture.send(b"GET big\r\n");
    fixture.ask(data(9));
    assert!(fixture.answer(&vec![b'x'; 8 << 20], consumed(9)));
    fixture.send(b"PING\r\n");
    assert_eq!(fixture.next(), Next::Wait);
    assert!(fixture.connection.input().is_empty(), "its next request stays in the socket");
    while !fixture.received().is_empty() {
        fixture.connection.socket_ready(false, true);
        if fixture.next() != Next::Wait {
            return;
        }
    }
    panic!("the request was never asked, though all output was read");
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let mut fixture = Fixture::new();
    assert!(!fixture.answer(b"", consumed(0)), "nothing was asked");
    fixture.send(b"PING\r\n");
    fixture.ask(data(6));
    assert!(!fixture.answer(b"", consumed(7)), "more than was sent");
    let mut fixture = Fixture::new();
    fixture.send(b"PING\r\n");
    fixture.ask(data(6));
    let stuck = ReplyHead { more: true, ..ReplyHead::default() };
    assert!(!fixture.answer(b"", stuck), "it would go on for ever");
}

#[test]
fn the_server_closes_after_its_last_output() {
    let mut fixture = Fixture::new();
    fixture.send(b"QUIT\r\n");
    fixture.ask(data(6));
    assert!(fixture.answer(b"+OK\r\n", ReplyHead { close: true, ..consumed(6) }));
    assert_eq!(fixture.next(), Next::Close);
    assert_eq!(fixture.received(), b"+OK\r\n");
}

#[test]
fn a_client_that_hangs_up_gets_its_answer_first() {
    let mut fixture = Fixture::new();
    fixture.send(b"PING\r\n");
    fixture.ask(data(6));
    fixture.peer.shutdown(std::net::Shutdown::Write).unwrap();
    fixture.connection.socket_ready(true, false);
    assert_eq!(fixture.next(), Next::Wait);
    assert!(fixture.answer(b"+PONG\r\n", consumed(6)));
    assert_eq!(fixture.next(), Next::Close);
    assert_eq!(fixture.received(), b"+PONG\r\n");
}

#[test]
fn a_hang_up_that_was_told_with_the_last_bytes_is_not_forgotten() {
    let mut fixture = Fixture::new();
    fixture.peer.write_all(b"PING\r\n").unwrap();
    fixture.peer.shutdown(std::net::Shutdown::Write).unwrap();
    // One event tells of both, and no other will come.
    fixture.connection.client_finished();
    fixture.connection.socket_ready(true, false);
    fixture.ask(data(6));
    assert!(fixture.answer(b"+PONG\r\n", consumed(6)));
    assert_eq!(fixture.next(), Next::Close);
    assert_eq!(fixture.received(), b"+PONG\r\n");
}

#[test]
fn an_idle_connection_outlives_the_server() {
    let mut fixture = Fixture::new();
    fixture.send(b"PING\r\n");
    let end = fixture.ask(data(6));
    assert!(fixture.answer(b"+PONG\r\n", consumed(6)));
    assert!(fixture.connection.server_restarted(end));
    assert!(!fixture.connection.is_known(), "the next incarnation has not heard of it");
    fixture.send(b"PING\r\n");
    fixture.ask(data(6));
}

#[test]
fn a_request_that_died_is_aborted_a_few_times_and_then_closed() {
    let mut fixture = Fixture::new();
    fixture.send(b"INCR a\r\n");
    let mut end = fixture.ask(data(8));
    let abort = Ask { op: Op::Abort, continues: false, bytes: 8 };
    for _ in 0..ABORTS_MAX {
        assert!(fixture.connection.server_restarted(end));
        end = fixture.ask(abort);
    }
    assert!(!fixture.connection.server_restarted(end), "it dies of these bytes");

    let mut fixture = Fixture::new();
    fixture.send(b"INCR a\r\n");
    let end = fixture.ask(data(8));
    assert!(fixture.connection.server_restarted(end));
    fixture.ask(abort);
    assert!(fixture.answer(b"-RESTARTED\r\n", consumed(8)));
    fixture.send(b"PING\r\n");
    fixture.ask(data(6));
    assert_eq!(fixture.received(), b"-RESTARTED\r\n");
}

#[test]
fn a_request_that_the_dead_server_had_not_read_is_served_by_the_next() {
    let mut fixture = Fixture::new();
    fixture.send(b"PING\r\n");
    let end = fixture.ask(data(6));
    assert!(fixture.connection.server_restarted(end - 16));
    assert!(fixture.connection.awaited().is_some());
    assert!(fixture.answer(b"+PONG\r\n", consumed(6)));
}

#[test]
fn what_the_dead_server_had_begun_cannot_go_on() {
    for standing in
        [ReplyHead { mid_request: true, ..consumed(4) }, ReplyHead { more: true, ..consumed(4) }]
    {
        let mut fixture = Fixture::new();
        fixture.send(b"half");
        let end = fixture.ask(data(4));
        assert!(fixture.answer(b"x", standing));
        assert!(!fixture.connection.server_restarted(end), "idle, but in the middle: {standing:?}");

        let mut fixture = Fixture::new();
        fixture.send(b"half");
        fixture.ask(data(4));
        assert!(fixture.answer(b"x", standing));
        fixture.send(b"rest");
        let Next::Ask(ask) = fixture.next() else { panic!("{standing:?}") };
        assert!(ask.continues);
        let ticket = fixture.ring.request(RequestKind::Call, 1, 0, |_| ()).unwrap();
        fixture.connection.was_asked(ticket, ask);
        assert!(!fixture.connection.server_restarted(0), "not even if it was not read");
    }
}
