//! The kv server through the client library that people use, and a few things byte for byte.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use atoll_tests::control::until;
use atoll_tests::environment::patience;
use atoll_tests::resp::request;
use atoll_tests::{Reply, Resp, System};
use redis::{Commands, Connection, ErrorKind, RedisResult};

const PORT: &str = "kv:redis";

fn start(arguments: &str) -> Option<System> {
    System::start(&format!(
        "name = \"kv\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"128 MiB\"\narguments = [{arguments}]\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{PORT}\"\n"
    ))
}

fn client(system: &System) -> Connection {
    let client = redis::Client::open(format!("redis://{}/", system.gateway(PORT))).unwrap();
    let connection = client.get_connection_with_timeout(patience()).unwrap();
    connection.set_read_timeout(Some(patience())).unwrap();
    connection.set_write_timeout(Some(patience())).unwrap();
    connection
}

/// Bytes without a pattern that a mistake in copying could keep.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn strings_are_kept_counted_cut_and_joined() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let () = kv.set("greeting", "hello").unwrap();
    assert_eq!(kv.append::<_, _, i64>("greeting", ", world").unwrap(), 12);
    assert_eq!(kv.get::<_, String>("greeting").unwrap(), "hello, world");
    assert_eq!(kv.getrange::<_, String>("greeting", -5, -1).unwrap(), "world");
    assert_eq!(kv.setrange::<_, _, i64>("greeting", 7, "atoll").unwrap(), 12);
    assert_eq!(kv.get_del::<_, String>("greeting").unwrap(), "hello, atoll");
    assert_eq!(kv.get::<_, Option<String>>("greeting").unwrap(), None);

    assert_eq!(kv.incr::<_, _, i64>("n", 41).unwrap(), 41);
    assert_eq!(kv.incr::<_, _, i64>("n", 1).unwrap(), 42);
    assert_eq!(kv.decr::<_, _, i64>("n", 2).unwrap(), 40);
    assert!(!kv.set_nx::<_, _, bool>("n", "other").unwrap());
    let () = kv.mset(&[("a", "1"), ("b", "2")]).unwrap();
    let values: Vec<Option<String>> = kv.mget(&["a", "none", "b"]).unwrap();
    assert_eq!(values, [Some("1".into()), None, Some("2".into())]);
    let not_a_number: RedisResult<i64> = kv.set("a", "x").and_then(|()| kv.incr("a", 1));
    assert!(not_a_number.unwrap_err().to_string().contains("not an integer"));
}

#[test]
fn keys_expire_when_they_are_told_to_and_not_before() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let () = kv.set_ex("lasting", "1", 1000).unwrap();
    let left: i64 = kv.ttl("lasting").unwrap();
    assert!((900..=1000).contains(&left), "{left} s are left of 1000");
    assert!(kv.persist::<_, bool>("lasting").unwrap());
    assert_eq!(kv.ttl::<_, i64>("lasting").unwrap(), -1);
    assert_eq!(kv.ttl::<_, i64>("never set").unwrap(), -2);

    let () = kv.pset_ex("brief", "1", 20).unwrap();
    until("the end of a key", || {
        let (value, left): (Option<String>, i64) =
            redis::pipe().get("brief").pttl("brief").query(&mut kv).unwrap();
        assert!(value.is_none() || left <= 20, "{left} ms are left of 20");
        value.is_none().then_some(())
    });
    // Nobody asks for this one; it goes all the same.
    let () = kv.pset_ex("unasked", "1", 1).unwrap();
    until("the end of a key that nobody asks for", || {
        let keys: i64 = redis::cmd("DBSIZE").query(&mut kv).unwrap();
        (keys == 1).then_some(())
    });
    assert_eq!(kv.get::<_, String>("lasting").unwrap(), "1");
}

#[test]
fn lists_hashes_and_sets_hold_what_was_put_into_them() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let () = kv.rpush("list", &["b", "c"]).unwrap();
    assert_eq!(kv.lpush::<_, _, i64>("list", "a").unwrap(), 3);
    assert_eq!(kv.lrange::<_, Vec<String>>("list", 0, -1).unwrap(), ["a", "b", "c"]);
    assert_eq!(kv.lindex::<_, String>("list", -1).unwrap(), "c");
    assert_eq!(kv.lpop::<_, String>("list", None).unwrap(), "a");
    assert_eq!(kv.rpop::<_, String>("list", None).unwrap(), "c");
    assert_eq!(kv.llen::<_, i64>("list").unwrap(), 1);

    let () = kv.hset_multiple("hash", &[("x", "1"), ("y", "2")]).unwrap();
    assert_eq!(kv.hincr::<_, _, _, i64>("hash", "x", 9).unwrap(), 10);
    let all: HashMap<String, i64> = kv.hgetall("hash").unwrap();
    assert_eq!(all, HashMap::from([("x".into(), 10), ("y".into(), 2)]));
    assert!(kv.hexists::<_, _, bool>("hash", "y").unwrap());
    assert_eq!(kv.hdel::<_, _, i64>("hash", "y").unwrap(), 1);
    assert_eq!(kv.hlen::<_, i64>("hash").unwrap(), 1);

    assert_eq!(kv.sadd::<_, _, i64>("set", &["p", "q", "p"]).unwrap(), 2);
    assert!(kv.sismember::<_, _, bool>("set", "q").unwrap());
    let members: BTreeSet<String> = kv.smembers("set").unwrap();
    assert_eq!(members, BTreeSet::from(["p".into(), "q".into()]));
    assert_eq!(kv.srem::<_, _, i64>("set", "p").unwrap(), 1);
    assert_eq!(kv.spop::<_, String>("set").unwrap(), "q");

    assert!(!kv.exists::<_, bool>("set").unwrap(), "an empty set takes its key with it");
    let wrong: RedisResult<String> = kv.get("list");
    assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
}

#[test]
fn a_scan_finds_every_key_and_flushing_ends_them_all() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let mut pipe = redis::pipe();
    let expected: BTreeSet<String> = (0..1000).map(|n| format!("key:{n}")).collect();
    for key in &expected {
        pipe.set(key, 1).ignore();
    }
    let () = pipe.query(&mut kv).unwrap();
    let found: BTreeSet<String> = kv.scan().unwrap().map(Result::unwrap).collect();
    assert_eq!(found, expected);
    let some: BTreeSet<String> = kv.scan_match("key:99*").unwrap().map(Result::unwrap).collect();
    assert_eq!(some.len(), 11);
    let () = redis::cmd("FLUSHALL").query(&mut kv).unwrap();
    assert_eq!(kv.scan::<String>().unwrap().count(), 0);
}

#[test]
fn a_pipeline_is_answered_in_its_order() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let mut pipe = redis::pipe();
    for n in 0..2000 {
        pipe.cmd("ECHO").arg(format!("token {n}"));
    }
    let answers: Vec<String> = pipe.query(&mut kv).unwrap();
    let expected: Vec<_> = (0..2000).map(|n| format!("token {n}")).collect();
    assert_eq!(answers, expected);
}

#[test]
fn eight_mebibytes_of_any_bytes_come_back_as_they_were_and_more_are_refused() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let value = noise(8 << 20);
    let () = kv.set("large", &value).unwrap();
    let back: Vec<u8> = kv.get("large").unwrap();
    assert!(back == value, "{} bytes came back, and not the same", back.len());
    assert_eq!(kv.strlen::<_, usize>("large").unwrap(), 8 << 20);

    let mut raw = Resp::connect(&system.gateway(PORT));
    let too_long = format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", (8 << 20) + 1);
    raw.send(too_long.as_bytes());
    let refusal = raw.reply().expect("it is told why");
    assert!(refusal.is_error("ERR"), "{refusal:?}");
    assert_eq!(raw.reply(), None, "what follows could be read as requests");
    assert_eq!(kv.strlen::<_, usize>("large").unwrap(), 8 << 20);
}

#[test]
fn requests_may_be_typed_as_lines() {
    let Some(system) = start("") else { return };
    let mut kv = Resp::connect(&system.gateway(PORT));
    kv.send(b"SET name \"a b\\x21\"\r\nGET name\r\n\r\nPING\n");
    assert_eq!(kv.reply(), Some(Reply::ok()));
    assert_eq!(kv.reply(), Some(Reply::bulk("a b!")));
    assert_eq!(kv.reply(), Some(Reply::Simple("PONG".into())));
    kv.send(b"QUIT\r\n");
    assert_eq!(kv.reply(), Some(Reply::ok()));
    assert_eq!(kv.reply(), None);
}

#[test]
fn info_tells_epoch_keys_and_memory() {
    let Some(system) = start("\"maxmemory=32MiB\"") else { return };
    let mut kv = client(&system);
    let () = kv.set_ex("key", "value", 100).unwrap();
    let info: redis::InfoDict = redis::cmd("INFO").query(&mut kv).unwrap();
    assert_eq!(info.get::<String>("server_name").as_deref(), Some("atoll-kv"));
    assert_eq!(info.get::<u64>("atoll_epoch"), Some(1));
    assert_eq!(info.get::<u64>("connected_clients"), Some(1));
    assert_eq!(info.get::<u64>("maxmemory"), Some(32 << 20));
    assert!(info.get::<u64>("used_memory").unwrap() > 0);
    assert!(info.get::<String>("db0").unwrap().starts_with("keys=1,expires=1"));
}

#[test]
fn a_full_memory_refuses_writes_and_serves_reads() {
    let Some(system) = start("\"maxmemory=8MiB\"") else { return };
    let mut kv = client(&system);
    let value = noise(64 << 10);
    let refused = (0..1000).find_map(|n| {
        let put: RedisResult<()> = kv.set(format!("key:{n}"), &value);
        put.err().map(|error| (n, error))
    });
    let (stored, error) = refused.expect("a thousand times 64 KiB are more than 8 MiB");
    assert_eq!(error.code(), Some("OOM"), "{error}");
    assert!((64..=128).contains(&stored), "{stored} values of 64 KiB fitted into 8 MiB");
    let back: Vec<u8> = kv.get("key:0").unwrap();
    assert!(back == value);
    assert_eq!(kv.del::<_, i64>("key:1").unwrap(), 1);
    let () = kv.set("key:again", &value).expect("there is room again");
    assert_eq!(system.epoch("kv"), 1, "running out of memory is no crash");
}

#[test]
fn a_production_server_cannot_be_crashed_by_a_client() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    let refused: RedisResult<()> = redis::cmd("DEBUG").arg("SEGFAULT").query(&mut kv);
    let error = refused.unwrap_err();
    assert!(!matches!(error.kind(), ErrorKind::Io), "refused, and not dropped: {error}");
    let () = redis::cmd("PING").query(&mut kv).unwrap();
    assert_eq!(system.epoch("kv"), 1);
}

#[test]
fn a_unix_socket_serves_as_well() {
    let manifest = "name = \"kv\"\n[domains.kv]\nimage = \"kv\"\n\
        [[gateways]]\nlisten = \"unix:{dir}/kv.socket\"\nto = \"kv:redis\"\n";
    let Some(system) = System::start(manifest) else { return };
    let mut kv = Resp::connect(&system.gateway(PORT));
    assert_eq!(kv.ask("SET a 1"), Reply::ok());
    kv.socket().write_all(&request(&[b"GET", b"a"])).unwrap();
    assert_eq!(kv.reply(), Some(Reply::bulk("1")));
}
