//! The typed interface, from the stub to the database and back, and beside the protocol of Redis.

use std::time::Duration;
use std::vec;
use std::vec::Vec;

use atoll_ipc::abi::Name;
use atoll_ipc::interface::{Answerable, Bytes, Caller, Interface, OnRestart, Payload, Word};
use atoll_ipc::message::{IpcError, Status};

use super::rig::{Rig, START};
use crate::Options;
use crate::request::BULK_LIMIT;
use crate::typed::{Kv, KvClient, Typed};

/// A channel that leads straight to the rig's database.
struct Loop<'a>(&'a mut Rig);

/// A message in service, and where its answer goes.
struct Incoming<'a> {
    operation: u16,
    payload: &'a [u8],
    answer: &'a mut (Status, Vec<u8>),
}

fn bytes_of(payload: Payload<'_>) -> Vec<u8> {
    let mut scratch = vec![0; payload.len()];
    payload.bytes_in(|length| &mut scratch[..length]).to_vec()
}

impl Answerable for Incoming<'_> {
    fn operation(&self) -> u16 {
        self.operation
    }

    fn with_payload<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(self.payload)
    }

    fn answer(self, status: Status, reply: Payload<'_>) {
        *self.answer = (status, bytes_of(reply));
    }
}

impl Caller for Loop<'_> {
    fn channel_name(&self) -> Name {
        Name::new("loop")
    }

    fn peer_interface(&self) -> Interface {
        Kv::INTERFACE
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn call<T>(
        &mut self,
        operation: u16,
        request: Payload<'_>,
        _: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, IpcError> {
        let payload = bytes_of(request);
        let mut answer = (Status::Dropped, Vec::new());
        let message = Incoming { operation, payload: &payload, answer: &mut answer };
        let Rig { db, env, .. } = &mut self.0;
        let now = env.now;
        Kv::dispatch(&mut Typed::new(db, env, now), message);
        answer.0.error().map_or_else(|| Ok(read(&answer.1)), Err)
    }

    fn send(&mut self, _: u16, _: Payload<'_>, _: Option<Duration>) -> Result<(), IpcError> {
        Err(IpcError::Denied)
    }
}

fn client(rig: &mut Rig) -> KvClient<Loop<'_>> {
    KvClient::bind(Loop(rig)).unwrap()
}

fn get(rig: &mut Rig, key: &str) -> Result<Option<Vec<u8>>, IpcError> {
    client(rig).get(b(key), |value| value.map(|value| value.to_vec()))
}

fn b(text: &str) -> Bytes<'_> {
    Bytes(text.as_bytes())
}

#[test]
fn a_string_is_put_read_measured_and_deleted() {
    let mut rig = Rig::new();
    let mut kv = client(&mut rig);
    assert_eq!((kv.exists(b("k")), kv.length(b("k"))), (Ok(false), Ok(0)));
    assert_eq!(kv.get(b("k"), |value| value.is_none()), Ok(true));
    kv.set(b("k"), b("first")).unwrap();
    kv.set(b("k"), b("later")).unwrap();
    kv.set(b(""), b("")).unwrap();
    assert_eq!((kv.exists(b("k")), kv.length(b("k")), kv.count()), (Ok(true), Ok(5), Ok(2)));
    assert_eq!(kv.get(b("k"), |value| value == Some(b("later"))), Ok(true));
    assert_eq!(kv.get(b(""), |value| value == Some(b(""))), Ok(true));
    (0..2).for_each(|_| kv.delete(b("k")).unwrap());
    assert_eq!((kv.exists(b("k")), kv.count()), (Ok(false), Ok(1)));
}

#[test]
fn values_longer_than_what_is_encoded_on_the_stack_come_back_whole() {
    let mut rig = Rig::new();
    let value: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    let mut kv = client(&mut rig);
    kv.set(b("k"), Bytes(&value)).unwrap();
    assert_eq!(kv.get(b("k"), |found| found == Some(Bytes(&value))), Ok(true));
}

#[test]
fn both_ways_lead_to_the_same_keys() {
    let mut rig = Rig::new();
    client(&mut rig).set(b("typed"), b("1")).unwrap();
    rig.check(&[("GET typed", "$1 1"), ("SET redis 2", "+OK"), ("DBSIZE", ":2")]);
    assert_eq!(get(&mut rig, "redis"), Ok(Some(b"2".to_vec())));
    assert_eq!(client(&mut rig).count(), Ok(2));
    client(&mut rig).delete(b("redis")).unwrap();
    rig.check(&[("EXISTS redis typed", ":1")]);
}

#[test]
fn only_an_absent_key_is_set_if_absent() {
    let mut rig = Rig::new();
    let set = |rig: &mut Rig| client(rig).set_if_absent(OnRestart::Fail, b("k"), b("v"));
    assert_eq!((set(&mut rig), set(&mut rig)), (Ok(true), Ok(false)));
    client(&mut rig).set_until(b("k"), b("brief"), Word(START + 10)).unwrap();
    assert_eq!(set(&mut rig), Ok(false));
    rig.env.now += 10;
    assert_eq!(set(&mut rig), Ok(true));
    rig.check(&[("GET k", "$1 v"), ("PTTL k", ":-1"), ("RPUSH l a", ":1")]);
    assert_eq!(client(&mut rig).set_if_absent(OnRestart::Fail, b("l"), b("v")), Ok(false));
}

#[test]
fn numbers_are_counted_within_their_64_bits() {
    let mut rig = Rig::new();
    let mut kv = client(&mut rig);
    let mut add = |key, amount| kv.increment(OnRestart::Fail, b(key), amount);
    assert_eq!((add("n", 5), add("n", -7)), (Ok(5), Ok(-2)));
    assert_eq!((add("m", i64::MIN), add("m", -1)), (Ok(i64::MIN), Err(IpcError::Denied)));
    rig.check(&[("GET n", "$2 -2"), ("SET word x", "+OK"), ("INCR n", ":-1")]);
    let refused = client(&mut rig).increment(OnRestart::Fail, b("word"), 1);
    assert_eq!(refused, Err(IpcError::Denied));
    rig.check(&[("GET word", "$1 x"), ("GET m", "$20 -9223372036854775808")]);
}

#[test]
fn bytes_are_put_behind_those_that_are_there() {
    let mut rig = Rig::new();
    let mut kv = client(&mut rig);
    let mut append = |bytes| kv.append(OnRestart::Fail, b("k"), b(bytes));
    assert_eq!((append("one"), append(""), append("two")), (Ok(3), Ok(3), Ok(6)));
    assert_eq!(get(&mut rig, "k"), Ok(Some(b"onetwo".to_vec())));
}

#[test]
fn deadlines_are_those_of_the_other_way() {
    let mut rig = Rig::new();
    client(&mut rig).set_until(b("k"), b("1"), Word(START + 1_000)).unwrap();
    rig.check(&[("PTTL k", ":1000")]);
    let mut kv = client(&mut rig);
    kv.increment(OnRestart::Fail, b("k"), 1).unwrap();
    kv.append(OnRestart::Fail, b("k"), b("0")).unwrap();
    rig.check(&[("PTTL k", ":1000"), ("GET k", "$2 20"), ("SET other v PX 1000", "+OK")]);
    client(&mut rig).set(b("other"), b("v")).unwrap();
    rig.env.now += 1_000;
    assert_eq!(get(&mut rig, "k"), Ok(None));
    assert_eq!(get(&mut rig, "other"), Ok(Some(b"v".to_vec())));
    assert_eq!((client(&mut rig).count(), rig.db.volatile()), (Ok(1), 0));
    client(&mut rig).set_until(b("other"), b("past"), Word(1)).unwrap();
    assert_eq!(client(&mut rig).exists(b("other")), Ok(false));
}

#[test]
fn a_deadline_that_is_none_changes_nothing() {
    let mut rig = Rig::new();
    client(&mut rig).set(b("k"), b("v")).unwrap();
    for deadline in [0, i64::MAX.cast_unsigned() + 1, u64::MAX] {
        let refused = client(&mut rig).set_until(b("k"), b("w"), Word(deadline));
        assert_eq!(refused, Err(IpcError::Rejected), "{deadline}");
    }
    client(&mut rig).set_until(b("far"), b("v"), Word(i64::MAX.cast_unsigned())).unwrap();
    rig.check(&[("GET k", "$1 v"), ("PTTL k", ":-1")]);
    rig.check(&[("PEXPIRETIME far", ":9223372036854775807")]);
}

#[test]
fn other_types_are_denied_but_can_be_found_deleted_and_overwritten() {
    let mut rig = Rig::new();
    for words in ["RPUSH k a", "HSET k f v", "SADD k a"] {
        rig.run(words);
        assert_eq!(get(&mut rig, "k"), Err(IpcError::Denied), "{words}");
        let mut kv = client(&mut rig);
        assert_eq!(kv.length(b("k")), Err(IpcError::Denied));
        assert_eq!(kv.append(OnRestart::Fail, b("k"), b("x")), Err(IpcError::Denied));
        assert_eq!(kv.increment(OnRestart::Fail, b("k"), 1), Err(IpcError::Denied));
        assert_eq!((kv.exists(b("k")), kv.delete(b("k"))), (Ok(true), Ok(())));
        rig.run(words);
        client(&mut rig).set(b("k"), b("v")).unwrap();
        rig.check(&[("GET k", "$1 v"), ("DEL k", ":1")]);
    }
}

#[test]
fn what_does_not_fit_in_the_memory_limit_changes_nothing() {
    let mut rig = Rig::with(4_000, Options::default());
    client(&mut rig).set_until(b("k"), b("v"), Word(START + 9)).unwrap();
    let (used, big) = (rig.db.used(), "x".repeat(4_000));
    let mut kv = client(&mut rig);
    assert_eq!(kv.set(b("k"), b(&big)), Err(IpcError::Exhausted));
    assert_eq!(kv.set(b("new"), b(&big)), Err(IpcError::Exhausted));
    assert_eq!(kv.set_until(b("k"), b(&big), Word(START + 99)), Err(IpcError::Exhausted));
    assert_eq!(kv.append(OnRestart::Fail, b("k"), b(&big)), Err(IpcError::Exhausted));
    assert_eq!(kv.set_if_absent(OnRestart::Fail, b(&big), b("v")), Err(IpcError::Exhausted));
    assert_eq!(kv.increment(OnRestart::Fail, b(&big), 1), Err(IpcError::Exhausted));
    assert_eq!((kv.count(), rig.db.used()), (Ok(1), used));
    rig.check(&[("GET k", "$1 v"), ("PTTL k", ":9")]);
}

#[test]
fn nothing_grows_longer_than_the_other_way_lets_it() {
    let mut rig = Rig::new();
    let most = vec![b'x'; BULK_LIMIT];
    let mut kv = client(&mut rig);
    kv.set(b("k"), Bytes(&most)).unwrap();
    assert_eq!(kv.append(OnRestart::Fail, b("k"), b("x")), Err(IpcError::Denied));
    let more = vec![b'x'; BULK_LIMIT + 1];
    assert_eq!(kv.set(b("k"), Bytes(&more)), Err(IpcError::Rejected));
    assert_eq!(kv.set(Bytes(&more), b("v")), Err(IpcError::Rejected));
    assert_eq!(kv.append(OnRestart::Fail, b("l"), Bytes(&more)), Err(IpcError::Rejected));
    assert_eq!((kv.length(b("k")), kv.count()), (Ok(BULK_LIMIT as u64), Ok(1)));
}

#[test]
fn requests_hits_and_errors_are_counted_with_those_of_sessions() {
    let mut rig = Rig::new();
    rig.run("RPUSH l a");
    for key in ["none", "l"] {
        let _ = get(&mut rig, key);
    }
    let refused = client(&mut rig).set_until(b("k"), b("v"), Word(0));
    assert_eq!(refused, Err(IpcError::Rejected));
    let stats = rig.db.stats;
    assert_eq!((stats.commands, stats.errors), (4, 2));
    assert_eq!((stats.hits, stats.misses), (1, 1));
}
