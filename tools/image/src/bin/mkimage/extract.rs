//! `mkimage extract`: writes the executable of an image, for debuggers.

use crate::{Failure, args, inspect};
use anyhow::Context;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes, and returns what to print.
pub fn run(args: &args::Extract) -> Result<String, Failure> {
    let image = inspect::open(&args.image)?;
    let (elf, path) = (image.executable(), args.output.display());
    write(args, &elf).with_context(|| format!("cannot write {path}; name another OUT"))?;
    Ok(format!("{path}: {} bytes, {} functions\n", elf.len(), image.symbols().len()))
}

fn write(args: &args::Extract, elf: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(&args.output)?;
    file.write_all(elf)?;
    // It is as old as the image: gdb warns of an executable that is newer than the core file.
    file.set_modified(modified(&args.image)?)
}

fn modified(path: &Path) -> std::io::Result<std::time::SystemTime> {
    fs::metadata(path)?.modified()
}
