//! Chains of domains, `front → relay → echo`, under kills: every call has one definite outcome.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::{Lines, System};

const CHAIN: &str = r#"
name = "chain"
[domains.front]
image = "front"
[domains.relay]
image = "relay"
[domains.echo]
image = "echo"
[[channels]]
from = "front"
as = "next"
to = "relay:relay"
buffers = "1 MiB"
[[channels]]
from = "relay"
as = "next"
to = "echo:echo"
[[gateways]]
listen = "127.0.0.1:0"
to = "front:lines"
"#;

const TWO_FRONTS: &str = r#"
name = "fronts"
[domains.left]
image = "front"
[domains.right]
image = "front"
[domains.echo]
image = "echo"
[[channels]]
from = "left"
as = "next"
to = "echo:echo"
[[channels]]
from = "right"
as = "next"
to = "echo:echo"
[[gateways]]
listen = "127.0.0.1:0"
to = "left:lines"
[[gateways]]
listen = "127.0.0.1:0"
to = "right:lines"
"#;

/// What a call may become whose server was killed. The relay cannot tell the front more than that
/// it gave the request up.
const FATES: [&str; 3] = [
    "error: the peer restarted with the request in its hands",
    "error: the peer rejects the request",
    "error: the front restarted with the line in its hands",
];

#[test]
fn a_call_goes_through_the_chain_and_back() {
    let Some(system) = System::start(CHAIN) else { return };
    let mut front = Lines::connect(&system.gateway("front:lines"));
    for n in 0..100 {
        assert_eq!(front.ask(&format!("call {n}")), format!("call {n}"));
    }
    assert_eq!(front.ask(""), "", "an empty message is a message");
    assert_eq!(front.ask("send into the void"), "sent");
    assert_eq!(front.ask("notify 5"), "notified");
    assert_eq!(front.ask("epoch"), "1");
    for (domain, channel, requests) in [("front", 0, 102), ("relay", 1, 102), ("echo", 0, 102)] {
        let counted =
            |pointer: &str| system.number(domain, &format!("/channels/{channel}/{pointer}"));
        until(&format!("{requests} requests at {domain}"), || {
            (counted("requests") >= 101 && counted("requests") <= requests).then_some(())
        });
    }
}

#[test]
fn notifications_coalesce_and_reach_the_next_server() {
    let Some(system) = System::start(CHAIN) else { return };
    let mut front = Lines::connect(&system.gateway("front:lines"));
    let heard = || {
        let lines = system.told(&["logs", "relay"]);
        let bits = lines.lines().filter_map(|line| line.split_once("notified: 0x"));
        bits.map(|(_, bits)| u64::from_str_radix(bits.trim(), 16).unwrap()).fold(0, |a, b| a | b)
    };
    for (bit, all) in [(1, 1), (4, 5), (1, 5), (1_u64 << 40, 5 | 1_u64 << 40)] {
        assert_eq!(front.ask(&format!("notify {bit}")), "notified");
        until(&format!("bit {bit:#x}"), || (heard() == all).then_some(()));
    }
    assert_eq!(front.ask("messages still pass"), "messages still pass");
}

#[test]
fn large_messages_pass_whole_and_too_large_ones_are_refused() {
    let Some(system) = System::start(CHAIN) else { return };
    let mut front = Lines::connect(&system.gateway("front:lines"));
    for size in [1 << 10, 100 << 10, 120 << 10, 300 << 10] {
        let text: String = (0..size / 8).map(|n| format!("{n:07} ")).collect();
        assert!(front.ask(&text) == text, "{size} bytes");
    }
    let answer = front.ask(&"x".repeat(600 << 10));
    assert_eq!(answer, "error: the message is too large for the channel");
    assert_eq!(front.ask("still there"), "still there");
}

#[test]
fn a_kill_anywhere_in_the_chain_gives_each_call_one_outcome() {
    let Some(system) = System::start(CHAIN) else { return };
    let address = system.gateway("front:lines");
    let (stop, served, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (address, stop, served, failed) = (&address, &stop, &served, &failed);
                scope.spawn(move || {
                    let mut front = Lines::connect(address);
                    for n in 0.. {
                        if stop.load(SeqCst) {
                            break;
                        }
                        let line = format!("client {client} call {n}");
                        let answer = front.ask(&line);
                        if answer == line {
                            served.fetch_add(1, SeqCst);
                        } else {
                            assert!(FATES.contains(&answer.as_str()), "{line}: {answer}");
                            failed.fetch_add(1, SeqCst);
                        }
                    }
                    assert_eq!(front.ask("the last"), "the last");
                })
            })
            .collect();
        let kills = rounds(150, 15);
        for kill in 0..kills {
            let before = served.load(SeqCst);
            until("calls that are served", || {
                let dead = clients.iter().any(thread::ScopedJoinHandle::is_finished);
                (dead || served.load(SeqCst) > before + kill as u64 % 5).then_some(())
            });
            let domain = ["echo", "relay", "echo", "front"][kill % 4];
            // Every other time an order, so that no domain is taken for one that crash-loops.
            let verb = if kill / 4 % 2 == 0 { "kill" } else { "restart" };
            system.renew(domain, verb);
        }
        stop.store(true, SeqCst);
    });
    println!("{} calls served, {} failed", served.load(SeqCst), failed.load(SeqCst));
}

#[test]
fn a_call_to_a_server_that_stays_down_is_told_so_and_served_when_it_is_back() {
    let down = CHAIN.replace("image = \"echo\"", "image = \"crashme\"\nrestart = \"never\"");
    let down = down.replace("to = \"echo:echo\"", "to = \"echo:crash\"");
    let refused = atoll_tests::Place::new(&down).check();
    assert_eq!(refused.code, Some(3), "a stream port takes no channel: {}", refused.stderr);
    assert!(refused.stderr.contains("crash"), "{}", refused.stderr);

    let never = CHAIN.replace("image = \"echo\"", "image = \"echo\"\nrestart = \"never\"");
    let Some(system) = System::start(&never) else { return };
    let mut front = Lines::connect(&system.gateway("front:lines"));
    assert_eq!(front.ask("before"), "before");
    let mark = system.records().mark();
    system.order("echo", "kill");
    system.event_after(mark, "echo", "domain-faulted");
    assert_eq!(front.ask("while it is down"), "error: the peer rejects the request");
    system.renew("echo", "restart");
    assert_eq!(front.ask("after"), "after");
}

#[test]
fn two_clients_of_one_server_do_not_get_each_others_answers() {
    let Some(system) = System::start(TWO_FRONTS) else { return };
    thread::scope(|scope| {
        for port in ["left:lines", "right:lines"] {
            for number in 0..3 {
                let address = system.gateway(port);
                scope.spawn(move || {
                    let mut front = Lines::connect(&address);
                    for n in 0..rounds(300, 30) {
                        let line = format!("{port} connection {number} call {n}");
                        assert_eq!(front.ask(&line), line);
                    }
                });
            }
        }
    });
    assert_eq!(system.renew("left", "kill"), 2);
    let mut right = Lines::connect(&system.gateway("right:lines"));
    assert_eq!(right.ask("untouched"), "untouched");
    assert_eq!((system.epoch("right"), system.epoch("echo")), (1, 1));
    let mut left = Lines::connect(&system.gateway("left:lines"));
    assert_eq!(left.ask("and back"), "and back");
}

/// `echo` waits for messages only. A notification that arrives just before it goes to sleep wakes it
/// for nothing, and must not hide what comes next.
#[test]
fn a_notification_that_nobody_waits_for_hides_no_request() {
    let Some(system) = System::start(TWO_FRONTS) else { return };
    let mut left = Lines::connect(&system.gateway("left:lines"));
    for n in 0..rounds(2000, 20) {
        left.raw(format!("before {n}\nnotify 1\n").as_bytes());
        assert_eq!(left.hear(), Some(format!("before {n}")));
        assert_eq!(left.hear().as_deref(), Some("notified"));
        let line = format!("behind {n}");
        assert_eq!(left.ask(&line), line);
    }
}

#[test]
fn a_client_without_its_channel_says_what_is_missing() {
    let manifest = "name = \"alone\"\n[domains.front]\nimage = \"front\"\nrestart = \"never\"\n\
        [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"front:lines\"\n";
    let Some(system) = System::start(manifest) else { return };
    system.event_after(0, "front", "domain-faulted");
    let fault = &system.inspect("front")["last_fault"];
    let message = fault["message"].as_str().unwrap();
    assert!(message.starts_with("the manifest gives this front no channel `next`"), "{message}");
}

/// Nothing is in service when they end, so nothing may fail: however far a new incarnation has come
/// when its neighbour's begins.
#[test]
fn a_call_behind_restarts_of_idle_servers_is_served() {
    let Some(system) = System::start(CHAIN) else { return };
    let mut front = Lines::connect(&system.gateway("front:lines"));
    for n in 0..rounds(200, 10) {
        for domain in [&["relay", "echo"][..], &["echo"], &["relay", "echo", "front"]][n % 3] {
            system.renew(domain, "kill");
        }
        let line = format!("call {n}");
        assert_eq!(front.ask(&line), line);
    }
}
