//! Echo storms between two domains: every byte is checked on both sides.

use atoll_tests::System;
use atoll_tests::environment::rounds;
use atoll_tests::storm::{PAIR, Stormer, Tally};

/// Messages of each storm. They are mostly short; one in a hundred is as long as a limit of the
/// channel, and a few are up to a mebibyte.
fn messages() -> usize {
    rounds(20_000, 300)
}

fn with_channel(settings: &str) -> String {
    PAIR.replace("to = \"server:storm\"\n", &format!("to = \"server:storm\"\n{settings}"))
}

/// Storms of calls, of pipelines and of lent buffers.
fn storms(client: &mut Stormer, count: usize, max: usize) {
    for kind in ["call", "pipeline", "lend", "mix"] {
        client.storm(kind, count, &format!("max {max}"));
    }
}

#[test]
fn calls_come_back_whole_whatever_their_size() {
    let Some(system) = System::start(PAIR) else { return };
    let mut client = Stormer::connect(&system, "client");
    let count = messages();
    client.storm("call", count, "max 1048576");
    // Calls, and the question itself.
    let counts = client.counts();
    assert_eq!((counts.get("served"), counts.get("malformed")), (count as u64 + 1, 0));
    assert_eq!(system.number("client", "/channels/0/rejected"), 0);
}

#[test]
fn pipelines_of_any_depth_are_answered_out_of_order_and_never_mixed_up() {
    let Some(system) = System::start(PAIR) else { return };
    let mut client = Stormer::connect(&system, "client");
    for depth in [1, 2, 7, 64] {
        let count = messages() / 2;
        client.storm("pipeline", count, &format!("depth {depth} max 65536"));
    }
    assert_eq!(client.counts().get("malformed"), 0);
}

#[test]
fn every_message_that_was_sent_one_way_arrives_once() {
    let Some(system) = System::start(PAIR) else { return };
    let mut client = Stormer::connect(&system, "client");
    let count = messages();
    let mut sum = 0_u64;
    for round in 1..=2 {
        for sent in client.storm("send", count, "max 1048576") {
            sum = sum.wrapping_add(sent.get("sum"));
        }
        // Asked behind them, through the same ring.
        let counts = client.counts();
        assert_eq!(counts.get("oneway"), round * count as u64);
        assert_eq!((counts.get("sum"), counts.get("malformed")), (sum, 0));
    }
}

#[test]
fn lent_buffers_carry_every_byte_both_ways() {
    let Some(system) = System::start(PAIR) else { return };
    let mut client = Stormer::connect(&system, "client");
    client.storm("lend", messages(), "max 1048576");
    assert_eq!(client.counts().get("malformed"), 0);
    assert_eq!(client.ask("borrow 1048576"), "borrowed");
    assert_eq!(client.ask("borrow 1048577"), "error: TooLarge");
}

#[test]
fn notifications_coalesce_and_none_is_lost() {
    let Some(system) = System::start(PAIR) else { return };
    let mut client = Stormer::connect(&system, "client");
    // Of so many random bits, each is among them.
    client.storm("notify", rounds(100_000, 2_000), "");
    assert_eq!(client.counts().get("bits"), u64::MAX);
}

#[test]
fn channels_of_the_least_and_of_odd_sizes_carry_storms_too() {
    let sizes = [
        ("ring = \"4 KiB\"\nbuffers = \"64 KiB\"\n", 32 << 10, 1),
        ("ring = \"8 KiB\"\nbuffers = \"12 KiB\"\n", 6 << 10, 1),
        ("ring = \"64 KiB\"\nbuffers = 0\n", 30 << 10, 16),
        ("ring = \"1 MiB\"\nbuffers = \"4 KiB\"\n", 500 << 10, 64),
    ];
    for (settings, max, depth) in sizes {
        let Some(system) = System::start(&with_channel(settings)) else { return };
        let mut client = Stormer::connect(&system, "client");
        client.storm("call", messages() / 4, &format!("max {max}"));
        client.storm("send", messages() / 4, &format!("max {max}"));
        let short = 1024;
        client.storm("pipeline", messages() / 4, &format!("depth {depth} max {short}"));
        assert_eq!(client.counts().get("malformed"), 0, "{settings}");
    }
}

#[test]
fn domains_that_poll_and_domains_that_always_sleep_pass_the_same_storms() {
    for (client, server) in [("blocking", "blocking"), ("blocking", "adaptive")] {
        let manifest = PAIR
            .replace("[domains.client]\n", &format!("[domains.client]\nwait = \"{client}\"\n"))
            .replace("[domains.server]\n", &format!("[domains.server]\nwait = \"{server}\"\n"));
        let Some(system) = System::start(&manifest) else { return };
        let mut stormer = Stormer::connect(&system, "client");
        storms(&mut stormer, messages() / 10, 1 << 20);
    }
}

#[test]
fn a_chain_of_three_passes_calls_and_buffers_on() {
    let chain = PAIR.replace(
        "from = \"client\"\nto = \"server:storm\"\n",
        "from = \"client\"\nas = \"storm\"\nto = \"relay:relay\"\n\
         [domains.relay]\nimage = \"relay\"\nmemory = \"32 MiB\"\n\
         [[channels]]\nfrom = \"relay\"\nas = \"next\"\nto = \"server:storm\"\n",
    );
    let Some(system) = System::start(&chain) else { return };
    let mut client = Stormer::connect(&system, "client");
    client.storm("call", messages() / 2, "max 1048576");
    client.storm("pipeline", messages() / 4, "max 1024");
    assert_eq!(client.counts().get("malformed"), 0);
}

/// Millions of messages: `cargo test -p atoll-tests --test ipc_storm -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn millions_of_messages_of_every_kind() {
    let Some(system) = System::start(PAIR) else { return };
    let mut client = Stormer::connect(&system, "client");
    let count = rounds(200_000, 2_000);
    let mut ended = 0;
    for _ in 0..2 {
        for kind in ["call", "pipeline", "lend", "send", "mix"] {
            let storms = client.storm(kind, count, "max 1048576");
            ended += storms.iter().map(Tally::ended).sum::<u64>();
        }
    }
    println!("{ended} messages");
    assert_eq!(client.counts().get("malformed"), 0);
}
