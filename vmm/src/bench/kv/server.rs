//! Servers that are started, measured, and ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::case::Subject;
use super::error::KvError;
use super::redis;
use super::system::System;
use super::talk::Talk;
use crate::bench::process::Process;

/// Longer than a server takes until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Programs, and where they have what they need.
#[derive(Clone, Debug)]
pub struct Site {
    /// This program, to be started as a process.
    pub vmm: PathBuf,
    /// Where the images are.
    pub images: PathBuf,
    /// The program redis-server.
    pub redis: PathBuf,
    /// Where directories are made for what servers write to disks.
    pub directory: PathBuf,
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(in crate::bench) struct Server {
    who: String,
    process: Process,
    /// Sockets, whose paths must be short.
    place: TempDir,
    /// When it was started.
    pub(in crate::bench) began: Instant,
}

impl Site {
    /// A directory for what a server writes. Its path begins at the root, for a manifest stands
    /// elsewhere.
    pub(in crate::bench) fn data(&self) -> Result<TempDir, KvError> {
        let what = format!("making a directory in {}", self.directory.display());
        let made = self
            .directory
            .canonicalize()
            .and_then(|directory| TempDir::with_prefix_in("atoll-bench-", directory));
        made.map_err(KvError::host(what))
    }

    /// Starts a system of kv.
    pub(in crate::bench) fn start(&self, system: &System) -> Result<Server, KvError> {
        let place = sockets()?;
        let manifest = place.path().join("kv.toml");
        fs::write(&manifest, system.manifest(&socket(&place)))
            .map_err(KvError::host("writing a manifest"))?;
        let mut command = Command::new(&self.vmm);
        command.arg("run").arg(manifest).arg("--images").arg(&self.images);
        command.arg("--socket").arg(control(&place));
        Server::start("vmm run", command, place)
    }

    /// Starts a redis-server whose files are in `data`.
    pub(in crate::bench) fn start_redis(
        &self,
        subject: Subject,
        data: &Path,
    ) -> Result<Server, KvError> {
        let place = sockets()?;
        let command = redis::command(&self.redis, subject, &socket(&place), data);
        Server::start(subject.word(), command, place)
    }
}

fn sockets() -> Result<TempDir, KvError> {
    TempDir::with_prefix("atoll-").map_err(KvError::host("making a directory for sockets"))
}

fn socket(place: &TempDir) -> PathBuf {
    place.path().join("kv")
}

fn control(place: &TempDir) -> PathBuf {
    place.path().join("control")
}

impl Server {
    fn start(who: &str, mut command: Command, place: TempDir) -> Result<Self, KvError> {
        let began = Instant::now();
        let process = Process::start(&mut command).map_err(|cause| {
            let program = PathBuf::from(command.get_program());
            KvError::Program { program, cause }
        })?;
        Ok(Self { who: who.to_owned(), process, place, began })
    }

    /// Where it listens.
    pub(in crate::bench) fn socket(&self) -> PathBuf {
        socket(&self.place)
    }

    /// Talks with it as soon as it listens.
    pub(in crate::bench) fn talk(&mut self) -> Result<Talk, KvError> {
        let socket = self.socket();
        let stream = self.process.connect(&socket, self.began, PATIENCE);
        let what = format!("connecting to {}", self.who);
        Talk::over(stream.map_err(KvError::host(what))?)
    }

    /// Ends it in good order.
    pub(in crate::bench) fn stop(mut self) {
        self.process.stop();
    }

    /// Ends it as a failing host would: it is not asked, and does nothing more.
    pub(in crate::bench) fn kill(mut self) {
        self.process.kill();
    }

    /// Why it does not answer, if that is because it is no more.
    pub(in crate::bench) fn check(&mut self) -> Result<(), KvError> {
        match self.process.ended() {
            Ok(Some(status)) => Err(KvError::Ended {
                who: self.who.clone(),
                status: status.to_string(),
                said: self.process.last_words(),
            }),
            Ok(None) => Ok(()),
            Err(cause) => Err(KvError::host("waiting for a server")(cause)),
        }
    }
}
