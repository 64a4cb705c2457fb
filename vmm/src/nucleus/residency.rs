//! How much host memory stands behind a stretch of this process's addresses.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

/// Bytes of host memory behind a range, as the kernel accounts it to this process: pages that
/// are shared with others count in part. Zero if the kernel does not tell.
pub fn resident_bytes(range: Range<u64>) -> u64 {
    File::open("/proc/self/smaps").map_or(0, |file| sum(BufReader::new(file), &range))
}

fn sum(smaps: impl BufRead, range: &Range<u64>) -> u64 {
    let mut inside = false;
    let mut kilobytes = 0;
    for line in smaps.lines().map_while(Result::ok) {
        if let Some(mapping) = mapping(&line) {
            inside = range.start <= mapping.start && mapping.end <= range.end;
        } else if inside && let Some(rest) = line.strip_prefix("Pss:") {
            let number = rest.trim().trim_end_matches("kB").trim_end();
            kilobytes += number.parse::<u64>().unwrap_or(0);
        }
    }
    kilobytes * 1024
}

/// The addresses of a line that begins a mapping.
fn mapping(line: &str) -> Option<Range<u64>> {
    let (start, rest) = line.split_once('-')?;
    let (end, _) = rest.split_once(' ')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0000800000 rw-p 00000000 00:01 1024 /memfd:atoll (deleted)
Size:               8192 kB
Rss:                 100 kB
Pss:                  92 kB
Pss_Dirty:            80 kB
VmFlags: rd wr mr
7f0000800000-7f0000900000 rw-p 00000000 00:00 0
Rss:                  40 kB
Pss:                  40 kB
7f0001000000-7f0001100000 rw-p 00000000 00:00 0
Pss:                   1 kB
";

    #[test]
    fn only_mappings_inside_the_range_count() {
        let sum = |range: Range<u64>| sum(SMAPS.as_bytes(), &range);
        assert_eq!(sum(0x7f00_0000_0000..0x7f00_0080_0000), 92 << 10);
        assert_eq!(sum(0x7f00_0000_0000..0x7f00_0090_0000), 132 << 10);
        assert_eq!(sum(0..0x1000), 0);
    }

    #[test]
    fn a_mapping_of_this_process_is_found() {
        let page = std::hint::black_box(vec![1u8; 1 << 20]);
        let address = page.as_ptr() as u64;
        let everything = 0..u64::MAX;
        assert!(everything.contains(&address) && resident_bytes(everything) >= 1 << 20);
    }
}
