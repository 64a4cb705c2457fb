//! `logs` and `events`: records as they come, until there are no more or nobody reads.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::journal::{Event, Journal, LogLine, printable};

use super::args::{EventsArgs, LogsArgs, Target};
use super::error::CliError;
use super::human::time;
use super::style;
use super::target::converse;

pub(super) fn logs(args: &LogsArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let EventsArgs { follow, since, target } = &args.which;
    let mut query = format!("/v1/logs?follow={follow}&since={since}");
    if let Some(domain) = &args.domain {
        query.push_str(&format!("&domain={domain}"));
    }
    let mut printer = LinePrinter::new(*since == 0);
    each(target, &query, json, out, |line, out| printer.print(line, out))
}

pub(super) fn events(args: &EventsArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let query = format!("/v1/events?follow={}&since={}", args.follow, args.since);
    each(&args.target, &query, json, out, print_event)
}

/// Prints every record of a stream, the way it is or the way `human` does.
fn each<T: DeserializeOwned + Serialize>(
    target: &Target,
    query: &str,
    json: bool,
    out: &mut dyn Write,
    mut human: impl FnMut(&T, &mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let client = target.client()?;
    let ended = converse(client.stream(query, |record: T| {
        let written = if json { print_json(&record, out) } else { human(&record, out) };
        match written.and_then(|()| out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }))?;
    ended.map_or(Ok(()), |error| Err(error.into()))
}

fn print_json(record: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string(record)?)
}

pub(super) fn print_event(event: &Event, out: &mut dyn Write) -> io::Result<()> {
    let (dim, domain) = (style::DIM, event.domain.as_deref().unwrap_or("-"));
    let what = printable(&event.kind.to_string());
    writeln!(out, "{dim}{}{dim:#} {domain} {what}", time(event.time))
}

/// Prints a journal to standard output as it grows: what `run` shows.
#[derive(Debug)]
pub(crate) struct Printer {
    json: bool,
    lines: LinePrinter,
    last_line: u64,
    last_event: u64,
}

impl Printer {
    /// Begins with the first record.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, lines: LinePrinter::new(true), last_line: 0, last_event: 0 }
    }

    /// Prints up to `most` new records of each kind, in the order of time. Returns whether there
    /// were any. Nobody may be left to read them; that is no failure.
    pub(crate) fn print(&mut self, journal: &Journal, most: usize) -> bool {
        let lines = journal.lines_since(self.last_line, None, most);
        let events = journal.events_since(self.last_event, most);
        self.last_line = lines.last().map_or(self.last_line, |line| line.seq);
        self.last_event = events.last().map_or(self.last_event, |event| event.seq);
        let out = &mut anstream::stdout().lock();
        let _ = self.merge(&lines, &events, out).and_then(|()| out.flush());
        !(lines.is_empty() && events.is_empty())
    }

    fn merge(
        &mut self,
        lines: &[Arc<LogLine>],
        events: &[Arc<Event>],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut lines = lines.iter().peekable();
        for event in events {
            while let Some(line) = lines.next_if(|line| line.time < event.time) {
                self.line(line, out)?;
            }
            if self.json { print_json(&**event, out)? } else { print_event(event, out)? }
        }
        lines.try_for_each(|line| self.line(line, out))
    }

    fn line(&mut self, line: &LogLine, out: &mut dyn Write) -> io::Result<()> {
        if self.json { print_json(line, out) } else { self.lines.print(line, out) }
    }
}

/// Prints log lines, and says where some are missing.
#[derive(Debug)]
pub(super) struct LinePrinter {
    from_first: bool,
    last: HashMap<String, u64>,
}

impl LinePrinter {
    /// `from_first` says that every domain's lines are expected from number 1.
    pub(super) fn new(from_first: bool) -> Self {
        Self { from_first, last: HashMap::new() }
    }

    pub(super) fn print(&mut self, line: &LogLine, out: &mut dyn Write) -> io::Result<()> {
        let missing = self.missing(line);
        let (dim, domain) = (style::DIM, &line.domain);
        if missing > 0 {
            writeln!(out, "{dim}({missing} older lines of {domain} were dropped){dim:#}")?;
        }
        let (look, level) = (style::of_level(line.level), line.level.as_str());
        let (time, text) = (time(line.time), printable(&line.text));
        writeln!(out, "{dim}{time}{dim:#} {domain}/{} {look}{level:<5}{look:#} {text}", line.epoch)
    }

    fn missing(&mut self, line: &LogLine) -> u64 {
        let before = self.last.insert(line.domain.clone(), line.number);
        let before =
            before.or(self.from_first.then_some(0)).unwrap_or(line.number.saturating_sub(1));
        line.number.saturating_sub(before.saturating_add(1))
    }
}
