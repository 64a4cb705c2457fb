//! The server's end, step by step. `owed` is about clients that do not read, `cancelled` about those
//! that no longer wait.

mod again;
mod cancelled;
mod owed;

use crate::record::{Kind, RequestKind};
use std::cell::Cell;
use std::rc::Rc;
use std::vec::Vec;

use super::*;
use crate::channel::{self, Shared, restart_client};
use crate::client::{Client, ClientEvent};
use crate::record::Head;
use crate::support::HeapChannel;
use crate::sync::AtomicU64;

fn both() -> (HeapChannel, Client<HeapChannel>, Server<HeapChannel>) {
    let channel = HeapChannel::new(1024, 64);
    let client = Client::attach(channel.clone());
    let server = Server::attach(channel.clone());
    (channel, client, server)
}

fn send(client: &mut Client<HeapChannel>, kind: RequestKind, operation: u16) {
    client.request(kind, operation, 0, |_| ()).unwrap();
}

fn head_of_requests(channel: &HeapChannel) -> u64 {
    channel.shared().requests().claims().head
}

#[test]
fn a_server_takes_no_more_than_it_can_have_in_service() {
    let (_, mut client, mut server) = both();
    let mut held: Vec<Request> = Vec::new();
    for _ in 0..=IN_SERVICE_MAX {
        send(&mut client, RequestKind::Send, 1);
    }
    while let Some(request) = server.poll().unwrap() {
        held.push(request);
    }
    assert_eq!(held.len(), IN_SERVICE_MAX);
    assert!(!server.is_ready(), "or it would spin on what it cannot take");
    server.forget(held.swap_remove(0));
    assert!(server.is_ready() && server.poll().unwrap().is_some());
}

#[test]
fn answers_out_of_order_give_back_no_space_before_its_turn() {
    let (channel, mut client, mut server) = both();
    send(&mut client, RequestKind::Call, 1);
    send(&mut client, RequestKind::Send, 2);
    let (first, second) = (server.poll().unwrap().unwrap(), server.poll().unwrap().unwrap());
    server.reply(second, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(head_of_requests(&channel), 0);
    server.reply(first, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(head_of_requests(&channel), 32);
}

#[test]
fn a_one_way_request_is_given_back_without_a_reply() {
    let (_, mut client, mut server) = both();
    send(&mut client, RequestKind::Send, 1);
    let request = server.poll().unwrap().unwrap();
    assert!(!request.is_call());
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(client.poll(), Ok(None));
}

#[test]
fn a_reply_that_does_not_fit_brings_its_request_back() {
    let (_, mut client, mut server) = both();
    send(&mut client, RequestKind::Call, 1);
    let request = server.poll().unwrap().unwrap();
    let long = server.max_reply() + 1;
    let (request, error) = server.reply(request, Status::Ok, long, |_| ()).unwrap_err();
    assert_eq!(error, IpcError::TooLarge);
    server.reply(request, Status::Exhausted, long - 1, |_| ()).unwrap();
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Reply(_)))));
}

#[test]
fn a_reply_into_a_full_ring_brings_its_request_back_until_the_client_has_read() {
    let (_, mut client, mut server) = both();
    let mut answer = |server: &mut Server<HeapChannel>| {
        send(&mut client, RequestKind::Call, 1);
        let request = server.poll().unwrap().unwrap();
        server.reply(request, Status::Ok, server.max_reply(), |_| ())
    };
    answer(&mut server).unwrap();
    answer(&mut server).unwrap();
    let (request, error) = answer(&mut server).unwrap_err();
    assert_eq!(error, IpcError::Full);
    server.declare_starved();
    let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
    client.release(reply);
    assert!(client.must_kick(), "the server waits for this room");
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
}

#[test]
fn requests_of_a_dead_client_are_drained_and_their_replies_refused() {
    let (channel, mut client, mut server) = both();
    send(&mut client, RequestKind::Call, 1);
    send(&mut client, RequestKind::Call, 2);
    let taken = server.poll().unwrap().unwrap();
    restart_client(&channel, 2);
    let mut client = Client::attach(channel.clone());
    assert_eq!(client.request(RequestKind::Call, 3, 0, |_| ()), Err(IpcError::Full));

    let drained = server.poll().unwrap().unwrap();
    assert_eq!((drained.operation(), drained.client_epoch()), (2, 1));
    for request in [taken, drained] {
        let (request, error) = server.reply(request, Status::Ok, 0, |_| ()).unwrap_err();
        assert_eq!(error, IpcError::PeerRestarted);
        server.forget(request);
    }
    assert!(server.is_ready());
    assert_eq!(server.poll(), Ok(None), "only now does it go over to the new client");
    assert!(!server.is_ready());
    send(&mut client, RequestKind::Call, 3);
    let request = server.poll().unwrap().unwrap();
    assert_eq!((request.operation(), request.client_epoch()), (3, 2));
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Reply(_)))));
}

#[test]
fn a_stale_request_neither_reads_nor_closes_what_belongs_to_the_new_client() {
    let (channel, mut client, mut server) = both();
    client.request(RequestKind::Call, 1, 8, |room| room.write(0, &[1; 8])).unwrap();
    let stale = server.poll().unwrap().unwrap();
    restart_client(&channel, 2);
    let mut client = Client::attach(channel.clone());
    assert_eq!(server.poll(), Ok(None));
    client.request(RequestKind::Call, 1, 8, |room| room.write(0, &[2; 8])).unwrap();
    let fresh = server.poll().unwrap().unwrap();
    let mut bytes = [9; 8];
    server.read(&stale, 0, &mut bytes);
    assert_eq!(bytes, [0; 8]);
    server.read(&fresh, 0, &mut bytes);
    assert_eq!(bytes, [2; 8]);
    server.forget(stale);
    assert_eq!(head_of_requests(&channel), 0);
    server.forget(fresh);
    assert_eq!(head_of_requests(&channel), 32);
}

/// A channel whose client restarts at the next look at the shared words: in the middle of what
/// the server is doing.
#[derive(Clone, Debug)]
struct Interrupted(HeapChannel, Rc<Cell<bool>>);

impl Region for Interrupted {
    fn status(&self) -> &channel::Status {
        self.0.status()
    }

    fn shared(&self) -> &Shared {
        if self.1.take() {
            restart_client(&self.0, 2);
            Client::attach(self.0.clone());
        }
        self.0.shared()
    }

    fn requests(&self) -> &[AtomicU64] {
        self.0.requests()
    }

    fn replies(&self) -> &[AtomicU64] {
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
fn a_client_that_restarts_in_the_middle_of_a_reply_is_neither_full_nor_a_breach() {
    let channel = HeapChannel::new(1024, 64);
    let (mut client, armed) = (Client::attach(channel.clone()), Rc::new(Cell::new(false)));
    let mut server = Server::attach(Interrupted(channel, armed.clone()));
    for operation in 0..3 {
        send(&mut client, RequestKind::Call, operation);
    }
    for _ in 0..2 {
        let request = server.poll().unwrap().unwrap();
        server.reply(request, Status::Ok, server.max_reply(), |_| ()).unwrap();
    }
    let request = server.poll().unwrap().unwrap();
    armed.set(true);
    let (_, error) = server.reply(request, Status::Ok, 0, |_| ()).unwrap_err();
    assert_eq!(error, IpcError::PeerRestarted);
    assert!(!armed.get(), "the restart came in between");
}

#[test]
fn a_client_that_broke_the_protocol_is_heard_again_after_its_restart() {
    let (channel, mut client, mut server) = both();
    send(&mut client, RequestKind::Call, 1);
    channel.requests()[1].store(0, Relaxed);
    assert_eq!(server.poll(), Err(IpcError::Protocol));
    restart_client(&channel, 2);
    let mut client = Client::attach(channel);
    assert_eq!(server.poll(), Ok(None));
    send(&mut client, RequestKind::Call, 2);
    assert_eq!(server.poll().unwrap().unwrap().operation(), 2);
}

#[test]
fn flags_that_this_version_does_not_know_are_refused() {
    let (channel, mut client, mut server) = both();
    send(&mut client, RequestKind::Call, 1);
    let head = Head { length: 0, kind: Kind::Call, items: 0, word: 1 << 16 | 1 };
    channel.requests()[1].store(head.to_bits(), Relaxed);
    assert_eq!(server.poll(), Err(IpcError::Protocol));
}

#[test]
fn what_a_dead_client_planted_for_its_successor_is_not_taken_for_its_successors() {
    let (channel, _, mut server) = both();
    // The dead client knew the secret of its time, so it could compute the next key from it.
    let secret = channel.status().snapshot().secrets.requests;
    let head = Head { length: 0, kind: Kind::Send, items: 0, word: 6 };
    channel.requests()[1].store(head.to_bits(), Relaxed);
    channel.requests()[0].store(ring::key(secret, 3), Relaxed);
    channel.status().renew(0xfeed);
    restart_client(&channel, 2);
    assert_eq!(server.poll(), Ok(None));
    assert_eq!(server.poll(), Ok(None));
}

#[test]
fn a_client_that_waits_to_be_noticed_is_kicked() {
    let (channel, client, mut server) = both();
    drop(client);
    restart_client(&channel, 2);
    let mut client = Client::attach(channel);
    assert_eq!(client.request(RequestKind::Call, 1, 0, |_| ()), Err(IpcError::Full));
    client.declare_starved();
    assert_eq!(server.poll(), Ok(None));
    assert!(server.must_kick(), "or the client waits for ever");
    send(&mut client, RequestKind::Call, 1);
}

#[test]
fn only_a_client_that_sleeps_or_waits_is_kicked_and_only_once() {
    let (_, client, mut server) = both();
    server.notify(1);
    assert!(!server.must_kick());
    client.declare_asleep();
    assert!(!server.must_kick(), "nothing new");
    server.notify(1);
    assert!(server.must_kick());
    server.notify(1);
    assert!(!server.must_kick());
    client.declare_asleep();
    client.declare_awake();
    server.notify(1);
    assert!(!server.must_kick());
}

#[test]
fn notification_bits_add_up_until_they_are_collected() {
    let (_, mut client, mut server) = both();
    client.notify(2);
    client.notify(3);
    assert!(server.is_ready());
    assert_eq!(server.collect_notifications(), 3);
    assert_eq!(server.collect_notifications(), 0);
    assert!(!server.is_ready());
}

#[test]
fn a_server_learns_from_the_nucleus_that_its_client_is_gone() {
    let (channel, _, server) = both();
    assert!(!server.client_is_gone());
    channel.status().set_gone(Role::Client, true);
    assert!(server.client_is_gone());
}
