//! The making of a vCPU, by the thread that will run it, while the domain's memory is made by
//! another.

use std::sync::Arc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::blueprint::Blueprint;
use crate::machine::MachineError;
use crate::machine::attendant::Attendant;
use crate::machine::host::Host;
use crate::machine::plan::Plan;
use crate::machine::vcpu::{Blank, Start, Vcpu};
use crate::machine::vm::Vm;

/// What a vCPU is made from. Whoever runs the vCPU keeps this as long: it keeps the VM.
#[derive(Debug)]
pub struct Birth {
    host: Arc<Host>,
    vm: Arc<Vm>,
    plan: Plan,
    start: Start,
    cpus: Vec<usize>,
    domain: String,
}

impl Birth {
    /// Of a domain's vCPU.
    pub fn of(host: &Arc<Host>, vm: &Arc<Vm>, blueprint: &Blueprint, index: u32) -> Self {
        Self {
            host: host.clone(),
            vm: vm.clone(),
            plan: blueprint.plan,
            start: Start {
                index,
                entry: blueprint.image.entry(),
                boot: blueprint.plan.boot(),
                has_stubs: blueprint.image.stubs().is_some(),
            },
            cpus: blueprint.cpus.clone(),
            domain: blueprint.name.to_string(),
        }
    }

    /// Takes the domain's processors, and makes the vCPU: both are this thread's from now on.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn vcpu(&self) -> Result<Vcpu, MachineError> {
        self.settle();
        Vcpu::new(&self.host, &self.vm, &self.plan, self.start)
    }

    /// The same with one that this thread has made already.
    ///
    /// # Errors
    /// If KVM refuses.
    pub fn adopt(&self, blank: Blank) -> Result<Vcpu, MachineError> {
        self.settle();
        Vcpu::of(blank, &self.plan, self.start)
    }

    /// Whether any processor will do.
    pub const fn is_free(&self) -> bool {
        self.cpus.is_empty()
    }

    /// The thread that has this vCPU already, or is about to.
    pub fn attendant(&self) -> Option<Attendant> {
        if self.start.index == 0 { self.vm.attendant() } else { None }
    }

    fn settle(&self) {
        if self.is_free() {
            return;
        }
        let mut cpus = CpuSet::new();
        let known = self.cpus.iter().try_for_each(|&cpu| cpus.set(cpu));
        if let Err(errno) = known.and_then(|()| sched_setaffinity(Pid::from_raw(0), &cpus)) {
            log::warn!("{}: its processors cannot be set: {errno}", self.domain);
        }
    }
}
