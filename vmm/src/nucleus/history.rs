//! The last faults of one domain, and what followed each.

use std::collections::VecDeque;

use crate::control::api::{Aftermath, Decision, FaultReport};
use crate::journal::EventKind;

/// Faults that are kept. A crash loop shows its pattern in fewer, and a thousand domains that all
/// fill their rings take some 80 MiB: a report with a deep backtrace has about 5 KiB.
pub const KEPT: usize = 16;

/// Fault reports, the oldest first.
#[derive(Debug, Default)]
pub struct History(VecDeque<FaultReport>);

impl History {
    /// Keeps a report; the oldest one goes if there are too many.
    pub fn note(&mut self, report: FaultReport) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(report);
    }

    /// Adds to the last report what followed it. Events that are no consequence of a fault change
    /// nothing: an operator's restart of a domain that ran is none.
    pub fn follow(&mut self, event: &EventKind) {
        let Some(last) = self.0.back_mut() else { return };
        match *event {
            EventKind::DomainRestarted { epoch, origin, micros, steps }
                if epoch == last.epoch + 1 =>
            {
                last.restart = Some(Aftermath::Restarted { epoch, origin, micros, steps });
            }
            EventKind::DomainBackingOff { epoch, micros } if epoch == last.epoch => {
                last.restart = Some(Aftermath::BackingOff { micros });
            }
            _ => (),
        }
    }

    /// The domain will not come back by itself from the end of this incarnation.
    pub fn stays_down(&mut self, epoch: u64) {
        if let Some(last) = self.0.back_mut().filter(|last| last.epoch == epoch) {
            last.restart = Some(Aftermath::StayedDown);
        }
    }

    /// The incarnation goes on after its last fault.
    pub fn goes_on(&mut self, epoch: u64) {
        if let Some(last) = self.0.back_mut().filter(|last| last.epoch == epoch) {
            last.restart = Some(Aftermath::Resumed);
        }
    }

    /// Somebody was to decide what follows the last fault of this incarnation.
    pub fn decided(&mut self, epoch: u64, decision: Decision) {
        if let Some(last) = self.0.back_mut().filter(|last| last.epoch == epoch) {
            last.decision = Some(decision);
        }
    }

    /// The last report.
    pub fn last(&self) -> Option<&FaultReport> {
        self.0.back()
    }

    /// All reports that are kept, the oldest first.
    pub fn reports(&self) -> Vec<FaultReport> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{FaultKind, Hex, Registers};
    use crate::domain::{Origin, Steps};

    fn fault(epoch: u64) -> FaultReport {
        FaultReport {
            domain: "kv".to_owned(),
            epoch,
            time: 0,
            kind: FaultKind::Killed,
            vector: None,
            vector_name: None,
            error_code: None,
            explanation: None,
            rip: Hex(0),
            cr2: None,
            registers: Registers::default(),
            message: None,
            backtrace: Vec::new(),
            vcpu: 0,
            uptime_micros: 0,
            restart_count: epoch - 1,
            decision: None,
            restart: None,
        }
    }

    fn restarted(epoch: u64) -> EventKind {
        let steps = Some(Steps { report: 1, memory: 2, registers: 3, channels: 4, written: 5 });
        EventKind::DomainRestarted { epoch, origin: Origin::Checkpoint, micros: 7, steps }
    }

    #[test]
    fn the_last_faults_are_kept_in_their_order_and_no_more() {
        let mut history = History::default();
        assert!(history.last().is_none() && history.reports().is_empty());
        (1..=20).for_each(|epoch| history.note(fault(epoch)));
        let epochs: Vec<_> = history.reports().iter().map(|report| report.epoch).collect();
        assert_eq!(epochs, (5..=20).collect::<Vec<_>>());
        assert_eq!(history.last().unwrap().epoch, 20);
    }

    #[test]
    fn each_fault_is_told_what_followed_it_and_nothing_else() {
        let mut history = History::default();
        history.follow(&restarted(1));
        history.note(fault(1));
        history.follow(&EventKind::DomainBackingOff { epoch: 1, micros: 10 });
        assert_eq!(history.last().unwrap().restart, Some(Aftermath::BackingOff { micros: 10 }));
        history.follow(&restarted(2));
        let text = history.last().unwrap().restart.unwrap().to_string();
        let steps = "report 1 ns, registers 3 ns, memory 2 ns (5 bytes), channels 4 ns";
        assert_eq!(text, format!("restarted from its checkpoint in 7 us, epoch 2 ({steps})"));
        // An operator's restart of a later incarnation, and an end in good order of that.
        history.follow(&restarted(3));
        history.stays_down(3);
        assert_eq!(history.last().unwrap().restart.unwrap().to_string(), text);
        history.note(fault(4));
        history.goes_on(3);
        assert_eq!(history.last().unwrap().restart, None, "that was another one");
        history.goes_on(4);
        assert_eq!(history.last().unwrap().restart, Some(Aftermath::Resumed));
        history.note(fault(4));
        history.stays_down(4);
        assert_eq!(history.last().unwrap().restart, Some(Aftermath::StayedDown));
        assert_eq!(history.reports()[0].restart.unwrap().to_string(), text);
    }
}
