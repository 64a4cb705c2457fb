//! Calling: the client's end of a channel.

use alloc::vec;
use alloc::vec::Vec;

use atoll_ipc::channel::{Mapped, Role};
use atoll_ipc::client::{Client, ClientEvent, Ticket};
use atoll_ipc::message::IpcError;
use atoll_ipc::record::Kind;

use super::endpoints::{Endpoint, Endpoints, Kicks, with};
use super::wait::{ring, wait};
use crate::boot;
use crate::clock::Instant;

/// A channel that this domain is the client of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel(usize);

/// A call's reply.
#[derive(Debug)]
pub struct Reply {
    payload: Vec<u8>,
}

impl Reply {
    /// The answer.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The answer, taken.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

impl Channel {
    /// The channel that the manifest gives this domain under a name.
    ///
    /// # Errors
    /// [`IpcError::NotFound`] if it gives none.
    pub fn open(name: &str) -> Result<Self, IpcError> {
        let mut entries = boot::channels().iter();
        entries
            .position(|entry| entry.role() == Role::Client && entry.name.as_str() == name)
            .map(Self)
            .ok_or(IpcError::NotFound)
    }

    /// Sends a request and waits for its reply (QNX `MsgSend`, L4 call).
    ///
    /// # Errors
    /// [`IpcError::PeerRestarted`] if the server died with the request in its hands; a request
    /// that it had not taken yet is served by its next incarnation. [`IpcError::Timeout`] if the
    /// deadline passes first; the request may still be carried out. The others as they say.
    pub fn call(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Reply, IpcError> {
        let ticket = self.publish(Kind::Call, operation, payload, deadline)?;
        let fate = wait(deadline, |endpoints| self.fate(endpoints, ticket).transpose());
        fate.unwrap_or(Err(IpcError::Timeout))
    }

    /// Sends a request that has no reply (CHORUS `ipcSend`). It waits only for room.
    ///
    /// # Errors
    /// [`IpcError::Timeout`] if there is no room until the deadline, and as they say.
    pub fn send(
        self,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), IpcError> {
        self.publish(Kind::Send, operation, payload, deadline).map(drop)
    }

    /// Raises notification bits at the server; bits that it has not collected yet coalesce (seL4
    /// notification, QNX pulse).
    pub fn notify(self, bits: u64) {
        ring(with(|endpoints| {
            self.client(endpoints).notify(bits);
            endpoints.published()
        }));
    }

    /// Notification bits that the server has raised since last asked.
    pub fn notifications(self) -> u64 {
        with(|endpoints| self.client(endpoints).collect_notifications())
    }

    /// Which incarnation of the server is known to serve this channel.
    pub fn server_epoch(self) -> u32 {
        with(|endpoints| self.client(endpoints).server_epoch())
    }

    fn client(self, endpoints: &mut Endpoints) -> &mut Client<Mapped<'static>> {
        match &mut endpoints.all[self.0] {
            Endpoint::Client(client) => client,
            Endpoint::Server(_) => unreachable!("channels are opened on clients' ends only"),
        }
    }

    fn publish(
        self,
        kind: Kind,
        operation: u16,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Ticket, IpcError> {
        let sent = wait(deadline, |endpoints| {
            let client = self.client(endpoints);
            let sent =
                client.request(kind, operation, payload.len(), |request| request.write(0, payload));
            if sent == Err(IpcError::Full) {
                client.declare_starved();
                return None;
            }
            Some(sent)
        });
        let ticket = sent.unwrap_or(Err(IpcError::Timeout))?;
        ring(with(Endpoints::published));
        Ok(ticket)
    }

    /// What has become of a call: its reply, or `None` while it is open.
    fn fate(self, endpoints: &mut Endpoints, ticket: Ticket) -> Result<Option<Reply>, IpcError> {
        let client = self.client(endpoints);
        loop {
            match client.poll()? {
                Some(ClientEvent::Reply(reply)) => {
                    // One to a call that ran into its deadline is for nobody.
                    let payload = (reply.token == ticket.token()).then(|| {
                        let mut payload = vec![0; reply.len()];
                        client.read(&reply, 0, &mut payload);
                        payload
                    });
                    if client.release(&reply) {
                        ring(only(self.0));
                    }
                    if let Some(payload) = payload {
                        return reply.status.error().map_or(Ok(Some(Reply { payload })), Err);
                    }
                }
                Some(ClientEvent::Restarted { resume }) if ticket.was_taken(resume) => {
                    return Err(IpcError::PeerRestarted);
                }
                Some(ClientEvent::Restarted { .. }) => (),
                None if client.server_is_gone() => return Err(IpcError::PeerGone),
                None => return Ok(None),
            }
        }
    }
}

/// One doorbell.
fn only(channel: usize) -> Kicks {
    let mut kicks = [0; 4];
    kicks[channel / 64] = 1 << (channel % 64);
    kicks
}
