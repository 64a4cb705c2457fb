//! Where a vCPU stands in ring 3, as it can be kept outside of KVM: the registers that a server has.
//!
//! All others are as at the start of the vCPU: ring 3 cannot change them, and what is kept cannot
//! either. Of the vector registers those are kept that ring 3 can use: x87 and SSE, as FXSAVE writes
//! them. (Wider ones need a control bit that no guest has.)

use kvm_bindings::{kvm_regs, kvm_xsave};
use thiserror::Error;

use super::super::descriptors::{is_address, server_flags};
use super::{XSAVE_BASIC, XSAVE_PARTS};

/// Bytes of the legacy area of XSAVE.
const LEGACY: usize = 512;
/// Where in it `MXCSR` is, and which of its bits can be set.
const MXCSR: usize = 24;
const MXCSR_MASK: u32 = 0xffff;

/// A place in a server's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    registers: [u64; Self::REGISTERS],
    vectors: [u8; LEGACY],
}

/// Registers that no vCPU can have in ring 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAPoint {
    /// Another number of them.
    #[error("it has another number of registers")]
    Size,
    /// An instruction where there can be none.
    #[error("its instruction pointer is no address")]
    Rip,
    /// Floating-point control bits that are reserved.
    #[error("its MXCSR has reserved bits")]
    Mxcsr,
}

impl Point {
    /// General registers, with the instruction pointer and the flags.
    pub const REGISTERS: usize = 18;

    pub(super) fn new(r: &kvm_regs, vectors: [u8; LEGACY]) -> Self {
        let registers = [
            r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rsp, r.rbp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15, r.rip, r.rflags,
        ];
        Self { registers, vectors }
    }

    /// From what [`Point::to_parts`] gave, or somebody says so.
    ///
    /// # Errors
    /// If no vCPU can stand there.
    pub fn from_parts(registers: &[u64], vectors: &[u8]) -> Result<Self, NotAPoint> {
        let registers: [u64; Self::REGISTERS] =
            registers.try_into().map_err(|_| NotAPoint::Size)?;
        let vectors: [u8; LEGACY] = vectors.try_into().map_err(|_| NotAPoint::Size)?;
        let [.., rip, _] = registers;
        if !is_address(rip) {
            return Err(NotAPoint::Rip);
        }
        if word_at(&vectors, MXCSR) & !MXCSR_MASK != 0 {
            return Err(NotAPoint::Mxcsr);
        }
        Ok(Self { registers, vectors })
    }

    /// General registers, and vector registers.
    pub const fn to_parts(&self) -> (&[u64; Self::REGISTERS], &[u8; LEGACY]) {
        (&self.registers, &self.vectors)
    }

    /// For KVM. Privileges are those that every server has, whatever the flags say.
    pub(super) const fn registers(&self) -> kvm_regs {
        let [
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rsp,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rflags,
        ] = self.registers;
        let rflags = server_flags(rflags);
        kvm_regs {
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rsp,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rflags,
        }
    }

    pub(super) fn vectors(&self) -> kvm_xsave {
        let mut area = kvm_xsave::default();
        for (at, word) in area.region[..LEGACY / 4].iter_mut().enumerate() {
            *word = word_at(&self.vectors, at * 4);
        }
        area.region[XSAVE_PARTS] = XSAVE_BASIC;
        area
    }
}

fn word_at(bytes: &[u8; LEGACY], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> Point {
        let regs = kvm_regs { rax: 1, rip: 0x40_0000, rflags: u64::MAX, ..Default::default() };
        Point::new(&regs, [0; LEGACY])
    }

    #[test]
    fn a_point_gives_no_privilege() {
        let point = point();
        let (registers, vectors) = point.to_parts();
        let again = Point::from_parts(registers, vectors).unwrap();
        assert_eq!(again, point);
        assert_eq!(again.registers().rflags, server_flags(u64::MAX));
        assert_eq!((again.registers().rax, again.registers().rip), (1, 0x40_0000));
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let point = point();
        let (registers, vectors) = point.to_parts();
        assert_eq!(Point::from_parts(&registers[1..], vectors), Err(NotAPoint::Size));
        assert_eq!(Point::from_parts(registers, &vectors[1..]), Err(NotAPoint::Size));
        let mut upper = *registers;
        upper[16] = 1 << 47;
        assert_eq!(Point::from_parts(&upper, vectors), Err(NotAPoint::Rip));
        let mut reserved = *vectors;
        reserved[MXCSR + 2] = 1;
        assert_eq!(Point::from_parts(registers, &reserved), Err(NotAPoint::Mxcsr));
    }
}
