//! Owns commands that must end in time: none of them can hang a test.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::environment::patience;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let stdout = text(child.stdout.take());
    let stderr = text(child.stderr.take());
    if !ends_within(&child, patience()) {
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        let (stdout, stderr) = (joined(stdout), joined(stderr));
        panic!("{command:?} did not end in time; it said: {stdout}\nand complained: {stderr}");
    }
    let status = child.wait().expect("a child can be waited for");
    Outcome { code: status.code(), stdout: joined(stdout), stderr: joined(stderr) }
}

/// Waits for a child's end and leaves it to be collected, so that its id stays its own.
pub fn ends_within(child: &Child, limit: Duration) -> bool {
    let pid = Pid::from_raw(child.id() as i32);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let waited = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        // Whoever asked may have given up.
        let _ = tell.send(waited.map(drop));
    });
    match told.recv_timeout(limit) {
        Ok(waited) => waited.map(|()| true).expect("a child can be waited for"),
        Err(_) => false,
    }
}

fn text(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut pipe = pipe.expect("the pipe was asked for");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(reader: JoinHandle<String>) -> String {
    reader.join().expect("reading a pipe does not panic")
}
