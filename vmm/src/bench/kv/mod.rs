//! What kv serves, volatile and durable, beside redis-server: throughput and latency under one load.
//!
//! ```text
//!   load (connections, one thread) ──▶ kv | kv and its store | redis-server, in three ways
//!     content: keys and their values        │
//!     sample ──▶ report ──▶ bars ◀──────────┘
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`case`] | who is measured, and at what |
//! | `content` | keys, and the value of each |
//! | `connection` | requests that are under way, and whether their replies are right |
//! | `load` | the connections together, and what is counted of them |
//! | `talk` | a conversation, one request at a time |
//! | [`server`] | servers that are started and ended |
//! | `system` | manifests of kv |
//! | `redis` | how redis-server is started, and whether it does what it was told |
//! | `figures` | what a store tells of itself |
//! | `place` | where servers keep what they write |
//! | [`bars`] | what is asked, and whether it holds |
//! | [`report`] | the whole result |
//! | [`error`] | why a server could not be measured |
//!
//! All servers run all the time, and those that are not asked rest. A round asks each of them for
//! the same, one right after the other, in turns forwards and backwards; ratios are taken round by
//! round. Every reply is checked, and one that is wrong ends the measurement.

pub mod bars;
pub mod case;
mod connection;
pub(in crate::bench) mod content;
pub mod error;
pub(in crate::bench) mod figures;
pub(in crate::bench) mod load;
pub(in crate::bench) mod place;
mod redis;
pub mod report;
pub mod server;
pub(in crate::bench) mod system;
pub(in crate::bench) mod talk;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::placement::{Placement, probe};
use super::restart::Step;
use case::{Operation, Subject, Task};
use content::Content;
use error::KvError;
use figures::Figures;
use load::{Load, Sample};
use report::{Found, Report};
use server::{Server, Site};
use system::{Log, System};
use talk::Talk;

/// Before a measurement, for connections and caches.
const WARM_UP: Duration = Duration::from_millis(100);
/// A server that failed this often is not measured again.
const FAILURES_MAX: usize = 2;
/// Requests of a connection that are under way while keys are stored for the first time.
const FILLING: u32 = 16;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Programs and places.
    pub site: Site,
    /// Who is measured.
    pub subjects: Vec<Subject>,
    /// At what.
    pub tasks: Vec<Task>,
    /// Connections to each.
    pub connections: u32,
    /// Keys.
    pub keys: u32,
    /// Bytes of each value.
    pub size: usize,
    /// How long each is measured at each task in all.
    pub length: Duration,
    /// In how many rounds.
    pub rounds: u32,
    /// The size of the disk of a store, in MiB.
    pub log_size: u64,
}

/// A server, and what came of it so far.
#[derive(Debug)]
struct Measured {
    subject: Subject,
    server: Server,
    talk: Talk,
    /// What it has on disk goes with this.
    _data: Option<TempDir>,
    /// By round, then by task; nothing where it failed.
    samples: Vec<Vec<Option<Turn>>>,
    failures: Vec<String>,
}

/// A measurement.
#[derive(Clone, Debug)]
struct Turn {
    sample: Sample,
    /// How many requests shared one write to the store's disk, where there is a store.
    per_write: Option<f64>,
}

/// Measures what the plan says, and makes the report.
///
/// # Errors
/// If a server cannot be started, or does not take the keys. What fails later is in the report.
pub fn run(plan: &Plan, watch: &mut (dyn FnMut(Step) + Send)) -> Result<Report, KvError> {
    if plan.subjects.iter().any(|subject| subject.has_a_disk()) {
        place::check(&plan.site.directory)?;
    }
    let content = Content::new(plan.keys, plan.size);
    let (mut servers, mut redis_version) = (Vec::new(), None);
    for &subject in &plan.subjects {
        watch(Step { done: 0, total: 1, what: format!("starting {subject}") });
        let mut measured = Measured::start(plan, subject)?;
        let version = measured.prepare(plan, &content)?;
        redis_version = redis_version.or(version);
        servers.push(measured);
    }
    let (mut placements, mut failures) = (Vec::new(), Vec::new());
    let total = u64::from(plan.rounds) * (plan.tasks.len() * plan.subjects.len()) as u64;
    let mut done = 0;
    for round in 0..plan.rounds {
        servers.iter_mut().for_each(|server| server.samples.push(Vec::new()));
        for &task in &plan.tasks {
            let before = probe();
            let backwards = round % 2 == 1;
            each(&mut servers, backwards, |server| {
                watch(Step { done, total, what: format!("{task}: {}", server.subject) });
                done += 1;
                server.measure(plan, &content, task);
            });
            match (before, probe()) {
                (Ok(before), Ok(after)) => placements.push(Placement::between(before, after)),
                (Err(error), _) | (_, Err(error)) => failures.push(error.to_string()),
            }
        }
    }
    let found = servers.into_iter().map(Measured::end).collect();
    Ok(Report::new(plan, Found { redis_version, placements, servers: found, failures }))
}

fn each(servers: &mut [Measured], backwards: bool, f: impl FnMut(&mut Measured)) {
    if backwards {
        servers.iter_mut().rev().for_each(f);
    } else {
        servers.iter_mut().for_each(f);
    }
}

impl Measured {
    fn start(plan: &Plan, subject: Subject) -> Result<Self, KvError> {
        let data = subject.has_a_disk().then(|| plan.site.data()).transpose()?;
        let path = data.as_ref().map(TempDir::path);
        let mut server = if subject.is_redis() {
            plan.site.start_redis(subject, path.unwrap_or(plan.site.directory.as_path()))?
        } else {
            plan.site.start(&plan.system(path.map(|path| path.join("log"))))?
        };
        let talk = server.talk()?;
        let (samples, failures) = (Vec::new(), Vec::new());
        Ok(Self { subject, server, talk, _data: data, samples, failures })
    }

    /// Makes sure that it is what it should be, and has it store all keys; tells its version, if it
    /// is a redis-server.
    fn prepare(&mut self, plan: &Plan, content: &Content) -> Result<Option<String>, KvError> {
        self.talk.expect("PING", "PONG")?;
        let version = if self.subject.is_redis() {
            redis::check(self.subject, &mut self.talk)?;
            redis::version(&mut self.talk)?
        } else {
            None
        };
        let (socket, connections) = (self.server.socket(), plan.connections);
        let task = Task { operation: Operation::Set, depth: FILLING };
        Load { socket: &socket, content, connections, task }.each()?;
        self.talk.expect("DBSIZE", &plan.keys.to_string())?;
        Ok(version)
    }

    fn measure(&mut self, plan: &Plan, content: &Content, task: Task) {
        let turn = if self.failures.len() < FAILURES_MAX {
            // That it ended tells more than that it does not answer.
            let turn = self.turn(plan, content, task);
            let turn = turn.map_err(|error| self.server.check().err().unwrap_or(error));
            turn.map_err(|error| self.failures.push(format!("{task}: {error}"))).ok()
        } else {
            None
        };
        if let Some(round) = self.samples.last_mut() {
            round.push(turn);
        }
    }

    fn turn(&mut self, plan: &Plan, content: &Content, task: Task) -> Result<Turn, KvError> {
        let (socket, connections) = (self.server.socket(), plan.connections);
        let before = self.writes()?;
        let load = Load { socket: &socket, content, connections, task };
        let sample = load.measure(WARM_UP, plan.length / plan.rounds.max(1))?;
        let writes = self.writes()?.zip(before).map(|(after, before)| after - before);
        if writes == Some(0) && task.operation == Operation::Set {
            return Err(KvError::Setting("its store has written nothing".into()));
        }
        let per_write =
            writes.filter(|&writes| writes > 0).map(|writes| sample.all as f64 / writes as f64);
        Ok(Turn { sample, per_write })
    }

    /// How often a store has written so far, if there is one.
    fn writes(&mut self) -> Result<Option<u64>, KvError> {
        match self.subject {
            Subject::KvDurable => Ok(Some(Figures::ask(&mut self.talk)?.writes)),
            Subject::Kv | Subject::Redis | Subject::RedisEverysec | Subject::RedisAlways => {
                Ok(None)
            }
        }
    }

    fn end(self) -> report::ServerFound {
        let Self { subject, server, samples, failures, .. } = self;
        server.stop();
        report::ServerFound { subject, samples, failures }
    }
}

/// Memory of kv as `images/kv.toml` has it, in MiB.
const MEMORY: u64 = 256;
/// Memory of a store beside what it needs for each key, in MiB.
const STORE_MEMORY: u64 = 64;
/// Bytes that a key takes beside its value, at most.
const OVERHEAD: u64 = 256;

impl Plan {
    /// A system of kv that has room for all keys, twice over.
    fn system(&self, file: Option<PathBuf>) -> System {
        let needed = (u64::from(self.keys) * (self.size as u64 + OVERHEAD)) >> 20;
        let memory = MEMORY.max(64 + 2 * needed);
        let (size, store) = (self.log_size, STORE_MEMORY + 2 * needed);
        let log = file.map(|file| Log { file, size, memory: store });
        System { memory, state: 0, log, debug: false }
    }
}
