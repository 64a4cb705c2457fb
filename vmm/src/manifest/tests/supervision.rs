//! What good manifests mean for supervision.

use std::time::Duration;

use super::super::{Backoff, Child, Escalation, Group, OnCrash, Policy, RestartFrom, Strategy};
use super::super::{Restart, Supervision};
use super::{parse, with};

const FULL: &str = r#"
name = "shop"

[supervision]
strategy = "rest-for-one"
intensity = 3
period = "2 min"
escalation = "stay-down"
bailout = "guard:faults"
bailout-deadline = "250 ms"

[domains.guard]
image = "bailout"
stop-deadline = "2 s"

[groups.inner]
parent = "shop"
strategy = "one-for-all"
intensity = 7
period = "500 ms"
bailout = "watch:faults"

[domains.front]
image = "front"
group = "shop"
after = ["store", "watch"]
restart = "always"
restart-from = "image"
backoff-first = "20 ms"
backoff-cap = "20 ms"
backoff-free = 0
start-deadline = "1 s"
watchdog = "300 ms"

[domains.front.ports.main]
on-crash = "redeliver"
poison-after = 5

[domains.front.ports.other]

[groups.shop]
escalation = "parent"

[domains.store]
image = "kv"
group = "inner"
bailout = "guard:alarms"

[domains.watch]
image = "bailout"
group = "inner"
ports.main.on-crash = "redeliver"
"#;

fn full() -> Supervision {
    parse(FULL).unwrap().supervision
}

#[test]
fn every_key_is_read() {
    let supervision = full();
    let [root, inner, shop] = &supervision.groups[..] else { panic!() };
    assert_eq!((root.title(), root.parent, root.intensity), ("root", None, 3));
    assert_eq!(root.strategy, Strategy::RestForOne);
    assert_eq!((root.period, root.escalation), (Duration::from_secs(120), Escalation::StayDown));
    assert_eq!((inner.title(), inner.parent, inner.intensity), ("inner", Some(2), 7));
    assert_eq!((inner.strategy, inner.period), (Strategy::OneForAll, Duration::from_millis(500)));
    assert_eq!((shop.title(), shop.parent), ("shop", Some(0)));
    assert_eq!(supervision.bailout_deadline, Duration::from_millis(250));
    let front = &supervision.domains[1];
    assert_eq!((front.domain.as_str(), front.group), ("front", 2));
    assert_eq!((front.restart, front.restart_from), (Restart::Always, RestartFrom::Image));
    let pause = Duration::from_millis(20);
    assert_eq!(front.backoff, Backoff { first: pause, cap: pause, free: 0 });
    assert_eq!(front.start_deadline, Duration::from_secs(1));
    assert_eq!(front.watchdog, Some(Duration::from_millis(300)));
    assert_eq!(front.after, [2, 3]);
    assert_eq!(supervision.domains[0].stop_deadline, Duration::from_secs(2));
    let fate = |domain: usize, port: &str| supervision.domains[domain].ports[port].on_crash;
    assert_eq!(fate(1, "main"), OnCrash::Redeliver { poison_after: 5 });
    assert_eq!(fate(1, "other"), OnCrash::Fail);
    assert_eq!(fate(3, "main"), OnCrash::Redeliver { poison_after: OnCrash::POISON_AFTER });
}

#[test]
fn what_is_absent_has_its_default() {
    let supervision = parse(&with("")).unwrap().supervision;
    let [root] = &supervision.groups[..] else { panic!() };
    assert_eq!((root.strategy, root.escalation), (Strategy::OneForOne, Escalation::Parent));
    assert_eq!((root.intensity, root.period), (Group::INTENSITY, Group::PERIOD));
    assert_eq!(root.children, [Child::Domain(0), Child::Domain(1)]);
    let kv = &supervision.domains[0];
    assert_eq!((kv.restart, kv.restart_from), (Restart::OnFault, RestartFrom::Checkpoint));
    assert_eq!((kv.backoff, kv.watchdog), (Backoff::default(), None));
    assert_eq!(
        (kv.start_deadline, kv.stop_deadline),
        (Policy::START_DEADLINE, Policy::STOP_DEADLINE)
    );
    assert!(kv.after.is_empty() && kv.bailout.is_none() && kv.ports.is_empty());
    assert_eq!(supervision.bailout_deadline, Policy::BAILOUT_DEADLINE);
}

#[test]
fn members_are_in_the_order_of_the_file_unless_one_is_after_another() {
    let children = |group: usize| full().groups[group].children.clone();
    assert_eq!(children(0), [Child::Domain(0), Child::Group(2)]);
    assert_eq!(children(1), [Child::Domain(2), Child::Domain(3)]);
    // `front` is written later than `inner`, and is after its domains anyway.
    assert_eq!(children(2), [Child::Group(1), Child::Domain(1)]);
    let order = |after: &str| {
        let more = format!("[domains.c]\nimage = \"x\"\n[domains.d]\nimage = \"x\"\n{after}");
        parse(&with(&more)).unwrap().supervision.groups[0].children.clone()
    };
    let domains = |numbers: [usize; 4]| numbers.map(Child::Domain);
    assert_eq!(order(""), domains([0, 1, 2, 3]));
    let text = with("after = [\"d\"]\n[domains.c]\nimage = \"x\"\n[domains.d]\nimage = \"x\"");
    assert_eq!(parse(&text).unwrap().supervision.groups[0].children, domains([0, 2, 3, 1]));
    assert_eq!(order("after = [\"c\", \"kv\"]"), domains([0, 1, 2, 3]));
}

#[test]
fn faults_go_to_the_nearest_who_is_not_the_failed_domain() {
    let supervision = full();
    let bailouts = supervision.domains.iter().map(|policy| policy.bailout.map(|p| p.to_string()));
    let expected = [None, Some("guard:faults"), Some("guard:alarms"), Some("guard:faults")];
    assert_eq!(bailouts.collect::<Vec<_>>(), expected.map(|port| port.map(str::to_owned)));
}
