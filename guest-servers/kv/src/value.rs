//! Owns what a key can hold, and what each kind weighs.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::dense::{Dense, Weigh};
use crate::failure::Failure;
use crate::memory::{Boxed, copy, copy_vec};

/// Fields and their values.
pub(crate) type Hash = Dense<Box<[u8]>>;
/// Members.
pub(crate) type Set = Dense<()>;

/// The allocator's own share of each allocation.
const HEADER: usize = 16;

/// A stored value. Never an empty list, hash or set: those take their key with them.
#[derive(Debug)]
pub(crate) enum Value {
    /// A string of bytes.
    Str(Vec<u8>),
    /// A list of strings.
    List(Boxed<List>),
    /// A hash.
    Hash(Boxed<Hash>),
    /// A set of strings.
    Set(Boxed<Set>),
}

impl Value {
    /// The bytes that a string of `length` bytes takes, beyond its key.
    pub(crate) const fn string_weight(length: usize) -> usize {
        HEADER + length
    }

    /// What an empty list, hash or set takes, beyond its key.
    pub(crate) const EMPTY_WEIGHT: usize = HEADER + 80;

    pub(crate) fn string(bytes: &[u8]) -> Result<Self, Failure> {
        Ok(Self::Str(copy_vec(bytes)?))
    }

    pub(crate) fn list() -> Result<Self, Failure> {
        Ok(Self::List(Boxed::new(List::new())?))
    }

    pub(crate) fn hash() -> Result<Self, Failure> {
        Ok(Self::Hash(Boxed::new(Dense::new())?))
    }

    pub(crate) fn set() -> Result<Self, Failure> {
        Ok(Self::Set(Boxed::new(Dense::new())?))
    }

    /// Whether this is a list, hash or set without elements.
    pub(crate) fn is_void(&self) -> bool {
        match self {
            Self::Str(_) => false,
            Self::List(list) => list.items().is_empty(),
            Self::Hash(hash) => hash.len() == 0,
            Self::Set(set) => set.len() == 0,
        }
    }

    /// The type's name as TYPE tells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
        }
    }
}

impl Weigh for Value {
    fn weight(&self) -> usize {
        match self {
            Self::Str(bytes) => Self::string_weight(bytes.capacity()),
            Self::List(list) => Self::EMPTY_WEIGHT + list.bytes(),
            Self::Hash(hash) => Self::EMPTY_WEIGHT + hash.bytes(),
            Self::Set(set) => Self::EMPTY_WEIGHT + set.bytes(),
        }
    }
}

/// Overwrites a string; the old buffer serves again when it fits without much waste.
pub(crate) fn overwrite(old: &mut Vec<u8>, new: &[u8]) -> Result<(), Failure> {
    if fits(old.capacity(), new.len()) {
        old.clear();
        old.extend_from_slice(new);
    } else {
        *old = copy_vec(new)?;
    }
    Ok(())
}

/// Whether a buffer of `capacity` is right for `length` bytes.
pub(crate) fn fits(capacity: usize, length: usize) -> bool {
    capacity >= length && capacity <= length * 2 + 32
}

/// The capacity that a string gets when it must grow to `length`: doubling while small,
/// in steps of a mebibyte later, so that a large value wastes little.
pub(crate) fn grown(capacity: usize, length: usize) -> usize {
    const STEP: usize = 1 << 20;
    if length <= capacity {
        capacity
    } else if length < STEP {
        length.max(capacity * 2)
    } else {
        length + STEP
    }
}

/// A list and what it takes.
#[derive(Debug)]
pub(crate) struct List {
    items: VecDeque<Box<[u8]>>,
    /// The items' lengths and headers.
    content: usize,
}

/// The end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Left, the front.
    Head,
    /// Right, the back.
    Tail,
}

impl List {
    /// The bytes of one place in the list's ring.
    const PLACE: usize = size_of::<Box<[u8]>>();

    fn new() -> Self {
        Self { items: VecDeque::new(), content: 0 }
    }

    pub(crate) fn items(&self) -> &VecDeque<Box<[u8]>> {
        &self.items
    }

    fn bytes(&self) -> usize {
        self.content + self.items.capacity() * Self::PLACE
    }

    /// What one item takes, beyond its place.
    pub(crate) fn item_cost(length: usize) -> usize {
        HEADER + length
    }

    /// What a list's ring will grow by, to take `more` items.
    pub(crate) fn growth(list: Option<&Self>, more: usize) -> usize {
        let (len, capacity) = list.map_or((0, 0), |list| (list.items.len(), list.items.capacity()));
        let needed = len + more;
        if needed <= capacity {
            return 0;
        }
        (needed.max(capacity * 2).max(4) - capacity) * Self::PLACE
    }

    /// Adds the items one after the other at one end: all of them, or none.
    pub(crate) fn push<'a>(
        &mut self,
        end: End,
        items: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<usize, Failure> {
        self.items.try_reserve(items.len())?;
        let before = self.items.len();
        for item in items {
            match copy(item) {
                Ok(owned) => self.add(end, owned),
                Err(failure) => {
                    self.take(end, self.items.len() - before);
                    return Err(failure);
                }
            }
        }
        Ok(self.items.len())
    }

    fn add(&mut self, end: End, item: Box<[u8]>) {
        self.content += Self::item_cost(item.len());
        match end {
            End::Head => self.items.push_front(item),
            End::Tail => self.items.push_back(item),
        }
    }

    /// Drops `count` items from one end.
    pub(crate) fn take(&mut self, end: End, count: usize) {
        for _ in 0..count {
            let item = match end {
                End::Head => self.items.pop_front(),
                End::Tail => self.items.pop_back(),
            };
            let Some(item) = item else { break };
            self.content -= Self::item_cost(item.len());
        }
        self.shrink();
    }

    /// Puts another item in one's place.
    pub(crate) fn replace(&mut self, at: usize, item: Box<[u8]>) {
        if let Some(place) = self.items.get_mut(at) {
            self.content = self.content - place.len() + item.len();
            *place = item;
        }
    }

    /// Drops the items equal to `item`, but for the first `skip` and all behind `most` of
    /// them; tells how many went.
    pub(crate) fn drop_equal(&mut self, item: &[u8], mut skip: usize, most: usize) -> usize {
        let mut dropped = 0;
        self.items.retain(|each| {
            if dropped == most || **each != *item {
                return true;
            }
            if skip > 0 {
                skip -= 1;
                return true;
            }
            dropped += 1;
            false
        });
        self.content -= dropped * Self::item_cost(item.len());
        self.shrink();
        dropped
    }

    /// Gives back most of a ring that has become far too large, if there is memory to move.
    fn shrink(&mut self) {
        let (len, capacity) = (self.items.len(), self.items.capacity());
        if capacity > 64 && len * 4 < capacity {
            let mut smaller = VecDeque::new();
            if smaller.try_reserve_exact(len * 2).is_ok() {
                smaller.extend(self.items.drain(..));
                self.items = smaller;
            }
        }
    }
}
