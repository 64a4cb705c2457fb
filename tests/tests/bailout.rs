//! The bailout mailbox on real domains: who hears of faults, sees what is suspended, decides, and
//! what happens if it does not.

use atoll_tests::control::until;
use atoll_tests::environment::{patience, rounds};
use atoll_tests::records::is_event;
use atoll_tests::{Lines, System};
use serde_json::Value;

/// A ward that fails on demand, a bystander that does so too and tells nobody, and who hears.
fn manifest(head: &str, guard: &str, ward: &str) -> String {
    format!(
        "name = \"bailout\"\n{head}\n\
         [domains.guard]\n{guard}\n\
         [domains.ward]\nimage = \"crashme\"\nbailout = \"guard:faults\"\n{ward}\n\
         [domains.bystander]\nimage = \"crashme\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"ward:crash\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"bystander:crash\"\n"
    )
}

/// One whose supervisor domain does as it is told, within a deadline.
fn warded(deadline_ms: u128, ward: &str) -> Option<System> {
    let head = format!("[supervision]\nbailout-deadline = \"{deadline_ms} ms\"");
    let guard = "image = \"warden\"";
    let gateway = "[[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"guard:lines\"\n";
    let system = System::start(&format!("{}{gateway}", manifest(&head, guard, ward)))?;
    // It answers, so it is up.
    assert_eq!(guard_of(&system).ask("ping"), "pong");
    Some(system)
}

/// A deadline that no test meets.
fn ample() -> u128 {
    patience().as_millis() * 2
}

fn guard_of(system: &System) -> Lines {
    Lines::connect(&system.gateway("guard:lines"))
}

fn ward_of(system: &System) -> Lines {
    Lines::connect(&system.gateway("ward:crash"))
}

/// Has a fault of the ward kept; returns its capability, and the report's words.
fn suspend(system: &System, guard: &mut Lines, ward: &mut Lines, verb: &str) -> Heard {
    assert_eq!(guard.ask("on-fault keep"), "told");
    let (before, mark) = (guard.ask("report"), system.records().mark());
    ward.tell(verb);
    system.event_after(mark, "ward", "domain-suspended");
    // The report is in its ring by now, but it may look at its lines first.
    let told = until("a report", || Some(guard.ask("report")).filter(|text| *text != before));
    Heard::of(&told)
}

/// What a supervisor domain heard.
#[derive(Debug)]
struct Heard {
    capability: String,
    text: String,
}

impl Heard {
    fn of(text: &str) -> Self {
        let capability = text.split(' ').next().expect("a report begins with one").to_owned();
        Self { capability, text: text.to_owned() }
    }

    /// A number of it, as it is written.
    fn word(&self, key: &str) -> &str {
        let found = self.text.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {key} in {}", self.text))
    }

    fn address(&self, key: &str) -> u64 {
        u64::from_str_radix(self.word(key), 16).expect("addresses are hexadecimal")
    }
}

/// The last fault of the ward, as `vmm faults` has it.
fn last_fault(system: &System) -> Value {
    let faults = system.json(&["faults", "ward"]);
    faults.as_array().and_then(|faults| faults.last()).expect("there was one").clone()
}

fn address(value: &Value) -> u64 {
    let text = value.as_str().expect("addresses are text").trim_start_matches("0x");
    u64::from_str_radix(text, 16).expect("addresses are hexadecimal")
}

#[test]
fn a_fault_is_reported_and_the_word_of_who_hears_it_is_done() {
    let Some(system) = warded(ample(), "restart = \"never\"") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    for (verdict, origin, kind) in
        [("restart", "checkpoint", "null"), ("restart-from-image", "image", "panic because")]
    {
        assert_eq!(guard.ask(&format!("on-fault {verdict}")), "told");
        let (mark, epoch) = (system.records().mark(), system.epoch("ward"));
        assert_eq!(ward.ask(kind), "restarted", "the client waited, and was told once");
        system.event_after(mark, "ward", "domain-suspended");
        let decided = system.event_after(mark, "ward", "fault-decided");
        assert_eq!(
            (&decided["port"], &decided["verdict"]),
            (&"guard:faults".into(), &verdict.into())
        );
        let restart = system.event_after(mark, "ward", "domain-restarted");
        assert_eq!((&restart["origin"], &restart["epoch"]), (&origin.into(), &(epoch + 1).into()));
        assert_eq!(ward.ask("epoch"), (epoch + 1).to_string());
        let fault = last_fault(&system);
        assert_eq!(fault["decision"]["verdict"], verdict, "{fault:#}");
        assert_eq!(fault["restart"]["kind"], "restarted", "{fault:#}");
        let heard = Heard::of(&guard.ask("report"));
        assert_eq!(heard.word("epoch"), epoch.to_string());
        assert_eq!(heard.word("forecast"), "StayDown", "its policy says never");
    }
    let shown = system.told(&["faults", "ward"]);
    assert!(shown.contains("decided by guard:faults: restart-from-image"), "{shown}");
}

#[test]
fn a_suspended_domain_can_be_inspected_and_shows_what_the_fault_report_says() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    let heard = suspend(&system, &mut guard, &mut ward, "ud2");
    assert_eq!(system.state("ward"), "suspended");
    let fault = last_fault(&system);
    assert_eq!(heard.address("rip"), address(&fault["rip"]), "{}", heard.text);
    assert_eq!(heard.address("rsp"), address(&fault["registers"]["rsp"]));
    let registers = guard.ask(&format!("registers {}", heard.capability));
    assert_eq!(registers, format!("rip={} rsp={}", heard.word("rip"), heard.word("rsp")));
    assert!(guard.ask("backtrace").contains("faults::ud2"), "{fault:#}");

    // The instruction that faulted is where it says.
    let read = |guard: &mut Lines, at: &str, length: &str| {
        guard.ask(&format!("read {} {at} {length}", heard.capability))
    };
    assert_eq!(read(&mut guard, heard.word("rip"), "2"), "0f0b");
    let page = read(&mut guard, heard.word("rsp"), "100");
    assert_eq!(page.len(), 0x200, "{page}");
    for (at, length) in [("ffffffffffffffff", "8"), ("7f0000000000", "1"), ("0", "1001")] {
        assert!(read(&mut guard, at, length).starts_with("error: "), "{at} {length}");
    }
    // Operators see it as well, and the bystander sees nothing.
    assert!(system.told(&["ps"]).contains("suspended"));
    let core = system.place().path("ward.core");
    system.told(&["core", "ward", core.to_str().expect("a path is text")]);
    let refused = system.vmm(&["resume", "ward"]);
    assert!(refused.stderr.contains("overrules"), "{}", refused.stderr);
    let mut bystander = Lines::connect(&system.gateway("bystander:crash"));
    assert_eq!(bystander.ask("count"), "1");
    std::fs::remove_file(core).expect("it was written");
    assert_eq!(guard.ask("answer restart"), "answered");
    assert_eq!(ward.hear().as_deref(), Some("restarted"));
    let stale = guard.ask(&format!("registers {}", heard.capability));
    assert!(stale.starts_with("error: ") && stale.contains("denies"), "{stale}");
}

#[test]
fn an_incarnation_goes_on_past_the_instruction_that_faulted() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    assert_eq!(ward.ask("count"), "1");
    let first = suspend(&system, &mut guard, &mut ward, "ud2");
    assert_eq!(first.word("resume"), "true");
    assert_eq!(guard.ask(&format!("skip {} 2", first.capability)), "moved");
    // A place that is no address is refused, and changes nothing.
    let nowhere = guard.ask(&format!("skip {} 8000000000000000", first.capability));
    assert!(nowhere.starts_with("error: "), "{nowhere}");
    assert_eq!(guard.ask("answer resume"), "answered");
    assert_eq!(ward.hear().as_deref(), Some("survived ud2"), "nothing was lost on the way");
    assert_eq!(ward.ask("count"), "2", "it is the same incarnation");
    assert_eq!((system.epoch("ward"), system.number("ward", "/faults")), (1, 1));
    assert_eq!(last_fault(&system)["restart"]["kind"], "resumed");
    assert_eq!(system.state("ward"), "running");

    // A breakpoint needs no help. Its capability is another one, though the epoch is not.
    assert_eq!(guard.ask("on-fault resume"), "told");
    assert_eq!(ward.ask("int3"), "survived int3");
    let second = Heard::of(&guard.ask("report"));
    assert_ne!(first.capability, second.capability);
    assert_eq!((second.word("epoch"), second.word("faults")), ("1", "2"));
    assert_eq!(ward.ask("count"), "3");
}

#[test]
fn a_hang_is_reported_and_may_be_given_more_time() {
    let Some(system) = warded(ample(), "watchdog = \"100 ms\"") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    let heard = suspend(&system, &mut guard, &mut ward, "loop");
    assert_eq!((heard.word("kind"), heard.word("resume")), ("Hang", "true"));
    assert!(guard.ask("backtrace").contains("faults::forever"));
    let moved = guard.ask(&format!("skip {} 2", heard.capability));
    assert!(moved.contains("denies"), "it may stand anywhere: {moved}");
    assert_eq!(guard.ask("on-fault restart"), "told");
    let mark = system.records().mark();
    assert_eq!(guard.ask("answer resume"), "answered");
    // It goes on, and makes no progress.
    let again = system.event_after(mark, "ward", "domain-faulted");
    assert_eq!((&again["epoch"], &again["fault"]["kind"]), (&1.into(), &"hang".into()));
    assert_eq!(ward.hear().as_deref(), Some("restarted"));
    assert_eq!(ward.ask("epoch"), "2");
}

#[test]
fn who_hears_may_have_the_group_give_up() {
    let Some(system) = warded(ample(), "group = \"g\"\n[groups.g]\nescalation = \"stay-down\"")
    else {
        return;
    };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    assert_eq!(guard.ask("on-fault escalate"), "told");
    let mark = system.records().mark();
    ward.tell("null");
    let down = system.event_after(mark, "ward", "domain-stays-down");
    assert_eq!(down["reason"], "its group gave up");
    assert_eq!(ward.hear(), None);
}

#[test]
fn a_domain_that_fails_before_it_is_ready_is_reported_too() {
    let Some(system) = warded(ample(), "arguments = [\"at-start=panic\"]") else { return };
    let mut guard = guard_of(&system);
    assert_eq!(guard.ask("on-fault hold"), "told");
    system.event_after(0, "ward", "domain-stays-down");
    let heard = Heard::of(&guard.ask("report"));
    assert_eq!((heard.word("kind"), heard.word("resume")), ("Panic", "false"));
}

#[test]
fn what_cannot_go_on_is_left_to_the_policy() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    assert_eq!(guard.ask("on-fault resume"), "told");
    let mark = system.records().mark();
    assert_eq!(ward.ask("panic"), "restarted");
    let undecided = system.event_after(mark, "ward", "fault-undecided");
    assert!(undecided["reason"].as_str().expect("text").contains("does not allow"), "{undecided}");
    assert_eq!(system.restarted_after(mark, "ward"), 2);
    assert_eq!(Heard::of(&guard.ask("report")).word("resume"), "false");
}

#[test]
fn who_hears_may_hold_a_domain_down_and_an_operator_may_have_it_back() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    assert_eq!(guard.ask("on-fault hold"), "told");
    let mark = system.records().mark();
    ward.tell("null");
    let down = system.event_after(mark, "ward", "domain-stays-down");
    assert_eq!(down["reason"], "its supervisor domain holds it down");
    assert_eq!(ward.hear(), None, "its clients are told when it is decided");
    assert_eq!(system.state("ward"), "faulted");
    assert_eq!(system.renew("ward", "restart"), 2);
    assert_eq!(ward_of(&system).ask("ping"), "pong");
}

#[test]
fn an_operator_overrules_who_has_not_decided_yet() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    for (order, epoch) in [("restart", 2), ("kill", 3)] {
        let heard = suspend(&system, &mut guard, &mut ward, "null");
        assert_eq!(system.renew("ward", order), epoch);
        assert_eq!(ward.hear().as_deref(), Some("restarted"));
        // The verdict comes too late, and its capability is dead.
        assert_eq!(guard.ask("answer hold"), "answered");
        let read = guard.ask(&format!("read {} 400000 10", heard.capability));
        assert!(read.contains("denies"), "{read}");
        assert_eq!(ward.ask("epoch"), epoch.to_string());
        assert_eq!(system.state("ward"), "running");
    }
}

#[test]
fn a_system_stops_though_a_domain_is_suspended() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    suspend(&system, &mut guard, &mut ward, "null");
    system.stop();
}

#[test]
fn who_says_nothing_in_time_or_dies_or_talks_nonsense_is_not_waited_for() {
    let deadline = 100;
    let Some(system) = warded(deadline, "") else { return };
    let mut ward = ward_of(&system);
    let cases = [("keep", "deadline"), ("nonsense", "no verdict"), ("die", "died before")];
    for (habit, reason) in cases {
        assert_eq!(guard_of(&system).ask(&format!("on-fault {habit}")), "told");
        let mark = system.records().mark();
        assert_eq!(ward.ask("null"), "restarted", "{habit}");
        let undecided = system.event_after(mark, "ward", "fault-undecided");
        let why = undecided["reason"].as_str().expect("text");
        assert!(why.contains(reason), "{habit}: {why}");
        system.restarted_after(mark, "ward");
        let overruled = last_fault(&system)["decision"]["overruled"].clone();
        assert_eq!(overruled, undecided["reason"], "{habit}");
        // An operator's order ends the count of faults in a row, which would bring pauses.
        system.renew("ward", "restart");
    }
    assert_eq!(system.epoch("guard"), 2, "its own death is nobody's affair but the policy's");
}

#[test]
fn every_fault_has_an_outcome_while_who_hears_dies_again_and_again() {
    let ward = "backoff-free = 1000\ngroup = \"g\"\n[groups.g]\nintensity = 100000";
    let Some(system) = warded(ample(), ward) else { return };
    let mut ward = ward_of(&system);
    let most = rounds(50, 5);
    for round in 0..most {
        // Its death meets the report at any point: before it is read, in service, or after.
        system.order("guard", "kill");
        // No deadline comes to anybody's help: it is longer than this waits.
        assert_eq!(ward.ask("null"), "restarted", "round {round}");
    }
    assert_eq!(ward.ask("epoch"), (most + 1).to_string());
    // What is printed may come later than what is served.
    system.records().after(0, "the last restart", |record| {
        is_event(record, "ward", "domain-restarted") && record["epoch"] == most + 1
    });
    let records = system.records().all();
    let of_ward = |kind: &str| records.iter().filter(|r| is_event(r, "ward", kind)).count();
    assert_eq!(of_ward("fault-decided") + of_ward("fault-undecided"), most, "one for each");
}

#[test]
fn who_is_down_for_good_is_not_asked() {
    let head = "[supervision]\nbailout-deadline = \"10 min\"";
    let guard = "image = \"warden\"\nrestart = \"never\"";
    let Some(system) = System::start(&manifest(head, guard, "")) else { return };
    let mark = system.records().mark();
    system.order("guard", "kill");
    system.event_after(mark, "guard", "domain-stays-down");
    assert_eq!(ward_of(&system).ask("null"), "restarted");
    let undecided = system.event_after(mark, "ward", "fault-undecided");
    assert!(undecided["reason"].as_str().expect("text").contains("is down"), "{undecided}");
}

#[test]
fn a_forged_capability_names_nothing_and_harms_nobody() {
    let Some(system) = warded(ample(), "") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    let heard = suspend(&system, &mut guard, &mut ward, "ud2");
    let real = u64::from_str_radix(&heard.capability, 16).expect("it is a number");
    let forged = [0, 1, real + 1, real ^ 1 << 32, real ^ 1 << 63, u64::MAX];
    for capability in forged {
        for verb in ["registers", "skip"] {
            let said = guard.ask(&format!("{verb} {capability:x} 2"));
            assert!(said.contains("denies"), "{verb} {capability:x}: {said}");
        }
        let said = guard.ask(&format!("read {capability:x} 400000 10"));
        assert!(said.contains("denies"), "{capability:x}: {said}");
    }
    // It is not moved on by any of that: resumed, it faults in the same place.
    assert_eq!(guard.ask("on-fault restart"), "told");
    assert_eq!(guard.ask("answer resume"), "answered");
    assert_eq!(ward.hear().as_deref(), Some("restarted"));
    assert_eq!(system.number("ward", "/faults"), 2);
    let mut bystander = Lines::connect(&system.gateway("bystander:crash"));
    assert_eq!(bystander.ask("count"), "1");
}

#[test]
fn others_hear_nothing_and_keep_their_policy() {
    let Some(system) = warded(ample(), "") else { return };
    let mut guard = guard_of(&system);
    assert_eq!(guard.ask("on-fault hold"), "told");
    let mut bystander = Lines::connect(&system.gateway("bystander:crash"));
    let mark = system.records().mark();
    assert_eq!(bystander.ask("null"), "restarted");
    let restart = system.event_after(mark, "bystander", "domain-restarted");
    assert!(restart["steps"].is_object(), "by itself, without a question: {restart}");
    assert_eq!(guard.ask("report"), "none");
}

#[test]
fn several_vcpus_are_suspended_together_and_go_on_together() {
    let Some(system) = warded(ample(), "vcpus = 3") else { return };
    let (mut guard, mut ward) = (guard_of(&system), ward_of(&system));
    let first = suspend(&system, &mut guard, &mut ward, "ud2");
    assert_eq!(guard.ask(&format!("skip {} 2", first.capability)), "moved");
    assert_eq!(guard.ask("answer resume"), "answered");
    assert_eq!(ward.hear().as_deref(), Some("survived ud2"));
    let mut turns =
        |vcpu: u32| ward.ask(&format!("turns {vcpu}")).parse::<u64>().expect("a number");
    for vcpu in [1, 2] {
        let before = turns(vcpu);
        until("turns of a worker", || (turns(vcpu) > before).then_some(()));
    }
    assert_eq!(system.epoch("ward"), 1);
}

#[test]
fn the_example_restarts_stops_a_crash_loop_and_raises_an_alarm() {
    let guard = "image = \"bailout\"\narguments = [\"limit=3\", \"window-ms=600000\"]";
    let Some(system) = System::start(&manifest("", guard, "")) else { return };
    system.event_after(0, "guard", "domain-ready");
    let mut ward = ward_of(&system);
    for epoch in 2..4 {
        let mark = system.records().mark();
        assert_eq!(ward.ask("null"), "restarted");
        system.event_after(mark, "ward", "fault-decided");
        assert_eq!(system.restarted_after(mark, "ward"), epoch);
    }
    let mark = system.records().mark();
    ward.tell("null");
    system.event_after(mark, "ward", "domain-stays-down");
    let alarm = system.records().after(mark, "an alarm", |record| {
        record["level"] == "error" && record["text"].to_string().contains("alarm 1: ward")
    });
    assert_eq!(alarm["domain"], "guard", "{alarm}");
    assert_eq!(system.renew("ward", "restart"), 4);
    let mark = system.records().mark();
    assert_eq!(ward_of(&system).ask("null"), "restarted", "it begins anew");
    assert_eq!(system.restarted_after(mark, "ward"), 5);
}
