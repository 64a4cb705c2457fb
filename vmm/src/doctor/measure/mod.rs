//! What each operation costs on this host.
//!
//! Every measurement is made with a machine of its own and ends after a number of runs or a span
//! of time, whichever comes first: all together take less than three seconds on a host that is
//! fit for use.

mod birth;
mod exits;
mod kicks;
mod memory;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::sample::{Budget, Spread};
use crate::machine::MachineError;
use crate::machine::host::Host;

/// Why something could not be measured.
#[derive(Debug, Error)]
pub(super) enum MeasureError {
    /// No machine could be made or driven.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The guest's few instructions did something else.
    #[error("a test guest ended with `{exit}` where it should have written an I/O port")]
    Unexpected {
        /// The exit, as counters call it.
        exit: &'static str,
    },
    /// Doorbells were lost.
    #[error("a test guest rang its doorbell {rung} times, but {heard} were heard")]
    Unheard {
        /// How often it rang.
        rung: u64,
        /// How often the VMM was told.
        heard: u64,
    },
    /// Something that takes microseconds did not happen in seconds.
    #[error("a test guest did not {what} within 5 seconds")]
    Silent {
        /// What it should have done.
        what: &'static str,
    },
    /// The host denied something besides KVM.
    #[error("{what} cannot be had: {cause}")]
    Denied {
        /// What it was.
        what: &'static str,
        /// What the host said.
        cause: io::Error,
    },
}

/// What was measured; None where it was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    /// `KVM_CREATE_VM`.
    pub(super) create_vm: Option<Spread>,
    /// A vCPU, with its registers set.
    pub(super) create_vcpu: Option<Spread>,
    /// From entering a new guest to its first exit.
    pub(super) first_run: Option<Spread>,
    /// Giving all of it back.
    pub(super) close: Option<Spread>,
    /// An exit to the VMM and back into the guest.
    pub(super) exit: Option<Spread>,
    /// A doorbell that KVM serves by itself, with nobody asleep on it: the vCPU runs on. Means over
    /// several.
    pub(super) doorbell: Option<Spread>,
    /// From signalling the event on which a vCPU's thread sleeps until its guest runs.
    pub(super) wake: Option<Spread>,
    /// From sending a signal to a running vCPU until its thread is out of the guest.
    pub(super) interrupt: Option<Spread>,
    /// Adding a memory slot to a VM that has run.
    pub(super) add_slot: Option<Spread>,
    /// A guest's first write to a page. Means over several.
    pub(super) first_touch: Option<Spread>,
    /// The same, of a page that was rolled back.
    pub(super) touch_again: Option<Spread>,
    /// Rolling memory back of which the guest wrote one page.
    pub(super) roll_back_1: Option<Spread>,
    /// The same, of which it wrote a hundred.
    pub(super) roll_back_100: Option<Spread>,
}

impl Figures {
    /// Measures everything.
    pub(super) fn measure(&mut self, host: &Arc<Host>) -> Result<(), MeasureError> {
        birth::measure(host, self)?;
        exits::measure(host, self)?;
        kicks::measure(host, self)?;
        memory::measure(host, self)
    }

    /// The sum of what an exit and a wake-up cost, from a few of each.
    pub(super) fn sleep_cost(host: &Arc<Host>) -> Result<Option<Duration>, MeasureError> {
        const FEW: Budget = Budget::new(24, 4);
        let (exit, wake) = (exits::exit(host, FEW)?, kicks::wake_up(host, FEW)?);
        Ok(exit.zip(wake).map(|(exit, wake)| exit.p50() + wake.p50()))
    }

    /// What an exit and a doorbell cost.
    pub(super) fn exit_costs(
        host: &Arc<Host>,
    ) -> Result<Option<(Duration, Duration)>, MeasureError> {
        let mut figures = Self::default();
        exits::measure(host, &mut figures)?;
        Ok(figures.exit.zip(figures.doorbell).map(|(exit, bell)| (exit.p50(), bell.p50())))
    }

    /// Each figure with its name, in the order in which people read them.
    pub(super) fn rows(&self) -> [(&'static str, Option<Spread>); 13] {
        [
            ("create a VM", self.create_vm),
            ("create a vCPU", self.create_vcpu),
            ("first run of a new guest", self.first_run),
            ("close a VM", self.close),
            ("exit to the VMM and back", self.exit),
            ("doorbell (ioeventfd)", self.doorbell),
            ("wake of a sleeping vCPU", self.wake),
            ("interruption of a running vCPU", self.interrupt),
            ("add a memory slot", self.add_slot),
            ("first touch of a page", self.first_touch),
            ("touch of a page rolled back", self.touch_again),
            ("roll-back of 1 page", self.roll_back_1),
            ("roll-back of 100 pages", self.roll_back_100),
        ]
    }
}
