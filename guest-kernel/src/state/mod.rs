//! State that survives: memory that a restart keeps.
//!
//! A manifest may give a domain a state region (`state = "64 MiB"`). Restarts leave it alone, from
//! a checkpoint and from the image alike (CuriOS; the recovery boxes of Baker and Sullivan). What is
//! in it can therefore be *half written*: the server may have died at any instruction. So nobody
//! writes into it directly, but by one of two ways that tell afterwards:
//!
//! - a [`Value`] is bytes that are replaced as a whole: there is always the old one or the new one;
//! - an [`Arena`] is a heap in which ordinary collections live. It is changed in edits, and found
//!   whole unless the server died within one.
//!
//! Both say of themselves whose they are and of which version. What was written by another server,
//! in another version or for a region of another size is [named](Foreign), and not touched.
//!
//! Opening either makes the server [ready](crate::ready), if it has not said so: an incarnation
//! that begins at the checkpoint must look into the region itself, as its memory is older.

mod arena;
mod check;
mod gate;
mod heap;
mod region;
mod value;

pub use arena::{Arena, Cold, Gate, Opened, TooSmall, Vacant};
pub use atoll_ipc::abi::Name;
pub use atoll_ipc::state::arena::Edits;
pub use atoll_ipc::state::{Foreign, TooLong, checksum};
pub use check::Damage;
pub use heap::Usage;
pub use region::{Region, holds, region};
pub use value::Value;

pub(crate) use gate::{is_editing, refuse_amid_edit};
pub(crate) use heap::{allocate, free, resize};
