//! Requests in any shape: whole, split, pipelined, too large, wrong.

use proptest::prelude::*;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::rig::{Rig, request};
use crate::Session;

#[test]
fn keys_and_values_are_any_bytes() {
    let mut rig = Rig::new();
    let key: Vec<u8> = (0..=255).collect();
    let value = b"\r\n\0$5\r\n*1\r\n".repeat(10);
    rig.raw(&[b"SET", &key, &value]);
    let reply = rig.raw(&[b"GET", &key]);
    assert_eq!(reply, [b"$110\r\n", &value[..], b"\r\n"].concat());
    rig.raw(&[b"SET", b"", b""]);
    assert_eq!(rig.raw(&[b"GET", b""]), b"$0\r\n\r\n");
}

#[test]
fn values_up_to_eight_mebibytes() {
    let mut rig = Rig::new();
    let most = vec![b'x'; 8 << 20];
    let bytes = request(&[b"SET", b"k", &most]);
    let mut replies = Vec::new();
    for piece in bytes.chunks(64 << 10) {
        assert!(rig.session.mid_request() || piece.as_ptr() == bytes.as_ptr());
        replies.extend(rig.bytes(piece));
    }
    assert_eq!(replies, b"+OK\r\n");
    assert!(!rig.session.mid_request());
    assert_eq!(rig.raw(&[b"GET", b"k"]).len(), (8 << 20) + 12);
    assert_eq!(rig.db.buffered(), 0);
    assert_eq!(
        rig.bytes(b"*2\r\n$3\r\nGET\r\n$8388609\r\n"),
        b"-ERR Protocol error: invalid bulk length\r\n"
    );
}

#[test]
fn violations_are_told_and_close() {
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"SET \"a\r\n", "unbalanced quotes in request"),
        (&[b'a'; 70_000], "too big inline request"),
        (&[b'*'; 70_000], "too big mbulk count string"),
    ];
    for (bytes, text) in cases {
        let mut rig = Rig::new();
        let reply = String::from_utf8(rig.bytes(bytes)).unwrap();
        assert_eq!(reply, std::format!("-ERR Protocol error: {text}\r\n"));
        assert!(rig.session.closing());
        assert_eq!(rig.bytes(b"PING\r\n"), b"");
    }
}

#[test]
fn what_asks_nothing_gets_nothing() {
    let mut rig = Rig::new();
    assert_eq!(rig.bytes(b"\r\n\n*0\r\n*-1\r\n  \r\nPING\r\n"), b"+PONG\r\n");
}

#[test]
fn inline_requests() {
    let mut rig = Rig::new();
    let bytes = b"SET k \"a b\\x00\"\nGET k\r\n  ping 'x y'  \r\n";
    assert_eq!(rig.bytes(bytes), b"+OK\r\n$4\r\na b\0\r\n$3\r\nx y\r\n");
}

#[test]
fn a_slow_reader_stops_the_requests_not_the_memory() {
    let mut rig = Rig::new();
    rig.raw(&[b"SET", b"k", &[b'v'; 10_000]]);
    let get = request(&[b"GET", b"k"]);
    let input = get.repeat(100);
    let used = rig.session.feed(&mut rig.db, &mut rig.env, &input);
    assert_eq!(used, 7 * get.len());
    assert_eq!(rig.session.feed(&mut rig.db, &mut rig.env, &input[used..]), 0);
    // The reader takes a little: one request more.
    rig.session.advance(7_000);
    assert_eq!(rig.session.feed(&mut rig.db, &mut rig.env, &input[used..]), get.len());
    assert_eq!(rig.bytes(&input[used + get.len()..]).len(), 10_010 * 100 - 7_000);
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 96, "{} bytes", size_of::<Session>());
    let mut rig = Rig::new();
    rig.raw(&[b"SET", b"k", &[b'v'; 100_000]]);
    rig.raw(&[b"GET", b"k"]);
    assert_eq!(rig.db.buffered(), 0);
}

/// Requests that meet every family, right ones and wrong ones.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"k".to_vec()),
        Just(b"1".to_vec()),
        Just(b"-1".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(any::<u8>(), 300..2_000),
    ];
    // INFO tells what is buffered, which does depend on how a stream is split.
    let names: Vec<&str> =
        crate::table::COMMANDS.iter().map(|c| c.name).filter(|name| *name != "info").collect();
    let name = prop::sample::select(names);
    prop_oneof![
        8 => (name, prop::collection::vec(word, 0..5)).prop_map(|(name, args)| {
            let mut all = vec![name.as_bytes()];
            all.extend(args.iter().map(Vec::as_slice));
            request(&all)
        }),
        1 => Just(b"SET k 'in line'\r\n".to_vec()),
        1 => Just(b"\r\n*0\r\n".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_split_gives_the_same_replies(
        requests in prop::collection::vec(any_request(), 1..12),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = requests.concat();
        let whole = Rig::new().bytes(&stream);
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(stream.len())).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let mut rig = Rig::new();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.extend(rig.bytes(&stream[start..cut]));
            start = cut;
        }
        prop_assert_eq!(&pieces, &whole);
        let mut rig = Rig::new();
        let bytewise: Vec<u8> = stream.iter().flat_map(|byte| rig.bytes(&[*byte])).collect();
        prop_assert_eq!(&bytewise, &whole);
    }

    #[test]
    fn any_bytes_are_survived(pieces in prop::collection::vec(
        prop_oneof![
            any_request(),
            prop::collection::vec(any::<u8>(), 0..40),
            "[*$\r\n0-9\"' a-z]{0,30}".prop_map(String::into_bytes),
        ],
        0..10,
    )) {
        let mut rig = Rig::new();
        for piece in &pieces {
            rig.bytes(piece);
        }
        // Nor do they harm the next client.
        rig.session = Session::new(&rig.db, 8);
        prop_assert_eq!(rig.bytes(b"PING\r\n"), b"+PONG\r\n");
        let mut rig = Rig::new();
        for piece in &pieces {
            rig.session.abort(piece, "ERR gone");
        }
        let replies = rig.session.output();
        prop_assert!(replies.is_empty() || replies.starts_with(b"-ERR ") && replies.ends_with(b"\r\n"));
    }
}
