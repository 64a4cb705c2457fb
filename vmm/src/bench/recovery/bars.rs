//! What is asked of recoveries, and whether it holds.

use super::report::{CrashResults, LogResults};
use crate::bench::bars::Side;
use crate::bench::restart::bars::Bar;
use crate::bench::statistics::{Range, Times};

/// The memory that a restart keeps, and the log, that bars are held against, in MiB.
const STATE: u64 = 64;
const LOG: u64 = 1024;
/// How many times as fast as a reload a restart with its memory is.
const FASTER: f64 = 20.0;
/// How many times as long as a sequential read a recovery may take.
const SLOWER: f64 = 2.0;

/// Judges all, of what was measured with so much memory and so long a log.
pub(super) fn judge(crashes: &CrashResults, log: &LogResults, state: u64, length: u64) -> Vec<Bar> {
    let p50 = |times: &Option<Times>| Some(times.as_ref()?.p50.median);
    let faster = || Some(p50(&crashes.reload)? / p50(&crashes.kept)?);
    let slower = |ratio: Option<Range>| Some(ratio?.median);
    let at_length = |figure: Option<f64>| figure.filter(|_| length == LOG);
    let read = "sequential read of as much of the file";
    vec![
        Bar::new(
            format!("kv with a {STATE} MiB state region, crash to first reply: p50"),
            "reload from its store",
            Side::AtLeast,
            FASTER,
            faster().filter(|_| state == STATE),
        ),
        Bar::new(
            "recovery of a store with a 1 GiB log, in the host's memory",
            read,
            Side::AtMost,
            SLOWER,
            at_length(slower(log.warm.ratio)),
        ),
        Bar::new(
            "the same, not in the host's memory",
            read,
            Side::AtMost,
            SLOWER,
            at_length(slower(log.cold.ratio)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::report::RecoveryResult;
    use super::*;
    use crate::bench::bars::Verdict;
    use crate::bench::restart::peer::of_nanoseconds;

    fn results(kept: u64, reload: u64, ratios: [f64; 2]) -> (CrashResults, LogResults) {
        let times = |nanos| Times::of(&[&of_nanoseconds(&[nanos; 3]).unwrap()]);
        let ratio = |ratio| RecoveryResult { ratio: Range::of([ratio]), ..Default::default() };
        let [warm, cold] = ratios.map(ratio);
        let crashes = CrashResults { keys: 1, bytes: 1, kept: times(kept), reload: times(reload) };
        (crashes, LogResults { bytes: 1, warm, cold })
    }

    fn verdicts(found: &(CrashResults, LogResults), state: u64, length: u64) -> Vec<Verdict> {
        judge(&found.0, &found.1, state, length).into_iter().map(|bar| bar.verdict).collect()
    }

    #[test]
    fn each_bar_has_its_side() {
        use Verdict::{GoalMet, Missed};
        let found = results(100, 2_100, [1.9, 2.1]);
        assert_eq!(verdicts(&found, STATE, LOG), [GoalMet, GoalMet, Missed]);
        let found = results(100, 1_900, [2.0, 0.5]);
        assert_eq!(verdicts(&found, STATE, LOG), [Missed, GoalMet, GoalMet]);
    }

    #[test]
    fn nothing_is_judged_that_was_not_measured() {
        let found = results(100, 2_100, [1.0, 1.0]);
        use Verdict::{GoalMet, NotMeasured};
        assert_eq!(verdicts(&found, 8, LOG), [NotMeasured, GoalMet, GoalMet]);
        assert_eq!(verdicts(&found, STATE, 64), [GoalMet, NotMeasured, NotMeasured]);
        let nothing = CrashResults { kept: None, ..found.0 };
        assert_eq!(judge(&nothing, &found.1, STATE, LOG)[0].verdict, NotMeasured);
    }
}
