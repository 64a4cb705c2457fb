//! Reading a `[domains.NAME]` table.

use std::str::FromStr;

use atoll_ipc::abi::ARGUMENTS_MAX;
use toml::Spanned;
use toml::de::DeValue;

use crate::journal::printable;

use super::error::Rule;
use super::memory::{MemorySize, MemorySizeError};
use super::name::{DomainName, NameError};
use super::nearest::nearest;
use super::source::Span;
use super::state::state;
use super::table::{Found, Integer, Problems, Table, as_integer, wrong_type};
use super::types::{CpuSet, Domain, DomainSpans, ImageRef, Restart, Vcpus};
use super::wait::wait;

/// All keys of `[domains.NAME]`; those after `cpus` are read with supervision.
pub(super) const KEYS: [&str; 20] = [
    "image",
    "memory",
    "state",
    "state-on-crash-loop",
    "vcpus",
    "arguments",
    "restart",
    "wait",
    "cpus",
    "group",
    "after",
    "restart-from",
    "backoff-first",
    "backoff-cap",
    "backoff-free",
    "start-deadline",
    "stop-deadline",
    "watchdog",
    "bailout",
    "ports",
];

/// Text as a name of whichever kind is asked for.
pub(super) fn name<N: FromStr<Err = NameError>>(
    key: &str,
    text: &Found<&str>,
    problems: &mut Problems,
) -> Option<N> {
    text.value
        .parse()
        .map_err(|error| problems.at(&text.span, Rule::Name { key: key.to_owned(), error }))
        .ok()
}

/// `None` only if a problem was noted.
pub(super) fn domain<'a>(
    name: DomainName,
    value: &'a Spanned<DeValue<'a>>,
    problems: &mut Problems,
) -> Option<Domain> {
    let Some(entries) = value.get_ref().as_table() else {
        wrong_type(&format!("domains.{name}"), value, "a table", problems);
        return None;
    };
    let title = format!("`[domains.{name}]`");
    let table = Table::open((entries, value.span()), &title, &KEYS, problems);
    let image = table.required("image", &format!("image = \"{name}\""), problems);
    let image = image.and_then(|text| Some((image_ref(&text, problems)?, text.span)));
    let memory = memory(&table, problems);
    let state = state(&table, problems);
    let vcpus = vcpus(&table, problems);
    let arguments = arguments(&table, problems);
    let unknown = |value, nearest| Rule::Restart { value, nearest };
    let restart = word(&table, "restart", &Restart::WORDS, problems, unknown);
    let wait = wait(&table, problems);
    let cpus = cpus(&table, problems);
    let (image, image_span) = image?;
    let spans = DomainSpans {
        image: image_span,
        memory: memory.as_ref().map(|found| found.span.clone()),
        vcpus: vcpus.as_ref().map(|found| found.span.clone()),
    };
    Some(Domain {
        image,
        memory: memory.map(|found| found.value),
        state,
        vcpus: vcpus.map_or(Vcpus::ONE, |found| found.value),
        arguments,
        restart,
        wait,
        cpus,
        spans,
    })
}

fn image_ref(text: &Found<&str>, problems: &mut Problems) -> Option<ImageRef> {
    let image = text.value;
    let file = image.contains('/') || image.ends_with(".img");
    if file && !image.ends_with('/') && !image.contains('\0') {
        let directory = problems.source.file().parent().unwrap_or("".as_ref());
        return Some(ImageRef::File(directory.join(image)));
    }
    if !file && image.parse::<DomainName>().is_ok() {
        return Some(ImageRef::Named(image.to_owned()));
    }
    problems.at(&text.span, Rule::Image { image: printable(image) });
    None
}

fn memory(table: &Table<'_>, problems: &mut Problems) -> Option<Found<MemorySize>> {
    let value = table.get("memory")?;
    let span = value.span();
    let size = if let Some(text) = value.get_ref().as_str() {
        text.parse()
    } else if let Some(integer) = as_integer(value) {
        let Integer { written, value } = integer.value;
        value.ok_or(MemorySizeError::Range(written)).and_then(MemorySize::from_bytes)
    } else {
        wrong_type("memory", value, "a string such as `256 MiB`, or bytes as an integer", problems);
        return None;
    };
    size.map_err(|error| problems.at(&span, error.into()))
        .ok()
        .map(|size| Found { value: size, span })
}

fn vcpus(table: &Table<'_>, problems: &mut Problems) -> Option<Found<Vcpus>> {
    let Found { value, span } = table.integer("vcpus", problems)?;
    match value.small().and_then(Vcpus::new) {
        Some(vcpus) => Some(Found { value: vcpus, span }),
        None => {
            problems.at(&span, Rule::Vcpus { value: value.written });
            None
        }
    }
}

fn arguments(table: &Table<'_>, problems: &mut Problems) -> Vec<String> {
    let array = table.array("arguments", "an array of strings", problems);
    let Some(array) = array else { return Vec::new() };
    let mut arguments = Vec::new();
    for (index, value) in array.value.iter().enumerate() {
        match value.get_ref().as_str() {
            Some(text) if text.contains('\0') => {
                problems.at(&value.span(), Rule::Argument { index });
            }
            Some(text) => arguments.push(text.to_owned()),
            None => wrong_type(&format!("arguments[{index}]"), value, "a string", problems),
        }
    }
    let bytes = arguments.iter().map(|argument: &String| argument.len() + 1).sum();
    if bytes > ARGUMENTS_MAX {
        problems.at(&array.span, Rule::Arguments { bytes, max: ARGUMENTS_MAX });
    }
    arguments
}

/// What one of a few words stands for; the default when the key is absent.
pub(super) fn word<T: Copy + Default>(
    table: &Table<'_>,
    key: &str,
    words: &[(&'static str, T)],
    problems: &mut Problems,
    unknown: impl FnOnce(String, Option<String>) -> Rule,
) -> T {
    let text = table.text(key, problems);
    text.map_or_else(T::default, |text| meaning(&text, words, problems, unknown))
}

/// What a text stands for that is to be one of a few words.
pub(super) fn meaning<T: Copy + Default>(
    text: &Found<&str>,
    words: &[(&'static str, T)],
    problems: &mut Problems,
    unknown: impl FnOnce(String, Option<String>) -> Rule,
) -> T {
    let known = words.iter().find(|(word, _)| *word == text.value);
    if known.is_none() {
        let nearest = nearest(text.value, words.iter().map(|(word, _)| *word));
        let rule = unknown(printable(text.value), nearest.map(str::to_owned));
        problems.at(&text.span, rule);
    }
    known.map(|(_, meaning)| *meaning).unwrap_or_default()
}

fn cpus(table: &Table<'_>, problems: &mut Problems) -> Option<CpuSet> {
    let array = table.array("cpus", "an array of CPU numbers", problems)?;
    if array.value.is_empty() {
        problems.at(&array.span, Rule::NoCpus);
    }
    let mut cpus = Vec::new();
    for (index, value) in array.value.iter().enumerate() {
        let Some(integer) = as_integer(value) else {
            wrong_type(&format!("cpus[{index}]"), value, "a CPU number", problems);
            continue;
        };
        let Found { value: integer, span } = integer;
        match integer.small().filter(|cpu| *cpu < CpuSet::LIMIT) {
            Some(cpu) => once(&mut cpus, cpu, &span, problems),
            None => problems.at(&span, Rule::Cpu { value: integer.written }),
        }
    }
    Some(CpuSet(cpus))
}

fn once(cpus: &mut Vec<u32>, cpu: u32, span: &Span, problems: &mut Problems) {
    if cpus.contains(&cpu) {
        problems.at(span, Rule::CpuTwice { cpu });
    } else {
        cpus.push(cpu);
    }
}
