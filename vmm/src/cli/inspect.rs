//! `inspect`: everything about one domain.

use std::io::{self, Write};

use crate::control::api::{DomainReport, FaultReport, Frame, Restored, StateReport};
use crate::journal::printable;

use super::args::DomainArgs;
use super::disks;
use super::error::CliError;
use super::human::{counted, duration, size, time};
use super::style;
use super::table::{Align, Table, cell};
use super::target::converse;

const CHANNELS: [(&str, Align); 9] = [
    ("CHANNEL", Align::Left),
    ("ROLE", Align::Left),
    ("PEER", Align::Left),
    ("PORT", Align::Left),
    ("REQUESTS", Align::Right),
    ("REPLIES", Align::Right),
    ("UNREAD", Align::Right),
    ("IN SERVICE", Align::Right),
    ("DOORBELLS", Align::Right),
];

const GATEWAYS: [(&str, Align); 9] = [
    ("GATEWAY", Align::Left),
    ("PORT", Align::Left),
    ("OPEN", Align::Right),
    ("ACCEPTED", Align::Right),
    ("REFUSED", Align::Right),
    ("ABORTED", Align::Right),
    ("REQUESTS", Align::Right),
    ("IN", Align::Right),
    ("OUT", Align::Right),
];

/// Registers in a line of the block, and how wide the names of each column are.
const COLUMNS: [usize; 3] = [3, 3, 6];

pub(super) fn inspect(args: &DomainArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let client = args.target.client()?;
    let target = format!("/v1/domains/{}", args.domain);
    if json {
        let report: serde_json::Value = converse(client.get(&target))?;
        writeln!(out, "{report:#}")?;
    } else {
        let report: DomainReport = converse(client.get(&target))?;
        print(&report, out)?;
    }
    Ok(())
}

pub(super) fn print(report: &DomainReport, out: &mut dyn Write) -> io::Result<()> {
    facts(report, out)?;
    exits(report, out)?;
    channels(report, out)?;
    gateways(report, out)?;
    disks::print(&report.disks, out)?;
    match &report.last_fault {
        Some(fault) => last_fault(fault, out),
        None => Ok(()),
    }
}

fn fact(name: &str, value: impl std::fmt::Display, out: &mut dyn Write) -> io::Result<()> {
    let head = style::HEAD;
    writeln!(out, "{head}{name:<8}{head:#}  {value}")
}

fn facts(report: &DomainReport, out: &mut dyn Write) -> io::Result<()> {
    let status = &report.status;
    let look = style::of_state(status.state);
    let (memory, resident) = (size(status.memory_bytes), size(status.resident_bytes));
    fact("domain", format_args!("{} (id {})", status.name, status.id), out)?;
    fact("state", format_args!("{look}{}{look:#}, epoch {}", status.state, status.epoch), out)?;
    fact("uptime", duration(status.uptime_micros), out)?;
    fact(
        "restarts",
        format_args!("{}, after {}", status.restarts, counted(status.faults, "fault")),
        out,
    )?;
    if let Some(Restored { file, epoch, taken }) = &status.restored {
        let (file, taken) = (printable(file), time(*taken));
        fact("restored", format_args!("from {file}, epoch {epoch} there, taken {taken}"), out)?;
    }
    fact("image", format_args!("{} {}", status.image, report.image_hash), out)?;
    fact("memory", format_args!("{resident} resident of {memory}"), out)?;
    if let Some(StateReport { bytes, populated_bytes }) = report.state_region {
        fact("keeps", format_args!("{} in use of {}", size(populated_bytes), size(bytes)), out)?;
    }
    let vcpus = counted(status.vcpus.into(), "vCPU");
    fact("cpu", format_args!("{} on {vcpus}", duration(status.cpu_micros)), out)
}

fn exits(report: &DomainReport, out: &mut dyn Write) -> io::Result<()> {
    if report.exits.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&[("EXIT", Align::Left), ("COUNT", Align::Right)]);
    for (reason, count) in &report.exits {
        table.row(vec![cell(reason), cell(count)]);
    }
    table.print("", out)
}

fn channels(report: &DomainReport, out: &mut dyn Write) -> io::Result<()> {
    if report.channels.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&CHANNELS);
    for channel in &report.channels {
        table.row(vec![
            cell(&channel.name),
            cell(channel.role.as_str()),
            cell(&channel.peer),
            cell(&channel.port),
            cell(channel.requests),
            cell(channel.replies),
            cell(size(channel.unread_bytes)),
            cell(size(channel.in_service_bytes)),
            cell(channel.doorbells),
        ]);
    }
    table.print("", out)
}

fn gateways(report: &DomainReport, out: &mut dyn Write) -> io::Result<()> {
    if report.gateways.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&GATEWAYS);
    for gateway in &report.gateways {
        table.row(vec![
            cell(&gateway.listen),
            cell(&gateway.port),
            cell(gateway.connections),
            cell(gateway.accepted),
            cell(gateway.refused),
            cell(gateway.aborted),
            cell(gateway.requests),
            cell(size(gateway.bytes_in)),
            cell(size(gateway.bytes_out)),
        ]);
    }
    table.print("", out)
}

fn last_fault(fault: &FaultReport, out: &mut dyn Write) -> io::Result<()> {
    let (head, red) = (style::HEAD, style::ERROR);
    writeln!(out, "\n{head}last fault{head:#} {red}{}{red:#}", headline(fault))?;
    writeln!(
        out,
        "  {}, epoch {}, vCPU {}, after {}, {} before",
        time(fault.time),
        fault.epoch,
        fault.vcpu,
        duration(fault.uptime_micros),
        counted(fault.restart_count, "restart")
    )?;
    if let Some(message) = &fault.message {
        writeln!(out, "  message: {}", printable(message))?;
    }
    if let Some(cr2) = fault.cr2 {
        writeln!(out, "  address {cr2}, instruction {}", fault.rip)?;
    } else {
        writeln!(out, "  instruction {}", fault.rip)?;
    }
    if let Some(restart) = fault.restart {
        writeln!(out, "  {restart}")?;
    }
    registers(fault, out)?;
    backtrace(&fault.backtrace, out)
}

/// `page fault (vector 14, error 0x6): write to a page that is not mapped`.
pub(super) fn headline(fault: &FaultReport) -> String {
    let mut text = match &fault.vector_name {
        Some(name) => printable(name),
        None => fault.kind.to_string(),
    };
    match (fault.vector, fault.error_code) {
        (Some(vector), Some(error)) => {
            text.push_str(&format!(" (vector {vector}, error {:#x})", error.0));
        }
        (Some(vector), None) => text.push_str(&format!(" (vector {vector})")),
        (None, _) => {}
    }
    if let Some(explanation) = &fault.explanation {
        text.push_str(": ");
        text.push_str(&printable(explanation));
    }
    text
}

fn registers(fault: &FaultReport, out: &mut dyn Write) -> io::Result<()> {
    for line in fault.registers.named().chunks(COLUMNS.len()) {
        for ((name, value), width) in line.iter().zip(COLUMNS) {
            write!(out, "  {name:>width$} {value}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn backtrace(frames: &[Frame], out: &mut dyn Write) -> io::Result<()> {
    for (number, frame) in frames.iter().enumerate() {
        writeln!(out, "  #{number:<2} {}", printable(&frame.to_string()))?;
    }
    Ok(())
}
