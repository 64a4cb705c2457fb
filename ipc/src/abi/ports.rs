//! The I/O ports through which ring 3 reaches the nucleus. Writing any other port is a fault.
//!
//! | port | written by | meaning |
//! |---|---|---|
//! | [`FAULT`] | ring 0 | an exception stub reports; the frame is on the ring-0 stack |
//! | [`WAIT`] | ring 3 | ring the doorbells in [`Control::kick`], then sleep until kicked or until [`Control::wait_ns`] have passed; unless [`Control::status`] is [`DEAF`], also until a channel wants attention ([`Ready`]) |
//! | [`EXIT`] | ring 3 | the server ends, with [`Control::status`] |
//! | [`PANIC`] | ring 3 | the server gives up; [`Control::text`] says why |
//! | [`LOG`] | ring 3 | a console line: [`Control::text`], at [`Control::level`] |
//! | [`COMPLAIN`] | ring 3 | the peer of channel [`Control::status`] broke the protocol |
//! | [`READY`] | ring 3, vCPU 0 | the server has begun; with [`Control::status`] 0 a checkpoint is taken here, so this may return more than once |
//! | [`REST`] | ring 3, vCPU 0 | the server is at rest, as [`BootPage::resting`] asks: a checkpoint can be taken here, so this may return more than once |
//! | [`KICK`] + *n* | ring 3 | doorbell of channel *n*; an ioeventfd, so the vCPU runs on |
//!
//! One byte is written. Its value means nothing, but must be zero for a doorbell.
//!
//! [`BootPage::resting`]: super::BootPage::resting
//! [`Control::kick`]: super::Control::kick
//! [`Control::wait_ns`]: super::Control::wait_ns
//! [`Control::status`]: super::Control::status
//! [`Control::text`]: super::Control::text
//! [`DEAF`]: super::DEAF
//! [`Ready`]: crate::ready::Ready
//! [`Control::level`]: super::Control::level

/// An exception stub reports. Below 256, so that the stub needs no register to name it.
pub const FAULT: u16 = 0x0f;
/// Sleep.
pub const WAIT: u16 = 0x10;
/// End.
pub const EXIT: u16 = 0x11;
/// Give up.
pub const PANIC: u16 = 0x12;
/// Say something.
pub const LOG: u16 = 0x13;
/// Complain of a peer.
pub const COMPLAIN: u16 = 0x14;
/// Say that the server has begun.
pub const READY: u16 = 0x15;
/// Say that the server is at rest.
pub const REST: u16 = 0x16;
/// Doorbell of channel 0.
pub const KICK: u16 = 0x400;

/// The ports that ring 3 may write, as ranges (the I/O permission bitmap).
pub const ALLOWED: [core::ops::Range<u16>; 2] =
    [WAIT..REST + 1, KICK..KICK + super::CHANNELS_MAX as u16];
