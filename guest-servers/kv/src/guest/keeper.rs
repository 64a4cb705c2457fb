//! The store that keeps the database: what is loaded from it, and what is committed to it.
//!
//! Whatever goes wrong here ends the incarnation: it may have carried out what the store does not
//! have, and the next one begins with what the store has. Nobody was told otherwise.

use core::time::Duration;

use atoll::clock::{Instant, unix_time};
use atoll::interface::{Bytes, Word};
use atoll::{Channel, IpcError, heap, heartbeat};
use kv::{Database, Terms};
use store::interface::{Chunk, Figures, StoreClient};
use store::record;

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

impl Keeper {
    pub fn bind() -> Self {
        let Ok(channel) = Channel::open(STORE) else {
            panic!("durable=yes needs a channel `{STORE}` to a store: the manifest gives none")
        };
        let carries = channel.max_request() - COMMIT_HEAD;
        let mut store = match StoreClient::bind(channel) {
            Ok(store) => store,
            Err(error) => panic!("{error}"),
        };
        let takes = match store.open() {
            Ok(opened) => opened.longest.0 as usize,
            Err(error) => panic!("the store cannot be opened: {error}"),
        };
        // The heap holds a batch twice while it is committed.
        let holds = heap::capacity() / 8;
        let largest = carries.min(takes).min(holds);
        assert!(
            largest >= BATCH_MIN,
            "batches of {BATCH_MIN} bytes must be possible: the channel `{STORE}` carries {carries} \
             (half of its `buffers`), the store takes {takes} (a part of its disk), and this domain \
             has memory for {holds}"
        );
        if largest < BATCH_WANTED {
            log::warn!(
                "writes are refused that are longer than {largest} bytes: the channel `{STORE}` \
                 carries {carries}, the store takes {takes}, and this domain has memory for {holds}"
            );
        }
        Self { store, largest, doubt: None }
    }

    /// Memory that is needed to commit the longest batch.
    pub fn memory(&self) -> usize {
        2 * self.largest
    }

    /// Has the database hold what the store has, and be kept by it from there on.
    pub fn fill(&mut self, database: &mut Database) {
        let opened = match self.store.open() {
            Ok(opened) => opened,
            Err(error) => panic!("the store cannot be opened: {error}"),
        };
        let start = Instant::now();
        let mut progress = Progress { said: start, records: 0, bytes: 0, of: opened.bytes };
        let mut cursor = Word(0);
        loop {
            let loaded = self.store.load(cursor, |chunk| progress.load(database, chunk));
            cursor = match loaded {
                Ok(next) => next,
                Err(error) => panic!("the store does not give what it has: {error}"),
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
        if let Some(ailment) = opened.ailment {
            log::error!("the store takes no writes, and so none are taken here: {ailment:?}");
        }
        let (batch, room) = (opened.last.0, opened.room.0);
        let terms = Terms { batch, room, largest: self.largest, ailment: opened.ailment };
        database.keep(terms, now_ms());
    }

    /// Returns when all that has changed is in the store, and on disk; or when the database is
    /// again what it was before.
    pub fn commit(&mut self, database: &mut Database) -> Result<(), Refused> {
        if !database.has_changes() {
            return Ok(());
        }
        let (batch, records) = database.batch();
        match self.store.commit(Word(batch), Bytes(records)) {
            Ok(committed) => {
                database.committed(committed.room.0, now_ms());
                self.doubt = None;
            }
            Err(IpcError::Exhausted) => {
                log::error!("the store has no room for batch {batch}: its requests are undone");
                self.undo(database);
                return Err(Refused);
            }
            Err(error) => panic!("the store did not commit batch {batch}: {error}"),
        }
        Ok(())
    }

    fn undo(&mut self, database: &mut Database) {
        database.undo();
        self.fill(database);
        database.doubt();
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
            database.believe(opened.room.0);
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
        if Instant::now().since(self.said) >= PROGRESS {
            self.said = Instant::now();
            log::info!("loading: {} of {} bytes, {} keys", self.bytes, self.of, database.len());
        }
        chunk.next
    }
}

fn now_ms() -> u64 {
    unix_time().as_millis() as u64
}
