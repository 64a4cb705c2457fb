//! What becomes of the requests that a dead server had in service, on a channel where they are
//! delivered again.
//!
//! The nucleus keeps a book for each such channel, in memory of its own: which requests were in
//! service when a server died, how often, and how often the death was put down to them. All else
//! it reads from the ring when a server has died: what was answered is answered over the request,
//! or marked as done with, or its reply is the last that the server published (for between the
//! reply and the mark a server may die, but there is only one such request).
//!
//! **Whom to blame.** A server dies of one request at most, and the book has to say of which. Of
//! those in service in a channel it blames the one that was taken last: a server that dies of a
//! request mostly does so while it works on it, and it works on what it took last; those before it
//! it has laid aside for later, and has lived on. If the guess is wrong the others are delivered
//! again with it, one of them is taken last the next time, and the count of each goes on. What
//! was blamed `poison_after` times without an answer in between is *poisoned*.

use core::mem::size_of_val;

use super::again::{Again, Fate, LISTED_MAX};
use super::restart::{begin, is_position, resume_point};
use super::status::{Generation, Resume, Snapshot};
use super::{Region, Replies, Requests};
use crate::client::Ticket;
use crate::in_service::IN_SERVICE_MAX;
use crate::lend::Span;
use crate::record::{self, Kind, request};
use crate::ring::{Claims, Consumer, Place, Record};

/// The nucleus's book of one channel.
#[derive(Debug)]
pub struct Fates {
    poison_after: u32,
    /// Of the request ring; positions mean nothing in another.
    generation: u32,
    /// End of what was ever taken in it.
    until: u64,
    entries: [Option<Entry>; LISTED_MAX],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    position: u64,
    /// Times that it was in service when a server died.
    deliveries: u32,
    /// Deaths that were put down to it.
    blamed: u32,
    end: End,
    /// Its client has looked since that was told.
    is_heard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Done,
    Poisoned,
}

impl Entry {
    const fn fate(&self) -> Fate {
        match self.end {
            End::Open => Fate::Again(self.deliveries),
            End::Done => Fate::Done,
            End::Poisoned => Fate::Poisoned,
        }
    }
}

/// A request that is poisoned, as long as it still lies in the ring.
#[derive(Debug)]
pub struct Buried<'a, R> {
    region: &'a R,
    requests: Consumer<&'a Requests<R>>,
    record: Record,
    /// The client's incarnation that sent it.
    pub client_epoch: u32,
    /// Times that it was delivered.
    pub deliveries: u32,
    /// The buffer that came with it.
    pub lent: Option<Span>,
}

impl<R: Region> Buried<'_, R> {
    /// What it asks for.
    pub const fn operation(&self) -> u16 {
        self.record.bits.word() as u16
    }

    /// Whether its client waits for a reply.
    pub const fn is_call(&self) -> bool {
        !self.record.bits.is(Kind::Send)
    }

    /// Payload bytes in the ring.
    #[expect(clippy::len_without_is_empty, reason = "an empty request is still a request")]
    pub const fn len(&self) -> usize {
        self.record.len()
    }

    /// Fills `bytes` from the start of the payload. They are as hostile as their sender.
    ///
    /// # Panics
    /// If it asks for more than the payload.
    pub fn read(&self, bytes: &mut [u8]) {
        self.requests.read(&self.record, 0, bytes);
    }

    /// Fills `bytes` from the start of the buffer that came with it.
    ///
    /// # Panics
    /// If there is no buffer, or it asks for more than that.
    pub fn read_lent(&self, bytes: &mut [u8]) {
        let Some(span) = self.lent else { panic!("the request came without a buffer") };
        span.read(self.region.lent_requests(), 0, bytes);
    }
}

/// Why a server's incarnation ended, as far as requests are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It failed: a request may be to blame.
    Own,
    /// Somebody else ended it.
    Ordered,
}

/// [`restart_server`](super::restart_server) for a channel whose requests are
/// [delivered again](super::Status::redeliver). A request that is poisoned by this death is shown to
/// `bury`.
pub fn restart_server_again<R: Region>(
    channel: &R,
    epoch: u32,
    fates: &mut Fates,
    death: Death,
    mut bury: impl FnMut(&Buried<'_, R>),
) {
    let now = channel.status().snapshot();
    let claims = channel.shared().requests().claims();
    let ring_bytes = size_of_val(channel.requests()) as u64;
    let resume = resume_point(&claims, &now.epochs, ring_bytes);
    let is_heard = channel.shared().replies().is_consumed_in(now.epochs.replies());
    let Some(Resume { generation, position: taken }) = resume else {
        fates.forget(0, 0);
        return begin(channel, epoch, resume, &Again::nothing());
    };
    if fates.generation != generation {
        fates.forget(generation, taken);
    }
    fates.until = fates.until.max(taken);
    fates.note_heard(is_heard);
    let requests = Requests(channel.clone());
    let position = match Left::of(&requests, &now, generation, &claims, fates.until) {
        Some(left) => {
            fates.note_done(&left);
            fates.note_answer(&left, taken, last_answer(channel, &now));
            let blamed = fates.note_death(&left, taken, death);
            if let Some((record, deliveries)) = blamed {
                let client_epoch = now.epochs.client;
                bury(&left.buried(record, client_epoch, deliveries));
            }
            fates.resume_at(&left)
        }
        // What was in service cannot be told any more: it fails, as if nothing were delivered
        // again.
        None => {
            fates.fail_all();
            taken
        }
    };
    fates.forget_settled(position);
    let resume = Some(Resume { generation, position });
    begin(channel, epoch, resume, &fates.table());
}

/// What lies between the oldest request in service and the end of what was ever taken.
struct Left<'a, R> {
    requests: &'a Requests<R>,
    at: Generation,
    open: [Option<Record>; IN_SERVICE_MAX],
    /// Where those begin that are done with.
    done: [Option<u64>; IN_SERVICE_MAX],
}

impl<'a, R: Region> Left<'a, R> {
    /// `None` if that is not what any server and client leave there.
    fn of(
        requests: &'a Requests<R>,
        now: &Snapshot,
        generation: u32,
        claims: &Claims,
        until: u64,
    ) -> Option<Self> {
        let at = [now.requests(), now.spare_requests()];
        let at = at.into_iter().find(|at| at.number == generation)?;
        let ring_bytes = size_of_val(requests.0.requests()) as u64;
        let &Claims { head, tail, taken, .. } = claims;
        let is_possible =
            is_position(head) && head <= taken && until <= tail && tail - head <= ring_bytes;
        if !is_possible {
            return None;
        }
        let mut left =
            Self { requests, at, open: [None; IN_SERVICE_MAX], done: [None; IN_SERVICE_MAX] };
        left.walk(head, until).then_some(left)
    }

    fn walk(&mut self, head: u64, until: u64) -> bool {
        let (mut position, mut records, mut open) = (head, 0, 0);
        while position < until {
            match self.look_at(position).place() {
                Place::Open(record) if record.bits.is(Kind::Pad) => {
                    position = record.end();
                    continue;
                }
                Place::Open(record) if self.is_request(&record) => {
                    let Some(place) = self.open.get_mut(open) else { return false };
                    *place = Some(record);
                    open += 1;
                    position = record.end();
                }
                Place::Open(record) if record.bits.is(Kind::Cancel) => position = record.end(),
                Place::Done(end) => {
                    let Some(place) = self.done.get_mut(records) else { return false };
                    *place = Some(position);
                    position = end;
                }
                Place::Open(_) | Place::Nothing => return false,
            }
            records += 1;
            if records > IN_SERVICE_MAX {
                return false;
            }
        }
        position == until
    }

    fn is_request(&self, record: &Record) -> bool {
        let bits = record.bits;
        let is_one = bits.is(Kind::Call) || bits.is(Kind::Send) || bits.is(Kind::Exchange);
        is_one && request::operation(bits.word()).is_some() && self.lent(record).is_ok()
    }

    fn lent(&self, record: &Record) -> Result<Option<Span>, ()> {
        let item = self.look_at(record.position).item(record).map_err(drop)?;
        item.map(|item| Span::of(item, self.requests.0.lent_requests()).ok_or(())).transpose()
    }

    fn look_at(&self, position: u64) -> Consumer<&'a Requests<R>> {
        Consumer::onlooker(self.requests, self.at.secret, self.at.number, position)
    }

    /// Requests that nobody has answered in their places, or marked; oldest first.
    fn open(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.open.iter().flatten()
    }

    fn buried(&self, record: Record, client_epoch: u32, deliveries: u32) -> Buried<'a, R> {
        let lent = self.lent(&record).unwrap_or(None);
        let requests = self.look_at(record.position);
        Buried { region: &self.requests.0, requests, record, client_epoch, deliveries, lent }
    }
}

/// The token of the call that the dead server answered last, if by the reply ring.
fn last_answer<R: Region>(channel: &R, now: &Snapshot) -> Option<u32> {
    let replies = Replies(channel.clone());
    let Claims { tail, producing, .. } = channel.shared().replies().claims();
    let generation = now.epochs.replies();
    if producing != generation || !is_position(tail) {
        return None;
    }
    let reader = Consumer::onlooker(&replies, now.secrets.replies, generation, tail);
    let last = reader.last_before().filter(|record| record.bits.is(Kind::Reply))?;
    Some(record::reply::parts(last.bits.word()).0)
}

impl Fates {
    /// An empty book. A request is poisoned once so many deaths in a row were put down to it.
    pub const fn new(poison_after: u32) -> Self {
        Self { poison_after, generation: 0, until: 0, entries: [None; LISTED_MAX] }
    }

    fn forget(&mut self, generation: u32, until: u64) {
        (self.generation, self.until) = (generation, until);
        self.entries = [None; LISTED_MAX];
    }

    fn find(&mut self, position: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().flatten().find(|entry| entry.position == position)
    }

    /// The entry of a request, which may be a new one.
    fn entry(&mut self, position: u64) -> Option<&mut Entry> {
        if self.find(position).is_none() {
            let free = self.entries.iter().position(Option::is_none);
            // There is room for all that can be in service. Whoever has still not heard of so many
            // poisoned requests as are there then hears of the oldest as of one that failed.
            let place = free.or_else(|| self.oldest_poisoned())?;
            let entry =
                Entry { position, deliveries: 0, blamed: 0, end: End::Open, is_heard: false };
            self.entries[place] = Some(entry);
        }
        self.find(position)
    }

    fn oldest_poisoned(&self) -> Option<usize> {
        let places = self.entries.iter().enumerate();
        let poisoned = places.filter_map(|(place, entry)| {
            entry.filter(|entry| entry.end == End::Poisoned).map(|entry| (entry.position, place))
        });
        poisoned.min().map(|(_, place)| place)
    }

    fn is_open(&self, position: u64) -> bool {
        let entries = self.entries.iter().flatten();
        !entries.clone().any(|entry| entry.position == position && entry.end != End::Open)
    }

    /// What the dead server says that it is done with. Its client is told, too: a server that lied
    /// is not to leave a caller waiting.
    fn note_done<R: Region>(&mut self, left: &Left<'_, R>) {
        for position in left.done.iter().flatten() {
            if let Some(entry) = self.entry(*position)
                && entry.end == End::Open
            {
                entry.end = End::Done;
            }
        }
    }

    /// A reply that the dead server published, and did not live to note at its request.
    fn note_answer<R: Region>(&mut self, left: &Left<'_, R>, taken: u64, answered: Option<u32>) {
        let mut open =
            left.open().filter(|record| record.position < taken && !record.bits.is(Kind::Send));
        let is_it = |record: &&Record| Some(Ticket::at(record.position).token()) == answered;
        if let Some(record) = open.find(is_it)
            && let Some(entry) = self.entry(record.position)
        {
            entry.end = End::Done;
        }
    }

    /// Those in service have been delivered once more; the last of them is to blame. It is
    /// returned if that was once too often.
    fn note_death<R: Region>(
        &mut self,
        left: &Left<'_, R>,
        taken: u64,
        death: Death,
    ) -> Option<(Record, u32)> {
        let mut last = None;
        for record in left.open().filter(|record| record.position < taken) {
            if self.is_open(record.position)
                && let Some(entry) = self.entry(record.position)
            {
                entry.deliveries = entry.deliveries.saturating_add(1);
                last = Some(*record);
            }
        }
        let (record, limit) = (last.filter(|_| death == Death::Own)?, self.poison_after);
        let entry = self.find(record.position)?;
        entry.blamed += 1;
        if entry.blamed < limit {
            return None;
        }
        entry.end = End::Poisoned;
        Some((record, entry.deliveries))
    }

    /// The first request that is to be delivered.
    fn resume_at<R: Region>(&self, left: &Left<'_, R>) -> u64 {
        let mut open = left.open().filter(|record| self.is_open(record.position));
        open.next().map_or(self.until, |record| record.position)
    }

    /// All that was told before the death has been heard, if the client has looked since.
    fn note_heard(&mut self, is_heard: bool) {
        for entry in self.entries.iter_mut().flatten() {
            entry.is_heard = entry.end == End::Poisoned && (entry.is_heard || is_heard);
        }
    }

    /// Everything that was in service fails.
    fn fail_all(&mut self) {
        for place in &mut self.entries {
            place.take_if(|entry| entry.end == End::Open);
        }
    }

    /// What lies before the place where the server goes on is of no interest any more, unless a
    /// client has still to hear that it is poisoned.
    fn forget_settled(&mut self, resume: u64) {
        for place in &mut self.entries {
            place.take_if(|entry| {
                let is_news = entry.end == End::Poisoned && !entry.is_heard;
                entry.position < resume && !is_news
            });
        }
    }

    fn table(&self) -> Again {
        let mut again = Again::until(self.until);
        for entry in self.entries.iter().flatten() {
            again.list(entry.position, entry.fate());
        }
        again
    }
}
