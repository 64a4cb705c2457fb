//! `faults`: the last faults of one domain, and what followed each.

use std::io::{self, Write};

use crate::control::api::FaultReport;
use crate::journal::printable;

use super::args::DomainArgs;
use super::error::CliError;
use super::human::{duration, time};
use super::inspect::headline;
use super::style;
use super::target::converse;

pub(super) fn faults(args: &DomainArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let client = args.target.client()?;
    let target = format!("/v1/domains/{}/faults", args.domain);
    if json {
        let reports: serde_json::Value = converse(client.get(&target))?;
        writeln!(out, "{reports:#}")?;
        return Ok(());
    }
    let reports: Vec<FaultReport> = converse(client.get(&target))?;
    if reports.is_empty() {
        writeln!(out, "{} has had no fault", args.domain)?;
    }
    Ok(reports.iter().try_for_each(|report| print(report, out))?)
}

/// A fault in a few lines; `inspect` and JSON have the rest.
fn print(fault: &FaultReport, out: &mut dyn Write) -> io::Result<()> {
    let (head, red) = (style::HEAD, style::ERROR);
    let (at, ran) = (time(fault.time), duration(fault.uptime_micros));
    writeln!(out, "{head}epoch {}{head:#}  {at}, vCPU {}, after {ran}", fault.epoch, fault.vcpu)?;
    writeln!(out, "  {red}{}{red:#}", headline(fault))?;
    if let Some(message) = &fault.message {
        writeln!(out, "  message: {}", printable(message))?;
    }
    match fault.backtrace.first() {
        Some(frame) => writeln!(out, "  at {}", printable(&frame.to_string()))?,
        None => writeln!(out, "  at {}", fault.rip)?,
    }
    if let Some(decision) = &fault.decision {
        writeln!(out, "  {}", printable(&decision.to_string()))?;
    }
    fault.restart.map_or(Ok(()), |restart| writeln!(out, "  {restart}"))
}
