//! Owns a store: batches in, records out.
//!
//! Batches that wait at the same time are [added](Store::add) to a group, and [written](Store::write)
//! with one write. Between groups the log is [tidied](Store::tidy), a little at a time.

use alloc::vec::Vec;

use atoll_ipc::message::Status;

use crate::clean::{Cleaner, Trouble, ailment};
use crate::disk::{Disk, DiskError};
use crate::error::OpenError;
use crate::frame::{CLIENT_MAX, Draft, HEAD, Kind, SECTION, sections};
use crate::index::{Index, for_each};
use crate::interface::{Ailment, Chunk, Figures, Opened};
use crate::layout::packed;
use crate::log::Log;
use crate::recover::{Options, Progress, Recovered, recover};
use crate::trial::{Limits, Trial, Tried};
use crate::window::Window;
use atoll_ipc::interface::{Bytes, Word};

/// How much of the log one `load` looks at, at most: a client that has few records among many
/// others' does not keep those waiting.
const LOOK: u64 = 8 << 20;

/// How many bytes are cleaned for each that is written. Cleaning frees at least half of what it
/// looks at once all of the log was looked at, so the log gets shorter with anything above two.
const EAGERNESS: u64 = 4;

/// How often tidying is put off while a client loads its space. What is moved meanwhile comes
/// behind the client's cursor again, and one that is slower than the cleaning would never be done.
const QUIET: u32 = 64;

/// A store on a disk.
#[derive(Debug)]
pub struct Store<D> {
    log: Log<D>,
    index: Index,
    cleaner: Cleaner,
    /// The group's frame.
    draft: Draft,
    trial: Trial,
    memory: usize,
    /// What is to be cleaned for what was written.
    debt: u64,
    /// Where clients read.
    window: Window,
    chunk: Vec<u8>,
    /// How often tidying is still put off.
    quiet: u32,
    /// Whether the last frame could not be written again when the store was opened: it is there,
    /// but nobody knows whether it is durable.
    is_doubtful: bool,
    recovery: Progress,
    recovery_us: u64,
    trouble: Option<Trouble>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is on disk already.
    Done,
    /// It belongs to the group, and shares its fate.
    Waits,
    /// The group must be written first.
    Later,
}

impl<D: Disk> Store<D> {
    /// Opens the store on a disk, or makes one on a disk of zeros. `tell` hears now and then how
    /// far that has come.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(
        disk: D,
        options: &Options<'_>,
        tell: impl FnMut(&Progress),
    ) -> Result<Self, OpenError> {
        let Recovered { log, index, totals, progress } = recover(disk, options, tell)?;
        let passed = log.superblock.totals;
        let is_doubtful = log.ailment == Some(Ailment::Failed);
        let mut store = Self {
            log,
            index,
            cleaner: Cleaner::new(totals, passed),
            draft: Draft::default(),
            trial: Trial::default(),
            memory: options.memory,
            debt: 0,
            window: Window::default(),
            chunk: Vec::new(),
            quiet: 0,
            is_doubtful,
            recovery: progress,
            recovery_us: 0,
            trouble: None,
        };
        while store.prepare() {}
        Ok(store)
    }

    /// Adds a client's batch to the group.
    ///
    /// # Errors
    /// [`Status::Malformed`], [`Status::Exhausted`], [`Status::Denied`] as the
    /// [interface](crate::interface::Store) says; the group stays as it was.
    pub fn add(&mut self, client: &str, number: u64, records: &[u8]) -> Result<Added, Status> {
        let last = self.index.client(client).map_or(0, |known| known.last);
        if number != 0 && number == last && !self.is_doubtful {
            return Ok(Added::Done);
        }
        if self.log.ailment.is_some() {
            return Err(Status::Denied);
        }
        if client.len() > CLIENT_MAX {
            return Err(Status::Malformed);
        }
        let area = self.log.superblock.area;
        if self.draft.span_with(SECTION + client.len() + records.len()) > area.frame_max() {
            return if self.draft.is_empty() { Err(Status::Exhausted) } else { Ok(Added::Later) };
        }
        let limits = Limits { live: area.live_max(), memory: self.memory };
        match self.trial.batch(&self.index, client, number, records, limits)? {
            Tried::Again => (),
            Tried::New => {
                self.draft.begin(Kind::Batch, client, number);
                self.draft.push(records);
            }
        }
        Ok(Added::Waits)
    }

    /// Makes the group durable.
    ///
    /// # Errors
    /// [`Status::Exhausted`] or [`Status::Denied`], for all of its batches.
    pub fn write(&mut self) -> Result<(), Status> {
        if self.draft.is_empty() {
            return Ok(());
        }
        let done = self.write_group();
        self.draft.clear();
        self.trial.clear();
        done.map_err(|trouble| {
            self.note(trouble);
            if self.log.ailment.is_some() { Status::Denied } else { Status::Exhausted }
        })
    }

    fn write_group(&mut self) -> Result<(), Trouble> {
        let span = self.draft.span_with(0);
        self.make_room(span)?;
        let position = self.log.append(&mut self.draft)?;
        // A frame that was just made makes sense.
        if let Ok(totals) = self.index.replay(position, self.draft.body()) {
            self.cleaner.totals.writes += totals.writes;
        }
        self.debt += EAGERNESS * span;
        Ok(())
    }

    /// [`Store::add`] and [`Store::write`] for one batch.
    ///
    /// # Errors
    /// As theirs.
    pub fn commit(&mut self, client: &str, number: u64, records: &[u8]) -> Result<(), Status> {
        if self.add(client, number, records)? == Added::Later {
            self.write()?;
            self.add(client, number, records)?;
        }
        self.write()
    }

    /// Sees to it that there will be room for all that lives once more, besides a frame.
    fn make_room(&mut self, span: u64) -> Result<(), Trouble> {
        let lap = self.log.tail;
        while !self.has_room(span) {
            if self.log.head() >= lap && !self.cleaner.is_amid_chain() {
                return Err(Trouble::Disk(DiskError::Full));
            }
            self.cleaner.step(&mut self.log, &mut self.index, lap)?;
            self.cleaner.advance(&mut self.log, 1)?;
        }
        Ok(())
    }

    fn has_room(&self, span: u64) -> bool {
        let area = self.log.superblock.area;
        let live = self.index.live().saturating_add_signed(self.trial.growth.max(0));
        self.log.used() + span + packed(live) + area.reserve() <= area.capacity
    }

    /// Cleans a little, if there is need: as much as was written allows, or more if there is
    /// nothing else to do. Returns whether there is more to be done.
    pub fn tidy(&mut self, is_idle: bool) -> bool {
        if self.log.ailment.is_some() {
            return false;
        }
        let prepared = self.prepare();
        if self.quiet > 0 {
            self.quiet -= 1;
            return prepared;
        }
        if !self.is_untidy(is_idle) {
            self.debt = 0;
            return prepared;
        }
        let step = self.log.superblock.area.step();
        if !is_idle && self.debt < step {
            return true;
        }
        self.debt = self.debt.saturating_sub(step);
        let end = self.log.tail;
        match self.cleaner.step(&mut self.log, &mut self.index, end) {
            Ok(_) => true,
            Err(trouble) => {
                self.note(trouble);
                false
            }
        }
    }

    fn is_untidy(&self, is_idle: bool) -> bool {
        let area = self.log.superblock.area;
        let (used, live) = (self.log.used(), self.index.live());
        let is_tight = || {
            let wanted = packed(live) + area.reserve() + 2 * area.frame_max();
            used + wanted > area.capacity && used > packed(live) + 2 * area.frame_max()
        };
        self.cleaner.is_amid_chain() || used > area.target(live) || (!is_idle && is_tight())
    }

    /// Writes ahead of the log; returns whether it did.
    fn prepare(&mut self) -> bool {
        match self.log.prepare() {
            Ok(did) => did,
            // Then a commit that needs the room will say so.
            Err(DiskError::Full) => false,
            Err(error) => {
                self.note(Trouble::Disk(error));
                false
            }
        }
    }

    fn note(&mut self, trouble: Trouble) {
        self.cleaner.give_up();
        if let Some(ailment) = ailment(trouble) {
            self.log.ailment.get_or_insert(ailment);
        }
        self.trouble = Some(trouble);
    }

    /// What went wrong since last asked.
    pub const fn trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    /// Some of a client's living records, about `most` bytes of them, from a cursor on.
    ///
    /// # Errors
    /// [`Status::Malformed`] for a cursor that was not given out; [`Status::Denied`] if the log
    /// cannot be read.
    pub fn load(&mut self, client: &str, cursor: u64, most: usize) -> Result<Chunk<'_>, Status> {
        self.chunk.clear();
        let next = match self.index.find(client) {
            Some(client) => self.gather(client, cursor, most)?,
            None if cursor == 0 => 0,
            None => return Err(Status::Malformed),
        };
        self.quiet = if next == 0 { 0 } else { QUIET };
        Ok(Chunk { next: Word(next), records: Bytes(&self.chunk) })
    }

    fn gather(&mut self, client: usize, cursor: u64, most: usize) -> Result<u64, Status> {
        if cursor >= self.log.tail && cursor != 0 {
            return Err(Status::Malformed);
        }
        // What was before the head lives behind it now.
        let from = cursor.max(self.log.head());
        let Some(start) = self.log.frame_of(from) else { return Ok(0) };
        let name = self.index.clients()[client].name.clone();
        for frame in start..self.log.frames.len() {
            let position = self.log.frames[frame].position;
            if position >= from + LOOK {
                return Ok(position);
            }
            let body = match self.window.body(&mut self.log, frame) {
                Ok(body) => body,
                Err(unread) => {
                    self.note(unread.into());
                    return Err(Status::Denied);
                }
            };
            let mut is_found = position >= from;
            let mut next = None;
            for section in sections(body).flatten().filter(|section| section.client == &*name) {
                // What was replayed once makes sense.
                let _ = for_each(&section, position, |record, at| {
                    is_found |= at == from;
                    if at < from || next.is_some() || !self.index.lives(client, &record, at) {
                        return;
                    }
                    if !self.chunk.is_empty() && self.chunk.len() + record.encoded_len() > most {
                        next = Some(at);
                    } else {
                        record.encode(&mut self.chunk);
                    }
                });
            }
            match next {
                _ if !is_found => return Err(Status::Malformed),
                Some(next) => return Ok(next),
                None => (),
            }
        }
        Ok(0)
    }

    /// How a client's space stands.
    pub fn opened(&self, client: &str) -> Opened {
        let known = self.index.client(client);
        Opened {
            store: self.log.superblock.id.map(Word),
            last: Word(known.map_or(0, |known| known.last)),
            room: Word(self.room()),
            longest: Word(self.longest(client)),
            records: known.map_or(0, |known| known.records),
            bytes: known.map_or(0, |known| known.bytes),
            ailment: self.log.ailment,
        }
    }

    /// Bytes of the longest batch of a client: what a frame holds beside what it needs itself.
    fn longest(&self, client: &str) -> u64 {
        self.log.superblock.area.frame_max() - (HEAD + SECTION + client.len()) as u64
    }

    /// Encoded bytes that may still live.
    pub fn room(&self) -> u64 {
        self.log.superblock.area.live_max().saturating_sub(self.index.live())
    }

    /// Figures of the whole store.
    pub fn figures(&self) -> Figures {
        Figures {
            log: self.log.used(),
            live: self.index.live(),
            records: self.index.records(),
            batches: self.index.batches(),
            writes: self.cleaner.totals.writes,
            moved: self.cleaner.totals.moved,
            recovery_us: self.recovery_us,
            recovery_read: self.recovery.read,
        }
    }

    /// Says how long it took to open it.
    pub const fn took(&mut self, us: u64) {
        self.recovery_us = us;
    }

    /// Why nothing can be committed.
    pub const fn ailment(&self) -> Option<Ailment> {
        self.log.ailment
    }

    /// The disk.
    pub fn disk(&mut self) -> &mut D {
        self.log.disk()
    }
}
