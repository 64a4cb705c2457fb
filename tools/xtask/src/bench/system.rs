//! Owns a running system with the kv server: a variant of `images/kv.toml` on a port of its own, with a
//! private control socket.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use toml_edit::{DocumentMut, Item, value};

use super::control::{Control, Report};
use crate::workspace::Workspace;

/// The domain that is measured.
pub const KV: &str = "kv";

/// No system takes longer to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether the system is there: neither is measured.
const PAUSE: Duration = Duration::from_millis(2);
/// Lines of the VMM's log that are shown when it failed.
const TAIL: usize = 12;

/// A system that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct System {
    vmm: Child,
    log: PathBuf,
    /// Its control API.
    pub control: Control,
    /// Where kv listens.
    pub address: SocketAddr,
}

impl System {
    /// Starts one; its files go into `directory`.
    pub fn start(workspace: &Workspace, directory: &Path) -> Result<Self> {
        let original = workspace.manifests().join("kv.toml");
        let text = fs::read_to_string(&original)
            .with_context(|| format!("reading {}", original.display()))?;
        let manifest = directory.join("kv.toml");
        fs::write(
            &manifest,
            variant(&text).with_context(|| format!("in {}", original.display()))?,
        )?;
        let (socket, log) = (directory.join("control.sock"), directory.join("vmm.log"));
        let mut vmm = spawn(workspace, &manifest, &socket, &log)?;
        match connect(&mut vmm, &socket) {
            Ok((control, address)) => Ok(Self { vmm, log, control, address }),
            Err(error) => {
                end(&mut vmm);
                Err(error
                    .context(format!("the VMM did not start; its last words:\n{}", tail(&log))))
            }
        }
    }

    /// Process id of the VMM.
    pub fn pid(&self) -> u32 {
        self.vmm.id()
    }

    /// The report on kv.
    pub fn kv(&mut self) -> Result<Report> {
        self.control.inspect(KV)
    }

    /// Stops it in good order.
    pub fn stop(mut self) -> Result<()> {
        self.control.stop()?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.vmm.try_wait()? {
                if !status.success() {
                    bail!("the VMM ended badly ({status}); its last words:\n{}", tail(&self.log));
                }
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("the VMM was told to stop and did not; its last words:\n{}", tail(&self.log))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        end(&mut self.vmm);
    }
}

/// Ends a process, which may have ended already, and leaves no zombie.
pub fn end(child: &mut Child) {
    // Neither fails but for one that is gone.
    let _ = child.kill();
    let _ = child.wait();
}

fn spawn(workspace: &Workspace, manifest: &Path, socket: &Path, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
    Command::new(workspace.vmm())
        .arg("run")
        .arg(manifest)
        .arg("--images")
        .arg(workspace.images())
        .arg("--socket")
        .arg(socket)
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("starting {}", workspace.vmm().display()))
}

/// Waits until the control API answers, and asks it where kv listens.
fn connect(vmm: &mut Child, socket: &Path) -> Result<(Control, SocketAddr)> {
    let start = Instant::now();
    loop {
        if let Some(status) = vmm.try_wait()? {
            bail!("it ended at once ({status})");
        }
        match Control::connect(socket) {
            Ok(mut control) => {
                let address = control.inspect(KV)?.address()?;
                return Ok((control, address));
            }
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(error).with_context(|| format!("connecting to {}", socket.display()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// The manifest with a port that the host chooses.
fn variant(text: &str) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let gateways = document.get_mut("gateways").and_then(Item::as_array_of_tables_mut);
    let gateway = gateways.and_then(|gateways| gateways.get_mut(0));
    gateway.context("it has no [[gateways]]")?.insert("listen", value("127.0.0.1:0"));
    let domains = document.get("domains").and_then(Item::as_table_like);
    let domains = domains.context("it has no [domains]")?;
    domains.get(KV).with_context(|| format!("it has no [domains.{KV}]"))?;
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_of_the_shipped_manifest_has_what_benchmarks_need() {
        let shipped = include_str!("../../../../images/kv.toml");
        let document: DocumentMut = variant(shipped).unwrap().parse().unwrap();
        assert_eq!(document["gateways"][0]["listen"].as_str(), Some("127.0.0.1:0"));
        assert_eq!(document["gateways"][0]["to"].as_str(), Some("kv:redis"));
    }

    #[test]
    fn a_manifest_without_kv_is_refused() {
        let error = |text| variant(text).unwrap_err().to_string();
        assert_eq!(error("name = \"x\"\n"), "it has no [[gateways]]");
        let text = "[domains.a]\nimage = \"a\"\n[[gateways]]\nlisten = \"x\"\n";
        assert_eq!(error(text), "it has no [domains.kv]");
    }
}
