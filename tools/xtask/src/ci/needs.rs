//! Owns what some checks need and not every machine has: how it is reached, and what is said where
//! it is missing.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A cargo command of the nightly toolchain, free of what the stable one that runs us has set.
pub fn nightly(words: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).args(words);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

/// Whether `probe` succeeds. If not, says that `what` is not there and what adds it, and the check is
/// to be left out; but with CI=true, which asks for every check, that is a failure.
pub fn met(probe: &mut Command, what: &str, remedy: &str) -> Result<bool> {
    let status = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = status.is_ok_and(|status| status.success());
    judge(there, env::var_os("CI").is_some_and(|ci| ci == "true"), what, remedy)
}

fn judge(there: bool, strict: bool, what: &str, remedy: &str) -> Result<bool> {
    if !there && strict {
        bail!("there is no {what}, and CI=true asks for it: {remedy}");
    }
    if !there {
        eprintln!("NOT RUN: there is no {what}; `{remedy}` adds it");
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_left_out_unless_every_check_is_asked_for() {
        let asked = |there, strict| judge(there, strict, "toolchain", "rustup install it");
        assert!(asked(true, true).unwrap() && asked(true, false).unwrap());
        assert!(!asked(false, false).unwrap());
        let expected = "there is no toolchain, and CI=true asks for it: rustup install it";
        assert_eq!(asked(false, true).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_program_that_fails_is_as_good_as_none() {
        assert!(met(&mut Command::new("true"), "true", "nothing").unwrap());
        // Whether it may be missing is for the environment to say.
        for probe in ["false", "/nowhere/nothing"] {
            assert!(!met(&mut Command::new(probe), probe, "nothing").unwrap_or(false));
        }
    }
}
