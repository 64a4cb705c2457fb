//! Starts, stops, deadlines, operators, and those who hear of faults.

use std::time::Duration;

use super::super::{Action, End, Ending, Standing, Why};
use super::driver::{Driver, LONG, domains};
use crate::manifest::RestartFrom;

/// "When the supervisor is started, the child processes are started in order from left to right
/// according to this list. When the supervisor terminates, it first terminates its child
/// processes in reversed start order."
#[test]
fn starts_in_order_and_stops_in_reverse() {
    let mut driver = Driver::new(&domains(&["b", "a", "c"]), &[]);
    assert_eq!(driver.obey(), ["start b", "start a", "start c"]);
    driver.supervisor.stop("signal 15", driver.now);
    let said = driver.obey();
    let orders: Vec<_> = said.iter().filter(|text| text.starts_with("stop")).collect();
    assert_eq!(orders, ["stop c", "stop a", "stop b"]);
    assert_eq!(said.last().unwrap(), "end 0: signal 15");
}

#[test]
fn a_start_waits_for_what_it_is_after() {
    let text = "[domains.a]\nimage = \"x\"\nafter = [\"c\"]\n\
        [domains.b]\nimage = \"x\"\n[domains.c]\nimage = \"x\"\n";
    let mut driver = Driver::new(text, &["c"]);
    assert_eq!(driver.said(), ["start b", "start c"], "others start side by side");
    assert_eq!(driver.started("c"), [""; 0], "it runs, but is not ready");
    assert_eq!(driver.standing("a"), Standing::Waiting);
    assert_eq!(driver.ready("c"), ["start a"]);
}

#[test]
fn what_has_finished_holds_up_nobody() {
    let text = "[domains.setup]\nimage = \"x\"\n\
        [domains.main]\nimage = \"x\"\nafter = [\"setup\"]\n";
    let mut driver = Driver::new(text, &["setup"]);
    driver.said();
    driver.started("setup");
    driver.ends("setup", End::Clean, LONG);
    assert_eq!(driver.said(), ["setup down: it has finished", "start main"]);
}

/// OTP starts a child when the one before it is initialised; here later members of a
/// `rest-for-one` group build on earlier ones.
#[test]
fn members_of_a_rest_for_one_group_start_one_after_the_other() {
    let tables = domains(&["a", "b", "c"]);
    let mut driver =
        Driver::new(&format!("[supervision]\nstrategy = \"rest-for-one\"\n{tables}"), &["b"]);
    assert_eq!(driver.said(), ["start a"]);
    assert_eq!(driver.started("a"), ["start b"]);
    assert_eq!(driver.started("b"), [""; 0]);
    assert_eq!(driver.ready("b"), ["start c"]);
}

#[test]
fn a_server_that_is_never_ready() {
    let mut driver = Driver::new(&format!("{}start-deadline = \"2 s\"", domains(&["a"])), &["a"]);
    driver.said();
    driver.started("a");
    assert_eq!(driver.supervisor.deadline(), Some(Duration::from_secs(2)));
    assert_eq!(driver.pass(Duration::from_millis(1999)), [""; 0]);
    assert_eq!(driver.pass(Duration::from_millis(1)), ["force a"]);
    assert_eq!(driver.supervisor.deadline(), None, "what is forced always ends");
    driver.ends("a", End::Killed, Duration::from_secs(2));
    assert_eq!(driver.said(), ["start a"], "as a failure of its own: three more are free");
    for _ in 0..2 {
        assert_eq!(driver.pass(Duration::from_secs(2)), ["force a"], "also one that never runs");
        assert_eq!(driver.stopped("a"), ["start a"]);
    }
    driver.pass(Duration::from_secs(2));
    assert_eq!(driver.stopped("a"), ["pause a"]);
}

/// OTP's shutdown with a timeout: a child is told to terminate, and killed if it has not done so
/// within that time.
#[test]
fn who_does_not_stop_in_time_is_forced() {
    let mut driver = Driver::up(&format!("{}stop-deadline = \"100 ms\"", domains(&["a", "b"])));
    driver.supervisor.stop("it is late", driver.now);
    assert_eq!(driver.said(), ["stop b"]);
    assert_eq!(driver.pass(Duration::from_millis(99)), [""; 0]);
    assert_eq!(driver.pass(Duration::from_millis(1)), ["force b"]);
    assert_eq!(driver.stopped("b"), ["b down: the system ends", "stop a"]);
    driver.supervisor.stop("again", driver.now);
    let end = "end 0: it is late";
    assert_eq!(driver.stopped("a"), ["a down: the system ends", end]);
    driver.supervisor.stop("again", driver.now);
    assert_eq!(driver.said(), [""; 0], "said once");
}

#[test]
fn a_stop_amid_everything() {
    let tables = domains(&["a", "b", "c", "d"]);
    let text = format!("[supervision]\nstrategy = \"rest-for-one\"\n{tables}");
    let mut driver = Driver::new(&text, &["c"]);
    driver.said();
    driver.started("a");
    driver.started("b");
    driver.started("c");
    driver.supervisor.stop("enough", driver.now);
    // Not started: it stays so. Not ready: it has nothing to put in order.
    assert_eq!(driver.said(), ["d down: the system ends", "force c"]);
    driver.ends("b", End::Fault, LONG);
    assert_eq!(driver.said(), ["b down: the system ends"]);
    assert_eq!(driver.stopped("c"), ["c down: the system ends", "stop a"]);
    assert_eq!(driver.supervisor.restart(0, driver.now), Err(Ending::Asked("enough".to_owned())));
    assert_eq!(driver.stopped("a"), ["a down: the system ends", "end 0: enough"]);
}

/// OTP's `restart_child` is about that child alone.
#[test]
fn an_operator_restarts_one_domain() {
    let tables = domains(&["a", "b"]);
    let mut driver = Driver::up(&format!("[supervision]\nstrategy = \"one-for-all\"\n{tables}"));
    assert_eq!(driver.restart("a"), ["stop a"]);
    assert_eq!(driver.restart("a"), [""; 0], "it is on its way");
    assert_eq!(driver.stopped("a"), ["start a"]);
    driver.started("a");
    driver.ends("b", End::Clean, LONG);
    assert_eq!(driver.said(), ["b down: it has finished"]);
    assert_eq!(driver.restart("b"), ["start b"]);
}

#[test]
fn an_operators_restart_cuts_a_pause_short() {
    let mut driver = Driver::up(&format!("{}backoff-free = 0\n", domains(&["a"])));
    driver.ends("a", End::Fault, Duration::ZERO);
    assert_eq!(driver.said(), ["pause a"]);
    assert_eq!(driver.restart("a"), ["start a"]);
    driver.started("a");
    assert_eq!(driver.supervisor.deadline(), None);
}

#[test]
fn who_hears_of_faults_decides() {
    let tables = domains(&["b", "c"]);
    let text = format!("[groups.g]\n[domains.a]\nimage = \"x\"\ngroup = \"g\"\n{tables}");
    let mut driver = Driver::up(&text);
    driver.supervisor.held(driver.number("b"), driver.now);
    assert_eq!(driver.said(), ["b down: its supervisor domain holds it down"]);
    assert_eq!(driver.standing("b"), Standing::Down(Why::Held));
    driver.supervisor.escalated(driver.number("a"), driver.now);
    assert_eq!(driver.obey(), ["g gives up", "start a"]);
    driver.supervisor.escalated(driver.number("c"), driver.now);
    let said = driver.obey();
    assert_eq!(said[0], "root gives up");
    assert_eq!(said.last().unwrap(), "end 8: supervision gave up: restarts did not help");
}

#[test]
fn who_hears_of_faults_may_have_a_domain_again_whatever_its_policy_says() {
    let text = format!("{}restart = \"never\"\nbackoff-free = 0\n", domains(&["a"]));
    let mut driver = Driver::up(&text);
    driver.supervisor.ready(driver.number("a"), driver.now);
    for from in [RestartFrom::Checkpoint, RestartFrom::Image] {
        driver.supervisor.replaced(driver.number("a"), from, driver.now);
        let start = driver.supervisor.next_action();
        assert_eq!(start, Some(Action::Start { domain: 0, from }), "at once");
        assert_eq!(driver.supervisor.next_action(), None);
        driver.started("a");
    }
}

#[test]
fn no_word_of_anybody_restarts_more_often_than_a_group_may() {
    let text = format!("[supervision]\nintensity = 2\n{}", domains(&["a"]));
    let mut driver = Driver::up(&text);
    for _ in 0..2 {
        driver.supervisor.replaced(driver.number("a"), RestartFrom::Checkpoint, driver.now);
        assert_eq!(driver.said(), ["start a"]);
        driver.started("a");
    }
    driver.supervisor.replaced(driver.number("a"), RestartFrom::Checkpoint, driver.now);
    assert_eq!(driver.said()[0], "root gives up");
}

#[test]
fn what_makes_no_sense_is_ignored() {
    let mut driver = Driver::up(&domains(&["a"]));
    for domain in [0, 1, usize::MAX] {
        driver.supervisor.started(domain, driver.now);
        driver.supervisor.ready(domain, driver.now);
    }
    driver.supervisor.ended(9, End::Fault, LONG, driver.now);
    assert_eq!(driver.supervisor.restart(9, driver.now), Ok(()));
    assert_eq!(driver.supervisor.standing(9), None);
    driver.ends("a", End::Clean, LONG);
    assert_eq!(driver.said(), ["a down: it has finished"]);
    driver.ends("a", End::Fault, LONG);
    assert_eq!(driver.stopped("a"), [""; 0], "it was down");
}
