//! The program as the VMM's benchmark drives it: a case a line in, an outcome a line out.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_atoll-peers");

/// What a round measures here: enough for a plausible figure, too little for a good one.
const MILLISECONDS: &str = "2";

/// A round that does not end while a test looks at it.
const LONG: &str = "30000";

/// How long anything else may take. It is less than a long round.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program at work, with a directory for what it leaves behind.
struct Peers {
    child: Child,
    cases: Option<ChildStdin>,
    outcomes: BufReader<ChildStdout>,
    temporary: tempfile::TempDir,
}

impl Peers {
    fn run(milliseconds: &str) -> Self {
        let temporary = tempfile::tempdir().expect("there is a place for temporary files");
        let mut child = Command::new(PROGRAM)
            .args(["run", "--milliseconds", milliseconds])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let cases = child.stdin.take();
        let outcomes = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, cases, outcomes, temporary }
    }

    fn ask(&mut self, line: &str) {
        let cases = self.cases.as_mut().expect("it has not been closed");
        writeln!(cases, "{line}").expect("the program reads");
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.outcomes.read_line(&mut line).expect("the program writes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
    }

    fn outcome_of(&mut self, case: &Value) -> Value {
        self.ask(&case.to_string());
        self.answer()
    }

    /// Ends it and checks that nothing is left of it.
    fn end(mut self) {
        drop(self.cases.take());
        assert!(self.child.wait().expect("it ends").success());
        assert_eq!(names(self.temporary.path()), [""; 0]);
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // Both fail only if it has ended as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn listed() -> Vec<Value> {
    let output = Command::new(PROGRAM).arg("list").output().expect("the program starts");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).expect("it is text");
    lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

fn case(subject: &str, suite: &str, wait: &str, cpus: &str) -> Value {
    listed()
        .into_iter()
        .find(|case| {
            case["subject"] == subject
                && case["suite"] == suite
                && case["wait"] == wait
                && case["cpus"] == cpus
        })
        .expect("it is listed")
}

/// Two sides that never sleep need two CPUs.
fn cpus_allowed() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Checks that an outcome could be true.
fn check_plausible(case: &Value, outcome: &Value) {
    if case["suite"] != "round-trip" {
        let rate = outcome["rate"].as_f64().unwrap_or_else(|| panic!("{case}: {outcome}"));
        // Nothing moves a message in less than a quarter of a nanosecond, or needs ten seconds.
        assert!((0.1..4e9).contains(&rate), "{case}: {rate} messages a second");
        return;
    }
    let text = outcome["times"].as_str().unwrap_or_else(|| panic!("{case}: {outcome}"));
    let bytes = STANDARD.decode(text).expect("it is base 64");
    let times: Histogram<u64> =
        Deserializer::new().deserialize(&mut bytes.as_slice()).expect("it is a histogram");
    let (least, most) = (times.min(), times.max());
    // Light needs longer than that to cross a board and return.
    assert!(!times.is_empty() && least >= 10, "{case}: {} times from {least} ns", times.len());
    assert!(most < PATIENCE.as_nanos() as u64, "{case}: {most} ns");
}

#[test]
fn every_listed_case_has_a_plausible_outcome() {
    let cases = listed();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    let mut peers = Peers::run(MILLISECONDS);
    for case in cases {
        let outcome = peers.outcome_of(&case);
        if case["cpus"] == "two" && cpus_allowed() < 2 {
            assert!(outcome["failed"].as_str().is_some_and(|why| why.contains("needs two CPUs")));
            continue;
        }
        check_plausible(&case, &outcome);
    }
    peers.end();
}

#[test]
fn what_cannot_be_measured_is_said_and_ends_nothing() {
    let mut peers = Peers::run(MILLISECONDS);
    let good = case("futex", "round-trip", "blocking", "one");
    let failure = |outcome: Value| outcome["failed"].as_str().unwrap_or_default().to_owned();

    let mut unknown = good.clone();
    unknown["subject"] = json!("carrier pigeon");
    let reason = failure(peers.outcome_of(&unknown));
    assert!(reason.contains("no subject \"carrier pigeon\""), "{reason}");

    let mut oversized = good.clone();
    oversized["size"] = json!(4096);
    let reason = failure(peers.outcome_of(&oversized));
    assert!(reason.contains("futex is not measured so"), "{reason}");

    for line in ["", "{}", "no JSON"] {
        peers.ask(line);
        let reason = failure(peers.answer());
        assert!(reason.starts_with("this line is no case"), "{line:?}: {reason}");
    }

    check_plausible(&good, &peers.outcome_of(&good));
    peers.end();
}

#[test]
fn a_side_that_dies_fails_its_round_and_no_other() {
    let mut peers = Peers::run(LONG);
    // Nothing tells the other side that its counters will stay as they are.
    let case = case("eventfd", "round-trip", "blocking", "one");
    peers.ask(&case.to_string());
    let [_, second] = sides_of(&peers.child);
    kill(second, Signal::SIGKILL).expect("it runs");
    let begun = Instant::now();
    let outcome = peers.answer();
    assert!(begun.elapsed() < PATIENCE);
    let reason = outcome["failed"].as_str().unwrap_or_default();
    assert!(reason.contains("its Second side ended with signal: 9"), "{outcome}");
    peers.end();
}

#[test]
fn the_sides_end_with_the_program_and_the_next_run_tidies_up() {
    let mut peers = Peers::run(LONG);
    peers.ask(&case("eventfd", "round-trip", "blocking", "one").to_string());
    sides_of(&peers.child);
    let mut complaints = peers.child.stderr.take().expect("it is piped");
    let begun = Instant::now();
    peers.child.kill().expect("it runs");
    // The sides hold the same pipe: it ends when the last of them does.
    complaints.read_to_end(&mut Vec::new()).expect("a pipe can be read");
    assert!(begun.elapsed() < PATIENCE, "a side outlived the program");

    let temporary = peers.temporary.path();
    assert_eq!(names(temporary).len(), 1);
    let next = Command::new(PROGRAM)
        .arg("run")
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .status()
        .expect("the program starts");
    assert!(next.success());
    assert_eq!(names(temporary), [""; 0]);
}

/// The two sides of the round that has been asked for, once there are two.
fn sides_of(program: &Child) -> [Pid; 2] {
    let id = program.id();
    let list = format!("/proc/{id}/task/{id}/children");
    let begun = Instant::now();
    loop {
        let children = fs::read_to_string(&list).expect("the kernel lists children");
        let children: Vec<_> =
            children.split_whitespace().map(|id| id.parse().map(Pid::from_raw)).collect();
        if let [Ok(first), Ok(second)] = children[..] {
            return [first, second];
        }
        assert!(begun.elapsed() < PATIENCE, "{} sides were started", children.len());
        thread::yield_now();
    }
}

#[test]
fn lives_are_asked_for_and_told_a_line_each() {
    let mut child = Command::new(PROGRAM)
        .arg("lives")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut questions = child.stdin.take().expect("it is piped");
    let mut answers = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut ask = |question: &str| -> Value {
        writeln!(questions, "{question}").expect("the program reads");
        let line = answers.next().expect("there is an answer").expect("it is text");
        serde_json::from_str(&line).expect("it is JSON")
    };
    let told = ask(r#"{"program":"tiny","way":"vfork","kills":2}"#);
    assert_eq!(told["times"]["restarts"].as_array().map(Vec::len), Some(2), "{told}");
    let refused = ask(r#"{"program":"huge"}"#);
    let reason = refused["failed"].as_str().expect("it says why");
    assert!(reason.starts_with("this line is no question"), "{reason}");
    drop(questions);
    assert!(child.wait().expect("it can be waited for").success());
}
