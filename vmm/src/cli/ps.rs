//! `ps`: the system in a line, and a line for each domain.

use std::io::{self, Write};

use crate::control::api::{DomainStatus, SystemStatus};

use crate::journal::printable;

use super::args::Target;
use super::error::CliError;
use super::human::{duration, size};
use super::style;
use super::table::{Align, Cell, Table, cell, styled};
use super::target::converse;

const HEAD: [(&str, Align); 11] = [
    ("DOMAIN", Align::Left),
    ("STATE", Align::Left),
    ("EPOCH", Align::Right),
    ("RESTARTS", Align::Right),
    ("FAULTS", Align::Right),
    ("VCPUS", Align::Right),
    ("MEMORY", Align::Right),
    ("RESIDENT", Align::Right),
    ("CPU", Align::Right),
    ("UPTIME", Align::Right),
    ("IMAGE", Align::Left),
];

pub(super) fn ps(target: &Target, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let client = target.client()?;
    if json {
        let status: serde_json::Value = converse(client.get("/v1/system"))?;
        writeln!(out, "{status:#}")?;
    } else {
        let status: SystemStatus = converse(client.get("/v1/system"))?;
        print(&status, out)?;
    }
    Ok(())
}

pub(super) fn print(status: &SystemStatus, out: &mut dyn Write) -> io::Result<()> {
    let head = style::HEAD;
    writeln!(
        out,
        "{head}{}{head:#}: pid {}, up {}, {}, version {}",
        status.name,
        status.pid,
        duration(status.uptime_micros),
        status.host,
        status.version
    )?;
    if let Some(file) = &status.restored_from {
        writeln!(out, "restored from {}", printable(file))?;
    }
    let mut table = Table::new(&HEAD);
    for domain in &status.domains {
        table.row(row(domain));
    }
    table.print("", out)
}

fn row(domain: &DomainStatus) -> Vec<Cell> {
    let faults = if domain.faults > 0 { style::WARN } else { style::PLAIN };
    vec![
        cell(&domain.name),
        styled(domain.state, style::of_state(domain.state)),
        cell(domain.epoch),
        cell(domain.restarts),
        styled(domain.faults, faults),
        cell(domain.vcpus),
        cell(size(domain.memory_bytes)),
        cell(size(domain.resident_bytes)),
        cell(duration(domain.cpu_micros)),
        cell(duration(domain.uptime_micros)),
        cell(&domain.image),
    ]
}
