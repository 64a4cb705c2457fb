//! A file that becomes whole or is not there: written beside its place, and put there at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no file.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}; {}", path.display(), remedy(source))]
pub struct DraftError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AlreadyExists => "remove it, name another FILE, or replace it with --force",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or name a FILE elsewhere"
        }
        _ => "name another FILE",
    }
}

/// A file that is being written. Dropped before it is kept, it leaves nothing.
#[derive(Debug)]
pub struct Draft<'p> {
    path: &'p Path,
    beside: PathBuf,
    file: BufWriter<File>,
    replaces: bool,
    kept: bool,
}

impl<'p> Draft<'p> {
    /// Begins a file that is to be at `path`, where one may be already if it `replaces` that.
    /// Nobody else may read it: it has everything that the servers know.
    ///
    /// # Errors
    /// If there is a file already, or none can be made.
    pub fn begin(path: &'p Path, replaces: bool) -> Result<Self, DraftError> {
        match fs::symlink_metadata(path) {
            // A device, say, of which only the name would be a file's.
            Ok(found) if !found.is_file() => {
                let source = io::Error::other("what is there is not a file");
                return Err(failed("replace", path)(source));
            }
            Ok(_) if !replaces => {
                return Err(failed("make", path)(io::ErrorKind::AlreadyExists.into()));
            }
            Ok(_) | Err(_) => (),
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = BufWriter::new(made.map_err(failed("make", path))?);
        Ok(Self { path, beside, file, replaces, kept: false })
    }

    /// Writes on.
    ///
    /// # Errors
    /// What the host says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DraftError> {
        self.file.write_all(bytes).map_err(failed("write", self.path))
    }

    /// Has the host have all that was written.
    ///
    /// # Errors
    /// What it says.
    pub fn flush(&mut self) -> Result<(), DraftError> {
        self.file.flush().map_err(failed("write", self.path))
    }

    /// Puts the file in its place, once it is on the disk.
    ///
    /// # Errors
    /// What the host says; or that there is another file by now.
    pub fn keep(mut self) -> Result<(), DraftError> {
        let failed = failed("write", self.path);
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let placed = written.and_then(|()| {
            if self.replaces {
                return fs::rename(&self.beside, self.path);
            }
            // Unlike renaming, this leaves a file alone that came meanwhile.
            fs::hard_link(&self.beside, self.path)?;
            fs::remove_file(&self.beside)
        });
        placed.map_err(failed)?;
        self.kept = true;
        sync_directory(self.path);
        Ok(())
    }

    /// Where it is until it is kept.
    pub fn beside(&self) -> &Path {
        &self.beside
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.beside)
        {
            log::warn!("{} is not whole and cannot be removed: {error}", self.beside.display());
        }
    }
}

/// The file's name is to last as its content does. A file system that cannot say so keeps it anyhow.
fn sync_directory(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
    if let Err(error) = synced {
        log::debug!("{}: its directory is not synced: {error}", path.display());
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DraftError + use<> {
    let path = path.to_path_buf();
    move |source| DraftError { action, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.snap");
        let mut draft = Draft::begin(&path, false).unwrap();
        draft.write(b"half").unwrap();
        assert!(!path.exists() && draft.beside().exists());
        drop(draft);
        assert_eq!(files(dir.path()), 0);
        let mut draft = Draft::begin(&path, false).unwrap();
        draft.write(b"whole").unwrap();
        draft.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), files(dir.path())), (b"whole".to_vec(), 1));
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_if_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.snap");
        let early = Draft::begin(&path, false).unwrap();
        fs::write(&path, "precious").unwrap();
        let says = early.keep().unwrap_err().to_string();
        assert!(says.contains("x.snap") && says.contains("--force"), "{says}");
        let says = Draft::begin(&path, false).unwrap_err().to_string();
        assert!(says.contains("x.snap") && says.contains("--force"), "{says}");
        assert_eq!((fs::read(&path).unwrap(), files(dir.path())), (b"precious".to_vec(), 1));
        let mut draft = Draft::begin(&path, true).unwrap();
        draft.write(b"new").unwrap();
        draft.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), files(dir.path())), (b"new".to_vec(), 1));
    }

    #[test]
    fn what_is_not_a_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [dir.path(), Path::new("/dev/null"), &link] {
            let says = Draft::begin(path, true).unwrap_err().to_string();
            assert!(says.contains("what is there is not a file"), "{says}");
        }
        assert_eq!(files(dir.path()), 1);
    }

    #[test]
    fn a_full_disk_is_named_with_the_file() {
        let failed = failed("write", Path::new("kv.snap"));
        let says = failed(io::ErrorKind::StorageFull.into()).to_string();
        assert!(says.starts_with("cannot write kv.snap: "), "{says}");
        assert!(says.ends_with("make room, or name a FILE elsewhere"), "{says}");
    }
}
