//! What memory costs: slots, first touches, roll-backs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_ipc::abi::layout::{CHANNEL_STRIDE, CHANNELS, PAGE};

use super::{Figures, MeasureError};
use crate::doctor::guest::{self, HEAP_PAGES, Machine};
use crate::doctor::sample::{Budget, Spread, timed};
use crate::machine::host::Host;
use crate::machine::memory::DomainMemory;

/// A domain has at most so many channels, each in a slot.
const SLOTS: Budget = Budget::new(100, 250);
/// Pages that are touched between two exits. An exit's cost fluctuates by about what touching a
/// page costs: it must be spread over several.
const AT_ONCE: u32 = 16;
const TOUCHES: Budget = Budget::new(HEAP_PAGES as usize / AT_ONCE as usize, 200);
const ROLL_BACKS: Budget = Budget::new(50, 200);

pub(super) fn measure(host: &Host, figures: &mut Figures) -> Result<(), MeasureError> {
    figures.add_slot = Spread::of(&add_slots(host)?);
    (figures.first_touch, figures.touch_again) = touches(host)?;
    figures.roll_back_1 = Spread::of(&roll_backs(host, 1)?);
    figures.roll_back_100 = Spread::of(&roll_backs(host, 100)?);
    Ok(())
}

fn add_slots(host: &Host) -> Result<Vec<Duration>, MeasureError> {
    let mut machine = Machine::new(host, &guest::exiting())?;
    machine.step()?;
    let page = Arc::new(DomainMemory::build(PAGE, |_| Ok(()))?);
    let mut address = CHANNELS;
    SLOTS.collect(|| {
        let (added, time) = timed(|| machine.vm.lend(address, page.clone()));
        address += CHANNEL_STRIDE;
        added?;
        // What a change costs may fall due only when the guest runs again: let it, untimed.
        machine.step()?;
        Ok(time)
    })
}

/// First touches of new memory, and of memory that was rolled back. Each sample is a run to the
/// next exit; what that costs where the pages are there already is taken off.
fn touches(host: &Host) -> Result<(Option<Spread>, Option<Spread>), MeasureError> {
    let mut machine = Machine::new(host, &guest::writing(AT_ONCE))?;
    let first = pages(&mut machine, TOUCHES)?;
    let same = Budget { runs: first.len(), ..TOUCHES };
    machine.vcpu.reset()?;
    let present = Spread::of(&pages(&mut machine, same)?).map_or(Duration::ZERO, |s| s.p50());
    machine.vcpu.reset()?;
    machine.memory.roll_back()?;
    let again = pages(&mut machine, same)?;
    let spread = |samples: &[Duration]| {
        let each = |run: &Duration| run.saturating_sub(present) / AT_ONCE;
        Spread::of(&samples.iter().map(each).collect::<Vec<_>>())
    };
    Ok((spread(&first), spread(&again)))
}

fn pages(machine: &mut Machine, budget: Budget) -> Result<Vec<Duration>, MeasureError> {
    // Up to the first exit, before any page.
    machine.step()?;
    budget.collect(|| {
        let (ran, time) = timed(|| machine.step());
        ran.map(|()| time)
    })
}

/// Roll-backs after a guest wrote `pages` pages.
fn roll_backs(host: &Host, pages: u32) -> Result<Vec<Duration>, MeasureError> {
    let mut machine = Machine::new(host, &guest::writing(pages))?;
    let (began, mut samples) = (Instant::now(), Vec::new());
    while !ROLL_BACKS.is_spent(samples.len(), began) {
        machine.vcpu.reset()?;
        machine.step()?;
        machine.step()?;
        let (rolled, time) = timed(|| machine.memory.roll_back());
        rolled?;
        samples.push(time);
    }
    Ok(samples)
}
