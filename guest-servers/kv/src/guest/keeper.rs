//! The store that keeps the database: what is loaded from it, and what is committed to it.
//!
//! Batches are sent, and heard of later, in their order: while the store makes one durable, the next
//! one is waiting there already. What becomes of one that does not go well is settled for all that are
//! under way: the store says which it has, and is given the others again.
//!
//! Whatever goes wrong here ends the incarnation: it may have carried out what the store does not
//! have, and the next one begins with what the store has. Nobody was told otherwise. One that finds its
//! database kept makes the two the same, before it serves anybody.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec;
use core::time::Duration;

use atoll::clock::{Instant, unix_time};
use atoll::interface::{self, Bytes, Payload, Word};
use atoll::ipc::{Pending, Reply};
use atoll::{Channel, IpcError, boot, exit, heartbeat};
use kv::{Database, Edits, Origin, Terms};
use store::interface::{COMMIT, Chunk, Committed, Opened, StoreClient};
use store::record;

use crate::place::{self, Changes};

/// The channel to the store.
const STORE: &str = "store";
/// Bytes of a request to commit beside its records.
const COMMIT_HEAD: usize = 64;
/// Batches must be that long at least, or hardly anything could be written.
const BATCH_MIN: usize = 1 << 20;
/// The largest value, its key and what requests may have changed before.
const BATCH_WANTED: usize = 9 << 20;
/// While much is loaded, a line says how far that has come, once in this time.
const PROGRESS: Duration = Duration::from_secs(1);

/// How long nothing is written after the store refused a batch for want of room; each further
/// time twice as long, up to [`DOUBT_MAX`]. To find out costs as much as to load everything.
const DOUBT: Duration = Duration::from_secs(1);
const DOUBT_MAX: Duration = Duration::from_secs(64);

/// A bound channel to a store.
pub struct Keeper {
    store: StoreClient<Channel>,
    largest: usize,
    /// Around whatever changes the database.
    changes: Changes,
    /// Batches that were sent, the oldest first.
    under_way: VecDeque<Pending>,
    doubt: Option<Doubt>,
}

/// The store has refused a batch lately.
struct Doubt {
    /// When that is to be tried again; `None` once it is.
    over: Option<Instant>,
    next: Duration,
}

/// What became of batches that were under way.
pub enum Fate {
    /// So many are on disk: the oldest ones.
    Kept(usize),
    /// So are these, and the store had no room for the next one. Of that, and of what came after it,
    /// nothing was carried out, here or there. No batch is under way any more.
    Refused { kept: usize },
}

/// A batch that the store did not commit, and why.
struct Untaken {
    batch: u64,
    error: IpcError,
}

/// A store at the other end of the channel.
pub fn store() -> StoreClient<Channel> {
    let Ok(channel) = Channel::open(STORE) else {
        panic!("durable=yes needs a channel `{STORE}` to a store: the manifest gives none")
    };
    match StoreClient::bind(channel) {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    }
}

/// The store, and how it stands.
pub fn bind() -> (StoreClient<Channel>, Terms) {
    let mut store = store();
    let carries = store.channel().max_request() - COMMIT_HEAD;
    let opened = open(&mut store);
    let takes = opened.longest.0 as usize;
    let holds = place::holds();
    let largest = carries.min(takes).min(holds);
    assert!(
        largest >= BATCH_MIN,
        "batches of {BATCH_MIN} bytes must be possible: the channel `{STORE}` carries {carries} \
         (half of its `buffers`), the store takes {takes} (a part of its disk), and this domain \
         has memory for {holds} (a part of its `memory`, and of its `state` if it has any)"
    );
    if largest < BATCH_WANTED {
        log::warn!(
            "writes are refused that are longer than {largest} bytes: the channel `{STORE}` \
             carries {carries}, the store takes {takes}, and this domain has memory for {holds}"
        );
    }
    (store, terms(&opened, largest))
}

fn open(store: &mut StoreClient<Channel>) -> Opened {
    match store.open() {
        Ok(opened) => opened,
        Err(error) => end("the store cannot be opened", error),
    }
}

fn terms(opened: &Opened, largest: usize) -> Terms {
    Terms {
        store: opened.store.map(|word| word.0),
        batch: opened.last.0,
        room: opened.room.0,
        largest,
        ailment: opened.ailment,
    }
}

fn complain(terms: &Terms) {
    if let Some(ailment) = terms.ailment {
        log::error!("the store takes no writes, and so none are taken here: {ailment:?}");
    }
}

impl Keeper {
    pub fn new(store: StoreClient<Channel>, largest: usize, changes: Changes) -> Self {
        Self { store, largest, changes, under_way: VecDeque::new(), doubt: None }
    }

    /// Goes on with a database that a restart has kept and that [fits](Database::fits): what the last
    /// incarnation did not get to tell the store is committed, or undone if that is refused.
    pub fn go_on(&mut self, database: &mut Database, terms: Terms) -> Origin {
        if let Err(stale) = self.changes.edit(|| database.rejoin(terms, now_ms())) {
            panic!("it did fit: {stale}");
        }
        let left = database.under_way() + usize::from(database.has_changes());
        complain(&terms);
        match self.give_left(database) {
            Ok(()) => {
                let (keys, batch) = (database.len(), terms.batch);
                log::info!(
                    "{keys} keys were kept; the store has {batch} batches, and got {left} more"
                );
                Origin::Kept
            }
            Err(Untaken { batch, error }) => {
                log::warn!("the store does not take what was left, batch {batch}: {error}");
                self.reload(database)
            }
        }
    }

    /// Has the database hold what the store has, and be kept by it from there on.
    pub fn fill(&mut self, database: &mut Database) -> Origin {
        let opened = open(&mut self.store);
        let mut changes = self.changes;
        let start = Instant::now();
        let mut progress = Progress { said: start, records: 0, bytes: 0, of: opened.bytes };
        let mut cursor = Word(0);
        loop {
            let loaded = self.store.load(cursor, |chunk| {
                let next = changes.edit(|| progress.load(database, chunk));
                progress.tell(database);
                next
            });
            cursor = match loaded {
                Ok(next) => next,
                Err(error) => end("the store does not give what it has", error),
            };
            if cursor == Word(0) {
                break;
            }
            heartbeat();
        }
        let (keys, took) = (database.len(), Instant::now().since(start));
        let Progress { records, bytes, .. } = progress;
        log::info!(
            "loaded {keys} keys from {records} records, {bytes} bytes, in {took:?}; the last \
             batch is {}",
            opened.last.0
        );
        let terms = terms(&opened, self.largest);
        complain(&terms);
        changes.edit(|| database.keep(terms, now_ms()));
        Origin::Store
    }

    /// Sends what has changed, as the next batch.
    pub fn send(&mut self, database: &mut Database) {
        self.changes.edit(|| database.seal());
        let Some((batch, records)) = database.batches().next_back() else { return };
        let channel = *self.store.channel();
        let send = |bytes: &[u8]| channel.send_message(COMMIT, bytes, None);
        let sent = interface::encoded(&(Word(batch), Bytes(records)), |request| match request {
            Some(Payload::Bytes(bytes)) => send(bytes),
            Some(Payload::Encode { length, encode }) => {
                let mut bytes = vec![0; length];
                encode(&mut bytes);
                send(&bytes)
            }
            None => Err(IpcError::Rejected),
        });
        match sent {
            Ok(pending) => self.under_way.push_back(pending),
            Err(error) => end(&format!("batch {batch} cannot be sent to the store"), error),
        }
    }

    /// The oldest batch that is under way.
    pub fn oldest(&mut self) -> Option<&mut Pending> {
        self.under_way.front_mut()
    }

    /// What became of the oldest batch, if that is known.
    pub fn poll(&mut self, database: &mut Database) -> Option<Fate> {
        match self.under_way.pop_front()?.poll_answer() {
            Ok(answer) => Some(self.conclude(database, answer)),
            Err(pending) => {
                self.under_way.push_front(pending);
                None
            }
        }
    }

    /// What becomes of the oldest batch, if there is one.
    pub fn wait(&mut self, database: &mut Database) -> Option<Fate> {
        let answer = self.under_way.pop_front()?.wait_answer(None);
        Some(self.conclude(database, answer))
    }

    /// The oldest batch, which has the [place](Self::oldest) of an answered call, was answered so.
    pub fn hear(&mut self, database: &mut Database, answer: Result<Reply, IpcError>) -> Fate {
        self.under_way.pop_front();
        self.conclude(database, answer)
    }

    fn conclude(&mut self, database: &mut Database, answer: Result<Reply, IpcError>) -> Fate {
        match answer.and_then(|reply| interface::reply(reply.payload())) {
            Ok(Committed { room }) => {
                self.changes.edit(|| database.committed(room.0, now_ms()));
                self.doubt = None;
                Fate::Kept(1)
            }
            Err(IpcError::Exhausted | IpcError::PeerRestarted) => self.settle(database),
            Err(error) => end("the store did not commit a batch", error),
        }
    }

    /// Something is wrong with a batch. The store says which ones it has, and is given the others once
    /// more.
    fn settle(&mut self, database: &mut Database) -> Fate {
        let sent = database.under_way();
        // Once they are answered, nothing of them is on its way.
        self.under_way.drain(..).for_each(|pending| drop(pending.wait_answer(None)));
        let terms = terms(&open(&mut self.store), self.largest);
        if let Err(stale) = self.changes.edit(|| database.rejoin(terms, now_ms())) {
            panic!("the store has something else than it was given: {stale}");
        }
        match self.give_sealed(database) {
            Ok(()) => Fate::Kept(sent),
            Err(Untaken { batch, error: IpcError::Exhausted }) => {
                log::error!("the store has no room for batch {batch}: its requests are undone");
                let kept = sent - database.under_way();
                self.undo(database);
                Fate::Refused { kept }
            }
            Err(Untaken { batch, error }) => {
                end(&format!("the store did not commit batch {batch}"), error)
            }
        }
    }

    /// Commits all that the store does not have.
    fn give_left(&mut self, database: &mut Database) -> Result<(), Untaken> {
        self.give_sealed(database)?;
        if database.has_changes() {
            self.changes.edit(|| database.seal());
        }
        self.give_sealed(database)
    }

    /// Commits all batches, one after the other.
    fn give_sealed(&mut self, database: &mut Database) -> Result<(), Untaken> {
        loop {
            let Some((batch, records)) = database.batches().next() else { return Ok(()) };
            let committed = self.store.commit(Word(batch), Bytes(records));
            let Committed { room } = committed.map_err(|error| Untaken { batch, error })?;
            self.changes.edit(|| database.committed(room.0, now_ms()));
            self.doubt = None;
        }
    }

    fn reload(&mut self, database: &mut Database) -> Origin {
        self.changes.edit(|| database.undo());
        self.fill(database)
    }

    fn undo(&mut self, database: &mut Database) {
        self.reload(database);
        self.changes.edit(|| database.doubt());
        let wait = self.doubt.take().map_or(DOUBT, |doubt| doubt.next);
        let next = (wait * 2).min(DOUBT_MAX);
        self.doubt = Some(Doubt { over: Some(Instant::now().after(wait)), next });
    }

    /// Asks the store for its room again, some time after it refused a batch.
    pub fn reconsider(&mut self, database: &mut Database) {
        let Some(doubt) = &mut self.doubt else { return };
        if self.under_way.is_empty()
            && doubt.over.is_some_and(|over| over <= Instant::now())
            && let Ok(opened) = self.store.open()
        {
            self.changes.edit(|| database.believe(opened.room.0));
            doubt.over = None;
        }
    }
}

/// How far loading has come.
struct Progress {
    said: Instant,
    records: u64,
    bytes: usize,
    of: u64,
}

impl Progress {
    fn load(&mut self, database: &mut Database, chunk: Chunk<'_>) -> Word {
        for record in record::records(&chunk.records) {
            let Some(record) = record else { panic!("the store gave what is no record") };
            if let Err(error) = database.load(&record) {
                let key = record.key().unwrap_or_default();
                let shown = key[..key.len().min(64)].escape_ascii();
                panic!("a record of key `{shown}` in the store cannot be loaded: {error}");
            }
            self.records += 1;
        }
        self.bytes += chunk.records.len();
        chunk.next
    }

    fn tell(&mut self, database: &Database) {
        if Instant::now().since(self.said) >= PROGRESS {
            self.said = Instant::now();
            log::info!("loading: {} of {} bytes, {} keys", self.bytes, self.of, database.len());
        }
    }
}

/// Ends the incarnation, because of the store. That is in good order if it is to end in any case, as
/// when the store has failed and both begin anew.
fn end(what: &str, error: IpcError) -> ! {
    if boot::is_stopping() {
        log::info!("{what}: {error}");
        exit(0);
    }
    panic!("{what}: {error}")
}

fn now_ms() -> u64 {
    unix_time().as_millis() as u64
}
