//! kv with a state region: its keys are there after every end that is not within a change of them.

use std::collections::HashMap;

use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::resp::command;
use atoll_tests::{Reply, Resp, System};

const PORT: &str = "kv:redis";

fn start(keys: &str) -> Option<System> {
    System::start(&format!(
        "name = \"kv\"\n[supervision]\nintensity = 100_000\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"32 MiB\"\nstate = \"16 MiB\"\n\
         arguments = [\"debug=yes\"]\n{keys}\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{PORT}\"\n"
    ))
}

fn client(system: &System) -> Resp {
    Resp::connect(&system.gateway(PORT))
}

fn killed(system: &System) {
    let mark = system.records().mark();
    system.told(&["kill", "kv"]);
    system.restarted_after(mark, "kv");
}

/// Values of all types, and one with a deadline.
fn fill(kv: &mut Resp) {
    for number in 0..2000 {
        assert_eq!(kv.ask(&format!("SET key-{number} value-{number}")), Reply::ok());
    }
    for request in ["RPUSH list a b c", "HSET hash field value", "SADD set x y z"] {
        assert!(matches!(kv.ask(request), Reply::Integer(_)), "{request}");
    }
    assert_eq!(kv.ask("SET brief 1 EX 1000"), Reply::ok());
}

fn is_full(kv: &mut Resp, when: &str) {
    assert_eq!(kv.ask("DBSIZE"), Reply::Integer(2004), "{when}");
    for number in (0..2000).step_by(97) {
        let value = format!("value-{number}");
        assert_eq!(kv.ask(&format!("GET key-{number}")), Reply::bulk(value), "{when}");
    }
    let list = ["a", "b", "c"].map(Reply::bulk).to_vec();
    assert_eq!(kv.ask("LRANGE list 0 -1"), Reply::Array(Some(list)), "{when}");
    assert_eq!(kv.ask("HGET hash field"), Reply::bulk("value"), "{when}");
    assert_eq!(kv.ask("SCARD set"), Reply::Integer(3), "{when}");
    let Reply::Integer(left) = kv.ask("TTL brief") else { panic!("{when}: no time is left") };
    assert!((900..=1000).contains(&left), "{when}: {left} s");
}

fn keeps_its_keys(system: &System) {
    let mut kv = client(system);
    fill(&mut kv);
    for fault in ["SEGFAULT", "PANIC", "STACKOVERFLOW", "UD2", "DIVZERO"] {
        let mark = system.records().mark();
        assert!(client(system).ask(&format!("DEBUG {fault}")).is_restarted());
        system.restarted_after(mark, "kv");
        is_full(&mut kv, fault);
    }
    killed(system);
    is_full(&mut kv, "a kill");
    let mark = system.records().mark();
    system.told(&["restart", "kv"]);
    system.restarted_after(mark, "kv");
    is_full(&mut kv, "a restart");
    assert_eq!(kv.ask("DEL key-0"), Reply::Integer(1));
    assert_eq!(kv.ask("APPEND key-1 !"), Reply::Integer(8));
    killed(system);
    assert_eq!(kv.ask("DBSIZE"), Reply::Integer(2003));
    assert_eq!(kv.ask("GET key-1"), Reply::bulk("value-1!"));
}

#[test]
fn keys_survive_faults_kills_and_restarts() {
    let Some(system) = start("") else { return };
    keeps_its_keys(&system);
}

#[test]
fn keys_survive_restarts_from_the_image() {
    let Some(system) = start("restart-from = \"image\"") else { return };
    keeps_its_keys(&system);
}

#[test]
fn sessions_that_die_take_no_room_among_the_keys() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    assert_eq!(kv.ask(&format!("SET long {}", "x".repeat(50_000))), Reply::ok());
    killed(&system);
    let used = || system.number("kv", "/state_region/populated_bytes");
    let mut before = 0;
    for round in 0..10 {
        // Replies and the beginning of a request, in the hands of a server that is about to die.
        let mut others: Vec<_> = (0..20).map(|_| client(&system)).collect();
        for other in &mut others {
            assert_eq!(other.ask("GET long").text().len(), 50_000);
            assert!(other.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$40000\r\nxxxx"));
        }
        assert_eq!(kv.ask("PING"), Reply::Simple("PONG".into()));
        killed(&system);
        assert_eq!(kv.ask("DBSIZE"), Reply::Integer(1));
        if round == 1 {
            before = used();
        }
    }
    assert_eq!(used(), before, "each of ten lives has used the same memory");
}

#[test]
fn an_operator_can_make_it_forget() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    fill(&mut kv);
    let mark = system.records().mark();
    system.told(&["reset-state", "kv"]);
    system.restarted_after(mark, "kv");
    assert_eq!(kv.ask("DBSIZE"), Reply::Integer(0));
    fill(&mut kv);
    killed(&system);
    is_full(&mut kv, "a kill after that");
}

#[test]
fn a_full_region_refuses_and_keeps_what_it_has() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let value = "v".repeat(100_000);
    let full = (0..).find(|number| kv.ask(&format!("SET big-{number} {value}")) != Reply::ok());
    let full = full.expect("there is an end to it");
    assert!((80..170).contains(&full), "{full} values of 100 kB in 16 MiB");
    killed(&system);
    assert_eq!(kv.ask("DBSIZE"), Reply::Integer(full));
    assert!(kv.ask(&format!("SET more {value}")).is_error("OOM"));
    assert_eq!(kv.ask("DEL big-0"), Reply::Integer(1));
    assert_eq!(kv.ask(&format!("SET more {value}")), Reply::ok());
}

/// Kills while many writes are under way. Each key has the last value that was acknowledged, or one
/// that was sent after it; if the server died within a change, all are gone, and it says so.
#[test]
fn what_was_acknowledged_is_kept_or_all_is_said_to_be_lost() {
    let Some(system) = start("") else { return };
    let mut last: HashMap<usize, u64> = HashMap::new();
    let (mut sent, mut kept) = (0u64, 0);
    for _ in 0..rounds(40, 6) {
        let mut kv = client(&system);
        let first = sent;
        let requests = (0..200).flat_map(|number| {
            command(&format!("SET key-{} {}", number % 50, first + number as u64))
        });
        let requests: Vec<_> = requests.collect();
        sent += 200;
        let mark = system.records().mark();
        assert!(kv.send(&requests));
        system.told(&["kill", "kv"]);
        let mut acknowledged = HashMap::new();
        for number in 0..200 {
            match kv.reply().expect("the connection outlives its server") {
                reply if reply == Reply::ok() => {
                    acknowledged.insert(number % 50, first + number as u64);
                }
                reply => assert!(reply.is_restarted(), "{reply:?}"),
            }
        }
        system.restarted_after(mark, "kv");
        let is_lost = until("the word of what became of the keys", || {
            let records = system.records().all();
            let mut lines = records[mark..].iter().filter_map(|record| record["text"].as_str());
            let said = lines.find(|line| line.contains("were kept") || line.contains("are lost"));
            said.map(|line| line.contains("are lost"))
        });
        if is_lost {
            // What came after the restart is there all the same.
            last.clear();
            killed(&system);
            assert_eq!(kv.ask("FLUSHALL"), Reply::ok());
            continue;
        }
        kept += 1;
        last.extend(acknowledged);
        for (key, least) in &last {
            let value: u64 = kv.ask(&format!("GET key-{key}")).text().parse().unwrap();
            assert!(value >= *least && value < sent, "key-{key}: {value}, and {least} was kept");
            assert_eq!(value % 50, *key as u64);
        }
    }
    assert!(kept > 0, "not every kill comes within a change");
}
