//! From the checkpoints of domains to a file's bytes, on a thread of its own: the domains run again
//! by then, and nobody waits for it but who asked.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread;

use super::refusal;
use crate::control::{Answer, Refusal};
use crate::domain::Taken;
use crate::journal::{EventKind, Journal};
use crate::snapshot::{DomainFacts, Shot, encode};

/// What a snapshot is made from.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) only: Option<String>,
    /// What each domain is, with its number, in their order.
    pub(super) facts: Vec<(u32, DomainFacts)>,
    /// Where the checkpoints come from.
    pub(super) taken: mpsc::Receiver<Taken>,
    /// All but the domains.
    pub(super) shot: Shot,
    pub(super) journal: Arc<Journal>,
}

impl Collector {
    pub(super) fn start(self, answer: Answer<Vec<Vec<u8>>>) {
        let only = self.only.clone();
        let work = move || drop(answer.send(self.collect()));
        // Without the thread the answer is dropped, which is a refusal.
        if let Err(error) = thread::Builder::new().name("snapshot".to_owned()).spawn(work) {
            log::error!("no snapshot of {only:?}: no thread for it: {error}");
        }
    }

    fn collect(self) -> Result<Vec<Vec<u8>>, Refusal> {
        let Self { only, facts, taken, mut shot, journal } = self;
        let refuse = |why: String| refusal(only.as_deref(), why);
        let mut checkpoints: HashMap<u32, Taken> =
            taken.iter().map(|taken| (taken.domain, taken)).collect();
        for (domain, facts) in facts {
            let ended = || refuse(format!("{} ended meanwhile; try again", facts.name));
            let taken = checkpoints.remove(&domain).ok_or_else(ended)?;
            let checkpoint = taken.checkpoint.map_err(|error| refuse(error.to_string()))?;
            let stood = u64::try_from(taken.stood.as_micros()).unwrap_or(u64::MAX);
            shot.stood = shot.stood.max(stood);
            shot.domains.push((facts, checkpoint));
        }
        let (domains, micros) = (shot.domains.len() as u64, shot.stood);
        let pieces = encode(shot).map_err(&refuse)?;
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        journal.event(only.as_deref(), EventKind::SnapshotTaken { domains, bytes, micros });
        Ok(pieces)
    }
}
