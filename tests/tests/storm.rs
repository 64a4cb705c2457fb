//! Storms of kills and faults under load: every request has one definite outcome.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use atoll_tests::environment::{has_kvm, images, patience, rounds};
use atoll_tests::records::is_event;
use atoll_tests::resp::command;
use atoll_tests::{Reply, Resp, System, process, system};
use serde_json::Value;

#[test]
fn every_request_to_a_server_that_is_killed_all_the_time_has_one_outcome() {
    if !has_kvm() {
        return;
    }
    let mut storm = system::command();
    storm.args(["bench", "storm", "--seconds", "1", "--rounds", "2", "--json", "--images"]);
    let outcome = process::run(storm.arg(images()));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("the report is JSON");
    assert_eq!(report["failures"], serde_json::json!([]));
    let requests = &report["requests"];
    for none in ["closed", "lost", "doubled", "wrong"] {
        assert_eq!(requests[none], 0, "{none}: {requests}");
    }
    assert!(requests["good"].as_u64() > Some(0), "{requests}");
    let least = rounds(20, 1) as u64;
    assert!(report["kills"].as_u64() >= Some(least), "{} kills", report["kills"]);
}

/// Requests of one connection that are under way at a time.
const DEPTH: usize = 16;

/// kv, whose faults another domain decides, and echo, which has nothing to do with either.
fn with_a_supervisor_domain() -> String {
    format!(
        "name = \"three\"\n\
         [supervision]\nintensity = 100_000\nbailout-deadline = \"{} ms\"\n\
         [domains.bailout]\nimage = \"bailout\"\narguments = [\"limit=1000000\"]\n\
         [domains.echo]\nimage = \"echo\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\narguments = [\"debug=yes\"]\n\
         bailout = \"bailout:faults\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"kv:redis\"\n",
        patience().as_millis()
    )
}

/// Sends numbered requests, so many at a time, until it is told to end; each must have its own
/// reply, or the word that the server restarted. Returns how many of each there were.
fn load(mut kv: Resp, is_over: &AtomicBool) -> (usize, usize) {
    let (mut good, mut restarted) = (0, 0);
    while !is_over.load(Relaxed) {
        let first = good + restarted;
        let tokens = (first..first + DEPTH).map(|number| format!("request-{number}"));
        let tokens: Vec<_> = tokens.collect();
        let requests = tokens.iter().flat_map(|token| command(&format!("ECHO {token}")));
        assert!(kv.send(&requests.collect::<Vec<_>>()), "the connection outlives its server");
        for token in &tokens {
            match kv.reply().expect("the connection outlives its server") {
                reply if reply == Reply::bulk(token) => good += 1,
                reply if reply.is_restarted() => restarted += 1,
                reply => panic!("{token}: {reply:?}"),
            }
        }
    }
    assert!(kv.is_in_step("the end"), "no reply too many");
    (good, restarted)
}

#[test]
fn kills_and_faults_by_turns_disturb_neither_who_decides_nor_who_stands_by() {
    let Some(system) = System::start(&with_a_supervisor_domain()) else { return };
    let is_over = AtomicBool::new(false);
    let clients: Vec<_> = (0..4).map(|_| Resp::connect(&system.gateway("kv:redis"))).collect();
    let mut guilty = Resp::connect(&system.gateway("kv:redis"));
    let faults = rounds(100, 10);
    thread::scope(|scope| {
        let loads = clients.into_iter().map(|kv| scope.spawn(|| load(kv, &is_over)));
        let loads: Vec<_> = loads.collect();
        for _ in 0..faults {
            assert!(guilty.ask("DEBUG SEGFAULT").is_restarted());
            // What a kill ends may be suspended, or just beginning.
            system.http("POST", "/v1/domains/kv/kill");
            assert!(guilty.is_in_step("after a kill") || guilty.is_in_step("at last"));
        }
        is_over.store(true, Relaxed);
        for load in loads {
            let (good, _) = load.join().expect("a client judges each reply");
            assert!(good > 0);
        }
    });
    assert!(system.number("kv", "/faults") >= faults as u64);
    for calm in ["bailout", "echo"] {
        assert_eq!((system.state(calm).as_str(), system.epoch(calm)), ("running", 1), "{calm}");
    }
    let decided = system.records().all();
    let decided = decided.iter().filter(|record| is_event(record, "kv", "fault-decided"));
    assert!(decided.count() >= faults / 2, "who is to decide was asked");
}
