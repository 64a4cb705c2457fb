//! The rules of an image: turns decoded metadata into types that keep them.

use crate::error::{ImageError, shown};
use crate::image::{Port, Rights, Segment};
use crate::layout::{
    IMAGE_BASE, IMAGE_END, PAGE_SIZE, PORTS_MAX, SEGMENTS_MAX, is_page_start, page_ceil,
};
use crate::wire;
use atoll_ipc::abi::layout::MEMORY_MAX;
use atoll_ipc::abi::{Interface, Name, PortKind, STUB_COUNT, STUB_STRIDE, VCPUS_MAX};

/// The parts of the metadata that need more than a copy.
pub(crate) struct Checked {
    pub name: Name,
    pub segments: Vec<Segment>,
    pub ports: Vec<Port>,
}

/// Checks every rule that the metadata alone can break.
pub(crate) fn metadata(raw: &wire::Metadata<'_>) -> Result<Checked, ImageError> {
    let name = name(raw.name).ok_or_else(|| ImageError::ServerName { name: shown(raw.name) })?;
    let segments = segments(&raw.segments)?;
    entry(raw.entry, &segments)?;
    stubs(raw.stubs, &segments)?;
    let ports = ports(&raw.ports)?;
    sizes(raw, &segments)?;
    symbols(&raw.symbols)?;
    Ok(Checked { name, segments, ports })
}

/// The name that this text is, if it is one.
fn name(text: &str) -> Option<Name> {
    Name::is_valid(text.as_bytes()).then(|| Name::new(text))
}

fn segments(raw: &[wire::Segment]) -> Result<Vec<Segment>, ImageError> {
    if raw.len() > SEGMENTS_MAX {
        return Err(ImageError::TooManySegments { count: raw.len() });
    }
    let segments = raw.iter().enumerate().map(|(index, raw)| segment(index, raw));
    let segments = segments.collect::<Result<Vec<_>, _>>()?;
    for (before, pair) in segments.windows(2).enumerate() {
        apart(before + 1, &pair[0], &pair[1])?;
    }
    Ok(segments)
}

fn segment(index: usize, raw: &wire::Segment) -> Result<Segment, ImageError> {
    let wire::Segment { vaddr, file_size, mem_size, supervisor, .. } = *raw;
    if mem_size == 0 || file_size > mem_size {
        return Err(ImageError::SegmentSize { index, vaddr, file_size, mem_size });
    }
    if !is_page_start(vaddr) {
        return Err(ImageError::Misaligned { index, vaddr });
    }
    if !in_window(vaddr, mem_size) {
        return Err(ImageError::OutsideWindow { index, vaddr, mem_size });
    }
    let rights = Rights::from_flags(raw.write, raw.execute)
        .ok_or(ImageError::WritableText { index, vaddr })?;
    Ok(Segment { vaddr, file_size, mem_size, rights, supervisor })
}

/// Whether these bytes lie where images may.
pub(crate) fn in_window(vaddr: u64, mem_size: u64) -> bool {
    (IMAGE_BASE..IMAGE_END).contains(&vaddr) && mem_size <= IMAGE_END - vaddr
}

/// Checks that the second segment begins above the pages of the first.
fn apart(index: usize, first: &Segment, second: &Segment) -> Result<(), ImageError> {
    let (before, vaddr) = (first.vaddr, second.vaddr);
    if vaddr < before {
        return Err(ImageError::SegmentOrder { index, vaddr, before });
    }
    let before_end = first.pages_end();
    if vaddr < before_end {
        return Err(ImageError::Overlap { index, vaddr, before_end });
    }
    Ok(())
}

fn entry(entry: u64, segments: &[Segment]) -> Result<(), ImageError> {
    if segments.iter().any(|segment| is_entry(entry, segment)) {
        return Ok(());
    }
    Err(ImageError::EntryOutsideText { entry })
}

/// Whether a program may begin here: beyond its bytes a segment holds zeros, which are no code.
pub(crate) fn is_entry(entry: u64, segment: &Segment) -> bool {
    let text = segment.rights == Rights::ReadExecute && !segment.supervisor;
    text && entry >= segment.vaddr && entry - segment.vaddr < segment.file_size
}

fn stubs(stubs: Option<u64>, segments: &[Segment]) -> Result<(), ImageError> {
    let found = match stubs {
        None => None,
        Some(stubs) => {
            let index = segments.iter().position(|segment| segment.vaddr == stubs);
            let index = index.ok_or(ImageError::StubsNowhere { stubs })?;
            stubs_segment(index, &segments[index])?;
            Some(index)
        }
    };
    let stray = |&(index, segment): &(usize, &Segment)| segment.supervisor && Some(index) != found;
    match segments.iter().enumerate().find(stray) {
        Some((index, Segment { vaddr, .. })) => {
            Err(ImageError::SupervisorWithoutStubs { index, vaddr: *vaddr })
        }
        None => Ok(()),
    }
}

fn stubs_segment(index: usize, segment: &Segment) -> Result<(), ImageError> {
    let Segment { vaddr, file_size, rights, supervisor, .. } = *segment;
    if !supervisor {
        return Err(ImageError::StubsNotSupervisor { index, vaddr });
    }
    if rights != Rights::ReadExecute {
        return Err(ImageError::StubsRights { index, vaddr, rights: rights.as_str() });
    }
    if file_size < STUB_COUNT * STUB_STRIDE {
        return Err(ImageError::StubsShort { index, file_size });
    }
    Ok(())
}

fn ports(raw: &[wire::Port<'_>]) -> Result<Vec<Port>, ImageError> {
    if raw.len() > PORTS_MAX {
        return Err(ImageError::TooManyPorts { count: raw.len() });
    }
    let mut ports: Vec<Port> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let port = port(index, raw)?;
        if let Some(first) = ports.iter().position(|before| before.name == port.name) {
            let name = port.name.to_string();
            return Err(ImageError::DuplicatePort { first, second: index, name });
        }
        ports.push(port);
    }
    Ok(ports)
}

fn port(index: usize, raw: &wire::Port<'_>) -> Result<Port, ImageError> {
    let name =
        name(raw.name).ok_or_else(|| ImageError::PortName { index, name: shown(raw.name) })?;
    let kind = PortKind::from_code(raw.kind).ok_or_else(|| ImageError::PortKind {
        index,
        name: name.to_string(),
        kind: raw.kind,
    })?;
    Ok(Port { name, kind, interface: interface(index, name, &raw.interface)? })
}

fn interface(index: usize, port: Name, raw: &wire::Interface<'_>) -> Result<Interface, ImageError> {
    let name = name(raw.name).ok_or_else(|| ImageError::InterfaceName {
        index,
        port: port.to_string(),
        name: shown(raw.name),
    })?;
    Ok(Interface::new(name, raw.version, raw.fingerprint))
}

fn sizes(raw: &wire::Metadata<'_>, segments: &[Segment]) -> Result<(), ImageError> {
    let wire::Metadata { stack_size, default_memory: memory, .. } = *raw;
    if !(1..=VCPUS_MAX).contains(&raw.max_vcpus) {
        return Err(ImageError::Vcpus { count: raw.max_vcpus });
    }
    let limit = IMAGE_END;
    if stack_size == 0 || stack_size > limit || !stack_size.is_multiple_of(PAGE_SIZE) {
        return Err(ImageError::StackSize { stack_size, limit });
    }
    let needed = min_memory(segments) + stack_size;
    if memory < needed {
        return Err(ImageError::MemoryTooSmall { memory, needed });
    }
    if memory > MEMORY_MAX {
        return Err(ImageError::MemoryTooLarge { memory });
    }
    Ok(())
}

/// Memory that these segments span: addresses are the same in the guest's physical memory, so
/// a gap between segments takes memory too.
pub(crate) fn min_memory(segments: &[Segment]) -> u64 {
    segments.last().map_or(0, |last| page_ceil(last.end()) - IMAGE_BASE)
}

fn symbols(raw: &[wire::Symbol<'_>]) -> Result<(), ImageError> {
    let mut lowest = 0;
    for (index, &wire::Symbol { start, name, .. }) in raw.iter().enumerate() {
        if start < lowest || start == u64::MAX {
            return Err(ImageError::SymbolOrder { index, start });
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(ImageError::SymbolName { index, start });
        }
        lowest = start + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
