//! What a system costs when it has nothing to do.

use std::thread;
use std::time::Duration;

use atoll_tests::control::until;
use atoll_tests::{Lines, Reply, Resp, System};

const EVERYTHING: &str = r#"
name = "idle"
[domains.kv]
image = "kv"
[domains.echo]
image = "echo"
[domains.relay]
image = "relay"
[domains.front]
image = "front"
[[channels]]
from = "front"
as = "next"
to = "relay:relay"
[[channels]]
from = "relay"
as = "next"
to = "echo:echo"
[[gateways]]
listen = "127.0.0.1:0"
to = "kv:redis"
[[gateways]]
listen = "127.0.0.1:0"
to = "front:lines"
"#;

/// Processor time that the system takes in a stretch of time in which nobody asks it anything.
fn ticks_in(system: &System, stretch: Duration) -> u64 {
    let before = system.process_ticks();
    // The stretch is what is measured; nothing is waited for.
    thread::sleep(stretch);
    system.process_ticks() - before
}

fn assert_idle(system: &System) {
    until("rest", || (ticks_in(system, Duration::from_millis(200)) == 0).then_some(()));
    let ticks = ticks_in(system, Duration::from_secs(2));
    assert!(ticks <= 1, "an idle system took {ticks} ticks in 2 s");
}

#[test]
fn an_idle_system_uses_no_processor_time() {
    let Some(system) = System::start(EVERYTHING) else { return };
    assert_idle(&system);
    // Nor does it with connections that were used, or after restarts.
    let mut kv = Resp::connect(&system.gateway("kv:redis"));
    let mut front = Lines::connect(&system.gateway("front:lines"));
    assert_eq!(kv.ask("SET a 1"), Reply::ok());
    assert_eq!(front.ask("through the chain"), "through the chain");
    for domain in ["kv", "relay", "echo", "front"] {
        system.renew(domain, "kill");
    }
    assert_eq!(kv.ask("GET a"), Reply::NIL);
    assert_eq!(front.ask("and again"), "and again");
    assert_idle(&system);
}

#[test]
fn a_paused_and_a_stopped_domain_use_none_either() {
    let manifest = "name = \"idle\"\n[domains.busy]\nimage = \"crashme\"\nvcpus = 2\n\
        [domains.done]\nimage = \"crashme\"\nrestart = \"never\"\n\
        [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"done:crash\"\n";
    let Some(system) = System::start(manifest) else { return };
    let mark = system.records().mark();
    Lines::connect(&system.gateway("done:crash")).tell("exit 0");
    system.event_after(mark, "done", "domain-stopped");
    // A worker of this one counts for ever, until it is held.
    system.order("busy", "pause");
    system.event_after(mark, "busy", "domain-paused");
    assert_idle(&system);
}

#[test]
fn an_idle_echo_takes_less_than_four_mebibytes() {
    let Some(system) = System::start(EVERYTHING) else { return };
    let mut front = Lines::connect(&system.gateway("front:lines"));
    assert_eq!(front.ask("used once"), "used once");
    let resident = system.number("echo", "/resident_bytes");
    println!("echo: {} KiB resident", resident >> 10);
    assert!(resident > 0 && resident < 4 << 20, "{resident} bytes");
}
