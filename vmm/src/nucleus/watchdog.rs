//! Hang detection: a server that has requests to answer and makes no progress has failed, though
//! nothing tells of it.
//!
//! Progress is whatever a server does for its clients or says of itself: a request answered, one
//! released, a heartbeat. What it does not count is time on a processor, which an endless loop
//! has, too. (MINIX 3's reincarnation server asks its drivers for heartbeats, and takes silence
//! for a hang. Here requests tell as much, so most servers need not answer for themselves.)

use std::time::{Duration, Instant};

use super::links::Load;
use super::member::{Member, World};
use crate::domain::Cause;

/// Looks within the deadline: a hang is noticed at most a quarter of it late.
const LOOKS: u32 = 4;

/// One domain's watchdog.
#[derive(Debug)]
pub struct Watchdog {
    domain: usize,
    /// Time without progress that counts as a hang.
    limit: Duration,
    /// What was seen last, and since when.
    seen: Load,
    since: Instant,
    next: Instant,
}

impl Watchdog {
    /// Looks after a domain.
    pub fn new(domain: usize, limit: Duration) -> Self {
        let now = Instant::now();
        Self { domain, limit, seen: Load::default(), since: now, next: now + limit / LOOKS }
    }

    /// When [`Watchdog::tick`] has something to do.
    pub const fn deadline(&self) -> Instant {
        self.next
    }

    /// Looks at the domain, if it is time; ends its incarnation if that hangs.
    pub fn tick(&mut self, now: Instant, members: &mut [Member], world: World<'_>) {
        if now < self.next {
            return;
        }
        self.next = now + self.limit / LOOKS;
        let member = &mut members[self.domain];
        let mut load = world.links.load(member.id());
        load.progress = load.progress.wrapping_add(member.domain.heartbeats());
        load.epoch = member.epoch();
        if load != self.seen || !load.is_waited_for || !member.is_running() || member.is_at_rest() {
            (self.seen, self.since) = (load, now);
        } else if now - self.since >= self.limit {
            let cause = Cause::Hung { for_ms: (now - self.since).as_millis() as u64 };
            if let Err(refusal) = member.kill(cause, world) {
                log::debug!("no hang after all: {refusal}");
            }
            self.since = now;
        }
    }
}
