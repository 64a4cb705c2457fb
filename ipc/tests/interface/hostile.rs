//! Requests and replies that no honest peer would send.

use atoll_ipc::interface::{Blob, Bytes, OnRestart, Word};
use atoll_ipc::message::{IpcError, Status};
use proptest::prelude::*;

use crate::Server;
use crate::loopback::{Loopback, bound, serve};

#[test]
fn requests_that_are_not_their_operations_are_malformed() {
    let mut server = Server::default();
    for (operation, payload) in [
        (1, &[][..]),
        (1, &[1]),
        (1, &[1, 2, 3]),
        (1, &[0xff; 20]),
        (2, b"\x05four"),
        (2, b"\x02\xff\xff"),
        (2, b"\x01ab"),
        (3, &[]),
        (3, &[1, 2]),
        (4, &[0]),
        (5, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        (6, b"\x03ab"),
        (7, &[1, 1, b'k', 2]),
        (9, &[0; 7]),
        (9, &[0; 9]),
    ] {
        let answer = serve(&mut server, operation, payload);
        assert_eq!(answer, (Status::Malformed, vec![]), "{operation} {payload:?}");
    }
    assert_eq!((server.served, server.level, server.lines.len()), (0, 0, 0), "none was served");
}

#[test]
fn operations_that_do_not_exist_are_unknown() {
    let mut server = Server::default();
    for operation in [0, 11, 0x101, u16::MAX] {
        assert_eq!(serve(&mut server, operation, &[1, 2]), (Status::Unknown, vec![]));
    }
}

#[test]
fn replies_that_are_not_the_operations_break_the_protocol() {
    let mut channel = Loopback::default();
    let long = vec![0; 100];
    for forged in [&[][..], &[1, 2], &[0xff; 10], &long] {
        channel.forged = Some(forged.to_vec());
        assert_eq!(bound(&mut channel).add(1, 1), Err(IpcError::Protocol), "{forged:?}");
    }
    channel.forged = Some(vec![5, 1]);
    assert_eq!(bound(&mut channel).double(Bytes(b"")), Err(IpcError::Protocol));
    assert_eq!(bound(&mut channel).keep(Bytes(b""), |_| ()), Err(IpcError::Protocol));
    assert_eq!(bound(&mut channel).nothing(), Err(IpcError::Protocol));
    channel.calls = 0;
    assert_eq!(bound(&mut channel).turn(Word(1)), Err(IpcError::Protocol));
    assert_eq!(channel.calls, 1, "and no second try mends it");
}

/// Bytes, many of them such as lengths, tags and endless varints are made of.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), 0..4u8, Just(0x80), Just(0xff)];
    proptest::collection::vec(byte, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 1000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_request_is_answered(operation in 0..13u16, payload in hostile_bytes()) {
        let mut server = Server::default();
        let (status, reply) = serve(&mut server, operation, &payload);
        prop_assert!(status == Status::Ok || reply.is_empty());
        prop_assert_eq!(status == Status::Unknown, !(1..=10).contains(&operation)
            || (operation == 8 && payload == [Status::Unknown as u8]));
    }

    #[test]
    fn any_reply_is_a_value_or_a_broken_protocol(forged in hostile_bytes()) {
        let mut channel = Loopback { forged: Some(forged), ..Loopback::default() };
        let mut client = bound(&mut channel);
        let outcomes = [
            client.add(1, 1).err(),
            client.append(OnRestart::Fail, "").err(),
            client.nothing().err(),
            client.double(Bytes(b"")).err(),
            client.keep(Bytes(b""), |_| ()).err(),
            client.swap(OnRestart::Retry, Vec::new(), |_| ()).err(),
            client.turn(Word(1)).err(),
        ];
        for outcome in outcomes {
            prop_assert!(matches!(outcome, None | Some(IpcError::Protocol)));
        }
        prop_assert_eq!(channel.calls, 7);
    }

    #[test]
    fn what_is_sent_is_what_arrives(a: u64, b: u64, line: String, bytes: Vec<u8>) {
        let mut channel = Loopback::default();
        let mut client = bound(&mut channel);
        prop_assert_eq!(client.add(a, b), Ok(a.wrapping_add(b)));
        prop_assert_eq!(client.turn(Word(a)), Ok(Word(!a)));
        prop_assert_eq!(client.append(OnRestart::Fail, &line), Ok(1));
        prop_assert_eq!(client.double(Bytes(&bytes)), Ok(Blob([&bytes[..], &bytes].concat())));
        prop_assert_eq!(&channel.server.lines[0], &line);
    }
}
