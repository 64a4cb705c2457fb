//! A server that writes over its channel and dies: its clients' calls end, and go on with the next.

use std::vec;

use proptest::prelude::*;

use super::*;
use crate::calls::{Calls, Outcome};
use crate::channel::restart_client;
use crate::sync::Ordering::Relaxed;

type Ends = (HeapChannel, Calls<HeapChannel>, Server<HeapChannel>);

/// A channel through which some calls have passed.
fn ends() -> Ends {
    let channel = HeapChannel::new(64, 64);
    let (client, mut server) = (Client::attach(channel.clone()), Server::attach(channel.clone()));
    let mut calls = Calls::new(client);
    for _ in 0..20 {
        let ticket = calls.start(9, 8, |room| room.write(0, &[1; 8])).unwrap();
        serve(&mut server);
        assert_eq!(outcome(&mut calls, ticket), Some(Ok(())));
    }
    (channel, calls, server)
}

fn serve(server: &mut Server<HeapChannel>) {
    while let Some(request) = server.poll().expect("nobody accuses the client") {
        // At once, or as soon as the client has heard of this server.
        server.owe(request, Status::Ok);
    }
}

fn outcome(calls: &mut Calls<HeapChannel>, ticket: Ticket) -> Option<Result<(), IpcError>> {
    match calls.outcome(ticket) {
        Ok(None) => None,
        Ok(Some(Outcome::Reply(reply))) => {
            calls.client_mut().release(reply);
            Some(Ok(()))
        }
        Ok(Some(_)) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    }
}

/// Lets both ends run until the call has ended.
fn end_of(
    calls: &mut Calls<HeapChannel>,
    server: &mut Server<HeapChannel>,
    ticket: Ticket,
) -> Result<(), IpcError> {
    for _ in 0..4 {
        if let Some(end) = outcome(calls, ticket) {
            return end;
        }
        serve(server);
    }
    panic!("a call that hangs");
}

fn restarted(channel: &HeapChannel) -> Server<HeapChannel> {
    let epoch = channel.status().epochs().server + 1;
    channel.status().renew(u64::from(epoch) << 32);
    restart_server(channel, epoch);
    Server::attach(channel.clone())
}

/// That calls in hand end, in one way or the other, and that the next is answered.
fn assert_recovers((channel, mut calls, server): Ends, under_way: &[Ticket]) {
    drop(server);
    let mut server = restarted(&channel);
    serve(&mut server);
    for &ticket in under_way {
        let end = end_of(&mut calls, &mut server, ticket);
        assert!(matches!(end, Ok(()) | Err(IpcError::PeerRestarted)), "{end:?}");
        assert_eq!(outcome(&mut calls, ticket), Some(Err(IpcError::NotFound)), "no second end");
    }
    let mut attempts = (0..3).map(|_| {
        calls.settle_answers();
        serve(&mut server);
        calls.start(9, 8, |room| room.write(0, &[2; 8]))
    });
    let next = attempts.find_map(Result::ok).expect("there is room");
    assert_eq!(end_of(&mut calls, &mut server, next), Ok(()));
}

/// One word that a wild server writes over.
#[derive(Clone, Debug)]
enum Stroke {
    Shared(usize, u64),
    Request(usize, u64),
    Reply(usize, u64),
}

fn stroke() -> impl Strategy<Value = Stroke> {
    let value =
        prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), (0u64..100).prop_map(|n| n * 16)];
    prop_oneof![
        (0usize..22, value.clone()).prop_map(|(at, value)| Stroke::Shared(at, value)),
        (0usize..64, value.clone()).prop_map(|(at, value)| Stroke::Request(at, value)),
        (0usize..64, value).prop_map(|(at, value)| Stroke::Reply(at, value)),
    ]
}

fn draw(channel: &HeapChannel, strokes: &[Stroke]) {
    for stroke in strokes {
        match *stroke {
            Stroke::Shared(at, value) => channel.scribble(at, value),
            Stroke::Request(at, value) => channel.requests()[at].store(value, Relaxed),
            Stroke::Reply(at, value) => channel.replies()[at].store(value, Relaxed),
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(2000))]

    #[test]
    fn whatever_a_server_wrote_before_it_died_no_call_hangs(
        taken in 0usize..4,
        unread in 0usize..4,
        strokes in prop::collection::vec(stroke(), 1..12),
        // The nucleus restarts once more before anybody has looked.
        again: bool,
    ) {
        let (channel, mut calls, mut server) = ends();
        let mut start = || calls.start(9, 8, |room| room.write(0, &[3; 8])).unwrap();
        let mut under_way = vec![];
        for _ in 0..taken {
            under_way.push(start());
            let _in_service = server.poll().unwrap().unwrap();
        }
        under_way.extend((0..unread).map(|_| start()));
        draw(&channel, &strokes);
        if again {
            server = restarted(&channel);
        }
        assert_recovers((channel, calls, server), &under_way);
    }
}

#[test]
fn unread_requests_that_were_left_alone_are_served_by_the_next_server() {
    let (channel, mut calls, mut server) = ends();
    let taken = calls.start(9, 0, |_| ()).unwrap();
    let _in_service = server.poll().unwrap().unwrap();
    let unread = calls.start(9, 0, |_| ()).unwrap();
    let mut server = restarted(&channel);
    assert_eq!(end_of(&mut calls, &mut server, taken), Err(IpcError::PeerRestarted));
    assert_eq!(end_of(&mut calls, &mut server, unread), Ok(()));
}

#[test]
fn a_client_that_hears_late_of_a_server_that_has_released_much_goes_on_with_it() {
    let (channel, mut calls, mut server) = ends();
    let first = calls.start(9, 0, |_| ()).unwrap();
    let _in_service = server.poll().unwrap().unwrap();
    let mut server = restarted(&channel);
    // It fills the ring again and again, and does not look at what becomes of it.
    let rounds = if cfg!(miri) { 4 } else { 200 };
    for _ in 0..rounds {
        while calls.client_mut().request(RequestKind::Send, 1, 0, |_| ()).is_ok() {}
        serve(&mut server);
    }
    let unread = calls.start(9, 0, |_| ()).unwrap();
    assert_eq!(end_of(&mut calls, &mut server, first), Err(IpcError::PeerRestarted));
    assert_eq!(end_of(&mut calls, &mut server, unread), Ok(()));
}

#[test]
fn a_server_that_claims_to_have_gone_back_in_time_is_not_followed_there() {
    let (channel, mut calls, server) = ends();
    // Just behind the client's `head`, as far as it knows.
    while calls.client_mut().request(RequestKind::Send, 1, 0, |_| ()).is_ok() {}
    let generation = channel.status().epochs().requests;
    channel.shared().requests().consume_from(generation, calls.client().requests.tail() - 512);
    let taken = channel.shared().requests().claims().taken;
    channel.requests()[taken as usize % 512 / 8].store(0, Relaxed);
    assert_recovers((channel, calls, server), &[]);
}

#[test]
fn a_client_that_had_begun_anew_may_restart_and_its_successor_is_served() {
    let (channel, mut calls, server) = ends();
    drop(server);
    channel.requests().iter().for_each(|word| word.store(0, Relaxed));
    channel.shared().requests().consume_from(99, 0);
    let mut server = restarted(&channel);
    calls.settle_answers();
    restart_client(&channel, 2);
    let mut calls = Calls::new(Client::attach(channel));
    serve(&mut server);
    let ticket = calls.start(9, 0, |_| ()).unwrap();
    assert_eq!(end_of(&mut calls, &mut server, ticket), Ok(()));
}

#[test]
fn a_server_that_answered_what_it_says_it_never_took_stands_in_nobodys_way() {
    let (channel, mut calls, mut server) = ends();
    let requests = channel.shared().requests();
    let (before, generation) = (requests.claims().taken, requests.claims().generation);
    let ticket = calls.client_mut().exchange(9, 8, |line| line.write(0, &[1; 8])).unwrap();
    calls.enter(ticket);
    serve(&mut server);
    requests.consume_from(generation, before);
    assert_recovers((channel, calls, server), &[ticket]);
}
