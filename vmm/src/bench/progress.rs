//! The bar on the terminal while a run goes on.

use indicatif::{ProgressBar, ProgressStyle};

use super::engine::Step;
use super::form::form;

const TEMPLATE: &str = "{bar:30} {pos}/{len}  {elapsed} gone, {eta} to go  {msg}";

/// Shows how far a run is, on standard error, if that is a terminal. Nothing is left of it when it
/// goes.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar that shows nothing before the first step.
    #[expect(clippy::new_without_default, reason = "it takes the terminal; that is no default")]
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        // A template that cannot be read leaves the one that indicatif brings.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows what is measured now.
    pub fn show(&self, step: Step<'_>) {
        let Step { done, total, round, case } = step;
        self.tell(done, total, format!("round {round}: {}, {}", case.subject, form(case)));
    }

    /// Shows how much of all is done, and what is next.
    pub fn tell(&self, done: u64, total: u64, what: String) {
        self.0.set_length(total);
        self.0.set_message(what);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_read() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
