//! What threads are called, and on which processor a new one begins.
//!
//! Left to itself, a kernel that is a virtual machine mostly puts it where its maker runs, or where
//! another thread does: a processor that has nothing to do is the hypervisor's, and so does not count as
//! idle. There it waits until that other thread sleeps.

use std::ffi::CString;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::prctl::set_name;
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Has a thread that was just made begin on another processor than this one, if there is one. After
/// that it may run where this one may: it must not confine itself meanwhile.
pub fn begin_elsewhere<T>(thread: &JoinHandle<T>) {
    if let Err(errno) = try_to_begin_elsewhere(thread) {
        log::debug!("a thread stays on its maker's processor: {errno}");
    }
}

fn try_to_begin_elsewhere<T>(thread: &JoinHandle<T>) -> Result<(), Errno> {
    let allowed = sched_getaffinity(SELF)?;
    let mut others = allowed;
    others.unset(sched_getcpu()?)?;
    if others == CpuSet::new() {
        return Ok(());
    }
    // To be allowed back does not bring it back.
    restrict(thread, &others)?;
    restrict(thread, &allowed)
}

fn restrict<T>(thread: &JoinHandle<T>, cpus: &CpuSet) -> Result<(), Errno> {
    let size = size_of::<CpuSet>();
    let set = (&raw const *cpus).cast::<libc::cpu_set_t>();
    // SAFETY: the thread is neither joined nor detached as long as its handle is borrowed, and a
    // `CpuSet` is the C library's set in a transparent wrapper.
    match unsafe { libc::pthread_setaffinity_np(thread.as_pthread_t(), size, set) } {
        0 => Ok(()),
        errno => Err(Errno::from_raw(errno)),
    }
}

/// Has the thread that `make` makes begin on this processor, which the calling thread is about to leave
/// to it. It takes its leave first of all.
pub fn begin_here<T>(make: impl FnOnce(Leave) -> T) -> T {
    let leave = Leave(stay_here().inspect_err(not_here).ok());
    let made = make(leave);
    leave.take();
    made
}

/// Confines the calling thread to where it is; returns where it was allowed.
fn stay_here() -> Result<CpuSet, Errno> {
    let allowed = sched_getaffinity(SELF)?;
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    sched_setaffinity(SELF, &here)?;
    Ok(allowed)
}

/// Leave to run on other processors again.
#[derive(Clone, Copy, Debug)]
pub struct Leave(Option<CpuSet>);

impl Leave {
    /// Takes it, for the calling thread.
    pub fn take(self) {
        if let Some(allowed) = self.0 {
            let _ = sched_setaffinity(SELF, &allowed).inspect_err(not_here);
        }
    }
}

/// Gives the calling thread another name, of which the host shows 15 bytes.
pub fn rename(name: &str) {
    // A name with a zero in it is none, and one that is not taken is missed by people only.
    let _ = CString::new(name).map(|name| set_name(&name));
}

fn not_here(errno: &Errno) {
    log::debug!("a thread's processors stay as they are: {errno}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_elsewhere_may_run_where_its_maker_may() {
        let allowed = sched_getaffinity(SELF).unwrap();
        let (go, gone) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            gone.recv().unwrap();
            sched_getaffinity(SELF).unwrap()
        });
        begin_elsewhere(&thread);
        go.send(()).unwrap();
        assert_eq!(thread.join().unwrap(), allowed);
    }

    #[test]
    fn who_begins_here_does_and_both_may_leave() {
        let allowed = sched_getaffinity(SELF).unwrap();
        let thread = begin_here(|leave| {
            let here = sched_getcpu().unwrap();
            std::thread::spawn(move || {
                let began = sched_getcpu().unwrap();
                leave.take();
                (here == began, sched_getaffinity(SELF).unwrap())
            })
        });
        assert_eq!(sched_getaffinity(SELF).unwrap(), allowed);
        assert_eq!(thread.join().unwrap(), (true, allowed));
    }
}
