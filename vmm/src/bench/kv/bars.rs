//! What is asked of kv beside redis-server, and whether it holds.

use super::case::{Operation, Subject, Task};
use super::report::Ratio;
use crate::bench::bars::Side;
use crate::bench::restart::bars::Bar;

/// What bars are held against.
const CONNECTIONS: u32 = 50;

/// Who is held against whom, at what, and how much of the other's throughput must be reached, and
/// should.
const BARS: [(Subject, Subject, Task, f64, Option<f64>); 6] = [
    (Subject::KvDurable, Subject::RedisAlways, set(16), 1.0, Some(1.5)),
    (Subject::KvDurable, Subject::RedisAlways, set(1), 0.7, None),
    (Subject::Kv, Subject::Redis, set(16), 0.7, None),
    (Subject::Kv, Subject::Redis, set(1), 0.5, None),
    (Subject::Kv, Subject::Redis, get(16), 0.7, None),
    (Subject::Kv, Subject::Redis, get(1), 0.5, None),
];

const fn set(depth: u32) -> Task {
    Task { operation: Operation::Set, depth }
}

const fn get(depth: u32) -> Task {
    Task { operation: Operation::Get, depth }
}

/// Judges all, by the medians of the rounds' ratios.
pub(super) fn judge(ratios: &[Ratio], connections: u32) -> Vec<Bar> {
    let bar = |(subject, reference, task, must, goal): &(_, Subject, _, _, Option<f64>)| {
        let wanted = |ratio: &&Ratio| {
            (ratio.subject, ratio.reference, ratio.task) == (*subject, *reference, *task)
        };
        let found = ratios.iter().find(wanted).filter(|_| connections == CONNECTIONS);
        let what = format!("{subject}: {task}, {CONNECTIONS} connections");
        let figure = found.map(|found| found.ratio.median);
        let bar = Bar::new(what, reference.to_string(), Side::AtLeast, *must, figure);
        goal.map_or(bar.clone(), |goal| bar.with_goal(goal))
    };
    BARS.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::bars::Verdict;
    use crate::bench::statistics::Range;

    fn ratio(subject: Subject, reference: Subject, task: Task, median: f64) -> Ratio {
        let ratio = Range { lowest: 0.0, median, highest: 9.0 };
        Ratio { subject, reference, task, ratio }
    }

    fn verdicts(ratios: &[Ratio], connections: u32) -> Vec<Verdict> {
        judge(ratios, connections).into_iter().map(|bar| bar.verdict).collect()
    }

    #[test]
    fn durable_sets_have_a_goal_beyond_what_must_be() {
        let first = |median| {
            let found = ratio(Subject::KvDurable, Subject::RedisAlways, set(16), median);
            verdicts(&[found], CONNECTIONS)[0]
        };
        use Verdict::{GoalMet, Missed, MustMet};
        assert_eq!([0.99, 1.0, 1.49, 1.5].map(first), [Missed, MustMet, MustMet, GoalMet]);
    }

    #[test]
    fn each_depth_has_a_bar_of_its_own() {
        let found = [
            ratio(Subject::KvDurable, Subject::RedisAlways, set(1), 0.71),
            ratio(Subject::KvDurable, Subject::RedisEverysec, set(16), 5.0),
            ratio(Subject::Kv, Subject::Redis, set(16), 0.6),
            ratio(Subject::Kv, Subject::Redis, set(1), 0.6),
        ];
        use Verdict::{GoalMet, Missed, NotMeasured};
        assert_eq!(
            verdicts(&found, CONNECTIONS),
            [NotMeasured, GoalMet, Missed, GoalMet, NotMeasured, NotMeasured]
        );
        assert!(verdicts(&found, 10).iter().all(|&verdict| verdict == NotMeasured));
    }
}
