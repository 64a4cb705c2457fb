//! kv that crashes under its client's eyes, and has its data again: because its memory outlives
//! it, or from its store.

use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Plan;
use crate::bench::kv::case::{Operation, Task};
use crate::bench::kv::content::Content;
use crate::bench::kv::error::KvError;
use crate::bench::kv::load::Load;
use crate::bench::kv::server::Server;
use crate::bench::kv::system::{Log, System};
use crate::bench::kv::talk::Talk;
use crate::bench::storm::reply::Reply;

/// An incarnation that faults younger than 50 ms is taken for one in a crash loop.
const AGE: Duration = Duration::from_millis(60);
/// Longer than it takes to have everything again.
const PATIENCE: Duration = Duration::from_secs(120);
/// The part of its memory that keys and values fill; the rest is for what holds them.
const PART: f64 = 0.75;
/// Connections, and requests of each under way, while it is filled.
const FILLING: (u32, u32) = (8, 16);
/// Bytes of a key.
const KEY: u64 = 16;

/// From a crash to the first good reply.
pub(super) type Crashed = Duration;

/// A kv that is crashed.
#[derive(Debug)]
pub(super) struct Victim {
    content: Content,
    size: usize,
    server: Server,
    talk: Talk,
    born: Instant,
    _data: TempDir,
}

impl Victim {
    /// Starts one with so much memory that it keeps, in MiB, and has it store as many keys as
    /// [`Plan::state`] has room for.
    pub(super) fn start(plan: &Plan, state: u64) -> Result<Self, KvError> {
        let data = plan.site.data()?;
        let each = plan.size as u64 + KEY;
        let keys = (plan.state << 20) as f64 * PART / each as f64;
        let content = Content::new(keys as u32, plan.size);
        let file = data.path().join("log");
        let log = Some(Log { file, size: 8 * plan.state.max(8), memory: 64 + plan.state });
        let system = System { memory: 64 + 4 * plan.state, state, log, debug: true };
        let mut server = plan.site.start(&system)?;
        let talk = server.talk()?;
        let (connections, depth) = FILLING;
        let task = Task { operation: Operation::Set, depth };
        let socket = server.socket();
        Load { socket: &socket, content: &content, connections, task }.each()?;
        let (size, born) = (plan.size, Instant::now());
        let mut victim = Self { content, size, server, talk, born, _data: data };
        victim.look()?;
        Ok(victim)
    }

    pub(super) const fn keys(&self) -> u32 {
        self.content.keys()
    }

    /// Bytes of keys and values.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.keys()) * (self.size as u64 + KEY)
    }

    /// Crashes it, and asks for a value until it is there.
    pub(super) fn crash(&mut self) -> Result<Crashed, KvError> {
        thread::sleep(AGE.saturating_sub(self.born.elapsed()));
        let began = Instant::now();
        let told = self.talk.order("DEBUG SEGFAULT")?;
        if !told.starts_with("RESTARTED") {
            return Err(KvError::Reply { request: "DEBUG SEGFAULT".into(), reply: told });
        }
        while !self.has_last()? {
            if began.elapsed() > PATIENCE {
                self.server.check()?;
                return Err(KvError::Silent(PATIENCE.as_secs()));
            }
        }
        let took = began.elapsed();
        self.look()?;
        self.born = Instant::now();
        Ok(took)
    }

    /// Whether it answers with the value of the key that it stored last; an error is no answer yet.
    fn has_last(&mut self) -> Result<bool, KvError> {
        let (content, key) = (&self.content, self.content.keys() - 1);
        let mut request = Vec::new();
        content.get(key, &mut request);
        self.talk.ask(&request, |reply| match reply {
            Reply::Value(Some(value)) if content.is_value(key, value) => Ok(true),
            Reply::Error(_) => Ok(false),
            Reply::Value(_) | Reply::Status(_) | Reply::Number(_) | Reply::Strange(_) => {
                Err(KvError::Setting("a value was lost".into()))
            }
        })?
    }

    /// Makes sure that nothing is lost.
    fn look(&mut self) -> Result<(), KvError> {
        self.talk.expect("DBSIZE", &self.keys().to_string())
    }
}
