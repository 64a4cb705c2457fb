//! A hostile domain: it writes whatever it likes wherever it can, past the ends that `atoll_ipc`
//! gives it.

use core::slice;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use atoll::boot;

use crate::random::Random;

use atoll::__ipc::abi::layout::{ALERTS, PAGE};
use atoll::__ipc::abi::{ChannelEntry, NO_ALERT};
use atoll::__ipc::channel::Role;

/// Words that are overwritten in each area: everything, or a few, which leaves more of the
/// protocol standing and so gets further.
#[derive(Clone, Copy, Debug)]
enum Strokes {
    All,
    Some(usize),
    /// Every other word of the rings: where a record's tag is, which says that it is there, it
    /// stays, and what the record is changes.
    Heads,
}

/// Scribbles over all channels on which this domain has that role; what exactly follows from the
/// seed. Returns how many words were written.
pub fn scribble(role: Role, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let strokes = match seed % 4 {
        0 => Strokes::All,
        1 => Strokes::Some(1000),
        2 => Strokes::Some(40),
        _ => Strokes::Heads,
    };
    let ours = table().iter().enumerate().filter(|(_, entry)| entry.role() == role);
    ours.map(|(number, entry)| deface(number, entry, strokes, &mut random)).sum()
}

fn deface(number: usize, entry: &ChannelEntry, strokes: Strokes, random: &mut Random) -> usize {
    // The page before it is the nucleus's.
    let control = words(entry.address + PAGE, PAGE);
    let rings = u64::from(entry.layout.requests) + u64::from(entry.layout.replies);
    let data = words(entry.address + 2 * PAGE, rings);
    let mut written = draw(data, strokes, random);
    if matches!(strokes, Strokes::Heads) {
        return written;
    }
    written += draw(control, strokes, random);
    if entry.role() == Role::Client && entry.alert != NO_ALERT {
        // The server's ready page, where its hints are.
        let ready = words(ALERTS + number as u64 * PAGE, PAGE);
        written += draw(ready, strokes, random);
    }
    written
}

fn draw(area: &[AtomicU64], strokes: Strokes, random: &mut Random) -> usize {
    match strokes {
        Strokes::All => {
            area.iter().for_each(|word| word.store(random.next(), Relaxed));
            area.len()
        }
        Strokes::Heads => {
            let heads = area.iter().skip(1).step_by(2);
            heads.map(|word| word.store(random.next(), Relaxed)).count()
        }
        Strokes::Some(count) => {
            for _ in 0..count {
                // Early words are where the fields are.
                let reach = if random.below(2) == 0 { area.len().min(64) } else { area.len() };
                let value = if random.below(4) == 0 { u64::MAX } else { random.next() };
                area[random.below(reach)].store(value, Relaxed);
            }
            count
        }
    }
}

/// Words of shared memory.
fn words(address: u64, bytes: u64) -> &'static [AtomicU64] {
    // SAFETY: the nucleus maps these pages writable for as long as the domain runs; atomics may
    // be changed by anybody, and all bits are valid for them.
    unsafe { slice::from_raw_parts(address as *const AtomicU64, bytes as usize / 8) }
}

/// The channel table, which the nucleus puts behind the boot page's fixed part.
fn table() -> &'static [ChannelEntry] {
    let page = boot::page();
    let table = (&raw const *page).wrapping_add(1).cast::<ChannelEntry>();
    // SAFETY: there are `channels` entries, mapped and unchanged for as long as the domain runs.
    unsafe { slice::from_raw_parts(table, page.channels as usize) }
}
