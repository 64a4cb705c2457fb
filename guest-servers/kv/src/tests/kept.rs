//! A database that a store keeps: whatever happens, what is loaded is what there was.

use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec::Vec;

use store::interface::Ailment;

use super::limits::picture;
use super::rig::Rig;
use super::shelf::Shelf;
use crate::LoadError;
use crate::journal::UNDER_WAY;

/// Requests in which `K`, `L` stand for keys, `v`, `w` for words, `N` for a small number, `T` for
/// a time that is soon over. Some of everything that changes anything.
pub const REQUESTS: &[&str] = &[
    "SET K v",
    "SET K N",
    "SET K v PX T",
    "SET K v KEEPTTL",
    "SET K v XX GET",
    "SETNX K v",
    "SETEX K 1 v",
    "PSETEX K T v",
    "GETSET K v",
    "GETDEL K",
    "GETEX K PX T",
    "GETEX K PERSIST",
    "APPEND K v",
    "APPEND K v",
    "SETRANGE K N v",
    "INCR K",
    "DECRBY K N",
    "MSET K v L w",
    "MSETNX K v L w",
    "DEL K",
    "UNLINK K L",
    "RENAME K L",
    "RENAMENX K L",
    "PEXPIRE K T",
    "EXPIRE K 1",
    "EXPIREAT K 1700000001",
    "PEXPIREAT K 5",
    "PERSIST K",
    "LPUSH K v w",
    "LPUSH K N",
    "RPUSH K v v w",
    "LPUSHX K v",
    "RPUSHX K w",
    "LPOP K",
    "LPOP K N",
    "RPOP K N",
    "LSET K N w",
    "LTRIM K 1 N",
    "LTRIM K 0 -2",
    "LREM K 1 v",
    "LREM K -1 w",
    "LREM K 0 v",
    "HSET K v w",
    "HSET K v w w v N v",
    "HMSET K N w v w",
    "HSETNX K v w",
    "HINCRBY K N 3",
    "HDEL K v",
    "HDEL K w N",
    "SADD K v",
    "SADD K v w N",
    "SREM K v",
    "SREM K w N",
    "SPOP K",
    "SPOP K N",
    "GET K",
    "FLUSHALL",
    "DBSIZE",
];

#[derive(Debug, Clone, Copy)]
enum Step {
    Request {
        which: usize,
        keys: [u8; 2],
        words: [u8; 2],
        number: u8,
    },
    Wait,
    Sweep,
    Commit,
    /// The end of an incarnation, in which everything is committed.
    Reload(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let request = (0..REQUESTS.len(), [0_u8..5, 0..5], [0_u8..8, 0..8], 0_u8..40);
    prop_oneof![
        40 => request.prop_map(|(which, keys, words, number)| {
            // Most runs should see keys live for longer.
            let which = if REQUESTS[which] == "FLUSHALL" && number > 4 { 0 } else { which };
            Step::Request { which, keys, words, number }
        }),
        2 => Just(Step::Wait),
        1 => Just(Step::Sweep),
        6 => Just(Step::Commit),
        2 => any::<usize>().prop_map(Step::Reload),
    ]
}

/// Short words and long ones, so that values cross the length from which on parts are written.
fn word(word: u8) -> String {
    match word {
        0..=4 => format!("word{word}"),
        5 => "x".repeat(300),
        6 => "y".repeat(900),
        _ => "z".repeat(3_000),
    }
}

pub fn spell(which: usize, keys: [u8; 2], words: [u8; 2], number: u8) -> Vec<String> {
    let spelled = REQUESTS[which].split(' ').map(|part| match part {
        "K" => format!("k{}", keys[0]),
        "L" => format!("k{}", keys[1]),
        "v" => word(words[0]),
        "w" => word(words[1]),
        "N" => format!("{}", number / 4),
        "T" => format!("{}", 1 + number),
        other => other.into(),
    });
    spelled.collect()
}

fn run(rig: &mut Rig, request: &[String]) -> Vec<u8> {
    let args: Vec<&[u8]> = request.iter().map(String::as_bytes).collect();
    rig.raw(&args)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Two databases get the same requests; one is kept, and loaded again and again. Nobody can
    /// tell which one.
    #[test]
    fn loaded_is_as_if_nothing_had_happened(steps in prop::collection::vec(step(), 1..250)) {
        let (mut plain, mut shelf) = (Rig::new(), Shelf::new());
        let mut kept = shelf.rig(0);
        for step in steps {
            match step {
                Step::Request { which, keys, words, number } => {
                    let request = spell(which, keys, words, number);
                    let expected = run(&mut plain, &request);
                    prop_assert_eq!(run(&mut kept, &request), expected, "{:?}", request);
                }
                Step::Wait => plain.env.now += 13,
                Step::Sweep => {
                    plain.db.expire_some(plain.env.now, 100);
                    kept.db.expire_some(kept.env.now, 100);
                }
                Step::Commit => {
                    shelf.commit(&mut kept);
                    prop_assert_eq!(shelf.chains.len(), kept.db.len());
                }
                Step::Reload(order) => {
                    shelf.commit(&mut kept);
                    let env = kept.env;
                    kept = shelf.rig(order);
                    kept.env = env;
                    prop_assert_eq!(kept.db.len(), plain.db.len());
                    prop_assert_eq!(picture(&mut kept), picture(&mut plain));
                }
            }
            kept.env.now = plain.env.now;
        }
        shelf.commit(&mut kept);
        prop_assert_eq!(picture(&mut shelf.rig(1)), picture(&mut shelf.rig(2)));
        let mut last = shelf.rig(3);
        last.env.now = plain.env.now;
        prop_assert_eq!(picture(&mut last), picture(&mut plain));
    }

    /// What a disk may hold instead of what was written is refused or taken, and nothing worse.
    #[test]
    fn nonsense_is_an_error_at_most(
        base in prop::collection::vec(any::<u8>(), 0..40),
        tag in 0_u8..16,
        amendment in prop::collection::vec(0_u8..20, 0..20),
    ) {
        let mut shelf = Shelf::new();
        shelf.chains.insert(b"k".to_vec(), std::vec![base.clone()]);
        let _ = shelf.load(0);
        let values = ["SET k v", "RPUSH k a b c", "HSET k f v g w", "SADD k m n"];
        for request in values {
            let mut shelf = Shelf::new();
            let mut rig = shelf.rig(0);
            rig.run(request);
            shelf.commit(&mut rig);
            let mut chain = shelf.chains[&b"k"[..]].clone();
            chain.push([&[0x10 | tag][..], &amendment].concat());
            shelf.chains.insert(b"k".to_vec(), chain);
            if let Ok(db) = shelf.load(0) {
                prop_assert_eq!(db.len(), 1);
                rig.db = db;
                picture(&mut rig);
            }
        }
    }
}

#[test]
fn a_part_of_a_large_value_costs_no_more_than_the_part() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    let big = "x".repeat(1 << 20);
    for words in ["SET s {}", "RPUSH l {} a b", "HSET h f {}", "SADD m {}"] {
        rig.run(&words.replace("{}", &big));
        assert!(shelf.commit(&mut rig) > 1 << 20);
    }
    for words in [
        "APPEND s y",
        "SETRANGE s 10 abc",
        "PEXPIRE s 100000",
        "RPUSH l c",
        "LPUSH l d",
        "LSET l 1 short",
        "RPOP l",
        "LREM l 1 a",
        "LTRIM l 0 5",
        "HSET h g v",
        "HINCRBY h n 5",
        "HDEL h g",
        "SADD m n",
        "SREM m n",
        "PERSIST s",
    ] {
        rig.run(words);
        let length = shelf.commit(&mut rig);
        assert!(length < 60, "{words}: {length} bytes");
    }
    assert_eq!(picture(&mut shelf.rig(1)), picture(&mut rig));
}

#[test]
fn a_key_that_changes_often_is_written_once() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    for n in 0..1_000 {
        rig.run("INCR n");
        rig.run(&format!("SET s {n}"));
        rig.run("RPUSH l x");
    }
    // The list is new, and so written as a whole, too.
    assert!(shelf.commit(&mut rig) < 2_200);
    assert_eq!(shelf.chains.len(), 3);
    (0..20).for_each(|_| drop(rig.run("APPEND s x")));
    assert!(shelf.commit(&mut rig) < 60);
}

#[test]
fn what_grows_in_a_batch_is_counted_before_it_is_written() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    let part = "x".repeat(10_000);
    let mut parts = 0;
    while !rig.db.is_sated() {
        rig.run(&format!("APPEND s {part}"));
        parts += 1;
    }
    assert!(parts <= 27, "{parts} parts");
    assert!(shelf.commit(&mut rig) >= parts * 10_000);
}

#[test]
fn changes_go_on_while_batches_are_under_way() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    rig.run("SET s 1");
    rig.run("RPUSH l a");
    rig.db.seal();
    rig.run("SET s 2");
    rig.run("RPUSH l b");
    rig.db.seal();
    assert!(!rig.db.has_changes() && rig.db.can_seal());
    rig.run("APPEND s 3");
    let numbers: Vec<_> = rig.db.batches().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2]);
    for value in ["1", "2"] {
        shelf.take(&mut rig);
        assert_eq!(shelf.rig(0).run("GET s"), format!("$1 {value}"));
    }
    assert!(rig.db.has_changes());
    shelf.commit(&mut rig);
    while rig.db.can_seal() {
        rig.run("INCR n");
        rig.db.seal();
    }
    assert_eq!(rig.db.under_way(), UNDER_WAY);
    for _ in 0..UNDER_WAY {
        shelf.take(&mut rig);
    }
    assert_eq!(picture(&mut shelf.rig(1)), picture(&mut rig));
}

#[test]
fn what_is_under_way_takes_room_and_is_waited_for_if_it_is_much() {
    let mut shelf = Shelf { room: 850_000, ..Shelf::new() };
    let mut rig = shelf.rig(0);
    let big = "x".repeat(200_000);
    for key in ["a", "b"] {
        assert_eq!(rig.run(&format!("SET {key} {big}")), "+OK");
        rig.db.seal();
    }
    assert!(rig.db.is_sated());
    assert_eq!(rig.run(&format!("SET c {big}")), "+OK");
    assert_eq!(rig.run(&format!("SET d {big}x")), FULL);
    shelf.take(&mut rig);
    assert!(!rig.db.is_sated());
    assert_eq!(rig.run(&format!("SET d {big}x")), "+OK");
}

#[test]
fn what_changes_nothing_is_not_written() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    for words in ["SET s v", "RPUSH l a b", "HSET h f v", "SADD m a"] {
        rig.run(words);
    }
    shelf.commit(&mut rig);
    for words in [
        "GET s",
        "SETNX s w",
        "PERSIST s",
        "DEL none",
        "LPOP none",
        "RPOP l 0",
        "LTRIM l 0 -1",
        "LREM l 0 z",
        "LPUSHX none a",
        "HDEL h g",
        "HSETNX h f w",
        "SADD m a",
        "SREM m b",
        "SPOP m 0",
        "EXPIRE none 5",
        "EXPIRE s 5 XX",
        "RENAME s s",
        "INCR l",
        "LSET l 9 x",
        "SETRANGE s 0 ",
        "MSETNX s 1 t 2",
        "RENAMENX s l",
        "INFO",
        "SAVE",
    ] {
        rig.run(words);
        assert!(!rig.db.has_changes(), "{words}");
    }
}

#[test]
fn a_chain_stays_as_short_as_its_value_lets_it() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    let word = "x".repeat(100);
    let mut longest = 0;
    for n in 0..3_000 {
        rig.run(&format!("LPUSH queue {word}"));
        if n > 10 {
            rig.run("RPOP queue");
        }
        rig.run(&format!("HSET counts f{} {n}", n % 3));
        rig.run(&format!("PEXPIRE other {}", 100_000 + n));
        rig.run("SETNX other x");
        shelf.commit(&mut rig);
        longest = longest
            .max(["queue", "counts", "other"].map(|k| shelf.length(k)).into_iter().max().unwrap());
    }
    assert!(longest < 14_000, "{longest} bytes");
    assert_eq!(picture(&mut shelf.rig(1)), picture(&mut rig));
}

#[test]
fn a_key_whose_time_is_over_does_not_come_back() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    rig.check(&[("SET a v PX 50", "+OK"), ("SET b v", "+OK"), ("PEXPIRE b 50", ":1")]);
    shelf.commit(&mut rig);
    assert_eq!(shelf.chains.len(), 2);
    let mut late = shelf.rig(1);
    late.env.now += 50;
    late.check(&[("GET a", "$-1"), ("EXISTS b", ":0"), ("DBSIZE", ":0")]);
    // That they are gone is told to the store, too.
    shelf.commit(&mut late);
    assert_eq!(shelf.chains.len(), 0);
}

const FULL: &str = "-ERR the store is full: its disk has no room for this write; delete keys, or give it a larger disk";

#[test]
fn a_full_store_takes_no_writes_but_gives_up_what_it_has() {
    let mut shelf = Shelf { room: 200_000, ..Shelf::new() };
    let mut rig = shelf.rig(0);
    let half = "x".repeat(100_000);
    assert_eq!(rig.run(&format!("SET a {half}")), "+OK");
    assert_eq!(rig.run("RPUSH l a b c"), ":3");
    assert_eq!(rig.run(&format!("SET b {half}")), FULL);
    shelf.room = 60_000;
    shelf.commit(&mut rig);
    for words in ["SET a v", "MSET a 1 b 2", "INCR n", "RENAME a b", "HSET h f v", "SETRANGE z 9 x"]
    {
        assert_eq!(rig.run(words), FULL, "{words}");
    }
    // Little by little, until there is no room even for that; whole keys always.
    rig.check(&[("LPOP l", "$1 a"), ("EXPIRE l 100", ":1"), ("STRLEN a", ":100000")]);
    shelf.room = 0;
    shelf.commit(&mut rig);
    assert_eq!(rig.run("LPOP l"), FULL);
    assert_eq!(rig.run("GET b"), "$-1");
    assert_eq!(rig.run("DEL a"), ":1");
    shelf.room = 200_000;
    shelf.commit(&mut rig);
    assert_eq!(rig.run("SET a v"), "+OK");
    shelf.commit(&mut rig);
    assert_eq!(picture(&mut shelf.rig(1)), picture(&mut rig));
}

#[test]
fn what_the_store_refuses_is_undone_and_its_clients_are_told() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    rig.check(&[("SET a old", "+OK"), ("SET brief v PX 10", "+OK")]);
    shelf.commit(&mut rig);
    let before = picture(&mut rig);
    // One reply is from before and not taken yet; three are not to be believed.
    let feed = |rig: &mut Rig, input: &[u8]| rig.session.feed(&mut rig.db, &mut rig.env, input);
    feed(&mut rig, b"PING\r\n");
    rig.session.advance(3);
    let input = b"SET a new\r\nGET a\r\nFOO\r\nSET unfin";
    assert_eq!(feed(&mut rig, input), input.len());
    rig.db.undo();
    shelf.fill(&mut rig.db, 0);
    rig.db.doubt();
    rig.session.revoke("ERR undone");
    assert_eq!(rig.session.output(), b"NG\r\n-ERR undone\r\n-ERR undone\r\n-ERR undone\r\n");
    rig.session.advance(100);
    // Nothing is believed to fit, and what expires is not told; what takes out may go on.
    assert_eq!(rig.bytes(b"ished v\r\n"), [FULL.as_bytes(), b"\r\n"].concat());
    assert_eq!(picture(&mut rig), before);
    rig.env.now += 10;
    rig.check(&[
        ("SET a new", FULL),
        ("LPOP l", FULL),
        ("EXISTS brief", ":0"),
        ("GET a", "$3 old"),
    ]);
    assert!(!rig.db.has_changes());
    rig.check(&[("DEL a", ":1")]);
    shelf.commit(&mut rig);
    rig.check(&[("SET a new", "+OK")]);
    rig.db.doubt();
    rig.check(&[("SET b new", FULL)]);
    rig.db.believe(1 << 30);
    rig.check(&[("SET b new", "+OK")]);
    assert_eq!(rig.db.len(), 2);
}

#[test]
fn a_store_that_ails_is_read_only_and_says_why() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    rig.run("SET s v");
    rig.run("SET brief v PX 10");
    shelf.commit(&mut rig);
    for (ailment, word) in [(Ailment::Failed, "failed"), (Ailment::ReadOnly, "only be read")] {
        let shelf = Shelf { ailment: Some(ailment), ..shelf.clone() };
        let mut rig = shelf.rig(0);
        rig.env.now += 10;
        for words in ["SET s w", "DEL s", "FLUSHALL", "LPOP l", "EXPIRE s 5", "GETEX s EX 1"] {
            let reply = rig.run(words);
            assert!(reply.starts_with("-MISCONF ") && reply.contains(word), "{words}: {reply}");
        }
        rig.check(&[("GET s", "$1 v"), ("GET brief", "$-1"), ("EXISTS s", ":1")]);
        assert!(!rig.db.has_changes());
    }
}

#[test]
fn a_write_that_no_batch_holds_is_refused_whole() {
    let shelf = Shelf { largest: 300_000, ..Shelf::new() };
    let mut rig = shelf.rig(0);
    let big = "x".repeat(200_000);
    assert_eq!(
        rig.run(&format!("MSET a {big} b {big}")).get(..26),
        Some("-ERR the write is too long")
    );
    assert_eq!(rig.run("SETRANGE a 400000 x").get(..26), Some("-ERR the write is too long"));
    assert!(!rig.db.has_changes());
    rig.check(&[("DBSIZE", ":0"), ("SET a v", "+OK")]);
    assert_eq!(rig.run(&format!("SET b {big}")), "+OK");
    // Not in the same batch, but in the next one.
    let mut shelf = shelf;
    shelf.commit(&mut rig);
    assert_eq!(rig.run(&format!("SET a {big}")), "+OK");
    shelf.commit(&mut rig);
    assert_eq!(shelf.length("a") + shelf.length("b"), 2 * 200_002);
}

#[test]
fn a_session_stops_for_a_batch_and_goes_on() {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    let mut input = Vec::new();
    for n in 0..100 {
        input.extend(format!("SET k{n} {}\r\n", "x".repeat(10_000)).into_bytes());
    }
    let (mut rest, mut batches) = (&input[..], 0);
    while !rest.is_empty() {
        let used = rig.session.feed(&mut rig.db, &mut rig.env, rest);
        assert!(used > 0);
        rest = &rest[used..];
        assert!(shelf.commit(&mut rig) < 300_000);
        batches += 1;
    }
    assert!(batches > 3);
    assert_eq!(shelf.chains.len(), 100);
}

#[test]
fn saving_is_granted_to_who_is_kept() {
    let mut plain = Rig::new();
    for words in ["SAVE", "BGSAVE", "LASTSAVE", "BGREWRITEAOF"] {
        assert!(plain.run(words).starts_with("-ERR nothing is saved here: "), "{words}");
    }
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    rig.run("SET s v");
    rig.env.now += 7_500;
    shelf.commit(&mut rig);
    rig.check(&[
        ("SAVE", "+OK"),
        ("LASTSAVE", ":1700000007"),
        ("BGSAVE SOON", "-ERR syntax error"),
    ]);
    assert!(rig.run("BGSAVE SCHEDULE").starts_with("+Background saving"));
    assert!(rig.run("CONFIG GET appendonly").ends_with("$3 yes"));
    assert!(plain.run("CONFIG GET appendonly").ends_with("$2 no"));
}

#[test]
fn figures_of_the_store_are_told() {
    let mut shelf = Shelf { room: 1_000_000, ..Shelf::new() };
    let mut rig = shelf.rig(0);
    rig.run("SET s v");
    rig.env.now += 2_000;
    shelf.commit(&mut rig);
    let text = rig.run("INFO persistence");
    for line in [
        "aof_enabled:1",
        "aof_last_write_status:ok",
        "rdb_last_save_time:1700000002",
        "atoll_store_batch:1",
        "atoll_store_room:1000000",
        "atoll_store_ailment:none",
        "atoll_store_log_bytes:4000",
        "atoll_store_live_bytes:3000",
    ] {
        assert!(text.split(' ').any(|each| each == line), "{line} in {text}");
    }
    let text = Rig::new().run("INFO persistence");
    assert!(text.contains("aof_enabled:0") && !text.contains("atoll_store"), "{text}");
}

#[test]
fn what_another_version_wrote_is_not_guessed_at() {
    let mut shelf = Shelf::new();
    shelf.chains.insert(b"k".to_vec(), std::vec![std::vec![0x21, 0, b'v']]);
    assert_eq!(shelf.load(0).unwrap_err(), LoadError::Version(2));
    shelf.chains.insert(b"k".to_vec(), std::vec![std::vec![0x12, 0]]);
    assert_eq!(shelf.load(0).unwrap_err(), LoadError::Malformed);
}
