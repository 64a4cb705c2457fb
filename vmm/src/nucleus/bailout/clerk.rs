//! What a supervisor domain asks about domains that are suspended for it: the nucleus as server.
//!
//! Each question carries a capability, and is answered only for a domain that is suspended right
//! now and was reported on this channel. Registers are those that the vCPU's thread noted when it
//! stopped, memory is read where it lies: no vCPU runs, and nobody is waited for.

use atoll_ipc::bailout::{Capability, READ_MAX, Registers, SuspendedServer};
use atoll_ipc::interface::{Bytes, Word};
use atoll_ipc::message::Status;

use super::report::{from_message, registers};
use super::{Case, Table};
use crate::machine::descriptors::is_address;
use crate::nucleus::Member;

/// One turn of answering.
#[derive(Debug)]
pub struct Clerk<'a> {
    cases: &'a Table<Case>,
    members: &'a mut [Member],
    /// What was read last: a reply is lent by the server.
    bytes: Vec<u8>,
}

impl<'a> Clerk<'a> {
    /// Answers for these cases.
    pub const fn new(cases: &'a Table<Case>, members: &'a mut [Member]) -> Self {
        Self { cases, members, bytes: Vec::new() }
    }

    fn member(&mut self, domain: Capability) -> Result<&mut Member, Status> {
        let case = self.cases.get(domain).ok_or(Status::Denied)?;
        let member = self.members.get_mut(case.domain).ok_or(Status::Denied)?;
        member.suspension().is_some().then_some(member).ok_or(Status::Denied)
    }
}

impl SuspendedServer for Clerk<'_> {
    fn read(
        &mut self,
        domain: Capability,
        address: Word,
        length: u32,
    ) -> Result<Bytes<'_>, Status> {
        if length > READ_MAX {
            return Err(Status::Malformed);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(length as usize, 0);
        let read = self.member(domain)?.domain.read_memory(address.0, &mut bytes);
        read.map_err(|_| Status::Malformed)?;
        self.bytes = bytes;
        Ok(Bytes(&self.bytes))
    }

    fn registers(&mut self, domain: Capability) -> Result<Registers, Status> {
        let suspension = self.member(domain)?.suspension().ok_or(Status::Denied)?;
        Ok(registers(suspension.registers()))
    }

    fn set_registers(&mut self, domain: Capability, new: Registers) -> Result<(), Status> {
        let suspension = self.member(domain)?.suspension_mut().ok_or(Status::Denied)?;
        let own = suspension.registers_mut().ok_or(Status::Denied)?;
        if !is_address(new.rip.0) {
            return Err(Status::Malformed);
        }
        *own = from_message(&new);
        Ok(())
    }
}
