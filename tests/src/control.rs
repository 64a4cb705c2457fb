//! Owns the two ways to a system's control API: the `vmm` command, and HTTP as anybody may write it.

use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::environment::patience;
use crate::process::{self, Outcome};
use crate::records::{Records, is_event};
use crate::socket::Socket;
use crate::system::{System, command, text_of};

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// Its body, as it came.
    pub body: String,
}

/// A command that follows something until it is dropped.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    /// What it has printed.
    pub records: Records,
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Follower {
    /// Waits for its end, which must be a good one.
    pub fn ended_well(mut self) -> Vec<Value> {
        assert!(process::ends_within(&self.child, patience()), "the follower does not end");
        let status = self.child.wait().expect("a child can be waited for");
        assert_eq!(status.code(), Some(0), "the follower ended with {status}");
        self.records.to_the_end()
    }
}

impl System {
    /// Runs a command against this system.
    pub fn vmm(&self, arguments: &[&str]) -> Outcome {
        process::run(command().args(arguments).arg("--socket").arg(self.place().socket()))
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let outcome = self.vmm(arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
        outcome.stdout
    }

    /// Runs a command with `--json`, and returns the value that it printed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let told = self.told(&[arguments, &["--json"]].concat());
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("`{told}` is no JSON: {error}"))
    }

    /// Starts a command that follows something.
    pub fn follow(&self, arguments: &[&str]) -> Follower {
        let mut child = command()
            .args(arguments)
            .args(["-f", "--json", "--socket"])
            .arg(self.place().socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command can be started");
        let records = Records::read(child.stdout.take().expect("the pipe was asked for"));
        Follower { child, records }
    }

    /// Asks the control API over its socket.
    pub fn http(&self, method: &str, path: &str) -> Answer {
        let mut socket = Socket::connect(&format!("unix:{}", self.place().socket().display()));
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("the control socket takes a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the control socket answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer {
            status: status.expect("an answer has a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.http("GET", path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("the API speaks JSON")
    }

    /// Gives an order about a domain, as often as the domain is between two states.
    pub fn order(&self, domain: &str, verb: &str) {
        let path = format!("/v1/domains/{domain}/{verb}");
        let done = || match self.http("POST", &path) {
            Answer { status: 204, .. } => Some(()),
            Answer { status: 409, body, .. } if body.contains("in a moment") => None,
            answer => panic!("{verb} {domain}: {answer:?}"),
        };
        until(&format!("{verb} of {domain}"), done);
    }

    /// Gives an order that ends in a new incarnation, and waits until that serves.
    pub fn renew(&self, domain: &str, verb: &str) -> u64 {
        let mark = self.records().mark();
        self.order(domain, verb);
        self.restarted_after(mark, domain)
    }

    /// Waits for a domain's next incarnation since a mark in the records; returns its epoch.
    pub fn restarted_after(&self, mark: usize, domain: &str) -> u64 {
        let event = self.records().after(mark, &format!("a restart of {domain}"), |record| {
            is_event(record, domain, "domain-restarted")
        });
        event["epoch"].as_u64().expect("an epoch is a number")
    }

    /// Waits for an event of a domain.
    pub fn event_after(&self, mark: usize, domain: &str, kind: &str) -> Value {
        self.records().after(mark, &format!("{kind} of {domain}"), |r| is_event(r, domain, kind))
    }

    /// Everything about a domain.
    pub fn inspect(&self, domain: &str) -> Value {
        self.get(&format!("/v1/domains/{domain}"))
    }

    /// A number in what is known of a domain, by its JSON pointer.
    pub fn number(&self, domain: &str, pointer: &str) -> u64 {
        let report = self.inspect(domain);
        let found = report.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number {pointer} in {report:#}"))
    }

    /// A domain's incarnation.
    pub fn epoch(&self, domain: &str) -> u64 {
        self.number(domain, "/epoch")
    }

    /// A domain's state.
    pub fn state(&self, domain: &str) -> String {
        text_of(&self.inspect(domain)["state"])
    }

    /// The names of all domains.
    pub fn domains(&self) -> Vec<String> {
        let domains = self.get("/v1/domains");
        let domains = domains.as_array().expect("domains are a list");
        domains.iter().map(|domain| text_of(&domain["name"])).collect()
    }
}

/// Asks again and again until there is an answer. For what no event tells of.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} does not come about");
        std::thread::yield_now();
    }
}
