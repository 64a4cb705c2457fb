//! Waiting: look for what a sleep would cost, then sleep with one exit.
//!
//! How long to look is decided at each wait. A domain that has a processor to itself looks for as
//! long as a sleep and its wake-up would cost on this host, as the nucleus has measured and the host
//! page says: so it never loses more than a factor of two, whatever it waits for. One that shares
//! its processors with others who want to run, of which the host page has the count, does not look
//! at all: whom it waits for may be among them. Where the manifest says how long to look, that holds.

use core::hint::spin_loop;
use core::time::Duration;

use atoll_ipc::abi::{FOREVER, SPIN_ADAPTIVE, SPIN_ALWAYS};
use atoll_ipc::ready::ChannelSet;

use super::endpoints::{Endpoints, host_page, with};
use super::rest::rest_if_asked;
use crate::clock::Instant;
use crate::{boot, exits};

/// Cheap looks between two thorough ones.
const LOOKS: u32 = 32;

/// What a domain waits for.
pub(super) trait Awaited {
    /// What it finds.
    type Found;

    /// Whether clients that want attention may bring it. If not, they do not disturb its sleep: it
    /// would go on and on, in vain, where a client waits for one who waits for something else.
    const HEEDS_CLIENTS: bool;

    /// The cheapest look: whether [`Awaited::look`] may find something.
    fn peek(&self, endpoints: &mut Endpoints) -> bool;

    /// Looks thoroughly.
    fn look(&mut self, endpoints: &mut Endpoints) -> Option<Self::Found>;

    /// Whether a server that is asked to end may end instead of waiting for it, and one that is
    /// asked to come to rest may do so.
    fn is_idle(&self, _: &Endpoints) -> bool {
        false
    }

    /// About to sleep: whoever brings it must kick.
    fn declare_asleep(&self, endpoints: &mut Endpoints);

    /// Takes [`Awaited::declare_asleep`] back.
    fn declare_awake(&self, endpoints: &mut Endpoints);
}

/// Waits until something is found, or the deadline passes.
///
/// `owed` are doorbells that are still to be rung: before this looks for long, or with the exit
/// that goes to sleep.
#[inline]
pub(super) fn wait<A: Awaited>(
    endpoints: &mut Endpoints,
    deadline: Option<Instant>,
    owed: ChannelSet,
    mut awaited: A,
) -> Option<A::Found> {
    let owed = owed.or(&endpoints.take_put_off());
    if let Some(found) = awaited.look(endpoints) {
        ring(&owed);
        return Some(found);
    }
    wait_long(endpoints, deadline, owed, awaited)
}

fn wait_long<A: Awaited>(
    endpoints: &mut Endpoints,
    deadline: Option<Instant>,
    mut owed: ChannelSet,
    mut awaited: A,
) -> Option<A::Found> {
    loop {
        end_if_asked(&awaited, endpoints);
        if awaited.is_idle(endpoints) {
            rest_if_asked(endpoints);
        }
        let budget = Budget::now();
        if budget.ticks > 0 {
            ring(&owed.or(&endpoints.take_kicks()));
            owed = ChannelSet::EMPTY;
            if let Some(found) = spin(endpoints, budget, deadline, &mut awaited) {
                return Some(found);
            }
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            // One who will not sleep must not say so: each of its peers would kick it, in vain.
            ring(&owed);
            return awaited.look(endpoints);
        }
        awaited.declare_asleep(endpoints);
        let found = awaited.look(endpoints);
        let left = deadline.map(|deadline| deadline.since(Instant::now()));
        if found.is_some() || left == Some(Duration::ZERO) {
            awaited.declare_awake(endpoints);
            ring(&owed);
            return found;
        }
        // The last look may have given room to a peer that has restarted.
        owed = owed.or(&endpoints.take_kicks());
        let longest = left.map_or(FOREVER, |left| left.as_nanos() as u64);
        exits::wait(owed.words(), longest, A::HEEDS_CLIENTS);
        owed = ChannelSet::EMPTY;
        awaited.declare_awake(endpoints);
        if let Some(found) = awaited.look(endpoints) {
            return Some(found);
        }
    }
}

/// How long a wait may look.
#[derive(Clone, Copy)]
struct Budget {
    ticks: u64,
    /// Not while others want the processor.
    heeds_others: bool,
}

impl Budget {
    /// Here and now.
    fn now() -> Self {
        let (ticks, heeds_others) = match boot::page().spin_ns {
            SPIN_ALWAYS => (u64::MAX, false),
            SPIN_ADAPTIVE if is_crowded() => (0, true),
            SPIN_ADAPTIVE => (Instant::ticks(host_page().sleep_ns()), true),
            ns => (Instant::ticks(ns), false),
        };
        Self { ticks, heeds_others }
    }

    /// Whether it is used up, after so many ticks.
    fn is_over(self, ticks: u64) -> bool {
        ticks >= self.ticks || (self.heeds_others && is_crowded())
    }
}

fn spin<A: Awaited>(
    endpoints: &mut Endpoints,
    budget: Budget,
    deadline: Option<Instant>,
    awaited: &mut A,
) -> Option<A::Found> {
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if awaited.peek(endpoints)
                && let Some(found) = awaited.look(endpoints)
            {
                return Some(found);
            }
            spin_loop();
        }
        if let Some(found) = awaited.look(endpoints) {
            return Some(found);
        }
        // The look may have given room to a peer that has restarted, however long this looks.
        ring(&endpoints.take_kicks());
        let now = Instant::now();
        let late = deadline.is_some_and(|deadline| now >= deadline)
            || boot::is_stopping()
            || boot::is_resting();
        if late || budget.is_over(now.ticks_since(start)) {
            return None;
        }
    }
}

/// A server that is asked to end does so when it would wait for the next message.
fn end_if_asked(awaited: &impl Awaited, endpoints: &Endpoints) {
    if boot::is_stopping() && awaited.is_idle(endpoints) {
        exits::exit(0);
    }
}

fn is_crowded() -> bool {
    host_page().is_crowded(boot::page().crowd)
}

/// Rings doorbells without sleeping: an exit each.
pub(super) fn ring(kicks: &ChannelSet) {
    for channel in kicks.iter() {
        exits::kick(boot::channels()[channel].doorbell as u16);
    }
}

/// Rings the doorbell of a channel whose peer must be kicked for what was just published.
///
/// It is rung at once, unless the server [says](together) that more comes. That costs an exit for each
/// time that a peer falls asleep, not for each message; and a server that computes after it has
/// replied keeps nobody waiting.
#[inline]
pub(super) fn ring_if_due(endpoints: &Endpoints, channel: usize) {
    if !endpoints.more_comes {
        ring_now(endpoints, channel);
    }
}

/// The same, before this waits for the peer.
pub(super) fn ring_now(endpoints: &Endpoints, channel: usize) {
    if endpoints.all[channel].must_kick() {
        exits::kick(boot::channels()[channel].doorbell as u16);
    }
}

/// Does something, and puts off the doorbells for it until this next waits: they are rung with the
/// exit that goes to sleep, or at once if there is nothing to wait for. Each peer that sleeps then is
/// woken once.
///
/// For several messages that are answered or sent one after the other. A peer that is woken by the first
/// of them, deals with it on the same processor and sleeps again before the next one comes would be
/// woken for each; and two exits, one that wakes others and one that sleeps, cost twice what one does
/// that is for both. Who is awake sees each message at once in any case. What goes on for long
/// afterwards without a wait keeps those who sleep waiting.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    let before = with(|endpoints| core::mem::replace(&mut endpoints.more_comes, true));
    let result = work();
    with(|endpoints| {
        endpoints.more_comes = before;
        endpoints.puts_off = true;
    });
    result
}

/// Sleeps until a moment; messages that arrive meanwhile stay in their rings.
pub fn sleep_until(deadline: Instant) {
    while Instant::now() < deadline {
        with(rest_if_asked);
        let kicks = with(Endpoints::take_kicks);
        exits::wait(kicks.words(), deadline.since(Instant::now()).as_nanos() as u64, false);
    }
}
