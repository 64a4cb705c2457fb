//! The few colours there are. They are always written; the output drops them off a terminal.

use anstyle::{AnsiColor, Style};

use crate::control::api::DomainState;
use crate::journal::Level;

pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const HEAD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const PLAIN: Style = Style::new();

pub(super) fn of_state(state: DomainState) -> Style {
    match state {
        DomainState::Running => GOOD,
        DomainState::Starting
        | DomainState::Paused
        | DomainState::Suspended
        | DomainState::BackingOff => WARN,
        DomainState::Faulted => ERROR,
        DomainState::Stopped => DIM,
    }
}

pub(super) fn of_level(level: Level) -> Style {
    match level {
        Level::Error => ERROR,
        Level::Warn => WARN,
        Level::Info => PLAIN,
        Level::Debug | Level::Trace => DIM,
    }
}
