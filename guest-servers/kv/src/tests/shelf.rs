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
    pub batch: u64,
    pub room: u64,
    pub largest: usize,
    pub ailment: Option<Ailment>,
}

impl Shelf {
    pub fn new() -> Self {
        Self { chains: BTreeMap::new(), batch: 0, room: 1 << 30, largest: 16 << 20, ailment: None }
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
        let middle = order % (self.chains.len() + 1);
        let chains = self.chains.iter().skip(middle).chain(self.chains.iter().take(middle));
        for (key, chain) in chains {
            for (at, value) in chain.iter().enumerate() {
                db.load(&match at {
                    0 => Record::Put { key, value },
                    _ => Record::Amend { key, value },
                })?;
            }
        }
        let Self { batch, room, largest, ailment, .. } = *self;
        db.keep(Terms { batch, room, largest, ailment }, START);
        Ok(())
    }

    /// Carries the database's next batch out, if it has one; tells how long that was.
    pub fn commit(&mut self, rig: &mut Rig) -> usize {
        if !rig.db.has_changes() {
            return 0;
        }
        let (batch, records) = rig.db.batch();
        assert_eq!(batch, self.batch + 1);
        assert!(records.len() <= self.largest, "{} bytes", records.len());
        let length = records.len();
        assert!(length > 0, "a batch of nothing");
        record::records(records).for_each(|record| self.apply(&record.expect("a whole record")));
        self.batch = batch;
        rig.db.committed(self.room, rig.env.now);
        assert!(!rig.db.has_changes());
        length
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
