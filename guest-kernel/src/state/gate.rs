//! Who may change the arena, and when: between opening its gate and closing it.
//!
//! Three words of ordinary memory say what this incarnation knows: where the arena is, which vCPU
//! edits it, and what its gate should say. After a restart they are as they were at the checkpoint,
//! and so before the arena was opened; should they be later ones after all, the gate says something
//! else than they, and nobody gets at an arena that is not as this memory knows it.

use atoll_ipc::state::arena;
use atoll_ipc::sync::AtomicU64;
use atoll_ipc::sync::Ordering::Relaxed;
use spinning_top::Spinlock;

use super::Region;
use crate::{boot, exits};

/// Guards the arena's heap and its gate.
pub(super) static LOCK: Spinlock<Option<Region>> = Spinlock::new(None);

/// The control page of the vCPU that edits; 0 if none does.
static EDITOR: AtomicU64 = AtomicU64::new(0);

/// The gate's number as this incarnation left it.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Whether the vCPU that asks is in an edit.
#[inline]
pub(crate) fn is_editing() -> bool {
    let editor = EDITOR.load(Relaxed);
    editor != 0 && editor == exits::control_page()
}

/// Whoever sleeps in an edit lets others run, or die, in the middle of it; and what the guest kernel
/// allocates there would be the arena's.
#[inline]
pub(crate) fn refuse_amid_edit() {
    assert!(!is_editing(), "an edit of the arena cannot wait for messages or replies");
}

/// Takes a region for the arena.
pub(super) fn claim(region: Region) {
    let mut active = LOCK.lock();
    assert!(active.is_none(), "a domain has one arena, and it is open already");
    *active = Some(region);
}

/// From now on this incarnation knows the arena as it is. If its gate is open, this vCPU edits it.
pub(super) fn know(region: Region) {
    let generation = arena::generation(&region.words());
    SEEN.store(generation, Relaxed);
    if arena::is_open(generation) {
        EDITOR.store(exits::control_page(), Relaxed);
    }
}

/// Opens the gate, for an edit on this vCPU.
pub(super) fn open(region: Region) {
    let guard = LOCK.lock();
    assert!(EDITOR.load(Relaxed) == 0, "the arena is being edited already");
    assert!(is_as_known(region), "{}", STRANGE);
    SEEN.store(arena::open(&region.words(), boot::epoch()), Relaxed);
    EDITOR.store(exits::control_page(), Relaxed);
    drop(guard);
}

/// Closes it.
pub(super) fn close(region: Region) {
    let guard = LOCK.lock();
    EDITOR.store(0, Relaxed);
    SEEN.store(arena::close(&region.words()), Relaxed);
    drop(guard);
}

/// Does something to the heap that must not be done by half, in an edit or not; the lock is held.
pub(super) fn amid<R>(region: Region, change: impl FnOnce() -> R) -> R {
    let words = region.words();
    if arena::is_open(arena::generation(&words)) {
        return change();
    }
    SEEN.store(arena::open(&words, boot::epoch()), Relaxed);
    let result = change();
    SEEN.store(arena::close(&words), Relaxed);
    result
}

/// Panics unless the arena is as this incarnation has left it.
#[inline]
pub(super) fn require_known(region: Region) {
    if !is_as_known(region) {
        // Another vCPU may have been giving a block back.
        let _guard = LOCK.lock();
        assert!(is_as_known(region), "{}", STRANGE);
    }
}

#[inline]
fn is_as_known(region: Region) -> bool {
    arena::generation(&region.words()) == SEEN.load(Relaxed)
}

const STRANGE: &str = "the arena is not as this incarnation knows it: open it again, in each \
     incarnation, behind `atoll::ready()`";
