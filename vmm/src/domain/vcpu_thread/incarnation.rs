//! How incarnations begin, by order and by licence, and the checkpoint that later ones begin from.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use atoll_ipc::abi::BootPage;

use super::super::blueprint::bytes_of_boot_page;
use super::super::fault::{Cause, Snapshot};
use super::super::succession::{Steps, Stopwatch, Succession, renew_channels};
use super::{Origin, ReportKind, Stop, VcpuThread};
use crate::machine::MachineError;
use crate::machine::memory::RolledBack;
use crate::machine::vcpu::{Reach, Vcpu};

/// Vectors of exceptions.
const DEBUG: u8 = 1;
const DOUBLE_FAULT: u8 = 8;

impl VcpuThread {
    /// Whether the next incarnation may begin without an order.
    pub(super) fn may_succeed(&self, cause: &Cause) -> bool {
        let shared = &*self.shared;
        *cause != Cause::Exit { status: 0 }
            && shared.memory.has_checkpoint()
            && shared.licence.take()
    }

    /// Begins the next incarnation from the checkpoint.
    pub(super) fn succeed(
        &self,
        vcpu: &mut Vcpu,
        cause: Cause,
        snapshot: Box<Snapshot>,
        ended: Instant,
    ) -> Result<(), MachineError> {
        let shared = &*self.shared;
        let mut watch = Stopwatch::since(ended);
        let mut steps = Steps { report: watch.lap(), ..Steps::default() };
        let epoch = shared.epoch.load(Relaxed) + 1;
        vcpu.roll_back(reach_of(&cause))?;
        steps.registers = watch.lap();
        let RolledBack { copied, dropped } = shared.memory.roll_back()?;
        steps.written = copied + dropped;
        self.introduce(vcpu, epoch)?;
        steps.memory = watch.lap();
        renew_channels(&shared.blueprint, epoch, &cause, &snapshot);
        steps.channels = watch.lap();
        self.ready.set(true);
        let succession = Succession { epoch, cause, snapshot, ended, steps };
        self.report(ReportKind::Succeeded(Box::new(succession)));
        Ok(())
    }

    pub(super) fn start(
        &self,
        vcpu: &mut Vcpu,
        epoch: u32,
        origin: Origin,
    ) -> Result<(), MachineError> {
        if self.index != 0 {
            return vcpu.reset();
        }
        let shared = &*self.shared;
        let origin = if shared.memory.has_checkpoint() { origin } else { Origin::Image };
        match origin {
            // As both were made.
            Origin::Image if vcpu.is_new() && !shared.memory.has_checkpoint() => (),
            Origin::Image => {
                vcpu.reset()?;
                shared.memory.return_to_image()?;
            }
            Origin::Checkpoint => {
                vcpu.roll_back(Reach::All)?;
                shared.memory.roll_back()?;
                shared.memory.use_checkpoint();
            }
        }
        self.ready.set(origin == Origin::Checkpoint);
        self.started.set(Instant::now());
        self.introduce(vcpu, epoch)?;
        self.report(ReportKind::Started { epoch, origin });
        Ok(())
    }

    /// Writes what differs between incarnations.
    fn introduce(&self, vcpu: &Vcpu, epoch: u32) -> Result<(), MachineError> {
        let shared = &*self.shared;
        shared.epoch.store(epoch, Relaxed);
        let page = self.boot_page(vcpu, epoch)?;
        shared.memory.write(shared.blueprint.plan.boot(), bytes_of_boot_page(&page))
    }

    /// The server has begun: it can be taken back here from now on, if it says so and no other
    /// vCPU is under way.
    pub(super) fn take_checkpoint(&self, vcpu: &mut Vcpu) -> Result<Option<Stop>, MachineError> {
        if self.index != 0 || self.ready.replace(true) {
            let port = atoll_ipc::abi::ports::READY;
            return Ok(Some(Stop::Ended(Cause::Port { port, write: true })));
        }
        let shared = &*self.shared;
        let checkpoint =
            self.control()?.status.load(Relaxed) == 0 && shared.blueprint.plan.vcpus == 1;
        if checkpoint {
            vcpu.take_checkpoint()?;
            shared.memory.take_checkpoint()?;
        }
        let (epoch, after) = (shared.epoch.load(Relaxed), self.started.get().elapsed());
        self.report(ReportKind::Ready { epoch, checkpoint, after });
        // An interruption that came while the registers were read ended only that.
        self.order(vcpu)
    }

    fn boot_page(&self, vcpu: &Vcpu, epoch: u32) -> Result<BootPage, MachineError> {
        let mut seed = [[0; 8]; 4];
        getrandom::fill(seed.as_flattened_mut()).map_err(|error| MachineError::Memory {
            what: "a random seed",
            cause: std::io::Error::other(error.to_string()),
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(BootPage {
            epoch: epoch.into(),
            seed: seed.map(|word| u64::from_ne_bytes(word).into()),
            tsc_hz: vcpu.tsc_hz().unwrap_or_else(crate::machine::host::measured_tsc_hz),
            started_unix_ns: (now.as_nanos() as u64).into(),
            ..self.shared.blueprint.boot_page()
        })
    }
}

/// How much of the vCPU may have changed in an incarnation that ended so.
const fn reach_of(cause: &Cause) -> Reach {
    match cause {
        Cause::TripleFault | Cause::Stuck { .. } => Reach::All,
        // A double fault may have followed a debug exception.
        Cause::Exception { vector: DEBUG | DOUBLE_FAULT, .. } => Reach::Traced,
        _ => Reach::Ring3,
    }
}
