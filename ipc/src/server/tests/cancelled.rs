//! Clients that no longer wait: before the server has seen the call, while it works, and too late.

use super::*;
use crate::channel::restart_client;
use crate::client::Ticket;
use crate::record::RequestKind;

fn call(client: &mut Client<HeapChannel>) -> Ticket {
    client.request(RequestKind::Call, 1, 0, |_| ()).unwrap()
}

fn take(server: &mut Server<HeapChannel>) -> Request {
    server.poll().unwrap().unwrap()
}

#[test]
fn a_server_hears_that_the_call_it_works_on_was_given_up() {
    let (_, mut client, mut server) = both();
    let (given_up, other) = (call(&mut client), call(&mut client));
    let (first, second) = (take(&mut server), take(&mut server));
    assert!(!server.is_cancelled(&first));
    client.cancel(given_up).unwrap();
    assert!(server.is_cancelled(&first) && !server.is_cancelled(&second));
    assert!(server.is_cancelled(&first), "it stays so");
    client.cancel(other).unwrap();
    assert!(server.is_cancelled(&second));
    server.forget(first);
    server.forget(second);
}

#[test]
fn an_exchange_that_was_given_up_is_known_and_its_late_answer_stays_in_its_place() {
    let (channel, mut client, mut server) = both();
    let given_up = client.exchange(1, 0, |_| ()).unwrap();
    client.cancel(given_up).unwrap();
    let next = client.exchange(2, 0, |_| ()).unwrap();
    let request = take(&mut server);
    assert!(server.is_cancelled(&request));
    server.reply(request, Status::Dropped, 0, |_| ()).unwrap();
    let request = take(&mut server);
    assert!(request.operation() == 2 && !server.is_cancelled(&request));
    assert!(client.has_answer(given_up) && !client.has_answer(next));
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(client.answer(next).unwrap().unwrap().0, Status::Ok);
    // A line, the news with a pad behind it, and another line.
    assert_eq!(head_of_requests(&channel), 192);
    assert_eq!(client.poll(), Ok(None));
}

#[test]
fn a_call_that_was_given_up_before_it_was_seen_is_taken_and_known_to_be_so() {
    let (_, mut client, mut server) = both();
    let (given_up, _) = (call(&mut client), call(&mut client));
    client.cancel(given_up).unwrap();
    let first = take(&mut server);
    assert!(!server.is_cancelled(&first), "another request stands before the news");
    let second = take(&mut server);
    assert!(server.is_cancelled(&first) && !server.is_cancelled(&second));
    server.forget(first);
    server.forget(second);
}

#[test]
fn news_of_a_call_that_was_answered_meets_no_other() {
    let (channel, mut client, mut server) = both();
    let answered = call(&mut client);
    let request = take(&mut server);
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    let _later = call(&mut client);
    client.cancel(answered).unwrap();
    let request = take(&mut server);
    assert!(!server.is_cancelled(&request));
    server.forget(request);
    assert_eq!(server.poll(), Ok(None));
    assert_eq!(head_of_requests(&channel), 48, "the news gives its room back, too");
}

#[test]
fn a_reply_to_a_call_that_was_given_up_is_sent_all_the_same() {
    let (_, mut client, mut server) = both();
    let ticket = call(&mut client);
    client.cancel(ticket).unwrap();
    let request = take(&mut server);
    assert!(server.is_cancelled(&request));
    server.reply(request, Status::Dropped, 0, |_| ()).unwrap();
    let Ok(Some(ClientEvent::Reply(reply))) = client.poll() else { panic!("no reply") };
    assert_eq!((reply.token, reply.status), (ticket.token(), Status::Dropped));
    client.release(reply);
}

#[test]
fn a_token_that_names_no_call_is_passed_over() {
    let (channel, mut client, mut server) = both();
    let _call = call(&mut client);
    let request = take(&mut server);
    for position in [16, 1 << 20, 1 << 28] {
        if Ticket::at(position).token() != 0 {
            client.cancel(Ticket::at(position)).unwrap();
        }
    }
    assert!(!server.is_cancelled(&request));
    server.forget(request);
    assert_eq!(server.poll(), Ok(None));
    assert_eq!(head_of_requests(&channel), 48);
}

#[test]
fn what_a_dead_client_gave_up_says_nothing_of_its_successors_calls() {
    let (channel, mut client, mut server) = both();
    let ticket = call(&mut client);
    client.cancel(ticket).unwrap();
    let stale = take(&mut server);
    assert!(server.is_cancelled(&stale));
    restart_client(&channel, 2);
    let mut client = Client::attach(channel);
    assert_eq!(server.poll(), Ok(None));
    let again = call(&mut client);
    assert_eq!(again.token(), ticket.token(), "the same place in a new ring");
    let request = take(&mut server);
    assert!(!server.is_cancelled(&request) && !server.is_cancelled(&stale));
    server.forget(stale);
    server.forget(request);
}

#[test]
fn news_waits_while_no_more_can_be_taken() {
    let (_, mut client, mut server) = both();
    let tickets: Vec<Ticket> = (0..IN_SERVICE_MAX).map(|_| call(&mut client)).collect();
    let mut held: Vec<Request> = tickets.iter().map(|_| take(&mut server)).collect();
    client.cancel(tickets[1]).unwrap();
    assert!(!server.is_cancelled(&held[1]));
    server.forget(held.remove(0));
    assert!(server.is_cancelled(&held[0]));
    held.into_iter().for_each(|request| server.forget(request));
}

#[test]
fn a_full_ring_takes_no_cancellation_and_loses_nothing_by_it() {
    let channel = HeapChannel::new(16, 16);
    let mut client = Client::attach(channel.clone());
    let mut server = Server::attach(channel);
    let ticket = call(&mut client);
    while client.request(RequestKind::Send, 2, 0, |_| ()).is_ok() {}
    assert_eq!(client.cancel(ticket), Err(IpcError::Full));
    let request = take(&mut server);
    server.reply(request, Status::Ok, 0, |_| ()).unwrap();
    assert_eq!(client.cancel(ticket), Ok(()));
}
