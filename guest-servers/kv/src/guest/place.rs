//! Where the database lives: on the heap, or in the domain's state region, where a restart keeps it.

use alloc::boxed::Box;

use atoll::heap;
use atoll::state::{self, Arena, Cold, Gate, Opened, Region, Usage, Vacant};
use kv::{Database, Options};

use crate::{buffers, limit, seed};

/// What the arena is called.
const NAME: &str = "keys";
/// Raised when what is in it means something else. (Its types are the image's.)
const VERSION: u32 = 1;

/// The database, and what its changes are to open.
pub struct Place {
    pub database: &'static mut Database,
    pub gate: Option<Gate>,
}

impl Place {
    /// Where the manifest wants it. In a state region all keys are there still that an earlier
    /// incarnation had, unless it died while it changed them.
    pub fn of_the_database(options: Options) -> Self {
        match state::region() {
            Some(region) => Self::kept(region, options),
            None => {
                let limit = limit(heap::capacity() - buffers());
                let database = Box::leak(Box::new(Database::new(limit, seed(), options)));
                Self { database, gate: None }
            }
        }
    }

    fn kept(region: Region, options: Options) -> Self {
        // SAFETY: the region is the arena's alone, and this image means a database by that name.
        // The library copies what clients send, within the edits that it tells of: around each
        // command and operation that has to do with keys, and nowhere else are keys and values
        // changed. What else a database has are numbers, which are set anew below, and the memory
        // of sessions, which is forgotten there.
        let opened = unsafe { Arena::<Database>::open(region, NAME, VERSION) };
        let arena = match opened {
            Ok(Opened::Warm(arena)) => warm(arena, options),
            Ok(Opened::Cold(why, vacant)) => {
                if why != Cold::Empty {
                    log::warn!("all keys are lost: {why}");
                }
                begin(vacant, options)
            }
            Err(too_small) => panic!("{too_small}"),
        };
        // SAFETY: the library changes keys and values only in the edits that it tells of.
        let (database, gate) = unsafe { arena.detach() };
        Self { database, gate: Some(gate) }
    }
}

fn begin(vacant: Vacant<Database>, options: Options) -> Arena<Database> {
    let mut arena = vacant.start(|| Database::new(0, seed(), options));
    let limit = limit_of(&arena);
    arena.edit(|database| database.resume(limit, options));
    arena
}

fn warm(mut arena: Arena<Database>, options: Options) -> Arena<Database> {
    if let Err(damage) = arena.check() {
        log::error!("all keys are lost: {damage}");
        // SAFETY: nothing was taken out of it yet.
        return begin(unsafe { arena.vacate() }, options);
    }
    let limit = limit_of(&arena);
    arena.edit(|database| database.resume(limit, options));
    log::info!("{} keys were kept", arena.len());
    arena
}

/// Bytes for keys and values in an arena of that size.
fn limit_of(arena: &Arena<Database>) -> usize {
    let Usage { used, free, .. } = arena.usage();
    limit(used + free)
}
