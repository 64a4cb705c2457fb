//! How a vCPU sleeps, and what the host page tells of it: who runs, and who does not.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use atoll_ipc::abi::{DEAF, FOREVER};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;
use vmm_sys_util::eventfd::EventFd;

use super::super::blueprint::Blueprint;
use super::{Stop, VcpuThread, signal};
use crate::machine::MachineError;
use crate::machine::vcpu::Vcpu;

impl VcpuThread {
    /// The guest sleeps: rings the doorbells that it asks for, and waits for its own.
    pub(super) fn wait(&self, vcpu: &mut Vcpu) -> Result<Option<Stop>, MachineError> {
        let control = self.control()?;
        let channels = &self.shared.blueprint.channels;
        for (index, word) in control.kick.iter().enumerate() {
            let mut bits = word.load(Relaxed);
            while bits != 0 {
                let number = index * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(channel) = channels.get(number) {
                    signal(&channel.doorbell);
                }
            }
        }
        let asleep = Asleep::enter(&self.shared.blueprint);
        // A client that came before it was told asleep did not kick.
        let heeds_clients = self.index == 0 && control.status.load(Relaxed) != DEAF;
        if !heeds_clients || !self.shared.blueprint.ready.is_raised() {
            self.sleep(control.wait_ns.load(Relaxed));
        }
        drop(asleep);
        self.order(vcpu)
    }

    /// Sleeps until the domain is woken (vCPU 0 only: it does the IPC), an order comes, or `ns`
    /// nanoseconds have passed.
    fn sleep(&self, ns: u64) {
        let limit = (ns != FOREVER).then(|| TimeSpec::from_duration(Duration::from_nanos(ns)));
        let events = [&*self.ordered, &*self.shared.blueprint.wake];
        let mut fds = events.map(|event| PollFd::new(borrowed(event), PollFlags::POLLIN));
        let count = if self.index == 0 { 2 } else { 1 };
        match nix::poll::ppoll(&mut fds[..count], limit, None) {
            Ok(0) | Err(Errno::EINTR) => return,
            Ok(_) => (),
            Err(errno) => log::error!("{}: sleeping failed: {errno}", self.shared.blueprint.name),
        }
        for (event, fd) in events.iter().zip(&fds[..count]) {
            if fd.any() == Some(true) {
                // It may have been read meanwhile; then there is nothing to clear.
                let _ = event.read();
            }
        }
    }
}

/// A vCPU that runs, as the host page tells it.
pub(super) struct Running<'b>(&'b Blueprint);

impl<'b> Running<'b> {
    pub(super) fn enter(blueprint: &'b Blueprint) -> Self {
        blueprint.host_page.enter(blueprint.group, blueprint.id);
        Self(blueprint)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.host_page.leave(self.0.group, self.0.id);
    }
}

/// One that sleeps for a while.
pub(super) struct Asleep<'b>(&'b Blueprint);

impl<'b> Asleep<'b> {
    pub(super) fn enter(blueprint: &'b Blueprint) -> Self {
        blueprint.host_page.leave(blueprint.group, blueprint.id);
        Self(blueprint)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.host_page.enter(self.0.group, self.0.id);
    }
}

fn borrowed(event: &EventFd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as `event` is borrowed.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}
