//! The client's end, step by step against an honest server; `misled` is about servers that wrote
//! over their channel before they died.

mod misled;

use std::vec::Vec;

use super::*;
use crate::channel::restart_server;
use crate::record::Head;
use crate::server::IN_SERVICE_MAX;
use crate::server::Server;
use crate::support::HeapChannel;

fn both() -> (HeapChannel, Client<HeapChannel>, Server<HeapChannel>) {
    let channel = HeapChannel::new(64, 64);
    let mut client = Client::attach(channel.clone());
    let mut server = Server::attach(channel.clone());
    // A first look acknowledges the other's first generation.
    assert_eq!(client.poll(), Ok(None));
    assert_eq!(server.poll(), Ok(None));
    (channel, client, server)
}

fn call(client: &mut Client<HeapChannel>, bytes: &[u8]) -> Ticket {
    client.request(RequestKind::Call, 9, bytes.len(), |room| room.write(0, bytes)).unwrap()
}

#[test]
fn a_call_is_answered_with_its_own_token() {
    let (_, mut client, mut server) = both();
    let ticket = call(&mut client, b"question");
    let request = server.poll().unwrap().unwrap();
    assert_eq!((request.operation(), request.is_call(), request.len()), (9, true, 8));
    server.reply(request, Status::Denied, 6, |room| room.write(0, b"answer")).unwrap();
    let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
    let mut bytes = [0; 6];
    client.read(&reply, 0, &mut bytes);
    assert_eq!((&bytes, reply.len()), (b"answer", 6));
    assert_eq!((reply.token, reply.status), (ticket.token(), Status::Denied));
    client.release(reply);
    assert!(!client.must_kick(), "nobody waits for room");
    assert_eq!(client.poll(), Ok(None));
}

#[test]
fn replies_are_taken_in_order_and_hold_their_room_until_the_oldest_is_released() {
    let (channel, mut client, mut server) = both();
    let tickets = [call(&mut client, b"1"), call(&mut client, b"2")];
    for _ in tickets {
        let request = server.poll().unwrap().unwrap();
        server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    }
    let [first, second] = tickets.map(|ticket| {
        let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
        assert_eq!(reply.token, ticket.token());
        reply
    });
    assert_eq!(client.poll(), Ok(None), "a reply is told once");
    let head = || channel.shared().replies().claims().head;
    client.release(second);
    assert_eq!(head(), 0);
    client.release(first);
    assert_eq!(head(), 32);
}

#[test]
fn a_client_that_releases_nothing_is_told_so_and_hears_again_when_it_does() {
    let channel = HeapChannel::new(1024, 1024);
    let (mut client, mut server) =
        (Client::attach(channel.clone()), Server::attach(channel.clone()));
    let mut held = Vec::new();
    for _ in 0..=IN_SERVICE_MAX {
        call(&mut client, b"");
        let request = server.poll().unwrap().unwrap();
        server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    }
    while let Ok(Some(ClientEvent::Reply(reply))) = client.poll() {
        held.push(reply);
    }
    assert_eq!(held.len(), IN_SERVICE_MAX);
    assert_eq!(client.poll(), Err(IpcError::Exhausted));
    client.release(held.swap_remove(0));
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Reply(_)))));
}

#[test]
fn a_reply_of_a_dead_server_reads_as_zeros_and_gives_no_room_back() {
    let (channel, mut client, mut server) = both();
    call(&mut client, b"");
    let request = server.poll().unwrap().unwrap();
    server.reply(request, Status::Ok, 3, |room| room.write(0, b"old")).unwrap();
    let Ok(Some(ClientEvent::Reply(stale))) = client.poll() else { panic!("no reply") };
    restart_server(&channel, 2);
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Restarted { .. }))));
    let mut bytes = [9; 3];
    client.read(&stale, 0, &mut bytes);
    assert_eq!(bytes, [0; 3]);
    client.release(stale);
    assert_eq!(channel.shared().replies().claims().head, 0);
}

#[test]
fn a_reply_that_nobody_asked_for_is_counted_when_it_is_rejected() {
    let (channel, mut client, mut server) = both();
    call(&mut client, b"");
    let request = server.poll().unwrap().unwrap();
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
    client.reject(reply);
    assert_eq!(channel.shared().replies().counts().rejected, 1);
    assert_eq!(channel.shared().replies().claims().head, 16, "its room comes back");
}

#[test]
fn a_call_to_a_server_that_is_gone_fails_at_once() {
    let (channel, mut client, _) = both();
    channel.status().set_gone(Role::Server, true);
    let result = client.request(RequestKind::Call, 0, 0, |_| ());
    assert_eq!(result, Err(IpcError::PeerGone));
}

#[test]
fn replies_that_a_dead_server_left_are_read_before_its_death_is_told() {
    let (channel, mut client, mut server) = both();
    let answered = call(&mut client, b"1");
    let taken = call(&mut client, b"2");
    let request = server.poll().unwrap().unwrap();
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    let _died_on = server.poll().unwrap().unwrap();
    let unread = call(&mut client, b"3");
    restart_server(&channel, 2);
    let resume = channel.status().epochs().resume;

    assert!(client.is_ready());
    let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
    assert_eq!(reply.token, answered.token());
    client.release(reply);
    assert_eq!(client.poll(), Ok(Some(ClientEvent::Restarted { resume })));
    assert!(taken.was_taken(resume) && !unread.was_taken(resume));
    assert_eq!(client.server_epoch(), 2);
    assert_eq!(client.poll(), Ok(None), "told once");

    let mut server = Server::attach(channel);
    let request = server.poll().unwrap().unwrap();
    let mut bytes = [0];
    server.read(&request, 0, &mut bytes);
    assert_eq!(&bytes, b"3", "what was not taken is served by the next incarnation");
}

#[test]
fn a_server_that_broke_the_protocol_is_heard_again_after_its_restart() {
    let (channel, mut client, mut server) = both();
    call(&mut client, b"");
    let request = server.poll().unwrap().unwrap();
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    channel.replies()[1].store(0, Relaxed);
    assert_eq!(client.poll(), Err(IpcError::Protocol));
    restart_server(&channel, 2);
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Restarted { .. }))));
    assert_eq!(client.poll(), Ok(None));
}

#[test]
fn a_request_in_the_reply_ring_is_a_breach_of_the_protocol() {
    let (channel, mut client, mut server) = both();
    call(&mut client, b"");
    let request = server.poll().unwrap().unwrap();
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    let head = Head { length: 0, kind: Kind::Call, items: 0, word: 0 };
    channel.replies()[1].store(head.to_bits(), Relaxed);
    assert_eq!(client.poll(), Err(IpcError::Protocol));
}

#[test]
fn a_new_server_that_waits_for_the_client_to_notice_it_is_kicked() {
    let (channel, mut client, mut server) = both();
    call(&mut client, b"");
    assert!(server.poll().unwrap().is_some());
    let _unread = call(&mut client, b"");
    restart_server(&channel, 2);
    let mut server = Server::attach(channel);
    let request = server.poll().unwrap().unwrap();
    let (request, error) = server.reply(request, Status::Ok, 0, |_| ()).unwrap_err();
    assert_eq!(error, IpcError::Full);
    server.declare_starved();
    assert!(matches!(client.poll(), Ok(Some(ClientEvent::Restarted { .. }))));
    assert!(client.must_kick(), "or the server waits for ever");
    assert!(!client.must_kick(), "once");
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
}

#[test]
fn only_a_server_that_sleeps_is_kicked_and_only_once() {
    let (_, mut client, server) = both();
    call(&mut client, b"");
    assert!(!client.must_kick());
    server.declare_asleep();
    assert!(!client.must_kick(), "nothing new");
    client.notify(1);
    assert!(client.must_kick());
    client.notify(1);
    assert!(!client.must_kick());
    server.declare_asleep();
    server.declare_awake();
    client.notify(1);
    assert!(!client.must_kick());
}

#[test]
fn notification_bits_add_up_until_they_are_collected() {
    let (_, mut client, mut server) = both();
    server.notify(1);
    server.notify(4);
    server.notify(4);
    assert!(client.is_ready());
    assert_eq!(client.collect_notifications(), 5);
    assert_eq!(client.collect_notifications(), 0);
    assert!(!client.is_ready());
}

#[test]
fn tokens_differ_between_the_calls_of_neighbouring_records() {
    assert_ne!(Ticket::at(0).token(), Ticket::at(16).token());
    assert_eq!(Ticket::at(16).token(), 1);
    assert_eq!(Ticket::at(1 << 28).token(), 0, "tokens repeat after 256 MiB, above any ring");
}
