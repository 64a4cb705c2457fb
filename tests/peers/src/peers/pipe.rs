//! Two pipes between two processes, one each way, with the buffers that the kernel gives them.

use anyhow::Result;

use crate::ends::{self, Ends};
use crate::peers::stream;
use crate::subjects::{
    ONE_WAY_SIZES, Runner, SIZES, Subject, one_way, round_trips_over_descriptors,
};
use crate::wire::{Case, Wait};

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "pipe", cases, runner: Runner::Processes { ends, side: stream::side } };

fn cases() -> Vec<Case> {
    round_trips_over_descriptors(SUBJECT.name, &SIZES)
        .chain(one_way(SUBJECT.name, Wait::Blocking, &ONE_WAY_SIZES))
        .collect()
}

fn ends(_: &Case) -> Result<[Ends; 2]> {
    ends::pipes()
}
