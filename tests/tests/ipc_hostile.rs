//! Domains that write over the memory that they share with others: it costs them their own
//! channels, is told, and disturbs nobody else.

use atoll_tests::System;
use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::records::is_event;
use atoll_tests::storm::{PAIR, Stormer, Tally, one_more, one_more_server, op};

/// A client and a server that turn hostile; one more client of that server; and two who have
/// nothing to do with it.
fn manifest() -> String {
    let bystanders = one_more_server("bystander") + &one_more("lucky", "bystander");
    format!("{PAIR}{}{bystanders}", one_more("other", "server"))
}

/// A seed with which only what records are is written over, not where they are.
const HEADS: usize = 3;

/// Everything that a call through a defaced channel may become. None of them is an answer to
/// another call, which would be `wrong`, or silence.
const FATES: [&str; 6] = ["ok", "restarted", "timeout", "rejected", "exhausted", "protocol"];

/// A few calls of each kind, which may fail, but each in its own way and in time.
fn assert_definite(client: &mut Stormer) {
    for kind in ["call", "pipeline", "lend", "send"] {
        let line = client.ask(&format!("{kind} 5 max 3000 ms 20"));
        Tally::of(&line).assert_only(5, &FATES);
    }
}

/// The same under a new server: nobody waits in vain. A call may be sent before the client has
/// heard of the server's death, and ends with it.
fn assert_answered(client: &mut Stormer) {
    for kind in ["call", "pipeline", "lend", "send"] {
        let line = client.ask(&format!("{kind} 5 max 3000"));
        Tally::of(&line).assert_only(5, &["ok", "restarted"]);
    }
}

fn complaints(system: &System, accuser: &str) -> usize {
    let records = system.records().all();
    records.iter().filter(|record| is_event(record, accuser, "protocol-broken")).count()
}

/// Restarts a client, and connects to it again.
fn renewed(system: &System, client: &str) -> Stormer {
    system.renew(client, "restart");
    Stormer::connect(system, client)
}

#[test]
fn a_server_that_writes_over_its_channels_harms_nobody_else() {
    let Some(system) = System::start(&manifest()) else { return };
    let mut victims = ["client", "other"].map(|name| Stormer::connect(&system, name));
    let mut lucky = Stormer::connect(&system, "lucky");
    for seed in 0..rounds(12, 3) {
        let answer = victims[0].ask(&format!("deface {seed} ms 100"));
        assert!(answer.starts_with("defaced"), "{answer}");
        victims.iter_mut().for_each(assert_definite);
        lucky.storm("mix", 300, "max 100000");
        // A new server is not misled about where to go on, and its clients need not restart.
        system.renew("server", "restart");
        victims.iter_mut().for_each(assert_answered);
        assert_eq!((system.number("client", "/faults"), system.number("other", "/faults")), (0, 0));
        for victim in &mut victims {
            victim.storm("mix", 300, "max 100000");
        }
    }
    let epochs = ["client", "other", "bystander"].map(|name| system.epoch(name));
    assert_eq!((complaints(&system, "lucky"), epochs), (0, [1; 3]));
}

#[test]
fn a_client_that_writes_over_its_channels_harms_nobody_else() {
    let Some(system) = System::start(&manifest()) else { return };
    let mut client = Stormer::connect(&system, "client");
    let mut other = Stormer::connect(&system, "other");
    for seed in 0..rounds(12, 3) {
        assert!(client.ask(&format!("scribble {seed}")).starts_with("scribbled "));
        // The server reads it, and goes on; its hints were defaced as well.
        other.storm("mix", 300, "max 100000");
        assert_definite(&mut client);
        other.storm("call", 300, "max 100000");
        client = renewed(&system, "client");
        client.storm("mix", 300, "max 100000");
    }
    assert_eq!((system.epoch("server"), system.number("server", "/faults")), (1, 0));
}

#[test]
fn a_client_whose_records_make_no_sense_is_told_of_and_not_served() {
    let Some(system) = System::start(&manifest()) else { return };
    let mut client = Stormer::connect(&system, "client");
    let mut other = Stormer::connect(&system, "other");
    other.storm("call", 10, "max 100");
    let mark = system.records().mark();
    system.order("server", "pause");
    system.event_after(mark, "server", "domain-paused");
    assert_eq!(client.ask(&format!("start {} 5 reply 16", op::EXCHANGE)), "started 5");
    assert!(client.ask(&format!("scribble {HEADS}")).starts_with("scribbled "));
    system.order("server", "resume");
    let event = system.event_after(mark, "server", "protocol-broken");
    assert_eq!((&event["channel"], &event["accused"]), (&"storm".into(), &"client".into()));
    Tally::of(&client.ask("harvest ms 50")).assert_only(5, &["timeout"]);
    other.storm("mix", 300, "max 100000");
    renewed(&system, "client").storm("mix", 300, "max 100000");
    assert_eq!((complaints(&system, "server"), system.epoch("server")), (1, 1), "told once");
}

#[test]
fn a_server_whose_records_make_no_sense_is_told_of_and_its_clients_learn_it() {
    let Some(system) = System::start(&manifest()) else { return };
    let mut client = Stormer::connect(&system, "client");
    let mut other = Stormer::connect(&system, "other");
    let mut lucky = Stormer::connect(&system, "lucky");
    assert_eq!(client.ask(&format!("start {} 5 reply 16", op::KEEP)), "started 5");
    until("all of them to be kept", || (other.counts().get("kept") == 5).then_some(()));
    let mark = system.records().mark();
    system.order("client", "pause");
    system.event_after(mark, "client", "domain-paused");
    // Answers them, and writes over the answers.
    assert!(other.ask(&format!("deface {HEADS} ms 10000")).starts_with("defaced"));
    system.order("client", "resume");
    let harvest = Tally::of(&client.ask("harvest ms 100"));
    harvest.assert_only(5, &["protocol"]);
    let event = system.event_after(mark, "client", "protocol-broken");
    assert_eq!((&event["channel"], &event["accused"]), (&"storm".into(), &"server".into()));
    lucky.storm("mix", 300, "max 100000");
    assert_eq!(complaints(&system, "lucky"), 0);
    // The rings' positions were left alone, so a new server is all that it takes.
    system.renew("server", "restart");
    for victim in [&mut client, &mut other] {
        assert_definite(victim);
        victim.storm("mix", 300, "max 100000");
    }
}
