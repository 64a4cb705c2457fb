//! Sizes of a channel's areas, and where they lie.

use super::DATA;
use crate::lend::max_lent;
use crate::record::ALIGN;
use crate::ring;

/// Sizes of a channel's data areas, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// Request data; a power of two, at least 4096.
    pub requests: u32,
    /// Reply data; a power of two, at least 4096.
    pub replies: u32,
    /// Buffers that the client lends; a multiple of 4096, may be 0.
    pub lent_requests: u32,
    /// Buffers that the server lends; a multiple of 4096, may be 0.
    pub lent_replies: u32,
}

impl Layout {
    /// What channels between domains get unless something else is asked for: 256 KiB of ring and
    /// 2 MiB of buffers each way. Memory that is never touched takes no room.
    pub const DEFAULT: Self = Self {
        requests: 256 << 10,
        replies: 256 << 10,
        lent_requests: 2 << 20,
        lent_replies: 2 << 20,
    };

    /// What a channel gets whose ends copy anyway, such as a gateway's: rings only.
    pub const PLAIN: Self = Self { lent_requests: 0, lent_replies: 0, ..Self::DEFAULT };

    /// Whether the sizes are allowed.
    pub const fn is_valid(self) -> bool {
        const fn ring(bytes: u32) -> bool {
            bytes.is_power_of_two() && bytes >= 4096 && bytes <= AREA_MAX
        }
        const fn pool(bytes: u32) -> bool {
            bytes.is_multiple_of(4096) && bytes <= AREA_MAX
        }
        ring(self.requests)
            && ring(self.replies)
            && pool(self.lent_requests)
            && pool(self.lent_replies)
    }

    /// Bytes of the whole channel.
    pub const fn total(self) -> usize {
        self.pools_at() + self.lent_requests as usize + self.lent_replies as usize
    }

    /// Where the pools begin: at a large page, so that they cost few page tables.
    pub(super) const fn pools_at(self) -> usize {
        let rings_end = DATA + self.requests as usize + self.replies as usize;
        if self.lent_requests == 0 && self.lent_replies == 0 {
            return rings_end;
        }
        rings_end.next_multiple_of(crate::abi::layout::LARGE_PAGE as usize)
    }

    /// Longest request payload: in the ring, or copied through a buffer.
    pub const fn max_request(self) -> usize {
        longest(self.requests, self.lent_requests)
    }

    /// Longest reply payload: in the ring, or copied through a buffer.
    pub const fn max_reply(self) -> usize {
        longest(self.replies, self.lent_replies)
    }
}

/// No area of a channel is larger: all of them have to fit between one channel and the next, and a
/// token has to tell the positions of a ring apart.
const AREA_MAX: u32 = 1 << 27;

const _: () = {
    use crate::abi::layout::CHANNEL_STRIDE;
    let all = AREA_MAX;
    let largest = Layout { requests: all, replies: all, lent_requests: all, lent_replies: all };
    assert!(largest.is_valid() && largest.total() as u64 <= CHANNEL_STRIDE);
    assert!(AREA_MAX as u64 / ALIGN as u64 <= 1 << crate::record::reply::TOKEN_BITS);
};

const fn longest(ring: u32, pool: u32) -> usize {
    let (inline, lent) = (ring::max_payload(ring as usize), max_lent(pool as usize));
    if inline > lent { inline } else { lent }
}
