//! Owns what the server must be told by whoever runs it.

use store::interface::Figures;

/// A way to die, asked for with `DEBUG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Read from an address that is not mapped.
    Segfault,
    /// Panic.
    Panic,
    /// Run for ever without an answer.
    Loop,
    /// Recurse until the stack ends.
    StackOverflow,
    /// Run an undefined instruction.
    Ud2,
    /// Divide by zero.
    DivZero,
}

/// What only the surroundings know, for INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which incarnation of its domain this server is.
    pub epoch: u64,
    /// Milliseconds since this incarnation began.
    pub uptime_ms: u64,
    /// Sessions at present.
    pub clients: usize,
    /// Bytes of the heap in use, everything included.
    pub heap_used: usize,
    /// Bytes of the heap.
    pub heap_total: usize,
}

/// The world around the server.
pub trait Env {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// Microseconds since 1970.
    fn now_us(&self) -> u64;
    /// A number nobody can guess well enough to profit; not for secrets.
    fn random(&mut self) -> u64;
    /// Does what a client asked with `DEBUG`. Not called unless
    /// [`Options::debug`](crate::Options::debug) is set.
    fn debug(&mut self, crash: Crash);
    /// Figures for INFO.
    fn info(&self) -> Facts;
    /// Figures of the store that keeps the database, if it tells them. Not called for a database
    /// that none keeps.
    fn store(&mut self) -> Option<Figures>;
}
