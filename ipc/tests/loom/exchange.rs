//! Exchanges: the reply over its request, to a client that sleeps, from a server that dies, and
//! when the place is used again.

use std::sync::Arc;

use atoll_ipc::calls::{Calls, Outcome};
use atoll_ipc::channel::restart_server;
use atoll_ipc::client::{Client, Ticket};
use atoll_ipc::message::{IpcError, Status as Fate};
use atoll_ipc::record::RequestKind;
use atoll_ipc::ring::MIN_WORDS;
use atoll_ipc::server::Server;
use loom::thread;

use super::support::HeapChannel;
use super::{Bell, channel_model, spawn};

fn ends() -> (HeapChannel, Calls<HeapChannel>, Server<HeapChannel>) {
    let channel = HeapChannel::new(MIN_WORDS, MIN_WORDS);
    let server = Server::attach(channel.clone());
    let client = Client::attach(channel.clone());
    (channel, Calls::new(client), server)
}

fn ask(calls: &mut Calls<HeapChannel>, bytes: [u8; 8]) -> Ticket {
    let ticket = calls.client_mut().exchange(1, 8, |line| line.write(0, &bytes)).unwrap();
    calls.enter(ticket);
    ticket
}

/// What became of an exchange, if anything yet.
fn outcome(
    calls: &mut Calls<HeapChannel>,
    ticket: Ticket,
) -> Option<Result<(Fate, Vec<u8>), IpcError>> {
    match calls.outcome(ticket) {
        Ok(None) => None,
        Ok(Some(Outcome::Short(status, short))) => Some(Ok((status, short.bytes().to_vec()))),
        Ok(Some(Outcome::Kept(kept))) => Some(Ok((kept.status, kept.payload.to_vec()))),
        Ok(Some(Outcome::Reply(reply))) => panic!("{reply:?} was to come in place"),
        Err(error) => Some(Err(error)),
    }
}

#[test]
fn loom_an_exchange_wakes_the_server_that_sleeps_and_its_answer_the_client_that_sleeps() {
    channel_model(Some(3), || {
        let (_, mut calls, mut server) = ends();
        let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
        let [at_client, at_server] = bells.clone();
        let servers = spawn(move || {
            let mut declared = 0;
            let request = loop {
                if let Some(request) = server.poll().unwrap() {
                    break request;
                }
                // Every other time it looks once more; then it sleeps.
                if declared % 2 == 1 {
                    at_server.wait();
                } else {
                    server.declare_asleep();
                }
                declared += 1;
            };
            let mut bytes = [0; 8];
            server.read(&request, 0, &mut bytes);
            assert_eq!(bytes, [3; 8], "a request is seen whole");
            server.reply(request, Fate::Denied, 8, |line| line.write(0, &[4; 8])).unwrap();
            if server.must_kick() {
                at_client.kick();
            }
        });
        let ticket = ask(&mut calls, [3; 8]);
        let [at_client, at_server] = bells;
        if calls.client().must_kick() {
            at_server.kick();
        }
        let mut declared = 0;
        let said = loop {
            if let Some(said) = outcome(&mut calls, ticket) {
                break said;
            }
            if declared % 2 == 1 {
                at_client.wait();
            } else {
                calls.client().declare_asleep();
            }
            declared += 1;
        };
        assert_eq!(said, Ok((Fate::Denied, vec![4; 8])), "an answer is heard whole");
        servers.join().unwrap();
        assert!(at_client.kicks() <= u32::from(declared > 0), "a kick without a sleeper");
    });
}

#[test]
fn loom_an_answer_in_place_and_the_death_behind_it_are_one_outcome() {
    channel_model(None, || {
        let (channel, mut calls, mut server) = ends();
        let ticket = ask(&mut calls, [1; 8]);
        let servers = spawn(move || {
            let request = server.poll().unwrap().unwrap();
            server.reply(request, Fate::Ok, 1, |line| line.write(0, &[9])).unwrap();
            restart_server(&channel, 2);
        });
        let said = loop {
            match outcome(&mut calls, ticket) {
                Some(said) => break said,
                None => thread::yield_now(),
            }
        };
        assert_eq!(said, Ok((Fate::Ok, vec![9])), "what was said is heard");
        servers.join().unwrap();
        assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
        assert_eq!(calls.under_way(), 0);
    });
}

#[test]
fn loom_a_server_that_dies_before_it_answers_in_place_ends_the_exchange_once() {
    channel_model(None, || {
        let (channel, mut calls, mut server) = ends();
        let ticket = ask(&mut calls, [1; 8]);
        let servers = spawn(move || {
            let _in_service = server.poll().unwrap().unwrap();
            restart_server(&channel, 2);
        });
        let said = loop {
            match outcome(&mut calls, ticket) {
                Some(said) => break said,
                None => thread::yield_now(),
            }
        };
        assert_eq!(said, Err(IpcError::PeerRestarted));
        servers.join().unwrap();
        assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
    });
}

#[test]
fn loom_an_answer_is_not_lost_when_its_place_is_used_again_as_soon_as_it_is_free() {
    channel_model(None, || {
        let (_, mut calls, mut server) = ends();
        let ticket = ask(&mut calls, [1; 8]);
        // The other half of the ring.
        let length = calls.client().max_request();
        calls.client_mut().request(RequestKind::Send, 2, length, |_| ()).unwrap();
        let servers = spawn(move || {
            let request = server.poll().unwrap().unwrap();
            server.reply(request, Fate::Ok, 1, |line| line.write(0, &[7])).unwrap();
        });
        // Over the exchange, which nobody has looked at since.
        while calls.client_mut().request(RequestKind::Send, 3, length, |_| ()).is_err() {
            thread::yield_now();
        }
        assert_eq!(outcome(&mut calls, ticket), Some(Ok((Fate::Ok, vec![7]))));
        servers.join().unwrap();
    });
}
