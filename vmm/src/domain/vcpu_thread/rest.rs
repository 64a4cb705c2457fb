//! A server at rest: it stands still between two messages, until a checkpoint was taken of it, or
//! will not be.
//!
//! The nucleus asks for it in the boot page, and is told when the guest has come to rest. A guest
//! that says so without being asked goes on: the nucleus may have changed its mind meanwhile.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use atoll_ipc::abi::BootPage;

use super::super::checkpoint::{Checkpoint, Room, Taken};
use super::super::fault::Cause;
use super::sleep::Asleep;
use super::{Order, ReportKind, Shared, Stop, VcpuThread};
use crate::machine::MachineError;
use crate::machine::vcpu::Vcpu;

/// Where the boot page says which incarnation is to come to rest.
pub(in crate::domain) const fn resting(boot: u64) -> u64 {
    boot + std::mem::offset_of!(BootPage, resting) as u64
}

impl VcpuThread {
    /// The server says that it is at rest.
    pub(super) fn rest(&self, vcpu: &mut Vcpu) -> Result<Option<Stop>, MachineError> {
        if self.index != 0 {
            let port = atoll_ipc::abi::ports::REST;
            return Ok(Some(Stop::Ended(Cause::Port { port, write: true })));
        }
        let epoch = self.shared.epoch.load(Relaxed);
        if !self.is_asked_to_rest(epoch)? {
            return self.order(vcpu);
        }
        let since = Instant::now();
        let asleep = Asleep::enter(&self.shared.blueprint);
        self.report(ReportKind::Rested { epoch });
        let stop = self.stand(vcpu, epoch, since)?;
        drop(asleep);
        match stop {
            // An interruption that came while the registers were read ended only that.
            None => self.order(vcpu),
            stop => Ok(stop),
        }
    }

    fn is_asked_to_rest(&self, epoch: u32) -> Result<bool, MachineError> {
        let mut word = [0; 4];
        let Shared { memory, blueprint, .. } = &*self.shared;
        memory.read(resting(blueprint.plan.boot()), &mut word)?;
        Ok(u32::from_le_bytes(word) == epoch)
    }

    /// Stands still until it may go on, or has to do something else.
    fn stand(
        &self,
        vcpu: &mut Vcpu,
        epoch: u32,
        since: Instant,
    ) -> Result<Option<Stop>, MachineError> {
        loop {
            return Ok(match self.orders.recv() {
                Ok(Order::Checkpoint { room, taken }) => {
                    let checkpoint = self.checkpoint(vcpu, epoch, room);
                    let domain = self.shared.blueprint.id;
                    // Who no longer waits for it need not have it.
                    let _ = taken.send(Taken { domain, checkpoint, stood: since.elapsed() });
                    None
                }
                Ok(Order::GoOnFromRest) => None,
                Ok(Order::Park { ticket }) => Some(Stop::Parked { ticket }),
                Ok(Order::Kill { epoch: meant }) if meant == epoch => {
                    Some(Stop::Ended(Cause::Killed))
                }
                Ok(Order::Quit) | Err(_) => Some(Stop::Quit),
                Ok(Order::Core(seat)) => {
                    self.sit(vcpu, seat);
                    continue;
                }
                Ok(Order::Inject(injection)) => {
                    let injected = injection.apply(vcpu, &self.shared)?;
                    // Who no longer waits for the answer need not have it.
                    let _ = injection.answer.send(injected);
                    continue;
                }
                // Its incarnation ended before it could be killed; and one that was not parked is
                // neither started nor resumed.
                Ok(Order::Kill { .. } | Order::Start { .. } | Order::Resume | Order::GoOn(_)) => {
                    continue;
                }
            });
        }
    }

    fn checkpoint(
        &self,
        vcpu: &mut Vcpu,
        epoch: u32,
        room: Room,
    ) -> Result<Checkpoint, MachineError> {
        let (blueprint, point) = (&self.shared.blueprint, vcpu.point()?);
        let memory = self.shared.memory.contents(&blueprint.writable(), room.memory)?;
        let state = blueprint.state.as_ref().map(|state| state.contents(room.state)).transpose()?;
        Ok(Checkpoint { epoch, point, memory, state })
    }
}
