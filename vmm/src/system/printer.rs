//! What `vmm run` prints: events and log lines, as they come.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::watch;

use super::SystemError;
use crate::cli;
use crate::journal::Journal;

/// Records printed between two looks at the other journal.
const BATCH: usize = 256;

/// A thread that prints the journal.
#[derive(Debug)]
pub struct Printer {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Printer {
    /// Starts printing.
    ///
    /// # Errors
    /// If the host gives it no thread.
    pub fn start(journal: Arc<Journal>, json: bool) -> Result<Self, SystemError> {
        let runtime = Builder::new_current_thread().build().map_err(SystemError::EventLoop)?;
        let (stop, stopping) = watch::channel(false);
        let thread = thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || runtime.block_on(print(&journal, json, stopping)))
            .map_err(SystemError::EventLoop)?;
        Ok(Self { stop, thread })
    }

    /// Prints what is left, and stops.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            log::error!("the printer panicked; nothing else was touched");
        }
    }
}

async fn print(journal: &Journal, json: bool, mut stopping: watch::Receiver<bool>) {
    let (mut lines, mut events) = (journal.watch_lines(), journal.watch_events());
    let mut printer = cli::Printer::new(json);
    loop {
        let last = *stopping.borrow();
        lines.mark_unchanged();
        events.mark_unchanged();
        // A reader that has gone (`vmm run | head`) does not end the system.
        while printer.print(journal, BATCH) {}
        if last {
            return;
        }
        tokio::select! {
            _ = lines.changed() => (),
            _ = events.changed() => (),
            _ = stopping.changed() => (),
        }
    }
}
