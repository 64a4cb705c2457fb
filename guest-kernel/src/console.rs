//! Console lines: the `log` crate's macros end here. The nucleus adds domain, epoch and time.

use alloc::string::String;
use core::fmt::Write;

use log::{LevelFilter, Log, Metadata, Record};

use crate::exits;

struct Console;

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", record.args());
        exits::log(record.level() as u32, &text);
    }

    fn flush(&self) {}
}

/// Makes the console the target of `log`; its level is the argument `log=LEVEL`, `info` without.
pub(crate) fn adopt() {
    // It fails only if there is a logger already; an incarnation does this once.
    let _ = log::set_logger(&Console);
    let level = crate::boot::argument("log").and_then(|level| level.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
}
