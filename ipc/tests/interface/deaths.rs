//! What stubs make of a server's death, and of time that runs out meanwhile.

use std::time::Duration;

use atoll_ipc::interface::{Bytes, OnRestart, RETRIES_MAX};
use atoll_ipc::message::IpcError;

use crate::loopback::{Fate, Loopback, bound};

const DEATH: Fate = Fate::Lost(IpcError::PeerRestarted);
const DEATH_AFTER: Fate = Fate::Unanswered(IpcError::PeerRestarted);

#[test]
fn an_idempotent_call_outlives_deaths_by_itself_but_not_without_end() {
    for deaths in 0..=RETRIES_MAX {
        let mut channel = Loopback::with_fates(vec![DEATH_AFTER; deaths as usize]);
        assert_eq!(bound(&mut channel).add(1, 2), Ok(3));
        assert_eq!(channel.calls, deaths + 1);
        assert_eq!(channel.server.served, deaths + 1);
    }
    let mut channel = Loopback::with_fates(vec![DEATH; 100]);
    assert_eq!(bound(&mut channel).keep(Bytes(&[1; 500]), |_| ()), Err(IpcError::PeerRestarted));
    assert_eq!(channel.calls, RETRIES_MAX + 1);
}

#[test]
fn a_long_request_is_repeated_whole() {
    let mut channel = Loopback::with_fates([DEATH, DEATH]);
    let bytes = [9; 5000];
    assert_eq!(bound(&mut channel).keep(Bytes(&bytes), |kept| kept.to_vec()), Ok(bytes.to_vec()));
    assert_eq!(channel.calls, 3);
}

#[test]
fn a_once_call_does_what_its_caller_says() {
    let mut channel = Loopback::with_fates([DEATH_AFTER]);
    let outcome = bound(&mut channel).append(OnRestart::Fail, "a");
    assert_eq!(outcome, Err(IpcError::PeerRestarted));
    assert_eq!((channel.calls, channel.server.lines.len()), (1, 1));

    let mut channel = Loopback::with_fates([DEATH_AFTER, DEATH]);
    assert_eq!(bound(&mut channel).append(OnRestart::Retry, "a"), Ok(2), "carried out twice");
    assert_eq!(channel.calls, 3);

    let mut channel = Loopback::with_fates([DEATH_AFTER]);
    let outcome = bound(&mut channel).swap(OnRestart::Fail, Vec::new(), |_| ());
    assert_eq!((outcome, channel.calls), (Err(IpcError::PeerRestarted), 1));
}

#[test]
fn only_a_restart_is_answered_with_another_try() {
    for error in [IpcError::Timeout, IpcError::PeerGone, IpcError::Full, IpcError::Denied] {
        let mut channel = Loopback::with_fates([Fate::Lost(error)]);
        assert_eq!(bound(&mut channel).add(1, 1), Err(error));
        assert_eq!(channel.calls, 1);
    }
}

#[test]
fn retries_share_one_deadline() {
    let timeout = Duration::from_millis(25);
    let mut channel = Loopback::with_fates(vec![DEATH; 100]);
    channel.pace = Duration::from_millis(10);
    let end = channel.clock + timeout;
    let outcome = bound(&mut channel).with_timeout(timeout).add(1, 1);
    assert_eq!(outcome, Err(IpcError::Timeout));
    assert_eq!(channel.deadlines, [Some(end); 3], "10 and 20 ms are within it, 30 are not");
}

#[test]
fn without_a_timeout_there_is_no_deadline() {
    let mut channel = Loopback::default();
    bound(&mut channel).add(1, 1).expect("served");
    bound(&mut channel).note(1).expect("sent");
    assert_eq!(channel.deadlines, [None, None]);
    let mut channel = Loopback::default();
    let end = channel.clock.saturating_add(Duration::MAX);
    bound(&mut channel).with_timeout(Duration::MAX).note(1).expect("sent");
    assert_eq!(channel.deadlines, [Some(end)]);
}

#[test]
fn a_message_without_reply_is_sent_once() {
    let mut channel = Loopback::with_fates([DEATH]);
    assert_eq!(bound(&mut channel).note(1), Err(IpcError::PeerRestarted));
    assert_eq!(channel.calls, 1);
}
