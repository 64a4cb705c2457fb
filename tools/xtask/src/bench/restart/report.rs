//! Owns what is told of deaths and of idleness.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::idle::Idle;
use super::{Case, Death, Results};
use crate::bench::figures::{Sample, percent};
use crate::bench::placement::Class;
use crate::bench::table::{Table, thousands};

/// The median that a death of the domain has to stay below, in microseconds.
const BAR_MICROS: f64 = 5000.0;
/// An idle system stays below this share of one CPU, in percent: what a few ticks make of nothing.
const BAR_CPU: f64 = 1.0;
/// Resident memory of an idle echo stays below this.
const BAR_ECHO: u64 = 4 << 20;

/// What may be compared: the same kind of death, as loaded, in the same class of placement.
type Key = (bool, Case, Class);

fn groups(results: &Results) -> BTreeMap<Key, Vec<&Death>> {
    let mut groups: BTreeMap<Key, Vec<&Death>> = BTreeMap::new();
    for series in &results.series {
        for death in &series.deaths {
            let key = (death.loaded, death.case, series.placement.class);
            groups.entry(key).or_default().push(death);
        }
    }
    groups
}

fn sample(deaths: &[&Death]) -> Option<Sample> {
    Sample::of(deaths.iter().map(|death| death.micros))
}

/// The bars that were missed.
pub fn missed(results: &Results) -> Vec<String> {
    let mut missed = Vec::new();
    for ((loaded, case, class), deaths) in groups(results) {
        let Some(sample) = sample(&deaths).filter(|_| class != Class::Changed) else { continue };
        if Case::DOMAIN.contains(&case) && sample.median() >= BAR_MICROS {
            let median = sample.median();
            missed.push(format!("{}: median {median:.0} µs, not below 5 ms", name(case, loaded)));
        }
    }
    for (when, idle) in [("a fresh", &results.fresh), ("a used", &results.used)] {
        let share = percent(idle.cpu, idle.stretch);
        if share >= BAR_CPU {
            missed.push(format!("{when} idle system uses {share:.1} % of a CPU"));
        }
        if idle.echo >= BAR_ECHO {
            missed.push(format!("echo in {when} system has {} KiB resident", idle.echo >> 10));
        }
    }
    missed
}

fn name(case: Case, loaded: bool) -> String {
    format!("{case}{}", if loaded { ", under load" } else { "" })
}

/// Both tables, and what there is to say beside them.
pub fn report(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "From the blow to the next reply, in µs; kv on an open connection, processes on a new one\n"
    );
    let _ = writeln!(text, "{}", deaths(results));
    let deaths = results.series.iter().flat_map(|series| &series.deaths);
    let errors: u32 = deaths.map(|death| death.errors).sum();
    let _ =
        writeln!(text, "Error replies on the watching connection: {errors}; it was never closed.");
    let _ =
        writeln!(text, "Runs of redis-benchmark that a restart ended: {}\n", results.loads_lost);
    let _ = writeln!(text, "Idle: echo and kv, with connections that say nothing\n");
    let _ = write!(text, "{}", idle(results));
    text
}

fn deaths(results: &Results) -> Table {
    let headings = [
        "what",
        "placement, times",
        "p50",
        "p90",
        "p99",
        "max",
        "redis-server is slower",
        "Rust process is slower",
    ];
    let mut table = Table::new(2, headings);
    let groups = groups(results);
    for ((loaded, case, class), deaths) in &groups {
        let Some(sample) = sample(deaths) else { continue };
        let mut row = vec![name(*case, *loaded), format!("{class}, {}", sample.count())];
        let percentiles = [50, 90, 99].map(|percent| sample.percentile(percent));
        row.extend(percentiles.into_iter().chain([sample.highest()]).map(thousands));
        if Case::DOMAIN.contains(case) {
            for peer in Case::PROCESSES {
                row.push(slower(groups.get(&(false, peer, *class)), &sample));
            }
        }
        table.row(row);
    }
    table
}

/// How many times as long the median of `peer` is.
fn slower(peer: Option<&Vec<&Death>>, ours: &Sample) -> String {
    let peer = peer.and_then(|deaths| sample(deaths));
    peer.map_or_else(String::new, |peer| format!("{:.2}x", peer.median() / ours.median()))
}

fn idle(results: &Results) -> Table {
    let headings = [
        "system",
        "CPU, ms",
        "in, s",
        "exits",
        "echo, KiB",
        "kv, KiB",
        "VMM, KiB",
        "own",
        "files",
        "shared",
    ];
    let mut table = Table::new(1, headings);
    for (when, idle) in [("fresh", &results.fresh), ("after all deaths", &results.used)] {
        table.row(idle_row(when, idle));
    }
    table
}

fn idle_row(when: &str, idle: &Idle) -> Vec<String> {
    let kibibytes = |bytes: u64| thousands((bytes >> 10) as f64);
    let mut row = vec![when.to_owned()];
    row.extend([idle.cpu * 1e3, idle.stretch, idle.exits as f64].map(thousands));
    row.extend([idle.echo, idle.kv].map(kibibytes));
    let vmm = idle.vmm;
    row.extend([vmm.resident, vmm.anonymous, vmm.file, vmm.shared].map(kibibytes));
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::placement::Placement;
    use crate::bench::restart::Series;
    use crate::bench::restart::idle::Memory;

    fn idle() -> Idle {
        let vmm = Memory::default();
        Idle { stretch: 3.0, cpu: 0.01, exits: 0, echo: 1 << 20, kv: 2 << 20, vmm }
    }

    fn results(class: Class, deaths: &[(Case, bool, f64)]) -> Results {
        let placement = Placement { class, before: None, after: None };
        let deaths =
            deaths.iter().map(|&(case, loaded, micros)| Death { case, loaded, micros, errors: 1 });
        let series = vec![Series { placement, deaths: deaths.collect() }];
        Results { series, loads_lost: 2, fresh: idle(), used: idle() }
    }

    #[test]
    fn ratios_are_to_the_idle_peers() {
        let deaths = [
            (Case::Kill, false, 500.0),
            (Case::Kill, true, 4000.0),
            (Case::Redis, false, 5000.0),
            (Case::Pong, false, 1000.0),
        ];
        let report = report(&results(Class::Far, &deaths));
        assert!(report.contains("10.00x"), "{report}");
        assert!(report.contains("2.00x"), "{report}");
        assert!(report.contains("1.25x"), "{report}");
        assert!(report.contains("kv, killed, under load"), "{report}");
        assert!(report.contains("connection: 4;"), "{report}");
        assert!(missed(&results(Class::Far, &deaths)).is_empty());
    }

    #[test]
    fn slow_restarts_miss_their_bar_and_slow_peers_do_not_count() {
        let deaths = [(Case::Panic, true, 5000.0), (Case::Redis, false, 90000.0)];
        let expected = "kv, DEBUG PANIC, under load: median 5000 µs, not below 5 ms";
        assert_eq!(missed(&results(Class::Near, &deaths)), [expected]);
        assert!(missed(&results(Class::Changed, &deaths)).is_empty());
    }

    #[test]
    fn an_idle_system_has_bars_too() {
        let mut results = results(Class::OneCpu, &[]);
        results.used.cpu = 0.03;
        results.fresh.echo = 5 << 20;
        let expected = [
            "echo in a fresh system has 5120 KiB resident",
            "a used idle system uses 1.0 % of a CPU",
        ];
        assert_eq!(missed(&results), expected);
    }
}
