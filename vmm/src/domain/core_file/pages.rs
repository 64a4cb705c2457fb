//! Which of a domain's memory a core file stores.
//!
//! Only what ring 3 can reach, and of that only pages that hold something: a domain may have
//! gigabytes that it never touched. The state region is stored like the heap. Channels are memory of
//! two domains, and in no core file.

use std::ops::Range;

use atoll_image::Rights;
use atoll_ipc::abi::layout::{BOOT_SIZE, PAGE, STATE};

use super::super::blueprint::Blueprint;
use crate::machine::MachineError;
use crate::machine::kept::KeptMemory;
use crate::machine::memory::DomainMemory;

/// Most stretches that are stored apart. A debugger looks through all of them at each access, and
/// a file has at most 65,534.
const LOADS_MAX: usize = 4096;

/// A stretch of memory in a core file: first bytes that are stored, then zeroes that are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The addresses that are stored.
    pub stored: Range<u64>,
    /// The first address above the zeroes.
    pub end: u64,
    /// What ring 3 may do with it.
    pub rights: Rights,
}

/// Memory that ring 3 can reach.
#[derive(Clone, Debug)]
struct Region {
    range: Range<u64>,
    /// Where the image's own bytes end. Up to there everything is stored: what is not, a debugger
    /// takes from the executable.
    image_end: u64,
    rights: Rights,
}

/// Where a domain's bytes come from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'m> {
    memory: &'m DomainMemory,
    kept: Option<&'m KeptMemory>,
}

impl<'m> Source<'m> {
    /// All of a domain's memory.
    pub fn of(memory: &'m DomainMemory, blueprint: &'m Blueprint) -> Self {
        Self { memory, kept: blueprint.state.as_deref() }
    }

    /// Fills `bytes` from an address on.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MachineError> {
        match self.kept {
            Some(kept) if address >= STATE => kept.read(address - STATE, bytes),
            _ => self.memory.read(address, bytes),
        }
    }

    /// Where there is memory at all, by ascending address.
    fn populated(&self) -> Result<Vec<Range<u64>>, MachineError> {
        let mut populated = self.memory.populated()?;
        let kept = self.kept.map_or(Ok(Vec::new()), KeptMemory::populated)?;
        populated.extend(kept.iter().map(|range| STATE + range.start..STATE + range.end));
        Ok(populated)
    }
}

/// The stretches of a domain that stands still, by ascending address.
pub fn loads(memory: &Source<'_>, blueprint: &Blueprint) -> Result<Vec<Load>, MachineError> {
    let regions = regions(blueprint);
    let populated = memory.populated()?;
    let mut filled = Vec::with_capacity(regions.len());
    for region in &regions {
        filled.push(filled_of(memory, region, &populated)?);
    }
    let mut gap = 0;
    while filled.iter().map(Vec::len).sum::<usize>() + regions.len() > LOADS_MAX {
        gap = (gap * 2).max(PAGE);
        filled.iter_mut().for_each(|ranges| join(ranges, gap));
    }
    Ok(regions.iter().zip(filled).flat_map(|(region, filled)| cut(region, filled)).collect())
}

fn regions(blueprint: &Blueprint) -> Vec<Region> {
    let plan = &blueprint.plan;
    let plain = |range: Range<u64>, rights| Region { image_end: range.start, range, rights };
    let mut regions = vec![
        plain(plan.control(0)..plan.control(plan.vcpus), Rights::ReadWrite),
        plain(plan.boot()..plan.boot() + BOOT_SIZE, Rights::Read),
    ];
    let segments = blueprint.image.segments().iter().filter(|segment| !segment.supervisor);
    regions.extend(segments.map(|segment| Region {
        range: segment.vaddr..segment.pages_end(),
        image_end: (segment.vaddr + segment.file_size).next_multiple_of(PAGE),
        rights: segment.rights,
    }));
    let stacks = (0..plan.vcpus).map(|vcpu| plan.stack(vcpu)..plan.stack_top(vcpu));
    regions.extend(stacks.map(|stack| plain(stack, Rights::ReadWrite)));
    regions.push(plain(plan.heap()..plan.heap_end(), Rights::ReadWrite));
    let kept = blueprint.state.iter().map(|state| STATE..STATE + state.size());
    regions.extend(kept.map(|kept| plain(kept, Rights::ReadWrite)));
    regions
}

/// What of a region is stored, as ranges that do not touch.
fn filled_of(
    memory: &Source<'_>,
    region: &Region,
    populated: &[Range<u64>],
) -> Result<Vec<Range<u64>>, MachineError> {
    let mut filled = Vec::new();
    if region.image_end > region.range.start {
        filled.push(region.range.start..region.image_end);
    }
    let rest = region.image_end..region.range.end;
    let mut page = [0; PAGE as usize];
    for range in populated {
        let (start, end) = (range.start.max(rest.start), range.end.min(rest.end));
        for address in (start..end.max(start)).step_by(PAGE as usize) {
            memory.read(address, &mut page)?;
            if page != [0; PAGE as usize] {
                append(&mut filled, address..address + PAGE);
            }
        }
    }
    Ok(filled)
}

fn append(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Joins ranges that are no further apart than `gap`.
fn join(ranges: &mut Vec<Range<u64>>, gap: u64) {
    ranges.dedup_by(|next, last| {
        let near = next.start - last.end <= gap;
        if near {
            last.end = next.end;
        }
        near
    });
}

/// A region as stretches: none of it is left out.
fn cut(region: &Region, filled: Vec<Range<u64>>) -> Vec<Load> {
    let Region { range, rights, .. } = region.clone();
    let mut loads: Vec<Load> = Vec::with_capacity(filled.len() + 1);
    if filled.first().is_none_or(|first| first.start > range.start) {
        loads.push(Load { stored: range.start..range.start, end: range.end, rights });
    }
    for stored in filled {
        if let Some(last) = loads.last_mut() {
            last.end = stored.start;
        }
        loads.push(Load { stored, end: range.end, rights });
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(image_end: u64) -> Region {
        Region { range: 0x1000..0x9000, image_end, rights: Rights::ReadWrite }
    }

    fn load(stored: Range<u64>, end: u64) -> Load {
        Load { stored, end, rights: Rights::ReadWrite }
    }

    #[test]
    fn a_region_is_cut_without_a_gap() {
        assert_eq!(cut(&region(0x1000), vec![]), [load(0x1000..0x1000, 0x9000)]);
        let filled = vec![0x2000..0x4000, 0x6000..0x7000];
        let expected = [
            load(0x1000..0x1000, 0x2000),
            load(0x2000..0x4000, 0x6000),
            load(0x6000..0x7000, 0x9000),
        ];
        assert_eq!(cut(&region(0x1000), filled), expected);
        let whole = region(0x1000).range;
        assert_eq!(cut(&region(0x1000), vec![whole.clone()]), [load(whole, 0x9000)]);
    }

    #[test]
    fn what_lies_near_is_joined() {
        let mut ranges = vec![0x1000..0x2000, 0x3000..0x4000, 0x8000..0x9000];
        join(&mut ranges, 0x1000);
        assert_eq!(ranges, [0x1000..0x4000, 0x8000..0x9000]);
    }

    #[test]
    fn zero_pages_are_not_stored_but_those_of_the_image_are() {
        let memory = DomainMemory::build(1 << 16, |_| Ok(())).unwrap();
        memory.write(0x5008, &[1]).unwrap();
        memory.write(0x7000, &[0]).unwrap();
        let source = Source { memory: &memory, kept: None };
        let populated = source.populated().unwrap();
        let filled = filled_of(&source, &region(0x3000), &populated).unwrap();
        assert_eq!(filled, [0x1000..0x3000, 0x5000..0x6000]);
    }

    #[test]
    fn a_state_region_is_stored_like_a_heap() {
        let memory = DomainMemory::build(1 << 16, |_| Ok(())).unwrap();
        let kept = KeptMemory::new(1 << 16).unwrap();
        kept.write(0x2ff8, &[7; 16]).unwrap();
        let source = Source { memory: &memory, kept: Some(&kept) };
        let range = STATE..STATE + kept.size();
        let region = Region { image_end: range.start, range, rights: Rights::ReadWrite };
        let filled = filled_of(&source, &region, &source.populated().unwrap()).unwrap();
        assert_eq!(filled, std::slice::from_ref(&(STATE + 0x2000..STATE + 0x4000)));
        let mut bytes = [0; 2];
        source.read(STATE + 0x2ff7, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 7]);
    }
}
