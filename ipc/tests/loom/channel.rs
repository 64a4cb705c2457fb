//! Channels: restarts of either end under the other, notifications, and room that is given back
//! without asking at once.

use std::sync::Arc;

use atoll_ipc::calls::{Calls, Outcome};
use atoll_ipc::channel::{
    Death, Epochs, Fates, Region, restart_client, restart_server, restart_server_again,
};
use atoll_ipc::client::{Client, ClientEvent};
use atoll_ipc::message::{IpcError, Status as Fate};
use atoll_ipc::record::RequestKind;
use atoll_ipc::ring::MIN_WORDS;
use atoll_ipc::server::{Request, Server};
use atoll_ipc::sync::Ordering::Relaxed;
use loom::thread;

use super::support::HeapChannel;
use super::{Bell, channel_model, spawn};

#[test]
fn loom_a_generation_that_changes_under_a_drain_loses_and_repeats_nothing() {
    channel_model(None, || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let mut server = Server::attach(channel.clone());
        let clients = spawn(move || {
            let mut client = Client::attach(channel.clone());
            client.request(RequestKind::Send, 1, 0, |_| ()).unwrap();
            drop(client);
            restart_client(&channel, 2);
            let mut client = Client::attach(channel);
            while client.request(RequestKind::Send, 2, 0, |_| ()).is_err() {
                thread::yield_now();
            }
        });
        for operation in 1..=2 {
            let request = loop {
                match server.poll().unwrap() {
                    Some(request) => break request,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(
                (request.operation(), request.client_epoch()),
                (operation, operation.into())
            );
            server.forget(request);
        }
        clients.join().unwrap();
        assert_eq!(server.poll(), Ok(None));
    });
}

#[test]
fn loom_a_server_that_restarts_under_its_client_leaves_each_call_one_outcome() {
    channel_model(None, || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let mut server = Server::attach(channel.clone());
        let mut client = Client::attach(channel.clone());
        let ticket = client.request(RequestKind::Call, 1, 0, |_| ()).unwrap();
        let servers = spawn(move || {
            let request = server.poll().unwrap().unwrap();
            let answered = server.reply(request, Fate::Ok, 0, |_| ()).is_ok();
            restart_server(&channel, 2);
            answered
        });
        let mut replied = false;
        let resume = loop {
            match client.poll().unwrap() {
                Some(ClientEvent::Reply(reply)) => {
                    assert!(!replied && reply.token == ticket.token());
                    replied = true;
                    client.release(reply);
                }
                Some(ClientEvent::Restarted { resume }) => break resume,
                None => thread::yield_now(),
            }
        };
        assert_eq!(servers.join().unwrap(), replied, "a reply that was sent is heard");
        assert!(ticket.was_taken(resume), "and one that was not will never be");
    });
}

#[test]
fn loom_notification_bits_add_up_and_none_is_lost() {
    channel_model(Some(4), || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let bell = Arc::new(Bell::default());
        let mut server = Server::attach(channel.clone());
        let (theirs, mut client) = (bell.clone(), Client::attach(channel));
        let notifier = spawn(move || {
            for bit in [1, 2] {
                client.notify(bit);
                if client.must_kick() {
                    theirs.kick();
                }
            }
        });
        let mut bits = 0;
        while bits != 3 {
            server.declare_asleep();
            if !server.is_ready() {
                bell.wait();
            }
            server.declare_awake();
            let more = server.collect_notifications();
            assert_eq!(bits & more, 0, "a bit that was raised once is collected once");
            bits |= more;
        }
        notifier.join().unwrap();
    });
}

#[test]
fn loom_the_nucleuss_page_is_read_as_of_one_moment() {
    // A torn reading takes one switch there and one back; without a bound, the many words of the
    // page make for days of work.
    channel_model(Some(2), || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let (mut server, mut client) =
            (Server::attach(channel.clone()), Client::attach(channel.clone()));
        client.request(RequestKind::Send, 1, 0, |_| ()).unwrap();
        let _in_service = server.poll().unwrap().unwrap();
        let theirs = channel.clone();
        let reader = spawn(move || {
            let Epochs { client, server, requests, resume } = theirs.status().epochs();
            let moments = [(1, 1, 2, 0), (1, 2, 2, 16), (2, 2, 4, 0)];
            let found = (client, server, requests, resume);
            assert!(moments.contains(&found), "a moment that never was: {found:?}");
        });
        restart_server(&channel, 2);
        // The second one fills the view that the reader may be in the middle of.
        restart_client(&channel, 2);
        reader.join().unwrap();
    });
}

/// What became of a call, asked until it is known.
fn end_of(
    calls: &mut Calls<HeapChannel>,
    ticket: atoll_ipc::client::Ticket,
) -> Result<Fate, IpcError> {
    loop {
        match calls.outcome(ticket)? {
            Some(Outcome::Reply(reply)) => {
                let status = reply.status;
                calls.client_mut().release(reply);
                return Ok(status);
            }
            Some(Outcome::Kept(kept)) => return Ok(kept.status),
            Some(Outcome::Short(status, _)) => return Ok(status),
            None => thread::yield_now(),
        }
    }
}

/// A server's next request, which comes.
fn next_of(server: &mut Server<HeapChannel>) -> Request {
    loop {
        match server.poll().unwrap() {
            Some(request) => return request,
            None => thread::yield_now(),
        }
    }
}

/// Answers a client that may not have heard of this server yet.
fn answer(server: &mut Server<HeapChannel>, mut request: Request, fate: Fate) {
    while let Err((again, error)) = server.reply(request, fate, 0, |_| ()) {
        assert_eq!(error, IpcError::Full, "the client has not come over yet");
        request = again;
        thread::yield_now();
    }
}

#[test]
fn loom_a_server_that_dies_between_taking_and_answering_ends_the_call_once() {
    channel_model(Some(4), || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let mut server = Server::attach(channel.clone());
        let mut calls = Calls::new(Client::attach(channel.clone()));
        let taken = calls.start(1, 0, |_| ()).unwrap();
        let servers = spawn(move || {
            let _in_service = server.poll().unwrap().unwrap();
            restart_server(&channel, 2);
            let mut server = Server::attach(channel);
            let request = next_of(&mut server);
            assert_eq!(request.operation(), 2, "what was taken is not taken again");
            answer(&mut server, request, Fate::Denied);
        });
        // Concurrent with the death: before it, in the middle of it, or after it.
        let unread = calls.start(2, 0, |_| ()).unwrap();
        assert_eq!(end_of(&mut calls, taken), Err(IpcError::PeerRestarted));
        assert_eq!(end_of(&mut calls, unread), Ok(Fate::Denied));
        servers.join().unwrap();
        for ended in [taken, unread] {
            assert_eq!(end_of(&mut calls, ended), Err(IpcError::NotFound), "no second end");
        }
    });
}

#[test]
fn loom_a_request_that_is_delivered_again_is_answered_once_or_not_delivered() {
    for answers in [false, true] {
        channel_model(Some(3), move || {
            let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
            channel.status().redeliver();
            let mut server = Server::attach(channel.clone());
            let mut calls = Calls::new(Client::attach(channel.clone()));
            let first = calls.start(1, 0, |_| ()).unwrap();
            let servers = spawn(move || {
                let request = server.poll().unwrap().unwrap();
                if answers {
                    server.reply(request, Fate::Ok, 0, |_| ()).unwrap();
                }
                let mut fates = Fates::new(3);
                restart_server_again(&channel, 2, &mut fates, Death::Own, |_| ());
                let mut server = Server::attach(channel);
                let mut left = if answers { 1 } else { 2 };
                while left > 0 {
                    let Some(request) = server.poll().unwrap() else {
                        thread::yield_now();
                        continue;
                    };
                    assert_eq!(request.operation(), 3 - left, "in order, and none twice");
                    assert_eq!(server.redeliveries(&request), u32::from(left == 2));
                    answer(&mut server, request, Fate::Ok);
                    left -= 1;
                }
            });
            // Concurrent with the death: before it, in the middle of it, or after it.
            let second = calls.start(2, 0, |_| ()).unwrap();
            assert_eq!(end_of(&mut calls, first), Ok(Fate::Ok));
            assert_eq!(end_of(&mut calls, second), Ok(Fate::Ok));
            servers.join().unwrap();
        });
    }
}

#[test]
fn loom_a_poisoned_call_ends_so_once_while_its_client_goes_on() {
    channel_model(Some(3), || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        channel.status().redeliver();
        let mut server = Server::attach(channel.clone());
        let mut calls = Calls::new(Client::attach(channel.clone()));
        let first = calls.start(1, 0, |_| ()).unwrap();
        let servers = spawn(move || {
            let _in_service = server.poll().unwrap().unwrap();
            let mut fates = Fates::new(1);
            for epoch in 2..=3 {
                restart_server_again(&channel, epoch, &mut fates, Death::Own, |_| ());
            }
            let mut server = Server::attach(channel);
            let request = next_of(&mut server);
            assert_eq!(request.operation(), 2, "what is poisoned is not delivered");
            answer(&mut server, request, Fate::Ok);
        });
        let second = calls.start(2, 0, |_| ()).unwrap();
        assert_eq!(end_of(&mut calls, first), Err(IpcError::Poisoned));
        assert_eq!(end_of(&mut calls, second), Ok(Fate::Ok));
        servers.join().unwrap();
    });
}

#[test]
fn loom_a_server_that_destroys_what_it_has_not_read_and_dies_leaves_no_call_waiting() {
    channel_model(Some(3), || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let server = Server::attach(channel.clone());
        let mut calls = Calls::new(Client::attach(channel.clone()));
        let servers = spawn(move || {
            drop(server);
            channel.requests()[0].store(0, Relaxed);
            restart_server(&channel, 2);
            let mut server = Server::attach(channel);
            let mut last = 0;
            while last != 2 {
                let Some(request) = server.poll().unwrap() else {
                    thread::yield_now();
                    continue;
                };
                last = request.operation();
                answer(&mut server, request, Fate::Denied);
            }
        });
        // Sent before the death, in the middle of it, or after it.
        let first = calls.start(1, 0, |_| ()).unwrap();
        let end = end_of(&mut calls, first);
        assert!(matches!(end, Ok(Fate::Denied) | Err(IpcError::PeerRestarted)), "{end:?}");
        let next = loop {
            match calls.start(2, 0, |_| ()) {
                Ok(ticket) => break ticket,
                Err(error) => assert_eq!(error, IpcError::Full),
            }
            calls.settle_answers();
            thread::yield_now();
        };
        assert_eq!(end_of(&mut calls, next), Ok(Fate::Denied));
        servers.join().unwrap();
    });
}

#[test]
fn loom_an_answer_and_the_death_behind_it_are_one_outcome() {
    channel_model(None, || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let mut server = Server::attach(channel.clone());
        let mut calls = Calls::new(Client::attach(channel.clone()));
        let ticket = calls.start(1, 0, |_| ()).unwrap();
        let servers = spawn(move || {
            let request = server.poll().unwrap().unwrap();
            server.reply(request, Fate::Ok, 0, |_| ()).unwrap();
            restart_server(&channel, 2);
        });
        assert_eq!(end_of(&mut calls, ticket), Ok(Fate::Ok), "what was sent is heard");
        servers.join().unwrap();
        assert_eq!(end_of(&mut calls, ticket), Err(IpcError::NotFound));
    });
}

#[test]
fn loom_an_answer_and_the_end_of_all_servers_behind_it_are_one_outcome() {
    channel_model(None, || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let mut server = Server::attach(channel.clone());
        let mut calls = Calls::new(Client::attach(channel.clone()));
        let ticket = calls.start(1, 0, |_| ()).unwrap();
        let servers = spawn(move || {
            let request = server.poll().unwrap().unwrap();
            server.reply(request, Fate::Ok, 0, |_| ()).unwrap();
            channel.status().set_gone(atoll_ipc::channel::Role::Server, true);
        });
        assert_eq!(end_of(&mut calls, ticket), Ok(Fate::Ok), "what was sent is heard");
        servers.join().unwrap();
    });
}

#[test]
fn loom_room_that_is_given_silently_wakes_its_producer_when_the_client_asks_at_last() {
    channel_model(None, || {
        let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
        let mut server = Server::attach(channel.clone());
        let mut client = Client::attach(channel);
        // What it gave when it began is not what is looked at here.
        assert!(!client.must_kick());
        let longest = server.max_reply();
        for length in [longest, longest, 0] {
            client.request(RequestKind::Call, 1, 0, |_| ()).unwrap();
            let request = server.poll().unwrap().unwrap();
            match server.reply(request, Fate::Ok, length, |_| ()) {
                Ok(()) => (),
                Err((request, error)) => {
                    assert_eq!((error, length), (IpcError::Full, 0));
                    return wait_for_room(server, client, request);
                }
            }
        }
        unreachable!("two of the longest replies fill the ring");
    });
}

/// The client releases two replies and asks only then; the server sleeps until there is room.
fn wait_for_room(
    mut server: Server<HeapChannel>,
    mut client: Client<HeapChannel>,
    mut request: Request,
) {
    let bell = Arc::new(Bell::default());
    let theirs = bell.clone();
    let reader = spawn(move || {
        for _ in 0..2 {
            let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
            client.release(reply);
        }
        if client.must_kick() {
            theirs.kick();
        }
    });
    let mut declared = 0;
    while let Err((again, error)) = server.reply(request, Fate::Ok, 0, |_| ()) {
        assert_eq!(error, IpcError::Full);
        if declared % 2 == 1 {
            bell.wait();
        } else {
            server.declare_starved();
        }
        declared += 1;
        request = again;
    }
    reader.join().unwrap();
    assert!(bell.kicks() <= declared, "a kick for nobody");
}
