//! A Unix stream socket between two processes, with the buffers that the kernel gives it.

use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};

use crate::ends::Ends;
use crate::peers::stream;
use crate::subjects::{
    ONE_WAY_SIZES, Runner, SIZES, Subject, one_way, round_trips_over_descriptors,
};
use crate::wire::{Case, Wait};

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "unix-stream", cases, runner: Runner::Processes { ends, side: stream::side } };

fn cases() -> Vec<Case> {
    round_trips_over_descriptors(SUBJECT.name, &SIZES)
        .chain(one_way(SUBJECT.name, Wait::Blocking, &ONE_WAY_SIZES))
        .collect()
}

fn ends(_: &Case) -> Result<[Ends; 2]> {
    let (first, second) = UnixStream::pair().context("cannot make a pair of sockets")?;
    let both_ways = |socket: UnixStream| -> Result<Ends> {
        let again = socket.try_clone().context("cannot hold a socket twice")?;
        Ok(Ends::of(socket, again))
    };
    Ok([both_ways(first)?, both_ways(second)?])
}
