//! Waiting: spin for what a sleep would cost, then sleep with one exit.

use core::hint::spin_loop;
use core::time::Duration;

use atoll_ipc::abi::FOREVER;

use super::endpoints::{Endpoints, Kicks, with};
use crate::clock::Instant;
use crate::{boot, exits};

/// Waits until `ready` finds something among the endpoints, or the deadline passes.
pub(super) fn wait<T>(
    deadline: Option<Instant>,
    mut ready: impl FnMut(&mut Endpoints) -> Option<T>,
) -> Option<T> {
    loop {
        if let Some(found) = with(&mut ready) {
            return Some(found);
        }
        let kicks = with(Endpoints::take_kicks);
        // Somebody sleeps: the exit that wakes it is a sleep as well. Otherwise everybody runs,
        // and an answer may be near.
        if kicks == [0; 4]
            && let Some(found) = spin(deadline, &mut ready)
        {
            return Some(found);
        }
        with(|endpoints| endpoints.declare_asleep());
        let found = with(&mut ready);
        let left = deadline.map(|deadline| deadline.since(Instant::now()));
        if found.is_some() || left == Some(Duration::ZERO) {
            with(|endpoints| endpoints.declare_awake());
            ring(kicks);
            return found;
        }
        // The last look may have given room to a peer that has restarted.
        let kicks = union(kicks, with(Endpoints::take_kicks));
        exits::wait(kicks, left.map_or(FOREVER, |left| left.as_nanos() as u64));
        with(|endpoints| endpoints.declare_awake());
    }
}

fn union(a: Kicks, b: Kicks) -> Kicks {
    core::array::from_fn(|word| a[word] | b[word])
}

fn spin<T>(
    deadline: Option<Instant>,
    ready: &mut impl FnMut(&mut Endpoints) -> Option<T>,
) -> Option<T> {
    let mut end = Instant::now().after(Duration::from_nanos(boot::page().spin_ns));
    if let Some(deadline) = deadline {
        end = end.min(deadline);
    }
    while Instant::now() < end {
        if let Some(found) = with(&mut *ready) {
            return Some(found);
        }
        spin_loop();
    }
    None
}

/// Rings doorbells without sleeping: an exit each.
pub(super) fn ring(kicks: Kicks) {
    for (index, mut word) in kicks.into_iter().enumerate() {
        while word != 0 {
            let channel = index * 64 + word.trailing_zeros() as usize;
            word &= word - 1;
            exits::kick(boot::channels()[channel].doorbell as u16);
        }
    }
}

/// Sleeps until a moment; messages that arrive meanwhile stay in their rings.
pub fn sleep_until(deadline: Instant) {
    while Instant::now() < deadline {
        let kicks = with(Endpoints::take_kicks);
        exits::wait(kicks, deadline.since(Instant::now()).as_nanos() as u64);
    }
}
