//! A member that has failed and is kept whole until its supervisor domain has decided.

use std::time::Duration;

use super::{Member, Notice, Phase, Rest, World};
use crate::control::api::Registers;
use crate::domain::{Cause, Snapshot};
use crate::supervisor::End;

/// How a suspended domain could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// At its registers, as if the exception had been dealt with.
    Return,
    /// As if nothing had happened: it only made no progress.
    Continue,
    /// Not at all.
    None,
}

/// Where a suspended domain stands.
#[derive(Debug)]
pub struct Suspension {
    vcpu: u32,
    way: Way,
    registers: Registers,
}

impl Suspension {
    fn new(cause: &Cause, snapshot: &Snapshot, vcpu: u32) -> Self {
        let way = match cause {
            Cause::Exception { .. } => Way::Return,
            Cause::Hung { .. } => Way::Continue,
            // What a server gave up or KVM cannot do has no next instruction.
            _ => Way::None,
        };
        Self { vcpu, way, registers: snapshot.registers }
    }

    /// The registers of the vCPU that failed, as they will be if it goes on.
    pub const fn registers(&self) -> &Registers {
        &self.registers
    }

    /// The registers, if they may be changed. (A domain that hung may stand anywhere, also where
    /// the VMM owes it the end of an exit.)
    pub fn registers_mut(&mut self) -> Option<&mut Registers> {
        (self.way == Way::Return).then_some(&mut self.registers)
    }

    /// Whether it can go on.
    pub fn can_resume(&self) -> bool {
        self.way != Way::None
    }
}

impl Member {
    /// Where it stands, if it is suspended.
    pub fn suspension(&self) -> Option<&Suspension> {
        match &self.phase {
            Phase::Suspended(suspension) => Some(suspension),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn suspension_mut(&mut self) -> Option<&mut Suspension> {
        match &mut self.phase {
            Phase::Suspended(suspension) => Some(suspension),
            _ => None,
        }
    }

    /// What is made of an end: a suspension, if it is a failure that somebody wants to hear of.
    pub(super) fn settle_end(
        &mut self,
        (cause, snapshot, vcpu): (&Cause, &Snapshot, u32),
        (end, uptime): (End, Duration),
        world: World<'_>,
    ) {
        let is_failure = matches!(end, End::Fault | End::Hung | End::StartTimedOut);
        let is_settled = self.incarnation.leaving || self.incarnation.condemned;
        let suspends = self.is_ward && is_failure && !is_settled && !self.broken;
        let notice = if suspends {
            self.phase = Phase::Suspended(Box::new(Suspension::new(cause, snapshot, vcpu)));
            Notice::Suspended { end, uptime }
        } else {
            self.phase = Phase::Down(Rest::Turn);
            Notice::Ended { end, uptime }
        };
        world.notices.give(self.id(), notice);
    }

    /// It is decided that a suspended incarnation ends; what follows is decided, too.
    pub fn end_suspension(&mut self) {
        if self.suspension().is_some() {
            self.phase = Phase::Down(Rest::Turn);
        }
    }

    /// Ends a suspended incarnation, whatever its supervisor domain wants.
    pub(super) fn override_suspension(&mut self, end: End, world: World<'_>) {
        self.end_suspension();
        let uptime = self.ended - self.incarnation.since;
        world.notices.give(self.id(), Notice::Ended { end, uptime });
    }

    /// Lets a suspended incarnation go on; whether it can.
    pub fn go_on(&mut self, world: World<'_>) -> bool {
        let Some(&Suspension { vcpu, way, registers }) = self.suspension() else { return false };
        match way {
            Way::None => return false,
            Way::Return => self.domain.go_on(vcpu, registers),
            Way::Continue => self.domain.resume(),
        }
        self.failed = false;
        self.phase = Phase::Running;
        world.links.lives(self.id());
        self.history.goes_on(self.epoch().into());
        true
    }
}
