//! The store that keeps the database: what is loaded from it, and what is committed to it.
//!
//! Whatever goes wrong here ends the incarnation: it may have carried out what the store does not
//! have, and the next one begins with what the store has. Nobody was told otherwise. One that finds its
//! database kept makes the two the same, before it serves anybody.

use alloc::format;
use core::time::Duration;

use atoll::clock::{Instant, unix_time};
use atoll::interface::{Bytes, Word};
use atoll::{Channel, IpcError, boot, exit, heartbeat};
use kv::{Database, Edits, Origin, Terms};
use store::interface::{Chunk, Committed, Figures, Opened, StoreClient};
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
    doubt: Option<Doubt>,
}

/// The store has refused a batch lately.
struct Doubt {
    /// When that is to be tried again; `None` once it is.
    over: Option<Instant>,
    next: Duration,
}

/// The store had no room for the batch. Nothing of it was carried out, here or there.
pub struct Refused;

/// A batch that the store did not commit, and why.
struct Untaken {
    batch: u64,
    error: IpcError,
}

/// Binds the channel to the store, and asks how that stands.
pub fn bind() -> (StoreClient<Channel>, Terms) {
    let Ok(channel) = Channel::open(STORE) else {
        panic!("durable=yes needs a channel `{STORE}` to a store: the manifest gives none")
    };
    let carries = channel.max_request() - COMMIT_HEAD;
    let mut store = match StoreClient::bind(channel) {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    };
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
        Self { store, largest, changes, doubt: None }
    }

    /// Goes on with a database that a restart has kept and that [fits](Database::fits): what the last
    /// incarnation did not get to tell the store is committed, or undone if that is refused.
    pub fn go_on(&mut self, database: &mut Database, terms: Terms) -> Origin {
        let joined = self.changes.edit(|| database.rejoin(terms, now_ms()));
        let left = database.has_changes();
        let refused = match joined {
            Ok(()) if left => self.give(database).err(),
            Ok(()) => None,
            Err(stale) => panic!("it did fit: {stale}"),
        };
        complain(&terms);
        match refused {
            None => {
                let (keys, batch) = (database.len(), terms.batch);
                let also = if left { ", and one more is committed now" } else { "" };
                log::info!("{keys} keys were kept; the store's last batch is {batch}{also}");
                Origin::Kept
            }
            Some(Untaken { batch, error }) => {
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

    /// Returns when all that has changed is in the store, and on disk; or when the database is
    /// again what it was before.
    pub fn commit(&mut self, database: &mut Database) -> Result<(), Refused> {
        if !database.has_changes() {
            return Ok(());
        }
        match self.give(database) {
            Ok(()) => {
                self.doubt = None;
                Ok(())
            }
            Err(Untaken { batch, error: IpcError::Exhausted }) => {
                log::error!("the store has no room for batch {batch}: its requests are undone");
                self.undo(database);
                Err(Refused)
            }
            Err(Untaken { batch, error }) => {
                end(&format!("the store did not commit batch {batch}"), error)
            }
        }
    }

    /// Gives the store the next batch, and notes that it has it.
    fn give(&mut self, database: &mut Database) -> Result<(), Untaken> {
        let (batch, records) = self.changes.edit(|| database.batch());
        let committed = self.store.commit(Word(batch), Bytes(records));
        let Committed { room } = committed.map_err(|error| Untaken { batch, error })?;
        self.changes.edit(|| database.committed(room.0, now_ms()));
        Ok(())
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
        if doubt.over.is_some_and(|over| over <= Instant::now())
            && let Ok(opened) = self.store.open()
        {
            self.changes.edit(|| database.believe(opened.room.0));
            doubt.over = None;
        }
    }

    pub fn figures(&mut self) -> Option<Figures> {
        self.store.figures().ok()
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
