//! Which pages of a private mapping its owner has written: the kernel has given it pages of its
//! own for those, and for no others.
//!
//! Linux 6.7 and later tell in one call, whose cost follows what is there, not what could be.
//! Older ones are asked of every page.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use vmm_sys_util::ioctl::{_IOC_READ, _IOC_WRITE, ioctl_expr, ioctl_with_mut_ref};

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
#[derive(Debug, Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` of `linux/fs.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `PAGEMAP_SCAN` of `linux/fs.h`.
const PAGEMAP_SCAN: libc::c_ulong =
    ioctl_expr(_IOC_READ | _IOC_WRITE, b'f' as u32, 16, size_of::<Scan>() as u32);

/// The page is (still) that of a file.
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
/// The page has only been read, and is the one of zeros that all have who only read.
const IS_ZEROS: u64 = 1 << 5;

/// Regions that are asked for at a time.
const REGIONS: usize = 128;

/// What a word of `/proc/self/pagemap` says of its page.
const ENTRY_IS_FILE: u64 = 1 << 61;
const ENTRY_IS_THERE: u64 = 1 << 62 | 1 << 63;
/// Words of it that are read at a time: 64 MiB of memory.
const ENTRIES: usize = 16 << 10;

const PAGE: u64 = 4096;

/// The pages of a private mapping of this process, of a file or of nothing, that were written, as
/// ranges of addresses in their order; where pages are large, whole ones. Old kernels count those
/// that were only read where there is no file.
///
/// # Errors
/// If the host does not tell.
pub fn written(range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let pagemap = pagemap()?;
    match scan(pagemap, range.clone()) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
            ask_each(pagemap, range)
        }
        found => found,
    }
}

/// The process's own; opened once, since every roll-back asks it.
fn pagemap() -> io::Result<&'static File> {
    static PAGEMAP: OnceLock<File> = OnceLock::new();
    if let Some(file) = PAGEMAP.get() {
        return Ok(file);
    }
    let file = File::open("/proc/self/pagemap")?;
    Ok(PAGEMAP.get_or_init(|| file))
}

fn scan(pagemap: &File, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut regions = [Region::default(); REGIONS];
    let mut at = range.start;
    while at < range.end {
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            start: at,
            end: range.end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: REGIONS as u64,
            category_inverted: IS_FILE | IS_ZEROS,
            category_mask: IS_FILE | IS_ZEROS,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT,
            ..Scan::default()
        };
        // SAFETY: the kernel reads and writes `scan`, and writes at most `vec_len` regions to the
        // array that `vec` names; both live through the call.
        let count = unsafe { ioctl_with_mut_ref(pagemap, PAGEMAP_SCAN, &mut scan) };
        let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
        for region in &regions[..count] {
            append(&mut found, region.start..region.end);
        }
        at = scan.walk_end;
    }
    Ok(found)
}

fn ask_each(pagemap: &File, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut bytes = vec![0; ENTRIES * 8];
    let mut at = range.start;
    while at < range.end {
        let pages = ((range.end - at).div_ceil(PAGE) as usize).min(ENTRIES);
        let bytes = &mut bytes[..pages * 8];
        pagemap.read_exact_at(bytes, at / PAGE * 8)?;
        for entry in bytes.as_chunks().0 {
            let entry = u64::from_le_bytes(*entry);
            if entry & ENTRY_IS_THERE != 0 && entry & ENTRY_IS_FILE == 0 {
                append(&mut found, at..at + PAGE);
            }
            at += PAGE;
        }
    }
    Ok(found)
}

/// Adds a range, and joins it to the last one where they touch.
fn append(found: &mut Vec<Range<u64>>, range: Range<u64>) {
    match found.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => found.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{FileOffset, MmapRegion};

    /// Sixteen pages of a private mapping, some of them written and some read.
    fn mapping() -> MmapRegion {
        let file = crate::machine::mapped_file::memory_file(16 * PAGE).unwrap();
        let offset = Some(FileOffset::new(file, 0));
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let region: MmapRegion =
            MmapRegion::build(offset, 16 * PAGE as usize, rights, libc::MAP_PRIVATE).unwrap();
        let byte = |page: u64| region.as_ptr().wrapping_add((page * PAGE) as usize);
        for page in [1, 2, 3, 7, 15] {
            // SAFETY: within the mapping, which nobody else knows.
            unsafe { byte(page).write_volatile(1) };
        }
        // SAFETY: as above.
        assert_eq!(unsafe { byte(5).read_volatile() }, 0);
        region
    }

    #[test]
    fn both_ways_find_what_was_written_and_nothing_else() {
        let mapping = mapping();
        let start = mapping.as_ptr() as u64;
        let all = start..start + 16 * PAGE;
        let expected: Vec<_> = [1..4, 7..8, 15..16]
            .map(|pages| start + pages.start * PAGE..start + pages.end * PAGE)
            .into();
        assert_eq!(written(all.clone()).unwrap(), expected);
        assert_eq!(ask_each(pagemap().unwrap(), all).unwrap(), expected);
    }

    #[test]
    fn more_regions_than_are_asked_for_at_a_time_are_all_found() {
        let pages = 4 * REGIONS as u64;
        let file = crate::machine::mapped_file::memory_file(pages * PAGE).unwrap();
        let offset = Some(FileOffset::new(file, 0));
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let size = (pages * PAGE) as usize;
        let region: MmapRegion =
            MmapRegion::build(offset, size, rights, libc::MAP_PRIVATE).unwrap();
        for page in (0..pages).step_by(2) {
            // SAFETY: within the mapping, which nobody else knows.
            unsafe { region.as_ptr().wrapping_add((page * PAGE) as usize).write_volatile(1) };
        }
        let start = region.as_ptr() as u64;
        let found = written(start..start + pages * PAGE).unwrap();
        assert_eq!(found.len() as u64, pages / 2);
        assert!(found.iter().all(|range| range.end - range.start == PAGE));
    }
}
