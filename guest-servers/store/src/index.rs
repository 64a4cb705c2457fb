//! Owns what is known of the log without reading it: each client's last batch, and where its
//! living records are.
//!
//! A key is known by a fingerprint of 128 bits, SipHash-1-3 with a secret of this incarnation. No
//! client can make two keys meet; by chance it happens once in 2^64 stores of 2^32 keys.
//!
//! The index changes in one way only: frames are replayed, in the order of the log, both when the
//! log is read and when it is written.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use siphasher::sip128::SipHasher13;

use crate::frame::{Kind, Section, sections};
use crate::record::{HEAD, Record, first, records};
use crate::superblock::Totals;

/// Memory of an amendment at worst: it is the first of its chain.
pub const AMENDMENT: usize = 10 * size_of::<u64>();

/// How many records are replayed together.
const TOGETHER: usize = 32;

/// What a key is known by.
pub type Print = [u64; 2];

/// The living records of a key. To look one up is mostly to wait for memory: a chain is in one line
/// of the caches.
#[derive(Debug)]
#[repr(align(32))]
pub struct Chain {
    print: Print,
    body: Body,
}

/// Where a chain's records are. Few have more than one.
#[derive(Debug)]
enum Body {
    /// A base, and how long it is.
    Alone {
        base: u64,
        bytes: u32,
    },
    Amended(Box<Amended>),
}

#[derive(Debug)]
struct Amended {
    base: u64,
    /// Where the amendments are, in order.
    rest: Vec<u64>,
    /// Encoded bytes of all of it.
    bytes: u64,
}

const _: () = assert!(size_of::<Chain>() == 32);

impl Chain {
    /// A key's base. No record is as long as 4 GiB.
    const fn new(print: Print, base: u64, bytes: u32) -> Self {
        Self { print, body: Body::Alone { base, bytes } }
    }

    fn amend(&mut self, at: u64, more: u32) {
        match &mut self.body {
            Body::Alone { base, bytes } => {
                let (base, bytes) = (*base, u64::from(*bytes) + u64::from(more));
                self.body = Body::Amended(Box::new(Amended { base, rest: vec![at], bytes }));
            }
            Body::Amended(amended) => {
                amended.rest.push(at);
                amended.bytes += u64::from(more);
            }
        }
    }

    /// Where its records are, in order.
    pub fn positions(&self) -> impl Iterator<Item = u64> {
        core::iter::once(self.base()).chain(self.rest().iter().copied())
    }

    fn rest(&self) -> &[u64] {
        match &self.body {
            Body::Alone { .. } => &[],
            Body::Amended(amended) => &amended.rest,
        }
    }

    /// Where its base is.
    pub const fn base(&self) -> u64 {
        match &self.body {
            Body::Alone { base, .. } => *base,
            Body::Amended(amended) => amended.base,
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        1 + self.rest().len()
    }

    /// Encoded bytes of its records.
    pub fn bytes(&self) -> u64 {
        match &self.body {
            Body::Alone { bytes, .. } => u64::from(*bytes),
            Body::Amended(amended) => amended.bytes,
        }
    }
}

/// What is known of a client.
#[derive(Debug)]
pub struct Client {
    /// Its name.
    pub name: Box<str>,
    /// Its last batch.
    pub last: u64,
    /// The position of the frame that says so.
    pub mark: u64,
    /// Living records.
    pub records: u64,
    /// Encoded bytes of them.
    pub bytes: u64,
    chains: HashTable<Chain>,
}

impl Client {
    /// A key's chain.
    pub fn chain(&self, print: Print) -> Option<&Chain> {
        self.chains.find(print[0], |chain| chain.print == print)
    }

    fn apply(&mut self, record: &Record<'_>, at: u64, print: Print) {
        let bytes = record.encoded_len() as u32;
        match record {
            Record::Put { .. } => self.put(Chain::new(print, at, bytes)),
            Record::Amend { .. } => self.amend(print, at, bytes),
            Record::Delete { .. } => drop(self.remove(print)),
            Record::Clear => self.clear(),
        }
    }

    fn remove(&mut self, print: Print) -> Option<Chain> {
        let entry = self.chains.find_entry(print[0], |chain| chain.print == print).ok()?;
        let chain = entry.remove().0;
        self.bytes -= chain.bytes();
        self.records -= chain.len() as u64;
        Some(chain)
    }

    fn put(&mut self, chain: Chain) {
        self.bytes += chain.bytes();
        self.records += chain.len() as u64;
        let print = chain.print;
        let is_it = |chain: &Chain| chain.print == print;
        match self.chains.entry(print[0], is_it, |chain| chain.print[0]) {
            Entry::Occupied(mut entry) => {
                let old = core::mem::replace(entry.get_mut(), chain);
                self.bytes -= old.bytes();
                self.records -= old.len() as u64;
            }
            Entry::Vacant(entry) => drop(entry.insert(chain)),
        }
    }

    fn amend(&mut self, print: Print, position: u64, bytes: u32) {
        // One whose base is gone from the log is dead: the chain was deleted, or moved.
        let Some(chain) = self.chains.find_mut(print[0], |chain| chain.print == print) else {
            return;
        };
        chain.amend(position, bytes);
        self.bytes += u64::from(bytes);
        self.records += 1;
    }

    fn clear(&mut self) {
        self.chains = HashTable::new();
        (self.bytes, self.records) = (0, 0);
    }
}

/// A chain that is being moved in parts.
#[derive(Debug)]
struct Parts {
    client: usize,
    chain: Chain,
}

/// What is known of the log.
#[derive(Debug)]
pub struct Index {
    secret: [u64; 2],
    clients: Vec<Client>,
    parts: Option<Parts>,
}

/// A frame holds what no frame of this format does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense;

impl Index {
    /// Of an empty log.
    pub const fn new(secret: [u64; 2]) -> Self {
        Self { secret, clients: Vec::new(), parts: None }
    }

    /// What a key is known by.
    pub fn print(&self, key: &[u8]) -> Print {
        let hash = SipHasher13::new_with_keys(self.secret[0], self.secret[1]).hash(key);
        [hash.h1, hash.h2]
    }

    /// All clients that were ever seen.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Which of them has this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.clients.iter().position(|client| &*client.name == name)
    }

    /// The client of this name.
    pub fn client(&self, name: &str) -> Option<&Client> {
        self.find(name).map(|index| &self.clients[index])
    }

    /// Encoded bytes of all living records.
    pub fn live(&self) -> u64 {
        self.clients.iter().map(|client| client.bytes).sum()
    }

    /// All living records.
    pub fn records(&self) -> u64 {
        self.clients.iter().map(|client| client.records).sum()
    }

    /// Batches that were ever carried out.
    pub fn batches(&self) -> u64 {
        self.clients.iter().map(|client| client.last).sum()
    }

    /// Memory that it takes at worst while it comes to have so many keys more of a client.
    pub fn memory_with(&self, client: &str, keys: usize) -> usize {
        let (length, capacity) = self
            .client(client)
            .map_or((0, 0), |client| (client.chains.len(), client.chains.capacity()));
        let wanted = length + keys;
        self.memory() + if wanted <= capacity { 0 } else { table(wanted.max(2 * capacity)) }
    }

    /// Memory that it takes at worst while it replays a frame.
    pub fn memory_for(&self, body: &[u8]) -> usize {
        let fits = |client: &Client| client.chains.capacity() - client.chains.len();
        let keys = body.len() / HEAD;
        if !self.clients.is_empty() && self.clients.iter().all(|client| fits(client) >= keys) {
            return self.memory();
        }
        let worst = sections(body).flatten().map(|section| {
            let puts = records(section.records).flatten();
            let puts = puts.filter(|record| matches!(record, Record::Put { .. })).count();
            self.memory_with(section.client, puts)
        });
        worst.max().unwrap_or_default()
    }

    fn memory(&self) -> usize {
        let client = |client: &Client| {
            let amendments = client.records as usize - client.chains.len();
            client.chains.allocation_size() + amendments * AMENDMENT
        };
        self.clients.iter().map(client).sum()
    }

    /// Changes as the frame at `position` says.
    ///
    /// # Errors
    /// If it says nothing that makes sense.
    pub fn replay(&mut self, position: u64, body: &[u8]) -> Result<Totals, Nonsense> {
        let mut totals = Totals::default();
        for section in sections(body) {
            let section = section.ok_or(Nonsense)?;
            totals.count(&section);
            let index = self.find_or_add(section.client);
            self.clients[index].last = section.number;
            self.clients[index].mark = position;
            self.records_of(index, &section, position)?;
            if section.kind == Kind::Last
                && let Some(Parts { client, chain }) = self.parts.take()
            {
                self.clients[client].put(chain);
            }
        }
        Ok(totals)
    }

    /// Replays the records of a section, some at a time: first all their fingerprints, then all
    /// look-ups. These are cache misses, which the processor waits for together if they follow
    /// one another closely.
    fn records_of(
        &mut self,
        index: usize,
        section: &Section<'_>,
        position: u64,
    ) -> Result<(), Nonsense> {
        let mut some = [(Record::Clear, 0, Print::default()); TOGETHER];
        let mut rest = section.records;
        while !rest.is_empty() {
            let mut count = 0;
            while count < TOGETHER && !rest.is_empty() {
                let end = section.offset + section.records.len();
                let at = position + (end - rest.len()) as u64;
                let (record, more) = first(rest).ok_or(Nonsense)?;
                let print = record.key().map(|key| self.print(key)).unwrap_or_default();
                some[count] = (record, at, print);
                (rest, count) = (more, count + 1);
            }
            for (record, at, print) in &some[..count] {
                match section.kind {
                    Kind::Batch | Kind::Moved => self.clients[index].apply(record, *at, *print),
                    Kind::Part | Kind::Last => self.collect(index, record, *at, *print),
                }
            }
        }
        Ok(())
    }

    /// Takes a part of a chain. Without its beginning it is dead: the chain has moved on since.
    fn collect(&mut self, client: usize, record: &Record<'_>, at: u64, print: Print) {
        let bytes = record.encoded_len() as u32;
        match record {
            Record::Put { .. } => {
                self.parts = Some(Parts { client, chain: Chain::new(print, at, bytes) });
            }
            Record::Amend { .. } => {
                if let Some(Parts { chain, .. }) = &mut self.parts {
                    chain.amend(at, bytes);
                }
            }
            Record::Delete { .. } | Record::Clear => (),
        }
    }

    fn find_or_add(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            let chains = HashTable::new();
            let (last, mark, records, bytes) = (0, 0, 0, 0);
            self.clients.push(Client { name: name.into(), last, mark, records, bytes, chains });
            self.clients.len() - 1
        })
    }

    /// Whether a record of a client, which lies there, lives.
    pub fn lives(&self, client: usize, record: &Record<'_>, at: u64) -> bool {
        let chain = |key| self.clients[client].chain(self.print(key));
        match *record {
            Record::Put { key, .. } => chain(key).is_some_and(|chain| chain.base() == at),
            Record::Amend { key, .. } => {
                chain(key).is_some_and(|chain| chain.rest().binary_search(&at).is_ok())
            }
            Record::Delete { .. } | Record::Clear => false,
        }
    }
}

/// Calls with each record of a section, and its position.
///
/// # Errors
/// If there is something that is no record.
pub fn for_each<'a>(
    section: &Section<'a>,
    frame: u64,
    mut with: impl FnMut(Record<'a>, u64),
) -> Result<(), Nonsense> {
    let mut rest = section.records;
    while !rest.is_empty() {
        let at = frame + (section.offset + section.records.len() - rest.len()) as u64;
        let (record, more) = first(rest).ok_or(Nonsense)?;
        with(record, at);
        rest = more;
    }
    Ok(())
}

/// Memory of a table for so many chains.
fn table(chains: usize) -> usize {
    (chains.max(4) * 8 / 7 + 1).next_power_of_two() * (size_of::<Chain>() + 1)
}
