use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use atoll_ipc::disk::Outcome;
use tempfile::TempDir;

use super::super::fake::{bytes, memory};
use super::super::medium::FileMedium;
use super::super::volume::Volume;
use super::*;

/// A manifest in this directory with these disks, each of 64 KiB, each a file and more lines.
fn manifest(place: &Path, disks: &[(&str, &str)]) -> Manifest {
    let mut text = "name = \"a\"\ndomains.b.image = \"c\"\n".to_owned();
    for (n, (file, more)) in disks.iter().enumerate() {
        text += &format!(
            "[disks.d{n}]\nfile = \"{file}\"\nsize = \"64 KiB\"\ndomain = \"b\"\nas = \"d{n}\"\n{more}\n"
        );
    }
    Manifest::parse(text.as_bytes(), &place.join("a.toml")).unwrap()
}

fn open_in(place: &TempDir, disks: &[(&str, &str)]) -> Result<Vec<Arc<DiskFile>>, DiskError> {
    open_all(&manifest(place.path(), disks))
}

fn refused(place: &TempDir, disks: &[(&str, &str)]) -> String {
    let error = open_in(place, disks).unwrap_err().to_string();
    error.replace(&format!("{}/", place.path().display()), "")
}

#[test]
fn a_file_is_made_and_kept_as_it_is() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("x");
    let opened = open_in(&place, &[("x", "")]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    let shape = Shape { size: 65536, block: 512, most: 2 << 20, fresh: 0, read_only: false };
    assert_eq!(opened[0].shape(), shape);
    drop(opened);
    fs::write(&path, [7; 1000]).unwrap();
    let opened = open_in(&place, &[("x", "buffers = \"12 KiB\"")]).unwrap();
    assert_eq!(opened[0].shape(), Shape { fresh: 1024, most: 6144, ..shape });
    assert_eq!(opened[0].room().0, 1000);
    assert_eq!(fs::read(&path).unwrap(), [7; 1000]);
}

#[test]
fn one_system_at_a_time_writes_a_file_and_it_is_free_when_that_ends() {
    let place = TempDir::new().unwrap();
    let first = open_in(&place, &[("x", "")]).unwrap();
    for more in ["", "read-only = true"] {
        let error = refused(&place, &[("x", more)]);
        assert!(error.starts_with("disk `d0`: x is in use by "), "{error}");
        assert!(error.ends_with("; stop what uses it, or give this disk another file"), "{error}");
    }
    drop(first);
    drop(open_in(&place, &[("x", "")]).unwrap());
    let readers = [0, 1].map(|_| open_in(&place, &[("x", "read-only = true")]).unwrap());
    assert!(matches!(open_in(&place, &[("x", "")]), Err(DiskError::Locked { .. })));
    drop(readers);
    open_in(&place, &[("x", "")]).unwrap();
}

#[test]
fn a_file_that_another_disk_has_under_another_name_is_known() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("x"), "").unwrap();
    symlink("x", place.path().join("soft")).unwrap();
    fs::hard_link(place.path().join("x"), place.path().join("hard")).unwrap();
    for name in ["soft", "hard", "../x"] {
        let inner = TempDir::new_in(place.path()).unwrap();
        let file = if name == "../x" {
            format!("{}/../x", inner.path().file_name().unwrap().display())
        } else {
            name.to_owned()
        };
        assert_eq!(
            refused(&place, &[("x", ""), (&file, "")]),
            format!(
                "disk `d1`: {file} is the file of disk `d0` under another name; give each disk a \
                 file of its own"
            )
        );
    }
}

#[test]
fn a_file_that_is_longer_than_its_disk_is_not_cut() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("x"), vec![7; 65537]).unwrap();
    assert_eq!(
        refused(&place, &[("x", "")]),
        "disk `d0`: x has 65537 bytes, more than its `size` of 65536; raise `size` to at least \
         65537, or give the disk another file: none is ever cut"
    );
    assert_eq!(fs::read(place.path().join("x")).unwrap(), vec![7; 65537]);
}

#[test]
fn what_cannot_be_a_disk_is_refused_with_what_to_do() {
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("dir")).unwrap();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (file, more) in
        [("dir", ""), ("dir", "read-only = true"), ("pipe", ""), ("pipe", "read-only = true")]
    {
        assert_eq!(
            refused(&place, &[(file, more)]),
            format!("disk `d0`: {file} is no regular file; name one that is, or is not there yet")
        );
    }
    assert_eq!(
        refused(&place, &[("x", "read-only = true")]),
        "disk `d0`: x is not there, and a `read-only` disk is not made; check the path, or remove \
         `read-only`"
    );
    let error = refused(&place, &[("no/x", "")]);
    assert!(error.starts_with("disk `d0`: cannot open no/x: "), "{error}");
    assert!(error.ends_with("; check the path and its directory"), "{error}");
    assert!(!place.path().join("x").exists());
}

#[test]
fn a_file_that_may_not_be_written_is_told_from_other_failures() {
    let place = TempDir::new().unwrap();
    let writable = manifest(place.path(), &[("x", "")]);
    let read_only = manifest(place.path(), &[("x", "read-only = true")]);
    let of = |manifest: &Manifest, code| {
        let error = io::Error::from_raw_os_error(code);
        refusal("d0", &manifest.disks["d0"], false, error)
    };
    for code in [libc::EACCES, libc::EPERM, libc::EROFS] {
        let error = of(&writable, code);
        assert!(matches!(error, DiskError::Unwritable { .. }));
        assert!(error.to_string().ends_with("name a file elsewhere, or say `read-only = true`"));
        assert!(matches!(of(&read_only, code), DiskError::Io { .. }));
    }
    assert!(matches!(of(&writable, libc::EINVAL), DiskError::Io { .. }));
}

#[test]
fn past_the_page_cache_everything_is_as_before_however_memory_lies() {
    let place = TempDir::new().unwrap();
    let opened = match open_in(&place, &[("x", "sync = \"direct\"")]) {
        Ok(opened) => opened,
        Err(error) => {
            // The only excuse is that the file system has no such way.
            assert!(matches!(error, DiskError::NoDirect { .. }), "{error}");
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).custom_flags(libc::O_DIRECT);
            assert!(options.open(place.path().join("y")).is_err());
            return;
        }
    };
    let file = opened[0].clone();
    let block = file.shape().block as usize;
    let mut volume =
        Volume::new(file.title(), FileMedium::new(file.clone()), file.shape(), [].iter());
    let data: Vec<u8> = (0..4 * block).map(|n| (n / 8) as u8).collect();
    for skipped in [0, 1, 8] {
        let padded = memory(&[&vec![1; skipped * 8], &data[..]].concat());
        let offset = (skipped * block) as u64;
        assert_eq!(volume.write(offset, &padded[skipped..]), Outcome::Done);
        assert_eq!(volume.sync(), Outcome::Done);
        let found = memory(&vec![9; data.len() + skipped * 8]);
        assert_eq!(volume.read(offset, &found[skipped..]), Outcome::Done);
        assert_eq!(bytes(&found[skipped..]), data);
        let mut on_disk = vec![0; data.len()];
        let plain = fs::File::open(place.path().join("x")).unwrap();
        plain.read_exact_at(&mut on_disk, offset).unwrap();
        assert_eq!(on_disk, data);
    }
    // The end of the file lies within what is read.
    let found = memory(&vec![9; 8 * block]);
    assert_eq!(volume.read(10 * block as u64, &found), Outcome::Done);
    assert_eq!(bytes(&found)[2 * block..], vec![0; 6 * block]);
}
