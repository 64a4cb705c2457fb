//! The notes of a core file: registers of each vCPU, and what the domain is called, in the shapes
//! that Linux gives them on x86-64 (`struct elf_prstatus`, `struct elf_prpsinfo`).

use kvm_bindings::{kvm_regs, kvm_sregs};

const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;

/// Bytes of the x87 and SSE registers, as FXSAVE writes them.
pub const FXSAVE: usize = 512;
/// Bytes before the registers in `struct elf_prstatus`, and of all of it.
const PRSTATUS_REGISTERS: usize = 112;
const PRSTATUS: usize = 336;
/// Bytes of the names in `struct elf_prpsinfo`, each with a zero at its end.
const PROGRAM: usize = 16;
const LINE: usize = 80;

/// What the file says that it is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The executable's file name.
    pub program: String,
    /// Domain, incarnation and image, in a line.
    pub line: String,
}

/// A vCPU that stands still.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The vCPU's number.
    pub index: u32,
    /// Its general registers.
    pub registers: kvm_regs,
    /// Its system registers.
    pub system: kvm_sregs,
    /// Its x87 and SSE registers, if the host tells.
    pub vectors: Option<[u8; FXSAVE]>,
    /// The exception that it took.
    pub vector: Option<u8>,
}

impl Standing {
    /// Puts the registers back as they were when the exception came that a stub reports, with what
    /// the processor left on the stub's stack: error code, RIP, CS, RFLAGS, RSP, SS.
    pub fn before_exception(mut self, vector: u8, frame: [u64; 6]) -> Self {
        let [_, rip, cs, rflags, rsp, ss] = frame;
        self.vector = Some(vector);
        (self.registers.rip, self.registers.rflags, self.registers.rsp) = (rip, rflags, rsp);
        (self.system.cs.selector, self.system.ss.selector) = (cs as u16, ss as u16);
        self
    }

    /// The signal that a process would have got.
    fn signal(&self) -> i32 {
        match self.vector {
            None => libc::SIGSTOP,
            Some(0 | 16 | 19) => libc::SIGFPE,
            Some(1 | 3) => libc::SIGTRAP,
            Some(6) => libc::SIGILL,
            Some(12 | 17) => libc::SIGBUS,
            Some(_) => libc::SIGSEGV,
        }
    }

    /// `struct user_regs_struct`.
    fn general(&self) -> [u64; 27] {
        let (r, s) = (&self.registers, &self.system);
        let selector = |segment: &kvm_bindings::kvm_segment| u64::from(segment.selector);
        // No system call was under way.
        let orig_rax = u64::MAX;
        [
            r.r15,
            r.r14,
            r.r13,
            r.r12,
            r.rbp,
            r.rbx,
            r.r11,
            r.r10,
            r.r9,
            r.r8,
            r.rax,
            r.rcx,
            r.rdx,
            r.rsi,
            r.rdi,
            orig_rax,
            r.rip,
            selector(&s.cs),
            r.rflags,
            r.rsp,
            selector(&s.ss),
            s.fs.base,
            s.gs.base,
            selector(&s.ds),
            selector(&s.es),
            selector(&s.fs),
            selector(&s.gs),
        ]
    }

    /// A thread is called after its vCPU; 0 is no thread's number.
    fn id(&self) -> u32 {
        self.index + 1
    }
}

/// All notes. A debugger shows the first vCPU first: the one that took an exception, if one did.
pub fn write(names: &Names, mut standing: Vec<Standing>) -> Vec<u8> {
    standing.sort_by_key(|vcpu| (vcpu.vector.is_none(), vcpu.index));
    let mut notes = note(NT_PRPSINFO, &information(names));
    for vcpu in &standing {
        notes.extend(note(NT_PRSTATUS, &status(vcpu)));
        if let Some(vectors) = &vcpu.vectors {
            notes.extend(note(NT_FPREGSET, vectors));
        }
    }
    notes
}

fn note(kind: u32, content: &[u8]) -> Vec<u8> {
    const OWNER: &[u8; 8] = b"CORE\0\0\0\0";
    let mut note = Vec::with_capacity(20 + content.len());
    // The owner's length counts one of its zeroes.
    note.extend([5, content.len() as u32, kind].into_iter().flat_map(u32::to_le_bytes));
    note.extend(OWNER);
    note.extend(content);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

fn status(vcpu: &Standing) -> Vec<u8> {
    let mut status = vec![0; PRSTATUS];
    let signal = vcpu.signal();
    status[..4].copy_from_slice(&signal.to_le_bytes());
    status[12..14].copy_from_slice(&(signal as u16).to_le_bytes());
    status[32..36].copy_from_slice(&vcpu.id().to_le_bytes());
    let registers = vcpu.general().into_iter().flat_map(u64::to_le_bytes);
    for (place, byte) in status[PRSTATUS_REGISTERS..].iter_mut().zip(registers) {
        *place = byte;
    }
    let has_vectors = u32::from(vcpu.vectors.is_some());
    status[PRSTATUS - 8..PRSTATUS - 4].copy_from_slice(&has_vectors.to_le_bytes());
    status
}

fn information(names: &Names) -> Vec<u8> {
    let mut information = vec![0; 40];
    information[1] = b'T'; // stopped
    information[24..28].copy_from_slice(&1u32.to_le_bytes());
    information.extend(text::<PROGRAM>(&names.program));
    information.extend(text::<LINE>(&names.line));
    information
}

/// A text that is cut so that a zero follows.
fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let end = text.floor_char_boundary(N - 1);
    bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vcpu(index: u32, vector: Option<u8>) -> Standing {
        let registers = kvm_regs { rip: 0x40_1000, r15: 15, ..Default::default() };
        let (system, vectors) = (kvm_sregs::default(), Some([7; FXSAVE]));
        Standing { index, registers, system, vectors, vector }
    }

    #[test]
    fn sizes_are_those_of_linux() {
        assert_eq!(status(&vcpu(0, None)).len(), 336);
        assert_eq!(information(&Names::default()).len(), 136);
        let notes = write(&Names::default(), vec![vcpu(0, None)]);
        assert_eq!(notes.len(), 3 * 20 + 336 + 136 + 512);
    }

    #[test]
    fn the_vcpu_that_faulted_comes_first() {
        let notes = write(&Names::default(), vec![vcpu(0, None), vcpu(1, Some(14))]);
        let first = 20 + 136 + 20;
        assert_eq!(notes[first..first + 4], libc::SIGSEGV.to_le_bytes());
        assert_eq!(notes[first + 32..first + 36], 2u32.to_le_bytes());
        assert_eq!(notes[first + 112..first + 120], 15u64.to_le_bytes());
        assert_eq!(notes[first + 112 + 16 * 8..][..8], 0x40_1000u64.to_le_bytes());
    }

    #[test]
    fn long_names_are_cut() {
        let bytes = information(&Names { program: "ä".repeat(20), line: "x".repeat(200) });
        assert_eq!(bytes.len(), 136);
        assert_eq!(std::str::from_utf8(&bytes[40..54]).unwrap(), "ä".repeat(7));
        assert_eq!((bytes[54], bytes[55], bytes[135]), (0, 0, 0));
    }
}
