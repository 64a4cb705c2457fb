//! A system inside this process, for what a benchmark does to it from outside: through channels,
//! and through its control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use atoll_ipc::channel::Layout;
use tempfile::TempDir;

use super::atoll::AtollError;
use crate::manifest::{Manifest, PortRef};
use crate::system::{Groundwork, HostEnds, HostLink, Output, RunOptions, run_with};

/// What is run, and how this process joins in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Embedded<'a> {
    /// Where the images are.
    pub(super) images: &'a Path,
    /// The system.
    pub(super) manifest: &'a str,
    /// Domains and their ports, to each of which there is a channel.
    pub(super) ports: &'a [(String, &'static str)],
    /// How long this process looks for an answer before it sleeps; as long as a sleep costs, if not
    /// said.
    pub(super) spin: Option<Duration>,
    /// Whether it is measured what a sleep costs before anything else is.
    pub(super) settled: bool,
}

impl Embedded<'_> {
    /// Runs it as long as `f` takes, which is given the channels and the control socket.
    pub(super) fn run(&self, f: impl FnOnce(HostEnds, &Path) + Send) -> Result<(), AtollError> {
        self.run_in(&place()?, f)
    }

    /// The same, with its control socket in this directory.
    pub(super) fn run_in(
        &self,
        place: &TempDir,
        f: impl FnOnce(HostEnds, &Path) + Send,
    ) -> Result<(), AtollError> {
        let groundwork = Groundwork::begin();
        let socket = PathBuf::from(place.path()).join("control");
        let manifest = Manifest::parse(self.manifest.as_bytes(), Path::new("bench.toml"))?;
        let links = self.ports.iter().map(|(domain, port)| self.link(domain, port));
        let links = links.collect::<Result<_, _>>()?;
        let options = RunOptions {
            images_dir: self.images.to_owned(),
            socket: Some(socket.clone()),
            output: Output::None,
            from: None,
            disk_faults: Vec::new(),
        };
        run_with(groundwork, manifest, options, links, |ends, stop| {
            if self.settled {
                ends.sleep_cost.wait();
            }
            f(ends, &socket);
            stop.stop();
        })?;
        Ok(())
    }

    fn link(&self, domain: &str, port: &str) -> Result<HostLink, AtollError> {
        let to = PortRef { domain: name(domain)?, port: name(port)? };
        Ok(HostLink::Client { name: name(port)?, to, layout: Layout::DEFAULT, spin: self.spin })
    }
}

/// A directory for the control socket.
pub(super) fn place() -> Result<TempDir, AtollError> {
    let what = "a directory for the control socket";
    TempDir::new().map_err(|cause| AtollError::Host { what, cause })
}

fn name<N: std::str::FromStr>(text: &str) -> Result<N, AtollError> {
    text.parse().map_err(|_| AtollError::Impossible(format!("`{text}` as a name")))
}
