//! What it costs to leave the guest: to the VMM, and only as far as KVM.

use std::time::Duration;

use atoll_ipc::abi::ports;
use vmm_sys_util::eventfd::EventFd;

use super::{Figures, MeasureError};
use crate::doctor::guest::{self, Machine};
use crate::doctor::sample::{Budget, Spread, timed};
use crate::machine::host::Host;

const BUDGET: Budget = Budget::new(3_000, 250);

/// Exits before any is counted: what is slow about a new guest is another figure.
const WARM_UP: usize = 20;

/// Doorbells before each exit: few enough to keep the spread, enough for the exit's own
/// fluctuation to weigh little.
const RINGS: u32 = 8;

/// What one exit costs.
pub(super) fn exit(host: &Host, budget: Budget) -> Result<Option<Spread>, MeasureError> {
    Ok(Spread::of(&steps(&mut Machine::new(host, &guest::exiting())?, budget)?))
}

pub(super) fn measure(host: &Host, figures: &mut Figures) -> Result<(), MeasureError> {
    figures.exit = exit(host, BUDGET)?;
    let cost = figures.exit.map_or(Duration::ZERO, |spread| spread.p50());

    let mut machine = Machine::new(host, &guest::ringing(RINGS))?;
    let bell = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)
        .map_err(|cause| MeasureError::Denied { what: "an event", cause })?;
    machine.vm.add_doorbell(ports::KICK, &bell)?;
    let samples = steps(&mut machine, BUDGET)?;
    all_heard(&bell, samples.len() + WARM_UP)?;
    let each = |step: &Duration| step.saturating_sub(cost) / RINGS;
    figures.doorbell = Spread::of(&samples.iter().map(each).collect::<Vec<_>>());
    Ok(())
}

fn steps(machine: &mut Machine, budget: Budget) -> Result<Vec<Duration>, MeasureError> {
    for _ in 0..WARM_UP {
        machine.step()?;
    }
    budget.collect(|| {
        let (ran, time) = timed(|| machine.step());
        ran.map(|()| time)
    })
}

/// An eventfd counts: a doorbell that went elsewhere would be missing.
fn all_heard(bell: &EventFd, steps: usize) -> Result<(), MeasureError> {
    let rung = steps as u64 * u64::from(RINGS);
    let heard = bell.read().unwrap_or(0);
    if heard == rung { Ok(()) } else { Err(MeasureError::Unheard { rung, heard }) }
}
