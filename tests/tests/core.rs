//! Core files: what `vmm core` writes is what gdb opens, and the domain does not notice.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use atoll_image::Image;
use atoll_tests::control::until;
use atoll_tests::{Lines, System, environment, process};
use serde_json::Value;

const CRASH: &str = "crashme:crash";

fn start(keys: &str) -> Option<System> {
    System::start(&format!(
        "name = \"core\"\n[domains.crashme]\nimage = \"crashme\"\n{keys}\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{CRASH}\"\n"
    ))
}

/// Where the tests put their core files: outside the system's directory, which must stay as it is.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// Has a core file written, and returns what the command said.
fn dump(system: &System, path: &Path) -> Value {
    let said = system.json(&["core", "crashme", path.to_str().unwrap()]);
    let metadata = fs::metadata(path).unwrap();
    assert_eq!(said["bytes"], metadata.len());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    said
}

/// What gdb says about a core file. Without gdb that is said, and `None`.
fn gdb(core: &Path, commands: &[&str]) -> Option<String> {
    let version = Command::new("gdb").arg("--version").stdout(Stdio::null()).status();
    if let Err(error) = version {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Past the test runner, which shows only what failed tests print.
        io::stderr().write_all(format!("SKIPPED: no gdb ({error}): {test}\n").as_bytes()).unwrap();
        return None;
    }
    // The name by which the core file calls it: gdb warns of any other.
    let elf = core.with_file_name("crashme.elf");
    let image = Image::open(environment::images().join("crashme.img")).unwrap();
    fs::write(&elf, image.executable()).unwrap();
    // It warns as well of one that is newer than the core file.
    File::options().write(true).open(&elf).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch"]).arg(&elf).arg(core);
    gdb.args(commands.iter().flat_map(|command| ["-ex", command]));
    let outcome = process::run(&mut gdb);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let said = outcome.stdout + &outcome.stderr;
    assert!(!said.contains("warning"), "{said}");
    Some(said)
}

/// The address that `info registers rip` shows.
fn rip(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("rip "));
    let address = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    let number = u64::from_str_radix(address.trim_start_matches("0x"), 16);
    format!("{:#018x}", number.unwrap_or_else(|_| panic!("no rip in\n{said}")))
}

/// A stretch of memory in a core file: its first address, and the bytes that are stored of it.
fn stretches(core: &[u8]) -> Vec<(u64, &[u8])> {
    let word = |at: usize| u64::from_le_bytes(core[at..at + 8].try_into().unwrap());
    let count = u16::from_le_bytes(core[56..58].try_into().unwrap()).into();
    let headers = (0..count).map(|number: usize| 64 + 56 * number);
    let loads = headers.filter(|&at| core[at..at + 4] == 1u32.to_le_bytes());
    loads
        .map(|at| {
            let (offset, address, length) = (word(at + 8), word(at + 16), word(at + 32));
            (address, &core[offset as usize..(offset + length) as usize])
        })
        .collect()
}

/// Where in the domain's memory a text is.
fn find(core: &[u8], text: &str) -> Option<u64> {
    stretches(core).into_iter().find_map(|(address, bytes)| {
        let place = bytes.windows(text.len()).position(|window| window == text.as_bytes())?;
        Some(address + place as u64)
    })
}

#[test]
fn a_domain_that_stays_down_shows_its_state_at_the_fault() {
    let Some(system) = start("restart = \"never\"") else { return };
    let (scratch, mark) = (scratch(), system.records().mark());
    let mut client = Lines::connect(&system.gateway(CRASH));
    client.tell("null");
    system.event_after(mark, "crashme", "domain-faulted");
    until("the end of crashme", || (system.state("crashme") == "faulted").then_some(()));
    let core = scratch.path().join("crashme.core");
    let said = dump(&system, &core);
    let report = system.inspect("crashme");
    assert_eq!(said["image_hash"], report["image_hash"]);
    assert_eq!(report["state"], "faulted");

    let commands = ["bt", "info registers rip", "x/gx 0x100000", "info threads"];
    let Some(shown) = gdb(&core, &commands) else { return };
    assert_eq!(rip(&shown), report["last_fault"]["rip"], "{shown}");
    assert!(shown.contains("terminated with signal SIGSEGV"), "{shown}");
    assert!(shown.contains("core/crashme, epoch 1, image crashme"), "{shown}");
    let frames = report["last_fault"]["backtrace"].as_array().unwrap();
    for (number, frame) in frames.iter().enumerate() {
        let symbol = frame["symbol"].as_str().unwrap();
        let line = shown.lines().find(|line| line.starts_with(&format!("#{number} ")));
        assert!(
            line.is_some_and(|line| line.contains(symbol)),
            "no #{number} {symbol} in\n{shown}"
        );
    }
    assert!(frames.len() > 2 && shown.contains("faults::null"), "{shown}");
    // A control page begins with its own address.
    assert!(shown.contains("0x100000:\t0x0000000000100000"), "{shown}");
}

#[test]
fn a_domain_that_runs_is_seen_where_it_loops_and_goes_on() {
    let Some(system) = start("") else { return };
    let scratch = scratch();
    let mut quiet = Lines::connect(&system.gateway(CRASH));
    // Half a line stays in the server's heap.
    quiet.raw(b"echo a-token-that-is-kept");
    assert_eq!(Lines::connect(&system.gateway(CRASH)).ask("ping"), "pong");
    let mark = system.records().mark();
    let idle = scratch.path().join("idle.core");
    dump(&system, &idle);
    let bytes = fs::read(&idle).unwrap();
    let place = find(&bytes, "a-token-that-is-kept").expect("the heap is in the file");
    assert!(bytes.len() < 4 << 20, "{} bytes: what was never touched is not stored", bytes.len());
    quiet.raw(b"\n");
    assert_eq!(quiet.hear().unwrap(), "a-token-that-is-kept", "it goes on");

    Lines::connect(&system.gateway(CRASH)).tell("loop");
    until("a request in service", || {
        (system.number("crashme", "/channels/0/in_service_bytes") > 0).then_some(())
    });
    let busy = scratch.path().join("busy.core");
    until("the loop", || {
        // It has taken the request, and may not be in the loop yet.
        let _ = fs::remove_file(&busy);
        dump(&system, &busy);
        let Some(shown) = gdb(&busy, &["bt"]) else { return Some(()) };
        shown.contains("faults::forever").then_some(())
    });
    assert_eq!((system.state("crashme"), system.epoch("crashme")), ("running".into(), 1));
    system.renew("crashme", "kill");
    assert_eq!(quiet.ask("ping"), "pong");
    assert_eq!(system.inspect("crashme")["faults"], 1, "only the kill was a fault");
    let all = system.records().all();
    let noticed = all[mark..].iter().any(|record| record["kind"] == "domain-paused");
    assert!(!noticed, "a core file is no pause");

    let Some(shown) = gdb(&idle, &[&format!("x/s {place:#x}"), "p $fs_base"]) else { return };
    assert!(shown.contains("a-token-that-is-kept"), "{shown}");
    assert!(shown.contains("= 1048576"), "its control page's address: {shown}");
}

#[test]
fn a_paused_domain_stays_so_and_every_vcpu_is_in_the_file() {
    let Some(system) = start("vcpus = 3") else { return };
    let scratch = scratch();
    let mark = system.records().mark();
    let core = |name: &str| -> PathBuf { scratch.path().join(name) };
    dump(&system, &core("running.core"));
    system.order("crashme", "pause");
    system.event_after(mark, "crashme", "domain-paused");
    dump(&system, &core("one.core"));
    dump(&system, &core("two.core"));
    assert_eq!(system.state("crashme"), "paused");
    assert_eq!(
        stretches(&fs::read(core("one.core")).unwrap()),
        stretches(&fs::read(core("two.core")).unwrap()),
        "nothing goes on in a paused domain"
    );
    system.order("crashme", "resume");
    assert_eq!(Lines::connect(&system.gateway(CRASH)).ask("ping"), "pong");
    for name in ["running.core", "one.core"] {
        let Some(shown) = gdb(&core(name), &["info threads", "thread apply all bt"]) else {
            return;
        };
        let threads = shown.matches("in __atoll_worker ()").count();
        assert!(threads >= 2, "two of three vCPUs are workers: {shown}");
        assert!(shown.contains("LWP 3"), "{shown}");
    }
}

#[test]
fn what_cannot_be_is_refused_and_leaves_no_file() {
    let Some(system) = start("") else { return };
    let scratch = scratch();
    let path = scratch.path().join("x.core");
    let unknown = system.vmm(&["core", "crashmee", path.to_str().unwrap()]);
    assert_eq!(unknown.code, Some(7), "{}", unknown.stderr);
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    let there = system.vmm(&["core", "crashme", path.to_str().unwrap()]);
    assert_eq!(there.code, Some(5), "{}", there.stderr);
    assert!(there.stderr.contains("remove it, or name another FILE"), "{}", there.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_last_faults_are_kept_with_what_followed_each() {
    let Some(system) = start("") else { return };
    assert_eq!(system.json(&["faults", "crashme"]), Value::Array(Vec::new()));
    let mark = system.records().mark();
    assert_eq!(Lines::connect(&system.gateway(CRASH)).ask("ud2"), "restarted");
    system.restarted_after(mark, "crashme");
    // Kills are faults that nobody is made to wait for.
    for epoch in 3..=21 {
        assert_eq!(system.renew("crashme", "kill"), epoch);
    }
    let faults = system.json(&["faults", "crashme"]);
    let faults = faults.as_array().unwrap();
    assert_eq!(faults.len(), 16, "the last ones, and no more");
    for (place, fault) in faults.iter().enumerate() {
        assert_eq!(fault["epoch"], place + 5);
        assert_eq!(fault["kind"], "killed");
        assert_eq!(fault["restart"]["kind"], "restarted", "{fault:#}");
        assert_eq!(fault["restart"]["epoch"], place + 6);
    }
    assert_eq!(faults[15], system.inspect("crashme")["last_fault"]);
    let shown = system.told(&["faults", "crashme"]);
    assert!(
        shown.contains("ended by an operator") && shown.contains("restarted from its"),
        "{shown}"
    );
}
