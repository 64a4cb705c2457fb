//! Failures that are told when there is room: a client that does not read holds nobody up, and is
//! told everything in the end.

use std::vec::Vec;

use crate::channel::restart_client;
use crate::record::RequestKind;

use proptest::prelude::*;

use super::*;
use crate::client::Reply;
use crate::support::{cases, steps};

/// A reply ring of eight short replies.
fn narrow() -> (HeapChannel, Client<HeapChannel>, Server<HeapChannel>) {
    let channel = HeapChannel::new(1024, 16);
    let client = Client::attach(channel.clone());
    let server = Server::attach(channel.clone());
    (channel, client, server)
}

fn take(server: &mut Server<HeapChannel>) -> Request {
    server.poll().unwrap().unwrap()
}

fn hear(client: &mut Client<HeapChannel>) -> Option<Reply> {
    match client.poll().unwrap()? {
        ClientEvent::Reply(reply) => Some(reply),
        event => panic!("{event:?} is no reply"),
    }
}

#[test]
fn what_is_owed_is_paid_at_once_if_there_is_room() {
    let (channel, mut client, mut server) = narrow();
    send(&mut client, RequestKind::Call, 1);
    let request = take(&mut server);
    server.owe(request, Status::Dropped);
    assert!(!server.owes());
    assert_eq!(hear(&mut client).unwrap().status, Status::Dropped);
    assert_eq!(head_of_requests(&channel), 16);
}

#[test]
fn nothing_is_owed_for_a_one_way_request_or_to_a_client_that_is_dead() {
    let (channel, mut client, mut server) = narrow();
    send(&mut client, RequestKind::Send, 1);
    send(&mut client, RequestKind::Call, 2);
    let (one_way, call) = (take(&mut server), take(&mut server));
    server.owe(one_way, Status::Dropped);
    assert_eq!(hear(&mut client), None);
    restart_client(&channel, 2);
    server.owe(call, Status::Dropped);
    assert!(!server.owes());
}

#[test]
fn a_client_that_never_reads_is_served_until_it_owes_as_much_as_can_be_and_no_further() {
    let (_, mut client, mut server) = narrow();
    let mut served = 0;
    for _ in 0..3 * IN_SERVICE_MAX {
        if client.request(RequestKind::Call, 1, 0, |_| ()) == Err(IpcError::Full) {
            break;
        }
        if let Some(request) = server.poll().unwrap() {
            served += 1;
            server.owe(request, Status::Exhausted);
        }
    }
    assert_eq!(served, 8 + IN_SERVICE_MAX, "what the ring holds, and what is in service");
    assert!(server.owes());
    assert!(!server.has_request() && !server.is_ready(), "or it would spin on what it cannot take");
    assert_eq!(server.poll(), Ok(None));

    // It begins to read, and hears of each of its calls.
    let mut told = 0;
    while let Some(reply) = hear(&mut client) {
        assert_eq!(reply.status, Status::Exhausted);
        client.release(reply);
        told += 1;
        let _ = client.must_kick();
        while let Some(request) = server.poll().unwrap() {
            server.owe(request, Status::Exhausted);
        }
    }
    assert_eq!(told, 3 * IN_SERVICE_MAX);
    assert!(!server.owes());
}

#[test]
fn a_server_that_can_owe_no_more_is_ready_when_its_client_is_another() {
    let (channel, mut client, mut server) = narrow();
    for _ in 0..8 + IN_SERVICE_MAX {
        send(&mut client, RequestKind::Call, 1);
        let request = take(&mut server);
        server.owe(request, Status::Dropped);
    }
    assert!(!server.is_ready());
    restart_client(&channel, 2);
    assert!(server.is_ready(), "or the new client waits for ever");
    assert_eq!(server.poll(), Ok(None));
    let mut client = Client::attach(channel);
    send(&mut client, RequestKind::Call, 2);
    assert_eq!(take(&mut server).operation(), 2);
}

#[test]
fn an_exchange_is_told_at_once_whatever_is_owed_for_calls() {
    let (_, mut client, mut server) = narrow();
    for _ in 0..9 {
        send(&mut client, RequestKind::Call, 1);
        let request = take(&mut server);
        server.owe(request, Status::Dropped);
    }
    assert!(server.owes());
    let ticket = client.exchange(1, 0, |_| ()).unwrap();
    let request = take(&mut server);
    server.owe(request, Status::Denied);
    let (status, short) = client.answer(ticket).unwrap().expect("a failure needs no room");
    assert_eq!((status, short.bytes()), (Status::Denied, &[][..]));
    assert!(server.owes(), "what was owed for the calls is owed still");
}

#[test]
fn a_server_that_owes_is_woken_by_the_room_that_it_waits_for() {
    let (_, mut client, mut server) = narrow();
    // What it gave when it began is not what the server will wait for.
    assert!(!client.must_kick());
    for _ in 0..9 {
        send(&mut client, RequestKind::Call, 1);
        let request = take(&mut server);
        server.owe(request, Status::Dropped);
    }
    assert!(server.owes());
    assert!(!client.must_kick() && !server.must_kick());
    let reply = hear(&mut client).unwrap();
    assert!(!client.must_kick(), "a reply that is only read makes no room");
    client.release(reply);
    assert!(client.must_kick(), "the server is to pay");
    assert_eq!(server.poll(), Ok(None));
    assert!(!server.owes());
}

#[test]
fn a_new_client_is_not_told_what_its_predecessor_was_owed() {
    let (channel, mut client, mut server) = narrow();
    for _ in 0..12 {
        send(&mut client, RequestKind::Call, 1);
        let request = take(&mut server);
        server.owe(request, Status::Dropped);
    }
    restart_client(&channel, 2);
    let mut client = Client::attach(channel);
    assert_eq!(server.poll(), Ok(None));
    assert!(!server.owes());
    assert_eq!(hear(&mut client), None);
    send(&mut client, RequestKind::Call, 1);
    let request = take(&mut server);
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(hear(&mut client).unwrap().status, Status::Ok);
}

#[derive(Clone, Debug)]
enum Op {
    Call,
    Take,
    Answer,
    Owe,
    Read,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Call),
        4 => Just(Op::Take),
        1 => Just(Op::Answer),
        3 => Just(Op::Owe),
        1 => Just(Op::Read),
    ]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn each_call_is_told_once_however_slowly_the_client_reads(
        ops in prop::collection::vec(op(), 1..=steps(300)),
    ) {
        let (_, mut client, mut server) = narrow();
        let (mut waiting, mut held): (Vec<u32>, Vec<Request>) = (Vec::new(), Vec::new());
        for op in ops {
            match op {
                Op::Call => if let Ok(ticket) = client.request(RequestKind::Call, 1, 0, |_| ()) {
                    waiting.push(ticket.token());
                },
                Op::Take => held.extend(server.poll().unwrap()),
                Op::Answer => if let Some(request) = held.pop()
                    && let Err((request, error)) = server.reply(request, Status::Ok, 0, |_| ())
                {
                    prop_assert_eq!(error, IpcError::Full);
                    held.push(request);
                },
                Op::Owe => if let Some(request) = held.pop() {
                    server.owe(request, Status::Dropped);
                },
                Op::Read => if let Some(reply) = hear(&mut client) {
                    let at = waiting.iter().position(|&token| token == reply.token);
                    waiting.swap_remove(at.expect("told twice"));
                    client.release(reply);
                },
            }
        }
        // Both go on until there is nothing left to do.
        loop {
            held.extend(server.poll().unwrap());
            held.drain(..).for_each(|request| server.owe(request, Status::Dropped));
            let Some(reply) = hear(&mut client) else { break };
            let at = waiting.iter().position(|&token| token == reply.token);
            waiting.swap_remove(at.expect("told twice"));
            client.release(reply);
        }
        prop_assert!(waiting.is_empty() && !server.owes(), "{waiting:?}");
    }
}
