//! `bench`: measures, prints what came of it, and draws it.

mod boot;
mod kv;
mod lives;
mod recovery;
mod restart;
mod storm;
mod text;

use std::io::Write;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::bench::atoll::Atoll;
use crate::bench::engine::{self, Plan};
use crate::bench::peers::Peers;
use crate::bench::plot;
use crate::bench::progress::Progress;
use crate::bench::selection::Selection;
use crate::bench::subject::Subject;
use crate::exit_code::ExitCode;

use super::args::{BenchArgs, Benchmark, IpcArgs};
use super::error::CliError;

/// Rounds that are measured unless asked otherwise: enough for the lowest one to be undisturbed.
const ROUNDS: u32 = 10;
/// How long a round of one case is, in milliseconds.
const MILLIS: u32 = 100;
/// Rounds of a quick run.
const QUICK_ROUNDS: u32 = 3;

pub(super) fn bench(
    args: &BenchArgs,
    json: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, CliError> {
    match &args.what {
        Benchmark::Ipc(args) => ipc(args, json, out),
        Benchmark::Restart(args) => restart::restart(args, json, out),
        Benchmark::Boot(args) => boot::boot(args, json, out),
        Benchmark::Storm(args) => storm::storm(args, json, out),
        Benchmark::Kv(args) => kv::kv(args, json, out),
        Benchmark::Recovery(args) => recovery::recovery(args, json, out),
    }
}

fn ipc(args: &IpcArgs, json: bool, out: &mut dyn Write) -> Result<ExitCode, CliError> {
    // What would fail after the run should fail before it.
    if let Some(directory) = &args.plot {
        plot::prepare(directory)?;
    }
    let mut subjects = subjects(args)?;
    let progress = Progress::new();
    let report = engine::run(&mut subjects, &plan(args), &mut |step| progress.show(step))?;
    drop(progress);
    let files = match &args.plot {
        Some(directory) => plot::write(&report, directory)?,
        None => Vec::new(),
    };
    if json {
        writeln!(out, "{}", serde_json::to_string(&report).map_err(std::io::Error::from)?)?;
    } else {
        text::print(&report, &files, out)?;
    }
    let failed = args.strict && !report.is_flawless();
    Ok(if failed { ExitCode::Runtime } else { ExitCode::Success })
}

fn subjects(args: &IpcArgs) -> Result<Vec<Box<dyn Subject>>, CliError> {
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    if let Some(images) = &args.images {
        subjects.push(Box::new(Atoll::new(images.clone(), args.milliseconds.unwrap_or(MILLIS))));
    }
    if let Some(program) = &args.peers {
        subjects.push(Box::new(Peers::of(program, args.milliseconds)?));
    }
    Ok(subjects)
}

fn plan(args: &IpcArgs) -> Plan {
    let usual = if args.quick { QUICK_ROUNDS } else { ROUNDS };
    Plan {
        rounds: args.rounds.unwrap_or(usual),
        placement: args.placement,
        selection: Selection {
            suites: args.suites.clone(),
            subjects: args.subjects.clone(),
            sizes: args.sizes.clone(),
            waits: args.waits.clone(),
            quick: args.quick,
        },
    }
}

/// Reads one of some names as the value that has it in reports.
pub(super) fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T> + use<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| {
        let name: StrDeserializer<'_, NameError> = name.as_str().into_deserializer();
        T::deserialize(name)
    })
}

/// Reads a message size: `64`, `4Ki`, `1Mi`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match (text.strip_suffix("Ki"), text.strip_suffix("Mi")) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (text, 1),
    };
    let count = digits.parse().ok().and_then(|count: usize| count.checked_mul(unit));
    count.ok_or_else(|| "it is a number of bytes, with Ki or Mi: 64, 4Ki, 1Mi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::script;
    use crate::bench::wire::{Suite, Wait};
    use crate::cli::args::{Args, Command, PLACEMENTS, SUITES, WAITS};
    use clap::Parser;

    fn parsed(arguments: &[&str]) -> IpcArgs {
        let all = ["vmm", "bench", "ipc"].iter().chain(arguments);
        match Args::try_parse_from(all).unwrap().command {
            Command::Bench(BenchArgs { what: Benchmark::Ipc(args) }) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(
            ["0", "64", "4Ki", "1Mi"].map(|text| size(text).unwrap()),
            [0, 64, 4096, 1 << 20]
        );
        for bad in ["", "Ki", "-1", "1k", "1 Ki", "99999999999999999999", "99999999999999999Mi"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_are_lists_of_the_names_in_reports() {
        let args = parsed(&[
            "--suite",
            "one-way,lent",
            "--suite",
            "chain",
            "--subject",
            "atoll raw,pipe",
            "--size",
            "8,4Ki",
            "--wait",
            "blocking",
        ]);
        let Plan { selection, rounds, placement } = plan(&args);
        assert_eq!(selection.suites, [Suite::OneWay, Suite::Lent, Suite::Chain]);
        assert_eq!(selection.subjects, ["atoll raw", "pipe"]);
        assert_eq!((selection.sizes, selection.waits), (vec![8, 4096], vec![Wait::Blocking]));
        assert_eq!((rounds, selection.quick, placement), (ROUNDS, false, None));
    }

    #[test]
    fn every_name_that_help_shows_is_one() {
        for name in SUITES {
            assert_eq!(parsed(&["--suite", name]).suites.len(), 1);
        }
        for name in WAITS {
            assert_eq!(parsed(&["--wait", name]).waits.len(), 1);
        }
        for name in PLACEMENTS {
            let placement = plan(&parsed(&["--placement", name])).placement;
            assert_eq!(placement.map(|class| class.to_string()).as_deref(), Some(*name));
        }
    }

    #[test]
    fn a_quick_run_has_fewer_rounds_unless_they_are_named() {
        assert_eq!(plan(&parsed(&["--quick"])).rounds, QUICK_ROUNDS);
        assert_eq!(plan(&parsed(&["--quick", "--rounds", "5"])).rounds, 5);
    }

    fn benched(run: &str, arguments: &[&str]) -> (ExitCode, String) {
        let (_dir, path) = script(run);
        let peers = ["--peers", path.to_str().unwrap(), "--rounds", "2"];
        let args = parsed(&[&peers[..], arguments].concat());
        let mut out = Vec::new();
        let code = ipc(&args, true, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_run_prints_one_object_and_fails_only_if_it_is_to_be_strict() {
        let works = "while read line; do echo '{\"rate\": 2.5}'; done";
        let (code, text) = benched(works, &["--strict"]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(code, ExitCode::Success);
        assert_eq!(value["cases"][0]["figures"]["rates"]["messages"]["highest"], 2.5);
        let fails = "while read line; do echo '{\"failed\": \"no pipe\"}'; done";
        assert_eq!(benched(fails, &[]).0, ExitCode::Success);
        let (code, text) = benched(fails, &["--strict"]);
        assert_eq!(code, ExitCode::Runtime);
        assert!(text.contains(r#""failures":["no pipe","no pipe"]"#), "{text}");
    }

    #[test]
    fn what_was_measured_is_drawn() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("plots");
        let works = "while read line; do echo '{\"rate\": 2.5}'; done";
        benched(works, &["--plot", place.to_str().unwrap()]);
        for file in ["one-way-messages.svg", "one-way-messages.png", "one-way-payload.svg"] {
            assert!(place.join(file).metadata().unwrap().len() > 1_000, "{file}");
        }
    }

    #[test]
    fn each_failure_has_its_code() {
        let code = |arguments: &[&str]| {
            let mut args = parsed(arguments);
            // The environment may name one.
            args.peers = args.peers.filter(|_| arguments.contains(&"--peers"));
            let args = BenchArgs { what: Benchmark::Ipc(args) };
            bench(&args, false, &mut Vec::new()).unwrap_err().exit_code()
        };
        assert_eq!(code(&[]), ExitCode::Usage);
        assert_eq!(code(&["--peers", "/nowhere"]), ExitCode::Host);
        assert_eq!(code(&["--peers", "/bin/false"]), ExitCode::Runtime);
        assert_eq!(code(&["--plot", "/dev/null/plots"]), ExitCode::Host);
        let (_dir, path) = script("exit");
        let peers = path.to_str().unwrap();
        assert_eq!(code(&["--peers", peers, "--subject", "pigeon"]), ExitCode::Usage);
    }
}
