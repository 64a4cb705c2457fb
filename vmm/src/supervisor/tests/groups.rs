//! Strategies, intensity and escalation. Quotations are from OTP's documentation of `supervisor`
//! and its design principles.

use std::time::Duration;

use super::super::{End, Standing, Why};
use super::driver::{Driver, LONG, domains};

const ABC: [&str; 3] = ["a", "b", "c"];

fn strategy(strategy: &str) -> Driver {
    Driver::up(&format!("[supervision]\nstrategy = \"{strategy}\"\n{}", domains(&ABC)))
}

/// "If a child process terminates, only that process is restarted."
#[test]
fn one_for_one() {
    assert_eq!(strategy("one-for-one").fault("b"), ["start b"]);
}

/// "If a child process terminates, all remaining child processes are terminated. Subsequently,
/// all child processes, including the terminated one, are restarted."
#[test]
fn one_for_all() {
    assert_eq!(
        strategy("one-for-all").fault("b"),
        ["root restarts", "stop c", "stop a", "start a", "start b", "start c"]
    );
}

/// "If a child process terminates, the child processes after the terminated process in start
/// order are terminated. Subsequently, the terminated child process and the remaining child
/// processes are restarted."
#[test]
fn rest_for_one() {
    assert_eq!(
        strategy("rest-for-one").fault("b"),
        ["root restarts", "stop c", "start b", "start c"]
    );
    assert_eq!(strategy("rest-for-one").fault("c"), ["start c"]);
}

/// "A temporary child process is never restarted (even when the supervisor's restart strategy is
/// rest_for_one or one_for_all and a sibling's death causes the temporary process to be
/// terminated)."
#[test]
fn a_domain_that_is_never_restarted() {
    let text =
        format!("[supervision]\nstrategy = \"one-for-all\"\n{}restart = \"never\"", domains(&ABC));
    let mut driver = Driver::up(&text);
    let sibling = "c down: its group restarts, and it is never to be restarted";
    assert_eq!(
        driver.fault("a"),
        ["root restarts", "stop c", sibling, "stop b", "start a", "start b"]
    );
    assert_eq!(driver.fault("a"), ["root restarts", "stop b", "start a", "start b"]);
    let mut driver = Driver::up(&text);
    assert_eq!(driver.fault("c"), ["c down: it is never to be restarted"], "no sibling is stopped");
    assert_eq!(driver.standing("c"), Standing::Down(Why::Never));
}

/// "A transient child process is restarted only if it terminates abnormally." When its group
/// restarts, all children whose specifications the supervisor still has are started, and those of
/// transient children it keeps.
#[test]
fn a_domain_that_has_finished_starts_again_with_its_group() {
    let mut driver = strategy("one-for-all");
    driver.ends("b", End::Clean, LONG);
    assert_eq!(driver.obey(), ["b down: it has finished"]);
    assert_eq!(driver.fault("a"), ["root restarts", "stop c", "start a", "start b", "start c"]);
}

/// "A permanent child process is always restarted."
#[test]
fn a_domain_that_is_always_restarted() {
    let mut driver = Driver::up(&format!("{}restart = \"always\"", domains(&["a"])));
    driver.ends("a", End::Clean, LONG);
    assert_eq!(driver.obey(), ["start a"]);
}

/// "If more than MaxR number of restarts occur in the last MaxT seconds, the supervisor
/// terminates all the child processes and then itself."
#[test]
fn a_group_gives_up_at_more_than_its_intensity() {
    let text = format!("[supervision]\nintensity = 2\nperiod = \"5 s\"\n{}", domains(&ABC));
    let mut driver = Driver::up(&text);
    assert_eq!(driver.fault("a"), ["start a"]);
    driver.pass(Duration::from_secs(5));
    assert_eq!(driver.fault("b"), ["start b"], "the first is just within the period");
    let ends = ["root gives up", "a down: the system ends", "stop c", "c down: the system ends"];
    let end =
        ["stop b", "b down: the system ends", "end 8: supervision gave up: restarts did not help"];
    assert_eq!(driver.fault("a"), [&ends[..], &end].concat());
}

#[test]
fn restarts_beyond_the_period_are_forgotten() {
    let text = format!("[supervision]\nintensity = 2\nperiod = \"5 s\"\n{}", domains(&ABC));
    let mut driver = Driver::up(&text);
    for _ in 0..100 {
        assert_eq!(driver.fault("a"), ["start a"]);
        driver.pass(Duration::from_millis(2501));
    }
}

/// "When the supervisor terminates, then the next higher-level supervisor takes some action. It
/// either restarts the terminated supervisor or terminates itself."
#[test]
fn a_group_that_gives_up_has_failed_as_a_member_of_its_parent() {
    let text = "[supervision]\nstrategy = \"rest-for-one\"\nintensity = 1\n\
        [domains.a]\nimage = \"x\"\n\
        [groups.g]\nintensity = 1\n\
        [domains.b]\nimage = \"x\"\ngroup = \"g\"\n\
        [domains.c]\nimage = \"x\"\ngroup = \"g\"\nrestart = \"never\"\n\
        [domains.d]\nimage = \"x\"\n";
    let mut driver = Driver::up(text);
    assert_eq!(driver.ready("b"), [""; 0]);
    assert_eq!(driver.fault("b"), ["resume b"], "there is a checkpoint");
    driver.ends("c", End::Clean, LONG);
    assert_eq!(driver.obey(), ["c down: it has finished"]);
    // The parent restarts what gave up and what is after it. The group begins anew: from the
    // image, with the domain that is never restarted, and with no restarts counted.
    assert_eq!(
        driver.fault("b"),
        ["g gives up", "root restarts", "stop d", "start b", "start c", "start d"]
    );
    assert_eq!(driver.fault("b"), ["start b"], "the group counts from nothing");
    let last = driver.fault("b");
    assert_eq!(last[..2], ["g gives up", "root gives up"]);
    assert_eq!(last.last().unwrap(), "end 8: supervision gave up: restarts did not help");
}

#[test]
fn a_group_may_stay_down_instead() {
    let text = "[groups.g]\nintensity = 1\nescalation = \"stay-down\"\n\
        [domains.a]\nimage = \"x\"\ngroup = \"g\"\n\
        [domains.b]\nimage = \"x\"\ngroup = \"g\"\n\
        [domains.c]\nimage = \"x\"\n";
    let mut driver = Driver::up(text);
    driver.fault("a");
    assert_eq!(
        driver.fault("a"),
        ["g gives up", "a down: its group gave up", "stop b", "b down: its group gave up"]
    );
    assert_eq!(driver.standing("c"), Standing::Up);
    assert_eq!(driver.restart("b"), ["start b"], "an operator brings it back");
}

#[test]
fn kills_count_for_nothing() {
    let mut driver = Driver::up(&format!("[supervision]\nintensity = 1\n{}", domains(&ABC)));
    for _ in 0..50 {
        driver.ends("a", End::Killed, Duration::ZERO);
        assert_eq!(driver.obey(), ["start a"]);
    }
    assert_eq!(driver.fault("a"), ["start a"]);
}

/// OTP: a start that fails while a supervisor restarts is one more restart.
#[test]
fn a_failure_amid_a_groups_restart() {
    let mut driver = strategy("one-for-all");
    driver.ends("b", End::Fault, LONG);
    assert_eq!(driver.said(), ["root restarts", "stop c"]);
    driver.ends("a", End::Fault, LONG);
    assert_eq!(driver.said(), [""; 0], "it was to end anyway");
    assert_eq!(driver.stopped("c"), ["start a", "start b", "start c"]);
    assert_eq!(driver.started("a"), [""; 0]);
    driver.ends("b", End::Fault, LONG);
    // The order to start `c` is still to be answered.
    assert_eq!(driver.said(), ["root restarts"]);
    assert_eq!(driver.started("c"), ["stop c"]);
    assert_eq!(driver.stopped("c"), ["stop a"]);
    assert_eq!(driver.stopped("a"), ["start a", "start b", "start c"]);
}

#[test]
fn a_pause_holds_for_all_who_restart_together() {
    let text = "backoff-free = 0\n";
    let mut driver =
        Driver::up(&format!("[supervision]\nstrategy = \"one-for-all\"\n{}{text}", domains(&ABC)));
    driver.ends("c", End::Fault, Duration::ZERO);
    assert_eq!(driver.obey(), ["pause c", "root restarts", "stop b", "stop a"]);
    let Standing::Pausing { until } = driver.standing("a") else { panic!() };
    assert_eq!(driver.supervisor.deadline(), Some(until));
    driver.pass(until - Duration::from_nanos(1));
    assert_eq!(driver.said(), [""; 0]);
    assert_eq!(driver.pass(Duration::from_nanos(1)), ["start a", "start b", "start c"]);
}

#[test]
fn groups_do_not_wait_for_each_other() {
    let text = "[groups.g]\nstrategy = \"one-for-all\"\n[groups.h]\nstrategy = \"one-for-all\"\n\
        [domains.a]\nimage = \"x\"\ngroup = \"g\"\n[domains.b]\nimage = \"x\"\ngroup = \"g\"\n\
        [domains.c]\nimage = \"x\"\ngroup = \"h\"\n[domains.d]\nimage = \"x\"\ngroup = \"h\"\n";
    let mut driver = Driver::up(text);
    driver.ends("a", End::Fault, LONG);
    assert_eq!(driver.said(), ["g restarts", "stop b"]);
    driver.ends("d", End::Hung, LONG);
    assert_eq!(driver.said(), ["h restarts", "stop c"]);
    assert_eq!(driver.stopped("c"), ["start c", "start d"], "b has yet to stop");
    assert_eq!(driver.stopped("b"), ["start a", "start b"]);
}
