//! What the bailout server decides by: how often each domain has failed of late.

#![no_std]

extern crate alloc;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use core::time::Duration;

/// When a domain is in a crash loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many faults …
    pub faults: usize,
    /// … within this time.
    pub window: Duration,
}

/// What is to follow a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Another try.
    Restart,
    /// No more: it is a crash loop.
    Stop,
}

/// The faults that count, by domain.
#[derive(Debug)]
pub struct Watch {
    limit: Limit,
    faults: BTreeMap<String, VecDeque<Duration>>,
}

impl Watch {
    /// Nothing has failed yet.
    pub const fn new(limit: Limit) -> Self {
        Self { limit, faults: BTreeMap::new() }
    }

    /// Notes a fault of a domain at a time, and decides. Whoever was stopped begins anew, should
    /// somebody bring it back.
    pub fn fault(&mut self, domain: &str, now: Duration) -> Decision {
        if !self.faults.contains_key(domain) {
            self.faults.insert(domain.into(), VecDeque::new());
        }
        let Some(faults) = self.faults.get_mut(domain) else { return Decision::Restart };
        faults.push_back(now);
        while faults.front().is_some_and(|at| now.saturating_sub(*at) > self.limit.window) {
            faults.pop_front();
        }
        if faults.len() < self.limit.faults {
            return Decision::Restart;
        }
        faults.clear();
        Decision::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn watch() -> Watch {
        Watch::new(Limit { faults: 3, window: ms(100) })
    }

    #[test]
    fn faults_that_are_far_apart_are_no_loop() {
        let mut watch = watch();
        for fault in 0..50 {
            assert_eq!(watch.fault("kv", ms(fault * 51)), Decision::Restart, "{fault}");
        }
    }

    #[test]
    fn the_last_fault_of_a_loop_stops_it_and_it_may_begin_anew() {
        let mut watch = watch();
        for start in [0, 10] {
            assert_eq!(watch.fault("kv", ms(start)), Decision::Restart);
            assert_eq!(watch.fault("kv", ms(start + 1)), Decision::Restart);
            assert_eq!(watch.fault("kv", ms(start + 2)), Decision::Stop);
        }
    }

    #[test]
    fn domains_are_judged_by_themselves() {
        let mut watch = watch();
        for at in 0..2 {
            assert_eq!(watch.fault("a", ms(at)), Decision::Restart);
            assert_eq!(watch.fault("b", ms(at)), Decision::Restart);
        }
        assert_eq!(watch.fault("a", ms(2)), Decision::Stop);
        assert_eq!(watch.fault("b", ms(101)), Decision::Restart, "its first fault is too old");
    }

    #[test]
    fn a_limit_of_one_stops_at_once() {
        let mut watch = Watch::new(Limit { faults: 1, window: ms(1) });
        assert_eq!(watch.fault("kv", ms(7)), Decision::Stop);
    }
}
