//! Owns what the tests are told about their surroundings: where the VMM and the images are, how
//! slow this machine is, and whether it has KVM.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How long anything may take before a test gives up on it. Nothing waits this long to be right; but
/// a busy host's disk has been seen to take half a minute for one flush.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much slower an emulated machine may be.
const EMULATION: u32 = 5;

/// Whether this is the emulated machine, whose timings mean nothing.
pub fn is_emulated() -> bool {
    is_set("ATOLL_EMULATED")
}

/// How long anything may take here.
pub fn patience() -> Duration {
    if is_emulated() { PATIENCE * EMULATION } else { PATIENCE }
}

/// How often to do something that proves more the more often it is done.
pub fn rounds(native: usize, emulated: usize) -> usize {
    if is_emulated() { emulated } else { native }
}

/// The `vmm` command.
pub fn vmm() -> PathBuf {
    located("ATOLL_VMM", "release/vmm")
}

/// The directory of images.
pub fn images() -> PathBuf {
    located("ATOLL_IMAGES", "images")
}

/// Whether there is a KVM to test on. If not, says so where it is seen; it is a failure where
/// `ATOLL_REQUIRE_KVM` is set.
pub fn has_kvm() -> bool {
    let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") else {
        return true;
    };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let skipped = format!("SKIPPED: no usable /dev/kvm ({error}): {test}");
    assert!(!is_set("ATOLL_REQUIRE_KVM"), "{skipped}; ATOLL_REQUIRE_KVM makes this a failure");
    // Past the test runner, which shows only what failed tests print.
    writeln!(io::stderr(), "{skipped}").expect("standard error takes a line");
    false
}

/// Lets this process, and the systems that it starts, have as many open files as the host allows.
pub fn allow_many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process knows its limits");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit can be raised to its maximum");
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// What a variable says, or else a place in the directory that the tests were built in.
fn located(variable: &str, place: &str) -> PathBuf {
    let built = || {
        // TARGET/PROFILE/deps/TEST
        let program = env::current_exe().expect("a test program has a path");
        program.ancestors().nth(3).expect("it is three levels deep").join(place)
    };
    let path = env::var_os(variable).map_or_else(built, PathBuf::from);
    assert!(
        path.exists(),
        "{} is not there; run `cargo xtask test`, which makes it, or let {variable} name it",
        path.display()
    );
    path
}
