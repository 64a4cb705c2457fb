//! What a benchmark asks of a system's control API: orders, events, counters.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use crate::bench::atoll::AtollError;
use crate::control::api::DomainReport;
use crate::control::{Client, ClientError};
use crate::journal::Event;

/// A system's control API.
#[derive(Debug)]
pub(in crate::bench) struct Control {
    runtime: Runtime,
    client: Client,
    /// The last event that was read.
    seen: u64,
}

impl Control {
    /// The API behind this socket.
    pub(in crate::bench) fn at(socket: &Path) -> Result<Self, AtollError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| AtollError::Host { what: "an event loop", cause })?;
        Ok(Self { runtime, client: Client::new(socket, None), seen: 0 })
    }

    /// Ends a domain's incarnation as a crash does.
    pub(in crate::bench) fn kill(&self, domain: &str) -> Result<(), AtollError> {
        self.talk(self.client.post(&format!("/v1/domains/{domain}/kill")))
    }

    /// The same, unless the domain is between two incarnations; whether it was ended.
    pub(in crate::bench) fn kill_if_it_runs(&self, domain: &str) -> Result<bool, AtollError> {
        match self.runtime.block_on(self.client.post(&format!("/v1/domains/{domain}/kill"))) {
            Ok(()) => Ok(true),
            Err(ClientError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Exits of a domain so far, by reason.
    pub(in crate::bench) fn exits(
        &self,
        domain: &str,
    ) -> Result<BTreeMap<String, u64>, AtollError> {
        let target = format!("/v1/domains/{domain}");
        let report: DomainReport = self.talk(self.client.get(&target))?;
        Ok(report.exits)
    }

    /// Events since it was last asked.
    pub(in crate::bench) fn events(&mut self) -> Result<Vec<Event>, AtollError> {
        let target = format!("/v1/events?since={}", self.seen);
        let mut events: Vec<Event> = Vec::new();
        self.talk(self.client.stream(&target, |event| {
            events.push(event);
            ControlFlow::<()>::Continue(())
        }))?;
        self.seen = events.last().map_or(self.seen, |event| event.seq);
        Ok(events)
    }

    fn talk<T>(&self, talk: impl Future<Output = Result<T, ClientError>>) -> Result<T, AtollError> {
        Ok(self.runtime.block_on(talk)?)
    }
}
