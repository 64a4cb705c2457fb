//! A map in an arena, and blocks of all sizes beside it.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use atoll::state::{Arena, Cold, Edits, Opened, Region, Usage};
use atoll::{boot, state};

/// What the arena holds.
#[derive(Default)]
pub struct Root {
    map: BTreeMap<String, String>,
    blocks: Vec<Vec<u8>>,
}

/// The arena, and how it was found.
pub struct Kept {
    region: Region,
    version: u32,
    arena: Option<Arena<Root>>,
    found: String,
}

impl Kept {
    pub fn open(region: Region, version: u32) -> Self {
        // SAFETY: this part of the region is the arena's alone; `arena` means `Root` in every
        // version; all edits below store only what they make themselves, and nothing in it changes
        // otherwise.
        let opened = unsafe { Arena::open(region, "arena", version) };
        let (arena, found) = match opened {
            Ok(Opened::Warm(arena)) if is_poison(&arena) => panic!("it has kept poison"),
            Ok(Opened::Warm(arena)) => {
                let Edits { count, epoch } = arena.edits();
                (Some(arena), format!("warm after {count} edits, the last in epoch {epoch}"))
            }
            Ok(Opened::Cold(why, _)) if why != Cold::Empty && boot::argument("torn").is_some() => {
                (None, why.to_string())
            }
            Ok(Opened::Cold(why, vacant)) => (Some(vacant.start(Root::default)), why.to_string()),
            Err(error) => (None, error.to_string()),
        };
        Self { region, version, arena, found }
    }

    /// All of the region.
    pub fn region(&self) -> Region {
        state::region().unwrap_or(self.region)
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn obey(&mut self, verb: &str, rest: &str) -> String {
        if verb == "found" {
            return self.found.clone();
        }
        match &mut self.arena {
            Some(arena) => obey(arena, verb, rest),
            None => "there is no arena".to_owned(),
        }
    }
}

/// What a server that dies of what it keeps dies of.
fn is_poison(root: &Root) -> bool {
    boot::argument("poison").is_some() && root.map.contains_key("poison")
}

fn obey(arena: &mut Arena<Root>, verb: &str, rest: &str) -> String {
    let (word, more) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "set" => {
            // The old value is given back outside of the edit.
            let old = arena.edit(|root| root.map.insert(word.to_owned(), more.to_owned()));
            old.unwrap_or_default()
        }
        "get" => arena.map.get(word).cloned().unwrap_or_else(|| "none".to_owned()),
        "delete" => arena.edit(|root| root.map.remove(word)).unwrap_or_default(),
        "keys" => arena.map.len().to_string(),
        "where" => {
            let inside = arena.map.iter().all(|(key, value)| {
                state::holds(key.as_ptr()) && (value.is_empty() || state::holds(value.as_ptr()))
            });
            let said = format!("{inside}");
            format!("{said} {}", state::holds(said.as_ptr()))
        }
        "edits" => arena.edits().count.to_string(),
        "check" => match arena.check() {
            Ok(()) => "whole".to_owned(),
            Err(damage) => damage.to_string(),
        },
        "usage" => {
            let Usage { used, blocks, .. } = arena.usage();
            format!("{used} {blocks}")
        }
        "churn" => churn(arena, word.parse().unwrap_or(1), more.parse().unwrap_or(1)),
        "fill" => fill(arena),
        "empty-blocks" => {
            arena.edit(|root| root.blocks = Vec::new());
            "emptied".to_owned()
        }
        "die-in-edit" => arena.edit(|root| {
            root.map.insert("half".to_owned(), more.to_owned());
            die()
        }),
        "wait-in-edit" => arena.edit(|_| match atoll::ready() {
            Ok(()) => "ready again".to_owned(),
            Err(_) => {
                crate::KEEP.receive();
                "waited".to_owned()
            }
        }),
        "scribble" => {
            // As a wild pointer does: over the start of a free stretch.
            scribble(arena)
        }
        "die" => die(),
        "panic" => panic!("{rest}"),
        "pass-away" => atoll::exit(1),
        _ => format!("no such verb: {verb}"),
    }
}

/// So many edits that allocate, give back, shrink and grow, by the numbers that follow from a seed.
fn churn(arena: &mut Arena<Root>, edits: u64, seed: u64) -> String {
    let mut random = seed | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..edits {
        let (what, which, size) = (next() % 4, next() as usize, next() % 3000);
        arena.edit(|root| change(root, what, which, size as usize));
    }
    arena.blocks.len().to_string()
}

fn change(root: &mut Root, what: u64, which: usize, size: usize) {
    let count = root.blocks.len();
    match what {
        0 if count > 0 => drop(root.blocks.swap_remove(which % count)),
        1 if count > 0 => root.blocks[which % count].resize(size, 1),
        2 if count > 0 => {
            let block = &mut root.blocks[which % count];
            block.truncate(size);
            block.shrink_to_fit();
        }
        _ => root.blocks.push(Vec::with_capacity(size)),
    }
}

/// Takes all there is, and says how much that was. What does not fit is refused.
fn fill(arena: &mut Arena<Root>) -> String {
    let mut taken = 0;
    let mut size = 1 << 20;
    while size >= 64 {
        let fits = arena.edit(|root| {
            let mut block = Vec::new();
            let fits = root.blocks.try_reserve(1).is_ok() && block.try_reserve_exact(size).is_ok();
            if fits {
                root.blocks.push(block);
            }
            fits
        });
        if fits { taken += size } else { size /= 2 }
    }
    taken.to_string()
}

fn scribble(arena: &mut Arena<Root>) -> String {
    let block = arena.edit(|root| {
        let keeper = (Vec::<u8>::with_capacity(4096), Vec::<u8>::with_capacity(64));
        root.blocks.push(keeper.1);
        keeper.0
    });
    let start = block.as_ptr() as *mut u64;
    drop(block);
    // SAFETY: not at all: the block was given back. The arena's memory is mapped, and this is what
    // a test wants to be found.
    unsafe { start.add(1).write_volatile(0x6b6f_6f6c) };
    "scribbled".to_owned()
}

#[inline(never)]
fn die<R>() -> R {
    // SAFETY: the instruction that is none: this incarnation ends here.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
