//! Whether an arena's heap hangs together: a look along its lists of free stretches.
//!
//! It finds what wild writes do to them, before the allocator follows them astray. What lies in
//! blocks is the server's own to check.

use core::fmt;

use atoll_ipc::words::WORD;
use talc::DefaultBinning;
use talc::base::CHUNK_UNIT;
use talc::base::binning::Binning;

use super::Region;
use super::gate::LOCK;
use super::heap::place;

/// A heap that does not hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub address: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the arena's heap is damaged at {:#x}: something wrote over it; start over",
            self.address
        )
    }
}

impl core::error::Error for Damage {}

/// Words of a free stretch: the next one of its list, the word that points to this one, its list's
/// number, and its bytes, which are in its last word, too.
const NEXT: u64 = 0;
const BACK: u64 = WORD as u64;
const BYTES: u64 = 3 * WORD as u64;
/// Bits of a size that are none.
const FLAGS: u64 = CHUNK_UNIT as u64 - 1;

/// Follows all lists of a heap that begins at an offset of the region.
pub(super) fn check(region: Region, from: usize) -> Result<(), Damage> {
    let _guard = LOCK.lock();
    let start = region.address() as u64 + from as u64;
    let heap = Heap { region, start, end: region.address() as u64 + region.bytes() };
    // SAFETY: the lock is held, and an arena is open; the counters are plain numbers.
    let counters = unsafe { *(*place(region)).counters() };
    let (mut gaps, mut bytes) = (0, 0);
    for list in 0..u64::from(DefaultBinning::BIN_COUNT) {
        // The lists' heads are the first thing in a heap.
        let mut pointer = start + list * WORD as u64;
        let mut gap = heap.word(pointer)?;
        while gap != 0 {
            if gaps == counters.fragment_count {
                return Err(Damage { address: gap });
            }
            gaps += 1;
            bytes += heap.gap(gap, pointer)?;
            pointer = gap + NEXT;
            gap = heap.word(pointer)?;
        }
    }
    let is_whole = gaps == counters.fragment_count && bytes == counters.available_bytes as u64;
    if is_whole { Ok(()) } else { Err(Damage { address: start }) }
}

/// What may be read.
struct Heap {
    region: Region,
    start: u64,
    end: u64,
}

impl Heap {
    fn word(&self, address: u64) -> Result<u64, Damage> {
        let fits = address.is_multiple_of(WORD as u64) && (self.start..self.end).contains(&address);
        if !fits {
            return Err(Damage { address });
        }
        let word = (address - self.region.address() as u64) as usize / WORD;
        Ok(self.region.words()[word].load(atoll_ipc::sync::Ordering::Relaxed))
    }

    /// The bytes of a free stretch that `pointer` leads to.
    fn gap(&self, gap: u64, pointer: u64) -> Result<u64, Damage> {
        let bytes = self.word(gap.wrapping_add(BYTES))? & !FLAGS;
        let last = gap.wrapping_add(bytes).wrapping_sub(WORD as u64);
        let hangs_together = gap.is_multiple_of(CHUNK_UNIT as u64)
            && self.word(gap.wrapping_add(BACK))? == pointer
            && self.word(last)? & !FLAGS == bytes;
        if hangs_together { Ok(bytes) } else { Err(Damage { address: gap }) }
    }
}
