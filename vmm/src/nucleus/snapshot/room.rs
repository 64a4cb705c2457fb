//! Room for the copies of domains' memory, made before anybody stands still: to get memory from the
//! host takes longer than to copy into it, up to 50 us for a page on software KVM.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread;

use vmm_sys_util::eventfd::EventFd;

use crate::domain::{Room, signal};
use crate::nucleus::Member;

/// Empty, with memory behind it; by the domains' numbers.
pub(super) type Rooms = HashMap<u32, Room>;

/// Has it made by another thread, which tells `news` when it is there. Should there be no thread,
/// there is no room, and copies take longer.
pub(super) fn order<'m>(
    members: impl Iterator<Item = &'m Member>,
    news: &Arc<EventFd>,
) -> mpsc::Receiver<Rooms> {
    let makers: Vec<_> = members.map(|member| (member.id(), member.domain.room())).collect();
    let (give, room) = mpsc::channel();
    let news = news.clone();
    let work = move || {
        // Who no longer waits for it need not have it.
        let _ = give.send(makers.into_iter().map(|(domain, make)| (domain, make())).collect());
        signal(&news);
    };
    if let Err(error) = thread::Builder::new().name("snapshot-room".to_owned()).spawn(work) {
        log::debug!("no thread to make room for a snapshot: {error}");
    }
    room
}
