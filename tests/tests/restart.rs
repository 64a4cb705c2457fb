//! Restarts of every kind under clients: what each of them sees has a definite outcome.

use std::time::Duration;

use atoll_tests::control::until;
use atoll_tests::resp::{command, request};
use atoll_tests::{Reply, Resp, System};

const PORT: &str = "kv:redis";

fn start() -> Option<System> {
    System::start(
        "name = \"kv\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\narguments = [\"debug=yes\"]\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"kv:redis\"\n",
    )
}

fn client(system: &System) -> Resp {
    Resp::connect(&system.gateway(PORT))
}

/// Waits until the server has taken a request and not answered it.
fn await_service(system: &System) {
    until("a request in service", || {
        (system.number("kv", "/channels/0/in_service_bytes") > 0).then_some(())
    });
}

/// A client's own key, so that values of others would be noticed.
fn keeps_a_value(kv: &mut Resp, token: &str) {
    assert_eq!(kv.ask(&format!("SET own {token}")), Reply::ok());
    assert_eq!(kv.ask("GET own"), Reply::bulk(token));
}

#[test]
fn an_idle_connection_outlives_every_kind_of_fault_that_a_client_can_cause() {
    let Some(system) = start() else { return };
    let mut idle = client(&system);
    let cases = [
        ("SEGFAULT", "exception", Some(14), "debug_segfault"),
        ("PANIC", "panic", None, "debug_panic"),
        ("STACKOVERFLOW", "exception", Some(14), "recurse"),
        ("UD2", "exception", Some(6), "debug_ud2"),
        ("DIVZERO", "exception", Some(0), "debug_divide_by_zero"),
    ];
    for (fault, kind, vector, function) in cases {
        keeps_a_value(&mut idle, fault);
        let (epoch, mark) = (system.epoch("kv"), system.records().mark());
        let mut guilty = client(&system);
        let answer = guilty.ask(&format!("DEBUG {fault}"));
        assert!(answer.is_restarted(), "{fault}: {answer:?}");
        let faulted = system.event_after(mark, "kv", "domain-faulted");
        assert_eq!(faulted["epoch"], epoch, "{fault}");
        assert_eq!(faulted["fault"]["kind"], kind, "{fault}");
        assert_eq!(system.restarted_after(mark, "kv"), epoch + 1, "{fault}");

        let report = system.inspect("kv");
        let last = &report["last_fault"];
        assert_eq!(last["kind"], kind, "{fault}: {last:#}");
        assert_eq!(last["vector"].as_u64(), vector, "{fault}: {last:#}");
        assert_eq!(last["epoch"], epoch, "{fault}: {last:#}");
        assert!(last["backtrace"].to_string().contains(function), "{fault}: {last:#}");
        assert_eq!(idle.ask("GET own"), Reply::NIL, "{fault}: memory is the image's again");
        assert!(idle.is_in_step(fault) && guilty.is_in_step(fault), "{fault}");
    }
    let report = system.inspect("kv");
    assert_eq!(report["faults"], cases.len());
    assert_eq!(report["restarts"], cases.len());
    assert_eq!(report["gateways"][0]["aborted"], 0, "no connection had to be closed");
}

#[test]
fn a_segfault_is_shown_with_its_function_by_the_commands() {
    let Some(system) = start() else { return };
    let mark = system.records().mark();
    assert!(client(&system).ask("DEBUG SEGFAULT").is_restarted());
    system.restarted_after(mark, "kv");

    let report = system.json(&["inspect", "kv"]);
    let fault = &report["last_fault"];
    assert_eq!((&fault["kind"], &fault["vector"]), (&"exception".into(), &14.into()));
    assert_eq!(fault["vector_name"], "page fault");
    assert_eq!(fault["cr2"], "0x00007f00dead0000");
    let symbols = fault["backtrace"].as_array().unwrap().iter();
    let symbols: Vec<_> = symbols.filter_map(|frame| frame["symbol"].as_str()).collect();
    assert!(symbols[0].ends_with("debug_segfault"), "{symbols:?}");
    assert!(symbols.len() > 2, "a backtrace shows who called: {symbols:?}");
    let shown = system.told(&["inspect", "kv"]);
    assert!(shown.contains("page fault") && shown.contains("debug_segfault"), "{shown}");

    let events = system.told(&["events"]);
    let fault = events.lines().find(|line| line.contains("kv faulted in epoch 1: page fault"));
    let fault = fault.unwrap_or_else(|| panic!("no fault in\n{events}"));
    assert!(fault.contains("debug_segfault"), "{fault}");
    let restart = events.lines().skip_while(|line| *line != fault).nth(1).unwrap();
    assert!(
        restart.contains("kv restarted from its checkpoint in") && restart.ends_with("epoch 2"),
        "{restart}"
    );
}

#[test]
fn killing_and_restarting_keep_connections_and_count_apart() {
    let Some(system) = start() else { return };
    let mut idle = client(&system);
    keeps_a_value(&mut idle, "first");
    let mark = system.records().mark();
    assert_eq!(system.told(&["kill", "kv"]), "killed kv\n");
    assert_eq!(system.restarted_after(mark, "kv"), 2);
    assert_eq!(idle.ask("GET own"), Reply::NIL);
    assert_eq!(system.inspect("kv")["last_fault"]["kind"], "killed");

    keeps_a_value(&mut idle, "second");
    let mark = system.records().mark();
    assert_eq!(system.told(&["restart", "kv"]), "restarted kv\n");
    assert_eq!(system.restarted_after(mark, "kv"), 3);
    assert_eq!(idle.ask("GET own"), Reply::NIL);
    let report = system.inspect("kv");
    assert_eq!((&report["restarts"], &report["faults"]), (&2.into(), &1.into()));
}

#[test]
fn an_endless_loop_can_be_killed_and_those_who_wait_are_served() {
    let Some(system) = start() else { return };
    let (mut guilty, mut waiting) = (client(&system), client(&system));
    assert!(waiting.is_in_step("before"));
    guilty.send(&command("DEBUG LOOP"));
    await_service(&system);
    waiting.send(&command("ECHO waited"));
    let mut late = client(&system);
    late.send(&command("ECHO late"));
    // Both wait in the ring, behind the loop.
    until("two requests in the ring", || {
        (system.number("kv", "/gateways/0/requests") >= 4).then_some(())
    });
    assert_eq!(system.renew("kv", "kill"), 2);
    assert!(guilty.reply().unwrap().is_restarted());
    assert_eq!(waiting.reply(), Some(Reply::bulk("waited")), "it was not in the server's hands");
    assert_eq!(late.reply(), Some(Reply::bulk("late")));
    assert!(guilty.is_in_step("a") && waiting.is_in_step("b") && late.is_in_step("c"));
    let fault = &system.inspect("kv")["last_fault"];
    assert!(fault["backtrace"].to_string().contains("debug_loop"), "{fault:#}");
}

#[test]
fn every_request_of_a_pipeline_that_a_crash_interrupts_gets_its_own_answer() {
    let Some(system) = start() else { return };
    let mut kv = client(&system);
    for round in 0..5 {
        let mark = system.records().mark();
        let words = ["ECHO before", "DEBUG UD2", "ECHO after", "INCR n"];
        kv.send(&words.map(command).concat());
        for word in words {
            let reply = kv.reply();
            let fits = reply.as_ref().is_some_and(Reply::is_restarted)
                || (word == "ECHO before" && reply == Some(Reply::bulk("before")));
            assert!(fits, "round {round}, {word}: {reply:?}");
        }
        assert!(kv.is_in_step(&format!("round {round}")), "no reply too many");
        assert_eq!(kv.ask("GET n"), Reply::NIL, "nothing behind the crash was carried out");
        system.restarted_after(mark, "kv");
        // A crash of an incarnation that has hardly begun would be answered with a pause.
        system.renew("kv", "restart");
    }
}

#[test]
fn half_a_request_dies_with_the_incarnation_that_had_it() {
    let Some(system) = start() else { return };
    let (mut half, mut other) = (client(&system), client(&system));
    // Long enough for the server to count what it holds of it.
    let text = "cut in two ".repeat(3000);
    let whole = request(&[b"ECHO", text.as_bytes()]);
    half.send(&whole[..whole.len() / 2]);
    until("half a request in the server's hands", || {
        let info = other.ask("INFO clients").text();
        (!info.contains("client_buffers:0\r")).then_some(())
    });
    system.renew("kv", "kill");
    assert_eq!(half.reply(), None, "nobody can tell where its next request begins");
    assert!(other.is_in_step("unharmed"));
    assert_eq!(system.number("kv", "/gateways/0/aborted"), 1);

    let mut fresh = client(&system);
    fresh.send(&whole[..whole.len() / 2]);
    fresh.send(&whole[whole.len() / 2..]);
    assert_eq!(fresh.reply(), Some(Reply::bulk(text)));
}

#[test]
fn a_large_reply_that_was_begun_dies_with_its_connection() {
    let Some(system) = start() else { return };
    let mut setter = client(&system);
    let value = vec![b'v'; 4 << 20];
    setter.send(&request(&[b"SET", b"large", &value]));
    assert_eq!(setter.reply(), Some(Reply::ok()));
    let mut reader = client(&system);
    // Twice, so that the second cannot have left the VMM while the first is not read.
    reader.send(&[command("GET large"), command("GET large")].concat());
    until("the beginning of a reply", || {
        (system.number("kv", "/gateways/0/bytes_out") > 64 << 10).then_some(())
    });
    system.renew("kv", "kill");
    let received = reader.socket().rest().map_or(0, |bytes| bytes.len());
    assert!(received < 2 * value.len(), "what was begun cannot be completed");
    assert!(setter.is_in_step("unharmed"));
}

#[test]
fn the_listening_socket_accepts_while_nobody_serves() {
    let Some(system) = start() else { return };
    let mut guilty = client(&system);
    guilty.send(&command("DEBUG LOOP"));
    await_service(&system);
    let mut many: Vec<_> = (0..20).map(|_| client(&system)).collect();
    for (n, kv) in many.iter_mut().enumerate() {
        kv.send(&command(&format!("ECHO {n}")));
    }
    system.renew("kv", "kill");
    for (n, kv) in many.iter_mut().enumerate() {
        let reply = kv.reply().expect("the connection stays");
        assert!(reply == Reply::bulk(n.to_string()) || reply.is_restarted(), "{n}: {reply:?}");
    }
}

#[test]
fn a_restart_is_quick() {
    let Some(system) = start() else { return };
    let mark = system.records().mark();
    assert!(client(&system).ask("DEBUG SEGFAULT").is_restarted());
    let micros = system.event_after(mark, "kv", "domain-restarted")["micros"].as_u64().unwrap();
    let limit = if atoll_tests::environment::is_emulated() {
        Duration::from_secs(10)
    } else {
        // The aim is far lower; this is where a restart would have become a new start.
        Duration::from_millis(250)
    };
    assert!(u128::from(micros) < limit.as_micros(), "{micros} us from a fault to the next epoch");
}
