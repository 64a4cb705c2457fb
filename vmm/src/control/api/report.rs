//! What `inspect` shows: everything about one domain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DiskReport, DomainStatus, FaultReport};

/// Everything about one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainReport {
    /// Its line in the system's status.
    #[serde(flatten)]
    pub status: DomainStatus,
    /// Content hash of its image, in hexadecimal.
    pub image_hash: String,
    /// What it keeps when it is restarted, if the manifest gives it a state region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_region: Option<StateReport>,
    /// Why its last faulted incarnation ended.
    pub last_fault: Option<FaultReport>,
    /// Exits of its vCPUs to the VMM, by reason, over all incarnations.
    pub exits: BTreeMap<String, u64>,
    /// Channels that it is an end of.
    pub channels: Vec<ChannelReport>,
    /// Gateways that lead to it.
    pub gateways: Vec<GatewayReport>,
    /// Disks that it has.
    #[serde(default)]
    pub disks: Vec<DiskReport>,
}

/// A state region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateReport {
    /// Its size.
    pub bytes: u64,
    /// How much of it has host memory behind it.
    pub populated_bytes: u64,
}

/// Which end of a channel a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelRole {
    /// It sends requests.
    Client,
    /// It answers them.
    Server,
}

impl ChannelRole {
    /// The role's word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// One channel, seen from one of its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelReport {
    /// The client's name for it.
    pub name: String,
    /// The domain at the other end.
    pub peer: String,
    /// Which end this domain is.
    pub role: ChannelRole,
    /// The server's port.
    pub port: String,
    /// Requests sent.
    pub requests: u64,
    /// Replies that came back.
    pub replies: u64,
    /// Doorbells that this end has rung.
    pub doorbells: u64,
    /// Records from the other end that this end refused: replies to calls that nobody made, or
    /// that were answered before.
    #[serde(default)]
    pub rejected: u64,
    /// Requests that the server has not taken yet, in bytes of the ring.
    pub unread_bytes: u64,
    /// Requests that the server has taken and not answered, in bytes of the ring.
    pub in_service_bytes: u64,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayReport {
    /// Where it listens, as bound.
    pub listen: String,
    /// The domain's port that it leads to.
    pub port: String,
    /// Connections open now.
    pub connections: u64,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections turned away, because there were too many or the domain was not there.
    pub refused: u64,
    /// Requests handed to the domain.
    pub requests: u64,
    /// Connections closed because their domain went away under a request.
    pub aborted: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}
