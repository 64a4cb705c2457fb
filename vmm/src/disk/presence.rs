//! A disk's thread among all that want to run on the host's processors.

use std::sync::Arc;

use atoll_ipc::abi::{HostPage, NO_DOMAIN};

use crate::machine::shared_page::SharedPage;

/// A disk's thread among those that want to run: counted while it does, so that nobody looks for
/// something to do on a processor that it needs.
#[derive(Clone, Debug)]
pub struct Presence {
    page: Arc<SharedPage<HostPage>>,
}

impl Presence {
    /// Counts it in this page.
    pub const fn new(page: Arc<SharedPage<HostPage>>) -> Self {
        Self { page }
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
}
