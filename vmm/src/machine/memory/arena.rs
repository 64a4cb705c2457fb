//! Addresses of this process for mappings that must lie side by side.
//!
//! The usual way is to reserve them all and to map over that. But whatever is mapped over something is
//! told to every VM of the process, which is felt where there are a thousand. So places are tried where
//! nothing is, far from where the kernel puts what it may put anywhere.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nix::errno::Errno;

/// Where places are tried.
const ARENA: Range<usize> = 0x2000_0000_0000..0x5000_0000_0000;
/// Each begins at a multiple of this, and as much is left free behind it.
const GAP: usize = 2 << 20;
/// Something else may be there.
const TRIES: usize = 64;

static NEXT: AtomicUsize = AtomicUsize::new(ARENA.start);

/// Has `map` map something of so many bytes where it is told, which it says is taken by `EEXIST`.
///
/// # Errors
/// `map`'s own, and `ENOMEM` if nothing is free.
pub(super) fn place<T>(
    length: usize,
    map: impl Fn(NonZeroUsize) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let stride = length.checked_next_multiple_of(GAP).and_then(|it| it.checked_add(GAP));
    let stride = stride.filter(|stride| *stride <= ARENA.len()).ok_or(Errno::ENOMEM)?;
    for _ in 0..TRIES {
        let start = NEXT.fetch_add(stride, Relaxed);
        if start.saturating_add(stride) > ARENA.end {
            NEXT.store(ARENA.start, Relaxed);
            continue;
        }
        match NonZeroUsize::new(start).ok_or(Errno::ENOMEM).and_then(&map) {
            Err(Errno::EEXIST) => (),
            placed => return placed,
        }
    }
    Err(Errno::ENOMEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_meet_and_what_is_taken_is_passed_over() {
        let first = place(3 * GAP + 1, |at| Ok(at.get())).unwrap();
        let second =
            place(
                1,
                |at| if at.get() < first + 9 * GAP { Err(Errno::EEXIST) } else { Ok(at.get()) },
            );
        assert!(first.is_multiple_of(GAP) && second.unwrap() >= first + 9 * GAP);
        assert_eq!(place(1, |_| Err::<(), _>(Errno::EEXIST)), Err(Errno::ENOMEM));
        assert_eq!(place(ARENA.len() + 1, |_| Ok(())), Err(Errno::ENOMEM));
        assert_eq!(place(1, |_| Err::<(), _>(Errno::EPERM)), Err(Errno::EPERM));
    }

    #[test]
    fn the_arena_is_gone_through_again_and_again() {
        let step = ARENA.len() / 3;
        for _ in 0..7 {
            assert!(ARENA.contains(&place(step, |at| Ok(at.get())).unwrap()));
        }
    }
}
