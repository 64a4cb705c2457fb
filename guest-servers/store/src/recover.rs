//! Owns how a store is found on a disk, or made there: its superblock, and the log from its head
//! to its last whole frame.
//!
//! Since each frame was durable before the next one was written, only the last one may be broken
//! by whatever ended the store. A frame that is broken, and has a whole one behind it, was damaged
//! later, and so was one that the superblock knows of; the store does not open then.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec;

use crate::disk::{Disk, DiskError};
use crate::error::{Damage, OpenError};
use crate::frame::Head;
use crate::index::Index;
use crate::layout::{Area, DATA, SIZE_MIN, UNIT, units_below};
use crate::log::{Entry, Log};
use crate::superblock::{Slot, Superblock, Totals};
use crate::tape::Tape;

/// What whoever runs the store knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The store's name. A disk that holds another store is refused.
    pub name: &'a str,
    /// The name of a store that this one takes over.
    pub adopt: Option<&'a str>,
    /// Whether a damaged log is to end where it is broken.
    pub repair: bool,
    /// Numbers that nobody can guess.
    pub seed: [u64; 4],
    /// Bytes of memory for what is known of keys.
    pub memory: usize,
}

/// How far the reading of the log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes of the log that were understood.
    pub log: u64,
    /// Bytes that it has at least.
    pub least: u64,
    /// Records that live so far.
    pub records: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Recovered<D> {
    /// The log.
    pub log: Log<D>,
    /// What is known of it.
    pub index: Index,
    /// What was counted so far.
    pub totals: Totals,
    /// How much was read for it.
    pub progress: Progress,
}

/// Opens the store on a disk, or makes one on a disk of zeros. `tell` hears of it now and then.
///
/// # Errors
/// Why there is none.
pub fn recover<D: Disk>(
    mut disk: D,
    options: &Options<'_>,
    mut tell: impl FnMut(&Progress),
) -> Result<Recovered<D>, OpenError> {
    check_size(&disk)?;
    let Some((superblock, are_equal)) = superblock(&mut disk, options)? else {
        return format(disk, options);
    };
    let mut reading = Reading {
        tape: Tape::new(&mut disk, superblock.area, superblock.head),
        superblock,
        index: Index::new(secret(options)),
        frames: VecDeque::new(),
        totals: superblock.totals,
        tail: superblock.head,
        sequence: superblock.sequence,
    };
    let damage = reading.all(options.memory, &mut tell)?;
    let next = match damage {
        Some(what) if !options.repair => {
            return Err(OpenError::Damaged { offset: superblock.area.place(reading.tail), what });
        }
        Some(_) => Some(reading.unused_sequence()?),
        None => None,
    };
    let progress = reading.progress();
    let Reading { index, frames, totals, tail, sequence, .. } = reading;
    let mut log = Log::new(disk, superblock, frames, tail, sequence);
    settle(&mut log, options, next, are_equal)?;
    Ok(Recovered { log, index, totals, progress })
}

fn check_size(disk: &impl Disk) -> Result<(), OpenError> {
    let description = disk.description();
    if description.block > UNIT {
        return Err(OpenError::Block { block: description.block });
    }
    if description.size < SIZE_MIN {
        return Err(OpenError::Small { size: description.size });
    }
    Ok(())
}

/// The newer superblock, and whether both are the same; `None` on a disk of zeros.
fn superblock(
    disk: &mut impl Disk,
    options: &Options<'_>,
) -> Result<Option<(Superblock, bool)>, OpenError> {
    let mut slots = [Slot::Blank; 2];
    for (index, slot) in slots.iter_mut().enumerate() {
        let mut bytes = [0; UNIT as usize];
        let read = disk.read(index as u64 * UNIT, &mut bytes);
        read.map_err(|error| OpenError::Disk { doing: "reading the superblock", error })?;
        *slot = Superblock::decode(&bytes);
    }
    let (superblock, are_equal) = match slots {
        [Slot::Whole(a), Slot::Whole(b)] if a.generation >= b.generation => (a, a == b),
        [Slot::Whole(_) | _, Slot::Whole(whole)] | [Slot::Whole(whole), _] => (whole, false),
        [Slot::Version(found), _] | [_, Slot::Version(found)] => {
            return Err(OpenError::Version { found });
        }
        [Slot::Damaged, _] | [_, Slot::Damaged] => return Err(OpenError::Superblock),
        [Slot::Blank | Slot::Strange, Slot::Blank | Slot::Strange] => {
            return match first_byte(disk)? {
                Some(offset) => Err(OpenError::Foreign { offset }),
                None => Ok(None),
            };
        }
    };
    check_identity(&superblock, disk.description().size, options)?;
    Ok(Some((superblock, are_equal)))
}

fn check_identity(
    superblock: &Superblock,
    size: u64,
    options: &Options<'_>,
) -> Result<(), OpenError> {
    let wanted = Superblock::named(options.name);
    if superblock.name != wanted && options.adopt != Some(superblock.name()) {
        let (found, wanted) = (superblock.name().to_string(), options.name.to_string());
        return Err(OpenError::Other { found, wanted });
    }
    let wanted = DATA + superblock.area.capacity;
    if size < wanted {
        return Err(OpenError::Shrunk { size, wanted });
    }
    Ok(())
}

/// Where the first byte is that is not zero.
fn first_byte(disk: &mut impl Disk) -> Result<Option<u64>, OpenError> {
    let description = disk.description();
    let end = units_below(description.size);
    let mut bytes = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < end.min(description.fresh) {
        let length = (end - offset).min(bytes.len() as u64) as usize;
        let read = disk.read(offset, &mut bytes[..length]);
        read.map_err(|error| OpenError::Disk { doing: "looking for other data", error })?;
        if let Some(at) = bytes[..length].iter().position(|&byte| byte != 0) {
            return Ok(Some(offset + at as u64));
        }
        offset += length as u64;
    }
    Ok(None)
}

fn format<D: Disk>(disk: D, options: &Options<'_>) -> Result<Recovered<D>, OpenError> {
    let capacity = units_below(disk.description().size) - DATA;
    let [first, second, key, _] = options.seed;
    let superblock = Superblock {
        generation: 0,
        id: [first, second],
        key,
        area: Area { base: 0, capacity },
        head: 0,
        sequence: 1,
        reached: 0,
        totals: Totals::default(),
        name: Superblock::named(options.name),
    };
    let mut log = Log::new(disk, superblock, VecDeque::new(), 0, 1);
    let made = log.write_superblock(superblock);
    made.map_err(|error| OpenError::Disk { doing: "making a store on an empty disk", error })?;
    let index = Index::new(secret(options));
    Ok(Recovered { log, index, totals: Totals::default(), progress: Progress::default() })
}

/// What fingerprints of keys are made with. Clients are told the identity that a store gets, but
/// none of these.
fn secret(options: &Options<'_>) -> [u64; 2] {
    let [.., third, fourth] = options.seed;
    [fourth, third.rotate_left(32) ^ fourth.wrapping_mul(0x9e37_79b9_7f4a_7c15)]
}

/// Makes sure that what was read is on the disk, and that the next one finds it.
fn settle<D: Disk>(
    log: &mut Log<D>,
    options: &Options<'_>,
    next: Option<u64>,
    are_equal: bool,
) -> Result<(), OpenError> {
    let settled = (|| {
        match next {
            Some(next) => log.leave_out(next)?,
            None => log.confirm()?,
        }
        let superblock = log.superblock;
        let name = Superblock::named(options.name);
        let capacity = units_below(log.disk().description().size) - DATA;
        let grown = superblock.area.grown(capacity, log.head(), log.tail);
        let area = grown.unwrap_or(superblock.area);
        let is_told = superblock.reached == log.tail && superblock.name == name;
        if are_equal && is_told && grown.is_none() {
            return Ok(());
        }
        log.advance(Superblock { area, name, ..superblock })
    })();
    match settled {
        // The log says of itself why nothing can be written.
        Ok(()) | Err(DiskError::ReadOnly | DiskError::Failed) if next.is_none() => Ok(()),
        Err(DiskError::Full) if next.is_none() => Ok(()),
        Ok(()) => Ok(()),
        Err(error) => Err(OpenError::Disk { doing: "ending the damaged log", error }),
    }
}

struct Reading<'d, D> {
    tape: Tape<'d, D>,
    superblock: Superblock,
    index: Index,
    frames: VecDeque<Entry>,
    totals: Totals,
    /// Where the next frame should be.
    tail: u64,
    /// Its sequence number.
    sequence: u64,
}

impl<D: Disk> Reading<'_, D> {
    /// Reads frames until there is none; returns how it is known that there should be, if it is.
    fn all(
        &mut self,
        memory: usize,
        tell: &mut impl FnMut(&Progress),
    ) -> Result<Option<Damage>, OpenError> {
        let mut told = 0;
        while self.tail - self.superblock.head < self.superblock.area.capacity {
            match self.frame(memory)? {
                Found::Frame => (),
                Found::Nonsense => return Ok(Some(Damage::Nonsense)),
                Found::End => break,
            }
            if self.tape.read >= told + TELL {
                told = self.tape.read;
                tell(&self.progress());
            }
        }
        if self.tail < self.superblock.reached {
            let missing = self.superblock.reached - self.tail;
            return Ok(Some(Damage::Short { missing }));
        }
        let later = self.later()?;
        tell(&self.progress());
        Ok(later.map(|found| Damage::Later { found }))
    }

    /// Reads the next frame, if there is one.
    fn frame(&mut self, memory: usize) -> Result<Found, OpenError> {
        let (key, area) = (self.superblock.key, self.superblock.area);
        let (position, sequence) = (self.tail, self.sequence);
        let left = self.superblock.head + area.capacity - position;
        let unit = self.tape.at(position, UNIT).map_err(reading)?;
        let Some(head) = Head::read(key, unit).filter(|head| {
            (head.position, head.sequence) == (position, sequence)
                && head.span <= area.to_end(position).min(left)
                && head.extent() <= area.frame_max()
        }) else {
            return Ok(Found::End);
        };
        let frame = self.tape.at(position, head.extent()).map_err(reading)?;
        let Some(body) = head.body(key, frame) else { return Ok(Found::End) };
        if self.index.memory_for(body) > memory {
            return Err(OpenError::Memory { memory });
        }
        let Ok(totals) = self.index.replay(position, body) else { return Ok(Found::Nonsense) };
        self.totals.writes += totals.writes;
        self.totals.moved += totals.moved;
        self.frames.push_back(Entry { position, sequence });
        (self.tail, self.sequence) = (position + head.span, head.next);
        Ok(Found::Frame)
    }

    /// The sequence number of a frame behind the tail that was written later than the one that
    /// should be there.
    fn later(&mut self) -> Result<Option<u64>, OpenError> {
        let area = self.superblock.area;
        // The frame that is broken, and whatever may lie between it and the next one's head.
        let end = self.tail + 2 * area.frame_max() + UNIT;
        let end = end.min(self.superblock.head + area.capacity);
        let mut position = self.tail;
        while position < end {
            let unit = self.tape.at(position, UNIT).map_err(reading)?;
            let found = Head::read(self.superblock.key, unit).map(|head| head.sequence);
            if let Some(found) = found.filter(|found| *found > self.sequence) {
                return Ok(Some(found));
            }
            position += UNIT;
        }
        Ok(None)
    }

    /// A sequence number that no frame on the disk has, nor any before it will have again.
    fn unused_sequence(&mut self) -> Result<u64, OpenError> {
        let end = self.superblock.head + self.superblock.area.capacity;
        let mut unused = self.sequence + 1;
        let mut position = self.tail;
        while position < end {
            let unit = self.tape.at(position, UNIT).map_err(reading)?;
            let head = Head::read(self.superblock.key, unit);
            unused = head.map_or(unused, |head| unused.max(head.sequence.max(head.next) + 1));
            position += UNIT;
        }
        Ok(unused)
    }

    fn progress(&self) -> Progress {
        Progress {
            read: self.tape.read,
            log: self.tail - self.superblock.head,
            least: self.superblock.reached - self.superblock.head,
            records: self.index.records(),
        }
    }
}

/// How much is read before it is told again.
const TELL: u64 = 1 << 20;

enum Found {
    Frame,
    Nonsense,
    End,
}

const fn reading(error: DiskError) -> OpenError {
    OpenError::Disk { doing: "reading the log", error }
}
