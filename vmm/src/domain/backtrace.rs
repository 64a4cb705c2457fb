//! Who called whom, read from the memory of a domain that stands still.
//!
//! Guests are built with frame pointers: at each one lie the caller's frame pointer and the
//! return address. A guest may have put anything there, so the walk believes nothing: it stays
//! inside the vCPU's stack, only goes up, and ends after a bounded number of frames.

use std::ops::Range;

use atoll_image::Image;

use crate::control::api::{Frame, Hex};
use crate::machine::memory::DomainMemory;

/// Most frames that are reported.
const FRAMES_MAX: usize = 64;

/// Where a walk begins.
#[derive(Clone, Copy, Debug)]
pub struct Top {
    /// Address of the instruction.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Frame pointer.
    pub rbp: u64,
}

/// One step of a walk: an address, and how far before it its instruction is looked up. (A return
/// address may be the first byte behind the caller: a call that never returns is the last
/// instruction of its function.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    address: u64,
    back: u64,
}

/// The addresses from the top down to where the server began, innermost first. Names can be found
/// later, when the memory has gone on.
pub fn walk(memory: &DomainMemory, image: &Image, stack: Range<u64>, top: Top) -> Vec<Step> {
    let mut steps = vec![Step { address: top.rip, back: 0 }];
    let caller = |address| Step { address, back: 1 };
    if !is_text(image, top.rip) {
        // A call to nowhere: the caller's address is what was pushed last.
        let pushed = memory.read_word(top.rsp).ok().filter(|&address| is_text(image, address));
        steps.extend(pushed.map(caller));
    }
    let mut rbp = top.rbp;
    while steps.len() < FRAMES_MAX && stack.contains(&rbp) && rbp.is_multiple_of(8) {
        let (Ok(next), Ok(address)) = (memory.read_word(rbp), memory.read_word(rbp + 8)) else {
            break;
        };
        if !is_text(image, address) {
            break;
        }
        steps.push(caller(address));
        if next <= rbp {
            break;
        }
        rbp = next;
    }
    steps
}

/// The steps with the names of their functions.
pub fn name(image: &Image, steps: &[Step]) -> Vec<Frame> {
    steps.iter().map(|step| frame(image, *step)).collect()
}

fn is_text(image: &Image, address: u64) -> bool {
    let mut segments = image.segments().iter();
    segments.any(|s| {
        s.rights == atoll_image::Rights::ReadExecute && (s.vaddr..s.end()).contains(&address)
    })
}

fn frame(image: &Image, Step { address, back }: Step) -> Frame {
    let found = image.symbolise(address.wrapping_sub(back));
    let (symbol, offset) = match found {
        Some((symbol, offset)) => (Some(symbol.to_owned()), offset + back),
        None => (None, 0),
    };
    Frame { address: Hex(address), symbol, offset }
}
