//! A store whose log is long: written once, and then found again by one system after the other.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::Plan;
use super::file::{self, Cache};
use crate::bench::kv::case::{Operation, Task};
use crate::bench::kv::content::Content;
use crate::bench::kv::error::KvError;
use crate::bench::kv::figures::Figures;
use crate::bench::kv::load::Load;
use crate::bench::kv::server::Server;
use crate::bench::kv::system::{Log, System};

/// Connections, and requests of each under way, while it is written.
const FILLING: (u32, u32) = (50, 16);
/// Before a look at how long the log is.
const STRETCH: Duration = Duration::from_millis(200);
/// How often that is looked at before the log is taken to get no longer.
const LOOKS: u32 = 2000;
/// A log has the length that is asked for when no more than this part is missing.
const CLOSE: f64 = 0.97;
/// Bytes of a record beside its value, about.
const HEAD: u64 = 32;
/// A store cleans its log when that is this much longer than twice what lives, in bytes.
const SLACK: u64 = 8 << 20;
/// Memory of a store beside a part of what it holds, in MiB.
const MEMORY: u64 = 128;

/// Such a store's disk.
#[derive(Debug)]
pub(super) struct Written {
    system: System,
    file: PathBuf,
    content: Content,
    /// Bytes of the log.
    pub(super) log: u64,
    _data: TempDir,
}

/// What one system took to find it again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recovery {
    /// How long the store read, as it says itself.
    pub(super) recovery: Duration,
    /// Bytes that it read.
    pub(super) read: u64,
    /// From the start of the system to the first good reply of kv.
    pub(super) answered: Duration,
    /// How long a sequential read of as much of the file takes.
    pub(super) sequential: Duration,
}

/// Both in a round: with the file in the host's memory, and without; or why not.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) warm: Result<Recovery, String>,
    pub(super) cold: Result<Recovery, String>,
}

impl Written {
    /// Writes a log of [`Plan::log`].
    pub(super) fn new(plan: &Plan) -> Result<Self, KvError> {
        let data = plan.site.data()?;
        let file = data.path().join("log");
        let wanted = plan.log << 20;
        // Of half of a log's bytes there are newer ones, or else it would be cleaned.
        let live = wanted.saturating_sub(SLACK) / 2;
        let keys = live / (plan.size as u64 + HEAD);
        let content = Content::new(keys.max(1) as u32, plan.size);
        let log = Log { file: file.clone(), size: 2 * plan.log, memory: MEMORY + plan.log / 4 };
        let memory = 64 + 2 * plan.log;
        let system = System { memory, state: 0, log: Some(log), debug: false };
        let mut server = plan.site.start(&system)?;
        let log = fill(&mut server, &content, wanted)?;
        server.kill();
        Ok(Self { system, file, content, log, _data: data })
    }

    /// Finds it again, twice, and reads its file beside it.
    pub(super) fn round(&self, plan: &Plan) -> Round {
        let recover = |cache| self.recover(plan, cache).map_err(|error| error.to_string());
        Round { warm: recover(Cache::Warm), cold: recover(Cache::Cold) }
    }

    fn recover(&self, plan: &Plan, cache: Cache) -> Result<Recovery, KvError> {
        file::prepare(&self.file, self.log, cache)?;
        let sequential = file::read(&self.file, self.log)?;
        file::prepare(&self.file, self.log, cache)?;
        let mut server = plan.site.start(&self.system)?;
        let mut talk = server.talk()?;
        talk.expect("DBSIZE", &self.content.keys().to_string())?;
        let answered = server.began.elapsed();
        let figures = Figures::ask(&mut talk)?;
        server.kill();
        let recovery = Duration::from_micros(figures.recovery_us);
        Ok(Recovery { recovery, read: figures.recovery_read, answered, sequential })
    }
}

/// Stores all keys, and goes on to store them again until the log is as long as it should be. Tells
/// how long it is.
fn fill(server: &mut Server, content: &Content, wanted: u64) -> Result<u64, KvError> {
    let mut talk = server.talk()?;
    let (connections, depth) = FILLING;
    let task = Task { operation: Operation::Set, depth };
    let socket = server.socket();
    let load = Load { socket: &socket, content, connections, task };
    load.each()?;
    let mut longest = 0;
    for _ in 0..LOOKS {
        let Figures { log, moved, .. } = Figures::ask(&mut talk)?;
        if log as f64 >= wanted as f64 * CLOSE {
            return Ok(log);
        }
        longest = longest.max(log);
        if moved > 0 {
            break;
        }
        load.measure(Duration::ZERO, STRETCH)?;
    }
    Err(KvError::Setting(format!(
        "the log does not get longer than {longest} bytes, and {wanted} were asked for"
    )))
}
