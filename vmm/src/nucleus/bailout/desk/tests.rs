//! A desk and a supervisor domain's ends of its channels, played by the test.

use std::time::Duration;

use atoll_ipc::abi::Name;
use atoll_ipc::bailout::{Bailout, NUCLEUS, Report, SUSPENDED};
use atoll_ipc::channel::{Layout, Region, Role};
use atoll_ipc::interface::arguments;
use atoll_ipc::message::Status;

use super::*;
use crate::channel::ChannelMemory;
use crate::control::api::{FaultKind, Hex, Registers};
use crate::domain::new_event;
use crate::ipc::{End as ChannelEnd, Spin, Waiter};
use crate::supervisor::{End, Forecast};

const HOUR: Duration = Duration::from_secs(3600);

struct Guard {
    faults: Port,
    memory: ChannelMemory,
}

fn end(memory: &ChannelMemory, own: &Arc<EventFd>, peer: &Arc<EventFd>) -> ChannelEnd {
    ChannelEnd {
        name: Name::new(NUCLEUS),
        interface: Bailout::INTERFACE,
        memory: memory.clone(),
        peer: peer.clone(),
        waiter: Waiter::new(own.clone(), Spin::For(Duration::ZERO)),
    }
}

fn desk() -> (Desk, Guard) {
    let event = || Arc::new(new_event().unwrap());
    let (wake, peer) = (event(), event());
    let layout = Layout { requests: 4096, replies: 4096, ..Layout::PLAIN };
    let (calls, questions) =
        (ChannelMemory::new(layout).unwrap(), ChannelMemory::new(layout).unwrap());
    let channel = Channel::new(end(&calls, &wake, &peer));
    let office = Port::new(end(&questions, &wake, &peer)).without_patience();
    let faults = Port::new(end(&calls, &peer, &wake)).without_patience();
    let ports = vec![(format!("guard:{SUSPENDED}"), channel)];
    (Desk { ports, office, wake, cases: Table::default() }, Guard { faults, memory: calls })
}

fn fault(epoch: u64) -> FaultReport {
    FaultReport {
        domain: "ward".to_owned(),
        epoch,
        time: 0,
        kind: FaultKind::Exception,
        vector: Some(6),
        vector_name: Some("invalid opcode".to_owned()),
        error_code: None,
        explanation: None,
        rip: Hex(0x40_1000),
        cr2: None,
        registers: Registers::default(),
        message: None,
        backtrace: Vec::new(),
        vcpu: 0,
        uptime_micros: 1,
        restart_count: 0,
        decision: None,
        restart: None,
    }
}

fn failure(domain: usize) -> Failure {
    Failure {
        domain,
        end: End::Fault,
        uptime: HOUR,
        faults: 1,
        can_resume: true,
        forecast: Forecast::StayDown,
    }
}

/// What became of all cases by then, by domain.
fn decided(desk: &mut Desk, now: Instant) -> Vec<(usize, Result<Verdict, Silence>)> {
    desk.decided(now).into_iter().map(|decided| (decided.domain, decided.verdict)).collect()
}

#[test]
fn a_verdict_is_heard_once_and_of_the_domain_that_it_is_about() {
    let (mut desk, mut guard) = desk();
    let now = Instant::now();
    for domain in [3, 5] {
        desk.ask(0, &fault(domain as u64), failure(domain), now + HOUR).unwrap();
    }
    assert_eq!(decided(&mut desk, now), [], "it has not answered");
    let first = guard.faults.poll().unwrap().unwrap();
    let second = guard.faults.poll().unwrap().unwrap();
    let (report,): (Report<'_>,) = arguments(&second.payload).unwrap();
    assert_eq!((report.domain, report.epoch, report.vector), ("ward", 5, Some(6)));
    assert_eq!(desk.cases.get(report.capability).unwrap().domain, 5);
    guard.faults.reply(second, &[Verdict::Hold as u8]);
    assert_eq!(decided(&mut desk, now), [(5, Ok(Verdict::Hold))]);
    assert_eq!(decided(&mut desk, now), []);
    guard.faults.reply(first, &[Verdict::Restart as u8]);
    assert_eq!(decided(&mut desk, now), [(3, Ok(Verdict::Restart))]);
    assert_eq!(desk.cases.iter().count(), 0);
}

#[test]
fn nobody_is_waited_for_beyond_the_deadline() {
    let (mut desk, mut guard) = desk();
    let deadline = Instant::now() + HOUR;
    desk.ask(0, &fault(1), failure(0), deadline).unwrap();
    let late = guard.faults.poll().unwrap().unwrap();
    assert_eq!(decided(&mut desk, deadline - Duration::from_nanos(1)), []);
    assert_eq!(decided(&mut desk, deadline), [(0, Err(Silence::Late))]);
    assert!(guard.faults.is_cancelled(&late));
    guard.faults.reply(late, &[Verdict::Hold as u8]);
    assert_eq!(decided(&mut desk, deadline), [], "it is too late");
}

#[test]
fn an_answer_that_is_there_counts_though_it_is_late() {
    let (mut desk, mut guard) = desk();
    let deadline = Instant::now();
    desk.ask(0, &fault(1), failure(0), deadline).unwrap();
    let message = guard.faults.poll().unwrap().unwrap();
    guard.faults.reply(message, &[Verdict::Resume as u8]);
    assert_eq!(decided(&mut desk, deadline + HOUR), [(0, Ok(Verdict::Resume))]);
}

#[test]
fn what_is_no_verdict_is_silence() {
    let (mut desk, mut guard) = desk();
    let now = Instant::now();
    for bytes in [&[][..], &[6], &[0, 0], &[0xff; 600]] {
        desk.ask(0, &fault(1), failure(0), now + HOUR).unwrap();
        let message = guard.faults.poll().unwrap().unwrap();
        guard.faults.reply(message, bytes);
        assert_eq!(decided(&mut desk, now), [(0, Err(Silence::Nonsense))], "{bytes:?}");
    }
    desk.ask(0, &fault(1), failure(0), now + HOUR).unwrap();
    let message = guard.faults.poll().unwrap().unwrap();
    guard.faults.fail(message, Status::Denied);
    assert_eq!(decided(&mut desk, now), [(0, Err(Silence::Refused))]);
}

#[test]
fn one_that_reads_nothing_is_full_at_once_and_nothing_is_left_of_the_case() {
    let (mut desk, _guard) = desk();
    let now = Instant::now();
    let full = (0..100).find_map(|n| desk.ask(0, &fault(1), failure(n), now + HOUR).err());
    assert_eq!(full, Some(Silence::Busy));
    let open = desk.cases.iter().count();
    assert_eq!(decided(&mut desk, now), []);
    desk.withdraw(|case| case.domain == 0);
    assert_eq!(desk.cases.iter().count(), open - 1);
    assert_eq!(decided(&mut desk, now + HOUR).len(), open - 1, "all others are late");
}

#[test]
fn a_death_and_an_end_are_told_apart() {
    let (mut desk, mut guard) = desk();
    let now = Instant::now();
    desk.ask(0, &fault(1), failure(0), now + HOUR).unwrap();
    let _taken = guard.faults.poll().unwrap().unwrap();
    guard.memory.restart(Role::Server, 2, None);
    assert_eq!(decided(&mut desk, now), [(0, Err(Silence::Died))]);
    guard.memory.status().set_gone(Role::Server, true);
    let asked = desk.ask(0, &fault(1), failure(0), now + HOUR);
    let told = asked.err().or_else(|| decided(&mut desk, now).pop()?.1.err());
    assert_eq!(told, Some(Silence::Down));
}
