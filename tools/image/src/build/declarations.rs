//! What a program says of itself, read from the sections that the guest kernel's macros fill.
//!
//! The records are taken apart field by field at the offsets of the very types that the guest
//! kernel places there, so the two cannot drift.

use super::BuildError;
use super::elf::Elf;
use crate::wire;
use atoll_ipc::abi::{
    ABI_VERSION, Interface, NAME_MAX, Name, PORTS_SECTION, PortDecl, SERVER_SECTION, ServerDecl,
};
use std::mem::offset_of;

/// Everything that a program declares.
pub(super) struct Declarations {
    pub server: Option<ServerDecl>,
    pub ports: Vec<Port>,
}

/// A declared port; its kind is any number yet.
pub(super) struct Port {
    name: Name,
    kind: u32,
    interface: Interface,
}

impl Port {
    pub fn record(&self) -> wire::Port<'_> {
        let Interface { name, version, fingerprint, .. } = &self.interface;
        wire::Port {
            name: self.name.as_str(),
            kind: self.kind,
            interface: wire::Interface {
                name: name.as_str(),
                version: *version,
                fingerprint: *fingerprint,
            },
        }
    }
}

/// Reads the declarations of an ELF. One without any is no error.
pub(super) fn read(elf: &Elf<'_>) -> Result<Declarations, BuildError> {
    let server = elf.section(SERVER_SECTION).map(|section| server(section.bytes)).transpose()?;
    let ports =
        elf.section(PORTS_SECTION).map_or(Ok(Vec::new()), |section| ports(section.bytes))?;
    Ok(Declarations { server, ports })
}

fn server(section: &[u8]) -> Result<ServerDecl, BuildError> {
    let expected = size_of::<ServerDecl>();
    if section.len() != expected {
        return Err(BuildError::ServerSection { size: section.len() as u64, expected });
    }
    // The version first: the other fields may mean something else in another version.
    let abi_version = u32::from_le_bytes(field(section, offset_of!(ServerDecl, abi_version)));
    if abi_version != ABI_VERSION {
        return Err(BuildError::AbiVersion { found: abi_version });
    }
    let name = field::<NAME_MAX>(section, offset_of!(ServerDecl, name));
    Ok(ServerDecl {
        abi_version,
        max_vcpus: u32::from_le_bytes(field(section, offset_of!(ServerDecl, max_vcpus))),
        name: Name::from_bytes(name).ok_or(BuildError::ServerName)?,
        default_memory: u64::from_le_bytes(field(section, offset_of!(ServerDecl, default_memory))),
        stack_size: u64::from_le_bytes(field(section, offset_of!(ServerDecl, stack_size))),
    })
}

fn ports(section: &[u8]) -> Result<Vec<Port>, BuildError> {
    let expected = size_of::<PortDecl>();
    if !section.len().is_multiple_of(expected) {
        return Err(BuildError::PortsSection { size: section.len() as u64, expected });
    }
    section.chunks_exact(expected).enumerate().map(|(index, record)| port(index, record)).collect()
}

fn port(index: usize, record: &[u8]) -> Result<Port, BuildError> {
    let name = field::<NAME_MAX>(record, offset_of!(PortDecl, name));
    let name = Name::from_bytes(name).ok_or(BuildError::PortName { index })?;
    let reserved = |field, found| match found {
        0 => Ok(()),
        _ => Err(BuildError::PortReserved { index, port: name, field, found }),
    };
    reserved("reserved", u32::from_le_bytes(field(record, offset_of!(PortDecl, reserved))))?;
    let spoken = field::<{ size_of::<Interface>() }>(record, offset_of!(PortDecl, interface));
    let unused = u32::from_le_bytes(field(&spoken, offset_of!(Interface, reserved)));
    reserved("interface.reserved", unused)?;
    Ok(Port {
        name,
        kind: u32::from_le_bytes(field(record, offset_of!(PortDecl, kind))),
        interface: interface(&spoken).ok_or(BuildError::InterfaceName { index, port: name })?,
    })
}

/// `None` if its name is not a name.
fn interface(record: &[u8]) -> Option<Interface> {
    let name = Name::from_bytes(field(record, offset_of!(Interface, name)))?;
    let version = u32::from_le_bytes(field(record, offset_of!(Interface, version)));
    let fingerprint = u64::from_le_bytes(field(record, offset_of!(Interface, fingerprint)));
    Some(Interface::new(name, version, fingerprint))
}

/// The bytes of one field; the record's length has been checked.
fn field<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&record[at..at + N]);
    bytes
}
