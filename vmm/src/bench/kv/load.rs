//! The load: some connections on one thread, as redis-benchmark has them. Each sends its requests
//! together, and the next ones when all have their replies.
//!
//! A request's time is from when it was sent, together with the others of its connection, until its
//! reply was read. Nothing but whole replies that are right is counted.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::case::Task;
use super::connection::Connection;
use super::content::{Content, Random};
use super::error::KvError;
use crate::bench::atoll::AtollError;
use crate::bench::histogram;

/// Longer than any reply takes: a server that is silent for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// Connections that are served between two looks for others.
const EVENTS: usize = 64;

/// Who asks whom for what.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Load<'a> {
    /// Where the server listens.
    pub(in crate::bench) socket: &'a Path,
    /// What is stored there.
    pub(in crate::bench) content: &'a Content,
    /// Connections.
    pub(in crate::bench) connections: u32,
    /// What each does.
    pub(in crate::bench) task: Task,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Sample {
    /// Replies in a second.
    pub(in crate::bench) rate: f64,
    /// How long each took, in nanoseconds.
    pub(in crate::bench) times: Histogram<u64>,
    /// All replies, those before and after what was measured included.
    pub(in crate::bench) all: u64,
}

/// Which keys are asked for.
#[derive(Debug)]
enum Keys {
    /// Any, until the time is over.
    Random { random: Random, below: u32, until: Instant },
    /// Each once.
    Each { next: u32, end: u32 },
}

impl Keys {
    /// The next so many; fewer, or none, at the end.
    fn some(&mut self, now: Instant, count: u32) -> impl Iterator<Item = u32> {
        let count = match self {
            Self::Random { until, .. } => count * u32::from(now < *until),
            Self::Each { next, end } => count.min(*end - *next),
        };
        (0..count).map(move |_| match self {
            Self::Random { random, below, .. } => random.below(*below),
            Self::Each { next, .. } => {
                *next += 1;
                *next - 1
            }
        })
    }
}

impl Load<'_> {
    /// Asks for any keys, for as long as `warm_up` and `length` together; what came of it after
    /// the warm-up.
    pub(in crate::bench) fn measure(
        &self,
        warm_up: Duration,
        length: Duration,
    ) -> Result<Sample, KvError> {
        let start = Instant::now() + warm_up;
        let end = start + length;
        let below = self.content.keys();
        let keys = Keys::Random { random: Random::new(below.into()), below, until: end };
        let (mut all, mut times) = (0, histogram::empty().map_err(AtollError::from)?);
        self.run(keys, |asked, now, count| {
            all += count;
            if start <= now && now < end {
                let time = u64::try_from((now - asked).as_nanos()).unwrap_or(u64::MAX);
                // Longer times than there is a place for count as the longest that has one.
                let time = time.clamp(1, histogram::LONGEST);
                times.saturating_record_n(time, count);
            }
        })?;
        Ok(Sample { rate: times.len() as f64 / length.as_secs_f64(), times, all })
    }

    /// Asks once for each key.
    pub(in crate::bench) fn each(&self) -> Result<(), KvError> {
        let end = self.content.keys();
        let mut missing = u64::from(end);
        self.run(Keys::Each { next: 0, end }, |_, _, count| missing -= count)?;
        match missing {
            0 => Ok(()),
            _ => Err(KvError::Setting(format!("{missing} keys were not asked for"))),
        }
    }

    /// Asks until there are no more keys, and all is answered.
    fn run(
        &self,
        mut keys: Keys,
        mut heard: impl FnMut(Instant, Instant, u64),
    ) -> Result<(), KvError> {
        let epoll = Epoll::new().map_err(KvError::host("making an epoll set"))?;
        let connections = (0..self.connections).map(|_| self.connect());
        let mut connections = connections.collect::<Result<Vec<_>, _>>()?;
        for (at, connection) in connections.iter_mut().enumerate() {
            connection.ask(self.content, keys.some(Instant::now(), self.task.depth))?;
            watch(&epoll, ControlOperation::Add, connection, at)?;
        }
        let mut busy = connections.iter().filter(|connection| connection.waiting() > 0).count();
        let (mut events, mut chunk) = ([EpollEvent::default(); EVENTS], vec![0; CHUNK]);
        while busy > 0 {
            for event in ready(&epoll, &mut events)? {
                let at = event.data() as usize;
                let Some(connection) = connections.get_mut(at) else { continue };
                let blocked = connection.is_blocked();
                connection.send()?;
                let replies = connection.hear(self.content, &mut chunk)?;
                if replies > 0 {
                    let now = Instant::now();
                    heard(connection.asked(), now, replies);
                    if connection.waiting() == 0 {
                        connection.ask(self.content, keys.some(now, self.task.depth))?;
                        busy -= usize::from(connection.waiting() == 0);
                    }
                }
                if connection.is_blocked() != blocked {
                    watch(&epoll, ControlOperation::Modify, connection, at)?;
                }
            }
        }
        Ok(())
    }

    fn connect(&self) -> Result<Connection, KvError> {
        Connection::to(self.socket, self.task.operation)
    }
}

/// Has the set tell when a connection can go on.
fn watch(
    epoll: &Epoll,
    operation: ControlOperation,
    connection: &Connection,
    at: usize,
) -> Result<(), KvError> {
    let blocked = connection.is_blocked();
    let events = if blocked { EventSet::IN | EventSet::OUT } else { EventSet::IN };
    let event = EpollEvent::new(events, at as u64);
    epoll
        .ctl(operation, connection.as_raw_fd(), event)
        .map_err(KvError::host("watching a connection"))
}

/// Those that can go on.
fn ready<'a>(
    epoll: &Epoll,
    events: &'a mut [EpollEvent],
) -> Result<impl Iterator<Item = EpollEvent> + use<'a>, KvError> {
    let begun = Instant::now();
    loop {
        match epoll.wait(PATIENCE.as_millis() as i32, events) {
            Ok(0) if begun.elapsed() >= PATIENCE => {
                return Err(KvError::Silent(PATIENCE.as_secs()));
            }
            Ok(0) => (),
            Ok(count) => return Ok(events[..count].iter().copied()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(cause) => return Err(KvError::host("waiting for replies")(cause)),
        }
    }
}

#[cfg(test)]
mod tests;
