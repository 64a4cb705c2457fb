//! Tests of the whole server through its sessions, a file per subject.

mod aborts;
mod commands;
mod kept;
mod limits;
mod model;
mod protocol;
mod rig;
mod shelf;
mod typed;
