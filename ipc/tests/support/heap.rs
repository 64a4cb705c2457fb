//! Rings and channels on the heap, and a hand that writes to any shared word of them.

use std::boxed::Box;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use atoll_ipc::channel::{Region, Shared, Status};
use atoll_ipc::ready::{Alert, Ready};
use atoll_ipc::ring::{Control, Memory};
use atoll_ipc::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// The secret of a channel's first generation.
pub const SECRET: u64 = 0x5eed;

/// A data area of zeros.
fn zeros(words: usize) -> Box<[AtomicU64]> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

/// The shared words of a [`Control`]: offset and size in bytes.
const CONTROL: [(usize, usize); 11] = [
    (0, 8),
    (8, 4),
    (16, 8),
    (24, 8),
    (128, 8),
    (136, 8),
    (144, 4),
    (152, 8),
    (160, 8),
    (256, 4),
    (260, 4),
];
/// Where the notification words of a [`Shared`] are.
const NOTIFICATIONS: [usize; 2] = [768, 896];

/// Overwrites the word of `size` bytes at `offset`, as whoever shares the memory can.
///
/// # Safety
/// An atomic of at least this size and alignment must be there.
#[cfg(not(loom))]
unsafe fn overwrite<T>(shared: &T, (offset, size): (usize, usize), value: u64) {
    let word = ptr::from_ref(shared).wrapping_byte_add(offset);
    // SAFETY: by this function's contract; atomics may be written through a shared reference.
    unsafe {
        match size {
            4 => (*word.cast::<AtomicU32>()).store(value as u32, Relaxed),
            _ => (*word.cast::<AtomicU64>()).store(value, Relaxed),
        }
    }
}

/// A ring that both ends hold.
#[derive(Clone)]
pub struct HeapRing(Arc<(Control, Box<[AtomicU64]>)>);

impl HeapRing {
    pub fn new(words: usize) -> Self {
        Self(Arc::new((Control::default(), zeros(words))))
    }

    /// Overwrites one of the shared words beside the data.
    #[cfg(not(loom))]
    pub fn scribble(&self, which: usize, value: u64) {
        // SAFETY: the table lists the words of this very type.
        unsafe { overwrite(&self.0.0, CONTROL[which % CONTROL.len()], value) };
    }
}

impl fmt::Debug for HeapRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeapRing({} words)", self.0.1.len())
    }
}

impl Memory for HeapRing {
    fn control(&self) -> &Control {
        &self.0.0
    }

    fn data(&self) -> &[AtomicU64] {
        &self.0.1
    }
}

/// Words of a channel's four areas.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub requests: usize,
    pub replies: usize,
    pub lent_requests: usize,
    pub lent_replies: usize,
}

struct Parts {
    status: Box<Status>,
    shared: Box<Shared>,
    requests: Box<[AtomicU64]>,
    replies: Box<[AtomicU64]>,
    lent_requests: Box<[AtomicU64]>,
    lent_replies: Box<[AtomicU64]>,
    ready: Option<(Arc<Ready>, u32)>,
}

/// A channel that both ends and the nucleus hold. Its areas may be smaller than a real one's, so
/// that tests reach their ends soon.
#[derive(Clone)]
pub struct HeapChannel(Arc<Parts>);

impl HeapChannel {
    /// A channel without buffers whose two ends are in epoch 1.
    pub fn new(requests: usize, replies: usize) -> Self {
        Self::build(Words { requests, replies, lent_requests: 0, lent_replies: 0 }, None)
    }

    /// A channel with buffers.
    pub fn with_buffers(words: Words) -> Self {
        Self::build(words, None)
    }

    /// A channel whose client raises that bit of its server's ready page.
    pub fn alerting(words: Words, ready: Arc<Ready>, channel: u32) -> Self {
        Self::build(words, Some((ready, channel)))
    }

    fn build(words: Words, ready: Option<(Arc<Ready>, u32)>) -> Self {
        let parts = Parts {
            status: Box::default(),
            shared: Box::default(),
            requests: zeros(words.requests),
            replies: zeros(words.replies),
            lent_requests: zeros(words.lent_requests),
            lent_replies: zeros(words.lent_replies),
            ready,
        };
        parts.status.initialise(SECRET, 1, 1);
        Self(Arc::new(parts))
    }

    /// Overwrites one of the shared words beside the data: those of either ring, the
    /// notifications, the ready page.
    #[cfg(not(loom))]
    pub fn scribble(&self, which: usize, value: u64) {
        let shared = &*self.0.shared;
        // SAFETY: the tables list the words of these very types; the ready page begins with its
        // `asleep`, and its bits are 128 bytes behind.
        unsafe {
            match which % 29 {
                which @ 0..11 => overwrite(shared.requests(), CONTROL[which], value),
                which @ 11..22 => overwrite(shared.replies(), CONTROL[which - 11], value),
                which @ 22..24 => overwrite(shared, (NOTIFICATIONS[which - 22], 8), value),
                which => {
                    let Some((ready, _)) = &self.0.ready else { return };
                    let word = if which == 24 { (0, 4) } else { (128 + (which - 25) * 8, 8) };
                    overwrite(&**ready, word, value);
                }
            }
        }
    }
}

impl fmt::Debug for HeapChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeapChannel({} + {} words)", self.0.requests.len(), self.0.replies.len())
    }
}

impl Region for HeapChannel {
    fn status(&self) -> &Status {
        &self.0.status
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn requests(&self) -> &[AtomicU64] {
        &self.0.requests
    }

    fn replies(&self) -> &[AtomicU64] {
        &self.0.replies
    }

    fn lent_requests(&self) -> &[AtomicU64] {
        &self.0.lent_requests
    }

    fn lent_replies(&self) -> &[AtomicU64] {
        &self.0.lent_replies
    }

    fn alert(&self) -> Option<Alert<'_>> {
        self.0.ready.as_ref().map(|(ready, channel)| Alert::new(ready, *channel))
    }
}
