//! The functions of an image, for backtraces.

use crate::wire;

/// One function of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Address of the first byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// The name as the programmer wrote it.
    pub name: &'a str,
}

/// A table of functions, sorted by address. All names lie in one string: a program has
/// thousands, and they live as long as the domain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    entries: Vec<Entry>,
    names: String,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    size: u64,
    /// Where the name ends in the names; it begins where the one before ends.
    name_end: usize,
}

impl Symbols {
    /// A table of these symbols, which must ascend by address.
    pub fn new(symbols: &[wire::Symbol<'_>]) -> Self {
        let mut table = Self::default();
        for symbol in symbols {
            table.names.push_str(symbol.name);
            let name_end = table.names.len();
            table.entries.push(Entry { start: symbol.start, size: symbol.size, name_end });
        }
        table
    }

    /// All functions, by ascending address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Symbol<'_>> {
        (0..self.entries.len()).map(|index| self.at(index))
    }

    /// The function that holds this address.
    pub fn find(&self, address: u64) -> Option<Symbol<'_>> {
        let after = self.entries.partition_point(|entry| entry.start <= address);
        let symbol = self.at(after.checked_sub(1)?);
        (address - symbol.start < symbol.size).then_some(symbol)
    }

    fn at(&self, index: usize) -> Symbol<'_> {
        let entry = self.entries[index];
        let name_start = index.checked_sub(1).map_or(0, |before| self.entries[before].name_end);
        let name = &self.names[name_start..entry.name_end];
        Symbol { start: entry.start, size: entry.size, name }
    }
}
