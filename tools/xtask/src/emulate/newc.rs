//! Owns the `newc` cpio format, the one a Linux initramfs is written in.
//!
//! A writer only: entries go in, bytes come out, and the same entries always make the same bytes.
//! It never reads the host's files; `initramfs` decides what goes in.

use std::collections::BTreeSet;
use std::io::{self, Write};

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// Writes one archive to `out`. Directories above an entry are made on the way.
#[derive(Debug)]
pub struct Archive<W: Write> {
    out: W,
    written: u64,
    inode: u32,
    directories: BTreeSet<String>,
}

/// What differs from one kind of entry to the next.
struct Entry<'a> {
    path: &'a str,
    mode: u32,
    device: (u32, u32),
    data: &'a [u8],
}

impl<W: Write> Archive<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out, written: 0, inode: 0, directories: BTreeSet::new() }
    }

    /// Adds a directory, and those above it.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        let path = relative(path);
        if path.is_empty() || self.directories.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.directories.insert(path.to_owned());
        self.entry(&Entry { path, mode: DIRECTORY | 0o755, device: (0, 0), data: &[] })
    }

    /// Adds a file with these permission bits.
    pub fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> io::Result<()> {
        self.below(path, REGULAR | permissions, (0, 0), data)
    }

    /// Adds a character device node.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        self.below(path, CHARACTER_DEVICE | 0o600, (major, minor), &[])
    }

    /// Ends the archive and hands the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.header(&Entry { path: TRAILER, mode: 0, device: (0, 0), data: &[] }, 0)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn below(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        let path = relative(path);
        self.parents(path)?;
        self.entry(&Entry { path, mode, device, data })
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None => Ok(()),
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.inode += 1;
        let size = u32::try_from(entry.data.len()).map_err(|_| too_large(entry.path))?;
        self.header(entry, size)?;
        self.bytes(entry.data)?;
        self.pad()
    }

    fn header(&mut self, entry: &Entry<'_>, size: u32) -> io::Result<()> {
        let links = if entry.mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let name_size = u32::try_from(entry.path.len() + 1).map_err(|_| too_large(entry.path))?;
        // Order: inode, mode, uid, gid, links, mtime, size, device, node, name size, checksum.
        let fields = [
            self.inode,
            entry.mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            entry.device.0,
            entry.device.1,
            name_size,
            0,
        ];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.bytes(header.as_bytes())?;
        self.bytes(entry.path.as_bytes())?;
        self.bytes(&[0])?;
        self.pad()
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let short = (4 - self.written % 4) % 4;
        self.bytes(&[0; 3][..short as usize])
    }
}

/// The archive's names have no leading slash: the kernel unpacks below its root.
fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn too_large(path: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("`{path}` has 4 GiB or more, which the newc format cannot hold"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode, device node, data.
    type Found = (String, u32, (u32, u32), Vec<u8>);

    /// Reads an archive back.
    fn read(mut bytes: &[u8]) -> Vec<Found> {
        let mut entries = Vec::new();
        loop {
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * n..14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            assert_eq!(&bytes[..6], b"070701");
            let (mode, size, device, name_size) =
                (field(1), field(6) as usize, (field(9), field(10)), field(11) as usize);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
            assert_eq!(bytes[110 + name_size - 1], 0, "the name is NUL-terminated");
            let data_at = (110 + name_size).next_multiple_of(4);
            let data = bytes[data_at..data_at + size].to_vec();
            bytes = &bytes[(data_at + size).next_multiple_of(4)..];
            if name == TRAILER {
                assert!(bytes.is_empty(), "nothing follows the trailer");
                return entries;
            }
            entries.push((name, mode, device, data));
        }
    }

    #[test]
    fn a_file_has_the_exact_header_that_the_kernel_reads() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a", 0o644, b"hi").unwrap();
        let bytes = archive.finish().unwrap();
        let expected = "070701\
            00000001000081a40000000000000000000000010000000000000002\
            0000000000000000000000000000000000000002\
            00000000a\0";
        assert_eq!(&bytes[..expected.len()], expected.as_bytes());
        assert_eq!(&bytes[expected.len()..expected.len() + 4], b"hi\0\0");
    }

    #[test]
    fn entries_come_back_in_order_with_their_kind() {
        let mut archive = Archive::new(Vec::new());
        archive.character_device("dev/console", 5, 1).unwrap();
        archive.file("bin/x", 0o755, &[7; 5]).unwrap();
        let entries = read(&archive.finish().unwrap());
        let names: Vec<_> = entries.iter().map(|e| e.0.as_str()).collect();
        assert_eq!(names, ["dev", "dev/console", "bin", "bin/x"]);
        assert_eq!((entries[1].1, entries[1].2), (0o020_600, (5, 1)));
        assert_eq!((entries[3].1, entries[3].3.as_slice()), (0o100_755, [7; 5].as_slice()));
    }

    #[test]
    fn directories_above_an_entry_are_made_once_and_first() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b/one", 0o644, b"").unwrap();
        archive.directory("/a/b").unwrap();
        archive.file("/a/b/two", 0o644, b"").unwrap();
        let entries = read(&archive.finish().unwrap());
        let names: Vec<_> = entries.into_iter().map(|e| e.0).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two"]);
    }

    #[test]
    fn every_length_of_name_and_data_stays_aligned() {
        for length in 0..9 {
            let name = "n".repeat(length + 1);
            let mut archive = Archive::new(Vec::new());
            archive.file(&name, 0o600, &vec![1; length]).unwrap();
            archive.file("last", 0o600, b"end").unwrap();
            let entries = read(&archive.finish().unwrap());
            assert_eq!(entries[0].3.len(), length);
            assert_eq!(entries[1].3, b"end");
        }
    }
}
