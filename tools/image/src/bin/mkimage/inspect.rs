//! `mkimage inspect`: shows what is in an image, for people and for scripts.

use crate::{Failure, args, size};
use anyhow::Context;
use atoll_image::{FORMAT_VERSION, Image, OpenError};
use atoll_ipc::abi::PortKind;
use serde::Serialize;
use std::fmt::{self, Write};
use std::path::Path;

/// Opens, and returns what to print.
pub fn run(args: &args::Inspect) -> Result<String, Failure> {
    let image = open(&args.image)?;
    let report = Report::of(&image, args.symbols);
    let text = if args.json { json(&report) } else { human(&report) };
    Ok(text?)
}

/// Opens an image; whose fault a failure is, it tells.
pub fn open(path: &Path) -> Result<Image, Failure> {
    Image::open(path).map_err(|error| match error {
        OpenError::Missing { .. } | OpenError::Unreadable { .. } => {
            anyhow::Error::new(error).into()
        }
        OpenError::NotAFile { .. } | OpenError::Bad { .. } => Failure::bad_file(error),
    })
}

/// Everything that is shown. The names of the fields are those of the JSON.
#[derive(Serialize)]
struct Report<'a> {
    name: String,
    hash: String,
    format_version: u32,
    abi_version: u32,
    file_size: usize,
    payload_size: usize,
    entry: u64,
    entry_symbol: Option<&'a str>,
    stubs: Option<u64>,
    default_memory: u64,
    min_memory: u64,
    stack_size: u64,
    max_vcpus: u32,
    segments: Vec<Segment>,
    ports: Vec<Port<'a>>,
    symbol_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbols: Option<Vec<Symbol<'a>>>,
}

#[derive(Serialize)]
struct Segment {
    vaddr: u64,
    file_size: u64,
    mem_size: u64,
    rights: &'static str,
    supervisor: bool,
}

#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    kind: &'static str,
    interface: Interface<'a>,
}

#[derive(Serialize)]
struct Interface<'a> {
    name: &'a str,
    version: u32,
    /// In hexadecimal: many readers of JSON cannot hold 64 bits in a number.
    fingerprint: String,
}

#[derive(Serialize)]
struct Symbol<'a> {
    start: u64,
    size: u64,
    name: &'a str,
}

impl<'a> Report<'a> {
    fn of(image: &'a Image, with_symbols: bool) -> Self {
        let segments = image.segments().iter().map(|segment| Segment {
            vaddr: segment.vaddr,
            file_size: segment.file_size,
            mem_size: segment.mem_size,
            rights: segment.rights.as_str(),
            supervisor: segment.supervisor,
        });
        let ports = image.ports().iter().map(|port| Port {
            name: port.name.as_str(),
            kind: kind_text(port.kind),
            interface: Interface {
                name: port.interface.name.as_str(),
                version: port.interface.version,
                fingerprint: format!("{:016x}", port.interface.fingerprint),
            },
        });
        let symbols = || {
            let symbols = image.symbols();
            symbols.map(|s| Symbol { start: s.start, size: s.size, name: s.name }).collect()
        };
        Self {
            name: image.name().to_string(),
            hash: image.hash().to_string(),
            format_version: FORMAT_VERSION,
            abi_version: image.abi_version(),
            file_size: image.as_bytes().len(),
            payload_size: image.payload().len(),
            entry: image.entry(),
            entry_symbol: image.symbolise(image.entry()).map(|(name, _)| name),
            stubs: image.stubs(),
            default_memory: image.default_memory(),
            min_memory: image.min_memory(),
            stack_size: image.stack_size(),
            max_vcpus: image.max_vcpus(),
            segments: segments.collect(),
            ports: ports.collect(),
            symbol_count: image.symbols().len(),
            symbols: with_symbols.then(symbols),
        }
    }
}

const fn kind_text(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Message => "message",
        PortKind::Stream => "stream",
    }
}

fn json(report: &Report<'_>) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    text.push('\n');
    Ok(text)
}

fn human(report: &Report<'_>) -> anyhow::Result<String> {
    let mut text = String::new();
    let out = &mut text;
    summary(out, report)
        .and_then(|()| segments(out, &report.segments))
        .and_then(|()| ports(out, &report.ports))
        .and_then(|()| symbols(out, report.symbols.as_deref().unwrap_or_default()))
        .context("cannot format the report")?;
    Ok(text)
}

fn summary(out: &mut String, report: &Report<'_>) -> fmt::Result {
    let show = |bytes: usize| size::show(bytes as u64);
    writeln!(out, "server   {}", report.name)?;
    writeln!(out, "hash     {}", report.hash)?;
    writeln!(out, "version  format {}, ABI {}", report.format_version, report.abi_version)?;
    writeln!(
        out,
        "file     {}, of which {} payload",
        show(report.file_size),
        show(report.payload_size)
    )?;
    writeln!(out, "entry    {:#x} {}", report.entry, report.entry_symbol.unwrap_or("(no symbol)"))?;
    match report.stubs {
        Some(stubs) => writeln!(out, "stubs    {stubs:#x}")?,
        None => writeln!(out, "stubs    none: exceptions will be seen as triple faults")?,
    }
    writeln!(
        out,
        "memory   {} by default, {} for the segments",
        size::show(report.default_memory),
        size::show(report.min_memory)
    )?;
    let vcpus = report.max_vcpus;
    writeln!(out, "stack    {} for each of up to {vcpus} vCPUs", size::show(report.stack_size))?;
    writeln!(out, "symbols  {}", report.symbol_count)
}

fn segments(out: &mut String, segments: &[Segment]) -> fmt::Result {
    writeln!(out, "\n{:<10}  {:>10}  {:>10}  RIGHTS", "SEGMENT", "FILE", "MEMORY")?;
    for segment in segments {
        let ring = if segment.supervisor { " supervisor" } else { "" };
        let address = format!("{:#x}", segment.vaddr);
        let (file, memory) = (size::show(segment.file_size), size::show(segment.mem_size));
        writeln!(out, "{address:<10}  {file:>10}  {memory:>10}  {}{ring}", segment.rights)?;
    }
    Ok(())
}

fn ports(out: &mut String, ports: &[Port<'_>]) -> fmt::Result {
    if ports.is_empty() {
        return writeln!(out, "\nno ports");
    }
    let width = |title: &str, text: fn(&Port<'_>) -> usize| {
        ports.iter().map(text).max().unwrap_or(0).max(title.len())
    };
    let name = width("PORT", |port| port.name.len());
    let spoken = width("INTERFACE", |port| port.interface.name.len());
    writeln!(
        out,
        "\n{:<name$}  {:<7}  {:<spoken$}  {:>7}  FINGERPRINT",
        "PORT", "KIND", "INTERFACE", "VERSION"
    )?;
    for Port { name: port, kind, interface } in ports {
        let Interface { name: interface, version, fingerprint } = interface;
        writeln!(
            out,
            "{port:<name$}  {kind:<7}  {interface:<spoken$}  {version:>7}  {fingerprint}"
        )?;
    }
    Ok(())
}

fn symbols(out: &mut String, symbols: &[Symbol<'_>]) -> fmt::Result {
    if symbols.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{:<10}  {:>8}  FUNCTION", "ADDRESS", "BYTES")?;
    for symbol in symbols {
        let address = format!("{:#x}", symbol.start);
        writeln!(out, "{address:<10}  {:>8}  {}", symbol.size, symbol.name)?;
    }
    Ok(())
}
