//! A thread that has made a vCPU before it is known whose that will be, and is told then what to do with
//! it: only one thread ever runs a vCPU, and to begin one takes time.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use super::MachineError;
use super::threads;
use super::vcpu::Blank;

/// What it is told to do.
pub type Errand = Box<dyn FnOnce(Result<Blank, MachineError>) + Send>;

/// The thread. It ends if this is dropped.
pub struct Attendant {
    errand: mpsc::Sender<Errand>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Attendant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendant").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Attendant {
    /// Begins one, on another processor if there is one. Without anything made, it ends.
    ///
    /// # Errors
    /// If the host gives it no thread.
    pub(super) fn begin(
        make: impl FnOnce() -> Option<Result<Blank, MachineError>> + Send + 'static,
    ) -> io::Result<Self> {
        let (errand, errands) = mpsc::channel::<Errand>();
        let thread = Builder::new().name("kvm".to_owned()).spawn(move || {
            if let Some(made) = make()
                && let Ok(errand) = errands.recv()
            {
                errand(made);
            }
        })?;
        threads::begin_elsewhere(&thread);
        Ok(Self { errand, thread })
    }

    /// Sends it on its errand. It ends when that is done.
    pub fn send(self, errand: Errand) -> JoinHandle<()> {
        // A thread that has ended already says so when it is joined.
        let _ = self.errand.send(errand);
        self.thread
    }
}
