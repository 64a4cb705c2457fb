//! What a sleep costs here, which is how long a wait looks before it sleeps: guessed while the
//! domains start, and measured when they are up. Measuring takes longer than to start a domain.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use atoll_ipc::abi::HostPage;

use crate::doctor;
use crate::machine::host::Host;
use crate::machine::shared_page::SharedPage;

/// What a sleep costs as long as that was not measured, or cannot be.
const GUESS: Duration = Duration::from_micros(50);
/// The most that it is taken to cost. Where it takes longer, others keep the processors busy, and to
/// look for longer would take them from those who are to answer.
const CEILING: Duration = Duration::from_micros(100);
/// How long domains that are up have for what they do first, before it is measured.
const PAUSE: Duration = Duration::from_millis(10);

/// What a sleep costs. Clones are about the same host.
#[derive(Clone, Debug)]
pub struct SleepCost {
    page: Arc<SharedPage<HostPage>>,
    /// Set when the page says what will stay.
    settled: Arc<OnceLock<()>>,
}

impl SleepCost {
    /// A guess, which goes to the host page.
    pub(super) fn guessed(page: Arc<SharedPage<HostPage>>) -> Self {
        page.set_sleep_ns(GUESS.as_nanos() as u64);
        Self { page, settled: Arc::default() }
    }

    /// Measures it, and tells all domains.
    pub(super) fn measure(&self, host: &Arc<Host>) {
        if let Some(cost) = doctor::sleep_cost(host) {
            self.page.set_sleep_ns(cost.min(CEILING).as_nanos() as u64);
        }
        self.settle();
    }

    /// What the page says will stay.
    pub(super) fn settle(&self) {
        // Whoever settled it before meant the same.
        let _ = self.settled.set(());
    }

    /// Waits until it is measured, or will not be.
    pub fn wait(&self) {
        self.settled.wait();
    }
}

/// When to measure.
#[derive(Debug)]
pub(super) enum Moment {
    /// When all domains are up, and then a little later.
    Up,
    /// Then.
    At(Instant),
    /// It has come.
    Past,
}

impl Moment {
    /// Whether it comes just now.
    pub(super) fn comes(&mut self, up: impl FnOnce() -> bool) -> bool {
        match *self {
            Self::Up if up() => *self = Self::At(Instant::now() + PAUSE),
            Self::At(then) if Instant::now() >= then => *self = Self::Past,
            _ => return false,
        }
        matches!(self, Self::Past)
    }

    /// How long the event loop may block, if it may block for `patience` otherwise.
    pub(super) fn patience(&self, patience: Option<Duration>) -> Option<Duration> {
        let Self::At(then) = self else { return patience };
        let left = then.saturating_duration_since(Instant::now());
        Some(patience.map_or(left, |patience| patience.min(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_measured_once_and_a_little_after_all_are_up() {
        let mut moment = Moment::Up;
        assert!(!moment.comes(|| false));
        assert_eq!(moment.patience(None), None);
        assert!(!moment.comes(|| true));
        let patience = moment.patience(None);
        assert!(patience.is_some_and(|left| left <= PAUSE), "{patience:?}");
        assert_eq!(moment.patience(Some(Duration::ZERO)), Some(Duration::ZERO));
        moment = Moment::At(Instant::now());
        assert!(moment.comes(|| true));
        assert!(!moment.comes(|| true));
        assert_eq!(moment.patience(None), None);
    }

    #[test]
    fn a_guess_stands_until_something_better_is_known() {
        let page: Arc<SharedPage<HostPage>> = Arc::new(SharedPage::new().unwrap());
        let cost = SleepCost::guessed(page.clone());
        assert_eq!(page.sleep_ns(), 50_000);
        cost.settle();
        cost.wait();
        assert_eq!(page.sleep_ns(), 50_000);
    }
}
