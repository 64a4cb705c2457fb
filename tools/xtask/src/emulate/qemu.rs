//! Owns how QEMU is started: the installed one, or one unpacked into a directory of its own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "qemu-system-x86_64";
const LIBRARY_DIRECTORIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
const DATA_DIRECTORIES: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// An emulator that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    program: PathBuf,
    /// Where it was unpacked, if it was.
    root: Option<PathBuf>,
}

impl Qemu {
    /// The one on the `PATH`, if there is one.
    pub fn of_the_system() -> Option<Self> {
        let path = env::var_os("PATH")?;
        let program = env::split_paths(&path).map(|d| d.join(PROGRAM)).find(|p| p.is_file())?;
        Some(Self { program, root: None })
    }

    /// The one unpacked below `root`, if there is one.
    pub fn unpacked(root: &Path) -> Option<Self> {
        let program = root.join("usr/bin").join(PROGRAM);
        program.is_file().then(|| Self { program, root: Some(root.to_owned()) })
    }

    /// A command that starts it, to which options are added.
    pub fn command(&self) -> Command {
        let Some(root) = &self.root else {
            let mut command = Command::new(&self.program);
            // Set by cargo for what it runs; it has no business in a foreign program.
            command.env_remove("LD_LIBRARY_PATH");
            return command;
        };
        let libraries = joined(root, &LIBRARY_DIRECTORIES);
        let mut command = match loader(root) {
            // A C library among the packages goes with its own loader, and with no other.
            Some(loader) => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(&libraries).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.env("LD_LIBRARY_PATH", libraries);
        command.env("QEMU_MODULE_DIR", root.join("usr/lib/x86_64-linux-gnu/qemu"));
        for data in DATA_DIRECTORIES {
            command.arg("-L").arg(root.join(data));
        }
        command
    }
}

fn loader(root: &Path) -> Option<PathBuf> {
    LIBRARY_DIRECTORIES
        .iter()
        .map(|directory| root.join(directory).join("ld-linux-x86-64.so.2"))
        .find(|path| path.is_file())
}

fn joined(root: &Path, directories: &[&str]) -> OsString {
    let mut joined = OsString::new();
    for directory in directories {
        if !joined.is_empty() {
            joined.push(":");
        }
        joined.push(root.join(directory));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn arguments(command: &Command) -> Vec<String> {
        command.get_args().map(|a| a.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn an_unpacked_one_is_told_where_its_data_and_libraries_are() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Qemu::unpacked(root.path()), None);
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin").join(PROGRAM), "").unwrap();
        let command = Qemu::unpacked(root.path()).unwrap().command();
        let text = root.path().display().to_string();
        assert_eq!(command.get_program().to_string_lossy(), format!("{text}/usr/bin/{PROGRAM}"));
        let data = [format!("{text}/usr/share/qemu"), format!("{text}/usr/share/seabios")];
        assert_eq!(arguments(&command), ["-L", &data[0], "-L", &data[1]]);
        let path = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH").unwrap().1;
        assert!(path.unwrap().to_string_lossy().starts_with(&text));
    }

    #[test]
    fn a_c_library_among_the_packages_brings_its_loader() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["usr/bin", "usr/lib/x86_64-linux-gnu"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("usr/bin").join(PROGRAM), "").unwrap();
        let loader = root.path().join("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        fs::write(&loader, "").unwrap();
        let command = Qemu::unpacked(root.path()).unwrap().command();
        assert_eq!(command.get_program(), loader.as_os_str());
        assert_eq!(arguments(&command)[0], "--library-path");
    }
}
