//! What it costs to make a machine, run it once, and give it back.

use std::time::{Duration, Instant};

use super::{Figures, MeasureError};
use crate::doctor::guest::{self, Machine};
use crate::doctor::sample::{Budget, Spread, timed};
use crate::machine::host::Host;
use crate::machine::vm::Vm;

const BUDGET: Budget = Budget::new(100, 250);

/// One machine's life.
struct Life {
    create_vm: Duration,
    create_vcpu: Duration,
    first_run: Duration,
    close: Duration,
}

pub(super) fn measure(host: &Host, figures: &mut Figures) -> Result<(), MeasureError> {
    let code = guest::exiting();
    // The first one of a process pays for things that are made once: it counts for nothing.
    live(host, &code)?;
    let (began, mut lives) = (Instant::now(), Vec::new());
    while !BUDGET.is_spent(lives.len(), began) {
        lives.push(live(host, &code)?);
    }
    let spread =
        |part: fn(&Life) -> Duration| Spread::of(&lives.iter().map(part).collect::<Vec<_>>());
    figures.create_vm = spread(|life| life.create_vm);
    figures.create_vcpu = spread(|life| life.create_vcpu);
    figures.first_run = spread(|life| life.first_run);
    figures.close = spread(|life| life.close);
    Ok(())
}

fn live(host: &Host, code: &[u8]) -> Result<Life, MeasureError> {
    let (vm, create_vm) = timed(|| Vm::new(host));
    let (vm, memory) = guest::furnish(vm?, code)?;
    let (vcpu, create_vcpu) = timed(|| guest::vcpu(host, &vm));
    let mut machine = Machine { vcpu: vcpu?, vm, memory };
    let (ran, first_run) = timed(|| machine.step());
    ran?;
    let ((), close) = timed(|| drop(machine));
    Ok(Life { create_vm, create_vcpu, first_run, close })
}
