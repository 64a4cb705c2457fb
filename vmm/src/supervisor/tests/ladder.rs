//! Crash loops: checkpoint, image, pauses.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{End, MIN_RUN, Standing};
use super::driver::{Driver, LONG, domains};
use crate::manifest::Group;

/// Faults a domain at once, and lets a pause pass: what was said, and the pause in microseconds.
fn crash(driver: &mut Driver) -> (String, u128) {
    driver.ends("a", End::Fault, Duration::ZERO);
    let mut said = driver.obey();
    let mut pause = Duration::ZERO;
    if let Standing::Pausing { until } = driver.standing("a") {
        assert_eq!(said, ["pause a"]);
        pause = until - driver.now;
        driver.now = until;
        driver.supervisor.tick(until);
        said = driver.obey();
    }
    assert_eq!(said.len(), 1);
    (said.remove(0), pause.as_micros())
}

fn up(keys: &str) -> Driver {
    let mut driver = Driver::new(&format!("{}{keys}", domains(&["a"])), &[]);
    driver.obey();
    driver.ready("a");
    driver
}

#[test]
fn checkpoint_then_image_then_pauses() {
    let mut driver = up("");
    for _ in 0..3 {
        assert_eq!(crash(&mut driver), ("resume a".to_owned(), 0));
    }
    assert_eq!(crash(&mut driver), ("start a".to_owned(), 0), "the checkpoint may be bad");
    driver.ready("a");
    let mut longest = 10_000;
    for _ in 0..12 {
        let (said, pause) = crash(&mut driver);
        assert_eq!(said, "start a");
        assert!((longest * 3 / 4..=longest).contains(&pause), "{pause} {longest}");
        longest = (longest * 2).min(1_000_000);
        driver.ready("a");
    }
}

/// What the default intensity builds on.
#[test]
fn a_crash_loop_alone_stays_below_20_restarts_in_5_seconds() {
    for ready in [true, false] {
        let mut driver = up("");
        let mut restarts = 0;
        while driver.now < Group::PERIOD {
            crash(&mut driver);
            restarts += 1;
            if ready {
                driver.ready("a");
            }
        }
        assert!((10..20).contains(&restarts), "{restarts}");
    }
}

#[test]
fn without_a_checkpoint_pauses_come_one_earlier() {
    for (keys, ready) in [("", false), ("restart-from = \"image\"", true)] {
        let mut driver = Driver::up(&format!("{}{keys}", domains(&["a"])));
        for _ in 0..3 {
            if ready {
                driver.ready("a");
            }
            assert_eq!(crash(&mut driver), ("start a".to_owned(), 0));
        }
        assert!(crash(&mut driver).1 >= 7_500);
    }
}

#[test]
fn a_run_that_lasted_an_operator_or_a_kill_ends_the_loop() {
    let mut driver = up("");
    let loops = |driver: &mut Driver| (0..6).for_each(|_| drop(crash(driver)));
    loops(&mut driver);
    driver.ready("a");
    driver.ends("a", End::Hung, MIN_RUN);
    assert_eq!(driver.obey(), ["resume a"]);
    loops(&mut driver);
    driver.ends("a", End::Killed, Duration::ZERO);
    driver.obey();
    assert_eq!(crash(&mut driver).1, 0);
    loops(&mut driver);
    driver.restart("a");
    driver.stopped("a");
    driver.started("a");
    assert_eq!(crash(&mut driver).1, 0);
}

#[test]
fn long_life_before_being_ready_is_none() {
    let mut driver = Driver::new(&format!("{}backoff-free = 0", domains(&["a"])), &["a"]);
    driver.said();
    driver.started("a");
    driver.ends("a", End::Fault, LONG);
    assert_eq!(driver.said(), ["pause a"]);
}

#[test]
fn an_image_incarnation_needs_a_checkpoint_of_its_own() {
    let mut driver = up("");
    (0..4).for_each(|_| drop(crash(&mut driver)));
    assert_eq!(driver.fault("a"), ["start a"], "it has not been ready yet");
    driver.ready("a");
    assert_eq!(driver.fault("a"), ["resume a"]);
}

#[test]
fn a_checkpoint_taken_on_the_way_out_is_none() {
    let text = "[supervision]\nstrategy = \"one-for-all\"\nintensity = 1\n[groups.g]\n\
        strategy = \"one-for-all\"\nintensity = 1\n";
    let text = format!(
        "{text}{}group = \"g\"\n[domains.b]\nimage = \"x\"\ngroup = \"g\"\n",
        domains(&["a"])
    );
    let mut driver = Driver::up(&text);
    driver.fault("b");
    driver.ends("b", End::Fault, LONG);
    assert_eq!(driver.said(), ["g gives up", "root restarts", "stop a"]);
    driver.ready("a");
    assert_eq!(driver.stopped("a"), ["start a", "start b"]);
}

proptest! {
    #[test]
    fn pauses_keep_to_their_bounds(first in 1_u64..500, more in 0_u64..2000, free in 0_usize..5) {
        let cap = first + more;
        let keys = format!(
            "backoff-first = \"{first} ms\"\nbackoff-cap = \"{cap} ms\"\nbackoff-free = {free}\n"
        );
        let mut driver = Driver::up(&format!("{}{keys}", domains(&["a"])));
        for crashes in 0..free + 12 {
            let pause = crash(&mut driver).1 as u64;
            let most = match crashes.checked_sub(free) {
                None => 0,
                Some(doublings) => (first << doublings).min(cap) * 1000,
            };
            prop_assert!(pause <= most && pause + most / 4 + 1 >= most, "{} {}", pause, most);
        }
    }
}
