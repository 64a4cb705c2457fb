//! The memory limit, the account behind it, and the bound on what sessions buffer.

use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::rig::Rig;
use crate::Options;

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

/// Everything that the database holds, as text.
pub fn picture(rig: &mut Rig) -> Vec<String> {
    rig.sorted("KEYS *")
        .into_iter()
        .map(|key| {
            let read = match &*rig.run(&format!("TYPE {key}")) {
                "+string" => format!("GET {key}"),
                "+list" => format!("LRANGE {key} 0 -1"),
                "+hash" => format!("HGETALL {key}"),
                _ => format!("SMEMBERS {key}"),
            };
            let ttl = rig.run(&format!("PTTL {key}"));
            format!("{key} {} {ttl}", rig.run(&read))
        })
        .collect()
}

#[test]
fn every_write_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut rig = Rig::with(6_000, Options::default());
    for words in ["SET s v EX 100", "RPUSH l a b", "HSET h f v", "SADD m a b", "SET n 5"] {
        rig.run(words);
    }
    let big = "x".repeat(6_000);
    let before = (picture(&mut rig), rig.db.used());
    for words in [
        "SET s {}",
        "SET new {}",
        "SET s {} GET",
        "SETNX {} v",
        "GETSET s {}",
        "SETEX s 5 {}",
        "APPEND s {}",
        "SETRANGE s 6000 v",
        "SETRANGE new 6000 v",
        "MSET a 1 s 2 b {}",
        "MSETNX a 1 b {}",
        "LPUSH l a {}",
        "RPUSH new a {}",
        "LSET l 0 {}",
        "HSET h f w g {}",
        "HSET new g {}",
        "HSETNX h g {}",
        "HINCRBY h {} 1",
        "SADD m c {}",
        "SADD new {}",
        "INCR {}",
        "RENAME s {}",
    ] {
        assert_eq!(rig.run(&words.replace("{}", &big)), OOM, "{words}");
        assert_eq!((picture(&mut rig), rig.db.used()), before, "{words}");
    }
    rig.check(&[("SADD m a", ":0"), ("INCR n", ":6"), ("DEL s", ":1"), ("SET s v", "+OK")]);
}

#[test]
fn the_limit_is_reached_and_never_passed() {
    let mut rig = Rig::with(100_000, Options::default());
    let mut stored = 0;
    while rig.run(&format!("SET key:{stored} {}", "v".repeat(50))) == "+OK" {
        stored += 1;
        assert!(rig.db.used() <= rig.db.limit());
    }
    assert!(rig.db.used() > 99_000 && stored > 400, "{stored} keys in {}", rig.db.used());
    assert_eq!(rig.run("GET key:0"), format!("$50 {}", "v".repeat(50)));
    rig.run("FLUSHALL");
    assert_eq!(rig.db.used(), 0);
}

#[test]
fn replies_that_do_not_fit_are_errors_and_take_nothing_out() {
    let mut rig = Rig::with(16 << 20, Options { buffers: 8_000, debug: false });
    for _ in 0..10 {
        rig.raw(&[b"RPUSH", b"l", &[b'x'; 700]]);
    }
    for n in 0..20 {
        rig.raw(&[b"SADD", b"s", format!("{n:0>700}").as_bytes()]);
    }
    for _ in 0..20 {
        rig.raw(&[b"APPEND", b"k", &[b'x'; 700]]);
    }
    for words in ["SPOP s 20", "GETDEL k", "GETSET k v", "SET k v GET", "SMEMBERS s"] {
        assert_eq!(rig.run(words), OOM, "{words}");
    }
    rig.check(&[("SCARD s", ":20"), ("STRLEN k", ":14000"), ("LLEN l", ":10")]);
    assert_eq!(rig.run("PING"), "+PONG");
    assert!(rig.run("LRANGE l 0 1").starts_with("*2 $700 "));
    assert_eq!(rig.db.buffered(), 0);
}

#[test]
fn a_request_that_does_not_fit_gets_an_error_in_its_turn() {
    let mut rig = Rig::with(16 << 20, Options { buffers: 8_000, debug: false });
    let mut replies = rig.bytes(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n");
    for _ in 0..20 {
        replies.extend(rig.bytes(&[b'v'; 1_000]));
        assert!(rig.db.buffered() <= 8_000);
    }
    replies.extend(rig.bytes(b"\r\nPING\r\n"));
    assert_eq!(replies, format!("+PONG\r\n{OOM}\r\n+PONG\r\n").as_bytes());
    assert_eq!(rig.run("EXISTS k"), ":0");
}

#[test]
fn a_shrunken_list_gives_its_memory_back() {
    let mut rig = Rig::new();
    for _ in 0..10_000 {
        rig.run("RPUSH l x");
    }
    let full = rig.db.used();
    rig.run("LTRIM l 0 9");
    assert!(rig.db.used() < full / 100, "{} of {full}", rig.db.used());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_account_never_drifts(
        limit in 500_usize..20_000,
        steps in prop::collection::vec((0_usize..26, 0_u8..6, 0_u8..6, 0_usize..200), 1..300),
    ) {
        const FORMS: [&str; 26] = [
            "SET {k} {v}", "SET {k} {v} PX 50", "APPEND {k} {v}", "SETRANGE {k} {n} {v}",
            "INCR {k}", "DEL {k}", "RENAME {k} {f}", "LPUSH {k} {v} {f}", "RPUSH {k} {v}",
            "LPOP {k}", "RPOP {k} 3", "LTRIM {k} 1 -2", "LREM {k} 0 {v}", "LSET {k} 0 {v}",
            "HSET {k} {f} {v}", "HDEL {k} {f}", "HINCRBY {k} {f} {n}", "SADD {k} {f} {v}",
            "SREM {k} {f}", "SPOP {k} 2", "MSET {k} {v} {f} {v}", "GETDEL {k}",
            "GETSET {k} {v}", "EXPIRE {k} {n}", "PERSIST {k}", "MSETNX {k} {v} {f} {v}",
        ];
        let mut rig = Rig::with(limit, Options::default());
        for (form, key, field, length) in steps {
            let words = FORMS[form]
                .replace("{k}", &format!("key{key}"))
                .replace("{f}", &format!("key{field}"))
                .replace("{n}", &format!("{length}"))
                .replace("{v}", &"v".repeat(length.max(1)));
            // Keys whose time is over go when they are met: here, not in the step.
            rig.run("EXISTS key0 key1 key2 key3 key4 key5");
            let before = rig.db.used();
            let reply = rig.run(&words);
            prop_assert!(rig.db.used() <= limit, "{}", words);
            if reply == OOM {
                prop_assert_eq!(rig.db.used(), before, "{}", words);
            }
            rig.env.now += 3;
            if form % 7 == 0 {
                rig.db.expire_some(rig.env.now, 2);
            }
        }
        prop_assert!(rig.db.volatile() <= rig.db.len());
        let keys = rig.sorted("KEYS *");
        for key in keys {
            rig.run(&format!("DEL {key}"));
        }
        rig.env.now += 1_000_000;
        rig.db.expire_some(rig.env.now, usize::MAX);
        prop_assert_eq!((rig.db.used(), rig.db.len(), rig.db.volatile()), (0, 0, 0));
    }

    #[test]
    fn sessions_pay_back_what_they_held(
        pieces in prop::collection::vec(0_usize..3_000, 0..12),
        buffers in 0_usize..20_000,
    ) {
        let mut rig = Rig::with(1 << 20, Options { buffers, debug: false });
        let value = vec![b'v'; 9_000];
        let stream = super::rig::request(&[b"ECHO", &value]).repeat(3);
        let mut rest = &stream[..];
        for piece in pieces {
            let piece = piece.min(rest.len());
            let used = rig.session.feed(&mut rig.db, &mut rig.env, &rest[..piece]);
            rest = &rest[used..];
            prop_assert!(rig.db.buffered() <= buffers);
        }
        let Rig { db, session, .. } = rig;
        drop(session);
        prop_assert_eq!(db.buffered(), 0);
    }
}
