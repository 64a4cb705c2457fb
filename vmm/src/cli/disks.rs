//! Disks, as `inspect` shows them.

use std::io::{self, Write};

use crate::control::api::DiskReport;
use crate::journal::printable;

use super::human::{duration, size};
use super::style;
use super::table::{Align, Table, cell};

const COLUMNS: [(&str, Align); 10] = [
    ("DISK", Align::Left),
    ("SIZE", Align::Right),
    ("FILE", Align::Right),
    ("READS", Align::Right),
    ("WRITES", Align::Right),
    ("WRITTEN", Align::Right),
    ("SYNCS", Align::Right),
    ("BATCH", Align::Right),
    ("MOST", Align::Right),
    ("FAILED", Align::Right),
];

pub(super) fn print(disks: &[DiskReport], out: &mut dyn Write) -> io::Result<()> {
    if disks.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&COLUMNS);
    for disk in disks {
        table.row(vec![
            cell(&disk.name),
            cell(size(disk.size_bytes)),
            cell(size(disk.file_bytes)),
            cell(disk.reads),
            cell(disk.writes),
            cell(size(disk.written_bytes)),
            cell(disk.syncs),
            cell(batch(disk)),
            cell(disk.largest_batch),
            cell(disk.failed + disk.full),
        ]);
    }
    table.print("", out)?;
    disks.iter().try_for_each(|disk| more(disk, out))
}

/// How many requests shared a sync, on average.
fn batch(disk: &DiskReport) -> String {
    if disk.syncs == 0 {
        "-".to_owned()
    } else {
        format!("{:.1}", disk.synced as f64 / disk.syncs as f64)
    }
}

fn more(disk: &DiskReport, out: &mut dyn Write) -> io::Result<()> {
    let (head, red) = (style::HEAD, style::ERROR);
    let way = if disk.direct { "direct" } else { "fdatasync" };
    let only = if disk.read_only { ", read-only" } else { "" };
    let file = printable(&disk.file);
    writeln!(
        out,
        "{head}{}{head:#}: {file}, {} on the host, channel {}, {way}{only}",
        disk.name,
        size(disk.host_bytes),
        disk.channel
    )?;
    if disk.failing {
        writeln!(
            out,
            "  {red}the host failed to make something durable{red:#}: nothing is called durable \
             any more before the system is started again"
        )?;
    }
    if disk.full > 0 {
        writeln!(out, "  {red}the host had no room{red:#} for {} of its requests", disk.full)?;
    }
    if let Some(times) = &disk.durable_writes {
        writeln!(
            out,
            "  durable writes: p50 {}, p90 {}, p99 {}, max {}",
            duration(times.p50_micros),
            duration(times.p90_micros),
            duration(times.p99_micros),
            duration(times.max_micros)
        )?;
    }
    let note = disk.note.as_deref().unwrap_or_default();
    note.lines().try_for_each(|line| writeln!(out, "  {}", printable(line)))
}
