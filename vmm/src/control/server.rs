//! The control API's server: a thread named `control` with an event loop of its own.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::serve::IncomingStream;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tower::service_fn;

use crate::journal::Journal;

use super::claim::Claim;
use super::request::ControlHandle;
use super::routes::{Api, router};

/// How long a stopping server waits for its readers to take what is left for them.
const GRACE: Duration = Duration::from_secs(1);

/// Why the control API cannot be served.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The event loop could not be made.
    #[error("cannot start the control API: {0}; check the limits on open files and threads")]
    Start(#[from] io::Error),
}

/// A running server. Dropping it stops it in good order.
#[derive(Debug)]
pub struct Server {
    claim: Claim,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the API on a claimed socket.
    ///
    /// # Errors
    /// When its thread or event loop cannot be made.
    pub fn start(
        claim: Claim,
        nucleus: ControlHandle,
        journal: Arc<Journal>,
    ) -> Result<Self, ServerError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            UnixListener::from_std(claim.listener()?)?
        };
        let (stop, stopping) = watch::channel(false);
        let api = Api::new(nucleus, journal, stopping);
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&runtime, listener, api))?;
        Ok(Self { claim, stop, thread: Some(thread) })
    }

    /// The control socket.
    pub fn path(&self) -> &Path {
        self.claim.path()
    }

    /// Stops: followers get what is in the journal and then the end of their stream, answers on
    /// their way are completed, and the socket is removed.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        if panicked {
            log::error!("the control API's thread panicked; the system itself ran on");
        }
    }
}

fn serve(runtime: &Runtime, listener: UnixListener, api: Api) {
    let mut stopping = api.stopping();
    let mut stopped = stopping.clone();
    runtime.block_on(async move {
        let mut routes = None;
        // Describing the routes takes longer than a domain's start: it waits for somebody to ask.
        let router = service_fn(move |_: IncomingStream<'_, UnixListener>| {
            ready(Ok::<_, Infallible>(routes.get_or_insert_with(|| router(api.clone())).clone()))
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            // An error means that the server handle is gone, which is a stop as well.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        let late = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving => {
                if let Err(error) = served {
                    log::error!("the control API ended: {error}");
                }
            }
            () = late => log::debug!("some readers of the control API were cut off"),
        }
    });
}
