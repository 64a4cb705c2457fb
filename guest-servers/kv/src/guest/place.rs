//! Where the database lives: on the heap, or in the domain's state region, where a restart keeps it.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use atoll::state::{self, Arena, Cold, Gate, Opened, Region, Vacant};
use atoll::{boot, heap};
use kv::{Database, Edits, Options};

use crate::{buffers, limit, seed};

/// What the arena is called.
const NAME: &str = "keys";
/// Raised when what is in it means something else. (Its types are the image's.)
const VERSION: u32 = 1;

/// The database, and what its changes are to open.
pub struct Place {
    pub database: &'static mut Database,
    pub changes: Changes,
    pub found: Found,
}

/// What there was of the database.
pub enum Found {
    /// Nothing, as ever in a domain without a state region.
    Nothing,
    /// All of it.
    All,
    /// What could not be gone on with, and why.
    Lost(String),
}

/// Opens the arena for each change of the database, if that lives in one.
#[derive(Clone, Copy)]
pub struct Changes(Option<Gate>);

impl Edits for Changes {
    #[inline]
    fn begin_edit(&mut self) {
        if let Some(gate) = self.0 {
            gate.open();
        }
    }

    #[inline]
    fn end_edit(&mut self) {
        if let Some(gate) = self.0 {
            gate.close();
        }
    }
}

/// Most bytes of a batch of changes, by the memory that there is for it: once where the database
/// is, and once more while it is sent.
pub fn holds() -> usize {
    match state::region() {
        Some(region) => (region.bytes() as usize / 6).min(heap::capacity() / 4),
        None => heap::capacity() / 8,
    }
}

impl Place {
    /// Where the manifest wants it, and `spoken_for` bytes are not for keys and values. In a state
    /// region all keys are there still that an earlier incarnation had, unless it died while it
    /// changed them, or `judge` says why they are of no use.
    pub fn find(spoken_for: usize, judge: impl FnOnce(&Database) -> Result<(), String>) -> Self {
        let options = Options { debug: boot::argument("debug") == Some("yes"), buffers: buffers() };
        match state::region() {
            Some(region) => Self::kept(region, spoken_for, options, judge),
            None => {
                let limit = limit(heap::capacity().saturating_sub(buffers() + spoken_for));
                let database = Box::leak(Box::new(Database::new(limit, seed(), options)));
                Self { database, changes: Changes(None), found: Found::Nothing }
            }
        }
    }

    fn kept(
        region: Region,
        spoken_for: usize,
        options: Options,
        judge: impl FnOnce(&Database) -> Result<(), String>,
    ) -> Self {
        // SAFETY: the region is the arena's alone, and this image means a database by that name.
        // The library copies what clients send, within the edits that it tells of: around each
        // command and operation that has to do with keys. What else changes keys, values or what a
        // store is to be told is the sweep and what `keeper` does, in edits of theirs. What else a
        // database has are numbers, which are set anew below, and the memory of sessions, which is
        // forgotten there.
        let opened = unsafe { Arena::<Database>::open(region, NAME, VERSION) };
        let (mut arena, found) = match opened {
            Ok(Opened::Warm(arena)) => go_on(arena, options, judge),
            Ok(Opened::Cold(Cold::Empty, vacant)) => (begin(vacant, options), Found::Nothing),
            Ok(Opened::Cold(why, vacant)) => (begin(vacant, options), Found::Lost(why.to_string())),
            Err(too_small) => panic!("{too_small}"),
        };
        // The same in each incarnation, however much is in use.
        let limit = limit((region.bytes() as usize).saturating_sub(spoken_for));
        arena.edit(|database| database.resume(limit, options));
        // SAFETY: as above.
        let (database, gate) = unsafe { arena.detach() };
        Self { database, changes: Changes(Some(gate)), found }
    }
}

fn begin(vacant: Vacant<Database>, options: Options) -> Arena<Database> {
    vacant.start(|| Database::new(0, seed(), options))
}

fn go_on(
    arena: Arena<Database>,
    options: Options,
    judge: impl FnOnce(&Database) -> Result<(), String>,
) -> (Arena<Database>, Found) {
    let judged = match arena.check() {
        Ok(()) => judge(&arena),
        Err(damage) => Err(damage.to_string()),
    };
    match judged {
        Ok(()) => (arena, Found::All),
        Err(why) => {
            // SAFETY: nothing was taken out of it yet.
            let vacant = unsafe { arena.vacate() };
            (begin(vacant, options), Found::Lost(why))
        }
    }
}
