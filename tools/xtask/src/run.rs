//! Owns `cargo xtask run`: a system in the foreground, here or in the emulated machine.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cli::RunArgs;
use crate::emulate::{self, Job, Kind, Shipped, Step};
use crate::guest;
use crate::host::{self, Place};
use crate::images;
use crate::manifest::{Copy, Manifest};
use crate::workspace::Workspace;

/// Where things are in the machine.
const VMM: &str = "/atoll/bin/vmm";
pub const IMAGES: &str = "/atoll/images";
const MANIFESTS: &str = "/atoll/manifests";

/// Builds what the manifest needs and runs it. The result is the exit code to end with.
pub fn run(workspace: &Workspace, arguments: &RunArgs) -> Result<i32> {
    host::build_vmm(workspace)?;
    // One that cannot be read is for the VMM to complain about, with the place and the remedy.
    if let Ok(manifest) = Manifest::read(&arguments.manifest) {
        make_images(workspace, &manifest)?;
    }
    match host::place(arguments.emulate) {
        Place::Host => become_vmm(workspace, arguments),
        Place::Emulated => run_emulated(workspace, arguments),
    }
}

/// Names that no guest server has are left out: the image may have come from elsewhere, and if not,
/// the VMM says so.
fn make_images(workspace: &Workspace, manifest: &Manifest) -> Result<()> {
    let needed = manifest.image_names();
    let mut servers = guest::named(workspace, &[])?;
    servers.retain(|server| needed.contains(&server.program));
    images::make(workspace, &servers)
}

/// Replaces this process by the VMM, which so gets every signal and gives the exit code itself.
fn become_vmm(workspace: &Workspace, arguments: &RunArgs) -> Result<i32> {
    let mut command = Command::new(workspace.vmm());
    command
        .arg("run")
        .arg(&arguments.manifest)
        .arg("--images")
        .arg(workspace.images())
        .args(&arguments.vmm)
        .env_remove("LD_LIBRARY_PATH");
    Err(command.exec()).with_context(|| format!("starting {}", workspace.vmm().display()))
}

fn run_emulated(workspace: &Workspace, arguments: &RunArgs) -> Result<i32> {
    // Mistakes in the manifest are told here at once, with the paths that the user knows.
    let check = Command::new(workspace.vmm())
        .arg("check")
        .arg(&arguments.manifest)
        .arg("--images")
        .arg(workspace.images())
        .env_remove("LD_LIBRARY_PATH")
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("starting {}", workspace.vmm().display()))?;
    if !check.success() {
        return Ok(check.code().unwrap_or(1));
    }
    let copy = Manifest::read(&arguments.manifest)?.for_emulation();
    announce(&copy);
    let job = job(workspace, arguments, copy)?;
    let mut out = io::stdout();
    // Nobody to read it is no reason to stop serving.
    emulate::run(&workspace.emulate(), &job, move |bytes| {
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    })
}

fn announce(copy: &Copy) {
    for forward in &copy.forwards {
        eprintln!("emulate: {} leads to the gateway at port {} inside", forward.host, forward.port);
    }
    for note in &copy.notes {
        eprintln!("emulate: {note}");
    }
}

fn job(workspace: &Workspace, arguments: &RunArgs, copy: Copy) -> Result<Job> {
    let name = arguments.manifest.file_name().unwrap_or_default().to_string_lossy();
    let manifest = format!("{MANIFESTS}/{name}");
    let mut command: Vec<String> =
        [VMM, "run", &manifest, "--images", IMAGES].map(str::to_owned).to_vec();
    command.extend(arguments.vmm.iter().map(|word| word.to_string_lossy().into_owned()));
    let mut files = vec![vmm(workspace)];
    files.extend(all_images(workspace)?);
    files.extend(copy.files.into_iter().map(|(from, to)| Shipped { from, to, kind: Kind::Data }));
    Ok(Job {
        files,
        texts: vec![(manifest, copy.text)],
        environment: environment(),
        steps: vec![Step { name: "vmm".to_owned(), command }],
        forwards: copy.forwards,
        deadline: None,
    })
}

/// The VMM as a file to ship.
pub fn vmm(workspace: &Workspace) -> Shipped {
    Shipped { from: workspace.vmm(), to: VMM.to_owned(), kind: Kind::Program }
}

/// All images that are there, as files to ship.
pub fn all_images(workspace: &Workspace) -> Result<Vec<Shipped>> {
    let directory = workspace.images();
    let mut files = Vec::new();
    if !directory.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(&directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".img") {
            let from = directory.join(&name);
            files.push(Shipped { from, to: format!("{IMAGES}/{name}"), kind: Kind::Data });
        }
    }
    files.sort_by(|a, b| a.to.cmp(&b.to));
    Ok(files)
}

/// What programs inside must know: that time there means nothing, and whether anybody sees colours.
pub fn environment() -> Vec<(String, String)> {
    let mut environment = vec![("ATOLL_EMULATED".to_owned(), "1".to_owned())];
    if io::stdout().is_terminal() {
        let terminal = env::var("TERM").unwrap_or_else(|_| "linux".to_owned());
        environment.push(("TERM".to_owned(), terminal));
    } else {
        environment.push(("TERM".to_owned(), "dumb".to_owned()));
        environment.push(("NO_COLOR".to_owned(), "1".to_owned()));
    }
    for name in ["RUST_BACKTRACE", "RUST_LOG", "NO_COLOR"] {
        if let Ok(value) = env::var(name) {
            environment.push((name.to_owned(), value));
        }
    }
    environment
}
