//! Sizes of a channel's rings and pools: the keys `ring` and `buffers` of `[[channels]]`, and
//! `buffers` of `[disks.NAME]`.

use atoll_ipc::abi::layout::PAGE;
use atoll_ipc::channel::Layout;

use crate::journal::printable;

use super::error::Rule;
use super::memory::{self, MemorySizeError};
use super::table::{Found, Integer, Problems, Table, as_integer, wrong_type};

/// Smallest ring.
const RING_MIN: u32 = 4 << 10;
/// Largest ring and largest pool.
const AREA_MAX: u32 = 128 << 20;

const _: () = {
    assert!(layout_of(RING_MIN, 0).is_valid() && layout_of(AREA_MAX, AREA_MAX).is_valid());
    // The limits are the protocol's own, no tighter and no wider.
    assert!(!layout_of(RING_MIN / 2, 0).is_valid() && !layout_of(2 * AREA_MAX, 0).is_valid());
    assert!(!layout_of(RING_MIN, AREA_MAX + PAGE as u32).is_valid());
};

/// A size that no ring or no pool of a channel can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AreaError {
    /// Not a number with a unit.
    #[error("`{0}` is not a size; write bytes as an integer, or `64 KiB`, `2 MiB`")]
    Syntax(String),
    /// A unit that there is not.
    #[error(transparent)]
    Unit(MemorySizeError),
    /// A ring that positions cannot be reduced to by a mask.
    #[error(
        "{0} bytes is not a power of two; the nearest are {below} and {above}",
        below = .0.next_power_of_two() / 2,
        above = .0.next_power_of_two()
    )]
    PowerOfTwo(u32),
    /// A pool of part pages.
    #[error(
        "{0} bytes is not a whole number of 4 KiB pages; the next one is {next}",
        next = .0.next_multiple_of(PAGE as u32)
    )]
    Pages(u32),
    /// Too small or too large for a ring.
    #[error("{0} is out of range; use a power of two from 4 KiB to 128 MiB")]
    RingRange(String),
    /// Too small or too large for a pool that blocks are to go through.
    #[error("{0} is out of range; use whole 4 KiB pages from 8 KiB to 128 MiB")]
    BlocksRange(String),
    /// Too large for a pool.
    #[error("{0} is out of range; use whole 4 KiB pages up to 128 MiB, or 0 for none")]
    PoolRange(String),
}

/// The sizes that a `[[channels]]` table asks for, the same in both directions; the default for
/// a key that is absent, or wrong and noted.
pub(super) fn layout(table: &Table<'_>, problems: &mut Problems) -> Layout {
    let ring = area(table, "ring", "256 KiB", problems, ring);
    let buffers = area(table, "buffers", "2 MiB", problems, pool);
    layout_of(
        ring.unwrap_or(Layout::DEFAULT.requests),
        buffers.unwrap_or(Layout::DEFAULT.lent_requests),
    )
}

/// A disk's pools if the manifest does not say: half of one is read ahead while the other half is
/// used, and each half costs a wake-up.
const DISK_BUFFERS: u32 = 4 << 20;

/// The sizes of a disk's channel: the pools are as large as asked for, and never too small for a
/// block.
pub(super) fn layout_of_disk(table: &Table<'_>, problems: &mut Problems) -> Layout {
    let buffers = area(table, "buffers", "2 MiB", problems, pool_of_blocks);
    layout_of(Layout::PLAIN.requests, buffers.unwrap_or(DISK_BUFFERS))
}

const fn layout_of(ring: u32, buffers: u32) -> Layout {
    Layout { requests: ring, replies: ring, lent_requests: buffers, lent_replies: buffers }
}

fn area(
    table: &Table<'_>,
    key: &'static str,
    example: &str,
    problems: &mut Problems,
    check: fn(Option<u64>, &str) -> Result<u32, AreaError>,
) -> Option<u32> {
    let value = table.get(key)?;
    let size = if let Some(text) = value.get_ref().as_str() {
        bytes(text).and_then(|bytes| check(bytes, &printable(text.trim())))
    } else if let Some(Found { value: Integer { written, value }, .. }) = as_integer(value) {
        check(value, &written)
    } else {
        let expected = format!("a string such as `{example}`, or bytes as an integer");
        wrong_type(key, value, &expected, problems);
        return None;
    };
    size.map_err(|error| problems.at(&value.span(), Rule::Area { key, error })).ok()
}

/// The bytes that a text means; `None` if they are more than 64 bits count. A mere `0` needs no
/// unit.
fn bytes(text: &str) -> Result<Option<u64>, AreaError> {
    if text.trim() == "0" {
        return Ok(Some(0));
    }
    match memory::amount(text) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(MemorySizeError::Syntax(text)) => Err(AreaError::Syntax(text)),
        Err(error @ MemorySizeError::Unit { .. }) => Err(AreaError::Unit(error)),
        Err(MemorySizeError::Range(_) | MemorySizeError::Pages(_)) => Ok(None),
    }
}

fn ring(bytes: Option<u64>, written: &str) -> Result<u32, AreaError> {
    match bytes.and_then(|bytes| u32::try_from(bytes).ok()) {
        Some(bytes @ RING_MIN..=AREA_MAX) if bytes.is_power_of_two() => Ok(bytes),
        Some(bytes @ RING_MIN..=AREA_MAX) => Err(AreaError::PowerOfTwo(bytes)),
        _ => Err(AreaError::RingRange(written.to_owned())),
    }
}

fn pool(bytes: Option<u64>, written: &str) -> Result<u32, AreaError> {
    match bytes.and_then(|bytes| u32::try_from(bytes).ok()) {
        Some(bytes @ 0..=AREA_MAX) if bytes.is_multiple_of(PAGE as u32) => Ok(bytes),
        Some(bytes @ 0..=AREA_MAX) => Err(AreaError::Pages(bytes)),
        _ => Err(AreaError::PoolRange(written.to_owned())),
    }
}

/// The longest buffer is half a pool, and must hold the largest block that there is.
fn pool_of_blocks(bytes: Option<u64>, written: &str) -> Result<u32, AreaError> {
    match pool(bytes, written) {
        Ok(bytes) if bytes >= 2 * PAGE as u32 => Ok(bytes),
        Ok(_) | Err(AreaError::PoolRange(_)) => Err(AreaError::BlocksRange(written.to_owned())),
        Err(error) => Err(error),
    }
}
