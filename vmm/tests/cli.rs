//! The `vmm` command as a process: what it prints and how it ends.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use atoll_vmm::domain::Origin;
use atoll_vmm::journal::{EventKind, Level};
use serde_json::Value;
use support::System;

fn vmm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmm"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("ATOLL_IMAGES");
    command.env("XDG_RUNTIME_DIR", "/nonexistent");
    command
}

fn at(system: &System, arguments: &[&str]) -> Output {
    let mut command = vmm(arguments);
    command.arg("--socket").arg(&system.socket).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn manifest(dir: &Path, content: &str) -> String {
    let path = dir.join("system.toml");
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_names_the_exit_codes() {
    let output = vmm(&["--help"]).output().unwrap();
    let help = stdout(&output);
    assert!(help.contains("Exit codes:\n  0  done\n"), "{help}");
    assert!(help.contains("  7  the system refused: unknown domain, or wrong state\n"), "{help}");
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [&["fly"][..], &[], &["kill"], &["kill", "a b"], &["ps", "--since", "1"]] {
        assert_eq!(vmm(arguments).output().unwrap().status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_bad_manifest_is_3_with_every_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = manifest(dir.path(), "name = \"a b\"\n[domains.kv]\nimgae = \"kv\"\n");
    for command in ["check", "run"] {
        let output = vmm(&[command, &path]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let lines: Vec<_> = text(&output.stderr).lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with(&format!("error: {path}:1:8: `name`: `a b` is not")));
        assert!(lines[1].starts_with(&format!("error: {path}:2:1: `[domains.kv]` has no `image`")));
        assert!(lines[2].ends_with("`imgae` in `[domains.kv]`; did you mean `image`?"));
    }
    let output = vmm(&["check", "--json", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], 3);
    assert_eq!(error["error"]["problems"].as_array().unwrap().len(), 3);
    assert_eq!(error["error"]["problems"][2]["line"], 3);
}

#[test]
fn no_system_is_6() {
    let cases = [
        (&["ps"][..], "no system runs here (looked in /nonexistent/atoll)"),
        (
            &["ps", "--system", "kv"],
            "no system named `kv` runs here (looked at /nonexistent/atoll/kv.sock)",
        ),
        (&["stop", "--socket", "/nonexistent/x"], "no system runs here (looked at /nonexistent/x)"),
    ];
    for (arguments, message) in cases {
        let output = vmm(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{arguments:?}");
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}

#[test]
fn the_only_system_needs_no_name_and_several_do() {
    let runtime = tempfile::tempdir().unwrap();
    let sockets = runtime.path().join("atoll");
    std::fs::create_dir(&sockets).unwrap();
    drop(std::os::unix::net::UnixListener::bind(sockets.join("dead.sock")).unwrap());
    let ps = || vmm(&["ps"]).env("XDG_RUNTIME_DIR", runtime.path()).output().unwrap();
    let _demo = System::start_at(sockets.join("demo.sock"), tempfile::tempdir().unwrap());
    assert!(stdout(&ps()).starts_with("demo: pid 42"));
    let _other = System::start_at(sockets.join("other.sock"), tempfile::tempdir().unwrap());
    let several = ps();
    assert_eq!(several.status.code(), Some(2));
    assert!(text(&several.stderr).contains("`demo`, `other`; choose one with --system NAME"));
    let chosen =
        vmm(&["ps", "--system", "other"]).env("XDG_RUNTIME_DIR", runtime.path()).output().unwrap();
    assert!(chosen.status.success());
}

#[test]
fn refusals_are_7() {
    let system = System::start();
    let unknown = at(&system, &["kill", "kvv"]);
    assert_eq!(unknown.status.code(), Some(7));
    let message = "error: no domain is named `kvv`; did you mean `kv`?\n";
    assert_eq!(text(&unknown.stderr), message);
    let state = at(&system, &["--json", "pause", "echo"]);
    assert_eq!(state.status.code(), Some(7));
    let error: Value = serde_json::from_slice(&state.stderr).unwrap();
    assert_eq!(error["error"]["code"], 7);
}

#[test]
fn ps_is_aligned() {
    let system = System::start();
    let expected = "\
demo: pid 42, up 3m 02s, software KVM, version 0.1.0
DOMAIN  STATE    EPOCH  RESTARTS  FAULTS  VCPUS   MEMORY  RESIDENT     CPU  UPTIME  IMAGE
kv      running      2         1       1      1  256 MiB   3.1 MiB  1.2 ms  12.3 s  kv
echo    paused       2         1       0      1  256 MiB   3.1 MiB  1.2 ms  12.3 s  echo
";
    assert_eq!(stdout(&at(&system, &["ps"])), expected);
    let json: Value = serde_json::from_str(stdout(&at(&system, &["ps", "--json"]))).unwrap();
    assert_eq!(json["domains"][0]["state"], "running");
}

#[test]
fn inspect_shows_the_fault() {
    let system = System::start();
    let expected = "\
domain    kv (id 0)
state     running, epoch 2
uptime    12.3 s
restarts  1, after 1 fault
image     kv 9f2c
memory    3.1 MiB resident of 256 MiB
keeps     3 MiB in use of 64 MiB
cpu       1.2 ms on 1 vCPU

EXIT      COUNT
doorbell      7
wait        120

CHANNEL  ROLE    PEER  PORT  REQUESTS  REPLIES  UNREAD  IN SERVICE  DOORBELLS
next     client  echo  main        10        9   128 B        64 B          3

GATEWAY         PORT   OPEN  ACCEPTED  REFUSED  ABORTED  REQUESTS     IN   OUT
127.0.0.1:6379  redis     1         2        0        1         5  2 KiB  12 B

DISK   SIZE    FILE  READS  WRITES  WRITTEN  SYNCS  BATCH  MOST  FAILED
log   1 GiB  64 MiB      4      10   40 KiB      4    2.5     5       2
log: /srv/log.disk, 3 MiB on the host, channel disk, fdatasync
  the host had no room for 2 of its requests
  durable writes: p50 130 us, p90 150 us, p99 2.1 ms, max 4.0 ms
  log 5 MiB
  live 60%

last fault page fault (vector 14, error 0x6): write to a page that is not mapped
  2000-02-29T23:59:59.000001Z, epoch 1, vCPU 0, after 12.3 s, 0 restarts before
  address 0x00000000dead0000, instruction 0x00000000004010a0
  restarted from its image in 464 us, epoch 2
  rax 0xffffffffffffffff  rbx 0x0000000000000000     rcx 0x0000000000000000
  rdx 0x0000000000000000  rsi 0x0000000000000000     rdi 0x0000000000000000
  rbp 0x0000000000000000  rsp 0x0000000000000000      r8 0x0000000000000000
   r9 0x0000000000000000  r10 0x0000000000000000     r11 0x0000000000000000
  r12 0x0000000000000000  r13 0x0000000000000000     r14 0x0000000000000000
  r15 0x0000000000000000  rip 0x00000000004010a0  rflags 0x0000000000000000
  #0  0x00000000004010a0 kv::poke+0x12
  #1  0x0000000000402000 ?
";
    assert_eq!(stdout(&at(&system, &["inspect", "kv"])), expected);
}

#[test]
fn faults_are_listed_with_what_followed() {
    let system = System::start();
    let expected = "\
epoch 1  2000-02-29T23:59:59.000001Z, vCPU 0, after 12.3 s
  page fault (vector 14, error 0x6): write to a page that is not mapped
  at 0x00000000004010a0 kv::poke+0x12
  restarted from its image in 464 us, epoch 2
";
    assert_eq!(stdout(&at(&system, &["faults", "kv"])), expected);
    assert_eq!(stdout(&at(&system, &["faults", "echo"])), "echo has had no fault\n");
    let json: Value =
        serde_json::from_str(stdout(&at(&system, &["faults", "kv", "--json"]))).unwrap();
    assert_eq!(json[0]["restart"]["kind"], "restarted");
    assert_eq!(json[0]["restart"]["origin"], "image");
    assert_eq!(at(&system, &["faults", "x"]).status.code(), Some(7));
}

#[test]
fn a_core_file_is_whole_and_private_or_not_there() {
    use std::os::unix::fs::PermissionsExt;

    let system = System::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv.core");
    let output = at(&system, &["core", "kv", path.to_str().unwrap()]);
    let said = stdout(&output);
    assert!(said.contains("5 MiB of kv") && said.contains("mkimage extract kv.img"), "{said}");
    assert!(std::fs::read(&path).unwrap() == support::core_of_kv());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = at(&system, &["core", "kv", path.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(5), "{again:?}");
    let other = dir.path().join("echo.core");
    let refused = at(&system, &["core", "echo", other.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(7));
    assert_eq!(text(&refused.stderr), "error: no core file of `echo`: it is a test\n");
    assert!(!other.exists());
}

#[test]
fn what_arrives_and_is_no_snapshot_is_not_kept() {
    let system = System::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv.snap");
    for arguments in [&["snapshot", "kv"][..], &["snapshot", "--deadline", "1 min"]] {
        let refused = at(&system, &[arguments, &[path.to_str().unwrap()]].concat());
        assert_eq!(refused.status.code(), Some(9), "{refused:?}");
        let says = text(&refused.stderr);
        assert!(says.contains("kv.snap: this is no snapshot"), "{says}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    let wrong = at(&system, &["snapshot", "--deadline", "soon", path.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2));
    let nowhere = dir.path().join("nowhere").join("kv.snap");
    let refused = at(&system, &["snapshot", nowhere.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(5));
    assert!(text(&refused.stderr).contains("nowhere/kv.snap"), "{refused:?}");
}

#[test]
fn orders_say_what_was_done_and_stop_waits() {
    let system = System::start();
    assert_eq!(stdout(&at(&system, &["kill", "kv"])), "killed kv\n");
    assert_eq!(stdout(&at(&system, &["resume", "echo"])), "resumed echo\n");
    let json: Value =
        serde_json::from_str(stdout(&at(&system, &["restart", "kv", "--json"]))).unwrap();
    assert_eq!(json, serde_json::json!({ "domain": "kv", "done": "restarted" }));
    assert_eq!(stdout(&at(&system, &["reset-state", "kv"])), "emptied kv\n");
    let socket = system.socket.clone();
    let mut stop = vmm(&["stop"]);
    stop.arg("--socket").arg(&socket).stdout(Stdio::piped());
    let child = stop.spawn().unwrap();
    assert_eq!(system.join(), ["kill kv", "resume echo", "restart kv", "reset the state of kv"]);
    assert_eq!(stdout(&child.wait_with_output().unwrap()), "stopped\n");
    assert!(!socket.exists());
}

#[test]
fn logs_are_harmless_to_a_terminal() {
    let system = System::start();
    system.journal.log("kv", 3, Level::Warn, b"\x1b[2Jhello\r\n");
    let output = at(&system, &["logs", "kv"]);
    let line = stdout(&output);
    assert!(line.ends_with("Z kv/3 warn  \\u{1b}[2Jhello\\r\\n\n"), "{line:?}");
    assert_eq!(stdout(&at(&system, &["logs", "echo"])), "");
    assert_eq!(at(&system, &["logs", "x"]).status.code(), Some(7));
}

#[test]
fn lost_lines_are_mentioned() {
    let system = System::start();
    for _ in 0..2_005 {
        system.journal.log("kv", 1, Level::Info, b"babble");
    }
    let output = at(&system, &["logs"]);
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 2_001);
    assert_eq!(lines[0], "(5 older lines of kv were dropped)");
}

#[test]
fn events_are_followed_to_the_end() {
    let mut system = System::start();
    system.journal.event(None, EventKind::SystemStarted);
    let mut follow = vmm(&["events", "-f"]);
    follow.arg("--socket").arg(&system.socket).stdout(Stdio::piped());
    let mut child = follow.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().ends_with("Z - system started"));
    let kind = EventKind::DomainRestarted {
        epoch: 2,
        origin: Origin::Checkpoint,
        micros: 90,
        steps: None,
    };
    system.journal.event(Some("kv"), kind);
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .ends_with("Z kv restarted from its checkpoint in 90 us, epoch 2")
    );
    system.stop_serving();
    assert!(lines.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let system = System::start();
    for _ in 0..2_000 {
        system.journal.log("kv", 1, Level::Info, &[b'x'; 4096]);
    }
    let mut logs = vmm(&["logs", "-f"]);
    logs.arg("--socket").arg(&system.socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = logs.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}
