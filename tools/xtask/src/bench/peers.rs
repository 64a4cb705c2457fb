//! Owns the programs that kv is measured with and against: redis-server and redis-benchmark, those of
//! the system, or Debian's unpacked below `target/bench`, never installed.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::emulate::apt::{self, Apt};
use crate::emulate::scratch::exclusive;

const SERVER: &str = "redis-server";
const BENCHMARK: &str = "redis-benchmark";
/// The package of both: the second comes with redis-tools, on which the first depends.
const PACKAGE: &str = "redis-server";
/// Where unpacked packages have their shared libraries.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

const LOADER: &str = "ld-linux-x86-64.so.2";

/// Both programs.
#[derive(Debug, PartialEq, Eq)]
pub struct Peers {
    server: PathBuf,
    benchmark: PathBuf,
    /// Where they were unpacked, if they were.
    root: Option<PathBuf>,
}

impl Peers {
    /// Finds the programs, or fetches them into `directory`. Several processes may ask at once.
    pub fn provide(directory: &Path) -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        if let Some(peers) = Self::on(&env::split_paths(&path).collect::<Vec<_>>()) {
            return Ok(peers);
        }
        let _guard = exclusive(directory)?;
        let root = directory.join("root");
        if let Some(peers) = Self::unpacked(&root) {
            return Ok(peers);
        }
        fetch(directory, &root).with_context(|| {
            format!("fetching {SERVER} and {BENCHMARK}, which are not on the PATH")
        })?;
        match Self::unpacked(&root) {
            Some(peers) => Ok(peers),
            None => {
                bail!("the package `{PACKAGE}` and what it depends on lack {SERVER} or {BENCHMARK}")
            }
        }
    }

    fn on(directories: &[PathBuf]) -> Option<Self> {
        let find = |name| directories.iter().map(|d| d.join(name)).find(|path| path.is_file());
        Some(Self { server: find(SERVER)?, benchmark: find(BENCHMARK)?, root: None })
    }

    fn unpacked(root: &Path) -> Option<Self> {
        let peers = Self::on(&[root.join("usr/bin")])?;
        Some(Self { root: Some(root.to_owned()), ..peers })
    }

    /// A command that starts the server.
    pub fn redis_server(&self) -> Command {
        self.command(&self.server)
    }

    /// A command that starts the load.
    pub fn redis_benchmark(&self) -> Command {
        self.command(&self.benchmark)
    }

    /// The server as one program that needs nothing said: itself, or a script in `directory` that knows
    /// where its libraries are. The process that is started so is the server's own.
    pub fn redis_server_as_one(&self, directory: &Path) -> Result<PathBuf> {
        if self.root.is_none() {
            return Ok(self.server.clone());
        }
        let path = directory.join(SERVER);
        fs::write(&path, script(&self.redis_server()))
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// What the server says of its version.
    pub fn version(&self) -> Result<String> {
        let output = self.redis_server().arg("--version").output();
        let output = output.with_context(|| format!("starting {}", self.server.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        Ok(version.unwrap_or("of an unknown version").to_owned())
    }

    fn command(&self, program: &Path) -> Command {
        let Some(root) = &self.root else {
            let mut command = Command::new(program);
            // Set by cargo for what it runs; it has no business in a foreign program.
            command.env_remove("LD_LIBRARY_PATH");
            return command;
        };
        let libraries = LIBRARIES.map(|directory| root.join(directory));
        // A C library among the packages goes with its own loader, and with no other.
        let mut loaders = libraries.iter().map(|directory| directory.join(LOADER));
        let mut command = match loaders.find(|path| path.is_file()) {
            Some(loader) => {
                let mut command = Command::new(loader);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        let [first, second] = libraries;
        let mut joined = first.into_os_string();
        joined.push(":");
        joined.push(second);
        command.env("LD_LIBRARY_PATH", joined);
        command
    }
}

/// A script that becomes what `command` would start.
fn script(command: &Command) -> String {
    let mut words = String::new();
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy();
        words += &format!("{}={} ", name.to_string_lossy(), quoted(&value));
    }
    words += &quoted(&command.get_program().to_string_lossy());
    for word in command.get_args() {
        words += &format!(" {}", quoted(&word.to_string_lossy()));
    }
    format!("#!/bin/sh\nexec env {words} \"$@\"\n")
}

/// A word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn fetch(directory: &Path, root: &Path) -> Result<()> {
    eprintln!("bench: fetching {PACKAGE} and what it needs (about 2 MB, once)");
    let work = tempfile::TempDir::with_prefix_in("fetch-", directory)?;
    let mut apt = Apt::open(work.path())?;
    let packages = work.path().join("packages");
    let files = apt.with_fresh_lists(|apt| {
        if packages.exists() {
            fs::remove_dir_all(&packages)?;
        }
        fs::create_dir(&packages)?;
        apt.download(&apt.missing_for(PACKAGE)?, &packages)
    })?;
    let fresh = work.path().join("root");
    fs::create_dir(&fresh)?;
    for file in &files {
        apt::unpack(file, &fresh)?;
    }
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::rename(&fresh, root).with_context(|| format!("putting {} in its place", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_programs(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        for name in names {
            fs::write(root.path().join("usr/bin").join(name), "").unwrap();
        }
        root
    }

    #[test]
    fn one_program_without_the_other_is_none() {
        assert_eq!(Peers::unpacked(with_programs(&[SERVER]).path()), None);
        assert_eq!(Peers::unpacked(with_programs(&[BENCHMARK]).path()), None);
        assert!(Peers::unpacked(with_programs(&[SERVER, BENCHMARK]).path()).is_some());
    }

    #[test]
    fn unpacked_programs_are_told_where_their_libraries_are_and_others_are_not() {
        let root = with_programs(&[SERVER, BENCHMARK]);
        let libraries = |command: Command| {
            let found = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH");
            found.and_then(|(_, value)| value.map(|value| value.to_string_lossy().into_owned()))
        };
        let unpacked = Peers::unpacked(root.path()).unwrap();
        let expected = root.path().join(LIBRARIES[0]).display().to_string();
        assert!(libraries(unpacked.redis_server()).unwrap().starts_with(&expected));
        assert_eq!(unpacked.redis_server().get_args().count(), 0);
        let found = Peers::on(&[root.path().join("usr/bin")]).unwrap();
        assert_eq!(libraries(found.redis_benchmark()), None);
    }

    #[test]
    fn the_script_becomes_the_program_with_what_it_needs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("script");
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$LIBRARIES $$ $*\"", "it's"]).env("LIBRARIES", "a b:c");
        fs::write(&path, script(&command)).unwrap();
        let child = Command::new("sh")
            .arg(&path)
            .args(["--save", "", "x y"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let told = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8(told).unwrap(), format!("a b:c {pid} --save  x y\n"));
    }

    #[test]
    fn a_server_of_the_system_needs_no_script() {
        let root = with_programs(&[SERVER, BENCHMARK]);
        let directory = root.path().join("usr/bin");
        let found = Peers::on(std::slice::from_ref(&directory)).unwrap();
        assert_eq!(found.redis_server_as_one(root.path()).unwrap(), directory.join(SERVER));
        let unpacked = Peers::unpacked(root.path()).unwrap();
        let script = unpacked.redis_server_as_one(root.path()).unwrap();
        assert_eq!(script, root.path().join(SERVER));
        assert!(script.metadata().unwrap().permissions().mode() & 0o100 != 0);
    }

    #[test]
    fn a_c_library_among_the_packages_brings_its_loader() {
        let root = with_programs(&[SERVER, BENCHMARK]);
        let directory = root.path().join(LIBRARIES[1]);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(LOADER), "").unwrap();
        let command = Peers::unpacked(root.path()).unwrap().redis_server();
        assert_eq!(command.get_program(), directory.join(LOADER).as_os_str());
        let program = root.path().join("usr/bin").join(SERVER);
        assert_eq!(command.get_args().collect::<Vec<_>>(), [program.as_os_str()]);
    }
}
