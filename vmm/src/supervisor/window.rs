//! How often a group was restarted of late.

use std::collections::VecDeque;
use std::time::Duration;

/// The restarts within the last period. As in OTP, one that is exactly a period old still
/// counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Window(VecDeque<Duration>);

impl Window {
    /// Counts one more restart, if there may be one.
    pub(super) fn admit(&mut self, now: Duration, intensity: u32, period: Duration) -> bool {
        while self.0.front().is_some_and(|at| now.saturating_sub(*at) > period) {
            self.0.pop_front();
        }
        let room = self.0.len() < intensity as usize;
        if room {
            self.0.push_back(now);
        }
        room
    }

    /// Whether one more would be admitted now.
    pub(super) fn has_room(&self, now: Duration, intensity: u32, period: Duration) -> bool {
        let counted = self.0.iter().filter(|at| now.saturating_sub(**at) <= period).count();
        counted < intensity as usize
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
