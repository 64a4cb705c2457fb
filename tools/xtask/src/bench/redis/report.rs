//! Owns what is told of the pairs: throughput and ratio against the bar, and where the time went.
//!
//! Pairs are kept apart by test, by depth, and by the class of placement they were measured in.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{DEPTHS, Pair, Results, Run, TESTS};
use crate::bench::cpu::Cpu;
use crate::bench::figures::{Sample, percent};
use crate::bench::placement::Class;
use crate::bench::table::{Table, thousands};

/// Pairs that may be compared.
#[derive(Debug)]
struct Group<'a> {
    test: &'static str,
    pipeline: u32,
    class: Class,
    bar: f64,
    pairs: Vec<&'a Pair>,
}

/// Which of the two runs of a pair.
type Of = fn(&Pair) -> &Run;

fn groups(results: &Results) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    for depth in &DEPTHS {
        for test in TESTS {
            let mut classes: BTreeMap<Class, Vec<&Pair>> = BTreeMap::new();
            let same = |pair: &&Pair| (pair.test, pair.pipeline) == (test, depth.pipeline);
            for pair in results.0.iter().filter(same) {
                classes.entry(pair.placement.class).or_default().push(pair);
            }
            groups.extend(classes.into_iter().map(|(class, pairs)| {
                let (pipeline, bar) = (depth.pipeline, depth.bar);
                Group { test, pipeline, class, bar, pairs }
            }));
        }
    }
    groups
}

impl Group<'_> {
    fn sample(&self, figure: impl Fn(&Pair) -> f64) -> Option<Sample> {
        Sample::of(self.pairs.iter().map(|pair| figure(pair)))
    }

    fn median(&self, figure: impl Fn(&Pair) -> f64) -> f64 {
        self.sample(figure).map_or(0.0, |sample| sample.median())
    }

    /// Whether the median ratio reaches the bar; nothing can be said of pairs whose placement changed.
    fn passes(&self) -> Option<bool> {
        (self.class != Class::Changed).then(|| self.median(Pair::ratio) >= self.bar)
    }

    fn verdict(&self) -> String {
        let bar = self.bar;
        match self.passes() {
            Some(true) => format!("ok, >= {bar:.1}"),
            Some(false) => format!("MISSED, < {bar:.1}"),
            None => "left out".to_owned(),
        }
    }

    fn words(&self) -> Vec<String> {
        let Self { test, pipeline, class, pairs, .. } = self;
        vec![format!("P{pipeline} {test}"), format!("{class}, {}", pairs.len())]
    }
}

/// The bars that were missed.
pub fn missed(results: &Results) -> Vec<String> {
    let groups = groups(results);
    let missed = groups.iter().filter(|group| group.passes() == Some(false));
    missed
        .map(|group| {
            let ratio = group.median(Pair::ratio);
            format!("P{} {}, {ratio:.2}x of redis-server", group.pipeline, group.test)
        })
        .collect()
}

/// Both tables.
pub fn report(results: &Results) -> String {
    let groups = groups(results);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "Requests per second, and their ratio pair by pair: lowest / median / highest\n"
    );
    let _ = writeln!(text, "{}", throughput(&groups));
    let _ = writeln!(
        text,
        "Where the time goes: medians, CPU time in % of wall time as user + system;\nµs/req is that of client and server together\n"
    );
    let _ = write!(text, "{}", shares(&groups));
    text
}

fn throughput(groups: &[Group<'_>]) -> Table {
    let headings = ["test", "placement, pairs", "kv", "redis-server", "ratio", "verdict"];
    let mut table = Table::new(2, headings);
    for group in groups {
        let mut row = group.words();
        row.push(spread(group.sample(|pair| pair.kv.requests_per_second), thousands));
        row.push(spread(group.sample(|pair| pair.redis.requests_per_second), thousands));
        row.push(spread(group.sample(Pair::ratio), |ratio| format!("{ratio:.2}")));
        row.push(group.verdict());
        table.row(row);
    }
    table
}

fn spread(sample: Option<Sample>, shown: impl Fn(f64) -> String) -> String {
    sample.map_or_else(String::new, |sample| {
        [sample.lowest(), sample.median(), sample.highest()].map(shown).join(" / ")
    })
}

fn shares(groups: &[Group<'_>]) -> Table {
    let headings = [
        "test",
        "placement, pairs",
        "client",
        "event loop",
        "vCPU",
        "others",
        "µs/req",
        "exits/req",
        "req/hand-over",
        "redis: client",
        "server",
        "others",
        "µs/req",
    ];
    let mut table = Table::new(2, headings);
    for group in groups {
        let share = |run: Of, part: fn(&Run) -> Cpu| {
            let of =
                |pair: &Pair, cpu: fn(Cpu) -> f64| percent(cpu(part(run(pair))), run(pair).wall);
            let user = group.median(|pair| of(pair, |cpu| cpu.user));
            let system = group.median(|pair| of(pair, |cpu| cpu.system));
            format!("{user:.0} + {system:.0}")
        };
        let others = |run: Of| {
            format!("{:.0}", group.median(|pair| percent(run(pair).others, run(pair).wall)))
        };
        let cost = |run: Of| format!("{:.1}", group.median(|pair| run(pair).cost()));
        let (kv, redis): (Of, Of) = (|pair| &pair.kv, |pair| &pair.redis);
        let mut row = group.words();
        row.push(share(kv, |run| run.client));
        row.push(share(kv, |run| run.server));
        row.push(share(kv, |run| run.vcpu));
        row.push(others(kv));
        row.push(cost(kv));
        row.push(format!("{:.4}", group.median(|pair| pair.exits)));
        row.push(format!("{:.1}", group.median(|pair| pair.batch)));
        row.push(share(redis, |run| run.client));
        row.push(share(redis, |run| run.server));
        row.push(others(redis));
        row.push(cost(redis));
        table.row(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::placement::Placement;

    fn run(requests_per_second: f64) -> Run {
        let cpu = Cpu { user: 0.5, system: 0.25 };
        let requests = 100_000;
        Run {
            requests,
            requests_per_second,
            wall: 2.0,
            client: cpu,
            server: cpu,
            vcpu: cpu,
            others: 0.1,
        }
    }

    fn pair(test: &'static str, pipeline: u32, kv: f64, class: Class) -> Pair {
        let placement = Placement { class, before: None, after: None };
        let (kv, redis) = (run(kv), run(1000.0));
        Pair { test, pipeline, placement, kv, redis, exits: 0.125, batch: 15.96 }
    }

    #[test]
    fn the_median_pair_decides_and_the_bar_rises_with_the_depth() {
        let ratios = [500.0, 100.0, 900.0].map(|kv| pair("set", 1, kv, Class::Far));
        let deep = pair("set", 16, 690.0, Class::Far);
        let results = Results(ratios.into_iter().chain([deep]).collect());
        assert_eq!(missed(&results), ["P16 set, 0.69x of redis-server"]);
        let report = report(&results);
        assert!(report.contains("0.10 / 0.50 / 0.90"), "{report}");
        assert!(report.contains("ok, >= 0.5"), "{report}");
        assert!(report.contains("MISSED, < 0.7"), "{report}");
    }

    #[test]
    fn classes_of_placement_are_judged_apart_and_a_change_not_at_all() {
        let classes = [Class::Far, Class::Near, Class::Changed];
        let kv = [600.0, 400.0, 100.0];
        let pairs = classes.into_iter().zip(kv).map(|(class, kv)| pair("get", 1, kv, class));
        let results = Results(pairs.collect());
        assert_eq!(missed(&results), ["P1 get, 0.40x of redis-server"]);
        assert_eq!(groups(&results).len(), 3);
        assert!(report(&results).contains("left out"));
    }

    #[test]
    fn shares_are_of_wall_time() {
        let report = report(&Results(vec![pair("lpush", 16, 800.0, Class::OneCpu)]));
        assert!(report.contains("25 + 12"), "{report}");
        assert!(report.contains("0.1250"), "{report}");
        assert!(report.contains("22.5"), "{report}");
        assert!(report.contains("16.0"), "{report}");
    }
}
