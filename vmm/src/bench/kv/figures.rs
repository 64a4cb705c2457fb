//! What a store tells of itself, by way of the kv that it keeps: `INFO persistence`.

use std::str::FromStr;

use super::error::KvError;
use super::talk::Talk;
use crate::bench::storm::reply::Reply;

/// Figures of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Figures {
    /// Bytes of its log.
    pub(in crate::bench) log: u64,
    /// Bytes of records that live.
    pub(in crate::bench) live: u64,
    /// Batches so far.
    pub(in crate::bench) batches: u64,
    /// Writes that made them durable.
    pub(in crate::bench) writes: u64,
    /// Bytes that were moved to make room.
    pub(in crate::bench) moved: u64,
    /// How long its recovery took, in microseconds.
    pub(in crate::bench) recovery_us: u64,
    /// Bytes that it read then.
    pub(in crate::bench) recovery_read: u64,
}

impl Figures {
    /// Those of now.
    pub(in crate::bench) fn ask(talk: &mut Talk) -> Result<Self, KvError> {
        let told = talk.ask(b"INFO persistence\r\n", |reply| match reply {
            Reply::Value(Some(text)) => Self::of(&String::from_utf8_lossy(text)),
            Reply::Value(None)
            | Reply::Status(_)
            | Reply::Error(_)
            | Reply::Number(_)
            | Reply::Strange(_) => None,
        })?;
        told.ok_or_else(|| KvError::Setting("kv tells nothing of a store".into()))
    }

    fn of(info: &str) -> Option<Self> {
        Some(Self {
            log: field(info, "atoll_store_log_bytes:")?,
            live: field(info, "atoll_store_live_bytes:")?,
            batches: field(info, "atoll_store_batches:")?,
            writes: field(info, "atoll_store_writes:")?,
            moved: field(info, "atoll_store_moved_bytes:")?,
            recovery_us: field(info, "atoll_store_recovery_us:")?,
            recovery_read: field(info, "atoll_store_recovery_read_bytes:")?,
        })
    }
}

fn field<T: FromStr>(info: &str, name: &str) -> Option<T> {
    info.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Persistence\r\naof_enabled:1\r\natoll_store_log_bytes:1000\r\n\
        atoll_store_live_bytes:400\r\natoll_store_records:3\r\natoll_store_batches:20\r\n\
        atoll_store_writes:10\r\natoll_store_moved_bytes:0\r\natoll_store_recovery_us:77\r\n\
        atoll_store_recovery_read_bytes:990\r\n";

    #[test]
    fn figures_are_lines_of_many() {
        let expected = Figures {
            log: 1000,
            live: 400,
            batches: 20,
            writes: 10,
            moved: 0,
            recovery_us: 77,
            recovery_read: 990,
        };
        assert_eq!(Figures::of(INFO), Some(expected));
        assert_eq!(Figures::of("# Persistence\r\naof_enabled:0\r\n"), None);
        assert_eq!(Figures::of(&INFO.replace("writes:10", "writes:x")), None);
    }
}
