//! What the nucleus and a guest kernel promise each other.
//!
//! A vCPU starts in ring 3 at the image's entry, with `rdi` = address of the [`BootPage`],
//! `rsi` = number of the vCPU, `rsp` = top of its stack (a multiple of 16), FS base = its
//! [`Control`] page, and the other registers zero. Interrupts do not exist; time is the TSC. What
//! the domain may touch is in [`layout`], what it may ask is in [`ports`].

mod boot;
mod control;
mod decl;
mod host;
pub mod layout;
pub mod ports;

pub use boot::*;
pub use control::*;
pub use decl::*;
pub use host::*;
pub use layout::{CHANNELS_MAX, VCPUS_MAX};
