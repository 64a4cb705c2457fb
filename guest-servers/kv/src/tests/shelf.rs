//! Owns what the tests keep a database with: a store that is nothing but its keys' chains.

use std::collections::BTreeMap;
use std::vec::Vec;

use store::interface::Ailment;
use store::record::{self, Record};

use super::rig::{Rig, START};
use crate::{Database, LoadError, Options, Terms};

/// A store.
#[derive(Clone, Debug)]
pub struct Shelf {
    pub chains: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    pub store: [u64; 2],
    pub batch: u64,
    /// That batch.
    pub last: Vec<u8>,
    pub room: u64,
    pub largest: usize,
    pub ailment: Option<Ailment>,
}

impl Shelf {
    pub fn new() -> Self {
        let (chains, store) = (BTreeMap::new(), [3, 7]);
        let (batch, last, room, largest) = (0, Vec::new(), 1 << 30, 16 << 20);
        Self { chains, store, batch, last, room, largest, ailment: None }
    }

    /// A rig whose database has what is kept here, and is kept from there on. `order` decides in
    /// which order the keys come.
    pub fn rig(&self, order: usize) -> Rig {
        let mut rig = Rig::with(64 << 20, Options { debug: true, ..Options::default() });
        rig.db = self.load(order).unwrap();
        rig.session = crate::Session::new(&rig.db, 7);
        rig
    }

    pub fn load(&self, order: usize) -> Result<Database, LoadError> {
        // Another incarnation has another seed.
        let options = Options { debug: true, ..Options::default() };
        let mut db = Database::new(64 << 20, 1000 + order as u64, options);
        self.try_fill(&mut db, order)?;
        Ok(db)
    }

    /// Loads what is kept here into an empty database.
    pub fn fill(&self, db: &mut Database, order: usize) {
        self.try_fill(db, order).unwrap();
    }

    fn try_fill(&self, db: &mut Database, order: usize) -> Result<(), LoadError> {
        self.records(order, |record| db.load(record))?;
        db.keep(self.terms(), START);
        Ok(())
    }

    /// Shows all records that are kept here.
    pub fn records(
        &self,
        order: usize,
        mut show: impl FnMut(&Record<'_>) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let middle = order % (self.chains.len() + 1);
        let chains = self.chains.iter().skip(middle).chain(self.chains.iter().take(middle));
        for (key, chain) in chains {
            for (at, value) in chain.iter().enumerate() {
                show(&match at {
                    0 => Record::Put { key, value },
                    _ => Record::Amend { key, value },
                })?;
            }
        }
        Ok(())
    }

    /// How it stands.
    pub fn terms(&self) -> Terms {
        let Self { store, batch, room, largest, ailment, .. } = *self;
        Terms { store, batch, room, largest, ailment }
    }

    /// Carries the database's next batch out, if it has one; tells how long that was.
    pub fn commit(&mut self, rig: &mut Rig) -> usize {
        if !rig.db.has_changes() {
            return 0;
        }
        rig.db.seal();
        let length = self.take(rig);
        assert_eq!((rig.db.has_changes(), rig.db.under_way()), (false, 0));
        length
    }

    /// Carries the oldest batch that was made out; tells how long that was.
    pub fn take(&mut self, rig: &mut Rig) -> usize {
        let (batch, records) = rig.db.batches().next().expect("a batch");
        assert_eq!(batch, self.batch + 1);
        assert!(records.len() <= self.largest, "{} bytes", records.len());
        let length = records.len();
        self.carry_out(batch, records);
        rig.db.committed(self.room, rig.env.now);
        length
    }

    /// Carries a batch out: the next one, or the last one again.
    pub fn carry_out(&mut self, batch: u64, records: &[u8]) {
        assert!(!records.is_empty(), "a batch of nothing");
        if batch == self.batch {
            assert_eq!(records, self.last, "another batch of the same number would be lost");
            return;
        }
        assert_eq!(batch, self.batch + 1);
        record::records(records).for_each(|record| self.apply(&record.expect("a whole record")));
        (self.batch, self.last) = (batch, records.into());
    }

    fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Put { key, value } => {
                self.chains.insert(key.into(), std::vec![value.into()]);
            }
            Record::Amend { key, value } => {
                let chain = self.chains.get_mut(key).expect("a chain to amend");
                chain.push(value.into());
            }
            Record::Delete { key } => {
                self.chains.remove(key);
            }
            Record::Clear => self.chains.clear(),
        }
    }

    /// Bytes of a key's chain.
    pub fn length(&self, key: &str) -> usize {
        self.chains.get(key.as_bytes()).map_or(0, |chain| chain.iter().map(Vec::len).sum())
    }
}
