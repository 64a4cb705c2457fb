//! `core`: writes a core file of a domain as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::json;

use crate::control::Client;
use crate::control::api::DomainReport;

use super::args::CoreArgs;
use super::error::CliError;
use super::human::size;
use super::target::converse;

pub(super) fn core(args: &CoreArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let client = args.target.client()?;
    let domain = args.domain.as_str();
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{domain}.core")));
    let report: DomainReport = converse(client.get(&format!("/v1/domains/{domain}")))?;
    let bytes = Draft::create(&path)?.fill(&client, domain)?;
    let image = &report.status.image;
    if json {
        let done = json!({
            "domain": domain,
            "file": path.to_string_lossy(),
            "bytes": bytes,
            "image": image,
            "image_hash": report.image_hash,
        });
        writeln!(out, "{done}")?;
    } else {
        let path = path.display();
        writeln!(out, "{path}: {} of {domain}", size(bytes))?;
        writeln!(out, "to look at it, with the image of hash {}:", report.image_hash)?;
        writeln!(out, "  mkimage extract {image}.img -o {image}.elf && gdb {image}.elf {path}")?;
    }
    Ok(())
}

/// A file that is removed again unless it becomes whole: half a core file misleads.
struct Draft<'p> {
    path: &'p Path,
    file: BufWriter<File>,
    whole: bool,
}

impl<'p> Draft<'p> {
    /// Makes the file, which nobody else may read: it has everything that the server knows.
    fn create(path: &'p Path) -> Result<Self, CliError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.map_err(|source| failed("make", path, source))?;
        Ok(Self { path, file: BufWriter::new(file), whole: false })
    }

    /// Fetches the file's content; returns how many bytes that were.
    fn fill(mut self, client: &Client, domain: &str) -> Result<u64, CliError> {
        let mut bytes = 0;
        let target = format!("/v1/domains/{domain}/core");
        let write = |piece: &[u8]| match self.file.write_all(piece) {
            Ok(()) => {
                bytes += piece.len() as u64;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        };
        let broken = converse(client.fetch(Method::GET, &target, write))?;
        let outcome = broken.map_or_else(|| self.file.flush(), Err);
        outcome.map_err(|source| failed("write", self.path, source))?;
        self.whole = true;
        Ok(bytes)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.whole
            && let Err(error) = fs::remove_file(self.path)
        {
            log::warn!("{} is not whole and cannot be removed: {error}", self.path.display());
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> CliError {
    let remedy = match source.kind() {
        io::ErrorKind::AlreadyExists => "remove it, or name another FILE",
        io::ErrorKind::StorageFull => "make room, or name a FILE elsewhere",
        _ => "name another FILE",
    };
    CliError::File { action, path: path.to_owned(), source, remedy }
}
