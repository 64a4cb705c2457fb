//! The host page: what the nucleus tells all domains of the processors that they share, and of what
//! a sleep costs on them. Every domain can only read it.
//!
//! A domain that waits spins only as long as that takes no processor from anybody: whether it
//! does, no domain can know by itself.

use crate::control::Line;
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicU32, AtomicU64};

/// Most groups of processors. Domains that may use the same processors are in one group; should a
/// system have more, the last one stands for all others.
pub const GROUPS_MAX: usize = 16;
/// Most domains of which the page tells whether they run.
pub const DOMAINS_MAX: usize = 64 * RUNNING;
const RUNNING: usize = 1008;

/// The host page.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct HostPage {
    front: Line<Front>,
    /// Domains of which a vCPU is not asleep, a bit each.
    running: [AtomicU64; RUNNING],
}

/// What every wait looks at.
#[repr(C)]
#[derive(Debug, Default)]
struct Front {
    /// vCPUs that are not asleep, by group; and the nucleus's own thread, in the group of all.
    awake: [AtomicU32; GROUPS_MAX],
    /// What a sleep and its wake-up cost, in nanoseconds.
    sleep_ns: AtomicU64,
}

const _: () = assert!(size_of::<HostPage>() == 8192 || cfg!(loom));

/// A domain's place among the groups, as its boot page tells it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Groups whose processors this domain may use, too: a bit each.
    pub groups: u32,
    /// How many processors it may use.
    pub processors: u32,
}

impl HostPage {
    /// For the nucleus: a vCPU of a domain begins or goes on to run.
    pub fn enter(&self, group: usize, domain: u32) {
        self.front.0.awake[group % GROUPS_MAX].fetch_add(1, Relaxed);
        if let Some((word, bit)) = self.place(domain) {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// For the nucleus: a vCPU of a domain goes to sleep, or stands still.
    pub fn leave(&self, group: usize, domain: u32) {
        self.front.0.awake[group % GROUPS_MAX].fetch_sub(1, Relaxed);
        if let Some((word, bit)) = self.place(domain) {
            word.fetch_and(!bit, Relaxed);
        }
    }

    /// Whether a domain runs: it is in its guest, not asleep and not stopped. A processor may
    /// have been taken from it all the same.
    pub fn is_running(&self, domain: u32) -> bool {
        self.place(domain).is_none_or(|(word, bit)| word.load(Relaxed) & bit != 0)
    }

    /// Whether more want to run on a domain's processors than there are: then it must not spin.
    pub fn is_crowded(&self, crowd: Crowd) -> bool {
        let mut awake = 0;
        let mut groups = crowd.groups;
        while groups != 0 {
            let group = groups.trailing_zeros() as usize % GROUPS_MAX;
            awake += self.front.0.awake[group].load(Relaxed);
            groups &= groups - 1;
        }
        awake > crowd.processors
    }

    /// What a sleep and its wake-up cost on this host, in nanoseconds, as far as the nucleus knows:
    /// a guess at first, and soon after what it has measured.
    pub fn sleep_ns(&self) -> u64 {
        self.front.0.sleep_ns.load(Relaxed)
    }

    /// For the nucleus: says what a sleep costs.
    pub fn set_sleep_ns(&self, ns: u64) {
        self.front.0.sleep_ns.store(ns, Relaxed);
    }

    fn place(&self, domain: u32) -> Option<(&AtomicU64, u64)> {
        let word = self.running.get(domain as usize / 64)?;
        Some((word, 1 << (domain % 64)))
    }
}

impl Default for HostPage {
    fn default() -> Self {
        Self { front: Line::default(), running: core::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_crowded_by_those_that_share_its_processors_only() {
        let page = HostPage::default();
        let pair = Crowd { groups: 0b01, processors: 2 };
        let one = Crowd { groups: 0b10, processors: 1 };
        page.enter(0, 1);
        page.enter(0, 2);
        page.enter(1, 3);
        assert!(!page.is_crowded(pair) && !page.is_crowded(one));
        page.enter(1, 4);
        assert!(!page.is_crowded(pair) && page.is_crowded(one));
        assert!(page.is_crowded(Crowd { groups: 0b11, processors: 3 }));
        page.leave(1, 3);
        assert!(!page.is_crowded(one));
    }

    #[test]
    fn the_page_tells_who_runs() {
        let page = HostPage::default();
        page.enter(0, 100);
        assert!(page.is_running(100) && !page.is_running(99));
        page.leave(0, 100);
        assert!(!page.is_running(100));
        assert!(page.is_running(u32::MAX), "what the page does not tell may be so");
    }

    #[test]
    fn what_a_sleep_costs_lies_where_the_documentation_says() {
        let page = HostPage::default();
        page.set_sleep_ns(30_000);
        assert_eq!(page.sleep_ns(), 30_000);
        let offset = (&raw const page.front.0.sleep_ns).addr() - (&raw const page).addr();
        assert_eq!(offset, 0x40);
    }
}
