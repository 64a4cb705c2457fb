//! Owns the question which shared libraries a host binary needs to run somewhere else.
//!
//! The dynamic loader that the binary names answers it (`ld.so --list`, which is what `ldd` asks too),
//! so the answer is what would be loaded here, not a guess at search paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

/// What a dynamic binary needs beside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The loader's path, as written in the binary.
    pub loader: PathBuf,
    /// Libraries, by the name that is looked up and the file found here.
    pub libraries: Vec<(String, PathBuf)>,
}

/// What `binary` (whose content is `bytes`) needs; nothing for a static one.
pub fn needs(binary: &Path, bytes: &[u8]) -> Result<Option<Needs>> {
    let Some(loader) = interpreter(bytes).with_context(|| format!("{}", binary.display()))? else {
        return Ok(None);
    };
    let output =
        Command::new(&loader).arg("--list").arg(binary).output().with_context(|| {
            format!("asking {} what {} needs", loader.display(), binary.display())
        })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{} cannot load {}: {}", loader.display(), binary.display(), reason.trim());
    }
    let libraries = listed(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("listing the libraries of {}", binary.display()))?;
    Ok(Some(Needs { loader, libraries }))
}

/// The path in the binary's `PT_INTERP` segment.
fn interpreter(bytes: &[u8]) -> Result<Option<PathBuf>> {
    let header =
        elf::FileHeader64::<Endianness>::parse(bytes).context("it is not a 64-bit ELF file")?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, bytes)? {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            return Ok(Some(PathBuf::from(String::from_utf8_lossy(path).into_owned())));
        }
    }
    Ok(None)
}

/// Reads lines such as `libc.so.6 => /lib/libc.so.6 (0x7f…)`. Lines without an arrow name the
/// loader or the vDSO, which need no look-up.
fn listed(text: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut libraries = Vec::new();
    for line in text.lines() {
        let Some((name, found)) = line.trim().split_once(" => ") else { continue };
        let path = found.rsplit_once(" (").map_or(found, |(path, _address)| path);
        if !path.starts_with('/') {
            bail!("the shared library {name} is missing on this machine");
        }
        // A loader found through the cache is listed by its path; it is shipped as the loader.
        if !name.starts_with('/') {
            libraries.push((name.to_owned(), PathBuf::from(path)));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_and_the_vdso_and_loader_left_out() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
            \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f1)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2)\n\
            \t/lib64/ld-linux-x86-64.so.2 => /usr/lib64/ld-linux-x86-64.so.2 (0x00007f3)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f3)\n";
        let expected = [
            ("libgcc_s.so.1".to_owned(), PathBuf::from("/lib/x86_64-linux-gnu/libgcc_s.so.1")),
            ("libc.so.6".to_owned(), PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6")),
        ];
        assert_eq!(listed(text).unwrap(), expected);
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = listed("\tlibslirp.so.0 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libslirp.so.0"), "{error}");
    }

    #[test]
    fn this_test_needs_the_c_library() {
        let this = std::env::current_exe().unwrap();
        let needs = needs(&this, &std::fs::read(&this).unwrap()).unwrap().unwrap();
        assert!(needs.libraries.iter().any(|(name, _)| name == "libc.so.6"));
        assert!(needs.loader.is_file());
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        assert!(interpreter(b"#!/bin/sh\n").is_err());
    }
}
