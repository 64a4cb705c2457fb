//! What `inspect` shows of a disk.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskReport {
    /// Its name in the manifest.
    pub name: String,
    /// The domain's name for the channel.
    pub channel: String,
    /// The file.
    pub file: String,
    /// Most bytes of it.
    pub size_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes that the file takes on the host.
    pub host_bytes: u64,
    /// It bypasses the host's page cache.
    pub direct: bool,
    /// Nothing can be written.
    pub read_only: bool,
    /// The host once failed to make something durable: nothing is called durable any more before
    /// the system is started again.
    pub failing: bool,
    /// Reads.
    pub reads: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Writes, with those that failed.
    pub writes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Discards.
    pub discards: u64,
    /// Times that the host was asked to make what was written durable.
    pub syncs: u64,
    /// Durable writes and flushes that waited for that; by `syncs`, how many at a time.
    pub synced: u64,
    /// Most of them at a time.
    pub largest_batch: u64,
    /// Requests that were refused: malformed, or writes where nothing can be written.
    pub refused: u64,
    /// Requests for which the host had no room.
    pub full: u64,
    /// Requests that failed.
    pub failed: u64,
    /// How long durable writes took; nothing before the first one.
    pub durable_writes: Option<DiskLatency>,
    /// What the domain says of its use of the disk: lines of a name and a value.
    pub note: Option<String>,
}

/// How long requests took, from when they were taken until they were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskLatency {
    /// How many.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50_micros: u64,
    /// Nine of ten.
    pub p90_micros: u64,
    /// 99 of 100.
    pub p99_micros: u64,
    /// All of them.
    pub max_micros: u64,
}
