//! Whole conversations between a client and a server, with a nucleus that restarts either: every
//! call has exactly one outcome, and nobody sleeps while the other waits for them.

mod actors;
mod world;

use std::vec;

use proptest::prelude::*;

use crate::channel::Role;
use crate::support::{cases, steps};
use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..=400_usize).prop_map(|length| Op::Call { length }),
        4 => (0..=48_usize).prop_map(|length| Op::Exchange { length }),
        2 => (0..=400_usize).prop_map(|length| Op::Send { length }),
        6 => Just(Op::Take),
        6 => any::<usize>().prop_map(|which| Op::Answer { which }),
        1 => any::<usize>().prop_map(|which| Op::Cancel { which }),
        6 => Just(Op::Hear),
        1 => any::<u64>().prop_map(|bits| Op::Notify { bits }),
        2 => Just(Op::RestartServer),
        2 => Just(Op::RestartClient),
        1 => (1..400_usize).prop_map(|steps| Op::Live { steps }),
        3 => prop_oneof![Just(Role::Client), Just(Role::Server)].prop_map(|role| Op::Alone { role }),
    ]
}

fn ring_words() -> impl Strategy<Value = usize> {
    (4..9_u32).prop_map(|log| 1 << log)
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn each_call_has_one_outcome_whoever_restarts_and_whenever(
        request_words in ring_words(),
        reply_words in ring_words(),
        ops in prop::collection::vec(op(), 1..=steps(200)),
    ) {
        let mut world = World::new(request_words, reply_words);
        for op in &ops {
            world.apply(op);
        }
        world.settle();
    }
}

/// The shortest conversation with every kind of loss in it, for a reader to follow.
#[test]
fn what_was_taken_fails_what_was_answered_counts_and_what_was_not_read_is_served() {
    let mut world = World::new(64, 64);
    let calls = [Op::Call { length: 8 }, Op::Call { length: 8 }, Op::Call { length: 8 }];
    for op in calls.iter().chain(&[Op::Take, Op::Take, Op::Answer { which: 0 }, Op::RestartServer])
    {
        world.apply(op);
    }
    world.settle();
    assert_eq!((world.answered(), world.failed()), (2, 1));
}

#[test]
fn a_client_that_died_gets_no_answers_and_its_successor_all_of_its_own() {
    let mut world = World::new(64, 64);
    for op in [
        Op::Call { length: 8 },
        Op::Take,
        Op::Call { length: 8 },
        Op::RestartClient,
        Op::Call { length: 8 },
        Op::Answer { which: 0 },
    ] {
        world.apply(&op);
    }
    world.settle();
    assert_eq!((world.answered(), world.failed()), (1, 0));
}

#[test]
fn both_may_die_at_once_and_the_next_two_understand_each_other() {
    let mut world = World::new(16, 16);
    let rounds = if cfg!(miri) { 4 } else { 20 };
    for _ in 0..rounds {
        for op in [
            Op::Call { length: 40 },
            Op::Take,
            Op::RestartClient,
            Op::RestartServer,
            Op::Call { length: 40 },
            Op::Hear,
        ] {
            world.apply(&op);
        }
    }
    world.settle();
    assert!(world.answered() > 0);
}

/// The server of a client that has just restarted dies in its turn, and the next one looks, finds
/// nobody, and sleeps before that client has come so far as to attach.
#[test]
fn a_client_that_attaches_late_wakes_the_server_that_waits_for_it() {
    let mut world = World::new(64, 64);
    let alone = Op::Alone { role: Role::Server };
    for op in [Op::RestartClient, Op::RestartServer, alone, Op::Call { length: 8 }] {
        world.apply(&op);
    }
    world.settle();
    assert_eq!((world.answered(), world.failed()), (1, 0));
}
