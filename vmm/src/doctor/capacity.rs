//! How many domains fit on this host, and what bounds them.

use serde::Serialize;

use super::facts::{self, HostFacts};
use super::guest::{self, Machine};
use super::measure::MeasureError;
use crate::machine::host::Host;

/// Machines that are made at a time to see what they take: enough to stand out from what else
/// happens.
const BATCH: usize = 8;
/// How often.
const BATCHES: usize = 15;
/// Less than this is a mistake: the pages of a machine's image and of its vCPU alone take more.
const PLAUSIBLE: u64 = 64 << 10;

/// What a domain with one vCPU and one channel holds open: the VM, the vCPU, its base, its ready page,
/// its wake and order events, and the channel's memory.
const FILES_EACH: u64 = 7;
/// What the VMM holds open besides, generously: KVM, the event loop, the control API, listeners.
const FILES_BESIDES: u64 = 64;
/// What such a domain maps: memory and the pages that it is lent behind it, the base, those pages once
/// more, the channel twice, the vCPU's shared page, and the thread's stack with its guard and signal
/// stack. Large pages, which only larger domains have, take two more.
const MAPPINGS_EACH: u64 = 12;
/// What the VMM maps besides: itself, its libraries, heaps of its threads.
const MAPPINGS_BESIDES: u64 = 500;
/// The VMM's own threads.
const THREADS_BESIDES: u64 = 16;
/// Addresses that such a domain takes: 16 MiB of memory, as much for the base, the channel twice, its
/// thread's stack and heap.
const ADDRESSES_EACH: u64 = 48 << 20;

/// How many domains of the smallest kind fit, by what they need; None where nothing bounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Capacity {
    /// Bytes of host memory for each, before its server writes any.
    pub(super) bytes_each: Option<u64>,
    pub(super) by_memory: Option<u64>,
    pub(super) by_open_files: Option<u64>,
    pub(super) by_mappings: Option<u64>,
    pub(super) by_threads: Option<u64>,
    pub(super) by_address_space: Option<u64>,
}

impl Capacity {
    /// Holds what domains take against what there is.
    pub(super) fn of(bytes_each: Option<u64>, host: &HostFacts) -> Self {
        let limits = &host.limits;
        let less = |total: u64, besides| total.saturating_sub(besides);
        let memory = [host.available_memory, host.cgroups.max_memory].into_iter().flatten().min();
        let threads = [limits.processes.soft, host.cgroups.max_tasks, host.kernel.max_threads];
        let threads = threads.into_iter().flatten().min();
        Self {
            bytes_each,
            by_memory: memory.zip(bytes_each).map(|(all, each)| all / each.max(1)),
            by_open_files: limits.open_files.soft.map(|all| less(all, FILES_BESIDES) / FILES_EACH),
            by_mappings: host
                .kernel
                .max_mappings
                .map(|all| less(all, MAPPINGS_BESIDES) / MAPPINGS_EACH),
            by_threads: threads.map(|all| less(all, THREADS_BESIDES)),
            by_address_space: limits.address_space.soft.map(|all| all / ADDRESSES_EACH),
        }
    }

    /// The number that fits, and what bounds it.
    pub(super) fn least(&self) -> Option<(u64, &'static str)> {
        let bounds = [
            (self.by_memory, "memory"),
            (self.by_open_files, "the limit on open files"),
            (self.by_mappings, "the limit on mappings"),
            (self.by_threads, "the limit on threads"),
            (self.by_address_space, "the limit on addresses"),
        ];
        bounds.into_iter().filter_map(|(bound, what)| Some((bound?, what))).min()
    }
}

/// Open files that so many domains need.
pub(super) fn files_for(domains: u64) -> u64 {
    FILES_BESIDES + domains * FILES_EACH
}

/// Mappings that so many domains need.
pub(super) fn mappings_for(domains: u64) -> u64 {
    MAPPINGS_BESIDES + domains * MAPPINGS_EACH
}

/// Host memory that a machine takes, seen from the host's: what KVM keeps for it counts too. It
/// is taken from several batches, since others take and free memory meanwhile; None if they do so
/// too much, or if the host has no room for all batches.
pub(super) fn bytes_each(host: &Host) -> Result<Option<u64>, MeasureError> {
    let mut batches = Vec::with_capacity(BATCHES);
    let mut machines = Vec::with_capacity(BATCHES * BATCH);
    for _ in 0..BATCHES {
        let before = facts::available_memory();
        for _ in 0..BATCH {
            match make(host) {
                Ok(machine) => machines.push(machine),
                // A limit on the host, which is told of elsewhere.
                Err(_) if !machines.is_empty() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        batches.extend(before.zip(facts::available_memory()));
    }
    let each = typical(&batches).map(|taken| taken / BATCH as u64);
    Ok(each.filter(|&bytes| bytes >= PLAUSIBLE))
}

fn make(host: &Host) -> Result<Machine, MeasureError> {
    let mut machine = Machine::new(host, &guest::exiting())?;
    machine.step()?;
    Ok(machine)
}

/// What a batch took, by what was there before and after each: the upper quartile, because memory
/// that others give back would make domains seem cheap, and too many seem to fit. None if batches
/// seem to give.
fn typical(batches: &[(u64, u64)]) -> Option<u64> {
    let mut taken: Vec<i64> =
        batches.iter().map(|&(before, after)| before.wrapping_sub(after) as i64).collect();
    taken.sort_unstable();
    let quartile = taken.get(taken.len() * 3 / 4)?;
    u64::try_from(*quartile).ok().filter(|&taken| taken > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostFacts {
        let mut host = HostFacts { available_memory: Some(1 << 30), ..HostFacts::default() };
        host.limits.open_files.soft = Some(1024);
        host.limits.processes.soft = Some(5_000);
        host.cgroups.max_tasks = Some(216);
        host
    }

    #[test]
    fn the_tightest_bound_is_named() {
        let capacity = Capacity::of(Some(1 << 20), &host());
        assert_eq!(capacity.by_memory, Some(1024));
        assert_eq!(capacity.by_open_files, Some(137));
        assert_eq!(capacity.by_threads, Some(200));
        assert_eq!(capacity.by_mappings, None);
        assert_eq!(capacity.least(), Some((137, "the limit on open files")));
    }

    #[test]
    fn what_is_not_known_bounds_nothing() {
        let unknown = Capacity::of(None, &HostFacts::default());
        assert_eq!(unknown, Capacity::default());
        assert_eq!(unknown.least(), None);
    }

    #[test]
    fn a_group_may_have_less_memory_than_the_host() {
        let mut host = host();
        host.cgroups.max_memory = Some(64 << 20);
        assert_eq!(Capacity::of(Some(1 << 20), &host).by_memory, Some(64));
    }

    #[test]
    fn what_is_needed_for_a_number_suffices_for_it() {
        let mut host = HostFacts::default();
        host.limits.open_files.soft = Some(files_for(1_000));
        host.kernel.max_mappings = Some(mappings_for(1_000));
        let capacity = Capacity::of(None, &host);
        assert_eq!((capacity.by_open_files, capacity.by_mappings), (Some(1_000), Some(1_000)));
    }

    #[test]
    fn what_others_free_meanwhile_does_not_count() {
        let taken = |taken: i64| (1 << 30, ((1i64 << 30) - taken) as u64);
        assert_eq!(typical(&[taken(-9), taken(10), taken(11), taken(500), taken(12)]), Some(12));
        assert_eq!(typical(&[taken(-9), taken(-8), taken(-3)]), None);
        assert_eq!(typical(&[]), None);
    }
}
