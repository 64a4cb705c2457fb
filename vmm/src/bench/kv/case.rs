//! Who is measured, and at what.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// kv alone: what it has goes with the system.
    Kv,
    /// kv with a store: a change is on disk when it is answered.
    KvDurable,
    /// redis-server without persistence.
    Redis,
    /// redis-server with an append-only file that reaches the disk once a second.
    RedisEverysec,
    /// The same, where a change is on disk when it is answered.
    RedisAlways,
}

impl Subject {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::Kv, Self::KvDurable, Self::Redis, Self::RedisEverysec, Self::RedisAlways];

    /// Whether it is redis-server.
    pub const fn is_redis(self) -> bool {
        match self {
            Self::Redis | Self::RedisEverysec | Self::RedisAlways => true,
            Self::Kv | Self::KvDurable => false,
        }
    }

    /// Whether it keeps anything on a disk.
    pub const fn has_a_disk(self) -> bool {
        match self {
            Self::KvDurable | Self::RedisEverysec | Self::RedisAlways => true,
            Self::Kv | Self::Redis => false,
        }
    }

    /// Its name in lists and file names.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::KvDurable => "kv-durable",
            Self::Redis => "redis",
            Self::RedisEverysec => "redis-everysec",
            Self::RedisAlways => "redis-always",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kv => "kv, volatile",
            Self::KvDurable => "kv, durable",
            Self::Redis => "redis, volatile",
            Self::RedisEverysec => "redis, fsync every second",
            Self::RedisAlways => "redis, fsync always",
        })
    }
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Stores a value.
    Set,
    /// Fetches one.
    Get,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Set, Self::Get];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Set => "SET",
            Self::Get => "GET",
        })
    }
}

/// What is asked of every server in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Task {
    /// The command.
    pub operation: Operation,
    /// Requests that each connection has under way at a time.
    pub depth: u32,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} -P {}", self.operation, self.depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subjects_word_is_its_name_in_reports() {
        for subject in Subject::ALL {
            let name = serde_json::to_string(&subject).unwrap();
            assert_eq!(name, format!("\"{}\"", subject.word()));
        }
    }

    #[test]
    fn what_is_on_disk_when_answered_has_a_disk() {
        assert!(Subject::KvDurable.has_a_disk() && Subject::RedisAlways.has_a_disk());
        assert!(!Subject::Kv.has_a_disk() && !Subject::Redis.has_a_disk());
    }
}
