//! What a member is told to do: by the supervisor, and by operators.

use std::time::Duration;

use super::{Member, Phase, Purpose, Rest, Then, World, micros};
use crate::control::{Operation, Refusal};
use crate::domain::{Cause, Injection};
use crate::journal::EventKind;
use crate::supervisor::{End, Why};

/// The supervisor's.
impl Member {
    /// Asks the server to end in good order.
    pub fn ask_to_stop(&mut self, world: World<'_>) {
        self.domain.revoke_licence();
        self.incarnation.leaving = true;
        match self.phase {
            Phase::Running => self.domain.ask_to_stop(self.epoch()),
            // It cannot hear.
            _ => self.force(Cause::Killed, world),
        }
    }

    /// Ends the incarnation whatever it does.
    pub fn force(&mut self, cause: Cause, world: World<'_>) {
        self.domain.revoke_licence();
        // What was not ready in time has failed; the others are only in the way.
        self.incarnation.leaving = cause == Cause::Killed;
        match &mut self.phase {
            Phase::Running | Phase::Paused => self.park(Purpose::Kill { cause }),
            Phase::Starting { doomed } => *doomed = Some(cause),
            // It ends already.
            Phase::Parking { purpose: Purpose::Ended { .. } | Purpose::Kill { .. }, .. } => (),
            Phase::Parking { purpose, .. } => *purpose = Purpose::Kill { cause },
            Phase::Suspended(_) if cause == Cause::NotReady => {
                self.override_suspension(End::StartTimedOut, world);
            }
            Phase::Suspended(_) => self.override_suspension(End::Killed, world),
            Phase::Down(_) => (),
        }
    }

    /// Ends an incarnation that it began by itself and that is not wanted: nobody need know.
    pub fn recall(&mut self) {
        let recall = Purpose::Recall { then: Then::Rest(Rest::Turn) };
        match &mut self.phase {
            Phase::Running | Phase::Paused => self.park(recall),
            Phase::Parking { purpose, .. } => *purpose = recall,
            Phase::Starting { .. } | Phase::Suspended(_) | Phase::Down(_) => (),
        }
    }

    /// It begins again after a pause: neither its checkpoint nor its image alone has helped.
    pub fn pauses(&mut self, pause: Duration, world: World<'_>) {
        self.rest(Rest::Pause);
        self.afresh |= self.domain.blueprint().drops_state;
        let (epoch, micros) = (self.epoch().into(), micros(pause));
        let event = EventKind::DomainBackingOff { epoch, micros };
        self.history.follow(&event);
        world.journal.event(Some(self.name()), event);
    }

    /// Nothing follows its end.
    pub fn stays_down(&mut self, why: Why, world: World<'_>) {
        self.rest(if self.failed { Rest::Faulted } else { Rest::Stopped });
        self.history.stays_down(self.epoch().into());
        world.links.gone(self.id());
        if !matches!(why, Why::Finished | Why::SystemEnds) {
            let event = EventKind::DomainStaysDown { reason: why.to_string() };
            world.journal.event(Some(self.name()), event);
        }
    }

    /// It is down, or will be as soon as it stands still.
    fn rest(&mut self, rest: Rest) {
        match &mut self.phase {
            Phase::Parking { purpose: Purpose::Recall { then }, .. } => *then = Then::Rest(rest),
            phase => *phase = Phase::Down(rest),
        }
    }
}

/// Operators'.
impl Member {
    /// Whether an operator may ask for a new incarnation now.
    ///
    /// # Errors
    /// If one is just beginning, or ending.
    pub fn may_restart(&self, operation: Operation) -> Result<(), Refusal> {
        match self.phase {
            Phase::Starting { .. } | Phase::Parking { .. } => Err(self.wrong_state(operation)),
            Phase::Running | Phase::Paused | Phase::Suspended(_) | Phase::Down(_) => Ok(()),
        }
    }

    /// Has its next incarnation begin with an empty state region.
    ///
    /// # Errors
    /// If it has none, or none can begin now.
    pub fn forget_state(&mut self) -> Result<(), Refusal> {
        self.may_restart(Operation::ResetState)?;
        if self.domain.blueprint().state.is_none() {
            return Err(Refusal::NoState { domain: self.name().to_owned() });
        }
        self.afresh = true;
        Ok(())
    }

    /// Ends the incarnation as a crash does.
    ///
    /// # Errors
    /// If none runs.
    pub fn kill(&mut self, cause: Cause, world: World<'_>) -> Result<(), Refusal> {
        let is_simple = cause == Cause::Killed && self.is_single();
        self.incarnation.condemned |= cause == Cause::Killed;
        match &mut self.phase {
            Phase::Running if is_simple => {
                self.domain.kill(self.epoch());
            }
            Phase::Running | Phase::Paused => self.park(Purpose::Kill { cause }),
            Phase::Starting { doomed } => *doomed = Some(cause),
            Phase::Parking { purpose: purpose @ (Purpose::Pause | Purpose::GoOn), .. } => {
                *purpose = Purpose::Kill { cause };
            }
            // It is ending already.
            Phase::Parking { .. } => (),
            Phase::Suspended(_) => self.override_suspension(End::Killed, world),
            Phase::Down(_) => return Err(self.wrong_state(Operation::Kill)),
        }
        Ok(())
    }

    /// Harms the guest, if it runs; if not, the injection is dropped, which is an answer.
    pub fn inject(&self, injection: Injection) {
        if self.is_running() {
            self.domain.inject(injection);
        }
    }

    /// Makes the domain stand still.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self) -> Result<(), Refusal> {
        if !self.is_running() {
            return Err(self.wrong_state(Operation::Pause));
        }
        self.park(Purpose::Pause);
        Ok(())
    }

    /// Lets a paused domain run on.
    ///
    /// # Errors
    /// If it is not paused.
    pub fn resume(&mut self, world: World<'_>) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Paused) {
            return Err(self.wrong_state(Operation::Resume));
        }
        self.run_on();
        world.journal.event(Some(self.name()), EventKind::DomainResumed);
        Ok(())
    }

    fn wrong_state(&self, operation: Operation) -> Refusal {
        let remedy = match self.phase {
            Phase::Starting { .. } | Phase::Parking { .. } => "try again in a moment",
            Phase::Running => "it need not be resumed",
            Phase::Paused => "`vmm resume` lets it run on",
            Phase::Suspended(_) => "its supervisor domain decides; `vmm restart` overrules that",
            Phase::Down(Rest::Turn) => "it starts when those that it waits for are up",
            Phase::Down(Rest::Pause) => "`vmm restart` begins its next incarnation at once",
            Phase::Down(Rest::Faulted | Rest::Stopped) => {
                "`vmm restart` begins its next incarnation"
            }
        };
        Refusal::WrongState {
            domain: self.name().to_owned(),
            operation,
            state: self.state(),
            remedy: remedy.to_owned(),
        }
    }
}
