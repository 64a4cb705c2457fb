//! What a store should hold: each client's chains in ordinary maps.

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use crate::record::{Record, records};

/// A client's space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub last: u64,
    pub chains: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// All spaces.
pub type Model = BTreeMap<String, Space>;

/// The record amends nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct NoChain;

impl Space {
    pub fn apply(&mut self, record: &Record<'_>) -> Result<(), NoChain> {
        match *record {
            Record::Put { key, value } => {
                self.chains.insert(key.into(), [value.into()].into());
            }
            Record::Amend { key, value } => {
                self.chains.get_mut(key).ok_or(NoChain)?.push(value.into());
            }
            Record::Delete { key } => {
                self.chains.remove(key);
            }
            Record::Clear => self.chains.clear(),
        }
        Ok(())
    }

    /// Carries a batch out, whole or not at all.
    pub fn batch(&mut self, bytes: &[u8]) -> Result<(), NoChain> {
        let mut after = self.clone();
        records(bytes).try_for_each(|record| after.apply(&record.unwrap()))?;
        *self = Self { last: self.last + 1, ..after };
        Ok(())
    }

    /// Encoded bytes of all of it.
    pub fn bytes(&self) -> u64 {
        let chain = |(key, values): (&Vec<u8>, &Vec<Vec<u8>>)| {
            values
                .iter()
                .map(|value| (crate::record::HEAD + key.len() + value.len()) as u64)
                .sum::<u64>()
        };
        self.chains.iter().map(chain).sum::<u64>()
    }

    pub fn records(&self) -> u64 {
        self.chains.values().map(|values| values.len() as u64).sum::<u64>()
    }
}
