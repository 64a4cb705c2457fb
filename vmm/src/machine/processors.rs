//! The host's processors, as far as this process may use them.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// The processors that this process may use, by number.
///
/// # Errors
/// If the host does not say.
pub fn allowed() -> Result<Vec<usize>, Errno> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect())
}
