//! A disk's thread among all that want to run on the host's processors.

use std::sync::Arc;

use atoll_ipc::abi::{Crowd, GROUPS_MAX, HostPage, NO_DOMAIN};

use crate::machine::processors;
use crate::machine::shared_page::SharedPage;

/// A disk's thread among those that want to run: counted while it does, so that nobody looks for
/// something to do on a processor that it needs, nor it on theirs.
#[derive(Clone, Debug)]
pub struct Presence {
    page: Arc<SharedPage<HostPage>>,
    crowd: Crowd,
}

impl Presence {
    /// It may run on any processor, as the nucleus does.
    pub fn new(page: Arc<SharedPage<HostPage>>) -> Self {
        let processors = processors::allowed().map_or(1, |cpus| cpus.len().max(1));
        let crowd = Crowd { groups: (1 << GROUPS_MAX) - 1, processors: processors as u32 };
        Self { page, crowd }
    }

    /// Does something that takes no processor.
    pub(super) fn away<T>(&self, blocks: impl FnOnce() -> T) -> T {
        self.leave();
        let result = blocks();
        self.enter();
        result
    }

    /// It begins, or goes on, to run.
    pub(super) fn enter(&self) {
        self.page.enter(0, NO_DOMAIN);
    }

    /// It ends, or waits.
    pub(super) fn leave(&self) {
        self.page.leave(0, NO_DOMAIN);
    }

    /// Whether more want to run than there are processors.
    pub(super) fn is_crowded(&self) -> bool {
        self.page.is_crowded(self.crowd)
    }
}
