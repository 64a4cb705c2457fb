//! A member at rest, and one that goes on from a snapshot.

use std::sync::mpsc;

use super::{Member, Phase};
use crate::control::api::Restored;
use crate::domain::{Domain, Room, Taken};

impl Member {
    /// A domain that was made with a checkpoint: its first incarnation follows the one that was
    /// snapshotted.
    pub fn restored(domain: Domain, from: Restored) -> Self {
        let mut member = Self::new(domain);
        // A file's epochs are small enough.
        member.incarnation.epoch = u32::try_from(from.epoch).unwrap_or(u32::MAX - 1);
        member.first = member.incarnation.epoch + 1;
        member.restored = Some(from);
        member
    }

    /// What it was restored from.
    pub const fn origin(&self) -> Option<&Restored> {
        self.restored.as_ref()
    }

    /// Whether it can come to rest.
    ///
    /// # Errors
    /// With what is in the way.
    pub fn may_rest(&self) -> Result<(), String> {
        if !self.is_single() {
            let vcpus = self.domain.blueprint().plan.vcpus;
            return Err(format!(
                "has {vcpus} vCPUs, and nobody can say where the workers of others than vCPU 0 are \
                 when that waits for a message: only domains with one vCPU have checkpoints"
            ));
        }
        match self.phase {
            Phase::Running if !self.incarnation.leaving => Ok(()),
            Phase::Running => Err("is about to end; try again when it has started".to_owned()),
            Phase::Starting { .. } | Phase::Parking { .. } => {
                Err(format!("is {}; try again in a moment", self.state()))
            }
            Phase::Paused => {
                Err("is paused; let it run with `vmm resume`, then try again".to_owned())
            }
            Phase::Suspended(_) | Phase::Down(_) => {
                Err(format!("is {}, and only what runs can come to rest", self.state()))
            }
        }
    }

    /// Asks the server to come to rest.
    pub fn ask_to_rest(&self) {
        self.domain.ask_to_rest(self.epoch());
    }

    /// Whether it is at rest, as it was asked to be.
    pub const fn is_at_rest(&self) -> bool {
        self.is_running() && self.incarnation.at_rest
    }

    pub(super) fn now_rests(&mut self, epoch: u32) {
        self.incarnation.at_rest |= epoch == self.epoch() && self.is_running();
    }

    /// It is asked no longer; and goes on, if it is at rest.
    pub fn end_rest(&mut self) {
        self.domain.ask_to_rest(0);
        if std::mem::take(&mut self.incarnation.at_rest) {
            self.domain.go_on_from_rest();
        }
    }

    /// Has a checkpoint taken of it, at rest, and lets it go on.
    pub fn take_checkpoint(&mut self, room: Room, taken: mpsc::Sender<Taken>) {
        self.domain.ask_to_rest(0);
        self.incarnation.at_rest = false;
        self.domain.take_checkpoint(room, taken);
    }
}
