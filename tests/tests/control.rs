//! The control API and the commands over it, on a system that runs.

use atoll_tests::control::until;
use atoll_tests::process;
use atoll_tests::records::is_event;
use atoll_tests::resp::command;
use atoll_tests::{Lines, Reply, Resp, System, system};
use serde_json::Value;

fn start() -> Option<System> {
    System::start(
        "name = \"controlled\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\n\
         [domains.crashme]\nimage = \"crashme\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"kv:redis\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"crashme:crash\"\n",
    )
}

#[test]
fn ps_lists_the_domains_with_what_they_use() {
    let Some(system) = start() else { return };
    let status = system.json(&["ps"]);
    assert_eq!((&status["name"], &status["pid"]), (&"controlled".into(), &system.pid().into()));
    let domains = status["domains"].as_array().unwrap();
    assert_eq!(domains.len(), 2);
    for (domain, name) in domains.iter().zip(["kv", "crashme"]) {
        assert_eq!((&domain["name"], &domain["state"]), (&name.into(), &"running".into()));
        assert_eq!((&domain["epoch"], &domain["faults"]), (&1.into(), &0.into()));
        let number = |key: &str| domain[key].as_u64().unwrap();
        assert!(number("resident_bytes") > 0 && number("resident_bytes") < number("memory_bytes"));
    }
    assert_eq!(domains[0]["memory_bytes"], 64 << 20);

    let shown = system.told(&["ps"]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("controlled: pid "), "{shown}");
    let head: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(head[..3], ["DOMAIN", "STATE", "EPOCH"], "{shown}");
    assert!(lines[2].starts_with("kv ") && lines[3].starts_with("crashme "), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn inspect_counts_what_went_through_a_gateway() {
    let Some(system) = start() else { return };
    let mut kv = Resp::connect(&system.gateway("kv:redis"));
    let request = command("ECHO hello");
    for _ in 0..10 {
        kv.send(&request);
        assert_eq!(kv.reply(), Some(Reply::bulk("hello")));
    }
    let report = system.json(&["inspect", "kv"]);
    let gateway = &report["gateways"][0];
    assert_eq!(gateway["listen"], system.gateway("kv:redis"));
    let counts =
        ["connections", "accepted", "refused", "requests", "aborted", "bytes_in", "bytes_out"];
    let counts = counts.map(|name| gateway[name].as_u64().unwrap());
    assert_eq!(
        counts,
        [1, 1, 0, 10, 0, 10 * request.len() as u64, 10 * "$5\r\nhello\r\n".len() as u64]
    );
    let channel = &report["channels"][0];
    assert_eq!((&channel["role"], &channel["requests"]), (&"server".into(), &10.into()));
    assert_eq!(channel["replies"], 10);
    assert_eq!(report["image_hash"].as_str().unwrap().len(), 64);
    assert_eq!(report["last_fault"], Value::Null);
    drop(kv);
    until("the end of the connection", || {
        (system.number("kv", "/gateways/0/connections") == 0).then_some(())
    });
}

#[test]
fn followers_see_lines_and_events_as_they_come_and_end_with_the_system() {
    let Some(system) = start() else { return };
    let (logs, events) = (system.follow(&["logs", "crashme"]), system.follow(&["events"]));
    logs.records.after(0, "what was logged before", |line| line["text"] == "ready in epoch 1");
    events.records.after(0, "what happened before", |event| event["kind"] == "system-started");
    let mut client = Lines::connect(&system.gateway("crashme:crash"));
    assert_eq!(client.ask("log as it comes"), "logged");
    logs.records.after(0, "the line", |line| line["text"] == "as it comes");
    assert_eq!(client.ask("null"), "restarted");
    events.records.after(0, "the fault", |event| is_event(event, "crashme", "domain-faulted"));
    events.records.after(0, "the restart", |event| is_event(event, "crashme", "domain-restarted"));
    logs.records.after(0, "the next incarnation's line", |line| line["epoch"] == 2);

    let kept = system.told(&["logs", "crashme"]);
    assert!(kept.lines().any(|line| line.ends_with("as it comes")), "{kept}");
    system.stop();
    assert!(logs.ended_well().iter().all(|line| line["domain"] == "crashme"));
    let events = events.ended_well();
    let stopping = events.iter().position(|event| event["kind"] == "system-stopping").unwrap();
    let stopped = events[stopping + 1..].iter();
    let stopped: Vec<_> = stopped.filter(|event| event["kind"] == "domain-stopped").collect();
    assert!(stopped.len() >= 2, "each domain ends in good order: {events:?}");
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().zip(1..).all(|(number, expected)| *number == expected), "{numbers:?}");
}

#[test]
fn requests_to_a_paused_domain_wait_until_it_is_resumed() {
    let Some(system) = start() else { return };
    let mut kv = Resp::connect(&system.gateway("kv:redis"));
    assert_eq!(kv.ask("SET a 1"), Reply::ok());
    let mark = system.records().mark();
    assert_eq!(system.told(&["pause", "kv"]), "paused kv\n");
    system.event_after(mark, "kv", "domain-paused");
    assert_eq!(system.state("kv"), "paused");
    kv.send(&command("GET a"));
    until("the request in the ring", || {
        (system.number("kv", "/channels/0/unread_bytes") > 0).then_some(())
    });
    let mut other = Lines::connect(&system.gateway("crashme:crash"));
    assert_eq!(other.ask("ping"), "pong", "others run on");
    let twice = system.vmm(&["pause", "kv"]);
    assert_eq!(twice.code, Some(7));
    assert!(
        twice.stderr.contains("cannot pause `kv`: it is paused; `vmm resume`"),
        "{}",
        twice.stderr
    );

    assert_eq!(system.told(&["resume", "kv"]), "resumed kv\n");
    assert_eq!(kv.reply(), Some(Reply::bulk("1")), "nothing was lost");
    assert_eq!(system.vmm(&["resume", "kv"]).code, Some(7));
    // A paused domain can be ended as well.
    let mark = system.records().mark();
    system.order("kv", "pause");
    system.event_after(mark, "kv", "domain-paused");
    assert_eq!(system.renew("kv", "kill"), 2);
    assert_eq!(kv.ask("GET a"), Reply::NIL);
}

#[test]
fn orders_work_over_plain_http_and_refusals_say_why() {
    let Some(system) = start() else { return };
    let answer = system.http("GET", "/v1/system");
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.to_lowercase().contains("content-type: application/json"),
        "{}",
        answer.head
    );
    let status: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status["name"], "controlled");

    let mark = system.records().mark();
    assert_eq!(system.http("POST", "/v1/domains/crashme/kill").status, 204);
    assert_eq!(system.restarted_after(mark, "crashme"), 2);
    let unknown = system.http("POST", "/v1/domains/krashme/kill");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("did you mean `crashme`?"), "{}", unknown.body);
    assert_eq!(system.http("POST", "/v1/domains/kv/resume").status, 409);
    assert_eq!(system.http("DELETE", "/v1/domains/kv").status, 405);
    assert_eq!(system.http("GET", "/v2").status, 404);
    let events = system.http("GET", "/v1/events");
    assert!(events.body.contains("\"kind\":\"domain-killed\""), "{}", events.body);
    let description = system.http("GET", "/v1/openapi.json").body;
    assert!(description.contains("/v1/domains/{name}/kill"), "{description}");
}

#[test]
fn stop_returns_when_the_system_is_gone() {
    let Some(system) = start() else { return };
    let mut kv = Resp::connect(&system.gateway("kv:redis"));
    assert_eq!(kv.ask("PING"), Reply::Simple("PONG".into()));
    assert_eq!(system.told(&["stop"]), "stopped\n");
    assert_eq!(kv.reply(), None, "its connections are closed");
    system.ended();
}

#[test]
fn unknown_domains_and_absent_systems_have_their_exit_codes() {
    let Some(system) = start() else { return };
    let unknown = system.vmm(&["inspect", "crushme"]);
    assert_eq!(unknown.code, Some(7));
    assert!(unknown.stderr.contains("did you mean `crashme`?"), "{}", unknown.stderr);
    let unknown = system.vmm(&["kill", "crushme", "--json"]);
    let error: Value = serde_json::from_str(&unknown.stderr).unwrap();
    assert_eq!(error["error"]["code"], 7);

    let place = system.stop();
    let socket = place.socket();
    let gone = process::run(system::command().args(["ps", "--socket"]).arg(&socket));
    assert_eq!(gone.code, Some(6));
    assert!(gone.stderr.contains("vmm run SYSTEM.toml"), "{}", gone.stderr);
    assert!(gone.stderr.contains(&socket.display().to_string()), "{}", gone.stderr);
}
