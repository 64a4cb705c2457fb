//! What is asked of Atoll, as a table: what is compared with what, what must be reached, and what
//! should be. How a bar is judged is in `judge`.

mod judge;

use super::wire::{Case, Cpus, Suite, Wait};

pub(super) use judge::judge;
pub use judge::{BarResult, Side, Verdict};

/// The number of a blocking call's floor with both sides on CPUs of their own: the wakes through an
/// eventfd and the exits that it cannot do without, in nanoseconds.
pub const FLOOR_TWO_CPUS: &str = "eventfd wake floor and exits, two CPUs";
/// The same with both sides on one CPU.
pub const FLOOR_ONE_CPU: &str = "eventfd wake floor and exits, one CPU";
/// The number of exits in a call while both sides run.
pub const EXITS_PER_CALL: &str = "exits per call while both run";
/// The number of CPU seconds that sleeping domains use in a second.
pub const SLEEPING_CPU: &str = "CPU of sleeping domains";

/// Atoll through its typed interfaces, between domains.
const TYPED: &str = "atoll";
/// Atoll through its untyped messages, between domains.
const RAW: &str = "atoll raw";

const KI: usize = 1 << 10;
const MI: usize = 1 << 20;
/// Every size of which throughput is measured.
const SIZES: &[usize] = &[64, 256, KI, 4 * KI, 64 * KI, MI];

/// Something that is asked of Atoll.
#[derive(Clone, Copy, Debug)]
struct Bar {
    /// What is measured.
    what: &'static str,
    /// What it is compared with, in words.
    reference: &'static str,
    compare: Compare,
    /// The sizes at which it must hold: the worst of those measured counts. Of a number there are
    /// none.
    sizes: &'static [usize],
    must: f64,
    /// None if the goal is no more than what must be.
    goal: Option<f64>,
}

/// What is compared, and which way round.
#[derive(Clone, Copy, Debug)]
enum Compare {
    /// A time over another, at most.
    Slower(Quantile, Pick, Term),
    /// How many times faster the first is, at least.
    Faster(Quantile, Pick, Term),
    /// A rate over another, at least: medians of rounds.
    Rate(Pick, Pick),
    /// A number by itself, at most.
    Number(&'static str),
}

/// Which of the times: of the lowest round.
#[derive(Clone, Copy, Debug)]
enum Quantile {
    P50,
    P99,
}

/// What a time is compared with.
#[derive(Clone, Copy, Debug)]
enum Term {
    Case(Pick),
    /// A number that a subject supplies, in nanoseconds.
    Number(&'static str),
}

/// Which cases are meant; of several, the best counts.
#[derive(Clone, Copy, Debug)]
struct Pick {
    suite: Suite,
    subject: &'static str,
    /// None if it does not matter.
    wait: Option<Wait>,
    cpus: Cpus,
    batch: u32,
    /// A size of its own, whatever that of the bar.
    size: Option<usize>,
}

impl Pick {
    /// Whether a case is meant, where the bar is held against messages of this size.
    fn means(&self, case: &Case, size: usize) -> bool {
        (case.suite, case.subject.as_str()) == (self.suite, self.subject)
            && (case.size, case.cpus) == (self.size.unwrap_or(size), self.cpus)
            && (case.batch, case.clients) == (self.batch, 1)
            && self.wait.is_none_or(|wait| wait == case.wait)
    }
}

impl Compare {
    /// The cases whose figures are compared.
    fn picks(&self) -> impl Iterator<Item = &Pick> {
        let (first, second) = match self {
            Self::Slower(_, pick, Term::Case(other))
            | Self::Faster(_, pick, Term::Case(other))
            | Self::Rate(pick, other) => (Some(pick), Some(other)),
            Self::Slower(_, pick, Term::Number(_)) | Self::Faster(_, pick, Term::Number(_)) => {
                (Some(pick), None)
            }
            Self::Number(_) => (None, None),
        };
        first.into_iter().chain(second)
    }
}

impl Bar {
    /// Whether its verdict depends on a case.
    fn needs(&self, case: &Case) -> bool {
        self.compare.picks().any(|pick| self.sizes.iter().any(|&size| pick.means(case, size)))
    }
}

/// Whether the verdict on any bar depends on a case.
pub(super) fn need(case: &Case) -> bool {
    BARS.iter().any(|bar| bar.needs(case))
}

const fn round_trip(subject: &'static str, wait: Wait, cpus: Cpus) -> Pick {
    Pick { suite: Suite::RoundTrip, subject, wait: Some(wait), cpus, batch: 1, size: None }
}

const fn polled(subject: &'static str) -> Pick {
    round_trip(subject, Wait::Polling, Cpus::Two)
}

const fn flow(suite: Suite, subject: &'static str, batch: u32) -> Pick {
    Pick { suite, subject, wait: None, cpus: Cpus::Two, batch, size: None }
}

const fn one_way(subject: &'static str) -> Pick {
    flow(Suite::OneWay, subject, 1)
}

const fn lent(subject: &'static str) -> Pick {
    flow(Suite::Lent, subject, 1)
}

/// A bar at 8 bytes against a round trip.
const fn call(reference: &'static str, compare: Compare, must: f64, goal: Option<f64>) -> Bar {
    Bar { what: "call, typed, polling, two cores", reference, compare, sizes: &[8], must, goal }
}

/// More goes through than through a peer, at every size.
const fn beats(peer: &'static str) -> Bar {
    Bar {
        what: "throughput, one way",
        reference: peer,
        compare: Compare::Rate(one_way(RAW), one_way(peer)),
        sizes: SIZES,
        must: 1.0,
        goal: None,
    }
}

const fn copied(sizes: &'static [usize]) -> Bar {
    Bar {
        what: "one way, copied in and out",
        reference: "memcpy per message, threads",
        compare: Compare::Rate(one_way(RAW), one_way("memcpy")),
        sizes,
        must: 0.8,
        goal: Some(0.9),
    }
}

const fn slept(
    what: &'static str,
    reference: &'static str,
    cpus: Cpus,
    floor: &'static str,
) -> Bar {
    let blocking = round_trip(TYPED, Wait::Blocking, cpus);
    let compare = Compare::Slower(Quantile::P50, blocking, Term::Number(floor));
    Bar { what, reference, compare, sizes: &[8], must: 1.3, goal: None }
}

const fn none_at_all(what: &'static str, number: &'static str) -> Bar {
    let compare = Compare::Number(number);
    Bar { what, reference: "none at all", compare, sizes: &[], must: 0.0, goal: None }
}

/// The bars, in the order in which they are told.
const BARS: [Bar; 20] = [
    call(
        "cache-line ping-pong, threads",
        Compare::Slower(Quantile::P50, polled(TYPED), Term::Case(polled("ping-pong"))),
        1.6,
        Some(1.25),
    ),
    call(
        "two rtrb rings, threads",
        Compare::Slower(Quantile::P50, polled(TYPED), Term::Case(polled("rtrb"))),
        1.15,
        Some(1.0),
    ),
    call(
        "Unix socket, blocking",
        Compare::Faster(
            Quantile::P50,
            polled(TYPED),
            Term::Case(round_trip("unix-stream", Wait::Blocking, Cpus::Two)),
        ),
        25.0,
        Some(30.0),
    ),
    call(
        "iceoryx2 request-response, p50",
        Compare::Faster(
            Quantile::P50,
            polled(TYPED),
            Term::Case(polled("iceoryx2 request-response")),
        ),
        8.0,
        Some(10.0),
    ),
    call(
        "iceoryx2 request-response, p99",
        Compare::Faster(
            Quantile::P99,
            polled(TYPED),
            Term::Case(polled("iceoryx2 request-response")),
        ),
        1.0,
        None,
    ),
    Bar {
        what: "one way, one by one",
        reference: "rtrb, push and pop, threads",
        compare: Compare::Rate(one_way(RAW), one_way("rtrb")),
        sizes: &[64],
        must: 1.0,
        goal: None,
    },
    Bar {
        what: "one way, batches of 32",
        reference: "rtrb, slices of 32, threads",
        compare: Compare::Rate(flow(Suite::OneWay, RAW, 32), flow(Suite::OneWay, "rtrb", 32)),
        sizes: &[64],
        must: 0.8,
        goal: Some(1.0),
    },
    copied(&[64 * KI]),
    copied(&[MI]),
    Bar {
        what: "lent buffers",
        reference: "iceoryx2 pub-sub, untouched",
        compare: Compare::Rate(lent(RAW), lent("iceoryx2 pub-sub")),
        sizes: SIZES,
        must: 3.0,
        goal: Some(5.0),
    },
    Bar {
        what: "lent buffers, flat with size",
        reference: "itself at 64 B",
        compare: Compare::Rate(lent(RAW), Pick { size: Some(64), ..lent(RAW) }),
        sizes: SIZES,
        // Four fifths is what rounds differ by anyhow; a copy of 1 MiB would be a thousandth.
        must: 0.8,
        goal: Some(0.95),
    },
    beats("unix-stream"),
    beats("pipe"),
    beats("ipc-channel"),
    beats("iceoryx2 pub-sub"),
    Bar {
        what: "throughput, calls",
        reference: "iceoryx2 request-response",
        compare: Compare::Rate(
            flow(Suite::Calls, RAW, 1),
            flow(Suite::Calls, "iceoryx2 request-response", 1),
        ),
        sizes: SIZES,
        must: 1.0,
        goal: None,
    },
    slept("call, blocking, two cores", "eventfd wakes and exits", Cpus::Two, FLOOR_TWO_CPUS),
    slept("call, blocking, one core", "eventfd wakes and exits", Cpus::One, FLOOR_ONE_CPU),
    none_at_all("exits per call while both run", EXITS_PER_CALL),
    none_at_all("CPU of sleeping domains", SLEEPING_CPU),
];
