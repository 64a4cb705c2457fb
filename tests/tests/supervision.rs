//! Supervision as a manifest asks for it, on real domains: who restarts with whom, who gives up,
//! in which order all start and stop, and what a hang is.

use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::records::is_event;
use atoll_tests::{Lines, Place, System};
use serde_json::Value;

/// A system of servers that can be made to fail, each with a gateway.
fn manifest(head: &str, domains: &[(&str, &str)]) -> String {
    let tables = domains.iter().map(|(name, keys)| {
        format!(
            "[domains.{name}]\nimage = \"crashme\"\n{keys}\n\
             [[gateways]]\nlisten = \"unix:{{dir}}/{name}.sock\"\nto = \"{name}:crash\"\n"
        )
    });
    // A table's keys come before the next table: gateways go last.
    let (tables, gateways): (Vec<_>, Vec<_>) = tables
        .map(|text| {
            let at = text.find("[[gateways]]").expect("each has one");
            (text[..at].to_owned(), text[at..].to_owned())
        })
        .unzip();
    format!("name = \"supervised\"\n{head}\n{}{}", tables.concat(), gateways.concat())
}

fn client(system: &System, domain: &str) -> Lines {
    Lines::connect(&system.gateway(&format!("{domain}:crash")))
}

/// Fails a domain; returns where the records were before.
fn fail(system: &System, domain: &str) -> usize {
    let mark = system.records().mark();
    assert_eq!(client(system, domain).ask("null"), "restarted");
    mark
}

/// The domains to which events of a kind happened since `mark`, in order.
fn happened(system: &System, mark: usize, kind: &str) -> Vec<String> {
    let records = system.records().all();
    let events = records[mark..].iter().filter(|record| record["kind"] == kind);
    events.filter_map(|event| Some(event["domain"].as_str()?.to_owned())).collect()
}

#[test]
fn one_for_one_restarts_who_failed_from_its_checkpoint() {
    let Some(system) = System::start(&manifest("", &[("a", ""), ("b", "")])) else { return };
    let mut other = client(&system, "b");
    assert_eq!(other.ask("count"), "1");
    let mark = fail(&system, "a");
    let restart = system.event_after(mark, "a", "domain-restarted");
    assert_eq!((&restart["origin"], &restart["epoch"]), (&"checkpoint".into(), &2.into()));
    assert!(restart["steps"]["memory"].as_u64() > Some(0), "it says what took how long: {restart}");
    assert_eq!(other.ask("count"), "2", "the other one has lost nothing");
}

#[test]
fn one_for_all_restarts_all_in_order() {
    let head = "[groups.all]\nstrategy = \"one-for-all\"";
    let group = "group = \"all\"";
    let domains = [("a", group), ("b", group), ("c", group), ("outside", "")];
    let Some(system) = System::start(&manifest(head, &domains)) else { return };
    let mut outside = client(&system, "outside");
    assert_eq!(outside.ask("count"), "1");
    let mark = fail(&system, "b");
    for domain in ["a", "b", "c"] {
        assert_eq!(system.event_after(mark, domain, "domain-restarted")["epoch"], 2, "{domain}");
    }
    assert_eq!(happened(&system, mark, "domain-stopped"), ["c", "a"], "in reverse order");
    assert_eq!(outside.ask("count"), "2", "it is not in the group");
    for domain in ["a", "b", "c"] {
        assert_eq!(client(&system, domain).ask("epoch"), "2", "{domain}");
    }
}

#[test]
fn rest_for_one_restarts_those_that_build_on_who_failed() {
    let head = "[supervision]\nstrategy = \"rest-for-one\"";
    let Some(system) = System::start(&manifest(head, &[("a", ""), ("b", ""), ("c", "")])) else {
        return;
    };
    let mut first = client(&system, "a");
    assert_eq!(first.ask("count"), "1");
    let mark = fail(&system, "b");
    system.event_after(mark, "c", "domain-restarted");
    let restarted = happened(&system, mark, "domain-restarted");
    assert_eq!(restarted, ["b", "c"], "the later one waits for the earlier one");
    assert_eq!(first.ask("count"), "2", "it builds on nobody");
}

#[test]
fn domains_start_after_those_they_name_are_ready_and_stop_before_them() {
    let domains =
        [("last", "after = [\"middle\"]"), ("middle", "after = [\"first\"]"), ("first", "")];
    let Some(system) = System::start(&manifest("", &domains)) else { return };
    system.event_after(0, "last", "domain-ready");
    let records = system.records().all();
    let at = |domain: &str, kind: &str| {
        let found = records.iter().position(|record| is_event(record, domain, kind));
        found.unwrap_or_else(|| panic!("no {kind} of {domain}"))
    };
    assert!(at("first", "domain-ready") < at("middle", "domain-started"));
    assert!(at("middle", "domain-ready") < at("last", "domain-started"));
    let events = system.follow(&["events"]);
    events
        .records
        .after(0, "what happened before", |event| is_event(event, "last", "domain-ready"));
    system.stop();
    let events = events.ended_well();
    let stopped: Vec<_> = events
        .iter()
        .filter(|event| event["kind"] == "domain-stopped")
        .map(|event| event["domain"].as_str().unwrap())
        .collect();
    assert_eq!(stopped, ["last", "middle", "first"]);
}

#[test]
fn a_group_that_gives_up_fails_its_parent_and_at_last_the_system() {
    let place = Place::new(&manifest(
        "[supervision]\nintensity = 1\nperiod = \"1 min\"\n\
         [groups.inner]\nintensity = 2\nperiod = \"1 min\"",
        &[("a", "group = \"inner\"\narguments = [\"at-start=panic\"]"), ("b", "")],
    ));
    if !atoll_tests::environment::has_kvm() {
        return;
    }
    let outcome = place.run();
    assert_eq!(outcome.code, Some(8), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("supervision gave up"), "{}", outcome.stderr);
    let gave_up = |group: &str| outcome.stdout.matches(&format!("group `{group}` gave up")).count();
    assert_eq!((gave_up("inner"), gave_up("root")), (2, 1), "{}", outcome.stdout);
}

#[test]
fn a_group_may_stay_down_without_troubling_others() {
    let head = "[groups.frail]\nintensity = 1\nescalation = \"stay-down\"";
    let group = "group = \"frail\"";
    let Some(system) = System::start(&manifest(head, &[("a", group), ("b", group), ("c", "")]))
    else {
        return;
    };
    fail(&system, "a");
    let mark = system.records().mark();
    client(&system, "a").tell("null");
    let down = system.event_after(mark, "b", "domain-stays-down");
    assert!(down["reason"].as_str().unwrap().contains("gave up"), "{down}");
    until("both to be down", || (system.state("a") != "running").then_some(()));
    assert_ne!(system.state("b"), "running");
    assert_eq!(client(&system, "c").ask("ping"), "pong");
    let epoch = system.renew("b", "restart");
    assert!(epoch > 1, "an operator brings it back");
    assert_eq!(client(&system, "b").ask("ping"), "pong");
}

#[test]
fn a_server_that_hangs_is_ended_with_the_backtrace_of_where_it_looped() {
    let watched = "watchdog = \"200 ms\"";
    let Some(system) = System::start(&manifest("", &[("a", watched), ("b", watched)])) else {
        return;
    };
    let mark = system.records().mark();
    assert_eq!(client(&system, "a").ask("loop"), "restarted");
    let fault = system.event_after(mark, "a", "domain-faulted");
    assert_eq!(fault["fault"]["kind"], "hang", "{fault}");
    let report = system.inspect("a")["last_fault"].clone();
    let frames = report["backtrace"].as_array().unwrap();
    let symbols: Vec<_> = frames.iter().filter_map(|frame| frame["symbol"].as_str()).collect();
    assert!(symbols[0].ends_with("faults::forever"), "{symbols:?}");
    assert_eq!(client(&system, "a").ask("ping"), "pong");
    assert_eq!(system.epoch("b"), 1, "one without requests does not hang");
}

#[test]
fn a_server_that_does_not_stop_is_forced() {
    let deaf = "stop-deadline = \"200 ms\"";
    let Some(system) = System::start(&manifest("", &[("a", deaf)])) else { return };
    client(&system, "a").tell("loop");
    until("the request in service", || {
        (system.number("a", "/channels/0/in_service_bytes") > 0).then_some(())
    });
    // It ends well, or the system's drop fails this test.
    system.stop();
}

/// A client whose server is down, and waits for the client's end before it begins again.
const BUILDS_ON: &str = r#"
name = "builds-on"
[supervision]
strategy = "rest-for-one"
[domains.echo]
image = "echo"
[domains.front]
image = "front"
stop-deadline = "60 min"
[[channels]]
from = "front"
as = "next"
to = "echo:echo"
[[gateways]]
listen = "127.0.0.1:0"
to = "front:lines"
"#;

#[test]
fn a_call_to_a_server_that_waits_for_its_callers_end_fails_at_once() {
    let Some(system) = System::start(BUILDS_ON) else { return };
    let mut client = Lines::connect(&system.gateway("front:lines"));
    assert_eq!(client.ask("one"), "one");
    system.order("echo", "pause");
    client.tell("two");
    until("the request in the ring", || {
        (system.number("echo", "/channels/0/unread_bytes") > 0).then_some(())
    });
    let mark = system.records().mark();
    system.order("echo", "kill");
    assert_eq!(client.hear().as_deref(), Some("error: the peer is stopped"));
    system.event_after(mark, "front", "domain-restarted");
    assert_eq!(happened(&system, mark, "domain-stopped"), ["front"]);
    // Between the two that began anew nothing is left of that.
    let mut client = Lines::connect(&system.gateway("front:lines"));
    assert_eq!(client.ask("three"), "three");
}

#[test]
fn a_server_that_is_never_ready_has_failed() {
    let slow = "start-deadline = \"200 ms\"\narguments = [\"at-start=loop\"]\nbackoff-free = 0";
    let Some(system) = System::start(&manifest("", &[("a", slow), ("b", "")])) else { return };
    let fault = system.event_after(0, "a", "domain-faulted");
    assert_eq!(fault["fault"]["kind"], "not-ready", "{fault}");
    let records: &dyn Fn(&Value) -> bool = &|record| is_event(record, "a", "domain-backing-off");
    system.records().after(0, "a pause", records);
    assert_eq!(client(&system, "b").ask("ping"), "pong");
}

#[test]
fn orders_that_cross_each_other_leave_the_domain_up() {
    let Some(system) = System::start(&manifest("", &[("a", "")])) else { return };
    // Some are refused, because the last one is being obeyed; none may be the last word.
    let verbs = ["kill", "restart", "restart", "kill"];
    for verb in verbs.iter().cycle().take(rounds(400, 40)) {
        system.http("POST", &format!("/v1/domains/a/{verb}"));
    }
    until("the domain to run", || (system.state("a") == "running").then_some(()));
    assert_eq!(client(&system, "a").ask("ping"), "pong");
}
