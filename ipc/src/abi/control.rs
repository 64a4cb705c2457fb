//! The control page: what a vCPU tells the nucleus when it exits. The guest writes it, so the
//! nucleus reads each word once and believes none.

use super::layout::CHANNELS_MAX;
use crate::sync::{AtomicU32, AtomicU64};

/// Longest text of a console line or panic message, in bytes; longer ones are cut.
pub const TEXT_MAX: usize = 2048;

/// [`Control::wait_ns`] of a wait without a deadline.
pub const FOREVER: u64 = u64::MAX;

/// [`Control::status`] of a wait for anything but messages: a channel that wants attention does not
/// end it, and does not keep the vCPU from its sleep.
pub const DEAF: u32 = 1;

/// One vCPU's control page.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Control {
    /// The page's own address, put there by the nucleus. The vCPU's FS base points here, so
    /// `fs:[0]` tells a vCPU which page is its own.
    pub this: AtomicU64,
    /// For WAIT: the longest sleep, in nanoseconds, or [`FOREVER`].
    pub wait_ns: AtomicU64,
    /// For WAIT: channels whose doorbell is to be rung first, a bit each.
    pub kick: [AtomicU64; CHANNELS_MAX as usize / 64],
    /// For EXIT: the status; 0 is success. For COMPLAIN: the channel. For READY: 0 for a checkpoint.
    /// For WAIT: [`DEAF`], or 0.
    pub status: AtomicU32,
    /// For LOG: the level, 1 (error) to 5 (trace).
    pub level: AtomicU32,
    /// For LOG and PANIC: bytes of text.
    pub length: AtomicU32,
    /// For PANIC: the return address and frame pointer from which to trace back.
    pub frame: [AtomicU64; 2],
    /// Counts how often the server said that it is alive.
    pub heartbeats: AtomicU64,
    /// The text, UTF-8 in a well-behaved guest.
    pub text: [AtomicU64; TEXT_MAX / 8],
}
