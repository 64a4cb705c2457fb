//! Compiles the programs that are started and killed: each by itself, since each is linked in
//! another way, and none is to depend on anything.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program: its source, its name, and how it is linked.
const PROGRAMS: [(&str, &str, &[&str]); 3] = [
    ("answer.rs", "dynamic", &["-C", "target-feature=-crt-static"]),
    ("answer.rs", "static", &["-C", "target-feature=+crt-static", "-C", "relocation-model=static"]),
    (
        "tiny.rs",
        "tiny",
        &[
            "-C",
            "relocation-model=static",
            "-C",
            "link-args=-nostartfiles -nostdlib -static -Wl,--build-id=none -Wl,-z,norelro -Wl,-n",
        ],
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=programs");
    println!("cargo::rerun-if-changed=build.rs");
    let (rustc, out) = (variable("RUSTC"), PathBuf::from(variable("OUT_DIR")));
    for (source, name, flags) in PROGRAMS {
        compile(&rustc, &Path::new("programs").join(source), &out.join(name), flags);
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| fail(&format!("{name}: {error}; cargo sets it")))
}

fn compile(rustc: &str, source: &Path, program: &Path, flags: &[&str]) {
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "--target", &variable("TARGET")]);
    command.args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols"]);
    command.args(flags).arg("-o").arg(program).arg(source);
    match command.status() {
        Ok(status) if status.success() => (),
        Ok(status) => fail(&format!("rustc could not make {} ({status})", program.display())),
        Err(error) => fail(&format!("cannot run {rustc}: {error}")),
    }
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    std::process::exit(1)
}
