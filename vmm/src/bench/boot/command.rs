//! The start of `vmm run` as anybody would start it: a process, a manifest, a socket to connect to.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bench::atoll::AtollError;

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a system of kv by this program, and tells how long it takes until kv has answered, in
/// nanoseconds.
pub(super) fn start(program: &Path, images: &Path) -> Result<u64, AtollError> {
    let place = TempDir::new().map_err(failed)?;
    let socket = place.path().join("kv");
    let manifest = write_manifest(place.path(), &socket)?;
    let began = Instant::now();
    let mut run = Run::start(program, images, &manifest, &place.path().join("control"))?;
    let mut stream = run.connect(&socket, began)?;
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

/// A run of the program. It ends when this is dropped.
#[derive(Debug)]
struct Run(Child);

impl Run {
    fn start(
        program: &Path,
        images: &Path,
        manifest: &Path,
        control: &Path,
    ) -> Result<Self, AtollError> {
        let mut command = Command::new(program);
        command.arg("run").arg(manifest).arg("--images").arg(images).arg("--socket").arg(control);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).map_err(failed)
    }

    /// Connects as soon as somebody listens.
    fn connect(&mut self, socket: &Path, began: Instant) -> Result<UnixStream, AtollError> {
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(stream),
                Err(error) if began.elapsed() > PATIENCE => return Err(failed(error)),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::ConnectionRefused
                    ) =>
                {
                    if let Some(status) = self.0.try_wait().map_err(failed)? {
                        return Err(failed(io::Error::other(format!("it ended: {status}"))));
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It takes its sockets away if it is asked to go; one that is gone already needs no order.
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}
