//! Where a file holds data, and where it only has length.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// The stretches of a file that hold data, by ascending offset. What lies between them is zero.
///
/// # Errors
/// If the host does not tell.
pub fn extents(file: &File) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = seek(file, at, libc::SEEK_DATA)? {
        // A file's end is a hole.
        let end = seek(file, start, libc::SEEK_HOLE)?.unwrap_or(start);
        if end <= start {
            break;
        }
        found.push(start..end);
        at = end;
    }
    Ok(found)
}

/// The next place of a kind; `None` behind the last.
fn seek(file: &File, from: u64, what: libc::c_int) -> io::Result<Option<u64>> {
    // SAFETY: moves the offset of an open file, by which nobody reads or writes.
    let place = unsafe { libc::lseek(file.as_raw_fd(), from as libc::off_t, what) };
    if let Ok(place) = u64::try_from(place) {
        return Ok(Some(place));
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::mapped_file::memory_file;
    use std::os::unix::fs::FileExt;

    #[test]
    fn only_what_was_written_holds_data() {
        let file = memory_file(1 << 20).unwrap();
        assert!(extents(&file).unwrap().is_empty());
        file.write_all_at(&[1; 8192], 0x3000).unwrap();
        file.write_all_at(&[1], 0xf_ffff).unwrap();
        assert_eq!(extents(&file).unwrap(), [0x3000..0x5000, 0xf_f000..0x10_0000]);
    }
}
