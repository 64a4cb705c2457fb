//! Ready pages: attention that is raised reaches a domain that sleeps, and disturbs none that is
//! awake.

use std::sync::Arc;

use atoll_ipc::client::Client;
use atoll_ipc::ready::{ChannelSet, Ready};
use atoll_ipc::record::RequestKind;
use atoll_ipc::ring::MIN_WORDS;
use atoll_ipc::server::Server;
use loom::thread;

use super::support::{HeapChannel, Words};
use super::{Bell, channel_model, model_within, spawn};

/// Collects until all of `wanted` have raised; how often it declared that it sleeps.
fn collect_or_sleep(ready: &Ready, wanted: &ChannelSet, bell: &Bell) -> u32 {
    let mut found = ready.collect();
    let mut declared = 0;
    while found != *wanted {
        ready.declare_asleep();
        declared += 1;
        let more = ready.collect();
        if more.is_empty() {
            bell.wait();
        } else {
            ready.declare_awake();
        }
        found = found.or(&more).or(&ready.collect());
    }
    declared
}

/// So many clients each raise their channel once, while the domain collects.
fn raise_and_collect(clients: usize) {
    let (ready, bell) = (Arc::new(Ready::default()), Arc::new(Bell::default()));
    // All in one word of the page, where they could hide each other.
    let channels = 3..3 + clients;
    let raisers: Vec<_> = channels
        .clone()
        .map(|channel| {
            let (ready, bell) = (ready.clone(), bell.clone());
            thread::spawn(move || {
                if ready.raise(channel) {
                    bell.kick();
                }
            })
        })
        .collect();
    let declared = collect_or_sleep(&ready, &channels.collect(), &bell);
    for raiser in raisers {
        raiser.join().unwrap();
    }
    assert!(bell.kicks() <= declared, "a kick without a sleeper");
    assert!(ready.collect().is_empty(), "attention is collected once");
}

#[test]
fn loom_a_domain_that_sleeps_is_woken_by_attention_and_one_that_is_awake_is_not_kicked() {
    model_within(None, || raise_and_collect(1));
}

#[test]
fn loom_of_two_clients_that_raise_at_once_none_is_overlooked() {
    // Three threads without a bound take too long.
    model_within(Some(3), || raise_and_collect(2));
}

/// The channel's bit.
const NUMBER: u32 = 65;

/// Takes so many requests like a server of many clients: it watches the channel, leaves it when it
/// finds nothing there, and goes to sleep. How often it declared that it sleeps.
fn serve_or_leave(
    server: &mut Server<HeapChannel>,
    ready: &Ready,
    bell: &Bell,
    requests: u16,
) -> u32 {
    let (mut served, mut declared) = (0, 0);
    let mut serve = |server: &mut Server<HeapChannel>| {
        let Some(request) = server.poll().unwrap() else { return false };
        served += 1;
        assert_eq!(request.operation(), served);
        server.forget(request);
        served == requests
    };
    loop {
        // Watching: the flag is down, whoever publishes tells nobody.
        if serve(server) {
            return declared;
        }
        // Leaving: the flag is up, and one more look.
        server.declare_asleep();
        if server.has_request() {
            server.declare_awake();
            continue;
        }
        while !ready.collect().contains(NUMBER as usize) {
            ready.declare_asleep();
            declared += 1;
            if ready.collect().contains(NUMBER as usize) {
                ready.declare_awake();
                break;
            }
            bell.wait();
        }
        server.declare_awake();
    }
}

/// A client that sends so many requests while its server watches and leaves the channel.
fn send_and_watch(requests: u16) {
    let (ready, bell) = (Arc::new(Ready::default()), Arc::new(Bell::default()));
    let words =
        Words { requests: MIN_WORDS, replies: MIN_WORDS, lent_requests: 0, lent_replies: 0 };
    let channel = HeapChannel::alerting(words, ready.clone(), NUMBER);
    let mut server = Server::attach(channel.clone());
    let mut client = Client::attach(channel);
    let theirs = bell.clone();
    let sender = spawn(move || {
        for operation in 1..=requests {
            client.request(RequestKind::Send, operation, 0, |_| ()).unwrap();
            if client.must_kick() {
                theirs.kick();
            }
        }
    });
    let declared = serve_or_leave(&mut server, &ready, &bell, requests);
    sender.join().unwrap();
    assert!(bell.kicks() <= declared, "a kick without a sleeper");
}

#[test]
fn loom_what_comes_while_a_channel_is_left_is_served() {
    channel_model(None, || send_and_watch(1));
}

#[test]
fn loom_a_channel_that_is_watched_and_left_again_and_again_is_served_each_time() {
    channel_model(Some(4), || send_and_watch(2));
}
