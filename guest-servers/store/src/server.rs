//! Owns what the interface's operations do, for one client's request at a time.

use atoll_ipc::interface::{Bytes, Word};
use atoll_ipc::message::Status;

use crate::disk::Disk;
use crate::interface::{Chunk, Committed, Figures, Opened, StoreServer};
use crate::store::Store;

/// About how many bytes of records one `load` gives.
pub const CHUNK: usize = 512 << 10;

/// A store as one client sees it.
#[derive(Debug)]
pub struct Space<'a, D> {
    /// The store.
    pub store: &'a mut Store<D>,
    /// The client's name.
    pub client: &'a str,
}

impl<D: Disk> StoreServer for Space<'_, D> {
    fn open(&mut self) -> Result<Opened, Status> {
        Ok(self.store.opened(self.client))
    }

    fn commit(&mut self, Word(batch): Word, records: Bytes<'_>) -> Result<Committed, Status> {
        self.store.commit(self.client, batch, &records)?;
        Ok(Committed { room: Word(self.store.room()) })
    }

    fn load(&mut self, Word(cursor): Word) -> Result<Chunk<'_>, Status> {
        self.store.load(self.client, cursor, CHUNK)
    }

    fn figures(&mut self) -> Result<Figures, Status> {
        Ok(self.store.figures())
    }
}
