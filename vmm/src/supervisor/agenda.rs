//! What is due when: at most one time for each domain.

use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Duration, usize)>,
    by_place: Vec<Option<Duration>>,
}

impl Agenda {
    pub(super) fn new(places: usize) -> Self {
        Self { by_time: BTreeSet::new(), by_place: vec![None; places] }
    }

    /// Sets a domain's time, instead of whatever it was.
    pub(super) fn arm(&mut self, place: usize, at: Duration) {
        self.disarm(place);
        self.by_time.insert((at, place));
        self.by_place[place] = Some(at);
    }

    pub(super) fn disarm(&mut self, place: usize) {
        if let Some(at) = self.by_place[place].take() {
            self.by_time.remove(&(at, place));
        }
    }

    /// Whether a domain has a time that is still to come.
    pub(super) fn has(&self, place: usize) -> bool {
        self.by_place[place].is_some()
    }

    /// The next time.
    pub(super) fn first(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes a domain whose time has come.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<usize> {
        let (at, place) = *self.by_time.first()?;
        (at <= now).then(|| {
            self.disarm(place);
            place
        })
    }
}
