//! Every way in which a server can end, tried with `crashme`: each is reported for what it is, the
//! next incarnation serves the same connection, and nobody else notices.

use atoll_tests::control::until;
use atoll_tests::environment::is_emulated;
use atoll_tests::{Lines, System};
use serde_json::{Value, json};

const CRASH: &str = "crashme:crash";
const BYSTANDER: &str = "bystander:crash";

/// A `crashme` with these further keys, and a second one that nothing may happen to.
fn start(keys: &str) -> Option<System> {
    System::start(&format!(
        "name = \"faults\"\n\
         [domains.crashme]\nimage = \"crashme\"\n{keys}\n\
         [domains.bystander]\nimage = \"crashme\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{CRASH}\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{BYSTANDER}\"\n"
    ))
}

/// What a fault may be reported as: its kind, its vector if it has one, words of its explanation.
type Look = (&'static str, Option<u64>, &'static str);

/// One fault, and how it may look. A host that lets ring 3 try what another forbids it has the
/// fault a step later, so some look different there; each look is listed.
struct Fault {
    verb: &'static str,
    /// The function that the backtrace names, if it can.
    function: &'static str,
    looks: &'static [Look],
    /// How else it may look on an emulated processor, which is no faithful one in everything.
    emulated: &'static [Look],
}

impl Fault {
    const fn emulated(self, looks: &'static [Look]) -> Self {
        Self { emulated: looks, ..self }
    }

    fn may_look(&self, fault: &Value) -> bool {
        let emulated = if is_emulated() { self.emulated } else { &[] };
        self.looks.iter().chain(emulated).any(|look| looks_like(fault, look))
    }
}

const fn fault(verb: &'static str, function: &'static str, looks: &'static [Look]) -> Fault {
    Fault { verb, function, looks, emulated: &[] }
}

const fn exception(vector: u64) -> Look {
    ("exception", Some(vector), "")
}

const fn page_fault(words: &'static str) -> Look {
    ("exception", Some(14), words)
}

const GENERAL: Look = exception(13);
/// The processor took no exception, and the server went on.
const SURVIVED: Look = ("survived", None, "");

const FAULTS: &[Fault] = &[
    fault("divzero", "faults::divzero", &[exception(0)]),
    fault("debug", "faults::debug", &[exception(1)]),
    fault("int3", "faults::int3", &[exception(3)]),
    fault("ud2", "faults::ud2", &[exception(6)]),
    fault("stack-segment", "faults::stack_segment", &[exception(12)]).emulated(&[GENERAL]),
    fault("general-protection", "faults::general_protection", &[GENERAL]),
    fault("null", "faults::null", &[page_fault("read of page 0: a null pointer")]),
    fault("unmapped", "faults::unmapped", &[page_fault("read of a page that is not mapped")]),
    fault("supervisor-page", "faults::supervisor_page", &[page_fault("does not allow it")]),
    fault("write-text", "faults::write_text", &[page_fault("write to a page that does not")]),
    fault("write-boot-page", "faults::write_boot_page", &[page_fault("write to a page that does")]),
    fault("execute-data", "execute_data", &[page_fault("execution of a page that does not")]),
    // A jump leaves no trace of where it came from.
    fault("execute-stack", "", &[page_fault("execution of a page that does not")]),
    fault("x87", "faults::x87", &[exception(16)]),
    fault("simd", "faults::simd", &[exception(19)]).emulated(&[SURVIVED]),
    fault("hlt", "faults::hlt", &[GENERAL]),
    // With I/O privilege ring 3 may do it, to no effect: there are no interrupts.
    fault("cli", "faults::cli", &[GENERAL, SURVIVED]),
    fault("wrmsr", "faults::wrmsr", &[GENERAL]),
    fault("mov-cr3", "faults::mov_cr3", &[GENERAL]),
    // Without `SCE` it is undefined; software KVM jumps to where `LSTAR` points, which is nowhere.
    fault("syscall", "", &[exception(6), page_fault("execution of page 0")]),
    // The gate is not for ring 3; software KVM does not get as far as the gate.
    fault("interrupt", "faults::interrupt", &[GENERAL, exception(6)]),
    // Forbidden by the I/O bitmap where that counts; with I/O privilege it reaches the VMM.
    fault("in", "faults::read_port", &[GENERAL, ("illegal-port", None, "read of I/O port 0x60")]),
    fault(
        "fault-port",
        "faults::fault_port",
        &[GENERAL, ("illegal-port", None, "write to I/O port 0xf")],
    ),
    fault("port 128", "main", &[GENERAL, ("illegal-port", None, "I/O port 0x80")]),
    // A doorbell of a channel that it does not have.
    fault("port 1279", "main", &[GENERAL, ("illegal-port", None, "I/O port 0x4ff")]),
    fault("stackoverflow", "faults::recurse", &[page_fault("stack overflow: write to the guard")]),
    fault("wild-jump", "", &[page_fault("execution of a page that is not mapped")]),
    fault("exit 3", "", &[("exit", None, "ended with status 3")]),
];

/// Ends the incarnation with a verb; returns the report, with the system serving again.
fn crash(system: &System, client: &mut Lines, verb: &str) -> Value {
    let (epoch, mark) = (system.epoch("crashme"), system.records().mark());
    assert_eq!(client.ask(verb), "restarted", "{verb}");
    crashed(system, client, verb, epoch, mark)
}

/// Checks what must be so after every fault of an incarnation.
fn crashed(system: &System, client: &mut Lines, verb: &str, epoch: u64, mark: usize) -> Value {
    let event = system.event_after(mark, "crashme", "domain-faulted");
    assert_eq!(event["epoch"], epoch, "{verb}");
    assert_eq!(system.restarted_after(mark, "crashme"), epoch + 1, "{verb}");
    let report = system.inspect("crashme");
    assert_eq!(report["last_fault"]["epoch"], epoch, "{verb}");
    assert_eq!(event["fault"]["kind"], report["last_fault"]["kind"], "{verb}");
    assert_eq!(client.ask("ping"), "pong", "{verb}: the connection goes on");
    assert_eq!(client.ask("epoch"), (epoch + 1).to_string(), "{verb}");
    report
}

/// Tries a verb, and returns the report of its fault, or that it was survived.
fn attempt(system: &System, client: &mut Lines, verb: &str) -> Value {
    let (epoch, mark) = (system.epoch("crashme"), system.records().mark());
    match client.ask(verb) {
        answer if answer.starts_with("survived") => json!({ "kind": "survived" }),
        answer => {
            assert_eq!(answer, "restarted", "{verb}");
            crashed(system, client, verb, epoch, mark)["last_fault"].clone()
        }
    }
}

/// Waits until the server has taken a request and not answered it.
fn await_service(system: &System) {
    until("a request in service", || {
        (system.number("crashme", "/channels/0/in_service_bytes") > 0).then_some(())
    });
}

fn looks_like(fault: &Value, &(kind, vector, words): &Look) -> bool {
    let explanation = fault["explanation"].as_str().unwrap_or_default();
    fault["kind"] == kind && fault["vector"].as_u64() == vector && explanation.contains(words)
}

#[test]
fn every_fault_is_reported_for_what_it_is_and_harms_nobody_else() {
    let Some(system) = start("") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    let mut bystander = Lines::connect(&system.gateway(BYSTANDER));
    // All are tried, whatever came of those before: one run tells everything of a new host.
    let mut wrong = Vec::new();
    for (number, case) in FAULTS.iter().enumerate() {
        let fault = attempt(&system, &mut client, case.verb);
        let survived = fault["kind"] == "survived";
        let traced = survived || fault["backtrace"].to_string().contains(case.function);
        if !(case.may_look(&fault) && traced) {
            wrong.push(format!("{}: {fault:#}", case.verb));
        }
        assert_eq!(bystander.ask("count"), (number + 1).to_string(), "{}", case.verb);
        // An operator's order ends the count of faults in a row, which would bring pauses.
        system.renew("crashme", "restart");
    }
    assert!(wrong.is_empty(), "not reported for what they are:\n{}", wrong.join("\n"));
    assert_eq!(system.epoch("bystander"), 1);
}

#[test]
fn a_panic_carries_its_message_and_what_it_happened_in() {
    let Some(system) = start("") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    let report =
        crash(&system, &mut client, "panic the reason, with \"quotes\" and \u{1b}[31m colour");
    let fault = &report["last_fault"];
    assert_eq!(fault["kind"], "panic");
    let message = fault["message"].as_str().unwrap();
    assert!(message.starts_with("the reason, with \"quotes\""), "{message}");
    assert!(message.contains("main.rs:"), "where it panicked: {message}");
    assert!(fault["backtrace"].to_string().contains("main"), "{fault:#}");
    let shown = system.told(&["inspect", "crashme"]);
    assert!(shown.contains("the reason") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn memory_that_there_is_not_ends_in_a_panic() {
    let Some(system) = start("memory = \"16 MiB\"") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    let report = crash(&system, &mut client, "allocate 1000000000");
    let fault = &report["last_fault"];
    assert_eq!(fault["kind"], "panic", "{fault:#}");
    assert!(fault["message"].as_str().unwrap().contains("alloc"), "{fault:#}");
}

#[test]
fn memory_is_the_images_again_after_a_restart() {
    let Some(system) = start("") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    assert_eq!(client.ask("count"), "1");
    assert_eq!(client.ask("count"), "2");
    crash(&system, &mut client, "null");
    assert_eq!(client.ask("count"), "1");
    system.renew("crashme", "restart");
    assert_eq!(client.ask("count"), "1");
}

#[test]
fn an_endless_loop_can_be_killed_and_is_shown_where_it_was() {
    let Some(system) = start("") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    client.tell("loop");
    await_service(&system);
    assert_eq!(system.renew("crashme", "kill"), 2);
    assert_eq!(client.hear().as_deref(), Some("restarted"));
    let fault = &system.inspect("crashme")["last_fault"];
    assert_eq!(fault["kind"], "killed");
    assert!(fault["backtrace"].to_string().contains("faults::forever"), "{fault:#}");
    assert_eq!(client.ask("ping"), "pong");
}

#[test]
fn an_exit_in_good_order_is_final_unless_the_manifest_says_always() {
    let Some(system) = start("restart = \"on-fault\"") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    let mark = system.records().mark();
    client.tell("exit 0");
    system.event_after(mark, "crashme", "domain-stopped");
    assert_eq!(client.hear(), None, "there is nobody to serve the connection");
    assert_eq!(system.state("crashme"), "stopped");
    assert_eq!(system.number("crashme", "/faults"), 0);
    assert_eq!(Lines::connect(&system.gateway(CRASH)).hear(), None, "refused");

    assert_eq!(system.renew("crashme", "restart"), 2, "an operator can have it again");
    assert_eq!(Lines::connect(&system.gateway(CRASH)).ask("ping"), "pong");
    drop(system);

    let Some(system) = start("restart = \"always\"") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    let mark = system.records().mark();
    assert_eq!(client.ask("exit 0"), "restarted");
    assert_eq!(system.restarted_after(mark, "crashme"), 2);
    assert_eq!(client.ask("ping"), "pong");
    assert_eq!(system.number("crashme", "/faults"), 0, "an exit with 0 is no fault");
}

#[test]
fn a_domain_that_is_never_to_restart_stays_down_and_its_clients_are_told() {
    let Some(system) = start("restart = \"never\"") else { return };
    let (mut idle, mut guilty) =
        (Lines::connect(&system.gateway(CRASH)), Lines::connect(&system.gateway(CRASH)));
    assert_eq!(idle.ask("ping"), "pong");
    let mark = system.records().mark();
    guilty.tell("ud2");
    system.event_after(mark, "crashme", "domain-faulted");
    assert_eq!(guilty.hear(), None);
    assert_eq!(idle.hear(), None, "not even an idle connection is left hanging");
    assert_eq!(Lines::connect(&system.gateway(CRASH)).hear(), None);
    let report = system.inspect("crashme");
    assert_eq!((&report["state"], &report["epoch"]), (&"faulted".into(), &1.into()));
    assert_eq!(report["gateways"][0]["refused"], 1);
    let refused = system.vmm(&["kill", "crashme"]);
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    assert!(refused.stderr.contains("vmm restart"), "{}", refused.stderr);
    let mut bystander = Lines::connect(&system.gateway(BYSTANDER));
    assert_eq!(bystander.ask("ping"), "pong");
}

#[test]
fn a_crash_loop_is_slowed_down_and_leaves_the_processor_to_others() {
    let Some(system) = start("arguments = [\"at-start=panic\"]") else { return };
    let pauses: Vec<u64> = (0..5)
        .scan(0, |seen, _| {
            let pause = system.records().after(*seen, "a pause", |record| {
                record["kind"] == "domain-backing-off"
                    && record["epoch"].as_u64() > Some(*seen as u64)
            });
            *seen = pause["epoch"].as_u64()? as usize;
            pause["micros"].as_u64()
        })
        .collect();
    assert!(pauses.is_sorted_by(|a, b| a < b), "each pause is longer: {pauses:?}");
    // Up to a quarter less than what is configured.
    assert!(pauses[0] >= 7_500, "{pauses:?} us");
    let fault = &system.inspect("crashme")["last_fault"];
    assert_eq!(
        fault["message"].as_str().unwrap().split(" (").next(),
        Some("told to panic at start")
    );

    let mut bystander = Lines::connect(&system.gateway(BYSTANDER));
    (1..=100).for_each(|n| assert_eq!(bystander.ask("count"), n.to_string()));
    let report = system.inspect("crashme");
    let (epochs, cpu) = (report["epoch"].as_u64().unwrap(), report["cpu_micros"].as_u64().unwrap());
    let each = if is_emulated() { 1_000_000 } else { 50_000 };
    assert!(cpu < epochs * each, "{epochs} incarnations took {cpu} us");
}

#[test]
fn several_vcpus_run_at_once_and_fall_together() {
    let Some(system) = start("vcpus = 3") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    let mut turns = |vcpu: u32| client.ask(&format!("turns {vcpu}")).parse::<u64>().unwrap();
    for vcpu in [1, 2] {
        let before = turns(vcpu);
        until("turns of a worker", || (turns(vcpu) > before).then_some(()));
    }
    assert_eq!(turns(3), 0, "there is no fourth");
    let mark = system.records().mark();
    let answer = client.ask("fault-vcpu 2");
    assert!(["told", "restarted"].contains(&answer.as_str()), "{answer}");
    assert_eq!(system.restarted_after(mark, "crashme"), 2);
    let fault = &system.inspect("crashme")["last_fault"];
    assert_eq!((&fault["vcpu"], &fault["vector"]), (&2.into(), &6.into()), "{fault:#}");
    let trace = fault["backtrace"].to_string();
    assert!(trace.contains("faults::ud2") && trace.contains("worker"), "{fault:#}");
    let mut turns = |vcpu: u32| client.ask(&format!("turns {vcpu}")).parse::<u64>().unwrap();
    for vcpu in [1, 2] {
        until("turns of a worker in the next incarnation", || (turns(vcpu) > 0).then_some(()));
    }
    // Stopped, held and started together as well.
    for verb in ["kill", "restart"] {
        system.renew("crashme", verb);
        assert_eq!(client.ask("ping"), "pong", "after {verb}");
    }
    let mark = system.records().mark();
    system.order("crashme", "pause");
    system.event_after(mark, "crashme", "domain-paused");
    system.order("crashme", "resume");
    assert_eq!(client.ask("ping"), "pong");
}

#[test]
fn arguments_and_the_log_reach_their_ends() {
    let Some(system) = start("arguments = [\"colour=blue\", \"two words\"]") else { return };
    let mut client = Lines::connect(&system.gateway(CRASH));
    assert_eq!(client.ask("arguments"), "colour=blue two words");
    let mark = system.records().mark();
    assert_eq!(client.ask("log a line, and no more"), "logged");
    let line =
        system.records().after(mark, "the line", |record| record["text"] == "a line, and no more");
    assert_eq!((&line["domain"], &line["level"]), (&"crashme".into(), &"info".into()));
}
