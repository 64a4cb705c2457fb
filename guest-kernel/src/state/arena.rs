//! A heap in the state region, and the root of what lives in it.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use atoll_ipc::abi::Name;
use atoll_ipc::state::arena::{self, Edits, Found};
use atoll_ipc::state::{Foreign, HEAD, Kind, Owner};

use super::check::{self, Damage};
use super::heap::{self, Usage};
use super::{Region, gate};
use crate::{boot, ready};

/// Blocks begin at multiples of this, so that the root shares no cache line with them.
const LINE: usize = 64;
/// Least bytes of a heap that is worth having.
const HEAP_MIN: usize = 16 << 10;

/// Ordinary collections that a restart keeps: a root object of type `T`, and all that hangs on it.
///
/// They are changed in [edits](Arena::edit), and read through the arena, which dereferences to the
/// root. What is allocated in an edit comes from the arena's heap, for as long as the edit lasts; what
/// does not fit is refused there as anywhere (`try_reserve`), and a server that cannot do without it
/// dies in the edit, which loses the arena.
///
/// An edit costs two stores beside what it does. It cannot wait for messages or replies, and so is
/// as short as its server makes it: the shorter, the rarer is an arena that was torn.
#[derive(Debug)]
pub struct Arena<T> {
    region: Region,
    owner: Owner,
    root: NonNull<T>,
}

/// The gate of an arena: what an edit opens before and closes after.
#[derive(Clone, Copy, Debug)]
pub struct Gate(Region);

impl Gate {
    /// Begins an edit. What this vCPU allocates from here on is the arena's.
    ///
    /// # Panics
    /// If another edit is under way.
    #[inline]
    pub fn open(self) {
        gate::open(self.0);
    }

    /// Ends it.
    ///
    /// # Panics
    /// If this vCPU is in none.
    #[inline]
    pub fn close(self) {
        assert!(gate::is_editing(), "no edit of the arena is under way");
        gate::close(self.0);
    }
}

/// What a server finds of its arena.
#[derive(Debug)]
pub enum Opened<T> {
    /// It is as the last edit left it.
    Warm(Arena<T>),
    /// There is none that could be used.
    Cold(Cold, Vacant<T>),
}

/// Why there is no arena to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cold {
    /// The region is empty.
    Empty,
    /// The server died in the middle of an edit.
    Torn(Edits),
    /// The region holds something else.
    Foreign(Foreign),
}

impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the state region is empty"),
            Self::Torn(Edits { count, epoch }) => {
                write!(
                    f,
                    "the server died in an edit of its arena, the one after {count}, in epoch {epoch}"
                )
            }
            Self::Foreign(foreign) => foreign.fmt(f),
        }
    }
}

/// A state region that is too small for an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// Bytes that it has.
    pub given: u64,
    /// Bytes that it needs at least.
    pub needed: u64,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, needed } = self;
        write!(
            f,
            "a state region of {given} bytes is too small for this server's arena, which needs at \
             least {needed}; raise `state` in the manifest"
        )
    }
}

impl core::error::Error for TooSmall {}

/// A region in which an arena can begin.
#[derive(Debug)]
pub struct Vacant<T> {
    region: Region,
    owner: Owner,
    root: PhantomData<T>,
}

impl<T: 'static> Arena<T> {
    /// Looks for the arena of that name and version, made by this very image. A domain has one.
    ///
    /// # Errors
    /// If the region is too small for any.
    ///
    /// # Panics
    /// If this incarnation has opened one already, or `name` is not a name.
    ///
    /// # Safety
    /// For as long as the domain has this region, in all incarnations of this image:
    ///
    /// - nothing else writes to this part of the region;
    /// - the same name and version always mean the same `T`;
    /// - what the root leads to was allocated in edits, or is the image's own (constants, functions,
    ///   `&'static str` literals): nothing that is stored there may point to the heap, the stack,
    ///   statics that change, or channels. So values from outside are copied in, within the edit,
    ///   and never moved in: a `Vec` that was made before the edit stays in the heap that a restart
    ///   takes back;
    /// - nothing that the root leads to changes outside of edits, be it by `Cell`s, atomics or raw
    ///   pointers.
    ///
    /// What is *taken out* of the root may leave the edit: blocks are given back to where they came
    /// from. But an incarnation that dies with such a block in its hands leaves it allocated.
    pub unsafe fn open(region: Region, name: &str, version: u32) -> Result<Opened<T>, TooSmall> {
        let needed = (Self::heap_start() + HEAP_MIN) as u64;
        if region.bytes() < needed {
            return Err(TooSmall { given: region.bytes(), needed });
        }
        ready::at_first_wait();
        gate::claim(region);
        let image = boot::page().image;
        let owner = Owner { kind: Kind::Arena, name: Name::new(name), version, image };
        let cold = match arena::find(&region.words(), &owner) {
            Ok(Found::Whole(_)) => {
                gate::know(region);
                return Ok(Opened::Warm(Self { region, owner, root: Self::root(region) }));
            }
            Ok(Found::Empty) => Cold::Empty,
            Ok(Found::Torn(edits)) => Cold::Torn(edits),
            Err(foreign) => Cold::Foreign(foreign),
        };
        Ok(Opened::Cold(cold, Vacant { region, owner, root: PhantomData }))
    }

    /// Changes what is in it. A death in here loses the arena; at any other time it is kept.
    ///
    /// # Panics
    /// If another edit is under way.
    #[inline]
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        gate::open(self.region);
        // SAFETY: the root was made by `Vacant::start`, in this incarnation or in an earlier one of
        // this image, by the contract of `open`; the arena is borrowed for as long.
        let result = change(unsafe { self.root.as_mut() });
        gate::close(self.region);
        result
    }

    /// How often it was edited, and by which incarnation last.
    pub fn edits(&self) -> Edits {
        match arena::find(&self.region.words(), &self.owner) {
            Ok(Found::Whole(edits) | Found::Torn(edits)) => edits,
            Ok(Found::Empty) | Err(_) => Edits { count: 0, epoch: 0 },
        }
    }

    /// What its heap has given out.
    pub fn usage(&self) -> Usage {
        heap::usage(self.region)
    }

    /// Looks whether its heap hangs together, along all its free stretches. Worth doing once, when
    /// it was found warm, by a server that does not trust its predecessor's last moments. Contents
    /// are not looked at: a server that wants to can keep a [`checksum`](super::checksum) of each.
    ///
    /// # Errors
    /// If it does not. Then nothing may be done with the arena but to
    /// [vacate](Arena::vacate) it.
    pub fn check(&self) -> Result<(), Damage> {
        check::check(self.region, Self::heap_start())
    }

    /// The root for good, and the gate by itself: for a server whose changes are no closures, as when
    /// they happen deep within a library that knows nothing of arenas.
    ///
    /// # Safety
    /// The root, and what it leads to, may be changed only while the gate is open, on the vCPU that
    /// opened it, and used at all only by this incarnation. Numbers that may be lost or stale after a
    /// restart are excepted.
    #[must_use]
    pub unsafe fn detach(mut self) -> (&'static mut T, Gate) {
        // SAFETY: as in `Arena::edit`; the arena is gone, so there is no other way to the root, and
        // its memory is there for as long as the domain.
        (unsafe { self.root.as_mut() }, Gate(self.region))
    }

    /// Forgets all that is in it, without dropping it.
    ///
    /// # Safety
    /// Nothing that was taken out of the arena may still be in use, or be dropped later.
    #[must_use = "the arena is there until another one begins in its place"]
    pub unsafe fn vacate(self) -> Vacant<T> {
        Vacant { region: self.region, owner: self.owner, root: PhantomData }
    }

    const fn heap_start() -> usize {
        const { assert!(align_of::<T>() <= HEAD, "an arena's root is aligned to 4096 at most") };
        (HEAD + size_of::<T>()).next_multiple_of(LINE)
    }

    fn root(region: Region) -> NonNull<T> {
        // SAFETY: the region is far from address 0.
        unsafe { NonNull::new_unchecked(region.address().wrapping_add(HEAD).cast()) }
    }
}

impl<T: 'static> Deref for Arena<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        gate::require_known(self.region);
        // SAFETY: as in `Arena::edit`; what changes it borrows the arena mutably.
        unsafe { self.root.as_ref() }
    }
}

impl<T: 'static> Vacant<T> {
    /// Begins an arena with the root that `make` makes, in the first edit. Whatever the region held is
    /// forgotten, not dropped.
    pub fn start(self, make: impl FnOnce() -> T) -> Arena<T> {
        let Self { region, owner, .. } = self;
        let root = Arena::<T>::root(region);
        arena::begin(&region.words(), owner, boot::epoch());
        // SAFETY: the gate is open, and by the contract of `open` and `vacate` nobody uses what is
        // behind the root.
        unsafe { heap::make(region, Arena::<T>::heap_start()) };
        gate::know(region);
        // SAFETY: in the region, which is large enough, aligned, and nobody else's.
        unsafe { root.write(make()) };
        gate::close(region);
        Arena { region, owner, root }
    }
}
