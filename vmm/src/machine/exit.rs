//! Why a vCPU left the guest: KVM's exits, reduced to what the nucleus acts on.

use atoll_ipc::abi::ports;
use kvm_ioctls::VcpuExit;

/// Why a vCPU left the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The host wants its attention; the guest did nothing.
    Interrupted,
    /// The server asks to sleep.
    Wait,
    /// The server has a console line.
    Log,
    /// The server has begun.
    Ready,
    /// The server is at rest.
    Rest,
    /// The server complains of a peer.
    Complaint,
    /// The server ends.
    End,
    /// The server gives up.
    Panic,
    /// An exception stub reports. (Or ring 3 claims to be one: the registers tell.)
    Stub,
    /// An I/O port that is not the server's to use.
    Port {
        /// Its number.
        port: u16,
        /// Whether it was written.
        write: bool,
    },
    /// A physical address without memory.
    Mmio {
        /// The address.
        address: u64,
        /// Whether it was written.
        write: bool,
    },
    /// An exception that the guest could not take, because it took an exception in turn.
    TripleFault,
    /// KVM cannot go on, for the reason named.
    Stuck {
        /// What KVM said.
        reason: &'static str,
    },
}

impl Exit {
    /// A name for each kind of exit, for counters.
    pub const NAMES: [&'static str; 13] = [
        "interrupted",
        "wait",
        "log",
        "end",
        "panic",
        "exception",
        "port",
        "mmio",
        "triple-fault",
        "stuck",
        "complaint",
        "ready",
        "rest",
    ];

    /// Its place in [`Exit::NAMES`].
    pub const fn index(self) -> usize {
        match self {
            Self::Interrupted => 0,
            Self::Wait => 1,
            Self::Log => 2,
            Self::End => 3,
            Self::Panic => 4,
            Self::Stub => 5,
            Self::Port { .. } => 6,
            Self::Mmio { .. } => 7,
            Self::TripleFault => 8,
            Self::Stuck { .. } => 9,
            Self::Complaint => 10,
            Self::Ready => 11,
            Self::Rest => 12,
        }
    }

    /// What KVM's exit means.
    pub fn of(exit: &VcpuExit<'_>) -> Self {
        match exit {
            VcpuExit::IoOut(port, _) => Self::of_write(*port),
            VcpuExit::IoIn(port, _) => Self::Port { port: *port, write: false },
            VcpuExit::MmioRead(address, _) => Self::Mmio { address: *address, write: false },
            VcpuExit::MmioWrite(address, _) => Self::Mmio { address: *address, write: true },
            VcpuExit::MemoryFault { gpa, .. } => Self::Mmio { address: *gpa, write: false },
            VcpuExit::Shutdown => Self::TripleFault,
            VcpuExit::Intr => Self::Interrupted,
            VcpuExit::Hlt => Self::Stuck { reason: "the processor was halted" },
            VcpuExit::FailEntry(..) => {
                Self::Stuck { reason: "the processor refused to enter the guest" }
            }
            VcpuExit::InternalError => {
                Self::Stuck { reason: "KVM could not emulate an instruction" }
            }
            _ => Self::Stuck { reason: "KVM left the guest for a reason that cannot occur here" },
        }
    }

    const fn of_write(port: u16) -> Self {
        match port {
            ports::FAULT => Self::Stub,
            ports::WAIT => Self::Wait,
            ports::EXIT => Self::End,
            ports::PANIC => Self::Panic,
            ports::LOG => Self::Log,
            ports::COMPLAIN => Self::Complaint,
            ports::READY => Self::Ready,
            ports::REST => Self::Rest,
            // A doorbell without an ioeventfd is a channel that does not exist.
            port => Self::Port { port, write: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_the_abi_are_known_and_all_others_are_faults() {
        for port in 0..=u16::MAX {
            let exit = Exit::of(&VcpuExit::IoOut(port, &[0]));
            let known = port == ports::FAULT || (ports::WAIT..=ports::REST).contains(&port);
            assert_eq!(known, exit != Exit::Port { port, write: true });
        }
        assert_eq!(
            Exit::of(&VcpuExit::IoIn(0x10, &mut [0])),
            Exit::Port { port: 0x10, write: false }
        );
    }

    #[test]
    fn nothing_that_kvm_says_is_ignored() {
        assert_eq!(Exit::of(&VcpuExit::Shutdown), Exit::TripleFault);
        assert!(matches!(Exit::of(&VcpuExit::Unsupported(99)), Exit::Stuck { .. }));
        assert_eq!(
            Exit::of(&VcpuExit::MmioWrite(0xfee0_0000, &[0])),
            Exit::Mmio { address: 0xfee0_0000, write: true }
        );
    }
}
