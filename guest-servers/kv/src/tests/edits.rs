//! A database is changed in edits only, and goes on after its sessions have died.

use std::format;

use atoll_ipc::interface::Bytes;

use super::rig::{Rig, START};
use crate::typed::{KvServer, Typed};
use crate::{Options, Session};

#[test]
fn whatever_has_to_do_with_keys_is_an_edit() {
    let mut rig = Rig::new();
    let edits = |rig: &mut Rig, request: &str| {
        let before = rig.env.edits;
        rig.bytes(format!("{request}\r\n").as_bytes());
        rig.env.edits - before
    };
    let keys =
        ["SET a 1", "GET a", "INCR a", "RPUSH l x y", "KEYS *", "DBSIZE", "DEL a", "FLUSHALL"];
    for request in keys {
        assert_eq!(edits(&mut rig, request), 1, "{request}");
    }
    let typed = rig.env.edits;
    Typed::new(&mut rig.db, &mut rig.env, START).set(Bytes(b"a"), Bytes(b"v")).unwrap();
    assert_eq!(rig.env.edits, typed + 1);
    let others = ["PING", "ECHO x", "INFO", "CLIENT ID", "DEBUG PANIC", "NONSENSE", "SET a"];
    for request in others {
        assert_eq!(edits(&mut rig, request), 0, "{request}");
    }
}

#[test]
fn keys_outlive_the_sessions_that_wrote_them() {
    let mut rig = Rig::with(1 << 20, Options { buffers: 1 << 20, ..Options::default() });
    assert_eq!(rig.bytes(b"SET a 1\r\nSET b 2 PX 1000\r\n"), b"+OK\r\n+OK\r\n");
    // It dies in the middle of a long request, with memory in its hands.
    let half = format!("*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$100000\r\n{}", "x".repeat(50_000));
    rig.bytes(half.as_bytes());
    assert!(rig.db.buffered() > 0);
    let dead = std::mem::replace(&mut rig.session, Session::new(&rig.db, 8));
    std::mem::forget(dead);
    rig.db.resume(2 << 20, Options { buffers: 2 << 20, ..Options::default() });
    rig.session = Session::new(&rig.db, 9);
    assert_eq!((rig.db.buffered(), rig.db.limit()), (0, 2 << 20));
    assert_eq!(rig.bytes(b"GET a\r\nGET c\r\nDBSIZE\r\n"), b"$1\r\n1\r\n$-1\r\n:2\r\n");
    rig.env.now = START + 1000;
    assert_eq!(rig.bytes(b"GET b\r\n"), b"$-1\r\n", "deadlines are times of day");
}
