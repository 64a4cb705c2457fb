//! What waiting costs: nothing for those who sleep, and no exit for those who are both awake.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use atoll_tests::System;
use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::storm::{PAIR, Stormer};

/// `client → relay → server`, and a bystander that calls the relay as well.
const FOUR: &str = r#"
name = "sleepers"
[domains.client]
image = "storm"
[domains.bystander]
image = "storm"
[domains.relay]
image = "relay"
memory = "32 MiB"
[domains.server]
image = "storm"
arguments = ["role=server"]
[[channels]]
from = "client"
as = "storm"
to = "relay:relay"
[[channels]]
from = "bystander"
as = "storm"
to = "relay:relay"
[[channels]]
from = "relay"
as = "next"
to = "server:storm"
[[gateways]]
listen = "127.0.0.1:0"
to = "client:commands"
[[gateways]]
listen = "127.0.0.1:0"
to = "bystander:commands"
"#;

/// Processor time that the system takes in a stretch of time in which nobody asks it anything.
fn ticks_in(system: &System, stretch: Duration) -> u64 {
    let before = system.process_ticks();
    // The stretch is what is measured; nothing is waited for.
    thread::sleep(stretch);
    system.process_ticks() - before
}

#[test]
fn domains_with_channels_between_them_cost_nothing_while_they_sleep() {
    let Some(system) = System::start(FOUR) else { return };
    for name in ["client", "bystander"] {
        Stormer::connect(&system, name).storm("call", rounds(2_000, 50), "max 10000");
    }
    until("rest", || (ticks_in(&system, Duration::from_millis(200)) == 0).then_some(()));
    let exits = || ["client", "bystander", "relay", "server"].map(|name| waits(&system, name));
    let (before, ticks) = (exits(), ticks_in(&system, Duration::from_secs(1)));
    assert!(ticks <= 1, "four sleepers took {ticks} ticks in 1 s");
    assert_eq!(exits(), before, "nobody stirs in his sleep");
    let mut client = Stormer::connect(&system, "client");
    client.storm("call", rounds(2_000, 50), "max 10000");
}

/// How often a domain has gone to sleep.
fn waits(system: &System, domain: &str) -> u64 {
    let report = system.inspect(domain);
    report["exits"]["wait"].as_u64().unwrap_or(0)
}

fn pair(client: &str, server: &str) -> String {
    PAIR.replace("[domains.client]\n", &format!("[domains.client]\n{client}"))
        .replace("[domains.server]\n", &format!("[domains.server]\n{server}"))
}

#[test]
fn two_who_poll_call_each_other_without_a_single_exit() {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    if processors < 2 {
        let message = "SKIPPED: two who poll need two processors, and here is one";
        writeln!(io::stderr(), "{message}").expect("standard error takes a line");
        return;
    }
    let polling = "wait = \"polling\"\n";
    let Some(system) = System::start(&pair(polling, polling)) else { return };
    let mut client = Stormer::connect(&system, "client");
    let exits = || ["client", "server"].map(|name| waits(&system, name));
    let rung = || ["client", "server"].map(|name| system.number(name, "/channels/0/doorbells"));
    let (waits_before, rung_before) = (exits(), rung());
    client.storm("call", rounds(10_000, 200), "max 100");
    client.storm("pipeline", rounds(10_000, 200), "max 100");
    assert_eq!(exits(), waits_before, "nobody sleeps");
    assert_eq!(rung(), rung_before, "so nobody need be woken");
}

#[test]
fn those_who_never_poll_are_woken_for_each_call() {
    let blocking = "wait = \"blocking\"\n";
    let Some(system) = System::start(&pair(blocking, blocking)) else { return };
    let mut client = Stormer::connect(&system, "client");
    let before = waits(&system, "client");
    let calls = rounds(2_000, 100);
    client.storm("call", calls, "max 100");
    let slept = waits(&system, "client") - before;
    assert!(slept > 0, "a client that does not look sleeps");
    // Beside the storm itself it has a line to read and an answer to write.
    assert!(slept <= calls as u64 + 50, "one exit a call is enough, not {slept} for {calls}");
}

#[test]
fn one_who_looks_for_a_time_sleeps_when_that_is_over() {
    let (looking, blocking) = ("wait = \"20 ms\"\n", "wait = \"blocking\"\n");
    let Some(system) = System::start(&pair(blocking, looking)) else { return };
    let mut client = Stormer::connect(&system, "client");
    let before = waits(&system, "server");
    let calls = rounds(2_000, 100);
    client.storm("call", calls, "max 100");
    let slept = waits(&system, "server") - before;
    assert!(
        slept < calls as u64 / 2,
        "it finds the next call while it looks; it slept {slept} times"
    );
    until("sleep", || (ticks_in(&system, Duration::from_millis(200)) == 0).then_some(()));
}
