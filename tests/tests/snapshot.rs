//! Snapshots: a system goes on elsewhere from where it was, and the one that was snapshotted does
//! not mind.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::snapshots::{CHAIN, CRASH, crashme, restore, scratch, snap, text};
use atoll_tests::{Lines, Place, Reply, Resp, System};
use serde_json::Value;

const REDIS: &str = "kv:redis";

fn kv(keys: &str) -> String {
    format!(
        "name = \"snapped\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\narguments = [\"debug=yes\"]\n{keys}\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{REDIS}\"\n"
    )
}

fn number(reply: &Reply) -> i64 {
    match reply {
        Reply::Integer(number) => *number,
        other => panic!("{other:?} is no number"),
    }
}

#[test]
fn kv_goes_on_elsewhere_with_its_data_and_the_first_one_does_not_mind() {
    let Some(system) = System::start(&kv("")) else { return };
    let (_dir, path) = scratch();
    let mut client = Resp::connect(&system.gateway(REDIS));
    let mut idle = Resp::connect(&system.gateway(REDIS));
    for n in 0..500 {
        assert_eq!(client.ask(&format!("SET key:{n} value:{n}")), Reply::Simple("OK".into()));
    }
    client.ask("SET brief soon PX 1");
    client.ask("SET lasting later EX 1000");
    // Half a request: its connection will not be there.
    idle.send(b"*3\r\n$3\r\nSET\r\n$3\r\nodd\r\n");
    let mark = system.records().mark();
    let said = snap(&system, &path);
    let event = system.records().after(mark, "the event", |r| r["kind"] == "snapshot-taken");
    assert_eq!((&event["bytes"], &event["domains"]), (&said["bytes"], &Value::from(1)));
    assert_eq!(system.epoch("kv"), 1);
    idle.send(b"$4\r\nhalf\r\n");
    assert_eq!(idle.reply(), Some(Reply::Simple("OK".into())), "its connection lives on");
    assert_eq!(client.ask("SET key:0 changed"), Reply::Simple("OK".into()));
    assert_eq!(client.ask("GET key:499"), Reply::bulk("value:499"));

    let other = restore(&path);
    let report = other.inspect("kv");
    assert_eq!((&report["epoch"], &report["restarts"]), (&Value::from(2), &Value::from(0)));
    assert_eq!(report["restored"]["epoch"], 1);
    assert_eq!(report["restored"]["file"], text(&path));
    let mut there = Resp::connect(&other.gateway(REDIS));
    for n in 0..500 {
        assert_eq!(there.ask(&format!("GET key:{n}")), Reply::bulk(format!("value:{n}")));
    }
    assert_eq!(there.ask("GET brief"), Reply::Bulk(None), "its time has passed");
    assert_eq!(there.ask("GET odd"), Reply::Bulk(None), "that was not whole");
    let left = number(&there.ask("TTL lasting"));
    assert!((900..=1000).contains(&left), "{left} s");
    let same = number(&there.ask("PEXPIRETIME lasting"));
    assert_eq!(same, number(&client.ask("PEXPIRETIME lasting")));
    let time = |client: &mut Resp| match client.ask("TIME") {
        Reply::Array(Some(parts)) => format!("{:?}", parts[0]),
        other => panic!("{other:?} is no time"),
    };
    until("the same time on both", || (time(&mut there) == time(&mut client)).then_some(()));
    assert!(other.told(&["ps"]).contains("restored from"));
    assert!(other.told(&["inspect", "kv"]).contains("epoch 1 there"));
}

#[test]
fn two_that_go_on_from_one_file_do_not_draw_the_same_numbers() {
    let Some(system) = System::start(&kv("")) else { return };
    let (_dir, path) = scratch();
    let mut client = Resp::connect(&system.gateway(REDIS));
    for n in 0..500 {
        client.ask(&format!("SET key:{n} {n}"));
    }
    // It has drawn before, so that there is something that could be the same.
    client.ask("RANDOMKEY");
    snap(&system, &path);
    let draw = || {
        let system = restore(&path);
        let mut client = Resp::connect(&system.gateway(REDIS));
        (0..20).map(|_| format!("{:?}", client.ask("RANDOMKEY"))).collect::<Vec<_>>()
    };
    assert_ne!(draw(), draw());
}

#[test]
fn nothing_is_lost_under_load() {
    let Some(system) = System::start(&kv("")) else { return };
    let (dir, _) = scratch();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = system.gateway(REDIS);
    let shots: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Resp::connect(&address);
                    while !stop.load(SeqCst) {
                        assert!(number(&client.ask("INCR count")) > 0);
                        done.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let shots = (0..3).map(|shot| {
            let before = done.load(SeqCst);
            until("more requests", || (done.load(SeqCst) > before + 50).then_some(()));
            let path = dir.path().join(format!("{shot}.snap"));
            let least = done.load(SeqCst);
            snap(&system, &path);
            // Those that were under way may be counted and not answered.
            (path, least, done.load(SeqCst) + 4)
        });
        let shots = shots.collect();
        stop.store(true, SeqCst);
        clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        shots
    });
    let mut client = Resp::connect(&address);
    assert_eq!(client.ask("GET count"), Reply::bulk(done.load(SeqCst).to_string()));
    assert_eq!(system.inspect("kv")["faults"], 0);
    for (path, least, most) in shots {
        let other = restore(&path);
        let mut there = Resp::connect(&other.gateway(REDIS));
        let next = number(&there.ask("INCR count")) as u64 - 1;
        assert!((least..=most).contains(&next), "{least} <= {next} <= {most}");
    }
}

#[test]
fn faults_lead_back_to_where_it_was_restored() {
    let Some(system) = System::start(&kv("")) else { return };
    let (_dir, path) = scratch();
    Resp::connect(&system.gateway(REDIS)).ask("SET kept yes");
    snap(&system, &path);
    let other = restore(&path);
    let mut client = Resp::connect(&other.gateway(REDIS));
    for epoch in [3, 4] {
        assert_eq!(client.ask("GET kept"), Reply::bulk("yes"));
        assert_eq!(client.ask("SET lost yes"), Reply::Simple("OK".into()));
        let mark = other.records().mark();
        assert!(matches!(client.ask("DEBUG SEGFAULT"), Reply::Error(_)));
        assert_eq!(other.restarted_after(mark, "kv"), epoch);
        assert_eq!(client.ask("GET lost"), Reply::Bulk(None));
    }
    // And the one after that can be snapshotted again.
    assert_eq!(client.ask("SET again yes"), Reply::Simple("OK".into()));
    let (_dir, path) = scratch();
    assert_eq!(snap(&other, &path)["domains"][0]["epoch"], 4);
    let third = restore(&path);
    let mut client = Resp::connect(&third.gateway(REDIS));
    assert_eq!(client.ask("GET again"), Reply::bulk("yes"));
    assert_eq!(third.epoch("kv"), 5);
    // The snapshot did not change where the first one's restarts lead.
    let mut first = Resp::connect(&system.gateway(REDIS));
    assert!(matches!(first.ask("DEBUG SEGFAULT"), Reply::Error(_)));
    assert_eq!(first.ask("GET kept"), Reply::Bulk(None), "it goes back to where it was ready");
}

/// More than fits into the part of the heap that has small pages.
#[test]
fn what_lies_in_large_pages_goes_along_and_comes_back() {
    let Some(system) = System::start(&kv("")) else { return };
    let (_dir, path) = scratch();
    let mut client = Resp::connect(&system.gateway(REDIS));
    let value = |n: usize| format!("{n:03}").repeat(40_000);
    let all_are_there = |client: &mut Resp| {
        for n in 0..200 {
            assert_eq!(client.ask(&format!("GET key:{n}")), Reply::bulk(value(n)), "key {n}");
        }
        assert_eq!(client.ask("DBSIZE"), Reply::Integer(200));
    };
    for n in 0..200 {
        client.ask(&format!("SET key:{n} {}", value(n)));
    }
    snap(&system, &path);
    let other = restore(&path);
    for round in 0..3 {
        let mut there = Resp::connect(&other.gateway(REDIS));
        all_are_there(&mut there);
        for n in round..200 + round {
            there.ask(&format!("SET key:{} {}", n + 100, value(0)));
        }
        let mark = other.records().mark();
        assert!(matches!(there.ask("DEBUG SEGFAULT"), Reply::Error(_)));
        other.restarted_after(mark, "kv");
    }
    all_are_there(&mut client);
}

#[test]
fn a_restart_from_the_image_forgets_the_snapshot() {
    let Some(system) = System::start(&kv("restart-from = \"image\"")) else { return };
    let (_dir, path) = scratch();
    Resp::connect(&system.gateway(REDIS)).ask("SET kept yes");
    snap(&system, &path);
    let other = restore(&path);
    let mut client = Resp::connect(&other.gateway(REDIS));
    assert_eq!(client.ask("GET kept"), Reply::bulk("yes"));
    other.renew("kv", "kill");
    assert_eq!(client.ask("GET kept"), Reply::Bulk(None));
    assert_eq!(client.ask("SET kept again"), Reply::Simple("OK".into()));
}

#[test]
fn a_chain_is_cut_at_one_moment_under_load() {
    let Some(system) = System::start(CHAIN) else { return };
    let (_dir, path) = scratch();
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = system.gateway("front:lines");
    thread::scope(|scope| {
        for client in 0..3 {
            let (address, stop, served) = (&address, &stop, &served);
            scope.spawn(move || {
                let mut front = Lines::connect(address);
                for n in 0.. {
                    if stop.load(SeqCst) {
                        return;
                    }
                    let line = format!("call {client} {n}");
                    assert_eq!(front.ask(&line), line);
                    assert_eq!(front.ask("send and go on"), "sent");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        until("some calls", || (served.load(SeqCst) > 20).then_some(()));
        let said = snap(&system, &path);
        assert_eq!(said["domains"].as_array().map(Vec::len), Some(3));
        let before = served.load(SeqCst);
        until("more calls", || (served.load(SeqCst) > before + 20).then_some(()));
        stop.store(true, SeqCst);
    });
    let other = restore(&path);
    let mut front = Lines::connect(&other.gateway("front:lines"));
    for n in 0..50 {
        assert_eq!(front.ask(&format!("there {n}")), format!("there {n}"));
    }
    assert_eq!(front.ask("epoch"), "2");
    for domain in ["front", "relay", "echo"] {
        assert_eq!(other.epoch(domain), 2);
        other.renew(domain, "kill");
    }
    until("an answer after the kills", || (front.ask("again") == "again").then_some(()));
}

#[test]
fn one_domain_of_a_chain_goes_on_among_others_that_begin() {
    let Some(system) = System::start(CHAIN) else { return };
    let (_dir, path) = scratch();
    let mut front = Lines::connect(&system.gateway("front:lines"));
    assert_eq!(front.ask("before"), "before");
    let said = system.json(&["snapshot", "relay", text(&path)]);
    assert_eq!(
        (&said["whole_system"], &said["domains"][0]["name"]),
        (&false.into(), &"relay".into())
    );
    assert_eq!(front.ask("after"), "after");
    let other = System::start_at(Place::new(CHAIN).from_snapshot(&path));
    let epochs = ["front", "relay", "echo"].map(|domain| other.epoch(domain));
    assert_eq!(epochs, [1, 2, 1]);
    let mut front = Lines::connect(&other.gateway("front:lines"));
    assert_eq!(front.ask("there"), "there");
}

#[test]
fn one_that_does_not_come_to_rest_is_named_and_goes_on() {
    let Some(system) = System::start(&crashme("")) else { return };
    let (_dir, path) = scratch();
    let mut client = Lines::connect(&system.gateway(CRASH));
    assert_eq!(client.ask("count"), "1");
    Lines::connect(&system.gateway(CRASH)).tell("loop");
    until("a request in service", || {
        (system.number("crashme", "/channels/0/in_service_bytes") > 0).then_some(())
    });
    let outcome = system.vmm(&["snapshot", "--deadline", "100 ms", text(&path)]);
    assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("crashme did not come to rest in 100 ms"),
        "{}",
        outcome.stderr
    );
    assert_eq!(path.parent().map(|dir| fs::read_dir(dir).unwrap().count()), Some(0));
    assert_eq!((system.state("crashme"), system.epoch("crashme")), ("running".into(), 1));
    system.renew("crashme", "kill");
    snap(&system, &path);
    assert_eq!(client.ask("ping"), "pong");
}

#[test]
fn one_that_never_sleeps_comes_to_rest_too() {
    let Some(system) = System::start(&crashme("wait = \"polling\"")) else { return };
    let (_dir, path) = scratch();
    let mut client = Lines::connect(&system.gateway(CRASH));
    assert_eq!(client.ask("count"), "1");
    snap(&system, &path);
    assert_eq!(client.ask("count"), "2");
    let other = restore(&path);
    assert_eq!(Lines::connect(&other.gateway(CRASH)).ask("count"), "2");
}

#[test]
fn snapshots_and_kills_cross_and_leave_nobody_standing_still() {
    let Some(system) = System::start(CHAIN) else { return };
    let (dir, _) = scratch();
    let (address, stop) = (system.gateway("front:lines"), AtomicBool::new(false));
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            for domain in ["front", "relay", "echo"].into_iter().cycle() {
                if stop.load(SeqCst) {
                    return;
                }
                system.renew(domain, "kill");
            }
        });
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                // Any answer will do, also that its server died.
                Lines::connect(&address).ask("call");
            }
        });
        let shots = (0..rounds(20, 5)).filter_map(|shot| {
            let path = dir.path().join(format!("{shot}.snap"));
            let outcome = system.vmm(&["snapshot", text(&path)]);
            match outcome.code {
                Some(0) => Some(path),
                Some(7) if outcome.stderr.contains("try again") => None,
                _ => panic!("{}", outcome.stderr),
            }
        });
        let taken: Vec<_> = shots.collect();
        stop.store(true, SeqCst);
        taken
    });
    let mut front = Lines::connect(&address);
    until("an answer after the kills", || (front.ask("again") == "again").then_some(()));
    for path in taken.into_iter().take(3) {
        let other = restore(&path);
        assert_eq!(Lines::connect(&other.gateway("front:lines")).ask("there"), "there");
    }
}

#[test]
fn what_cannot_be_snapshotted_says_why() {
    let Some(system) = System::start(&crashme("vcpus = 2")) else { return };
    let (_dir, path) = scratch();
    let says = |arguments: &[&str], code| {
        let outcome = system.vmm(arguments);
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        outcome.stderr
    };
    let many = says(&["snapshot", "crashme", text(&path)], 7);
    assert!(
        many.contains("crashme has 2 vCPUs") && many.contains("only domains with one"),
        "{many}"
    );
    let unknown = says(&["snapshot", "crashmee", text(&path)], 7);
    assert!(unknown.contains("did you mean `crashme`?"), "{unknown}");
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    let there = says(&["snapshot", text(&path)], 5);
    assert!(there.contains("x.snap") && there.contains("--force"), "{there}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    drop(system);
    let Some(system) = System::start(&crashme("")) else { return };
    system.order("crashme", "pause");
    until("the pause", || (system.state("crashme") == "paused").then_some(()));
    let outcome = system.vmm(&["snapshot", "--force", text(&path)]);
    assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("`vmm resume`"), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    system.order("crashme", "resume");
    system.told(&["snapshot", "--force", text(&path)]);
    assert!(fs::metadata(&path).unwrap().len() > 4096);
}
