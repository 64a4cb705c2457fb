//! Every way in which a call can fail, as a client in another domain sees it; and that it costs
//! nobody but the one whom it concerns.

use atoll_tests::System;
use atoll_tests::control::until;
use atoll_tests::environment::is_emulated;
use atoll_tests::storm::{PAIR, Stormer, Tally, one_more, op};

/// Most calls of one channel that are under way at a time.
const CALLS_MAX: u64 = 64;

fn start() -> Option<(System, Stormer)> {
    let system = System::start(&format!("{PAIR}{}", one_more("other", "server")))?;
    let client = Stormer::connect(&system, "client");
    Some((system, client))
}

/// One call; what became of it, and the milliseconds that it took.
fn one(client: &mut Stormer, operation: u16, how: &str) -> (String, u64) {
    let answer = client.ask(&format!("one {operation} {how}"));
    let (fate, took) = answer.rsplit_once(' ').expect("an answer ends with its time");
    (fate.to_owned(), took.parse().unwrap_or_else(|_| panic!("no time in `{answer}`")))
}

/// That a channel is as good as new.
fn assert_sound(client: &mut Stormer) {
    client.storm("mix", 500, "max 300000");
}

#[test]
fn a_server_that_never_answers_runs_into_the_deadline() {
    let Some((system, mut client)) = start() else { return };
    for ms in [0, 1, 20, 200] {
        let (fate, took) = one(&mut client, op::KEEP, &format!("64 ms {ms}"));
        assert_eq!(fate, "Timeout");
        let late = if is_emulated() { 20_000 } else { 1_000 };
        assert!(ms <= took && took <= ms + late, "{ms} ms became {took}");
    }
    let mut other = Stormer::connect(&system, "other");
    assert_sound(&mut other);
    // What the server keeps takes up room in its client's channel until it is answered.
    assert_eq!(other.ask(&format!("text {}", op::RELEASE)), "4");
    assert_sound(&mut client);
}

#[test]
fn refusals_are_told_as_what_they_are() {
    let Some((_system, mut client)) = start() else { return };
    let refusals = [
        (op::DENY, "Denied"),
        (op::DROP, "Rejected"),
        (op::UNKNOWN, "Rejected"),
        // A call of the wrong form: it says that it carries what it does not.
        (op::EXCHANGE, "Rejected"),
        (op::BURST, "Exhausted"),
    ];
    for (operation, told) in refusals {
        assert_eq!(one(&mut client, operation, "100").0, told, "operation {operation}");
    }
    assert_sound(&mut client);
}

#[test]
fn who_asks_for_no_answer_is_told_that_the_book_of_calls_is_full() {
    let Some((system, mut client)) = start() else { return };
    let mut other = Stormer::connect(&system, "other");
    let kept = format!("start {} {CALLS_MAX} reply 16", op::KEEP);
    assert_eq!(client.ask(&kept), format!("started {CALLS_MAX}"));
    until("all of them to be kept", || (other.counts().get("kept") == CALLS_MAX).then_some(()));
    assert_eq!(other.ask(&format!("text {}", op::RELEASE)), CALLS_MAX.to_string());
    let one_more = format!("start {} 1 reply 16", op::EXCHANGE);
    assert_eq!(client.ask(&one_more), "started 0 Full", "only its caller can make room");
    assert_eq!(Tally::of(&client.ask("harvest")).get("ok"), CALLS_MAX);
    assert_sound(&mut client);
}

#[test]
fn a_channel_that_is_not_there_is_not_found() {
    let Some((_system, mut client)) = start() else { return };
    assert_eq!(client.ask("on nowhere epoch"), "error: NotFound");
    assert_eq!(client.ask("on storm epoch"), "1");
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_written() {
    let Some((system, mut client)) = start() else { return };
    // Half the pool is the most.
    let sent = || system.number("client", "/channels/0/requests");
    assert_eq!(one(&mut client, op::INVERT, "1048576").0, "ok 1048576");
    let before = sent();
    assert_eq!(one(&mut client, op::INVERT, "1048577").0, "TooLarge");
    assert_eq!(one(&mut client, op::INVERT, "16000000").0, "TooLarge");
    assert_eq!(client.ask("borrow 2097152"), "error: TooLarge");
    assert_eq!(sent(), before);
    let waiting = system.number("client", "/channels/0/unread_bytes");
    assert_eq!(waiting, 0);
    assert_sound(&mut client);
}

#[test]
fn a_call_that_dies_with_its_server_says_so_and_the_channel_goes_on() {
    let Some((system, mut client)) = start() else { return };
    for epoch in [2, 4, 6] {
        client.tell(&format!("one {} 64", op::KEEP));
        until("a call in service", || {
            (system.number("server", "/channels/0/in_service_bytes") > 0).then_some(())
        });
        assert_eq!(system.renew("server", "kill"), epoch);
        let answer = client.hear().expect("the client lives");
        assert!(answer.starts_with("PeerRestarted "), "{answer}");
        assert_eq!(client.counts().get("epoch"), epoch);
        assert_eq!(client.ask("epoch"), epoch.to_string());
        assert_sound(&mut client);
        // A crash of an incarnation that has hardly begun would be answered with a pause.
        system.renew("server", "restart");
    }
}

#[test]
fn a_server_that_stays_down_is_gone_until_it_is_back() {
    let never = PAIR.replace("[domains.server]\n", "[domains.server]\nrestart = \"never\"\n");
    let Some(system) = System::start(&never) else { return };
    let mut client = Stormer::connect(&system, "client");
    client.tell(&format!("one {} 64", op::KEEP));
    until("a call in service", || {
        (system.number("server", "/channels/0/in_service_bytes") > 0).then_some(())
    });
    let mark = system.records().mark();
    system.order("server", "kill");
    system.event_after(mark, "server", "domain-faulted");
    let answer = client.hear().expect("the client lives");
    assert!(answer.starts_with("PeerGone "), "nothing will answer: {answer}");
    for kind in ["call", "pipeline", "send", "lend"] {
        let tally = client.any_storm(kind, 200, "max 100000").expect("the client lives");
        tally.assert_only(200, &["gone"]);
    }
    system.renew("server", "restart");
    assert_sound(&mut client);
}

#[test]
fn as_many_calls_are_under_way_as_there_are_places_and_no_more() {
    let Some((system, mut client)) = start() else { return };
    let mut other = Stormer::connect(&system, "other");
    let start = format!("start {} 70 reply 16 ms 300", op::KEEP);
    assert_eq!(client.ask(&start), format!("started {CALLS_MAX} Timeout"));
    // No place is left for a call, but for messages that nobody waits for.
    assert_eq!(one(&mut client, op::DENY, "8 ms 50").0, "Timeout");
    assert_eq!(other.counts().get("kept"), CALLS_MAX);
    assert_sound(&mut other);
    // Their answers make room for others.
    assert_eq!(other.ask(&format!("text {}", op::RELEASE)), CALLS_MAX.to_string());
    let harvest = Tally::of(&client.ask("harvest"));
    harvest.assert_only(CALLS_MAX, &["ok"]);
    assert_sound(&mut client);
}

#[test]
fn a_client_that_never_reads_is_bounded_and_told_and_holds_nobody_up() {
    let manifest = format!("{PAIR}{}", one_more("other", "server"));
    let narrow = "to = \"server:storm\"\nring = \"16 KiB\"\nbuffers = \"16 KiB\"\n";
    let Some(system) = System::start(&manifest.replacen("to = \"server:storm\"\n", narrow, 1))
    else {
        return;
    };
    let mut client = Stormer::connect(&system, "client");
    let mut other = Stormer::connect(&system, "other");
    for reply in [1_000, 6_000, 8_000] {
        let started = client.ask(&format!("start {} {CALLS_MAX} reply {reply}", op::EXCHANGE));
        assert_eq!(started, format!("started {CALLS_MAX}"));
        // The client reads nothing, and the server has gone on all the same.
        other.storm("mix", 2_000, "max 100000");
        let harvest = Tally::of(&client.ask("harvest"));
        harvest.assert_only(CALLS_MAX, &["ok", "exhausted"]);
        assert!(harvest.get("ok") > 0, "what there was room for has come: {harvest:?}");
        assert!(harvest.get("exhausted") > 0, "64 answers do not fit: {harvest:?}");
        client.storm("call", 500, "max 8000");
    }
}

#[test]
fn a_cancelled_call_is_known_as_such_and_its_late_answer_disturbs_nobody() {
    let Some((system, mut client)) = start() else { return };
    let mut other = Stormer::connect(&system, "other");
    for round in 1..=3 {
        assert_eq!(client.ask(&format!("start {} 40 reply 16", op::KEEP)), "started 40");
        assert_eq!(client.ask("cancel 15"), "cancelled 15");
        // Behind the cancellations in the ring.
        let counts = client.counts();
        assert_eq!((counts.get("kept"), counts.get("cancelled")), (40, 15), "round {round}");
        // A call under way has one outcome even so: those 25 are answered late, the others never.
        assert_eq!(other.ask(&format!("text {}", op::RELEASE)), "40");
        Tally::of(&client.ask("harvest")).assert_only(25, &["ok"]);
        assert_sound(&mut client);
        assert_sound(&mut other);
    }
    // So is a call that ran into its deadline.
    assert_eq!(one(&mut client, op::KEEP, "8 ms 10").0, "Timeout");
    let counts = client.counts();
    assert_eq!((counts.get("kept"), counts.get("cancelled")), (1, 1));
    assert_eq!(client.ask(&format!("text {}", op::RELEASE)), "1");
    assert_sound(&mut client);
    assert_eq!(system.number("client", "/channels/0/rejected"), 0, "they were asked for once");
}

#[test]
fn a_typed_client_binds_to_what_it_was_built_for_and_to_nothing_else() {
    let ports = ["sums", "older", "twin", "storm"];
    let channels = ports.map(|port| {
        format!("[[channels]]\nfrom = \"client\"\nas = \"{port}\"\nto = \"typed:{port}\"\n")
    });
    let (head, tail) = PAIR.split_once("[[channels]]").expect("it has channels");
    let (_, gateway) = tail.split_once("[[gateways]]").expect("it has gateways");
    let manifest = format!("{head}{}[[gateways]]{gateway}", channels.concat())
        .replace("domains.server", "domains.typed")
        .replace("role=server", "role=typed");
    let Some(system) = System::start(&manifest) else { return };
    let mut client = Stormer::connect(&system, "client");
    assert_eq!(client.ask("on sums bind"), "sum 42");
    let refusals = [
        ("older", vec!["channel `older`", "`sums` version 1", "`sums` version 2"]),
        ("storm", vec!["channel `storm`", "`storm` version 1", "`sums` version 2"]),
        ("twin", vec!["channel `twin`", "another definition", "`sums` version 2", "fingerprint"]),
    ];
    for (channel, parts) in refusals {
        let answer = client.ask(&format!("on {channel} bind"));
        for part in parts {
            assert!(answer.contains(part), "no `{part}` in `{answer}`");
        }
    }
    assert_eq!(client.ask("on sums bind"), "sum 42");
}
