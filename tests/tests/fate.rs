//! The fate of requests whose server dies, on ports that deliver them again: each has one outcome,
//! which is its own answer, or that it is poison. And what dies with a client is given back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use atoll_tests::System;
use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::storm::{PAIR, Stormer, Tally, one_more, op};
use atoll_tests::system::Place;

/// Calls of one command: few enough for some commands to end between two kills.
const CALLS: usize = 300;
/// What goes through the ring; longer answers lie in buffers, which die with their server.
const IN_RING: usize = 8 << 10;

/// [`PAIR`], whose server gets again what it had in service when it died.
fn pair(poison_after: u32) -> String {
    format!(
        "{PAIR}[domains.server.ports.storm]\non-crash = \"redeliver\"\n\
         poison-after = {poison_after}\n"
    )
}

/// Every byte of a request and of its answer follows from the request's number, so an answer that
/// is another's is `wrong`, and one that comes twice is `rejected` by the channel.
fn storms(system: &System, client: &str, stop: &AtomicBool) -> u64 {
    let kinds = ["call", "pipeline", "lend", "send", "mix"];
    let mut stormer = Stormer::connect(system, client);
    let (mut ended, mut round) = (0, 0);
    while !stop.load(SeqCst) {
        round += 1;
        let kind = kinds[round % kinds.len()];
        let lends = ["lend", "mix"].contains(&kind);
        let max = if lends { 200_000 } else { IN_RING };
        let how = format!("seed {round} max {max}");
        let tally = stormer.any_storm(kind, CALLS, &how).expect("the client lives");
        // `exhausted` is for a client that a busy host did not let run while a new server waited
        // for it to make room. `restarted` is for an answer in a buffer that its server lent: one
        // that was not read yet has died with the server.
        let fates =
            if lends { &["ok", "exhausted", "restarted"][..] } else { &["ok", "exhausted"] };
        tally.assert_only(CALLS as u64, fates);
        ended += tally.ended();
    }
    ended
}

/// Kills the server at any point of what it does for two clients.
fn kills(count: usize) {
    let Some(system) = System::start(&format!("{}{}", pair(3), one_more("other", "server"))) else {
        return;
    };
    let (stop, ended) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients = ["client", "other"].map(|client| {
            let (system, stop, ended) = (&system, &stop, &ended);
            scope.spawn(move || ended.fetch_add(storms(system, client, stop), SeqCst))
        });
        let failed = || clients.iter().any(|client| client.is_finished());
        for kill in 0..count {
            let sent = || system.number("client", "/channels/0/requests");
            let (before, some) = (sent(), (kill * 37 % 101) as u64);
            until("messages", || (failed() || sent() >= before + some).then_some(()));
            system.renew("server", "kill");
        }
        stop.store(true, SeqCst);
    });
    println!("{count} kills, {} messages with one outcome each", ended.load(SeqCst));
    for client in ["client", "other"] {
        assert_eq!(system.number(client, "/channels/0/rejected"), 0, "no answer came twice");
        assert_eq!(system.epoch(client), 1);
        assert_eq!(system.number(client, "/channels/0/in_service_bytes"), 0);
    }
    assert_eq!(system.json(&["dead-letters"]), serde_json::json!([]), "nobody is to blame");
}

#[test]
fn kills_of_the_server_are_not_seen_by_callers_who_are_served_again() {
    kills(rounds(300, 10));
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_kills_are_not_seen_either() {
    kills(10_000);
}

#[test]
fn a_server_is_told_how_often_a_request_was_delivered_before() {
    let Some(system) = System::start(&pair(5)) else { return };
    let mut client = Stormer::connect(&system, "client");
    for times in [0, 1, 3] {
        let line = client.ask(&format!("one {} {times}", op::CRASH));
        assert!(line.starts_with(&format!("ok {times} ")), "{line}");
    }
    assert_eq!(system.epoch("server"), 5, "it died four times");
}

#[test]
fn poison_is_put_aside_while_others_are_served() {
    let Some(system) = System::start(&format!("{}{}", pair(3), one_more("other", "server"))) else {
        return;
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| storms(&system, "other", &stop));
        let mut client = Stormer::connect(&system, "client");
        let line = client.ask(&format!("one {} 100", op::CRASH));
        stop.store(true, SeqCst);
        assert!(line.starts_with("Poisoned "), "{line}");
        other.join().expect("the other client is served");
    });
    assert_eq!(system.epoch("server"), 4, "it died three times");
    let letters = system.json(&["dead-letters"]);
    let letter = letters.as_array().expect("a list").iter();
    let letter = letter.clone().find(|letter| letter["client"] == "client").expect("its letter");
    assert_eq!(letter["operation"], op::CRASH);
    assert_eq!(letter["deliveries"], 3);
    assert_eq!((&letter["domain"], &letter["port"]), (&"server".into(), &"storm".into()));
    let fault = letter["fault"].as_str().expect("text");
    assert!(fault.contains("delivered 2 times before"), "{fault}");
}

#[test]
fn a_dead_letter_is_shown_sent_again_and_dropped() {
    let Some(system) = System::start(&pair(1)) else { return };
    let mut client = Stormer::connect(&system, "client");
    let line = client.ask(&format!("one {} 3", op::CRASH));
    assert!(line.starts_with("Poisoned "), "{line}");
    let letter = system.json(&["dead-letters", "show", "1"]);
    assert_eq!((&letter["payload"], &letter["bytes"]), (&"000000".into(), &3.into()));
    let told = system.told(&["dead-letters", "show", "1"]);
    assert!(told.contains("payload    3 of 3 bytes"), "{told}");
    // What is sent again is not delivered twice, so the server dies of it once more.
    let replay = system.json(&["dead-letters", "replay", "1"]);
    assert_eq!(replay["error"], "the peer restarted with the request in its hands");
    // Who asked is told at once, before the server is up again.
    until("its restart", || (system.epoch("server") == 3).then_some(()));
    assert_eq!(system.json(&["dead-letters"]).as_array().map(Vec::len), Some(1));
    system.told(&["dead-letters", "drop", "1"]);
    for verb in ["show", "replay", "drop"] {
        let refused = system.vmm(&["dead-letters", verb, "1"]);
        assert_eq!(refused.code, Some(7), "{}", refused.stderr);
        assert!(refused.stderr.contains("there is no dead letter 1"), "{}", refused.stderr);
    }
    assert_eq!(system.told(&["dead-letters"]), "there are no dead letters\n");
}

/// Of several requests the wrong one may be blamed: a letter that harms nobody is answered when it
/// is sent again.
#[test]
fn a_dead_letter_that_was_blamed_for_anothers_fault_is_answered() {
    let Some(system) = System::start(&format!("{}{}", pair(1), one_more("other", "server"))) else {
        return;
    };
    let mut client = Stormer::connect(&system, "client");
    let mut other = Stormer::connect(&system, "other");
    client.ask(&format!("start {} 1", op::KEEP));
    other.ask(&format!("one {} 1", op::CRASH));
    let tally = Tally::of(&client.ask("harvest"));
    assert_eq!(tally.get("poisoned"), 1, "the only one in service on its channel");
    let letters = system.json(&["dead-letters"]);
    let letter = letters.as_array().expect("a list").iter();
    let letter = letter.clone().find(|letter| letter["client"] == "client").expect("its letter");
    assert_eq!(letter["operation"], op::KEEP);
    let number = letter["number"].to_string();
    thread::scope(|scope| {
        let replay = scope.spawn(|| system.json(&["dead-letters", "replay", &number]));
        // Asked until there was one to be released.
        until("the letter", || {
            other.ask(&format!("one {} 0", op::RELEASE));
            replay.is_finished().then_some(())
        });
        let replay = replay.join().expect("it is answered");
        assert_eq!(replay, serde_json::json!({ "reply": "6c617465", "error": null }));
    });
}

/// What a client that died held is given back: its calls in service, the buffers that it lent, the
/// replies that it never read.
#[test]
fn a_client_that_dies_leaves_nothing_behind_it() {
    dying_clients(rounds(60, 5));
}

#[test]
#[ignore = "takes minutes"]
fn a_client_that_dies_a_thousand_times_leaves_nothing_behind_it_either() {
    dying_clients(1000);
}

fn dying_clients(count: usize) {
    let Some(system) = System::start(&format!("{PAIR}{}", one_more("other", "server"))) else {
        return;
    };
    let mut other = Stormer::connect(&system, "other");
    for round in 0..count {
        let mut client = Stormer::connect(&system, "client");
        // Kept by the server; then answered, and not heard.
        client.ask(&format!("start {} 8", op::KEEP));
        client.ask(&format!("start {} 8 reply 3000", op::EXCHANGE));
        // Under way when it dies, with buffers lent in both directions.
        let sent = || system.number("client", "/channels/0/requests");
        let before = sent();
        client.tell(&format!("lend 1000000 seed {round} max 200000"));
        until("lent buffers", || (sent() >= before + 2).then_some(()));
        system.renew("client", "kill");
        // A server that keeps requests of a dead client, as this one does, hears of the next client
        // when it lets go of them.
        let released = other.ask(&format!("one {} 0", op::RELEASE));
        assert!(released.starts_with("ok "), "{released}");
        if round % 20 == 0 {
            other.storm("mix", CALLS, "max 200000");
        }
    }
    let mut client = Stormer::connect(&system, "client");
    for client in [&mut client, &mut other] {
        client.ask(&format!("one {} 0", op::RELEASE));
        client.storm("lend", CALLS, "max 1000000");
        client.storm("mix", CALLS, "max 200000");
    }
    assert_eq!(system.epoch("server"), 1);
    for client in ["client", "other"] {
        assert_eq!(system.number(client, "/channels/0/in_service_bytes"), 0, "{client}");
        assert_eq!(system.number(client, "/channels/0/unread_bytes"), 0, "{client}");
    }
}

#[test]
fn a_port_for_byte_streams_cannot_deliver_again() {
    let manifest = format!("{PAIR}[domains.client.ports.commands]\non-crash = \"redeliver\"\n");
    let place = Place::new(&manifest);
    let outcome = place.check();
    assert_eq!(outcome.code, Some(3));
    let expected =
        "port `client:commands` carries byte streams, whose requests cannot be delivered";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
}
