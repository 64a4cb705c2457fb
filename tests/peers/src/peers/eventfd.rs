//! Two event counters between two processes, one each way. What is added to a counter that was
//! empty is what is read from it, so eight bytes go through each time.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::ends::Ends;
use crate::peers::stream;
use crate::subjects::{Runner, Subject, round_trips_over_descriptors};
use crate::wire::Case;

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "eventfd", cases, runner: Runner::Processes { ends, side: stream::side } };

fn cases() -> Vec<Case> {
    round_trips_over_descriptors(SUBJECT.name, &[size_of::<u64>()]).collect()
}

fn ends(_: &Case) -> Result<[Ends; 2]> {
    let (there, out) = counter()?;
    let (back, home) = counter()?;
    Ok([Ends::of(home, there), Ends::of(out, back)])
}

/// One counter, held twice.
fn counter() -> Result<(OwnedFd, OwnedFd)> {
    let counter = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)
        .context("cannot make an event counter")?;
    let counter = OwnedFd::from(counter);
    let again = counter.try_clone().context("cannot hold an event counter twice")?;
    Ok((counter, again))
}
