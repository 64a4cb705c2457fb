//! Readiness: a server says once that it has begun, and can be taken back to that moment.
//!
//! What a server did before is not done again after a fault: the nucleus takes the domain back to
//! its checkpoint, in which memory and registers are as they were when the server said that it was
//! ready (microreboot, Candea and Fox; EROS and KeyKOS take such checkpoints of a whole system).
//! Only what must not be the same is made new: epoch, clock, random seed, and the ends of all
//! channels.

use atoll_ipc::sync::{AtomicU32, Ordering::Relaxed};

use crate::{boot, clock, exits, ipc};

static READY: AtomicU32 = AtomicU32::new(0);

/// Tells the nucleus that this server has begun. From here its next incarnation goes on, if this
/// one faults; [`boot::epoch`] tells which one it is.
///
/// A server that does not say so is ready when it first waits for a message. Calls may be made
/// before; but while one is under way that was not waited for, there is no checkpoint, and the
/// next incarnation begins from the image.
///
/// # Errors
/// [`AlreadyReady`] if it has said so before, or has waited for a message.
pub fn ready() -> Result<(), AlreadyReady> {
    if READY.load(Relaxed) != 0 {
        return Err(AlreadyReady);
    }
    READY.store(1, Relaxed);
    let epoch = boot::epoch();
    exits::ready(ipc::is_idle());
    if boot::epoch() != epoch {
        clock::adopt();
        ipc::attach_anew();
    }
    Ok(())
}

/// What [`ready`] does, if it was not done.
#[cold]
pub(crate) fn at_first_wait() {
    // That it was done is no mistake here.
    let _ = ready();
}

/// A server is ready once: say so before the first message is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyReady;

impl core::fmt::Display for AlreadyReady {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the server is ready already: say so once, before the first message")
    }
}

impl core::error::Error for AlreadyReady {}
