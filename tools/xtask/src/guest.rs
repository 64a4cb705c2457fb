//! Owns how guest programs are compiled: freestanding, for the host's triple, with flags of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, cargo};
use crate::workspace::{GuestServer, Workspace};

/// The package of the kernel. Not to be compiled together with host crates: they would give its
/// dependencies the standard library, whose panic handler is not its own.
pub const KERNEL: &str = "atoll-guest";

/// Naming the target, though it is the host's, keeps the flags off build scripts and macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The flags of guest code: no unwinding, fixed addresses, frame pointers for backtraces, and a
/// static program that is nothing but what the linker script lays out.
fn flags(root: &Path) -> Vec<String> {
    let script = root.join("guest-kernel/link.ld");
    [
        "-Cpanic=abort",
        "-Crelocation-model=static",
        "-Cforce-frame-pointers=yes",
        "-Clink-arg=-nostartfiles",
        "-Clink-arg=-nostdlib",
        "-Clink-arg=-static",
        "-Clink-arg=-no-pie",
        &format!("-Clink-arg=-Wl,-T,{}", script.display()),
        "-Clink-arg=-Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A cargo command over the programs of `servers`, such as `build` or `clippy`.
pub fn cargo_for(workspace: &Workspace, verb: &str, servers: &[GuestServer]) -> Command {
    let mut command = cargo();
    command
        .args([verb, "--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(workspace.guest_target())
        // 0x1f parts flags that may themselves have blanks, as a path can.
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&workspace.root).join("\x1f"))
        .current_dir(&workspace.root);
    for GuestServer { package, program } in servers {
        command.args(["-p", package, "--bin", program, "--features", &format!("{package}/guest")]);
    }
    command
}

/// Compiles `servers`.
pub fn build(workspace: &Workspace, servers: &[GuestServer]) -> Result<()> {
    if servers.is_empty() {
        return Ok(());
    }
    process::run(&mut cargo_for(workspace, "build", servers))
}

/// Where the program of `server` is, once it is compiled.
pub fn program(workspace: &Workspace, server: &GuestServer) -> PathBuf {
    workspace.guest_target().join(TARGET).join("guest").join(&server.program)
}

/// The guest servers of these names; all if there are none.
pub fn named(workspace: &Workspace, names: &[String]) -> Result<Vec<GuestServer>> {
    let all = workspace.guest_servers();
    if names.is_empty() {
        return Ok(all);
    }
    let known: Vec<_> = all.iter().map(|server| server.program.as_str()).collect();
    for name in names {
        if !known.contains(&name.as_str()) {
            bail!("no guest server is named `{name}`; there are: {}", known.join(", "));
        }
    }
    Ok(all.into_iter().filter(|server| names.contains(&server.program)).collect())
}
