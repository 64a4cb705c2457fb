//! Exchanges, whose short replies come over their requests.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::channel::{Shared, Status as Page, restart_client};
use crate::record::RequestKind;
use crate::ring::MIN_WORDS;
use crate::sync::AtomicU64;

fn ask(calls: &mut Calls<HeapChannel>) -> Ticket {
    let ticket = calls.client_mut().exchange(1, 8, |line| line.write(0, &[5; 8])).unwrap();
    calls.enter(ticket);
    ticket
}

/// What was said of an exchange that is answered in its place.
fn short(calls: &mut Calls<HeapChannel>, ticket: Ticket) -> (Status, Vec<u8>) {
    let Ok(Some(Outcome::Short(status, short))) = calls.outcome(ticket) else {
        panic!("no short reply")
    };
    (status, short.bytes().to_vec())
}

/// Uses each place of the smallest ring again, without a look at any answer.
fn go_round(calls: &mut Calls<HeapChannel>, server: &mut Server<HeapChannel>) {
    for _ in 0..MIN_WORDS {
        let _ = calls.client_mut().request(RequestKind::Send, 2, 0, |_| ());
        if let Some(request) = server.poll().unwrap() {
            server.forget(request);
        }
    }
}

fn replies_in_ring(channel: &HeapChannel) -> u64 {
    channel.shared().replies().claims().tail
}

#[test]
fn a_short_reply_comes_in_place_and_once() {
    let (channel, mut calls, mut server) = ends();
    for byte in 0..40 {
        let ticket = ask(&mut calls);
        assert!(!calls.has_news() && calls.outcome(ticket).unwrap().is_none());
        answer(&mut server, byte);
        assert!(calls.has_news());
        assert_eq!(short(&mut calls, ticket), (Status::Ok, vec![byte]));
        assert!(!calls.has_news() && calls.is_idle());
        assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
    }
    assert_eq!(replies_in_ring(&channel), 0);
    assert_eq!(channel.shared().replies().counts().records, 40, "they are counted all the same");
}

#[test]
fn the_longest_reply_that_is_short_and_the_shortest_that_is_long() {
    let (channel, mut calls, mut server) = ends();
    for (length, in_place) in [(0, true), (48, true), (49, false), (1000, false)] {
        let before = replies_in_ring(&channel);
        let ticket = ask(&mut calls);
        let request = take(&mut server);
        assert!(request.is_call() && request.len() == 8);
        let bytes = pattern(9, length);
        server.reply(request, Status::Ok, length, |room| room.write(0, &bytes)).unwrap();
        assert!(calls.has_news());
        let said = match calls.outcome(ticket) {
            Ok(Some(Outcome::Short(_, short))) => (short.bytes().to_vec(), true),
            Ok(Some(Outcome::Reply(reply))) => {
                let mut bytes = vec![0; reply.len()];
                calls.client().read(&reply, 0, &mut bytes);
                calls.client_mut().release(reply);
                (bytes, false)
            }
            found => panic!("{found:?}"),
        };
        assert_eq!(said, (bytes, in_place));
        assert_eq!(replies_in_ring(&channel) == before, in_place);
        assert!(calls.is_idle());
    }
    assert_eq!(rejected(&channel), 0);
}

#[test]
fn a_buffer_may_be_the_reply() {
    let (_, mut calls, mut server) = ends();
    let ticket = ask(&mut calls);
    let request = take(&mut server);
    let loan = server.lend(100).unwrap();
    server.fill(&loan, 0, &[7; 100]);
    server.reply_lent(request, loan, b"").unwrap();
    calls.settle_answers();
    assert_eq!(kept(calls.outcome(ticket)).lent.as_deref(), Some(&[7; 100][..]));
    assert!(calls.is_idle() && !calls.has_news());
}

#[test]
fn failures_come_in_place_even_if_the_reply_ring_is_full() {
    let channel = HeapChannel::new(512, MIN_WORDS);
    let mut calls = Calls::new(Client::attach(channel.clone()));
    let mut server = Server::attach(channel);
    for _ in 0..2 {
        calls.client_mut().request(RequestKind::Call, 1, 0, |_| ()).unwrap();
        let request = take(&mut server);
        server.reply(request, Status::Ok, server.max_reply(), |_| ()).unwrap();
    }
    let ticket = ask(&mut calls);
    let request = take(&mut server);
    server.owe(request, Status::Exhausted);
    assert!(!server.owes(), "it needs no room");
    assert_eq!(short(&mut calls, ticket), (Status::Exhausted, vec![]));
}

#[test]
fn a_long_reply_that_finds_no_room_may_become_a_short_one() {
    let channel = HeapChannel::new(512, 64);
    let mut calls = Calls::new(Client::attach(channel.clone()));
    let mut server = Server::attach(channel);
    let ticket = ask(&mut calls);
    let request = take(&mut server);
    let long = server.max_reply() + 1;
    let (request, error) = server.reply(request, Status::Ok, long, |_| ()).unwrap_err();
    assert_eq!(error, IpcError::TooLarge);
    assert!(calls.outcome(ticket).unwrap().is_none());
    server.reply(request, Status::Denied, 0, |_| ()).unwrap();
    assert_eq!(short(&mut calls, ticket).0, Status::Denied);
}

#[test]
fn an_exchange_that_is_asked_for_after_other_calls_is_kept_when_its_place_is_used_again() {
    let channel = HeapChannel::new(MIN_WORDS, 512);
    let mut calls = Calls::new(Client::attach(channel.clone()));
    let mut server = Server::attach(channel);
    let ticket = ask(&mut calls);
    let send = |calls: &mut Calls<HeapChannel>| {
        calls.client_mut().request(RequestKind::Send, 2, 0, |_| ())
    };
    while send(&mut calls).is_ok() {}
    answer(&mut server, 9);
    go_round(&mut calls, &mut server);
    assert!(calls.has_news());
    assert_eq!(short(&mut calls, ticket), (Status::Ok, vec![9]));
}

#[test]
fn whoever_asks_for_another_call_files_the_answer_to_the_exchange() {
    let (channel, mut calls, mut server) = ends();
    let exchange = ask(&mut calls);
    let call = start(&mut calls);
    answer(&mut server, 1);
    answer(&mut server, 2);
    assert_eq!(heard(&mut calls, call), [2]);
    assert!(!calls.has_news(), "or the other would go on looking for nothing");
    assert_eq!(&*kept(calls.outcome(exchange)).payload, &[1]);
    assert_eq!((calls.under_way(), rejected(&channel)), (0, 0));
}

#[test]
fn a_late_answer_to_an_exchange_that_was_given_up_disturbs_nobody() {
    for length in [1, 48, 49] {
        let (channel, mut calls, mut server) = ends();
        let given_up = ask(&mut calls);
        calls.cancel(given_up);
        assert!(calls.outcome(given_up).unwrap().is_none());
        let next = start(&mut calls);
        let request = take(&mut server);
        assert!(server.is_cancelled(&request), "the server was told");
        server.reply(request, Status::Ok, length, |room| room.write(0, &[1])).unwrap();
        answer(&mut server, 2);
        assert_eq!(heard(&mut calls, next), [2]);
        assert_eq!(calls.outcome(given_up).unwrap_err(), IpcError::NotFound);
        assert_eq!(rejected(&channel), 0, "an honest server was accused");
        assert!(calls.is_idle() && !calls.has_news());
    }
}

#[test]
fn a_late_answer_is_heard_of_although_its_place_was_used_again() {
    let channel = HeapChannel::new(MIN_WORDS, 512);
    let mut calls = Calls::new(Client::attach(channel.clone()));
    let mut server = Server::attach(channel.clone());
    let given_up = ask(&mut calls);
    calls.cancel(given_up);
    answer(&mut server, 1);
    go_round(&mut calls, &mut server);
    assert!(calls.has_news() && !calls.is_idle());
    calls.settle_answers();
    assert!(calls.is_idle(), "it makes way for the next exchange");
    let next = ask(&mut calls);
    answer(&mut server, 3);
    assert_eq!(short(&mut calls, next), (Status::Ok, vec![3]));
    assert_eq!(rejected(&channel), 0);
}

#[test]
fn the_last_word_of_a_dead_server_is_heard_and_what_it_took_to_its_grave_fails() {
    for answers in [true, false] {
        let (channel, mut calls, mut server) = ends();
        let ticket = ask(&mut calls);
        let request = take(&mut server);
        if answers {
            server.reply(request, Status::Ok, 3, |line| line.write(0, b"end")).unwrap();
        }
        let mut server = restart_server(&channel);
        // It is heard of the death first: by whoever asks for something else.
        calls.settle_answers();
        match calls.outcome(ticket) {
            Ok(Some(Outcome::Kept(kept))) => assert!(answers && *kept.payload == *b"end"),
            Err(error) => assert!(!answers && error == IpcError::PeerRestarted),
            found => panic!("{found:?}"),
        }
        assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
        assert_eq!(server.poll(), Ok(None), "it is not served twice");
        let next = ask(&mut calls);
        answer(&mut server, 4);
        assert_eq!(short(&mut calls, next), (Status::Ok, vec![4]));
    }
}

#[test]
fn an_exchange_that_nobody_had_taken_is_served_by_the_next_incarnation() {
    let (channel, mut calls, _server) = ends();
    let ticket = ask(&mut calls);
    let mut server = restart_server(&channel);
    assert!(calls.outcome(ticket).unwrap().is_none());
    answer(&mut server, 6);
    assert_eq!(short(&mut calls, ticket), (Status::Ok, vec![6]));
}

#[test]
fn a_half_written_answer_of_a_dead_server_is_none() {
    let (channel, mut calls, mut server) = ends();
    let ticket = ask(&mut calls);
    let _in_service = take(&mut server);
    for word in &channel.requests()[1..8] {
        word.store(!0, Relaxed);
    }
    restart_server(&channel);
    assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::PeerRestarted);
}

#[test]
fn a_server_that_stops_for_good_ends_the_exchange_unless_it_answered() {
    for answers in [true, false] {
        let (channel, mut calls, mut server) = ends();
        let exchange = ask(&mut calls);
        let other = start(&mut calls);
        if answers {
            answer(&mut server, 1);
        }
        channel.status().set_gone(Role::Server, true);
        assert_eq!(calls.outcome(other).unwrap_err(), IpcError::PeerGone);
        match calls.outcome(exchange) {
            Ok(Some(Outcome::Kept(kept))) => assert!(answers && *kept.payload == [1]),
            Err(error) => assert!(!answers && error == IpcError::PeerGone),
            found => panic!("{found:?}"),
        }
        assert_eq!(calls.client_mut().exchange(1, 0, |_| ()), Err(IpcError::PeerGone));
    }
}

#[test]
fn an_answer_to_a_dead_client_is_refused_and_its_successor_hears_its_own() {
    let (channel, mut calls, mut server) = ends();
    ask(&mut calls);
    let stale = take(&mut server);
    restart_client(&channel, 2);
    let mut calls = Calls::new(Client::attach(channel));
    let (stale, error) = server.reply(stale, Status::Ok, 0, |_| ()).unwrap_err();
    assert_eq!(error, IpcError::PeerRestarted);
    server.forget(stale);
    assert_eq!(calls.client_mut().exchange(1, 0, |_| ()), Err(IpcError::Full));
    assert_eq!(server.poll(), Ok(None));
    let ticket = ask(&mut calls);
    assert!(!calls.has_news(), "what lies in its place is its predecessor's");
    answer(&mut server, 2);
    assert_eq!(short(&mut calls, ticket), (Status::Ok, vec![2]));
}

#[test]
fn an_answer_with_another_token_or_an_unknown_status_is_a_breach() {
    for word in [record::reply::word(77, 0), record::reply::word(0, 99)] {
        let (channel, mut calls, mut server) = ends();
        let ticket = ask(&mut calls);
        answer(&mut server, 1);
        let head = record::Head { length: 1, kind: Kind::Reply, items: 0, word };
        channel.requests()[1].store(head.to_bits(), Relaxed);
        assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::Protocol);
        assert!(calls.is_idle() && !calls.has_news());
    }
}

#[test]
fn a_server_that_answers_twice_is_heard_once_and_accused() {
    let (channel, mut calls, mut server) = ends();
    let ticket = ask(&mut calls);
    answer(&mut server, 1);
    lie(&mut liar(&channel), ticket.token());
    assert_eq!(short(&mut calls, ticket), (Status::Ok, vec![1]));
    calls.settle_answers();
    assert_eq!(rejected(&channel), 1);
    let next = ask(&mut calls);
    answer(&mut server, 2);
    assert_eq!(short(&mut calls, next), (Status::Ok, vec![2]));
}

type Event = Box<dyn FnOnce()>;

/// A channel on which something happens when its client looks at the reply ring: after it has
/// looked for an answer in place, and before it looks whether the server lives.
#[derive(Clone)]
struct Meanwhile(HeapChannel, Rc<RefCell<Option<Event>>>);

impl Region for Meanwhile {
    fn status(&self) -> &Page {
        self.0.status()
    }

    fn shared(&self) -> &Shared {
        self.0.shared()
    }

    fn requests(&self) -> &[AtomicU64] {
        self.0.requests()
    }

    fn replies(&self) -> &[AtomicU64] {
        let happens = self.1.borrow_mut().take();
        if let Some(happens) = happens {
            happens();
        }
        self.0.replies()
    }

    fn lent_requests(&self) -> &[AtomicU64] {
        self.0.lent_requests()
    }

    fn lent_replies(&self) -> &[AtomicU64] {
        self.0.lent_replies()
    }
}

#[test]
fn an_answer_and_the_end_of_its_server_between_two_looks_are_one_outcome() {
    for dies_for_good in [false, true] {
        let (channel, _, mut server) = ends();
        let event = Rc::new(RefCell::new(None));
        let region = Meanwhile(channel.clone(), event.clone());
        let mut calls = Calls::new(Client::attach(region));
        let ticket = calls.client_mut().exchange(1, 0, |_| ()).unwrap();
        calls.enter(ticket);
        let happens: Event = Box::new(move || {
            answer(&mut server, 5);
            if dies_for_good {
                channel.status().set_gone(Role::Server, true);
            } else {
                restart_server(&channel);
            }
        });
        event.replace(Some(happens));
        assert_eq!(&*kept(calls.outcome(ticket)).payload, &[5], "for good: {dies_for_good}");
        assert!(event.borrow().is_none());
        assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
    }
}

#[test]
#[should_panic(expected = "offset + bytes.len() <= self.payload")]
fn an_answer_over_its_request_is_written_no_further_than_it_was_said_to_be() {
    let (_, mut calls, mut server) = ends();
    let _ticket = calls.client_mut().exchange(1, 8, |line| line.write(0, &[0; 8])).unwrap();
    let request = take(&mut server);
    let _ = server.reply(request, Status::Ok, 8, |line| line.write(0, &[0; 16]));
}
