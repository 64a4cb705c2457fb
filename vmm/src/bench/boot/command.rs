//! The start of `vmm run` as anybody would start it: a process, a manifest, a socket to connect to.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bench::atoll::AtollError;
use crate::bench::process::Process;

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a system of kv by this program, and tells how long it takes until kv has answered, in
/// nanoseconds.
pub(super) fn start(program: &Path, images: &Path) -> Result<u64, AtollError> {
    let place = TempDir::new().map_err(failed)?;
    let socket = place.path().join("kv");
    let manifest = write_manifest(place.path(), &socket)?;
    let began = Instant::now();
    let mut command = Command::new(program);
    command.arg("run").arg(manifest).arg("--images").arg(images);
    command.arg("--socket").arg(place.path().join("control"));
    let mut run = Process::start(&mut command).map_err(failed)?;
    let mut stream = run.connect(&socket, began, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut answer = [0; 7];
    stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer)).map_err(failed)?;
    let took = began.elapsed();
    if answer != *b"+PONG\r\n" {
        let answer = String::from_utf8_lossy(&answer).into_owned();
        return Err(AtollError::Impossible(format!("`{answer}` to PING")));
    }
    Ok(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
}

fn write_manifest(place: &Path, socket: &Path) -> Result<PathBuf, AtollError> {
    let text = format!(
        "name = \"bench\"\n[domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\n\
         [[gateways]]\nlisten = \"unix:{}\"\nto = \"kv:redis\"\n",
        socket.display()
    );
    let path = place.join("kv.toml");
    fs::write(&path, text).map_err(failed)?;
    Ok(path)
}

fn failed(cause: io::Error) -> AtollError {
    AtollError::Host { what: "starting `vmm run`", cause }
}
