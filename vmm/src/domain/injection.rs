//! Injected faults: damage done to a running guest on purpose, to see that nobody else minds.
//!
//! An injection harms only what the guest itself could have written or become: its memory as far
//! as ring 3 reaches it, its registers, the flags that ring 3 may change, its own end of its
//! channels. What the nucleus owns (page tables, descriptors, status pages) is out of a guest's
//! reach, and of an injection's: KVM and the processor are trusted.
//!
//! Nothing outside of this process can ask for one: see [`crate::control::Request::Inject`].

use std::ops::Range;
use std::sync::mpsc;

use atoll_image::Rights;
use atoll_ipc::abi::layout::PAGE;
use serde::{Deserialize, Serialize};

use super::vcpu_thread::Shared;
use crate::control::api::Hex;
use crate::journal::now_micros;
use crate::machine::MachineError;
use crate::machine::vcpu::Vcpu;

/// How far above the stack pointer the stack is in use, as far as an injection cares.
const NEAR: u64 = 512;
/// Flags that a program in ring 3 can change by itself: CF, PF, AF, ZF, SF, TF, DF, OF, NT, AC, ID.
const FLAGS: [u32; 11] = [0, 2, 4, 6, 7, 8, 10, 11, 14, 18, 21];
/// An instruction that jumps to itself.
const LOOP: [u8; 2] = [0xeb, 0xfe];
/// Bytes of the program that run soon, as far as an injection cares.
const SOON: u64 = 256;
/// Longest instruction.
const INSTRUCTION_MAX: u64 = 15;
/// Addresses in the lower half, which every jump can name.
const LOWER_HALF: u64 = 1 << 47;

/// What is harmed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// A bit of the program flips: anywhere, or, as often, a little further on than it has come.
    Text,
    /// A bit of its constants or variables flips.
    Data,
    /// A bit of the stack flips, near its top.
    Stack,
    /// A bit of a heap page that was written flips.
    Heap,
    /// A bit of a general register flips.
    Register,
    /// It goes on somewhere else.
    WildJump,
    /// One of the flags that it may change flips.
    Flags,
    /// It goes on 1 to 15 bytes further. Instructions are not decoded: it may be in the middle
    /// of one.
    Skip,
    /// A page gets random contents.
    Page,
    /// Random words appear at its end of a channel, or in its ready page.
    Ring,
    /// Random words appear in its control page, which the nucleus reads.
    Control,
    /// It loops for ever where it is.
    Loop,
    /// A bit of the floating-point and vector state flips.
    Fpu,
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Text,
        Self::Data,
        Self::Stack,
        Self::Heap,
        Self::Register,
        Self::WildJump,
        Self::Flags,
        Self::Skip,
        Self::Page,
        Self::Ring,
        Self::Control,
        Self::Loop,
        Self::Fpu,
    ];
}

/// An order to harm a guest.
#[derive(Clone, Debug)]
pub struct Injection {
    /// How.
    pub harm: Harm,
    /// Chooses where.
    pub place: u64,
    /// Chooses what.
    pub value: u64,
    /// Where to say that it was done. Dropped unused if the guest did not run.
    pub answer: mpsc::Sender<Injected>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// To which incarnation.
    pub epoch: u32,
    /// Where it had come to.
    pub rip: Hex,
    /// The address that was harmed, if it was one.
    pub address: Option<Hex>,
}

/// Pseudo-random numbers, for the same harm each time.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (splitmix64, Steele, Lea and Flood 2014).
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit
    }
}

impl Injection {
    /// Does it. The vCPU stands still; the guest must not know of it.
    pub(super) fn apply(&self, vcpu: &mut Vcpu, shared: &Shared) -> Result<Injected, MachineError> {
        vcpu.finish_io();
        let rip = vcpu.registers()?.rip;
        let mut random = Random::new(self.value);
        let address = match self.harm {
            Harm::Text => self.flip(shared, &program(shared, rip, &mut random), &mut random)?,
            Harm::Data => self.flip(shared, &segments(shared, false), &mut random)?,
            Harm::Stack => {
                let used = used_stack(shared, vcpu.registers()?.rsp);
                self.flip(shared, &[used], &mut random)?
            }
            Harm::Heap => self.flip(shared, &heap(shared)?, &mut random)?,
            Harm::Page => self.overwrite(shared, &mut random)?,
            Harm::Loop => {
                // Where no memory is, there is nothing to loop at: it faults by itself.
                if rip < shared.memory.size() - LOOP.len() as u64 {
                    shared.memory.write(rip, &LOOP)?;
                }
                Some(rip)
            }
            Harm::Control => self.scribble_control(shared, &mut random)?,
            Harm::Ring => self.scribble_channel(shared, &mut random),
            Harm::Register | Harm::WildJump | Harm::Flags | Harm::Skip => {
                self.change_registers(vcpu, shared, &mut random)?;
                None
            }
            Harm::Fpu => {
                vcpu.change_fpu(|fpu| self.flip_fpu(fpu, random.below(8)))?;
                None
            }
        };
        let epoch = shared.epoch.load(std::sync::atomic::Ordering::Relaxed);
        Ok(Injected { at: now_micros(), epoch, rip: Hex(rip), address: address.map(Hex) })
    }

    fn flip(
        &self,
        shared: &Shared,
        ranges: &[Range<u64>],
        random: &mut Random,
    ) -> Result<Option<u64>, MachineError> {
        let Some(address) = pick(ranges, self.place) else { return Ok(None) };
        let mut byte = [0];
        shared.memory.read(address, &mut byte)?;
        byte[0] ^= 1 << random.below(8);
        shared.memory.write(address, &byte)?;
        Ok(Some(address))
    }

    fn overwrite(&self, shared: &Shared, random: &mut Random) -> Result<Option<u64>, MachineError> {
        let mut ranges = segments(shared, true);
        ranges.extend(segments(shared, false));
        ranges.extend(heap(shared)?);
        let top = shared.blueprint.plan.stack_top(0);
        ranges.push(top - PAGE..top);
        let Some(address) = pick(&ranges, self.place) else { return Ok(None) };
        let page = address / PAGE * PAGE;
        for at in (page..page + PAGE).step_by(8) {
            shared.memory.write(at, &random.draw().to_le_bytes())?;
        }
        Ok(Some(page))
    }

    fn scribble_control(
        &self,
        shared: &Shared,
        random: &mut Random,
    ) -> Result<Option<u64>, MachineError> {
        let page = shared.blueprint.plan.control(0);
        let at = |number: u64| page + number % (PAGE / 8) * 8;
        shared.memory.write(at(self.place), &random.draw().to_le_bytes())?;
        for _ in 0..random.below(16) {
            shared.memory.write(at(random.draw()), &random.draw().to_le_bytes())?;
        }
        Ok(Some(at(self.place)))
    }

    fn scribble_channel(&self, shared: &Shared, random: &mut Random) -> Option<u64> {
        let channels = &shared.blueprint.channels;
        let words = 1 + random.below(16);
        if channels.is_empty() || self.place.is_multiple_of(8) {
            (0..words).for_each(|_| shared.blueprint.ready.scribble(random.draw(), random.draw()));
            return Some(atoll_ipc::abi::layout::READY);
        }
        let number = (self.place >> 3) as usize % channels.len();
        let places = channels[number].memory.places_in_use();
        for _ in 0..words {
            let place = &places[random.below(places.len() as u64) as usize];
            let length = (place.end - place.start) as u64;
            let offset = place.start + random.below(length) as usize;
            channels[number].memory.scribble(offset, random.draw());
        }
        Some(super::Blueprint::channel_address(number))
    }

    fn change_registers(
        &self,
        vcpu: &mut Vcpu,
        shared: &Shared,
        random: &mut Random,
    ) -> Result<(), MachineError> {
        let target = wild_target(shared, random);
        vcpu.change_registers(|regs| match self.harm {
            Harm::WildJump => regs.rip = target.unwrap_or(regs.rip ^ 1 << random.below(47)),
            Harm::Flags => regs.rflags ^= 1 << FLAGS[self.place as usize % FLAGS.len()],
            Harm::Skip => regs.rip += 1 + random.below(INSTRUCTION_MAX),
            _ => {
                let general = [
                    &mut regs.rax,
                    &mut regs.rbx,
                    &mut regs.rcx,
                    &mut regs.rdx,
                    &mut regs.rsi,
                    &mut regs.rdi,
                    &mut regs.rbp,
                    &mut regs.rsp,
                    &mut regs.r8,
                    &mut regs.r9,
                    &mut regs.r10,
                    &mut regs.r11,
                    &mut regs.r12,
                    &mut regs.r13,
                    &mut regs.r14,
                    &mut regs.r15,
                ];
                let number = self.place as usize % general.len();
                *general.into_iter().nth(number).unwrap_or(&mut 0) ^= 1 << random.below(64);
            }
        })
    }

    /// Reserved bits of the control words stay: no program could set them either.
    fn flip_fpu(&self, fpu: &mut kvm_bindings::kvm_fpu, bit: u64) {
        let (at, bit) = ((self.place >> 2) as usize, 1u8 << bit);
        match self.place % 4 {
            0 => fpu.fpr[at % 8][(at >> 3) % 10] ^= bit,
            1 => fpu.mxcsr ^= 1 << (at % 16),
            _ => fpu.xmm[at % 16][(at >> 4) % 16] ^= bit,
        }
    }
}

/// Somewhere else: in the program, in its data, anywhere; or `None` for a bit's distance away.
fn wild_target(shared: &Shared, random: &mut Random) -> Option<u64> {
    match random.below(4) {
        0 => pick(&segments(shared, true), random.draw()),
        1 => pick(&segments(shared, false), random.draw()),
        2 => Some(random.below(LOWER_HALF)),
        _ => None,
    }
}

/// All of the program, or, as often, what it runs next: most of a program never runs.
fn program(shared: &Shared, rip: u64, random: &mut Random) -> Vec<Range<u64>> {
    let mut all = segments(shared, true);
    if random.below(2) == 0
        && let Some(here) = all.iter().position(|range| range.contains(&rip))
    {
        all = vec![all.swap_remove(here)];
        all[0] = rip..(rip + SOON).min(all[0].end);
    }
    all
}

/// Where the program lies, or everything else of its image.
fn segments(shared: &Shared, text: bool) -> Vec<Range<u64>> {
    let segments = shared.blueprint.image.segments().iter();
    let chosen = segments
        .filter(|segment| !segment.supervisor && (segment.rights == Rights::ReadExecute) == text);
    chosen.map(|segment| segment.vaddr..segment.vaddr + segment.mem_size).collect()
}

fn used_stack(shared: &Shared, rsp: u64) -> Range<u64> {
    let plan = &shared.blueprint.plan;
    let (start, end) = (plan.stack(0), plan.stack_top(0));
    // It may have gone astray.
    let from = if (start..end).contains(&rsp) { rsp } else { end - NEAR };
    from..(from + NEAR).min(end)
}

/// The pages of the heap that were written: harm done to others is never found out.
fn heap(shared: &Shared) -> Result<Vec<Range<u64>>, MachineError> {
    let plan = &shared.blueprint.plan;
    let written = shared.memory.written()?.into_iter();
    let within = written.map(|range| range.start.max(plan.heap())..range.end.min(plan.heap_end()));
    Ok(within.filter(|range| range.start < range.end).collect())
}

/// One of the addresses in some ranges.
fn pick(ranges: &[Range<u64>], number: u64) -> Option<u64> {
    let all: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let mut number = number.checked_rem(all)?;
    for range in ranges {
        let length = range.end - range.start;
        if number < length {
            return Some(range.start + number);
        }
        number -= length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_some_ranges_is_picked_and_no_other() {
        let ranges = [3..5, 9..9, 10..13];
        let picked: Vec<_> = (0..10).map(|number| pick(&ranges, number).unwrap()).collect();
        assert_eq!(picked, [3, 4, 10, 11, 12, 3, 4, 10, 11, 12]);
        assert_eq!(pick(&[], 7), None);
        assert_eq!(pick(&[Range { start: 4, end: 4 }], 7), None);
    }

    #[test]
    fn numbers_are_those_of_the_published_generator() {
        let mut random = Random::new(1_234_567);
        let drawn = [random.draw(), random.draw(), random.draw()];
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(drawn, expected);
        assert!((0..1000).all(|_| random.below(7) < 7));
    }

    #[test]
    fn only_flags_that_ring_3_changes_are_flipped() {
        // Of IF, IOPL, VM, RF, VIF and VIP, a program in ring 3 has none.
        let kept = [9, 12, 13, 16, 17, 19, 20];
        assert!(FLAGS.iter().all(|flag| !kept.contains(flag)));
    }
}
