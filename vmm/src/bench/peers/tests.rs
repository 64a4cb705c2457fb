//! The program of peers, played by small shell scripts.

use std::fs;
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::bench::fixture::{case, script};
use crate::bench::wire::Suite;

fn peers(path: &Path, patience: Duration) -> Result<Peers, PeerError> {
    Peers::with_patience(path, Some(7), patience)
}

fn pipe() -> Case {
    case(Suite::OneWay, "pipe", 64)
}

fn measured(run: &str) -> (Result<Sample, MeasureError>, TempDir) {
    let (dir, path) = script(run);
    let mut peers = peers(&path, PATIENCE).unwrap();
    (peers.measure(&pipe()), dir)
}

fn failure(run: &str) -> String {
    let (result, dir) = measured(run);
    let text = result.unwrap_err().to_string();
    text.replace(dir.path().to_str().unwrap(), "")
}

#[test]
fn a_program_says_what_it_can_and_then_does_it_one_case_a_line() {
    let run = "while read line; do echo $* \"$line\" >>asked; echo '{\"rate\": 2.5}'; done";
    let (dir, path) = script(run);
    let mut peers = peers(&path, PATIENCE).unwrap();
    assert_eq!(peers.cases(), [pipe()]);
    for _ in 0..2 {
        assert_eq!(peers.measure(&pipe()).unwrap(), Sample::Rate(2.5));
    }
    let asked = fs::read_to_string(dir.path().join("asked")).unwrap();
    let question = serde_json::to_string(&pipe()).unwrap();
    assert_eq!(asked, format!("run --milliseconds 7 {question}\n").repeat(2));
}

#[test]
fn what_a_peer_says_of_its_failure_is_passed_on() {
    assert_eq!(failure("read line; echo '{\"failed\": \"no pipe\"}'"), "no pipe");
}

#[test]
fn a_program_that_ends_or_talks_nonsense_is_told_of() {
    assert_eq!(failure("read line; exit 3"), "`/peers` ended without an answer (exit status: 3)");
    assert_eq!(failure("exit 4"), "`/peers` ended without an answer (exit status: 4)");
    let error = failure("read line; echo hello; read line");
    assert!(error.starts_with("`/peers` answered `hello`: expected value"), "{error}");
}

#[test]
fn one_that_closes_its_output_and_lingers_is_ended() {
    let error = failure("exec >&-; while :; do read line || exec tail -f /dev/null; done");
    assert_eq!(error, "`/peers` ended without an answer (signal: 9 (SIGKILL))");
}

#[test]
fn one_that_hangs_is_ended_with_its_children_and_the_next_case_gets_a_new_one() {
    let run = "read line; [ -e first ] && { echo '{\"rate\": 1}'; read line; exit; }
               tail -f /dev/null & echo $! >child.new; mv child.new first; read line; wait";
    let (dir, path) = script(run);
    let mut peers = peers(&path, Duration::from_secs(2)).unwrap();
    let error = peers.measure(&pipe()).unwrap_err();
    assert!(error.to_string().ends_with("did not answer within 2 s, and was ended"), "{error}");
    let child = fs::read_to_string(dir.path().join("first")).unwrap();
    assert!(gone(child.trim()), "child {child} outlived the deadline");
    assert_eq!(peers.measure(&pipe()).unwrap(), Sample::Rate(1.0));
}

/// Whether a process has ended within some seconds: it is a zombie until its new parent sees it.
fn gone(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => std::thread::yield_now(),
            _ => return true,
        }
    }
    false
}

#[test]
fn a_program_that_is_not_there_or_lists_nothing_sensible_is_refused_at_once() {
    let error = |path: &Path| peers(path, PATIENCE).unwrap_err().to_string();
    assert_eq!(
        error(Path::new("/nowhere/peers")),
        "cannot start `/nowhere/peers`: No such file or directory (os error 2); check --peers"
    );
    assert_eq!(
        error(Path::new("/bin/false")),
        "`/bin/false` ended without an answer (exit status: 1)"
    );
    let echo = error(Path::new("/bin/echo"));
    assert!(echo.starts_with("`/bin/echo` answered `list`: "), "{echo}");
}

#[test]
fn it_dies_with_whoever_started_it() {
    let (_dir, path) = script("trap '' HUP; while read line; do echo '{\"rate\": 1}'; done");
    let starter = std::thread::spawn(move || {
        let mut peers = peers(&path, PATIENCE).unwrap();
        assert_eq!(peers.measure(&pipe()).unwrap(), Sample::Rate(1.0));
        peers
    });
    // Its pipes are still open here: that the starter is gone is all that it can learn.
    let peers = starter.join().unwrap();
    let child = peers.running.as_ref().unwrap().child.id();
    assert!(gone(&child.to_string()), "child {child} outlived the thread that started it");
}
