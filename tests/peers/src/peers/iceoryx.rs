//! What the peers over `iceoryx2` share: its set-up, in the room of a round and nowhere else.

use anyhow::{Context, Result, anyhow};
use iceoryx2::prelude::{
    Alignment, Config, FileName, LogLevel, Node, NodeBuilder, Path, SemanticString, ServiceName,
    SignalHandlingMode, ipc, set_log_level,
};

use crate::room;
use crate::task::Task;

/// Messages that wait for a receiver at most.
const DEPTH: usize = 128;
/// Bytes that do, where messages are large: what waits is to stay in the caches.
const BYTES: usize = 4 << 20;
/// Messages that wait at least, however large they are.
const LEAST_DEPTH: usize = 4;

/// A node whose files and shared memory carry the name of the round's room.
pub fn node(task: &Task) -> Result<Node<ipc::Service>> {
    set_log_level(LogLevel::Error);
    let prefix = format!("{}_", room::name(&task.room)?);
    let root = task.room.join("iceoryx2");
    let root = root.to_str().with_context(|| format!("{} is no text", root.display()))?;
    let unfit = |what: &str| anyhow!("{what:?} is no name that iceoryx2 takes");
    let mut config = Config::default();
    config.global.prefix = FileName::new(prefix.as_bytes()).map_err(|_| unfit(&prefix))?;
    config.global.set_root_path(&Path::new(root.as_bytes()).map_err(|_| unfit(root))?);
    NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create()
        .map_err(|error| anyhow!("cannot make an iceoryx2 node: {error}"))
}

/// The name of a service.
pub fn service(name: &str) -> Result<ServiceName> {
    name.try_into().map_err(|error| anyhow!("{name:?} is no name of a service: {error}"))
}

/// How many messages of a size may wait for their receiver.
pub fn depth(size: usize) -> usize {
    (BYTES / size).clamp(LEAST_DEPTH, DEPTH)
}

/// Messages begin with a cache line.
pub fn alignment() -> Result<Alignment> {
    Alignment::new(64).context("64 is no alignment")
}
