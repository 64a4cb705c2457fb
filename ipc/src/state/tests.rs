//! Deaths after each store, one by one: what is found afterwards was written whole, or is not found.

use std::cell::RefCell;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::arena::{self, Found};
use super::*;
use crate::abi::Name;
use crate::sync::AtomicU64;

/// Memory that remembers every store, in its order.
#[derive(Debug)]
struct Recorded {
    words: RefCell<Vec<u64>>,
    stores: RefCell<Vec<(usize, u64)>>,
}

impl Recorded {
    fn new(words: Vec<u64>) -> Self {
        Self { words: RefCell::new(words), stores: RefCell::default() }
    }

    fn empty(bytes: usize) -> Self {
        Self::new(vec![0; bytes / 8])
    }

    /// The memory before the first store, and after each.
    fn moments(&self, before: &[u64]) -> Vec<Vec<u64>> {
        let mut now = before.to_vec();
        let mut moments = vec![now.clone()];
        for &(word, value) in &*self.stores.borrow() {
            now[word] = value;
            moments.push(now.clone());
        }
        assert_eq!(now, *self.words.borrow());
        moments
    }

    fn words(&self) -> Vec<u64> {
        self.words.borrow().clone()
    }
}

impl Memory for Recorded {
    fn size(&self) -> usize {
        self.words.borrow().len() * 8
    }

    fn load(&self, at: usize) -> u64 {
        assert!(at.is_multiple_of(8));
        self.words.borrow()[at / 8]
    }

    fn store(&self, at: usize, word: u64) {
        assert!(at.is_multiple_of(8));
        self.words.borrow_mut()[at / 8] = word;
        self.stores.borrow_mut().push((at / 8, word));
    }

    fn read(&self, at: usize, bytes: &mut [u8]) {
        for (number, chunk) in bytes.chunks_mut(8).enumerate() {
            let word = self.load(at + number * 8).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        for (number, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.store(at + number * 8, u64::from_le_bytes(word));
        }
    }
}

const SIZE: usize = HEAD + 1024;

fn owner(kind: Kind) -> Owner {
    Owner { kind, name: Name::new("test"), version: 3, image: [0; 32] }
}

const fn value() -> Owner {
    Owner { kind: Kind::Value, name: Name::new("test"), version: 3, image: [0; 32] }
}

fn held(words: Vec<u64>) -> Option<Vec<u8>> {
    let value = Value::open(Recorded::new(words), value()).unwrap();
    value.stamp()?;
    let mut bytes = vec![0; value.length()];
    value.read(&mut bytes);
    Some(bytes)
}

/// Commits `new` in memory that is as `before`, and dies at each moment of that.
fn die_in_commit(before: Vec<u64>, old: Option<&[u8]>, new: &[u8]) -> Vec<u64> {
    let memory = Recorded::new(before.clone());
    let mut value = Value::open(&memory, value()).unwrap();
    value.commit(7, new).unwrap();
    let moments = memory.moments(&before);
    let last = moments.len() - 1;
    for (number, moment) in moments.into_iter().enumerate() {
        let expected = if number == last { Some(new) } else { old };
        assert_eq!(held(moment).as_deref(), expected, "after {number} stores of {last}");
    }
    memory.words()
}

#[test]
fn a_death_in_a_commit_leaves_the_old_value_or_the_new_one() {
    let values: [&[u8]; 5] = [b"first", b"", &[7; 512], b"a fourth, longer one", &[0; 40]];
    let mut words = vec![0; SIZE / 8];
    let mut old = None;
    for new in values {
        words = die_in_commit(words, old, new);
        old = Some(new);
    }
}

#[test]
fn a_death_in_starting_over_leaves_an_older_value_or_none() {
    let memory = Recorded::empty(SIZE);
    let mut first = Value::open(&memory, value()).unwrap();
    first.commit(1, b"older").unwrap();
    first.commit(1, b"newer").unwrap();
    let before = memory.words();
    memory.stores.borrow_mut().clear();
    Value::start_over(&memory, value());
    let found: Vec<_> = memory.moments(&before).into_iter().map(held).collect();
    assert_eq!(found, [Some(b"newer".to_vec()), Some(b"newer".to_vec()), None]);
}

#[test]
fn stamps_say_who_wrote_and_when() {
    let memory = Recorded::empty(SIZE);
    let mut cell = Value::open(&memory, value()).unwrap();
    assert_eq!((cell.stamp(), cell.length(), cell.room()), (None, 0, 512));
    cell.commit(4, b"x").unwrap();
    cell.commit(9, b"yy").unwrap();
    let stamp = *Value::open(&memory, value()).unwrap().stamp().unwrap();
    assert_eq!((stamp.epoch, stamp.generation, stamp.length, stamp.size), (9, 2, 2, SIZE as u64));
    assert_eq!(cell.commit(9, &[0; 513]), Err(TooLong { length: 513, room: 512 }));
    assert_eq!(held(memory.words()), Some(b"yy".to_vec()));
}

#[test]
fn what_is_not_ones_own_is_named() {
    let memory = Recorded::empty(SIZE);
    Value::open(&memory, value()).unwrap().commit(1, b"mine").unwrap();
    let refusal = |memory: &Recorded, owner| Value::open(memory, owner).unwrap_err();
    let (name, other) = (Name::new("test"), Name::new("other"));
    assert_eq!(
        refusal(&memory, Owner { version: 4, ..value() }),
        Foreign::Version { name, found: 3, wanted: 4 }
    );
    assert_eq!(
        refusal(&memory, Owner { name: other, ..value() }),
        Foreign::Owner { found: name, wanted: other }
    );
    assert_eq!(refusal(&memory, Owner { image: [1; 32], ..value() }), Foreign::Image { name });
    let longer = Recorded::new([memory.words(), vec![0; 8]].concat());
    let (found, wanted) = (SIZE as u64, SIZE as u64 + 64);
    assert_eq!(refusal(&longer, value()), Foreign::Size { name, found, wanted });
    let arena = arena::find(&memory, &owner(Kind::Arena)).unwrap_err();
    assert_eq!(arena, Foreign::Kind { name });
}

#[test]
fn another_format_is_named_even_if_all_else_differs() {
    let memory = Recorded::empty(SIZE);
    Value::open(&memory, value()).unwrap().commit(1, b"mine").unwrap();
    let mut words = memory.words();
    words[1] = words[1] & !0xffff_ffff | 2;
    words[2] = 0;
    let sealed: Vec<u8> = words[..15].iter().flat_map(|word| word.to_le_bytes()).collect();
    words[15] = checksum(&sealed);
    let refused = Value::open(Recorded::new(words), value()).unwrap_err();
    assert_eq!(refused, Foreign::Format { found: 2 });
}

#[test]
fn contents_that_were_written_over_are_not_believed() {
    let memory = Recorded::empty(SIZE);
    let mut cell = Value::open(&memory, value()).unwrap();
    cell.commit(1, b"older").unwrap();
    cell.commit(1, b"newer").unwrap();
    let mut words = memory.words();
    words[(HEAD + 512) / 8] ^= 1;
    assert_eq!(held(words.clone()), Some(b"older".to_vec()), "the other one is whole");
    words[HEAD / 8] ^= 1;
    let refused = Value::open(Recorded::new(words), value()).unwrap_err();
    assert_eq!(refused, Foreign::Damaged { name: Name::new("test") });
}

#[test]
fn an_arena_is_whole_only_between_its_edits() {
    let owner = owner(Kind::Arena);
    let empty = vec![0; SIZE / 8];
    let memory = Recorded::new(empty.clone());
    arena::begin(&memory, owner, 5);
    memory.write(HEAD, b"the heap");
    arena::close(&memory);
    let begun = memory.words();
    let moments = memory.moments(&empty);
    let last = moments.len() - 1;
    for (number, moment) in moments.into_iter().enumerate() {
        match arena::find(&Recorded::new(moment), &owner).unwrap() {
            Found::Whole(edits) => assert_eq!((number, edits.count, edits.epoch), (last, 1, 5)),
            Found::Empty | Found::Torn(_) => assert!(number < last, "{number}"),
        }
    }
    let memory = Recorded::new(begun.clone());
    assert!(arena::is_open(arena::open(&memory, 6)));
    memory.write(HEAD + 8, b"a change");
    assert!(!arena::is_open(arena::close(&memory)));
    let moments = memory.moments(&begun);
    let last = moments.len() - 1;
    for (number, moment) in moments.into_iter().enumerate() {
        match (number, arena::find(&Recorded::new(moment), &owner).unwrap()) {
            (0, Found::Whole(edits)) => assert_eq!((edits.count, edits.epoch), (1, 5)),
            (_, Found::Whole(edits)) => assert_eq!((number, edits.count), (last, 2)),
            (_, found) => assert!(number < last && matches!(found, Found::Torn(_)), "{found:?}"),
        }
    }
}

#[test]
fn a_death_in_beginning_anew_never_leaves_the_old_arena() {
    let owner = owner(Kind::Arena);
    let memory = Recorded::empty(SIZE);
    arena::begin(&memory, owner, 1);
    arena::close(&memory);
    let before = memory.words();
    memory.stores.borrow_mut().clear();
    arena::begin(&memory, owner, 2);
    for (number, moment) in memory.moments(&before).into_iter().enumerate().skip(1) {
        let found = arena::find(&Recorded::new(moment), &owner).unwrap();
        assert!(!matches!(found, Found::Whole(_)), "after {number} stores");
    }
    // And the first death may come over a value.
    let other = Recorded::empty(SIZE);
    Value::open(&other, value()).unwrap().commit(1, b"bytes").unwrap();
    arena::begin(&other, owner, 1);
    assert!(matches!(arena::find(&other, &owner).unwrap(), Found::Torn(_)));
}

#[test]
fn messages_say_what_to_do() {
    let name = Name::new("kv");
    let text = |foreign: Foreign| std::format!("{foreign}");
    let version = text(Foreign::Version { name, found: 1, wanted: 2 });
    assert!(version.contains("version 1 of `kv`") && version.contains("keeps version 2"));
    let size = text(Foreign::Size { name, found: 4096, wanted: 8192 });
    assert!(size.contains("set `state` in the manifest to 4096"));
    let all = [
        version,
        size,
        text(Foreign::Format { found: 9 }),
        text(Foreign::Owner { found: name, wanted: Name::new("x") }),
        text(Foreign::Kind { name }),
        text(Foreign::Image { name }),
        text(Foreign::Damaged { name }),
    ];
    assert!(all.iter().all(|text| text.contains("`vmm reset-state DOMAIN`")));
}

#[test]
fn real_memory_is_memory() {
    let words: Vec<AtomicU64> = (0..SIZE / 8).map(|_| AtomicU64::new(0)).collect();
    let memory = &words[..];
    let mut cell = Value::open(memory, value()).unwrap();
    cell.commit(1, &[9; 300]).unwrap();
    cell.commit(2, &[8; 333]).unwrap();
    let cell = Value::open(memory, value()).unwrap();
    let mut bytes = [0; 400];
    cell.read(&mut bytes);
    assert_eq!((&bytes[..333], &bytes[333..]), (&[8; 333][..], &[0; 67][..]));
}

proptest! {
    /// Any commits, with a death somewhere in each: what is found was committed, and nothing that was
    /// found once is lost for something older.
    #[test]
    fn what_is_found_was_committed(
        commits in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..513), any::<prop::sample::Index>()),
            1..12,
        ),
    ) {
        let mut words = vec![0; SIZE / 8];
        let mut old = None;
        for (new, death) in commits {
            let memory = Recorded::new(words.clone());
            Value::open(&memory, value()).unwrap().commit(1, &new).unwrap();
            let moments = memory.moments(&words);
            let at = death.index(moments.len());
            let expected = if at == moments.len() - 1 { Some(new) } else { old };
            words.clone_from(&moments[at]);
            prop_assert_eq!(held(words.clone()), expected.clone());
            old = expected;
        }
    }

    /// Whatever is in a region: it is refused, or found, and nothing panics.
    #[test]
    fn anything_may_be_in_a_region(
        noise in prop::collection::vec((0usize..SIZE / 8, any::<u64>()), 0..20),
    ) {
        let memory = Recorded::empty(SIZE);
        Value::open(&memory, value()).unwrap().commit(1, &[5; 100]).unwrap();
        let mut words = memory.words();
        noise.iter().for_each(|&(at, word)| words[at] = word);
        let value_found = Value::open(Recorded::new(words.clone()), value());
        if let Ok(found) = value_found {
            let mut bytes = vec![0; found.length()];
            found.read(&mut bytes);
            prop_assert!(found.stamp().is_none() || bytes == [5; 100]);
        }
        let _ = arena::find(&Recorded::new(words), &owner(Kind::Arena));
    }
}
