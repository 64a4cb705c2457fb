//! `kill -9` of the VMM, at any moment, leaves nothing that counts: the same system starts again at
//! once, as often as one likes, and nothing piles up anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use atoll_tests::environment::{self, patience, rounds};
use atoll_tests::resp::command;
use atoll_tests::socket::Socket;
use atoll_tests::{Lines, Place, Resp, System, process};

const SYSTEM: &str = r#"
name = "residue"

[domains.kv]
image = "kv"
memory = "16 MiB"

[domains.front]
image = "front"

[domains.echo]
image = "echo"

[[channels]]
from = "front"
to = "echo:echo"
as = "next"

[[gateways]]
listen = "unix:{dir}/kv.socket"
to = "kv:redis"

[[gateways]]
listen = "127.0.0.1:PORT"
to = "front:lines"
"#;

/// Latest moment of a kill after a start, and after the load has begun. A start takes some 20 ms.
const SOON: Duration = Duration::from_millis(40);

/// Moments without a pattern, and the same ones in each run (xorshift64).
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_nanos(self.0 % SOON.as_nanos() as u64)
    }
}

/// A port that is free now, for a system that is to have the same one each time.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("a listener has an address").port()
}

/// A VMM that will be killed.
struct Victim {
    vmm: Child,
    said: BufReader<ChildStdout>,
}

impl Victim {
    fn start(place: &Place) -> Self {
        let mut vmm = place
            .run_command()
            .arg("--json")
            .env("TMPDIR", place.path("tmp"))
            .env("XDG_RUNTIME_DIR", place.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the VMM can be started");
        let said = BufReader::new(vmm.stdout.take().expect("the pipe was asked for"));
        Self { vmm, said }
    }

    /// Waits until the system serves.
    fn await_start(mut self, round: usize) -> Self {
        let (send, receive) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut line = String::new();
            while !line.contains("\"system-started\"") {
                line.clear();
                if self.said.read_line(&mut line).expect("a pipe can be read") == 0 {
                    return self;
                }
            }
            send.send(()).expect("somebody waits");
            self
        });
        let started = receive.recv_timeout(patience());
        assert!(started.is_ok(), "round {round}: the system does not start again: {started:?}");
        reader.join().expect("reading does not panic")
    }

    /// Ends it as `kill -9` does, and checks that it is gone with all its threads.
    fn kill(mut self) {
        self.vmm.kill().expect("a child can be killed");
        assert!(process::ends_within(&self.vmm, patience()), "a killed process ends");
        self.vmm.wait().expect("a child can be waited for");
        assert!(!Path::new(&format!("/proc/{}", self.vmm.id())).exists());
    }
}

/// Clients that ask until their connection ends.
fn load(place: &Place, port: u16) -> Vec<JoinHandle<()>> {
    let kv = format!("unix:{}", place.path("kv.socket").display());
    let mut kv = Resp::over(Socket::connect(&kv));
    let mut front = Lines::connect(&format!("127.0.0.1:{port}"));
    let store = move || {
        let request = command(&format!("SET key {}", "x".repeat(100)));
        while kv.send(&request) && kv.reply().is_some() {}
    };
    let call = move || loop {
        front.tell("call over");
        if front.hear().is_none() {
            return;
        }
    };
    vec![thread::spawn(store), thread::spawn(call)]
}

/// Everything that is there and must not be, after a kill.
fn residue(place: &Place) -> Vec<String> {
    let expected = ["system.toml", "tmp", "control.sock", "control.lock", "kv.socket"];
    let strange = |name: &String| !expected.contains(&name.as_str());
    let mut found: Vec<_> = place.files().into_iter().filter(strange).collect();
    found.extend(names_in(&place.path("tmp")));
    found.extend(names_in(Path::new("/dev/shm")).into_iter().filter(|name| name.contains("atoll")));
    found.extend(processes_that_name(&place.path("").display().to_string()));
    found
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Processes with a path in their command line.
fn processes_that_name(path: &str) -> Vec<String> {
    let lines = names_in(Path::new("/proc"))
        .into_iter()
        .filter(|name| name.parse::<u32>().is_ok())
        // One that has ended meanwhile has none.
        .filter_map(|pid| Some((fs::read(format!("/proc/{pid}/cmdline")).ok()?, pid)));
    lines
        .filter(|(line, _)| String::from_utf8_lossy(line).contains(path))
        .map(|(line, pid)| format!("process {pid}: {}", String::from_utf8_lossy(&line)))
        .collect()
}

fn kill_and_start_again(kills: usize) {
    if !environment::has_kvm() {
        return;
    }
    let port = free_port();
    let place = Place::new(&SYSTEM.replace("PORT", &port.to_string()));
    fs::create_dir(place.path("tmp")).expect("a directory can be made");
    let mut moments = Moments(0x9e37_79b9_7f4a_7c15);
    for round in 0..kills {
        let victim = Victim::start(&place);
        // Any moment will do, so it is one of the clock's.
        if round % 2 == 0 {
            thread::sleep(moments.next());
            victim.kill();
        } else {
            let victim = victim.await_start(round);
            let clients = load(&place, port);
            thread::sleep(moments.next());
            victim.kill();
            clients.into_iter().for_each(|client| client.join().expect("clients see the end"));
        }
        let residue = residue(&place);
        assert!(residue.is_empty(), "round {round}: {residue:#?}");
    }
    // What a dead system left is replaced, and an orderly end leaves nothing at all.
    let system = System::start_at(place);
    assert_eq!(Lines::connect(&system.gateway("front:lines")).ask("call again"), "call again");
    let place = system.stop();
    let left: Vec<_> = place.files().into_iter().collect();
    assert_eq!(left, ["system.toml", "tmp"]);
}

#[test]
fn a_killed_vmm_leaves_nothing_that_keeps_it_from_starting_again() {
    kill_and_start_again(rounds(20, 4));
}

#[test]
#[ignore = "takes half a minute"]
fn nor_do_two_hundred_of_them() {
    kill_and_start_again(200);
}
