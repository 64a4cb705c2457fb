//! What came of a campaign, as text: Markdown that reads well as it is.

use std::fmt::Write;

use super::Order;
use super::plan::Victim;
use super::tally::{Row, Tally, Times};
use crate::domain::Harm;

const INTRODUCTION: &str = "\
Faults are injected into running servers, one at a time, while clients number their requests and check
every reply (after Herder et al., MINIX 3). The VMM is the ordinary one. A *victim* is harmed by the
thread that runs its vCPU, between two entries of the guest: wherever it happens to be then. `echo` is
asked through a channel, 8 requests at a time, `kv` through its gateway, 8 pairs of `SET` and `GET` at a
time; both have a watchdog of 100 ms. Nothing is done to the *bystanders*, `calm-echo` and `calm-kv` in
the same system; their clients ask about every millisecond, and when a fault is injected.

A fault has *no effect* if 32 replies to later requests are correct; the victim is then killed, so that no
damage is left for the next fault. Kinds and places follow from the seed; where the guest is when it is
hit does not. Of the flips in the text, half hit the next 256 bytes to be run, half any; flips in the
heap hit pages that were written. Skipping adds 1 to 15 to the instruction pointer and decodes nothing.
A server's memory is its own to spoil: a flipped bit in a payload is a wrong reply that no isolation can
prevent, and is counted as one.";

/// Columns of the kinds of ends, by how their names begin.
const ENDS: [(&str, &str); 6] = [
    ("exception", "exception"),
    ("panic", "panic"),
    ("exit", "exit"),
    ("illegal port", "illegal port"),
    ("hang", "hang"),
    ("protocol", "protocol"),
];

/// The report. `command` is how it can be had again.
pub fn markdown(tally: &Tally, order: &Order, command: &str) -> String {
    let mut text = String::new();
    let kvm = if tally.hardware { "hardware" } else { "software" };
    let _ = write!(
        text,
        "# The fault-injection campaign\n\n{} faults, seed {}, version {}, {kvm} KVM. Made by\n\n    \
         {command}\n\n{INTRODUCTION}\n",
        tally.injected(),
        order.seed,
        env!("CARGO_PKG_VERSION"),
    );
    verdict(&mut text, tally, order);
    by_kind(&mut text, tally);
    times(&mut text, tally);
    ends(&mut text, tally);
    replies(&mut text, tally);
    bystanders(&mut text, tally);
    text
}

fn verdict(text: &mut String, tally: &Tally, order: &Order) {
    let all = tally.all();
    let failures = tally.failures(order.faults);
    let _ = write!(
        text,
        "\n## Verdict\n\n| what must be 0 | |\n|---|---:|\n\
         | deaths of the VMM | {} |\n| hangs of the VMM | {} |\n\
         | requests of bystanders that were disturbed | {} |\n\
         | servers that did not answer again | {} |\n| threads left over | {} |\n\
         | files left open | {} |\n\n",
        tally.vmm_deaths,
        tally.vmm_hangs,
        tally.bystanders.iter().map(|calm| calm.disturbed + calm.events.len() as u64).sum::<u64>(),
        all.lost,
        left_over(tally, |resources| resources.threads),
        left_over(tally, |resources| resources.files),
    );
    let _ = match failures.as_slice() {
        [] => writeln!(text, "All of it is."),
        failures => writeln!(text, "**Failed:** {}.", failures.join("; ")),
    };
}

fn left_over(tally: &Tally, count: fn(&super::resources::Resources) -> u64) -> u64 {
    let pairs = tally.resources.iter();
    pairs.map(|(before, after)| count(after).saturating_sub(count(before))).sum()
}

fn by_kind(text: &mut String, tally: &Tally) {
    text.push_str("\n## By kind: who noticed, and how\n\n");
    text.push_str("| kind | faults | no effect |");
    let titles = ENDS.map(|(_, title)| format!(" {title} |"));
    text.push_str(&titles.concat());
    text.push_str(
        " other end | only the client, by an error | only the client, by a wrong reply |\n",
    );
    text.push_str(&format!("|---|{}\n", "---:|".repeat(ENDS.len() + 5)));
    let rows = tally.harms.iter().map(|(harm, row)| (name(*harm), row));
    let all = tally.all();
    for (name, row) in rows.chain([("**all**".to_owned(), &all)]) {
        let _ = write!(text, "| {name} | {} | {} |", row.faults, row.no_effect);
        let counts = ENDS.map(|(beginning, _)| row.ended_by(beginning));
        text.push_str(&counts.map(|count| format!(" {count} |")).concat());
        let other = row.all_ended() - counts.iter().sum::<u32>();
        let _ = writeln!(text, " {other} | {} | {} |", row.all_noticed(), row.wrong_only);
    }
}

fn times(text: &mut String, tally: &Tally) {
    text.push_str(
        "\n## By kind: how soon, in microseconds\n\nNoticed: from the injection to the end of the \
         incarnation, or to what the client was told. Recovered: from then to\nthe first correct \
         reply of the next one, as its client sees it.\n\n\
         | kind | noticed p50 | p99 | max | recovered p50 | p99 | max |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    let of_harms = tally.harms.iter().map(|(harm, row)| (name(*harm), row));
    let of_victims = tally.victims.iter().map(|(victim, row)| (on(*victim), row));
    for (name, row) in of_harms.chain(of_victims) {
        let cells = [figures(&row.noticed_after), figures(&row.recovered_after)].concat();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
}

fn figures(times: &Times) -> Vec<String> {
    let figure = |share| times.at(share).map_or("–".to_owned(), |time| time.to_string());
    [0.5, 0.99, 1.0].map(figure).to_vec()
}

fn ends(text: &mut String, tally: &Tally) {
    let all = tally.all();
    text.push_str("\n## All that was noticed\n\n| who | what | faults |\n|---|---|---:|\n");
    for (who, counts) in [("nucleus", &all.ended), ("client", &all.noticed)] {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (what, count) in counts {
            let _ = writeln!(text, "| {who} | {what} | {count} |");
        }
    }
    let _ = writeln!(text, "| client | wrong reply, and nothing else | {} |", all.wrong_only);
}

fn replies(text: &mut String, tally: &Tally) {
    text.push_str(
        "\n## What the victims' clients were told\n\n\
         | victim | correct replies | errors, or none in time | wrong replies | faults with any |\n\
         |---|---:|---:|---:|---:|\n",
    );
    for (victim, row) in &tally.victims {
        let Row { good_replies, failed_requests, wrong_replies, with_wrong, .. } = row;
        let name = victim.domain();
        let _ = writeln!(
            text,
            "| {name} | {good_replies} | {failed_requests} | {wrong_replies} | {with_wrong} |"
        );
    }
    text.push_str("\nFaults with wrong replies, by kind:");
    for (harm, row) in tally.harms.iter().filter(|(_, row)| row.with_wrong > 0) {
        let _ =
            write!(text, "\n- {}: {} ({})", name(*harm), row.with_wrong, row.examples.join("; "));
    }
    if tally.all().with_wrong == 0 {
        text.push_str(" none.");
    }
    text.push('\n');
}

fn bystanders(text: &mut String, tally: &Tally) {
    text.push_str(
        "\n## Bystanders and the VMM\n\n\
         | bystander | correct replies | disturbed | events | delay p50, us | p99 | max |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for calm in &tally.bystanders {
        let [p50, p99, max] = calm.delays;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {p50} | {p99} | {max} |",
            calm.domain,
            calm.good,
            calm.disturbed,
            calm.events.len()
        );
        for example in calm.example.iter().chain(&calm.events) {
            let _ = writeln!(text, "| | {example} | | | | | |");
        }
    }
    text.push_str(
        "\n| the VMM's process | threads | files | mappings | resident, KiB |\n\
         |---|---:|---:|---:|---:|\n",
    );
    for (before, after) in &tally.resources {
        for (when, held) in [("before the first fault", before), ("after the last", after)] {
            let resident = held.resident >> 10;
            let _ = writeln!(
                text,
                "| {when} | {} | {} | {} | {resident} |",
                held.threads, held.files, held.mappings
            );
        }
    }
    text.push_str("\nThe journal keeps the last 10,000 events, which a campaign fills.\n");
}

fn name(harm: Harm) -> String {
    match harm {
        Harm::Text => "bit flip in the text",
        Harm::Data => "bit flip in data and bss",
        Harm::Stack => "bit flip in the stack",
        Harm::Heap => "bit flip in the heap",
        Harm::Register => "bit flip in a register",
        Harm::WildJump => "wild jump",
        Harm::Flags => "bit flip in the flags",
        Harm::Skip => "skipped instructions",
        Harm::Page => "page overwritten",
        Harm::Ring => "ring memory scribbled over",
        Harm::Control => "control page scribbled over",
        Harm::Loop => "endless loop",
        Harm::Fpu => "bit flip in the FPU",
    }
    .to_owned()
}

fn on(victim: Victim) -> String {
    format!("*all, {}*", victim.domain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::record::{Line, Outcome, Record};
    use std::path::PathBuf;

    fn report(wrong: u32, deaths: u32) -> String {
        let mut tally = Tally::default();
        tally.vmm_deaths = deaths;
        tally.add(Line::Fault(Record {
            number: 0,
            victim: Victim::Echo,
            harm: Harm::Loop,
            injected: None,
            outcome: Outcome::Ended("hang".into()),
            good: 1,
            failed: 1,
            wrong,
            example: (wrong > 0).then(|| "1 of 8 bytes differ".into()),
            noticed: Some(101_000),
            recovered: Some(77),
            lost: false,
        }));
        let order = Order { images: PathBuf::new(), faults: 1, seed: 9 };
        markdown(&tally, &order, "the command")
    }

    #[test]
    fn every_table_has_a_cell_for_each_column() {
        let mut columns = None;
        for line in report(1, 0).lines() {
            let cells = line.starts_with('|').then(|| line.matches('|').count());
            if let (Some(cells), Some(columns)) = (cells, columns) {
                assert_eq!(cells, columns, "{line}");
            }
            columns = cells;
        }
    }

    #[test]
    fn what_came_of_a_fault_is_told() {
        let text = report(0, 0);
        assert!(
            text.contains("| endless loop | 1 | 0 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |"),
            "{text}"
        );
        assert!(
            text.contains("| endless loop | 101000 | 101000 | 101000 | 77 | 77 | 77 |"),
            "{text}"
        );
        assert!(text.contains("All of it is."), "{text}");
        assert!(text.contains("by kind: none."), "{text}");
        assert!(report(2, 0).contains("- endless loop: 1 (1 of 8 bytes differ)"));
        assert!(report(0, 3).contains("**Failed:** deaths of the VMM: 3."));
    }
}
