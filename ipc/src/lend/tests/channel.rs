//! Buffers that a client and a server lend each other, and what becomes of them when either dies.

use std::vec;
use std::vec::Vec;

use crate::channel::{self, restart_client};
use crate::client::{Client, ClientEvent, Reply};
use crate::message::{IpcError, Status};
use crate::record::RequestKind;
use crate::server::{Request, Server};
use crate::support::{HeapChannel, Words, pattern};

const POOL: usize = 4096;
const HALF: usize = POOL / 2;

type Ends = (HeapChannel, Client<HeapChannel>, Server<HeapChannel>);

fn ends() -> Ends {
    let words =
        Words { requests: 128, replies: 128, lent_requests: POOL / 8, lent_replies: POOL / 8 };
    let channel = HeapChannel::with_buffers(words);
    let (client, server) = (Client::attach(channel.clone()), Server::attach(channel.clone()));
    (channel, client, server)
}

/// Sends a buffer with a pattern that follows from its length.
fn send(
    client: &mut Client<HeapChannel>,
    kind: RequestKind,
    length: usize,
) -> Result<(), IpcError> {
    let loan = client.lend(length)?;
    client.fill(&loan, 0, &pattern(length as u64, length));
    client.request_lent(kind, 1, loan, b"beside it").map_err(|(_, error)| error)?;
    Ok(())
}

fn take(server: &mut Server<HeapChannel>) -> Request {
    server.poll().unwrap().unwrap()
}

fn read(server: &Server<HeapChannel>, request: &Request) -> Vec<u8> {
    let mut bytes = vec![0xee; request.lent.unwrap().len()];
    server.read_lent(request, 0, &mut bytes);
    bytes
}

/// Answers with a buffer, whose pattern follows from its length.
fn answer(server: &mut Server<HeapChannel>, request: Request, length: usize) {
    let loan = server.lend(length).unwrap();
    server.fill(&loan, 0, &pattern(length as u64, length));
    server.reply_lent(request, loan, b"beside it").unwrap();
}

fn hear(client: &mut Client<HeapChannel>) -> Reply {
    let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
    reply
}

fn restart_server(channel: &HeapChannel) -> Server<HeapChannel> {
    channel::restart_server(channel, 2);
    Server::attach(channel.clone())
}

#[test]
fn buffers_of_any_length_cross_in_both_directions() {
    let (_, mut client, mut server) = ends();
    for length in [0, 1, 7, 8, 63, 64, 65, 1000, HALF - 1, HALF] {
        send(&mut client, RequestKind::Call, length).unwrap();
        let request = take(&mut server);
        assert_eq!((request.len(), request.lent.unwrap().is_empty()), (9, length == 0));
        assert_eq!(read(&server, &request), pattern(length as u64, length));
        answer(&mut server, request, length);
        let reply = hear(&mut client);
        let mut bytes = vec![0; reply.lent.unwrap().len()];
        client.read_lent(&reply, 0, &mut bytes).unwrap();
        assert_eq!((bytes, reply.len()), (pattern(length as u64, length), 9));
        client.release(reply);
    }
}

#[test]
fn parts_of_a_buffer_are_written_and_read_in_place() {
    let (_, mut client, mut server) = ends();
    let loan = client.lend(20).unwrap();
    client.fill(&loan, 16, &[3; 4]);
    client.fill(&loan, 0, &[1; 16]);
    client.request_lent(RequestKind::Call, 1, loan, b"").unwrap();
    let request = take(&mut server);
    let mut part = [0; 8];
    server.read_lent(&request, 8, &mut part);
    assert_eq!(part, [1; 8]);
    server.read_lent(&request, 16, &mut part[..4]);
    assert_eq!(part[..4], [3; 4]);
    server.forget(request);
}

#[test]
#[should_panic]
fn a_read_beyond_a_buffer_panics() {
    let (_, mut client, mut server) = ends();
    send(&mut client, RequestKind::Call, 8).unwrap();
    let request = take(&mut server);
    server.read_lent(&request, 8, &mut [0]);
}

#[test]
fn a_buffer_is_the_servers_until_its_request_is_released_and_then_the_clients_again() {
    let (_, mut client, mut server) = ends();
    send(&mut client, RequestKind::Call, HALF).unwrap();
    send(&mut client, RequestKind::Send, HALF).unwrap();
    assert_eq!(send(&mut client, RequestKind::Send, 1), Err(IpcError::Full));
    let (first, second) = (take(&mut server), take(&mut server));
    server.reply(second, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(send(&mut client, RequestKind::Send, 1), Err(IpcError::Full), "the oldest is out");
    assert_eq!(read(&server, &first), pattern(HALF as u64, HALF));
    server.reply(first, Status::Ok, 0, |_| ()).unwrap();
    send(&mut client, RequestKind::Send, HALF).unwrap();
}

#[test]
fn a_buffer_of_a_reply_is_the_clients_until_it_releases_it() {
    let (_, mut client, mut server) = ends();
    for _ in 0..2 {
        send(&mut client, RequestKind::Call, 1).unwrap();
        let request = take(&mut server);
        answer(&mut server, request, HALF);
    }
    assert_eq!(server.lend(1).unwrap_err(), IpcError::Full);
    let (first, second) = (hear(&mut client), hear(&mut client));
    client.release(first);
    let loan = server.lend(HALF).unwrap();
    server.fill(&loan, 0, &[0; HALF]);
    let mut bytes = vec![0; HALF];
    client.read_lent(&second, 0, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(HALF as u64, HALF), "it is not released yet");
    server.give_back(loan);
    client.release(second);
}

#[test]
fn a_one_way_request_needs_no_buffer_in_answer_and_gives_it_back() {
    let (_, mut client, mut server) = ends();
    client.request(RequestKind::Send, 1, 0, |_| ()).unwrap();
    let request = take(&mut server);
    answer(&mut server, request, HALF);
    assert_eq!(client.poll(), Ok(None));
    assert_eq!(server.lend(HALF).map(|loan| loan.len()), Ok(HALF));
}

#[test]
fn a_buffer_comes_back_with_the_reason_why_it_was_not_sent() {
    let (channel, mut client, mut server) = ends();
    let long = vec![0; client.max_request() + 1];
    let loan = client.lend(HALF).unwrap();
    let (loan, error) = client.request_lent(RequestKind::Call, 1, loan, &long).unwrap_err();
    assert_eq!(error, IpcError::TooLarge);
    client.give_back(loan);
    send(&mut client, RequestKind::Call, HALF).unwrap();
    let request = take(&mut server);
    let loan = server.lend(HALF).unwrap();
    let (request, loan, error) = server.reply_lent(request, loan, &long).unwrap_err();
    assert_eq!(error, IpcError::TooLarge);
    restart_client(&channel, 2);
    let (request, loan, error) = server.reply_lent(request, loan, b"").unwrap_err();
    assert_eq!(error, IpcError::PeerRestarted);
    server.give_back(loan);
    server.forget(request);
}

#[test]
fn what_no_pool_can_hold_is_too_large_at_once() {
    let (_, mut client, mut server) = ends();
    assert_eq!((client.max_lent(), server.max_lent()), (HALF, HALF));
    assert_eq!(client.lend(HALF + 1).unwrap_err(), IpcError::TooLarge);
    assert_eq!(server.lend(HALF + 1).unwrap_err(), IpcError::TooLarge);
    let plain = HeapChannel::new(64, 64);
    assert_eq!(Client::attach(plain).lend(0).unwrap_err(), IpcError::TooLarge);
}

#[test]
fn what_a_dead_server_had_not_taken_keeps_its_buffer_for_the_next() {
    let (channel, mut client, mut server) = ends();
    send(&mut client, RequestKind::Call, 100).unwrap();
    send(&mut client, RequestKind::Call, HALF).unwrap();
    let _died_on = take(&mut server);
    let mut server = restart_server(&channel);
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Restarted { .. }))));
    // The buffer of the request that was lost is the client's again, the other is not.
    send(&mut client, RequestKind::Call, 101).unwrap();
    assert_eq!(send(&mut client, RequestKind::Call, HALF), Err(IpcError::Full));
    for length in [HALF, 101] {
        let request = take(&mut server);
        assert_eq!(read(&server, &request), pattern(length as u64, length));
        server.forget(request);
    }
}

#[test]
fn a_buffer_of_a_dead_servers_reply_is_not_taken_for_what_its_successor_writes() {
    let (channel, mut client, mut server) = ends();
    send(&mut client, RequestKind::Call, 1).unwrap();
    let request = take(&mut server);
    answer(&mut server, request, 100);
    let reply = hear(&mut client);
    let mut bytes = [0; 100];
    client.read_lent(&reply, 0, &mut bytes).unwrap();
    let mut server = restart_server(&channel);
    let loan = server.lend(100).unwrap();
    server.fill(&loan, 0, &[0; 100]);
    // Known from the page, before the client has gone over, and after.
    assert_eq!(client.read_lent(&reply, 0, &mut bytes), Err(IpcError::PeerRestarted));
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Restarted { .. }))));
    assert_eq!(client.read_lent(&reply, 0, &mut bytes), Err(IpcError::PeerRestarted));
    client.release(reply);
    server.give_back(loan);
}

#[test]
fn a_new_client_writes_to_no_buffer_that_its_predecessor_lent_before_the_server_knows_it() {
    let (channel, mut client, mut server) = ends();
    send(&mut client, RequestKind::Call, 100).unwrap();
    send(&mut client, RequestKind::Send, 200).unwrap();
    let taken = take(&mut server);
    restart_client(&channel, 2);
    let mut client = Client::attach(channel);
    assert_eq!(client.lend(100).unwrap_err(), IpcError::Full);
    assert_eq!(client.lend(HALF + 1).unwrap_err(), IpcError::TooLarge);
    let drained = take(&mut server);
    assert_eq!(read(&server, &taken), pattern(100, 100));
    assert_eq!(read(&server, &drained), pattern(200, 200));
    assert_eq!(server.poll(), Ok(None), "now it goes over");
    send(&mut client, RequestKind::Send, HALF).unwrap();
    assert_eq!(read(&server, &taken), [0; 100], "no bytes of a new client for an old request");
    server.forget(taken);
    server.forget(drained);
    let request = take(&mut server);
    assert_eq!(read(&server, &request), pattern(HALF as u64, HALF));
    server.forget(request);
}

#[test]
fn a_servers_pool_is_free_again_when_its_client_has_restarted() {
    let (channel, mut client, mut server) = ends();
    for _ in 0..2 {
        client.request(RequestKind::Call, 1, 0, |_| ()).unwrap();
        let request = take(&mut server);
        answer(&mut server, request, HALF);
    }
    restart_client(&channel, 2);
    let _client = Client::attach(channel);
    assert_eq!(server.poll(), Ok(None));
    let loans = [server.lend(HALF).unwrap(), server.lend(HALF).unwrap()];
    loans.into_iter().for_each(|loan| server.give_back(loan));
}
