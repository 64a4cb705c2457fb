//! What a new incarnation says to requests that the dead one had received.

use std::vec::Vec;

use super::rig::{Rig, request};

const ERROR: &str = "PEERRESTARTED the server died";
const REPLY: &[u8] = b"-PEERRESTARTED the server died\r\n";

fn abort(rig: &mut Rig, bytes: &[u8]) -> Vec<u8> {
    rig.session.abort(bytes, ERROR);
    let replies = rig.session.output().to_vec();
    rig.session.advance(replies.len());
    replies
}

#[test]
fn whole_requests_each_get_the_error_and_the_stream_goes_on() {
    let mut rig = Rig::new();
    let mut bytes = request(&[b"SET", b"k", b"v"]).repeat(3);
    bytes.extend_from_slice(b"\r\n*0\r\nPING\r\n");
    assert_eq!(abort(&mut rig, &bytes), REPLY.repeat(4));
    assert!(!rig.session.closing() && !rig.session.mid_request());
    assert_eq!(rig.run("EXISTS k"), ":0");
}

#[test]
fn an_unfinished_request_gets_it_too_and_closes() {
    let bytes = [request(&[b"PING"]), request(&[b"SET", b"k", b"value"])].concat();
    for cut in request(&[b"PING"]).len() + 1..bytes.len() {
        let mut rig = Rig::new();
        assert_eq!(abort(&mut rig, &bytes[..cut]), REPLY.repeat(2), "cut at {cut}");
        assert!(rig.session.closing());
        assert_eq!(rig.bytes(b"PING\r\n"), b"");
    }
}

#[test]
fn nothing_received_is_nothing_answered() {
    let mut rig = Rig::new();
    assert_eq!(abort(&mut rig, b""), b"");
    assert!(!rig.session.closing());
}

#[test]
fn a_held_first_part_counts_as_one() {
    let bytes = request(&[b"SET", b"k", b"value"]);
    let mut rig = Rig::new();
    rig.bytes(&bytes[..20]);
    assert_eq!(abort(&mut rig, &bytes[20..]), REPLY);
    assert!(!rig.session.closing());
    rig.bytes(&bytes[..20]);
    assert_eq!(abort(&mut rig, b""), REPLY);
    assert!(rig.session.closing());
}

#[test]
fn a_violation_closes() {
    let mut rig = Rig::new();
    let replies = abort(&mut rig, b"PING\r\n*1\r\n:\r\n");
    assert!(replies.starts_with(REPLY) && replies.len() > REPLY.len());
    assert!(rig.session.closing());
}

#[test]
fn the_error_stays_one_line() {
    let mut rig = Rig::new();
    rig.session.abort(b"PING\r\n", "ERR a\r\n+b");
    assert_eq!(rig.session.output(), b"-ERR a  +b\r\n");
}
