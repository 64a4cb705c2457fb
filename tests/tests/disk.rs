//! Disks that the VMM lends to domains: what is on them outlives the domain, the VMM, and every way in
//! which either ends; and nobody gets anything else than what was asked for.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use atoll_tests::control::until;
use atoll_tests::environment::{has_kvm, patience};
use atoll_tests::{Lines, Place, System, process};

/// Bytes of each write of a pile, and of the workload.
const PIECE: u64 = 4096;

/// A domain with a disk of 16 MiB, with more lines for the disk.
fn manifest(more: &str) -> String {
    format!(
        "name = \"disk\"\n[domains.scribe]\nimage = \"scribe\"\nbackoff-cap = \"1 ms\"\nbackoff-first = \"1 ms\"\n\
         [[gateways]]\nlisten = \"unix:{{dir}}/lines\"\nto = \"scribe:lines\"\n\
         [disks.log]\nfile = \"log.disk\"\nsize = \"16 MiB\"\ndomain = \"scribe\"\n{more}\n"
    )
}

fn connect(system: &System) -> Lines {
    Lines::connect(&system.gateway("scribe:lines"))
}

fn start(more: &str) -> Option<(System, Lines)> {
    let system = System::start(&manifest(more))?;
    let lines = connect(&system);
    Some((system, lines))
}

fn ask(lines: &mut Lines, line: &str, wanted: &str) {
    assert_eq!(lines.ask(line), wanted, "{line}");
}

/// A number of the only disk's figures.
fn figure(system: &System, name: &str) -> u64 {
    system.number("scribe", &format!("/disks/0/{name}"))
}

#[test]
fn what_is_written_is_read_and_outlives_the_domain_and_the_system() {
    let Some((system, mut lines)) = start("") else { return };
    ask(&mut lines, "describe", "size 16777216 block 512 most 2097152 fresh 0");
    ask(&mut lines, "zeros 0 65536", "zeros");
    ask(&mut lines, "write 512 1536 1", "done");
    ask(&mut lines, "check 512 1536 1", "right");
    ask(&mut lines, "zeros 0 512", "zeros");
    // The longest request, and more than one can carry.
    for length in [2 << 20, 5 << 20] {
        ask(&mut lines, &format!("commit 1048576 {length} 2"), "done");
        ask(&mut lines, &format!("check 1048576 {length} 2"), "right");
    }
    ask(&mut lines, "discard 1048576 1048576", "done");
    ask(&mut lines, "zeros 1048576 1048576", "zeros");
    ask(&mut lines, "flush", "done");
    system.renew("scribe", "kill");
    let mut lines = connect(&system);
    ask(&mut lines, "check 512 1536 1", "right");
    // The bytes follow from where they lie.
    ask(&mut lines, "check 2097152 4194304 2", "right");
    let place = system.stop();
    let system = System::start_at(place);
    let mut lines = connect(&system);
    ask(&mut lines, "describe", "size 16777216 block 512 most 2097152 fresh 6291456");
    ask(&mut lines, "check 512 1536 1", "right");
    ask(&mut lines, "check 2097152 4194304 2", "right");
    ask(&mut lines, "zeros 6291456 1048576", "zeros");
}

#[test]
fn past_the_page_cache_it_is_the_same() {
    let Some(probe) = direct() else { return };
    let system = System::start_at(probe);
    let mut lines = connect(&system);
    ask(&mut lines, "commit 4096 1048576 1", "done");
    ask(&mut lines, "check 4096 1048576 1", "right");
    // Buffers of odd lengths in between move the next ones to where the host cannot reach them.
    for _ in 0..4 {
        ask(&mut lines, "raw 2 0 0 0 72", "error: the peer rejects the request");
        ask(&mut lines, "write 0 8192 3", "done");
        ask(&mut lines, "check 0 8192 3", "right");
    }
    ask(&mut lines, "pile 64 4", "piled 64");
    ask(&mut lines, "harvest", "done 64");
    ask(&mut lines, "fetch 64 4096 4", "right");
    assert!(system.told(&["inspect", "scribe"]).contains("channel disk, direct"));
}

/// A place whose disk is read and written directly, if its file system knows how; otherwise the
/// error must say so.
fn direct() -> Option<Place> {
    if !has_kvm() {
        return None;
    }
    let place = Place::new(&manifest("sync = \"direct\""));
    let file = place.path("probe");
    let mut probe = OpenOptions::new();
    probe.write(true).create(true).truncate(true).custom_flags(nix::libc::O_DIRECT);
    let known = probe.open(&file).is_ok();
    // Some file systems make the file before they refuse to open it.
    let _ = fs::remove_file(file);
    if !known {
        let outcome = place.run();
        assert_eq!(outcome.code, Some(5));
        assert!(outcome.stderr.contains("does not know O_DIRECT"), "{}", outcome.stderr);
        return None;
    }
    Some(place)
}

#[test]
fn many_requests_at_a_time_are_all_answered_and_share_what_makes_them_durable() {
    let Some((system, mut lines)) = start("") else { return };
    ask(&mut lines, "pile 64 1", "piled 64");
    ask(&mut lines, "harvest", "done 64");
    ask(&mut lines, "fetch 64 4096 1", "right");
    // More than the pool holds at a time.
    ask(&mut lines, "commit 0 8388608 2", "done");
    ask(&mut lines, "fetch 8 1048576 2", "right");
    ask(&mut lines, "fetch 16 524288 2", "right");
    assert_eq!(figure(&system, "writes"), 64 + 4);
    assert_eq!(figure(&system, "written_bytes"), 64 * PIECE + (8 << 20));
    let syncs = figure(&system, "syncs");
    assert!((1..=65).contains(&syncs), "{syncs}");
    assert_eq!(figure(&system, "synced"), 65);
    assert!(figure(&system, "largest_batch") >= 1);
    assert_eq!(figure(&system, "durable_writes/count"), 65);
}

#[test]
fn what_is_malformed_is_refused_and_nothing_else_happens() {
    let Some((system, mut lines)) = start("") else { return };
    let end: u64 = 16 << 20;
    let refused = "error: the peer rejects the request";
    let (read, write, discard) = (2, 3, 5);
    for (offset, length) in [
        (1, 512),
        (0, 511),
        (0, 0),
        (end, 512),
        (end - 512, 1024),
        (u64::MAX - 511, 512),
        (u64::MAX, u64::MAX),
        (512, u64::MAX - 511),
    ] {
        ask(&mut lines, &format!("raw {read} {offset} {length} 0 0"), refused);
        ask(&mut lines, &format!("raw {write} {offset} {length} 1 512"), refused);
        ask(&mut lines, &format!("raw {discard} {offset} {length} 0 0"), refused);
    }
    // Longer than a buffer can be; buffers of other lengths, and none; flags that there are not.
    for line in [
        format!("raw {read} 0 4194304 0 0"),
        format!("raw {write} 0 512 0 0"),
        format!("raw {write} 0 512 0 513"),
        format!("raw {write} 0 1024 0 512"),
        format!("raw {write} 0 512 2 512"),
        format!("raw {read} 0 512 1 0"),
        format!("stub {write} 24"),
        format!("stub {read} 23"),
        "stub 1 1".to_owned(),
        "stub 4 1".to_owned(),
        "stub 6 1025".to_owned(),
        "stub 99 0".to_owned(),
    ] {
        ask(&mut lines, &line, refused);
    }
    assert_eq!(figure(&system, "writes") + figure(&system, "reads"), 0);
    assert_eq!(figure(&system, "refused"), 8 * 3 + 12);
    assert_eq!(figure(&system, "file_bytes"), 0);
    ask(&mut lines, "commit 0 512 1", "done");
    ask(&mut lines, "check 0 512 1", "right");
}

#[test]
fn a_restarted_domain_finds_settled_what_its_last_incarnation_asked_for() {
    let Some((system, mut lines)) = start("") else { return };
    for round in 0..20 {
        let (old, new) = (2 * round + 1, 2 * round + 2);
        let mark = system.records().mark();
        lines.tell(&format!("pile-and-die 64 {old}"));
        system.restarted_after(mark, "scribe");
        lines = connect(&system);
        // Nothing of the old one reaches the disk after this.
        ask(&mut lines, &format!("commit 0 {} {new}", 64 * PIECE), "done");
        ask(&mut lines, "flush", "done");
        ask(&mut lines, &format!("check 0 {} {new}", 64 * PIECE), "right");
        ask(&mut lines, &format!("fetch 64 {PIECE} {new}"), "right");
    }
    // Each block of the last pile is there whole, or is not.
    let mark = system.records().mark();
    lines.tell("pile-and-die 64 99");
    system.restarted_after(mark, "scribe");
    lines = connect(&system);
    for n in 0..64 {
        let place = format!("{} {PIECE}", n * PIECE);
        let is =
            |lines: &mut Lines, seed: u64| lines.ask(&format!("check {place} {seed}")) == "right";
        assert!(is(&mut lines, 99) || is(&mut lines, 40), "block {n} is torn");
    }
}

/// Runs a system with faults until it has killed itself, or ends; its client writes one piece after
/// the other, durably, each with the seed 7. Returns how many were acknowledged.
fn killed_at(place: &Place, fault: &str, pieces: u64) -> u64 {
    let mut vmm = place
        .run_command()
        .args(["--disk-fault", fault])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the VMM can be started");
    let mut lines = until("the gateway", || {
        UnixStream::connect(place.path("lines")).ok()?;
        Some(Lines::connect(&format!("unix:{}", place.path("lines").display())))
    });
    let mut acknowledged = 0;
    for n in 0..pieces {
        lines.tell(&format!("commit {} {PIECE} 7", n * PIECE));
        match lines.hear() {
            Some(said) => assert_eq!(said, "done"),
            None => break,
        }
        acknowledged += 1;
    }
    ended(&mut vmm);
    fs::remove_file(place.path("lines")).expect("a killed system leaves its socket");
    acknowledged
}

fn ended(vmm: &mut Child) {
    assert!(process::ends_within(vmm, patience()), "it was to kill itself");
    let status = vmm.wait().expect("a child can be waited for");
    assert_eq!(status.signal(), Some(nix::libc::SIGKILL), "{status}");
}

#[test]
fn whatever_write_the_system_dies_at_what_was_acknowledged_is_there_and_no_more() {
    const PIECES: u64 = 6;
    if !has_kvm() {
        return;
    }
    for kind in ["stop", "tear"] {
        for at in 1..=PIECES {
            let place = Place::new(&manifest(""));
            let acknowledged = killed_at(&place, &format!("log:{kind}@{at}"), PIECES + 1);
            assert_eq!(acknowledged, at - 1, "{kind}@{at}");
            let next = (at - 1) * PIECE;
            let torn = if kind == "tear" { PIECE / 2 } else { 0 };
            let found = fs::metadata(place.path("log.disk")).expect("the file is there");
            assert_eq!(found.len(), next + torn, "{kind}@{at}");
            // The next system sees just that, and goes on.
            let system = System::start_at(place);
            let mut lines = connect(&system);
            ask(&mut lines, &format!("check 0 {} 7", next + torn), "right");
            ask(&mut lines, &format!("zeros {} {PIECE}", next + torn), "zeros");
            ask(&mut lines, &format!("commit {next} {PIECE} 7"), "done");
            ask(&mut lines, &format!("check 0 {} 7", at * PIECE), "right");
        }
    }
}

/// Starts a system with faults, and a client of it.
fn start_with(faults: &[&str]) -> Option<(System, Lines)> {
    if !has_kvm() {
        return None;
    }
    let arguments: Vec<_> = faults.iter().flat_map(|fault| ["--disk-fault", fault]).collect();
    let system = System::start_with(Place::new(&manifest("")), &arguments);
    let lines = connect(&system);
    Some((system, lines))
}

#[test]
fn a_write_that_fails_is_told_and_touches_nothing_and_the_next_one_is_served() {
    let Some((system, mut lines)) = start_with(&["log:fail@2", "log:fail@4"]) else { return };
    ask(&mut lines, "commit 0 4096 1", "done");
    ask(&mut lines, "commit 0 4096 2", "error: the host's disk failed");
    ask(&mut lines, "check 0 4096 1", "right");
    ask(&mut lines, "commit 0 4096 3", "done");
    ask(&mut lines, "write 0 4096 4", "error: the host's disk failed");
    ask(&mut lines, "check 0 4096 3", "right");
    assert_eq!(figure(&system, "failed"), 2);
}

#[test]
fn a_full_disk_says_so_until_the_next_start_and_can_be_read() {
    let Some((system, mut lines)) = start_with(&["log:full@3"]) else { return };
    ask(&mut lines, "commit 0 8192 1", "done");
    ask(&mut lines, "commit 8192 4096 1", "done");
    for _ in 0..3 {
        ask(&mut lines, "commit 0 4096 2", "error: the host has no room left");
    }
    ask(&mut lines, "pile 8 2", "piled 8");
    ask(&mut lines, "harvest", "done 0, 8 the host has no room left");
    ask(&mut lines, "check 0 12288 1", "right");
    ask(&mut lines, "flush", "done");
    assert_eq!(figure(&system, "full"), 11);
    let system = System::start_at(system.stop());
    let mut lines = connect(&system);
    ask(&mut lines, "check 0 12288 1", "right");
    ask(&mut lines, "commit 0 4096 2", "done");
}

#[test]
fn a_fault_for_no_disk_and_one_that_is_none_are_wrong_usage() {
    let place = Place::new(&manifest(""));
    for (fault, why) in [
        (
            "lag:stop@1",
            "--disk-fault names disk `lag`, which the manifest does not have; it has `log`",
        ),
        ("log:halt@1", "write it as DISK:KIND@N"),
    ] {
        let outcome = process::run(place.run_command().args(["--disk-fault", fault]));
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
    }
    assert!(!place.path("log.disk").exists());
}

#[test]
fn a_disk_that_is_only_read_takes_no_writes_and_several_systems_may_read_it() {
    if !has_kvm() {
        return;
    }
    let place = Place::new(&manifest("read-only = true"));
    place.put("log.disk", [0; 4096]);
    let system = System::start_at(place);
    let mut lines = connect(&system);
    ask(&mut lines, "describe", "size 16777216 block 512 most 2097152 fresh 4096");
    ask(&mut lines, "zeros 0 8192", "zeros");
    for line in ["write 0 512 1", "commit 0 512 1", "discard 0 512"] {
        ask(&mut lines, line, "error: the disk can only be read");
    }
    ask(&mut lines, "flush", "done");
    let file = system.place().path("log.disk").display().to_string();
    let other = manifest("read-only = true").replace("log.disk", &file);
    let other =
        System::start(&other.replace("name = \"disk\"", "name = \"other\"")).expect("KVM is there");
    ask(&mut connect(&other), "zeros 0 4096", "zeros");
}

#[test]
fn two_systems_cannot_use_one_file_and_the_second_says_who_has_it() {
    let Some((system, mut lines)) = start("") else { return };
    ask(&mut lines, "commit 0 4096 1", "done");
    let file = system.place().path("log.disk").display().to_string();
    for more in ["", "read-only = true"] {
        let text = manifest(more).replace("log.disk", &file);
        let other = Place::new(&text.replace("name = \"disk\"", "name = \"other\""));
        let outcome = other.run();
        assert_eq!(outcome.code, Some(5));
        let pid = system.pid();
        let said = format!(
            "disk `log`: {file} is in use by pid {pid}; stop what uses it, or give this disk another \
             file\n"
        );
        assert!(outcome.stderr.ends_with(&said), "{}", outcome.stderr);
    }
    ask(&mut lines, "check 0 4096 1", "right");
    ask(&mut lines, "commit 4096 4096 1", "done");
}

#[test]
fn a_file_that_is_too_long_is_refused_and_stays_as_it_is() {
    let place = Place::new(&manifest(""));
    let bytes = vec![7; (16 << 20) + 1];
    place.put("log.disk", &bytes);
    if !has_kvm() {
        return;
    }
    let outcome = place.run();
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("more than its `size` of 16777216"), "{}", outcome.stderr);
    assert!(fs::read(place.path("log.disk")).expect("it is there") == bytes);
}

#[test]
fn a_domain_says_how_it_uses_its_disks_and_inspect_shows_each() {
    let more =
        "[disks.more]\nfile = \"more.disk\"\nsize = \"1 MiB\"\ndomain = \"scribe\"\nas = \"more\"";
    let Some((system, mut lines)) = start(more) else { return };
    ask(&mut lines, "on more describe", "size 1048576 block 512 most 2097152 fresh 0");
    ask(&mut lines, "on more commit 0 512 1", "done");
    ask(&mut lines, "zeros 0 512", "zeros");
    ask(&mut lines, "on none describe", "error: no channel or port of that name");
    ask(&mut lines, "note live 60%/batches 3", "done");
    let shown = until("the note", || {
        let shown = system.told(&["inspect", "scribe"]);
        shown.contains("batches 3").then_some(shown)
    });
    assert!(shown.contains("\n  live 60%\n  batches 3\n"), "{shown}");
    assert!(shown.contains("more.disk, "), "{shown}");
    assert!(shown.contains("durable writes: p50 "), "{shown}");
    let disks = system.json(&["inspect", "scribe"])["disks"].clone();
    assert_eq!(disks[0]["note"], "live 60%\nbatches 3");
    assert_eq!((&disks[1]["name"], &disks[1]["writes"]), (&"more".into(), &1.into()));
    // A note outlives its author, but not the system.
    system.renew("scribe", "kill");
    assert_eq!(system.json(&["inspect", "scribe"])["disks"][0]["note"], "live 60%\nbatches 3");
}
