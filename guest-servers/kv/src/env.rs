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
    /// What it began with.
    pub origin: Origin,
    /// Microseconds until then.
    pub start_us: u64,
}

/// Where the keys come from with which a server began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// There were none.
    #[default]
    Nowhere,
    /// An earlier incarnation left them where a restart keeps them.
    Kept,
    /// The store had them.
    Store,
}

/// Hears when the database is about to change, and when it has: for one that lives where a restart
/// keeps it. What is allocated in between is the database's own. Whatever only looks at the keyspace
/// may change it, too, as it finds keys whose time is over.
pub trait Edits {
    /// A change begins. There is none under way.
    fn begin_edit(&mut self) {}
    /// It is done.
    fn end_edit(&mut self) {}

    /// One that whoever runs the server makes.
    fn edit<R>(&mut self, change: impl FnOnce() -> R) -> R
    where
        Self: Sized,
    {
        self.begin_edit();
        let result = change();
        self.end_edit();
        result
    }
}

/// The world around the server.
pub trait Env: Edits {
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
