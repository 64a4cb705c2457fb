//! Cases and figures in words, for tables, plots and messages.

use super::wire::{Case, Cpus, Suite, Wait};

/// What a suite measures.
pub fn suite(suite: Suite) -> &'static str {
    match suite {
        Suite::RoundTrip => "round trip",
        Suite::OneWay => "one way, copied in and out",
        Suite::Lent => "one way, buffers lent",
        Suite::Calls => "requests and replies",
        Suite::Chain => "call through a chain of three domains",
    }
}

/// How two sides wait.
pub fn wait(wait: Wait) -> &'static str {
    match wait {
        Wait::Polling => "polling",
        Wait::Adaptive => "adaptive",
        Wait::Blocking => "blocking",
    }
}

/// Where they run.
pub fn cpus(cpus: Cpus) -> &'static str {
    match cpus {
        Cpus::One => "one",
        Cpus::Two => "two",
    }
}

/// What is told of a case besides its subject, its size and how it waits; often nothing.
pub fn extras(case: &Case) -> String {
    let several = [
        (case.clients, format!("{} clients", case.clients)),
        (case.depth, format!("depth {}", case.depth)),
        (case.batch, format!("batch {}", case.batch)),
    ];
    let told: Vec<_> =
        several.into_iter().filter(|(count, _)| *count != 1).map(|(_, text)| text).collect();
    told.join(", ")
}

/// All that is told of a case besides its subject.
pub fn form(case: &Case) -> String {
    let extras = extras(case);
    let comma = if extras.is_empty() { "" } else { ", " };
    let (what, wait) = (suite(case.suite), wait(case.wait));
    let cpus = match case.cpus {
        Cpus::One => "one CPU",
        Cpus::Two => "two CPUs",
    };
    format!("{what}, {}, {wait}, {cpus}{comma}{extras}", size(case.size))
}

/// `8 B`, `4 KiB`, `1 MiB`; sizes that are no whole number of these are told in bytes.
pub fn size(bytes: usize) -> String {
    match bytes {
        0 => "0 B".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// `223 ns`, `8.58 us`, `46.0 us`, `1.25 ms`: three digits and the unit.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 999.5 => format!("{n:.0} ns"),
        n if n < 999.5e3 => format!("{} us", three_digits(n / 1e3)),
        n if n < 999.5e6 => format!("{} ms", three_digits(n / 1e6)),
        n => format!("{} s", three_digits(n / 1e9)),
    }
}

/// `67.5 M`, `412 k`, `83`: how many in a second.
pub fn rate(messages: f64) -> String {
    match messages {
        m if m >= 999.5e6 => format!("{} G", three_digits(m / 1e9)),
        m if m >= 999.5e3 => format!("{} M", three_digits(m / 1e6)),
        m if m >= 999.5 => format!("{} k", three_digits(m / 1e3)),
        m => three_digits(m),
    }
}

/// Three digits of a value below a thousand, as far as there are any that matter.
pub fn three_digits(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::case;

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_fits() {
        let told = [0, 8, 1000, 1024, 1536, 65536, 1 << 20].map(size);
        assert_eq!(told, ["0 B", "8 B", "1000 B", "1 KiB", "1536 B", "64 KiB", "1 MiB"]);
    }

    #[test]
    fn figures_have_three_digits_across_the_borders_of_units() {
        let times = [223.4, 999.4, 999.6, 8_580.0, 46_000.0, 999_600.0, 1.25e6, 2e9].map(time);
        let expected =
            ["223 ns", "999 ns", "1.00 us", "8.58 us", "46.0 us", "1.00 ms", "1.25 ms", "2.00 s"];
        assert_eq!(times, expected);
        let rates = [83.0, 999.6, 412_000.0, 67.5e6, 1.5e9].map(rate);
        assert_eq!(rates, ["83.0", "1.00 k", "412 k", "67.5 M", "1.50 G"]);
    }

    #[test]
    fn a_case_is_told_by_what_sets_it_apart() {
        let plain = case(Suite::OneWay, "pipe", 4096);
        assert_eq!(form(&plain), "one way, copied in and out, 4 KiB, polling, two CPUs");
        let rich = Case { clients: 4, depth: 16, batch: 32, cpus: Cpus::One, ..plain };
        assert!(form(&rich).ends_with("one CPU, 4 clients, depth 16, batch 32"), "{}", form(&rich));
    }
}
