//! Calls that go well, refusals, and values that cannot be sent.

use std::cell::RefCell;
use std::collections::VecDeque;

use atoll_ipc::interface::{Blob, Bytes, OnRestart, SHORT, Word};
use atoll_ipc::message::{IpcError, Status};
use serde::{Serialize, Serializer};

use crate::loopback::{Incoming, Loopback, bound, serve};
use crate::{Fickle, Pair};

#[test]
fn every_kind_of_operation_arrives_and_comes_back() {
    let mut channel = Loopback::default();
    let mut client = bound(&mut channel);
    assert_eq!(client.add(40, 2), Ok(42));
    assert_eq!(client.append(OnRestart::Fail, "one"), Ok(1));
    assert_eq!(client.append(OnRestart::Retry, "two"), Ok(2));
    assert_eq!(client.note(7), Ok(()));
    assert_eq!(client.nothing(), Ok(()));
    assert_eq!(client.turn(Word(5)), Ok(Word(!5)));
    assert_eq!(client.double(Bytes(b"ab")), Ok(Blob(b"abab".to_vec())));
    assert_eq!(client.keep(Bytes(b"held"), |bytes| bytes.len()), Ok(4));
    assert_eq!(client.channel().server.lines, ["one", "two"]);
    let pairs = vec![Pair { key: "x", value: Some(-1) }, Pair { key: "", value: None }];
    let keys = client.swap(OnRestart::Fail, pairs, |pairs| {
        pairs.iter().map(|pair| pair.key.to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(keys, Ok(vec!["x".to_owned(), String::new()]));
    assert_eq!(channel.server.level, 7);
}

#[test]
fn payloads_around_the_short_limit_are_encoded_alike() {
    let mut channel = Loopback::default();
    let long = if cfg!(miri) { [127, 128] } else { [1 << 14, 1 << 20] };
    for length in (0..=2 * SHORT).chain(long) {
        let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut client = bound(&mut channel);
        assert_eq!(client.double(Bytes(&bytes)), Ok(Blob([&bytes[..], &bytes].concat())));
        let same = client.keep(Bytes(&bytes), |kept| kept.0 == bytes);
        assert_eq!(same, Ok(true), "{length}");
        assert_eq!(channel.sent, byte_string(&bytes), "{length}");
    }
}

/// The encoding of a byte string, written out by hand.
fn byte_string(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut length = bytes.len();
    while length >= 0x80 {
        encoded.push(length as u8 | 0x80);
        length >>= 7;
    }
    encoded.push(length as u8);
    encoded.extend(bytes);
    encoded
}

/// Among them are the bits of floats that are no numbers, quiet and signalling.
#[test]
fn a_word_is_eight_bytes_whatever_its_value() {
    let mut channel = Loopback::default();
    for word in
        [0, 1, u64::MAX, 1 << 63, 0x7ff0_0000_0000_0001, 0xfff7_ffff_ffff_ffff, 0x7ff8 << 48]
    {
        assert_eq!(bound(&mut channel).turn(Word(word)), Ok(Word(!word)));
        assert_eq!(channel.sent, word.to_le_bytes());
    }
}

#[test]
fn the_wire_carries_arguments_back_to_back_and_nothing_else() {
    let mut channel = Loopback::default();
    bound(&mut channel).add(1, 300).expect("served");
    assert_eq!(channel.sent, [1, 0xac, 0x02]);
    bound(&mut channel).turn(Word(0x0102)).expect("served");
    assert_eq!(channel.sent, [2, 1, 0, 0, 0, 0, 0, 0]);
    bound(&mut channel).append(OnRestart::Fail, "hi").expect("served");
    assert_eq!(channel.sent, *b"\x02hi");
    bound(&mut channel).nothing().expect("served");
    assert_eq!(channel.sent, []);
}

#[test]
fn a_refusal_reaches_the_caller() {
    for (status, error) in [
        (Status::Unknown, IpcError::Rejected),
        (Status::Denied, IpcError::Denied),
        (Status::Exhausted, IpcError::Exhausted),
        // A refusal that claims success is none, and must not pass for an empty reply.
        (Status::Ok, IpcError::Rejected),
    ] {
        let mut channel = Loopback::default();
        assert_eq!(bound(&mut channel).refuse(OnRestart::Fail, status as u8), Err(error));
    }
}

#[test]
fn what_has_no_encoding_is_refused_on_the_side_that_has_it() {
    let mut channel = Loopback::default();
    let outcome = bound(&mut channel).fickle(OnRestart::Fail, Fickle(true), false).map(drop);
    assert_eq!((outcome, channel.calls), (Err(IpcError::Rejected), 0), "nothing was sent");
    let outcome = bound(&mut channel).fickle(OnRestart::Fail, Fickle(false), true).map(drop);
    assert_eq!((outcome, channel.calls), (Err(IpcError::Rejected), 1));
    assert_eq!(serve(&mut channel.server, 10, &[0, 1]), (Status::Dropped, vec![]));
}

/// Byte strings, another one each time it is encoded.
struct Changing(RefCell<VecDeque<Vec<u8>>>);

impl Serialize for Changing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let next = self.0.borrow_mut().pop_front().expect("encoded as often as expected");
        serializer.serialize_bytes(&next)
    }
}

/// What is sent of a value that encodes like this at its first try, when measured, and when put
/// into the scratch.
fn sent(first: usize, measured: usize, put: usize) -> Vec<u8> {
    let lengths = [first, measured, put].into_iter();
    let value = Changing(RefCell::new(lengths.map(|length| vec![1; length]).collect()));
    let mut answer = None;
    let message = Incoming { operation: 0, payload: &[], answer: &mut answer };
    atoll_ipc::interface::answer(message, Ok(value));
    let (status, bytes) = answer.expect("answered");
    assert_eq!(status, Status::Ok);
    bytes
}

#[test]
fn an_encoding_that_changes_does_not_send_what_the_scratch_held() {
    assert_eq!(sent(100, 100, 100), byte_string(&[1; 100]));
    assert_eq!(sent(100, 60, 60), byte_string(&[1; 60]));
    assert_eq!(sent(100, 100, 60), [0; 101]);
    assert_eq!(sent(100, 60, 100), [0; 61]);
}
