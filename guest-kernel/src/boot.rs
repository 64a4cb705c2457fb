//! What the nucleus told this domain at its start.

use core::slice;
use core::str;

use atoll_ipc::abi::{BOOT_MAGIC, BootPage, ChannelEntry};
use atoll_ipc::sync::{AtomicU64, Ordering::Relaxed};

static PAGE: AtomicU64 = AtomicU64::new(0);

/// Remembers the boot page.
///
/// # Safety
/// `page` must point to the boot page that the nucleus made, mapped as long as the domain runs.
pub(crate) unsafe fn adopt(page: *const BootPage) {
    // SAFETY: by this function's contract.
    let magic = unsafe { (*page).magic };
    if magic == BOOT_MAGIC {
        PAGE.store(page as u64, Relaxed);
    }
}

/// The boot page itself.
pub fn page() -> &'static BootPage {
    // SAFETY: `adopt` ran before any other code of the domain, and its page stays mapped, with
    // contents that do not change, but for those that are atomic. (A page that was not adopted is null,
    // and reading it faults: page 0 is never mapped.)
    unsafe { &*(PAGE.load(Relaxed) as *const BootPage) }
}

/// This domain's name.
pub fn domain() -> &'static str {
    page().domain.as_str()
}

/// Which incarnation of the domain this is, counted from 1.
pub fn epoch() -> u32 {
    page().epoch.load(Relaxed)
}

/// Whether the server is asked to end. When it next waits for a message, and there is none, it
/// does so with status 0.
pub fn is_stopping() -> bool {
    page().stopping.load(Relaxed) == epoch()
}

/// Whether the server is asked to come to rest.
pub(crate) fn is_resting() -> bool {
    page().resting.load(Relaxed) == epoch()
}

/// Fresh random bytes for this incarnation. Whoever draws on them before the server is
/// [ready](crate::ready) has the same ones after a restart, as it has all of its memory; and so has
/// each system that is restored from one snapshot. Whoever needs others draws again when
/// [`epoch`] has changed.
pub fn seed() -> [u64; 4] {
    page().seed.each_ref().map(|word| word.load(Relaxed))
}

/// The arguments that the manifest gives this domain, in order.
pub fn arguments() -> impl Iterator<Item = &'static str> {
    let boot = page();
    let start = channels().as_ptr_range().end.cast::<u8>();
    // SAFETY: the nucleus puts `arguments_len` bytes behind the channel table.
    let bytes = unsafe { slice::from_raw_parts(start, boot.arguments_len as usize) };
    bytes
        .split(|&b| b == 0)
        .take(boot.arguments as usize)
        .map(|text| str::from_utf8(text).unwrap_or_default())
}

/// The value of the argument `KEY=VALUE`, if the manifest gives one.
pub fn argument(key: &str) -> Option<&'static str> {
    arguments().find_map(|text| text.strip_prefix(key)?.strip_prefix('='))
}

/// This domain's channels, by number.
pub(crate) fn channels() -> &'static [ChannelEntry] {
    let boot = page();
    let table = (&raw const *boot).wrapping_add(1).cast::<ChannelEntry>();
    // SAFETY: the nucleus puts `channels` entries behind the boot page's fixed part.
    unsafe { slice::from_raw_parts(table, boot.channels as usize) }
}
