//! Domains whose programs know nothing of Atoll: no guest kernel, no exception stubs. Whatever they
//! try, it is reported, and the domain beside them does not notice.

use atoll_tests::program::{self, code};
use atoll_tests::{Lines, Place, System, environment};
use serde_json::Value;

/// What a program of these instructions ends in, with another domain beside it.
fn fate(text: &[u8]) -> Option<Value> {
    let system = beside_another("never", text)?;
    system.event_after(0, "stranger", "domain-faulted");
    let report = system.inspect("stranger");
    assert_eq!(report["state"], "faulted");
    let mut neighbour = Lines::connect(&system.gateway("neighbour:crash"));
    assert_eq!(neighbour.ask("ping"), "pong");
    assert_eq!(system.epoch("neighbour"), 1);
    Some(report["last_fault"].clone())
}

/// A system of a stranger, under this restart policy, and a `crashme`.
fn beside_another(restart: &str, text: &[u8]) -> Option<System> {
    let place = Place::new(&format!(
        "name = \"strange\"\n\
         [domains.stranger]\nimage = \"./stranger.img\"\nrestart = \"{restart}\"\n\
         [domains.neighbour]\nimage = \"crashme\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"neighbour:crash\"\n"
    ));
    place.put("stranger.img", program::image("stranger", text));
    environment::has_kvm().then(|| System::start_at(place))
}

#[test]
fn an_exception_without_stubs_is_a_triple_fault() {
    for text in [code::UNDEFINED, code::WRITE_NULL, code::JUMP_AWAY] {
        let Some(fault) = fate(text) else { return };
        assert_eq!(fault["kind"], "triple-fault", "{text:x?}: {fault:#}");
        assert_eq!(fault["vector"], Value::Null);
        assert!(fault["explanation"].as_str().unwrap().contains("could not be delivered"));
    }
}

#[test]
fn a_port_that_is_not_its_own_is_named_or_cannot_be_reached() {
    // The first is a doorbell, which any program may ring, of a channel that is not there; the
    // others are forbidden to ring 3, where the host goes by the I/O bitmap.
    let cases = [
        (code::FOREIGN_DOORBELL, "0x401", false),
        (code::SERIAL_PORT, "0x3f8", true),
        (code::FAULT_PORT, "0xf", true),
    ];
    for (text, port, may_be_forbidden) in cases {
        let Some(fault) = fate(text) else { return };
        let explanation = fault["explanation"].as_str().unwrap();
        let named = fault["kind"] == "illegal-port"
            && explanation.contains(&format!("write to I/O port {port},"));
        let forbidden = may_be_forbidden && fault["kind"] == "triple-fault";
        assert!(named || forbidden, "{port}: {fault:#}");
    }
}

#[test]
fn a_stranger_that_never_ends_can_be_ended() {
    let Some(system) = beside_another("on-fault", code::FOREVER) else { return };
    assert_eq!(system.renew("stranger", "kill"), 2);
    assert_eq!(system.inspect("stranger")["last_fault"]["kind"], "killed");
    assert_eq!(system.renew("stranger", "restart"), 3);
    assert_eq!(system.number("stranger", "/faults"), 1);
    assert_eq!(Lines::connect(&system.gateway("neighbour:crash")).ask("ping"), "pong");
}

#[test]
fn a_stranger_that_faults_at_once_is_restarted_ever_more_slowly() {
    let Some(system) = beside_another("on-fault", code::UNDEFINED) else { return };
    let pause = |mark: usize| system.event_after(mark, "stranger", "domain-backing-off");
    let first = pause(0);
    let mark = system.records().mark();
    let later = pause(mark);
    assert!(later["micros"].as_u64() >= first["micros"].as_u64(), "{first} {later}");
    assert_eq!(Lines::connect(&system.gateway("neighbour:crash")).ask("ping"), "pong");
}
