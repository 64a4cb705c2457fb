//! How a thread of the VMM waits at its end of a channel.

use std::hint::spin_loop;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_ipc::abi::HostPage;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;
use vmm_sys_util::eventfd::EventFd;

use crate::machine::shared_page::SharedPage;

/// Looks between two readings of the clock.
const LOOKS: u32 = 64;

/// How long to look before a sleep.
#[derive(Clone, Debug)]
pub enum Spin {
    /// So long.
    For(Duration),
    /// For as long as a sleep costs, which this page tells.
    AsSleep(Arc<SharedPage<HostPage>>),
}

impl Spin {
    fn duration(&self) -> Duration {
        match self {
            Self::For(duration) => *duration,
            Self::AsSleep(page) => Duration::from_nanos(page.sleep_ns()),
        }
    }
}

/// Waits for an event, or for what comes without one: it looks for a while, then sleeps.
#[derive(Clone, Debug)]
pub struct Waiter {
    wake: Arc<EventFd>,
    spin: Spin,
}

impl Waiter {
    /// A waiter that is woken by this event, and looks for so long before it sleeps.
    pub const fn new(wake: Arc<EventFd>, spin: Spin) -> Self {
        Self { wake, spin }
    }

    /// Looks until something is found, for as long as is worth it.
    pub(crate) fn spin<T>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let spin = self.spin.duration();
        if spin.is_zero() {
            return None;
        }
        let began = Instant::now();
        let worth = began.checked_add(spin);
        loop {
            for _ in 0..LOOKS {
                if let Some(found) = look() {
                    return Some(found);
                }
                spin_loop();
            }
            let now = Instant::now();
            let is_past = |end: Option<Instant>| end.is_some_and(|end| now >= end);
            if is_past(worth) || is_past(deadline) {
                return None;
            }
        }
    }

    /// Sleeps until woken; returns whether the deadline has passed.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return true;
        }
        // SAFETY: the descriptor is open as long as `self.wake` is.
        let fd = unsafe { BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&*self.wake)) };
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        match nix::poll::ppoll(&mut fds, left.map(TimeSpec::from_duration), None) {
            Ok(0) => true,
            Ok(_) => {
                // It may have been read meanwhile; then there is nothing to clear.
                let _ = self.wake.read();
                false
            }
            Err(Errno::EINTR) => false,
            Err(errno) => {
                log::error!("waiting on a channel failed: {errno}");
                true
            }
        }
    }
}
