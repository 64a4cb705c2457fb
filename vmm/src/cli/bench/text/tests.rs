//! What a small report looks like, to the letter.

use std::path::Path;

use super::*;
use crate::bench::engine::Round;
use crate::bench::fixture::{case, times};
use crate::bench::host::Host;
use crate::bench::placement::Placement;
use crate::bench::report::Measured;
use crate::bench::subject::{Number, Sample};
use crate::bench::wire::Case;

const FAR: f64 = 225.0;
const NEAR: f64 = 70.0;

fn measured(case: Case, samples: Vec<Sample>) -> Measured {
    let placement = Placement::between(Some(FAR), Some(FAR));
    let rounds = samples.into_iter().map(|sample| Round { placement, sample }).collect();
    Measured { rounds, ..Measured::new(case) }
}

fn move_to(measured: &mut Measured, round: usize, after: f64) {
    measured.rounds[round].placement = Placement::between(Some(NEAR), Some(after));
}

fn trip(subject: &str, wait: Wait, rounds: [u64; 3]) -> Measured {
    let case = Case { wait, ..case(Suite::RoundTrip, subject, 8) };
    measured(case, rounds.map(|p50| times(&[p50; 98], &[p50 + 100, p50 + 900])).to_vec())
}

fn report() -> Report {
    let mut atoll = trip("atoll", Wait::Polling, [270, 250, 260]);
    move_to(&mut atoll, 1, FAR);
    atoll.rounds.push(atoll.rounds[0].clone());
    atoll.rounds[3].placement = Placement::between(Some(FAR), Some(FAR * 1.6));
    let mut pipe = trip("pipe", Wait::Polling, [400, 400, 400]);
    (0..3).for_each(|round| move_to(&mut pipe, round, NEAR));
    let mut hung = Measured::new(case(Suite::OneWay, "pipe", 4096));
    hung.failures = vec!["no pipe".into(), "no pipe".into()];
    let mut never =
        measured(case(Suite::OneWay, "pipe", 64), vec![Sample::Rate(1e6), Sample::Rate(2e6)]);
    (0..2).for_each(|round| move_to(&mut never, round, NEAR));
    let batch = Case { batch: 32, ..case(Suite::OneWay, "memcpy", 4096) };
    let all = vec![
        atoll,
        pipe,
        trip("ping-pong", Wait::Polling, [220, 200, 210]),
        trip("atoll raw", Wait::Polling, [240, 275, 270]),
        trip("eventfd", Wait::Blocking, [8_000, 9_000, 10_000]),
        measured(batch, vec![Sample::Rate(2e6), Sample::Rate(1.5e6)]),
        hung,
        never,
    ];
    let numbers = vec![Number { name: "exits per call while both run".into(), value: 0.25 }];
    let mut report = Report::new(3, None, all, numbers);
    report.bars.retain(|bar| {
        ["cache-line ping-pong, threads", "none at all", "pipe"].contains(&bar.reference)
    });
    report.host = Host {
        version: "1.2.3",
        kernel: Some("6.18".into()),
        processor: Some("Swift 9".into()),
        cpus: 2,
    };
    report
}

fn printed(report: &Report, files: &[PathBuf]) -> String {
    let mut out = anstream::StripStream::new(Vec::new());
    print(report, files, &mut out).unwrap();
    String::from_utf8(out.into_inner()).unwrap()
}

const EXPECTED: &str = "\
host       Linux 6.18; 2 CPUs: Swift 9
measured   3 rounds; by placement: 14 far, 5 near, 1 changed
probes     70 ns, 225 ns, 360 ns: lowest, median, highest
figures    of class far, since only one class is compared; left out: 6 of others, 1 stray (probes far from 225 ns)

round trip  p50: lowest, median, highest round; p99, p99.9: lowest round; max: of all
SUBJECT    SIZE  WAIT     CPUS     P50  MEDIAN  HIGHEST     P99    P99.9      MAX  ROUNDS  / PING-PONG
atoll       8 B  polling  two   260 ns  265 ns   270 ns  360 ns  1.16 us  1.17 us       2        1.30x
pipe        8 B  polling  two        -       -        -       -        -        -      0*            -
ping-pong   8 B  polling  two   200 ns  210 ns   220 ns  300 ns  1.10 us  1.12 us       3        1.00x
atoll raw   8 B  polling  two   240 ns  270 ns   275 ns  340 ns  1.14 us  1.18 us       3        1.20x

round trip, asleep in between  p50: lowest, median, highest round; p99, p99.9: lowest round; max: of all
SUBJECT  SIZE  WAIT      CPUS      P50   MEDIAN  HIGHEST      P99    P99.9      MAX  ROUNDS  / EVENTFD
eventfd   8 B  blocking  two   8.00 us  9.01 us  10.0 us  8.10 us  8.90 us  10.9 us       3      1.00x

one way, copied in and out  messages in a second: median, lowest, highest round
SUBJECT   SIZE  WAIT     CPUS  FORM       MSG/S  LOWEST  HIGHEST  GB/S  ROUNDS  / MEMCPY
memcpy   4 KiB  polling  two   batch 32  1.75 M  1.50 M   2.00 M  7.17       2     1.00x
pipe     4 KiB  polling  two             failed       -        -     -       0         -
pipe      64 B  polling  two                  -       -        -     -      0*         -
* every round of it is left out: --placement chooses another class
failed 2 times: pipe, one way, copied in and out, 4 KiB, polling, two CPUs: no pipe

NUMBER                         VALUE
exits per call while both run  0.250

what each layer costs a round trip  differences of p50, of the lowest and of the median rounds
LAYER       SIZE  WAIT     OF     LESS       LOWEST  MEDIAN
typed stub   8 B  polling  atoll  atoll raw   20 ns   -5 ns

what is asked of Atoll
BAR                              AGAINST                        SIZE         MUST   GOAL  FOUND  VERDICT
call, typed, polling, two cores  cache-line ping-pong, threads  8 B      <= 1.60x  1.25x  1.30x  met, not the goal
throughput, one way              pipe                           6 sizes  >= 1.00x      -      -  not measured here
exits per call while both run    none at all                    -            <= 0      -   0.25  missed
CPU of sleeping domains          none at all                    -            <= 0      -      -  not measured
wrote plots/a.svg
";

#[test]
fn the_whole_report() {
    let text = printed(&report(), &[Path::new("plots/a.svg").to_owned()]);
    assert_eq!(text, EXPECTED, "{text}");
}

#[test]
fn nothing_measured_of_atoll_is_one_line_and_not_a_table() {
    let mut report = report();
    report.bars.iter_mut().for_each(|bar| bar.verdict = Verdict::NotMeasured);
    let text = printed(&report, &[]);
    assert!(text.ends_with("\n\nnothing was measured of what is asked of Atoll\n"), "{text}");
}
