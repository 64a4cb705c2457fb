//! What the library asks of its surroundings, answered by the guest kernel.

use atoll::{Channel, boot, clock, heap};
use kv::{Crash, Edits, Env, Facts, Origin};
use store::interface::{Figures, StoreClient};

use crate::crash;
use crate::place::Changes;

/// The micro-VM around the server.
pub struct Surroundings {
    /// Connections that hold state here.
    pub clients: usize,
    /// What keeps the database, if anything does; to ask for its figures.
    pub store: Option<StoreClient<Channel>>,
    pub changes: Changes,
    origin: Origin,
    start_us: u64,
    random: u64,
    /// The incarnation whose seed `random` comes from.
    epoch: u32,
}

impl Surroundings {
    pub fn new(changes: Changes) -> Self {
        let origin = Origin::Nowhere;
        Self { clients: 0, store: None, changes, origin, start_us: 0, random: 0, epoch: 0 }
    }

    /// The server begins, now, with what it has.
    pub fn begins(&mut self, origin: Origin) {
        (self.origin, self.start_us) = (origin, clock::uptime().as_micros() as u64);
    }
}

/// A number that no client can guess, another one for each incarnation.
pub fn seed() -> u64 {
    boot::seed()[0]
}

impl Edits for Surroundings {
    #[inline]
    fn begin_edit(&mut self) {
        self.changes.begin_edit();
    }

    #[inline]
    fn end_edit(&mut self) {
        self.changes.end_edit();
    }
}

impl Env for Surroundings {
    fn now_ms(&self) -> u64 {
        clock::unix_time().as_millis() as u64
    }

    fn now_us(&self) -> u64 {
        clock::unix_time().as_micros() as u64
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        if self.epoch != boot::epoch() {
            (self.epoch, self.random) = (boot::epoch(), boot::seed()[1]);
        }
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn debug(&mut self, crash: Crash) {
        match crash {
            Crash::Segfault => crash::debug_segfault(),
            Crash::Panic => crash::debug_panic(),
            Crash::Loop => crash::debug_loop(),
            Crash::StackOverflow => crash::debug_stack_overflow(),
            Crash::Ud2 => crash::debug_ud2(),
            Crash::DivZero => crash::debug_divide_by_zero(),
        }
    }

    fn info(&self) -> Facts {
        Facts {
            epoch: boot::epoch().into(),
            uptime_ms: clock::uptime().as_millis() as u64,
            clients: self.clients,
            heap_used: heap::used(),
            heap_total: heap::capacity(),
            origin: self.origin,
            start_us: self.start_us,
        }
    }

    fn store(&mut self) -> Option<Figures> {
        self.store.as_mut()?.figures().ok()
    }
}
