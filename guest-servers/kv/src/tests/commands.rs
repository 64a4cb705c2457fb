//! Each family of commands against what Redis documents.

use std::format;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::rig::{Rig, START};
use crate::{Crash, Options};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
const SYNTAX: &str = "-ERR syntax error";

#[test]
fn strings() {
    Rig::new().check(&[
        ("GET k", "$-1"),
        ("SET k v", "+OK"),
        ("get k", "$1 v"),
        ("SETNX k w", ":0"),
        ("SETNX n w", ":1"),
        ("GETSET k v2", "$1 v"),
        ("GETDEL k", "$2 v2"),
        ("GETDEL k", "$-1"),
        ("MSET a 1 b 2 a 3", "+OK"),
        ("MGET a nothing b", "*3 $1 3 $-1 $1 2"),
        ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX c 1 a 9", ":0"),
        ("EXISTS c", ":0"),
        ("MSETNX c 1 d 2", ":1"),
        ("APPEND s abc", ":3"),
        ("APPEND s def", ":6"),
        ("STRLEN s", ":6"),
        ("STRLEN nothing", ":0"),
        ("GETRANGE s 0 2", "$3 abc"),
        ("GETRANGE s -3 -1", "$3 def"),
        ("GETRANGE s 4 100", "$2 ef"),
        ("GETRANGE s -1 -3", "$0"),
        ("GETRANGE s 0 -100", "$1 a"),
        ("SETRANGE s 2 XY", ":6"),
        ("GET s", "$6 abXYef"),
        ("SETRANGE s -1 x", "-ERR offset is out of range"),
        ("SETRANGE s 8388608 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE z 3 x", ":4"),
        ("GET z", "$4 \0\0\0x"),
    ]);
}

#[test]
fn counters() {
    Rig::new().check(&[
        ("INCR n", ":1"),
        ("INCRBY n 41", ":42"),
        ("DECR n", ":41"),
        ("DECRBY n 50", ":-9"),
        ("GET n", "$2 -9"),
        ("INCRBY n x", NOT_INTEGER),
        ("SET n 9223372036854775807", "+OK"),
        ("INCR n", "-ERR increment or decrement would overflow"),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
        ("SET n 01", "+OK"),
        ("INCR n", NOT_INTEGER),
        ("RPUSH l x", ":1"),
        ("INCR l", WRONG_TYPE),
    ]);
}

#[test]
fn set_options() {
    let mut rig = Rig::new();
    rig.check(&[
        ("SET k v XX", "$-1"),
        ("SET k v NX", "+OK"),
        ("SET k w NX", "$-1"),
        ("SET k w XX GET", "$1 v"),
        ("SET k x NX GET", "$1 w"),
        ("SET new x GET", "$-1"),
        ("SET k v NX XX", SYNTAX),
        ("SET k v EX", SYNTAX),
        ("SET k v EX 5 PX 5", SYNTAX),
        ("SET k v EX 5 KEEPTTL", SYNTAX),
        ("SET k v WHAT", SYNTAX),
        ("SET k v EX x", NOT_INTEGER),
        ("SET k v EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
        ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
        ("SET k v EX 10", "+OK"),
        ("SET k w KEEPTTL", "+OK"),
        ("TTL k", ":10"),
        ("INCR n", ":1"),
        ("SET k w", "+OK"),
        ("TTL k", ":-1"),
        ("PSETEX k 1500 v", "+OK"),
        ("PTTL k", ":1500"),
        ("GETSET k v", "$1 v"),
        ("TTL k", ":-1"),
        ("RPUSH l x", ":1"),
        ("SET l v GET", WRONG_TYPE),
        ("SET l v", "+OK"),
    ]);
    let at = START / 1000 + 100;
    assert_eq!(rig.run(&format!("SET k v EXAT {at}")), "+OK");
    assert_eq!(rig.run("TTL k"), ":100");
    assert_eq!(rig.run(&format!("SET k v PXAT {}", START + 5)), "+OK");
    assert_eq!(rig.run("PTTL k"), ":5");
    rig.env.now += 5;
    assert_eq!(rig.run("GET k"), "$-1");
}

#[test]
fn deadlines() {
    let mut rig = Rig::new();
    rig.check(&[
        ("EXPIRE k 10", ":0"),
        ("TTL k", ":-2"),
        ("SET k v", "+OK"),
        ("TTL k", ":-1"),
        ("PERSIST k", ":0"),
        ("EXPIRE k 10", ":1"),
        ("EXPIRE k 5 GT", ":0"),
        ("EXPIRE k 5 NX", ":0"),
        ("EXPIRE k 5 LT", ":1"),
        ("EXPIRE k 9 XX", ":1"),
        ("PTTL k", ":9000"),
        (
            "EXPIRE k 9 NX XX",
            "-ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        ("EXPIRE k 9 GT LT", "-ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE k 9 WHAT", "-ERR Unsupported option WHAT"),
        ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("PERSIST k", ":1"),
        ("EXPIRE k 9 GT", ":0"),
        ("GETEX k EX 3", "$1 v"),
        ("TTL k", ":3"),
        ("GETEX k PERSIST", "$1 v"),
        ("TTL k", ":-1"),
        ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
        ("PEXPIRE k 250", ":1"),
        ("RENAME k k2", "+OK"),
        ("PTTL k2", ":250"),
        ("SET j v", "+OK"),
        ("EXPIRE j -1", ":1"),
        ("EXISTS j", ":0"),
    ]);
    assert_eq!(rig.run("PEXPIRETIME k2"), format!(":{}", START + 250));
    assert_eq!(rig.db.volatile(), 1);
    rig.env.now += 250;
    rig.check(&[("DBSIZE", ":1"), ("KEYS *", "*0"), ("EXISTS k2", ":0"), ("DBSIZE", ":0")]);
    assert_eq!(rig.db.volatile(), 0);
}

#[test]
fn expiry_without_access_is_bounded_and_complete() {
    let mut rig = Rig::new();
    for n in 0..1_000 {
        let expected = if n % 3 == 0 { "SET k{} v" } else { "SET k{} v PX 10" };
        rig.run(&expected.replace("{}", &n.to_string()));
    }
    assert_eq!(rig.db.expire_some(START, 5_000), 0);
    rig.env.now += 10;
    let mut steps = 0;
    while rig.db.volatile() > 0 {
        let before = rig.db.len();
        let dropped = rig.db.expire_some(rig.env.now, 100);
        assert!(dropped <= 100);
        assert_eq!(rig.db.len(), before - dropped);
        steps += 1;
    }
    assert_eq!(rig.db.len(), 334);
    assert!(steps <= 20, "{steps} steps");
    assert_eq!(rig.db.expire_some(rig.env.now, 100), 0);
}

#[test]
fn keys() {
    let mut rig = Rig::new();
    rig.check(&[
        ("MSET one 1 two 2 three 3", "+OK"),
        ("EXISTS one two one no", ":3"),
        ("TYPE one", "+string"),
        ("TYPE no", "+none"),
        ("DEL one no", ":1"),
        ("UNLINK two", ":1"),
        ("DBSIZE", ":1"),
        ("RANDOMKEY", "$5 three"),
        ("RENAME no x", "-ERR no such key"),
        ("RENAME three 3", "+OK"),
        ("RENAME 3 3", "+OK"),
        ("SET 4 four", "+OK"),
        ("RENAMENX 3 4", ":0"),
        ("RENAME 3 4", "+OK"),
        ("GET 4", "$1 3"),
        ("FLUSHALL WHAT", SYNTAX),
        ("FLUSHALL ASYNC", "+OK"),
        ("RANDOMKEY", "$-1"),
        ("DBSIZE", ":0"),
    ]);
    rig.run("MSET user:1 a user:2 b other c");
    assert_eq!(rig.sorted("KEYS user:?"), ["user:1", "user:2"]);
    assert_eq!(rig.sorted("KEYS *"), ["other", "user:1", "user:2"]);
}

#[test]
fn scans() {
    let mut rig = Rig::new();
    (0..100).for_each(|n| {
        rig.run(&format!("SET s{n} v"));
        rig.run(&format!("SADD set m{n}"));
        rig.run(&format!("HSET hash f{n} {n}"));
    });
    for (command, total) in
        [("SCAN {} COUNT 7", 102), ("SSCAN set {}", 100), ("HSCAN hash {} COUNT 33", 200)]
    {
        let mut cursor = "0".to_string();
        let mut found = 0;
        loop {
            let reply = rig.run(&command.replace("{}", &cursor));
            let words: Vec<&str> = reply.split(' ').collect();
            assert_eq!(words[0], "*2");
            found += words[3][1..].parse::<usize>().unwrap();
            cursor = words[2].to_string();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found, total, "{command}");
    }
    rig.check(&[
        ("SCAN 0 COUNT 1000 MATCH s9", "*2 $1 0 *1 $2 s9"),
        ("SCAN 0 COUNT 1000 TYPE hash", "*2 $1 0 *1 $4 hash"),
        ("SSCAN set 0 COUNT 1000 MATCH m42", "*2 $1 0 *1 $3 m42"),
        ("HSCAN hash 0 COUNT 1000 MATCH f42", "*2 $1 0 *2 $3 f42 $2 42"),
        ("HSCAN no 0", "*2 $1 0 *0"),
        ("SSCAN s1 0", WRONG_TYPE),
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN 0 COUNT 0", SYNTAX),
        ("SCAN 0 COUNT", SYNTAX),
        ("SCAN 0 COUNT x", NOT_INTEGER),
        ("SSCAN set 0 TYPE set", SYNTAX),
    ]);
}

#[test]
fn lists() {
    Rig::new().check(&[
        ("LPUSHX l a", ":0"),
        ("RPUSH l a b c", ":3"),
        ("LPUSH l z y", ":5"),
        ("RPUSHX l d", ":6"),
        ("LRANGE l 0 -1", "*6 $1 y $1 z $1 a $1 b $1 c $1 d"),
        ("LRANGE l -2 100", "*2 $1 c $1 d"),
        ("LRANGE l 3 1", "*0"),
        ("LRANGE no 0 -1", "*0"),
        ("LRANGE l 0 x", NOT_INTEGER),
        ("LLEN l", ":6"),
        ("LINDEX l 1", "$1 z"),
        ("LINDEX l -1", "$1 d"),
        ("LINDEX l 6", "$-1"),
        ("LSET l 1 Z", "+OK"),
        ("LSET l 6 x", "-ERR index out of range"),
        ("LSET no 0 x", "-ERR no such key"),
        ("LPOP l", "$1 y"),
        ("RPOP l 2", "*2 $1 d $1 c"),
        ("LPOP l 0", "*0"),
        ("LPOP l -1", "-ERR value is out of range, must be positive"),
        ("LPOP no", "$-1"),
        ("LPOP no 3", "*-1"),
        ("LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command"),
        ("LPOP l 100", "*3 $1 Z $1 a $1 b"),
        ("EXISTS l", ":0"),
        ("RPUSH l x a x b x", ":5"),
        ("LREM l -2 x", ":2"),
        ("LRANGE l 0 -1", "*3 $1 x $1 a $1 b"),
        ("LREM l 1 nothing", ":0"),
        ("RPUSH l x x", ":5"),
        ("LREM l 2 x", ":2"),
        ("LRANGE l 0 -1", "*3 $1 a $1 b $1 x"),
        ("LREM l 0 x", ":1"),
        ("RPUSH l c d", ":4"),
        ("LTRIM l 1 -2", "+OK"),
        ("LRANGE l 0 -1", "*2 $1 b $1 c"),
        ("LTRIM l 5 9", "+OK"),
        ("TYPE l", "+none"),
        ("SET s v", "+OK"),
        ("LPUSH s v", WRONG_TYPE),
        ("LLEN s", WRONG_TYPE),
        ("GET s", "$1 v"),
    ]);
}

#[test]
fn hashes() {
    let mut rig = Rig::new();
    rig.check(&[
        ("HSET h a 1 b 2", ":2"),
        ("HSET h a 3 c 4", ":1"),
        ("HSET h a", "-ERR wrong number of arguments for 'hset' command"),
        ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command"),
        ("HMSET h d 5", "+OK"),
        ("HSETNX h d 6", ":0"),
        ("HSETNX h e 6", ":1"),
        ("HGET h a", "$1 3"),
        ("HGET h no", "$-1"),
        ("HMGET h b no d", "*3 $1 2 $-1 $1 5"),
        ("HMGET no a", "*1 $-1"),
        ("HLEN h", ":5"),
        ("HEXISTS h a", ":1"),
        ("HEXISTS h no", ":0"),
        ("HSTRLEN h a", ":1"),
        ("HINCRBY h a 39", ":42"),
        ("HINCRBY h new -1", ":-1"),
        ("HINCRBY h a x", NOT_INTEGER),
        ("HSET h text t", ":1"),
        ("HINCRBY h text 1", "-ERR hash value is not an integer"),
        ("HINCRBY h a 9223372036854775807", "-ERR increment or decrement would overflow"),
        ("HDEL h text new no", ":2"),
        ("HGETALL no", "*0"),
        ("LPUSH h x", WRONG_TYPE),
    ]);
    assert_eq!(rig.sorted("HKEYS h"), ["a", "b", "c", "d", "e"]);
    assert_eq!(rig.sorted("HVALS h"), ["2", "4", "42", "5", "6"]);
    assert_eq!(rig.sorted("HGETALL h").len(), 10);
    rig.check(&[("HDEL h a b c d e", ":5"), ("EXISTS h", ":0")]);
}

#[test]
fn sets() {
    let mut rig = Rig::new();
    rig.check(&[
        ("SADD s a b a c", ":3"),
        ("SADD s a", ":0"),
        ("SCARD s", ":3"),
        ("SISMEMBER s a", ":1"),
        ("SISMEMBER s x", ":0"),
        ("SMISMEMBER s a x b", "*3 :1 :0 :1"),
        ("SMISMEMBER no a", "*1 :0"),
        ("SREM s a x", ":1"),
        ("SMEMBERS no", "*0"),
        ("SPOP no", "$-1"),
        ("SPOP no 3", "*0"),
        ("SPOP s -1", "-ERR value is out of range, must be positive"),
        ("SRANDMEMBER no", "$-1"),
        ("SRANDMEMBER no 2", "*0"),
        ("SRANDMEMBER s x", NOT_INTEGER),
        ("SPOP s 0", "*0"),
        ("GET s", WRONG_TYPE),
    ]);
    assert_eq!(rig.sorted("SMEMBERS s"), ["b", "c"]);
    assert_eq!(rig.sorted("SRANDMEMBER s 10"), ["b", "c"]);
    assert_eq!(rig.sorted("SRANDMEMBER s -50").len(), 50);
    assert_eq!(rig.sorted("SPOP s 10"), ["b", "c"]);
    assert_eq!(rig.run("EXISTS s"), ":0");
}

#[test]
fn random_choices_are_different_members_and_all_have_their_turn() {
    let mut rig = Rig::new();
    (0..40).for_each(|n| {
        rig.run(&format!("SADD s m{n}"));
    });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut chosen = rig.sorted("SRANDMEMBER s 5");
        chosen.dedup();
        assert_eq!(chosen.len(), 5);
        seen.extend(chosen);
    }
    assert_eq!(seen.len(), 40);
    let mut popped = Vec::new();
    while rig.run("EXISTS s") == ":1" {
        popped.extend(rig.sorted("SPOP s 7"));
    }
    popped.sort();
    assert_eq!(popped, Vec::from_iter(seen));
}

#[test]
fn connection_and_server() {
    let mut rig = Rig::new();
    rig.check(&[
        ("PING", "+PONG"),
        ("PING hi", "$2 hi"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO hi", "$2 hi"),
        ("SELECT 0", "+OK"),
        ("SELECT 1", "-ERR DB index is out of range"),
        ("SELECT x", NOT_INTEGER),
        ("HELLO 3", "-NOPROTO unsupported protocol version"),
        ("HELLO 2 SETNAME me", "*14 $6 server $5 redis $7 version $6 7.0.15 $5 proto :2 $2 id :7 $4 mode $10 standalone $4 role $6 master $7 modules *0"),
        ("CLIENT GETNAME", "$2 me"),
        ("CLIENT SETNAME you", "+OK"),
        ("CLIENT GETNAME", "$3 you"),
        ("CLIENT ID", ":7"),
        ("CLIENT SETINFO lib-name redis-rs", "+OK"),
        ("CLIENT SETINFO x y", "-ERR Unrecognized option 'x'"),
        ("CLIENT NO-EVICT on", "+OK"),
        ("CLIENT NO-TOUCH maybe", SYNTAX),
        ("CLIENT WHAT", "-ERR unknown subcommand 'WHAT'. Try CLIENT HELP."),
        ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
        ("CONFIG GET save", "*2 $4 save $0"),
        ("CONFIG GET appendonly", "*2 $10 appendonly $2 no"),
        ("CONFIG GET maxmemory databases", "*4 $9 databases $1 1 $9 maxmemory $8 67108864"),
        ("CONFIG GET nothing", "*0"),
        ("CONFIG SET appendonly no", "+OK"),
        ("CONFIG SET maxmemory 1", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set immutable config"),
        ("CONFIG SET x 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'x'"),
        ("CONFIG RESETSTAT", "+OK"),
        ("COMMAND DOCS", "*0"),
        ("COMMAND INFO get no", "*2 *6 $3 get :2 *1 +readonly :1 :1 :1 *-1"),
        ("TIME", "*2 $10 1700000000 $1 7"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("FOO a b", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b'"),
        ("FOO", "-ERR unknown command 'FOO', with args beginning with:"),
    ]);
    assert!(rig.run("CLIENT LIST").contains("id=7 "));
    assert!(rig.run("COMMAND").starts_with("*9"));
    assert!(!rig.session.closing());
    assert_eq!(rig.bytes(b"QUIT\r\nPING\r\n"), b"+OK\r\n");
    assert!(rig.session.closing());
}

#[test]
fn info() {
    let mut rig = Rig::new();
    rig.run("SET k v EX 10");
    rig.run("GET no");
    let all = rig.run("INFO");
    for line in [
        "redis_version:7.0.15",
        "atoll_epoch:3",
        "uptime_in_seconds:61",
        "connected_clients:2",
        "maxmemory:67108864",
        "heap_total:20",
        "keyspace_misses:1",
        "db0:keys=1,expires=1,avg_ttl=0",
    ] {
        assert!(all.contains(line), "{line} in {all}");
    }
    let one = rig.run("INFO Keyspace");
    assert!(one.contains("db0") && !one.contains("redis_version"));
}

#[test]
fn debug_only_when_enabled() {
    let mut rig = Rig::new();
    for words in ["segfault", "PANIC", "Loop", "STACKOVERFLOW", "ud2", "DIVZERO"] {
        assert_eq!(rig.run(&format!("DEBUG {words}")), "+OK");
    }
    assert_eq!(
        rig.env.crashes,
        vec![
            Crash::Segfault,
            Crash::Panic,
            Crash::Loop,
            Crash::StackOverflow,
            Crash::Ud2,
            Crash::DivZero
        ]
    );
    assert!(rig.run("DEBUG SLEEP").starts_with("-ERR unknown subcommand"));
    let mut closed = Rig::with(1 << 20, Options::default());
    assert!(closed.run("DEBUG SEGFAULT").starts_with("-ERR DEBUG command not allowed. "));
    assert!(closed.env.crashes.is_empty());
}
