//! What a member's vCPUs report, and what that makes of its incarnation.

use std::time::{Duration, Instant};

use super::{Incarnation, Member, Notice, Phase, Purpose, Rest, Then, World, micros};
use crate::domain::{Cause, Circumstances, Origin, ReportKind, Snapshot, Succession};
use crate::journal::{EventKind, now_micros};
use crate::supervisor::End;

impl Member {
    /// A vCPU reported.
    pub fn reported(&mut self, vcpu: u32, kind: ReportKind, world: World<'_>) {
        match kind {
            ReportKind::Started { epoch, origin } if epoch == self.epoch() => {
                self.now_runs(origin, world);
            }
            ReportKind::Ready { epoch, checkpoint, after } if epoch == self.epoch() => {
                let event = EventKind::DomainReady {
                    epoch: epoch.into(),
                    micros: micros(after),
                    checkpoint,
                };
                world.journal.event(Some(self.name()), event);
                world.notices.give(self.id(), Notice::Ready);
            }
            ReportKind::Rested { epoch } => self.now_rests(epoch),
            ReportKind::Started { epoch, .. } | ReportKind::Ready { epoch, .. } => {
                log::error!("{}: news of epoch {epoch} in epoch {}", self.name(), self.epoch());
            }
            ReportKind::Ended { cause, snapshot } => self.vcpu_ended(cause, snapshot, vcpu, world),
            ReportKind::Parked { ticket, snapshot } => {
                self.vcpu_parked(ticket, vcpu, snapshot, world);
            }
            ReportKind::Succeeded(succession) => self.succeeded(*succession, world),
            ReportKind::Broken(error) => self.broke(&error.to_string(), vcpu, world),
        }
    }

    fn now_runs(&mut self, origin: Origin, world: World<'_>) {
        self.incarnation.since = Instant::now();
        self.domain.start_others(self.epoch());
        let before = std::mem::replace(&mut self.phase, Phase::Running);
        if let Phase::Starting { doomed: Some(cause) } = before {
            self.park(Purpose::Kill { cause });
        }
        let epoch = self.epoch().into();
        let is_first = self.epoch() == self.first;
        let event = match &self.restored {
            Some(from) if is_first => EventKind::DomainRestored { epoch, from: from.clone() },
            None if is_first => EventKind::DomainStarted { epoch },
            _ => EventKind::DomainRestarted {
                epoch,
                origin,
                micros: micros(self.ended.elapsed()),
                steps: None,
            },
        };
        self.history.follow(&event);
        world.journal.event(Some(self.name()), event);
        world.notices.give(self.id(), Notice::Started);
        // It said so before it was snapshotted.
        if is_first && origin == Origin::Checkpoint {
            world.notices.give(self.id(), Notice::Ready);
        }
    }

    /// The domain began its next incarnation by itself, as it was allowed to.
    fn succeeded(&mut self, succession: Succession, world: World<'_>) {
        let Succession { epoch, cause, snapshot, ended, steps } = succession;
        let uptime = ended - self.incarnation.since;
        self.note_fault((&cause, &snapshot), 0, (ended, uptime), world);
        world.notices.give(self.id(), Notice::WentAhead { end: end_of(&cause), uptime });
        self.incarnation = Incarnation::new(epoch, ended + steps.total());
        self.ended = ended;
        if let Phase::Parking { purpose: purpose @ Purpose::Kill { .. }, .. } = &mut self.phase {
            *purpose = Purpose::GoOn;
        }
        let event = EventKind::DomainRestarted {
            epoch: epoch.into(),
            origin: Origin::Checkpoint,
            micros: micros(steps.total()),
            steps: Some(steps),
        };
        self.history.follow(&event);
        world.journal.event(Some(self.name()), event);
    }

    fn vcpu_ended(&mut self, cause: Cause, snapshot: Box<Snapshot>, vcpu: u32, world: World<'_>) {
        let ended = Purpose::Ended { cause, snapshot, vcpu };
        let is_single = self.is_single();
        match &mut self.phase {
            Phase::Parking { purpose: purpose @ Purpose::Recall { .. }, .. } => {
                let recall = purpose.clone();
                self.conclude(recall, None, world);
            }
            // Nobody else has to stand still first, whatever was under way.
            _ if is_single => self.conclude(ended, None, world),
            // The first cause stands; but a fault outweighs an order that it crossed.
            Phase::Parking { purpose: Purpose::Ended { .. }, .. } => (),
            Phase::Parking { purpose, .. } => *purpose = ended,
            _ => self.park(ended),
        }
    }

    fn vcpu_parked(&mut self, ticket: u32, vcpu: u32, snapshot: Box<Snapshot>, world: World<'_>) {
        let all = (1u32 << self.domain.blueprint().plan.vcpus) - 1;
        let Phase::Parking { purpose, ticket: expected, still, first } = &mut self.phase else {
            return;
        };
        if *expected != ticket {
            return;
        }
        *still |= 1 << vcpu;
        if vcpu == 0 {
            *first = Some(snapshot);
        }
        if *still == all {
            let (purpose, first) = (purpose.clone(), first.take());
            self.conclude(purpose, first, world);
        }
    }

    /// All vCPUs stand still.
    fn conclude(&mut self, purpose: Purpose, first: Option<Box<Snapshot>>, world: World<'_>) {
        match purpose {
            Purpose::Pause => {
                self.phase = Phase::Paused;
                world.journal.event(Some(self.name()), EventKind::DomainPaused);
            }
            Purpose::GoOn => self.run_on(),
            Purpose::Recall { then: Then::Rest(rest) } => self.phase = Phase::Down(rest),
            Purpose::Recall { then: Then::Begin(origin) } => {
                self.phase = Phase::Down(Rest::Turn);
                self.begin(origin, world);
            }
            Purpose::Kill { cause } => {
                self.end(&cause, &first.unwrap_or_default(), 0, world);
            }
            Purpose::Ended { cause, snapshot, vcpu } => self.end(&cause, &snapshot, vcpu, world),
        }
    }

    fn end(&mut self, cause: &Cause, snapshot: &Snapshot, vcpu: u32, world: World<'_>) {
        self.ended = Instant::now();
        let uptime = self.ended - self.incarnation.since;
        let leaving = self.incarnation.leaving;
        let end = match end_of(cause) {
            // It did what somebody else wanted, not what its own work had come to.
            End::Clean if leaving => End::Killed,
            end => end,
        };
        let is_clean = matches!(cause, Cause::Exit { status: 0 });
        let is_as_asked = leaving && end == End::Killed;
        self.failed = !is_clean && !is_as_asked;
        if self.failed {
            self.note_fault((cause, snapshot), vcpu, (self.ended, uptime), world);
            if end != End::Killed
                && let Some(fault) = self.history.last()
            {
                world.links.died(self.id(), &fault.summary());
            }
        } else {
            let epoch = self.epoch().into();
            let event = match is_clean {
                true => EventKind::DomainStopped { epoch },
                false => EventKind::DomainForced { epoch },
            };
            world.journal.event(Some(self.name()), event);
        }
        self.settle_end((cause, snapshot, vcpu), (end, uptime), world);
    }

    fn note_fault(
        &mut self,
        (cause, snapshot): (&Cause, &Snapshot),
        vcpu: u32,
        (ended, uptime): (Instant, Duration),
        world: World<'_>,
    ) {
        let circumstances = Circumstances {
            epoch: self.epoch(),
            vcpu,
            ended_micros: now_micros().saturating_sub(micros(ended.elapsed())),
            uptime_micros: micros(uptime),
            restarts: self.restarts(),
        };
        let report = self.domain.report(cause, snapshot, circumstances);
        self.faults += 1;
        let event = EventKind::faulted(&report);
        world.journal.event(Some(self.name()), event);
        self.history.note(report);
    }

    /// The machine itself failed; only a new one can serve.
    fn broke(&mut self, error: &str, vcpu: u32, world: World<'_>) {
        log::error!("{}: its machine failed: {error}", self.name());
        self.broken = true;
        if let Phase::Parking { purpose: Purpose::Recall { then }, .. } = self.phase {
            return self.conclude(Purpose::Recall { then }, None, world);
        }
        let cause = Cause::Stuck { reason: error.to_owned() };
        self.end(&cause, &Snapshot::default(), vcpu, world);
    }
}

/// How the supervisor sees an end.
const fn end_of(cause: &Cause) -> End {
    match cause {
        Cause::Exit { status: 0 } => End::Clean,
        Cause::Killed => End::Killed,
        Cause::Hung { .. } => End::Hung,
        Cause::NotReady => End::StartTimedOut,
        _ => End::Fault,
    }
}
