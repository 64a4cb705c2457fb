//! Calls under way, one rule at a time. `exchange` is about replies over their requests; `model`
//! tries any order of events.

mod exchange;
mod model;

use std::vec::Vec;

use super::*;
use crate::channel::{self, Replies, Role};
use crate::record::{self, Kind};
use crate::ring::{Memory, Producer};
use crate::server::{Request, Server};
use crate::support::{HeapChannel, Words, pattern};
use crate::sync::Ordering::Relaxed;

type Ends = (HeapChannel, Calls<HeapChannel>, Server<HeapChannel>);

fn ends() -> Ends {
    let words = Words { requests: 512, replies: 512, lent_requests: 512, lent_replies: 512 };
    let channel = HeapChannel::with_buffers(words);
    let (client, server) = (Client::attach(channel.clone()), Server::attach(channel.clone()));
    (channel, Calls::new(client), server)
}

fn start(calls: &mut Calls<HeapChannel>) -> Ticket {
    calls.start(1, 0, |_| ()).unwrap()
}

fn take(server: &mut Server<HeapChannel>) -> Request {
    server.poll().unwrap().unwrap()
}

/// Answers the next request with one byte.
fn answer(server: &mut Server<HeapChannel>, byte: u8) {
    let request = take(server);
    server.reply(request, Status::Ok, 1, |room| room.write(0, &[byte])).unwrap();
}

fn restart_server(channel: &HeapChannel) -> Server<HeapChannel> {
    channel::restart_server(channel, channel.status().epochs().server + 1);
    Server::attach(channel.clone())
}

fn kept(outcome: Result<Option<Outcome>, IpcError>) -> Kept {
    let Ok(Some(Outcome::Kept(kept))) = outcome else { panic!("not kept: {outcome:?}") };
    kept
}

/// What was said of a call that is answered in the ring; releases the reply.
fn heard(calls: &mut Calls<HeapChannel>, ticket: Ticket) -> Vec<u8> {
    let Ok(Some(Outcome::Reply(reply))) = calls.outcome(ticket) else { panic!("no reply") };
    let mut bytes = vec![0; reply.len()];
    calls.client().read(&reply, 0, &mut bytes);
    calls.client_mut().release(reply);
    bytes
}

fn rejected(channel: &HeapChannel) -> u64 {
    channel.shared().replies().counts().rejected
}

#[test]
fn a_call_is_under_way_until_its_outcome_is_asked_for_and_has_it_once() {
    let (_, mut calls, mut server) = ends();
    let ticket = start(&mut calls);
    assert!(calls.outcome(ticket).unwrap().is_none());
    answer(&mut server, 7);
    assert_eq!(calls.under_way(), 1);
    assert_eq!(heard(&mut calls, ticket), [7]);
    assert_eq!(calls.under_way(), 0);
    assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
}

#[test]
fn an_answer_that_comes_before_it_is_asked_for_is_kept_and_its_room_given_back() {
    let (channel, mut calls, mut server) = ends();
    let (first, second) = (start(&mut calls), start(&mut calls));
    answer(&mut server, 1);
    answer(&mut server, 2);
    assert_eq!(heard(&mut calls, second), [2]);
    let claims = channel.shared().replies().claims();
    assert_eq!(claims.head, claims.tail, "nothing is held up");
    let first = kept(calls.outcome(first));
    assert_eq!((first.status, &*first.payload, first.lent), (Status::Ok, &[1][..], None));
    assert_eq!(calls.under_way(), 0);
}

#[test]
fn an_answer_with_a_buffer_is_kept_with_a_copy_of_it() {
    let (_, mut calls, mut server) = ends();
    let (first, second) = (start(&mut calls), start(&mut calls));
    let loan = server.lend(300).unwrap();
    server.fill(&loan, 0, &pattern(3, 300));
    let request = take(&mut server);
    server.reply_lent(request, loan, b"with").unwrap();
    answer(&mut server, 2);
    assert_eq!(heard(&mut calls, second), [2]);
    // The pool is the server's again, and it may write there.
    let loan = server.lend(300).unwrap();
    server.fill(&loan, 0, &[0; 300]);
    server.give_back(loan);
    let first = kept(calls.outcome(first));
    assert_eq!((&*first.payload, &*first.lent.unwrap()), (&b"with"[..], &*pattern(3, 300)));
}

#[test]
fn no_more_than_the_limit_are_under_way_and_each_end_makes_place_for_one() {
    let (_, mut calls, mut server) = ends();
    let tickets: Vec<Ticket> = (0..CALLS_MAX).map(|_| start(&mut calls)).collect();
    assert_eq!(calls.start(1, 0, |_| ()), Err(IpcError::Full));
    let loan = calls.client_mut().lend(8).unwrap();
    let (loan, error) = calls.start_lent(1, loan, b"").unwrap_err();
    assert_eq!(error, IpcError::Full);
    calls.client_mut().give_back(loan);
    answer(&mut server, 1);
    assert_eq!(calls.start(1, 0, |_| ()), Err(IpcError::Full), "an answer is no end yet");
    assert_eq!(heard(&mut calls, tickets[0]), [1]);
    let next = start(&mut calls);
    assert_eq!(calls.under_way(), CALLS_MAX);
    for _ in 0..CALLS_MAX {
        answer(&mut server, 2);
    }
    assert_eq!(heard(&mut calls, tickets[1]), [2]);
    assert_eq!(heard(&mut calls, tickets[2]), [2]);
    assert_eq!(
        &*kept({
            calls.settle_answers();
            calls.outcome(next)
        })
        .payload,
        &[2]
    );
    assert_eq!(calls.under_way(), CALLS_MAX - 3);
}

#[test]
fn a_server_that_dies_ends_what_it_had_taken_and_nothing_else() {
    let (channel, mut calls, mut server) = ends();
    let [answered, taken, unread] = [0; 3].map(|_| start(&mut calls));
    answer(&mut server, 1);
    let _in_service = take(&mut server);
    let mut server = restart_server(&channel);
    assert!(calls.outcome(unread).unwrap().is_none());
    assert_eq!(calls.outcome(taken).unwrap_err(), IpcError::PeerRestarted);
    assert_eq!(calls.outcome(taken).unwrap_err(), IpcError::NotFound, "once");
    assert_eq!(&*kept(calls.outcome(answered)).payload, &[1]);
    answer(&mut server, 3);
    assert_eq!(heard(&mut calls, unread), [3]);
}

#[test]
fn a_server_that_stops_for_good_ends_each_call_but_those_that_it_answered() {
    let (channel, mut calls, mut server) = ends();
    let [answered, waiting, other] = [0; 3].map(|_| start(&mut calls));
    answer(&mut server, 1);
    channel.status().set_gone(Role::Server, true);
    assert_eq!(calls.outcome(waiting).unwrap_err(), IpcError::PeerGone);
    assert_eq!(&*kept(calls.outcome(answered)).payload, &[1]);
    assert_eq!(calls.outcome(other).unwrap_err(), IpcError::PeerGone);
    assert_eq!(calls.outcome(other).unwrap_err(), IpcError::NotFound);
    assert_eq!(calls.start(1, 0, |_| ()), Err(IpcError::PeerGone));
}

#[test]
fn a_breach_of_the_protocol_ends_each_call_but_those_whose_answer_is_kept() {
    let (channel, mut calls, mut server) = ends();
    let [answered, waiting, other] = [0; 3].map(|_| start(&mut calls));
    answer(&mut server, 1);
    calls.settle_answers();
    answer(&mut server, 2);
    let at = channel.shared().replies().claims().taken as usize / 8;
    channel.replies()[at + 1].store(0, Relaxed);
    assert_eq!(calls.outcome(waiting).unwrap_err(), IpcError::Protocol);
    assert_eq!(&*kept(calls.outcome(answered)).payload, &[1]);
    assert_eq!(calls.outcome(other).unwrap_err(), IpcError::Protocol);
    assert_eq!(calls.under_way(), 0);
}

#[test]
fn a_reply_to_a_call_that_was_given_up_is_dropped_and_no_stray() {
    let (channel, mut calls, mut server) = ends();
    let (given_up, other) = (start(&mut calls), start(&mut calls));
    calls.cancel(given_up);
    assert_eq!(calls.under_way(), 2, "it may still be answered");
    answer(&mut server, 1);
    answer(&mut server, 2);
    assert_eq!(heard(&mut calls, other), [2]);
    assert_eq!((calls.under_way(), rejected(&channel)), (0, 0));
}

#[test]
fn who_asks_for_a_call_that_was_given_up_does_not_keep_its_place() {
    let (channel, mut calls, mut server) = ends();
    let ticket = start(&mut calls);
    calls.cancel(ticket);
    answer(&mut server, 1);
    assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
    assert_eq!((calls.under_way(), rejected(&channel)), (0, 0));
}

#[test]
fn a_call_that_is_given_up_after_its_end_makes_place_at_once() {
    let (_, mut calls, mut server) = ends();
    let ticket = start(&mut calls);
    answer(&mut server, 1);
    calls.settle_answers();
    calls.cancel(ticket);
    assert_eq!(calls.under_way(), 0);
    calls.cancel(ticket);
}

/// The replies of a server that says what it likes.
fn liar(channel: &HeapChannel) -> Producer<Replies<HeapChannel>> {
    let now = channel.status().snapshot();
    Producer::new(Replies(channel.clone()), now.secrets.replies, now.epochs.replies())
}

fn lie<M: Memory>(replies: &mut Producer<M>, token: u32) {
    replies.reserve(0).unwrap().commit(Kind::Reply, record::reply::word(token, 0));
}

#[test]
fn replies_to_calls_that_nobody_made_or_that_ended_are_rejected_and_counted() {
    let (channel, mut calls, _) = ends();
    let mut replies = liar(&channel);
    let (first, second) = (start(&mut calls), start(&mut calls));
    lie(&mut replies, 999);
    lie(&mut replies, first.token());
    lie(&mut replies, first.token());
    lie(&mut replies, second.token());
    assert_eq!(heard(&mut calls, second), []);
    assert_eq!(rejected(&channel), 2, "the stray and the double");
    assert_eq!(&*kept(calls.outcome(first)).payload, &[]);
    lie(&mut replies, first.token());
    lie(&mut replies, second.token());
    assert_eq!(calls.outcome(second).unwrap_err(), IpcError::NotFound);
    assert_eq!(rejected(&channel), 4);
    let claims = channel.shared().replies().claims();
    assert_eq!(claims.head, claims.tail, "the room of all comes back");
}

#[test]
fn calls_that_were_given_up_and_released_without_an_answer_make_place() {
    let (channel, mut calls, mut server) = ends();
    let tickets: Vec<Ticket> = (0..CALLS_MAX).map(|_| start(&mut calls)).collect();
    let held: Vec<Request> = (0..CALLS_MAX).map(|_| take(&mut server)).collect();
    tickets[1..].iter().for_each(|&ticket| calls.cancel(ticket));
    assert_eq!(calls.start(1, 0, |_| ()), Err(IpcError::Full), "they may still be answered");
    let mut held = held.into_iter();
    // The first is answered, the second too, and no other ever.
    for _ in 0..2 {
        let request = held.next().unwrap();
        server.reply(request, Status::Ok, 1, |room| room.write(0, &[7])).unwrap();
    }
    held.for_each(|request| server.forget(request));
    let next = start(&mut calls);
    assert_eq!(calls.under_way(), 2);
    assert_eq!(&*kept(calls.outcome(tickets[0])).payload, &[7]);
    answer(&mut server, 8);
    assert_eq!(heard(&mut calls, next), [8]);
    assert_eq!((calls.under_way(), rejected(&channel)), (0, 0));
}
