//! Many clients of one server: all are served, in turn, whatever any one of them does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use atoll_tests::System;
use atoll_tests::environment::rounds;
use atoll_tests::storm::{Stormer, Tally, one_more, one_more_server, op};

const CLIENTS: usize = 64;
/// Messages that wait in each client's ring when the server sets to work.
const WAITING: usize = 30;
/// Clients that are restarted again and again.
const RESTLESS: usize = 4;

fn name(client: usize) -> String {
    format!("c{client}")
}

fn start() -> Option<System> {
    let clients: String = (0..CLIENTS).map(|n| one_more(&name(n), "server")).collect();
    System::start(&format!("name = \"many\"\n{}{clients}", one_more_server("server")))
}

/// Each client's `n`th turn must come before anybody's turn `2 n + 2`.
fn assert_in_turn(order: &[usize]) {
    let mut turns: BTreeMap<usize, usize> = (0..CLIENTS).map(|client| (client, 0)).collect();
    for (at, client) in order.iter().enumerate() {
        *turns.get_mut(client).expect("clients are numbered") += 1;
        let (least, most) = (turns.values().min(), turns.values().max());
        let (least, most) = least.zip(most).expect("there are clients");
        assert!(
            *most <= 2 * least + 2,
            "after {at} messages somebody had {most} turns and somebody {least}: {turns:?}"
        );
        if *least == WAITING {
            return;
        }
    }
    panic!("not all were served: {turns:?}");
}

#[test]
fn messages_that_wait_are_served_in_turn_even_if_one_client_floods() {
    let Some(system) = start() else { return };
    let mut clients: Vec<_> = (0..CLIENTS).map(|n| Stormer::connect(&system, &name(n))).collect();
    for _ in 0..rounds(5, 1) {
        clients[0].ask("order");
        let mark = system.records().mark();
        system.order("server", "pause");
        system.event_after(mark, "server", "domain-paused");
        let flood = format!("start {} 60 reply 16", op::EXCHANGE);
        assert_eq!(clients[0].ask(&flood), "started 60");
        for client in &mut clients[1..] {
            let start = format!("start {} {WAITING} reply 16", op::EXCHANGE);
            assert_eq!(client.ask(&start), format!("started {WAITING}"));
        }
        system.order("server", "resume");
        for (number, client) in clients.iter_mut().enumerate() {
            let count = if number == 0 { 60 } else { WAITING as u64 };
            Tally::of(&client.ask("harvest")).assert_only(count, &["ok"]);
        }
        let order = clients[1].ask("order");
        let order: Vec<_> = order.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(order.len(), 60 + (CLIENTS - 1) * WAITING);
        assert_in_turn(&order);
    }
}

#[test]
fn all_are_served_while_one_floods_and_some_come_and_go() {
    let Some(system) = start() else { return };
    let (stop, kills) = (AtomicBool::new(false), rounds(40, 4));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut flood = Stormer::connect(&system, &name(0));
            while !stop.load(SeqCst) {
                flood.storm("pipeline", 1_000, "depth 64 max 1000");
            }
        });
        scope.spawn(|| {
            for kill in 0..kills {
                system.renew(&name(1 + kill % RESTLESS), "restart");
            }
            // They are served again, too.
            for restless in 1..=RESTLESS {
                Stormer::connect(&system, &name(restless)).storm("mix", 50, "max 10000");
            }
        });
        let steady: Vec<_> = (1 + RESTLESS..CLIENTS)
            .map(|number| {
                let system = &system;
                scope.spawn(move || {
                    let mut client = Stormer::connect(system, &name(number));
                    client.storm("call", rounds(500, 10), "max 10000");
                    client.storm("mix", rounds(500, 10), "max 10000");
                })
            })
            .collect();
        let all_well =
            steady.into_iter().map(thread::ScopedJoinHandle::join).all(|end| end.is_ok());
        stop.store(true, SeqCst);
        assert!(all_well, "every client is served");
    });
    assert_eq!((system.epoch("server"), system.number("server", "/faults")), (1, 0));
    let counts = Stormer::connect(&system, &name(9)).counts();
    assert_eq!(counts.get("malformed"), 0);
}
