//! Owns what is asked of apt: which packages, which versions, and their files.
//!
//! Nothing here installs anything or writes outside the directory it is given. Where the system's package
//! lists are empty or stale, it makes a private set of lists and leaves the system's alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// A view of the package archive that this system is set up to use.
#[derive(Debug)]
pub struct Apt {
    private: PathBuf,
    use_private: bool,
}

impl Apt {
    /// Opens the view; private lists, should they be needed, go below `directory`.
    pub fn open(directory: &Path) -> Result<Self> {
        let apt = Self { private: directory.join("apt"), use_private: false };
        apt.run("apt-get", &["--version"]).context(
            "the emulated machine is made of Debian packages, and this system has no working apt-get",
        )?;
        Ok(apt)
    }

    /// Runs `work`; if it fails, fetches fresh package lists for private use and runs it once more.
    pub fn with_fresh_lists<T>(&mut self, work: impl Fn(&Self) -> Result<T>) -> Result<T> {
        let first = match work(self) {
            Err(error) if !self.use_private => error,
            outcome => return outcome,
        };
        eprintln!(
            "emulate: the system's package lists do not serve ({first}); fetching private ones"
        );
        self.use_private = true;
        fs::create_dir_all(self.private.join("lists/partial"))?;
        fs::create_dir_all(self.private.join("cache/archives/partial"))?;
        self.run("apt-get", &["-q", "update"]).context("fetching package lists")?;
        work(self)
    }

    /// The packages that installing `name` would add to this system, `name` among them.
    pub fn missing_for(&self, name: &str) -> Result<Vec<String>> {
        let arguments = ["--simulate", "--no-install-recommends", "install", name];
        let names = to_be_installed(&self.run("apt-get", &arguments)?);
        if names.is_empty() {
            bail!("apt would install nothing for `{name}`, though its program is missing here");
        }
        Ok(names)
    }

    /// The first package whose name starts with `prefix` that `name` depends on.
    pub fn dependency(&self, name: &str, prefix: &str) -> Result<String> {
        let text = self.run("apt-cache", &["depends", name])?;
        first_dependency(&text, prefix)
            .with_context(|| format!("the package `{name}` depends on no `{prefix}…`"))
    }

    /// Downloads the files of `packages` into the directory `to`, checked by apt.
    pub fn download(&self, packages: &[String], to: &Path) -> Result<Vec<PathBuf>> {
        let mut command = self.command("apt-get");
        command.args(["-q", "download"]).args(packages).current_dir(to);
        finish(&mut command, "apt-get download")?;
        let mut files = Vec::new();
        for entry in fs::read_dir(to)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "deb") {
                files.push(path);
            }
        }
        files.sort();
        if files.len() != packages.len() {
            bail!("apt delivered {} files for {} packages", files.len(), packages.len());
        }
        Ok(files)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = finish(self.command(program).args(arguments), program)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // What apt says is read here, so it must not be translated.
        command.env("LC_ALL", "C.UTF-8").env_remove("LD_LIBRARY_PATH");
        // apt's download user may not enter a checkout; its worry about that is noise here.
        command.args(["-o", "APT::Sandbox::User=root"]);
        if self.use_private {
            for (option, below) in [
                ("Dir::State::lists", "lists"),
                ("Dir::Cache", "cache"),
                ("Dir::Cache::archives", "cache/archives"),
            ] {
                let mut value = OsString::from(format!("{option}="));
                value.push(self.private.join(below));
                command.arg("-o").arg(value);
            }
        }
        command
    }
}

/// Unpacks one package file below `root`.
pub fn unpack(package: &Path, root: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("--extract").arg(package).arg(root).env_remove("LD_LIBRARY_PATH");
    finish(&mut command, "dpkg-deb --extract").map(drop)
}

fn finish(command: &mut Command, what: &str) -> Result<Output> {
    let output = command.output().with_context(|| format!("starting {what}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let errors: Vec<_> = said.lines().filter(|l| !l.starts_with("W:")).map(str::trim).collect();
        bail!("{what} failed ({}): {}", output.status, errors.join(" "));
    }
    Ok(output)
}

/// Reads the `Inst NAME …` lines of a simulated installation.
fn to_be_installed(simulation: &str) -> Vec<String> {
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Reads the `Depends: NAME` lines of `apt-cache depends`.
fn first_dependency(text: &str, prefix: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.trim().trim_start_matches('|').strip_prefix("Depends: "))
        .find(|name| name.starts_with(prefix))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_names_what_would_be_installed() {
        let text = "Reading package lists...\n\
            Inst libslirp0 (4.7.0-1 Debian:12.11/stable [amd64])\n\
            Inst libc6 [2.36-9] (2.36-10 Debian:12.11/stable [amd64]) []\n\
            Conf libslirp0 (4.7.0-1 Debian:12.11/stable [amd64])\n";
        assert_eq!(to_be_installed(text), ["libslirp0", "libc6"]);
    }

    #[test]
    fn the_kernel_behind_the_meta_package_is_found() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-base\n  \
            |Depends: linux-image-6.1.0-56-cloud-amd64\n";
        let found = first_dependency(text, "linux-image-");
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(first_dependency("x\n  Suggests: linux-image-9\n", "linux-image-"), None);
    }
}
