//! `mkimage build`: reads an ELF, writes an image.

use crate::{Failure, args, size};
use anyhow::{Context, anyhow};
use atoll_image::Image;
use atoll_image::build::{self, Built, Options};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Builds, writes, and returns one line that says what was written.
pub fn run(args: &args::Build) -> Result<String, Failure> {
    refuse_same_file(&args.elf, &args.output)?;
    let elf = read_elf(&args.elf)?;
    let options = Options { name: args.name.clone(), memory: args.memory, stack: args.stack };
    let Built { image, warnings } = build::build(&elf, &options)
        .map_err(|error| Failure::bad_file(anyhow!("{}: {error}", args.elf.display())))?;
    for warning in warnings {
        eprintln!("mkimage: warning: {}: {warning}", args.elf.display());
    }
    write_whole(&args.output, image.as_bytes())?;
    Ok(summary(&args.output, &image))
}

fn read_elf(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| {
        format!("{}: cannot read the ELF; correct the path, or build it first", path.display())
    })
}

/// An image must not replace the ELF that it is made from.
fn refuse_same_file(elf: &Path, output: &Path) -> Result<(), Failure> {
    let same = match (elf.canonicalize(), output.canonicalize()) {
        (Ok(elf), Ok(output)) => elf == output,
        // One of them does not exist, so they differ.
        _ => false,
    };
    if same {
        let output = output.display();
        return Err(Failure::usage(anyhow!("{output} is the ELF itself; name another output")));
    }
    Ok(())
}

/// Writes beside the output and renames, so that no reader ever finds half an image.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let partial = beside(path);
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // The first error is the one to report; what was written is of no use.
        let _ = fs::remove_file(&partial);
    }
    written.with_context(|| {
        format!("{}: cannot write the image; see that its directory may be written", path.display())
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

fn summary(path: &Path, image: &Image) -> String {
    format!(
        "{}: server {}, {}, {} segments, {} ports, hash {}\n",
        path.display(),
        image.name(),
        size::show(image.as_bytes().len() as u64),
        image.segments().len(),
        image.ports().len(),
        image.hash(),
    )
}
