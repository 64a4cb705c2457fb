//! What the store speaks on its port `store`.
//!
//! Each client has a space of its own, named after its domain: a set of keys, each with a *chain*
//! of records. A chain begins with a base, and may go on with amendments; what they mean is the
//! client's business. A client changes its space in batches ([`record`](crate::record)), which it
//! numbers: a batch is carried out whole or not at all, and once only, however often it is sent.
//!
//! ```text
//!   open ──▶ last batch 41
//!   load(0) ──▶ records, next 1048576;  load(1048576) ──▶ records, next 0
//!   commit(42, records) ──▶ it is on disk
//! ```

use atoll_ipc::interface::{Bytes, Word};
use serde::{Deserialize, Serialize};

atoll_ipc::interface! {
    /// Batches of records, durable when they are answered.
    ///
    /// | refused with | when |
    /// |---|---|
    /// | `Exhausted` | there is no room for the batch, or it is too long; nothing of it was carried out |
    /// | `Denied` | the disk failed or can only be read; [`Opened::ailment`] says more |
    /// | `Malformed` | the records are none, or the batch is neither the last one nor the one after it; a cursor that no `load` gave |
    pub interface Store = "store" version 1, client StoreClient, server StoreServer {
        /// How the client's space stands.
        1 => idempotent fn open() -> Opened;
        /// Carries a batch out: the one after the last one. The last one again is answered as it was.
        2 => idempotent fn commit(batch: Word, records: Bytes<'_>) -> Committed;
        /// Some of the living records, from a cursor on, which is 0 or what the last `load` gave.
        /// Each chain comes in its order; a key comes whole, or again from its base on.
        3 => idempotent fn load(cursor: Word) -> Chunk<'_> as loan;
        /// Figures of the whole store.
        4 => idempotent fn figures() -> Figures;
    }
}

/// The number of [`commit`](StoreServer::commit): a store gathers batches before it answers, and a
/// client may have several under way.
pub const COMMIT: u16 = 2;

/// How a client's space stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The store's identity: another one has another history, whatever its batches are numbered.
    pub store: [Word; 2],
    /// The last batch that was carried out; 0 if none was.
    pub last: Word,
    /// Bytes that records may still take, keys and values of all clients together.
    pub room: Word,
    /// Bytes of the longest batch that is taken.
    pub longest: Word,
    /// Living records of the client.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Why nothing can be committed.
    pub ailment: Option<Ailment>,
}

/// Why a store takes no batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ailment {
    /// A write or flush failed: what the disk has can be read, and nothing is believed to reach it.
    Failed,
    /// The disk can only be read.
    ReadOnly,
}

/// A batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// As [`Opened::room`], afterwards.
    pub room: Word,
}

/// Some living records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk<'a> {
    /// Where to go on; 0 when that was all.
    pub next: Word,
    /// The records, as [`record`](crate::record) writes them.
    #[serde(borrow)]
    pub records: Bytes<'a>,
}

/// Figures of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Bytes of the log, dead records included.
    pub log: u64,
    /// Bytes of living records.
    pub live: u64,
    /// Living records.
    pub records: u64,
    /// Batches since the store began.
    pub batches: u64,
    /// Writes that made them durable: several batches may share one.
    pub writes: u64,
    /// Bytes that were moved to make room.
    pub moved: u64,
    /// How long the last recovery took, in microseconds.
    pub recovery_us: u64,
    /// Bytes that it read.
    pub recovery_read: u64,
}
