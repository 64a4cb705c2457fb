//! The control API over its real socket, with a nucleus that is none.

mod support;

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use atoll_vmm::control::api::{
    DomainReport, DomainStatus, FaultReport, Problem, ProblemKind, SystemStatus,
};
use atoll_vmm::control::{Client, ClientError};
use atoll_vmm::journal::{Event, EventKind, Level, LogLine};
use serde_json::Value;
use support::System;

/// Runs a conversation as the command line does.
fn talk<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(conversation)
}

fn client(system: &System) -> Client {
    Client::new(&system.socket, None)
}

fn problem<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> Problem {
    match outcome {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("not refused: {other:?}"),
    }
}

/// Sends bytes as they are, and returns all that comes back.
fn raw(system: &System, request: &str) -> String {
    let mut stream = UnixStream::connect(&system.socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn what_the_nucleus_says_arrives_unchanged() {
    let system = System::start();
    talk(async {
        let client = client(&system);
        assert_eq!(client.get::<SystemStatus>("/v1/system").await.unwrap(), support::status());
        let domains: Vec<DomainStatus> = client.get("/v1/domains").await.unwrap();
        assert_eq!(domains, support::status().domains);
        let report: DomainReport = client.get("/v1/domains/kv").await.unwrap();
        assert_eq!(report, support::report("kv"));
    });
    let faults: Vec<FaultReport> = talk(client(&system).get("/v1/domains/kv/faults")).unwrap();
    assert_eq!(faults, [support::fault()]);
    assert_eq!(system.wakes.load(Ordering::SeqCst), 4, "one wake-up for each request");
}

#[test]
fn orders_reach_the_nucleus_once_and_in_order() {
    let system = System::start();
    talk(async {
        let client = client(&system);
        client.post("/v1/domains/kv/kill").await.unwrap();
        client.post("/v1/domains/kv/restart").await.unwrap();
        client.post("/v1/domains/kv/pause").await.unwrap();
        client.post("/v1/domains/echo/resume").await.unwrap();
        client.post("/v1/system/stop").await.unwrap();
    });
    assert_eq!(system.join(), ["kill kv", "restart kv", "pause kv", "resume echo"]);
}

#[test]
fn refusals_have_a_status_and_a_reason() {
    let system = System::start();
    let client = client(&system);
    let unknown = problem(talk(client.get::<Value>("/v1/domains/kvv")));
    assert_eq!((unknown.kind, unknown.status), (ProblemKind::NoSuchDomain, 404));
    assert_eq!(unknown.message, "no domain is named `kvv`; did you mean `kv`?");
    let state = problem(talk(client.post("/v1/domains/echo/pause")));
    assert_eq!((state.kind, state.status), (ProblemKind::WrongState, 409));
    assert_eq!(state.message, "cannot pause `echo`: it is paused; nothing needs to be done");
}

#[test]
fn a_system_without_its_nucleus_is_shutting_down() {
    let mut system = System::start();
    talk(client(&system).post("/v1/system/stop")).unwrap();
    system.join_nucleus();
    let gone = problem(talk(client(&system).get::<Value>("/v1/system")));
    assert_eq!((gone.kind, gone.status), (ProblemKind::ShuttingDown, 503));
}

#[test]
fn bad_requests_are_explained() {
    let system = System::start();
    let client = client(&system);
    let cases = [
        ("/v1/nothing", 404, "there is no `/v1/nothing`; GET /v1/openapi.json lists routes"),
        (
            "/v1/system/stop",
            405,
            "`/v1/system/stop` does not take GET; GET /v1/openapi.json lists methods",
        ),
    ];
    for (target, status, message) in cases {
        let problem = problem(talk(client.get::<Value>(target)));
        assert_eq!((problem.kind, problem.status), (ProblemKind::BadRequest, status));
        assert_eq!(problem.message, message);
    }
    for target in ["/v1/logs?follow=maybe", "/v1/events?since=-1", "/v1/logs?domian=kv"] {
        let problem = problem(talk(client.get::<Value>(target)));
        assert_eq!((problem.kind, problem.status), (ProblemKind::BadRequest, 400), "{target}");
        assert!(problem.message.contains("lists parameters"), "{}", problem.message);
    }
    let bad_name = problem(talk(client.get::<Value>("/v1/domains/%ff")));
    assert_eq!((bad_name.kind, bad_name.status), (ProblemKind::BadRequest, 400));
}

#[test]
fn what_is_not_http_harms_nobody() {
    let system = System::start();
    let answer = raw(&system, "\0\u{1}nonsense\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    talk(client(&system).get::<Value>("/v1/system")).unwrap();
}

#[test]
fn the_description_is_served() {
    let system = System::start();
    let served: Value = talk(client(&system).get("/v1/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&atoll_vmm::control::document()).unwrap();
    assert_eq!(served, document);
}

#[test]
fn any_http_client_can_read_a_stream() {
    let system = System::start();
    system.journal.event(Some("kv"), EventKind::DomainPaused);
    let answer = raw(&system, "GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/x-ndjson\r\n"), "{answer}");
    assert!(answer.contains("\"domain\":\"kv\",\"kind\":\"domain-paused\"}\n"), "{answer}");
}

#[test]
fn kept_lines_are_streamed_by_domain_and_number() {
    let system = System::start();
    for n in 0..300 {
        let domain = if n % 3 == 0 { "echo" } else { "kv" };
        system.journal.log(domain, 1, Level::Info, format!("line {n}").as_bytes());
    }
    let collect = |target: &str| {
        let mut lines: Vec<LogLine> = Vec::new();
        let each = |line| {
            lines.push(line);
            ControlFlow::<()>::Continue(())
        };
        talk(client(&system).stream(target, each)).unwrap();
        lines
    };
    assert_eq!(collect("/v1/logs").len(), 300);
    let echo = collect("/v1/logs?domain=echo");
    assert_eq!(echo.len(), 100);
    assert!(echo.iter().zip(1..).all(|(line, n)| line.domain == "echo" && line.number == n));
    assert_eq!(collect("/v1/logs?since=298").len(), 2);
    let unknown = talk(
        client(&system).stream("/v1/logs?domain=x", |_: LogLine| ControlFlow::<()>::Continue(())),
    );
    assert_eq!(problem(unknown).status, 404);
}

#[test]
fn a_follower_sees_what_comes_and_then_the_end() {
    let mut system = System::start();
    system.journal.event(None, EventKind::SystemStarted);
    let journal = Arc::clone(&system.journal);
    let (client, mut seen) = (client(&system), Vec::new());
    let (first, arrived) = mpsc::channel();
    let follower = thread::spawn(move || {
        let each = |event: Event| {
            seen.push(event.kind);
            first.send(()).unwrap();
            ControlFlow::<()>::Continue(())
        };
        talk(client.stream("/v1/events?follow=true", each)).unwrap();
        seen
    });
    arrived.recv().unwrap();
    journal.event(Some("kv"), EventKind::DomainPaused);
    arrived.recv().unwrap();
    journal.event(None, EventKind::SystemStopping { reason: "test".into() });
    system.stop_serving();
    let kinds = follower.join().unwrap();
    assert_eq!(kinds.len(), 3, "what came just before the stop is delivered: {kinds:?}");
    assert!(!system.socket.exists());
}

/// Follows all log lines on a thread of its own; `each` gets their numbers and says when to end.
fn follow_lines(
    system: &System,
    mut each: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> thread::JoinHandle<()> {
    let client = client(system);
    thread::spawn(move || {
        let ended = client.stream("/v1/logs?follow=true", |line: LogLine| each(line.number));
        talk(ended).unwrap();
    })
}

#[test]
fn a_reader_that_stands_still_costs_no_memory_and_can_tell_what_it_missed() {
    const LINES: u64 = 6_000;
    let system = System::start();
    let (standing, stands) = mpsc::channel();
    let (go, going) = mpsc::channel::<()>();
    let (slow_sees, slow_saw) = mpsc::channel();
    let slow = follow_lines(&system, move |number| {
        slow_sees.send(number).unwrap();
        if number == 1 {
            standing.send(()).unwrap();
            going.recv().unwrap();
        }
        if number == LINES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let (quick_sees, quick_saw) = mpsc::channel();
    let quick = follow_lines(&system, move |number| {
        quick_sees.send(number).unwrap();
        if number == LINES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    system.journal.log("kv", 1, Level::Info, b"first");
    stands.recv().unwrap();
    // The other reader keeps up, so the server has had time to send every line to both.
    for number in 1..=LINES {
        if number > 1 {
            system.journal.log("kv", 1, Level::Info, &[b'x'; 4096]);
        }
        if number % 500 == 0 {
            quick_saw.iter().find(|&seen| seen == number).unwrap();
        }
    }
    quick.join().unwrap();
    go.send(()).unwrap();
    slow.join().unwrap();
    let numbers: Vec<_> = slow_saw.iter().collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert_eq!(numbers.last(), Some(&LINES));
    // What is kept, and what was on its way: a few batches and the socket's buffers.
    assert!(numbers.len() < 2_000 + 1_000, "{} lines were held for the reader", numbers.len());
}

#[test]
fn streams_are_bounded_and_given_back_when_their_readers_go() {
    let system = System::start();
    let open = || {
        let mut stream = UnixStream::connect(&system.socket).unwrap();
        stream.write_all(b"GET /v1/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (stream, String::from_utf8(status.to_vec()).unwrap())
    };
    let streams: Vec<_> = (0..64).map(|_| open()).collect();
    assert!(streams.iter().all(|(_, status)| status == "HTTP/1.1 200"));
    assert_eq!(open().1, "HTTP/1.1 503");
    drop(streams);
    let deadline = Instant::now() + Duration::from_secs(20);
    while open().1 != "HTTP/1.1 200" {
        assert!(Instant::now() < deadline, "no stream was given back");
    }
}

#[test]
fn a_stop_is_not_held_up_by_a_reader_that_stands_still() {
    let mut system = System::start();
    for _ in 0..2_000 {
        system.journal.log("kv", 1, Level::Info, &[b'x'; 4096]);
    }
    let mut stream = UnixStream::connect(&system.socket).unwrap();
    stream.write_all(b"GET /v1/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    let started = Instant::now();
    system.stop_serving();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!system.socket.exists());
}

#[test]
fn nobody_there_is_said_with_the_place() {
    let error = talk(Client::new(support::nowhere(), None).get::<Value>("/v1/system"));
    assert_eq!(
        error.unwrap_err().to_string(),
        "no system runs here (looked at /nonexistent/demo.sock); \
         start it with `vmm run SYSTEM.toml`"
    );
}
