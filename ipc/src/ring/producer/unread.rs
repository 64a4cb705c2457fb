//! A producer whose consumer has died: what of the ring the next one can read.

use crate::record::{ALIGN, HeadBits, Item, Kind, LINE, request};
use crate::ring::{Consumer, Memory, Place, Producer, Record};
use crate::sync::spin_loop;

/// How often a place is looked at where an answer seems to be coming: the two stores that make one
/// are neighbours.
const LOOKS: usize = if cfg!(loom) { 2 } else { 100 };

impl<M: Memory> Producer<M> {
    /// Whether a consumer that begins at `resume`, and may have done so already, finds all records
    /// from there on as they were sent, as far as it would refuse them otherwise. Those that are done
    /// with it passes over, up to `passed`.
    pub(crate) fn is_intact_from(
        &self,
        resume: u64,
        passed: u64,
        accepts: impl Fn(Item) -> bool,
    ) -> bool {
        let mut at = resume.max(self.head);
        if !resume.is_multiple_of(ALIGN as u64) || !self.is_come_to(at, resume) {
            return false;
        }
        while at < self.tail {
            match self.end_of(at, passed, &accepts) {
                Some(end) => at = end,
                None => return false,
            }
        }
        // What lies behind was never sent, whatever it looks like.
        at == self.tail && !self.reader_at(at).is_ready()
    }

    /// Whether the consumer begins there, or has taken all before since it began. (What it has
    /// released it has taken, so an honest one is never behind.)
    fn is_come_to(&self, position: u64, resume: u64) -> bool {
        position == resume || self.is_taken_to(position)
    }

    /// Whether the consumer says that it has taken all before.
    fn is_taken_to(&self, position: u64) -> bool {
        self.memory.control().claims().taken >= position
    }

    /// Says again where it is: a consumer that went wild may have written over it.
    pub(crate) fn reassert(&self) {
        self.memory.control().produce_from(self.generation, self.tail);
    }

    /// Begins another generation where the last one ends, so that no position comes twice. The ring
    /// reads as full until the consumer has followed.
    pub(crate) fn begin_anew(&mut self, secret: u64, generation: u32) {
        if let Some(position) = self.late.as_ref().map(|late| late.position)
            && let Ok(Some(_)) = self.answer(position)
        {
            self.keep_answer(position);
        }
        let (late, tail) = (self.late.take(), self.tail);
        self.restart(secret, generation);
        (self.late, self.tail, self.head) = (late, tail, tail);
        self.reassert();
        self.announce();
    }

    /// Whether the consumer comes by a record that is done with: it has taken that itself, or passes
    /// over it. One that a dead consumer answered, and said that it had not taken, would stand in its
    /// way for good. (Who answers has taken before, so an honest one is never behind.)
    fn is_come_by(&self, position: u64, end: u64, passed: u64) -> bool {
        position < passed || self.is_taken_to(end)
    }

    /// Where the record that begins there ends, if it is one that this producer may have written.
    fn end_of(&self, position: u64, passed: u64, accepts: impl Fn(Item) -> bool) -> Option<u64> {
        let reader = self.reader_at(position);
        let in_line = position.is_multiple_of(LINE as u64);
        let behind_line = position + LINE as u64;
        let record = match reader.place() {
            Place::Open(record) => record,
            Place::Done(end) => return self.is_come_by(position, end, passed).then_some(end),
            Place::Nothing => return None,
        };
        let fits = match record.head().kind {
            Kind::Pad => self.is_in_place(&record),
            Kind::Call | Kind::Send => {
                let item = reader.item(&record).ok()?;
                is_request(record.bits) && item.is_none_or(accepts)
            }
            Kind::Exchange => is_request(record.bits),
            Kind::Cancel => true,
            // An answer is being written over an exchange this very moment, or somebody forged it.
            Kind::Reply if in_line => {
                let is_answer = self.awaits_answer(position);
                let is_come_by = is_answer && self.is_come_by(position, behind_line, passed);
                return is_come_by.then_some(behind_line);
            }
            Kind::Reply => false,
        };
        fits.then(|| record.end())
    }

    fn awaits_answer(&self, position: u64) -> bool {
        (0..LOOKS).any(|_| {
            spin_loop();
            self.has_answer(position)
        })
    }

    /// Whether a pad is one that a consumer skips.
    fn is_in_place(&self, pad: &Record) -> bool {
        let fills_the_end = self.geometry.offset(pad.end()) == 0;
        let aligns = pad.end().is_multiple_of(LINE as u64) && pad.bits.size() < LINE;
        (fills_the_end || aligns) && self.geometry.offset(pad.position) != 0
    }

    /// A consumer's view of the ring, which leaves no trace.
    fn reader_at(&self, position: u64) -> Consumer<&M> {
        Consumer::unseen(&self.memory, (self.key, self.generation), position)
    }
}

fn is_request(bits: HeadBits) -> bool {
    request::operation(bits.word()).is_some()
}
