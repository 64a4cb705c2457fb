//! What a system costs when it has nothing to do, and on which processors it may do what it has.

use std::fs;
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

/// The processors that a thread may use, as the host writes them.
fn allowed(status: &str) -> String {
    let text = fs::read_to_string(status).unwrap();
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.expect("a list").trim().to_owned()
}

#[test]
fn threads_stay_on_the_processors_that_the_manifest_gives_them() {
    let all = allowed("/proc/self/status");
    let first = all.split([',', '-']).next().unwrap();
    let mut manifest = "name = \"pinned\"\n".to_owned();
    for number in 0..12 {
        manifest += &format!("[domains.tied{number}]\nimage = \"echo\"\ncpus = [{first}]\n");
        manifest += &format!("[domains.free{number}]\nimage = \"echo\"\n");
    }
    let Some(system) = System::start(&manifest) else { return };
    for number in 0..12 {
        for kind in ["tied", "free"] {
            let domain = format!("{kind}{number}");
            until("a start", || (system.state(&domain) == "running").then_some(()));
        }
    }
    let mut seen = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", system.pid())).unwrap() {
        let thread = thread.unwrap().path();
        let name = fs::read_to_string(thread.join("comm")).unwrap();
        let status = thread.join("status");
        let expected = match name.trim() {
            name if !name.ends_with("/0") => continue,
            name if name.starts_with("tied") => first,
            _ => &all[..],
        };
        assert_eq!(allowed(status.to_str().unwrap()), expected, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 24);
}
