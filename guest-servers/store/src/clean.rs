//! Owns the cleaning of the log: what lives of its oldest frames is written again at its tail, and
//! their room is free.
//!
//! A chain moves as a whole, so that what is left of the log still tells all of it, in order. One
//! that is too long for a frame moves in parts, between which others are served; the last part
//! makes them count. If its key is changed meanwhile, the parts never do.

use alloc::vec::Vec;

use crate::disk::{Disk, DiskError};
use crate::frame::{CLIENT_MAX, Draft, HEAD, Kind, SECTION, sections};
use crate::index::{Index, Print, for_each};
use crate::interface::Ailment;
use crate::log::Log;
use crate::record::{Record, first};
use crate::superblock::{Superblock, Totals};
use crate::window::{Unread, Window};

/// What went wrong with the log of a store that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The disk says what.
    #[error("the log could not be read or written: {0}")]
    Disk(DiskError),
    /// A frame is damaged that was whole before.
    #[error(
        "the log was damaged at byte {offset} of the disk while the store ran; what is there is \
         not served, and nothing more is committed"
    )]
    Damaged {
        /// Where on the disk it is.
        offset: u64,
    },
}

impl From<Unread> for Trouble {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Disk(error) => Self::Disk(error),
            Unread::Damaged { offset } => Self::Damaged { offset },
        }
    }
}

impl From<DiskError> for Trouble {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// What cleaning needs beside the log and the index.
#[derive(Debug, Default)]
pub struct Cleaner {
    /// What is moved.
    draft: Draft,
    /// The clients that have a section in it.
    marked: Vec<usize>,
    /// The client whose section is open.
    open: Option<usize>,
    /// Where records of the first frame are still to be looked at.
    from: u64,
    /// A chain that moves in parts.
    parts: Option<Parts>,
    /// The first frame, and where amendments are.
    windows: [Window; 2],
    /// Sums of the whole life, and those before the first frame.
    pub totals: Totals,
    passed: Totals,
}

#[derive(Debug)]
struct Parts {
    client: usize,
    print: Print,
    /// Where its base was when it began to move.
    base: u64,
    /// Records that were written so far.
    done: usize,
}

/// What a step goes through.
struct Step<'a, D> {
    log: &'a mut Log<D>,
    index: &'a mut Index,
}

impl Cleaner {
    /// One for a log with these sums.
    pub fn new(totals: Totals, passed: Totals) -> Self {
        Self { totals, passed, ..Self::default() }
    }

    /// Cleans some of the log; does not go beyond `end`. Returns how much room that freed, or will.
    ///
    /// # Errors
    /// Why not.
    pub fn step<D: Disk>(
        &mut self,
        log: &mut Log<D>,
        index: &mut Index,
        end: u64,
    ) -> Result<u64, Trouble> {
        let area = log.superblock.area;
        let mut step = Step { log, index };
        let mut scanned = 0;
        let mut frames = 0;
        let mut passed = Totals::default();
        while scanned < area.step() && self.parts.is_none() {
            let Some(entry) = step.log.frames.get(frames) else { break };
            if entry.position >= end {
                break;
            }
            let span = step.log.span(frames);
            if self.frame(&mut step, frames, &mut passed)? {
                break;
            }
            frames += 1;
            scanned += span;
        }
        self.flush(&mut step)?;
        if frames > 0 {
            step.log.frames.drain(..frames);
            self.passed.writes += passed.writes;
            self.passed.moved += passed.moved;
        }
        if self.parts.is_some() {
            self.part(&mut step)?;
        }
        self.advance(step.log, area.step())?;
        Ok(scanned)
    }

    /// Tells the disk how far the log is clean, if that is so much further than it knows.
    ///
    /// # Errors
    /// As the disk says.
    pub fn advance<D: Disk>(&mut self, log: &mut Log<D>, least: u64) -> Result<(), DiskError> {
        if log.head() - log.superblock.head < least {
            return Ok(());
        }
        log.advance(Superblock { totals: self.passed, ..log.superblock })
    }

    /// Gathers what lives of a frame. Returns whether it is not done yet: a chain of it moves in
    /// parts now.
    fn frame<D: Disk>(
        &mut self,
        step: &mut Step<'_, D>,
        frame: usize,
        passed: &mut Totals,
    ) -> Result<bool, Trouble> {
        let position = step.log.frames[frame].position;
        let mut window = core::mem::take(&mut self.windows[0]);
        let gathered = window
            .body(step.log, frame)
            .map_err(Trouble::from)
            .and_then(|body| self.body(step, position, body, passed));
        self.windows[0] = window;
        gathered
    }

    fn body<D: Disk>(
        &mut self,
        step: &mut Step<'_, D>,
        position: u64,
        body: &[u8],
        passed: &mut Totals,
    ) -> Result<bool, Trouble> {
        let mut totals = Totals::default();
        for section in sections(body).flatten() {
            totals.count(&section);
            let Some(client) = step.index.find(section.client) else { continue };
            let mut failed = None;
            // What was replayed once makes sense.
            let _ = for_each(&section, position, |record, at| {
                if failed.is_none() && at >= self.from && matches!(record, Record::Put { .. }) {
                    failed = self.record(step, client, &record, at).err();
                }
            });
            match failed {
                Some(Stopped::Trouble(trouble)) => return Err(trouble),
                Some(Stopped::Parts) => return Ok(true),
                None => (),
            }
            self.mark(step, client, position)?;
        }
        passed.writes += totals.writes;
        passed.moved += totals.moved;
        Ok(false)
    }

    /// Keeps the number of a client's last batch, if this frame alone has it.
    fn mark<D: Disk>(
        &mut self,
        step: &mut Step<'_, D>,
        client: usize,
        position: u64,
    ) -> Result<(), Trouble> {
        if step.index.clients()[client].mark == position && !self.marked.contains(&client) {
            self.make_room(step, 0)?;
            self.section(step.index, client);
        }
        Ok(())
    }

    /// Gathers a chain whose base this is, if it is.
    fn record<D: Disk>(
        &mut self,
        step: &mut Step<'_, D>,
        client: usize,
        record: &Record<'_>,
        at: u64,
    ) -> Result<(), Stopped> {
        let print = record.key().map(|key| step.index.print(key)).unwrap_or_default();
        let Some(chain) = step.index.clients()[client].chain(print) else { return Ok(()) };
        if chain.base() != at {
            return Ok(());
        }
        let bytes = chain.bytes() as usize;
        if step.log.superblock.area.frame_max() < most(bytes) {
            self.parts = Some(Parts { client, print, base: at, done: 0 });
            self.from = at;
            return Err(Stopped::Parts);
        }
        self.make_room(step, bytes).map_err(Stopped::Trouble)?;
        if self.open != Some(client) {
            self.section(step.index, client);
        }
        let mut base = Vec::with_capacity(record.encoded_len());
        record.encode(&mut base);
        self.draft.push(&base);
        let chain = step.index.clients()[client].chain(print);
        let rest: Vec<u64> =
            chain.into_iter().flat_map(|chain| chain.positions().skip(1)).collect();
        for position in rest {
            self.copy(step.log, position).map_err(Stopped::Trouble)?;
        }
        Ok(())
    }

    /// Appends a record of the log to the draft; returns its bytes.
    fn copy<D: Disk>(&mut self, log: &mut Log<D>, position: u64) -> Result<usize, Trouble> {
        let damaged = Trouble::Damaged { offset: log.superblock.area.place(position) };
        let frame = log.frame_of(position).ok_or(damaged)?;
        let offset = (position - log.frames[frame].position) as usize - HEAD;
        let body = self.windows[1].body(log, frame)?;
        let bytes = body.get(offset..).ok_or(damaged)?;
        let (record, _) = first(bytes).ok_or(damaged)?;
        let length = record.encoded_len();
        self.draft.push(&bytes[..length]);
        Ok(length)
    }

    fn section(&mut self, index: &Index, client: usize) {
        let known = &index.clients()[client];
        self.draft.begin(Kind::Moved, &known.name, known.last);
        self.marked.push(client);
        self.open = Some(client);
    }

    /// Writes what was gathered, if so much more does not fit.
    fn make_room<D: Disk>(&mut self, step: &mut Step<'_, D>, more: usize) -> Result<(), Trouble> {
        if self.draft.span_with(SECTION + CLIENT_MAX + more) > step.log.superblock.area.frame_max()
        {
            self.flush(step)?;
        }
        Ok(())
    }

    /// Writes what was gathered.
    fn flush<D: Disk>(&mut self, step: &mut Step<'_, D>) -> Result<(), Trouble> {
        self.marked.clear();
        self.open = None;
        if self.draft.is_empty() {
            return Ok(());
        }
        let written = step.log.append(&mut self.draft);
        let replayed = written.map(|position| step.index.replay(position, self.draft.body()));
        self.draft.clear();
        // What was gathered from whole frames makes sense.
        if let Ok(totals) = replayed? {
            self.totals.moved += totals.moved;
        }
        Ok(())
    }

    /// Writes the next part of a chain.
    fn part<D: Disk>(&mut self, step: &mut Step<'_, D>) -> Result<(), Trouble> {
        let Some(Parts { client, print, base, done }) = self.parts else { return Ok(()) };
        let known = &step.index.clients()[client];
        let Some(chain) = known.chain(print).filter(|chain| chain.base() == base) else {
            // It has changed meanwhile, and lives elsewhere or not at all.
            self.parts = None;
            return Ok(());
        };
        let left: Vec<u64> = chain.positions().skip(done).collect();
        self.draft.begin(Kind::Part, &known.name, known.last);
        let most = step.log.superblock.area.frame_max();
        let mut copied = 0;
        for position in &left {
            let next = self.length(step.log, *position)?;
            if copied > 0 && self.draft.span_with(next) > most {
                break;
            }
            self.copy(step.log, *position)?;
            copied += 1;
        }
        let is_last = copied == left.len();
        if is_last {
            self.draft.turn(Kind::Last);
        }
        self.flush(step)?;
        let parts = Parts { client, print, base, done: done + copied };
        self.parts = (!is_last).then_some(parts);
        Ok(())
    }

    fn length<D: Disk>(&mut self, log: &mut Log<D>, position: u64) -> Result<usize, Trouble> {
        let damaged = Trouble::Damaged { offset: log.superblock.area.place(position) };
        let frame = log.frame_of(position).ok_or(damaged)?;
        let offset = (position - log.frames[frame].position) as usize - HEAD;
        let body = self.windows[1].body(log, frame)?;
        let (record, _) = body.get(offset..).and_then(first).ok_or(damaged)?;
        Ok(record.encoded_len())
    }

    /// Whether a chain moves in parts.
    pub const fn is_amid_chain(&self) -> bool {
        self.parts.is_some()
    }

    /// Gives up what was not written.
    pub fn give_up(&mut self) {
        self.draft.clear();
        self.marked.clear();
        self.open = None;
        self.parts = None;
    }
}

enum Stopped {
    Trouble(Trouble),
    /// The chain is too long for a frame.
    Parts,
}

/// Bytes of a frame with a section of so many bytes.
const fn most(bytes: usize) -> u64 {
    (HEAD + SECTION + CLIENT_MAX + bytes) as u64
}

/// Why a store whose disk says this writes no more.
pub const fn ailment(trouble: Trouble) -> Option<Ailment> {
    match trouble {
        Trouble::Disk(DiskError::Full) => None,
        Trouble::Disk(DiskError::ReadOnly) => Some(Ailment::ReadOnly),
        Trouble::Disk(DiskError::Failed) | Trouble::Damaged { .. } => Some(Ailment::Failed),
    }
}
