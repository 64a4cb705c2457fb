//! What the two ends of a channel tell their users.

/// The fate of a call, as its reply states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The server answered; the payload is the answer.
    Ok = 0,
    /// The server does not know the operation.
    Unknown = 1,
    /// The request does not have the form that the operation asks for.
    Malformed = 2,
    /// The server refuses this client the operation.
    Denied = 3,
    /// The server lacks memory or room for the operation or its answer.
    Exhausted = 4,
    /// The server gave the request up without an answer.
    Dropped = 5,
}

impl Status {
    /// The status with this code, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Unknown,
            2 => Self::Malformed,
            3 => Self::Denied,
            4 => Self::Exhausted,
            5 => Self::Dropped,
            _ => return None,
        })
    }
}

/// Why an IPC operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpcError {
    /// The deadline passed first.
    Timeout,
    /// The peer died with the operation in its hands. Whether it took effect is unknown.
    PeerRestarted,
    /// Server after server died with the request in its hands: it is delivered no more. Whether it
    /// took effect is unknown.
    Poisoned,
    /// The peer is stopped and will not come back by itself.
    PeerGone,
    /// There is no room in the ring now.
    Full,
    /// The message is longer than the channel carries.
    TooLarge,
    /// The peer refuses the operation.
    Denied,
    /// The peer does not know the operation, finds the request malformed, or gave it up.
    Rejected,
    /// The peer lacks the memory to carry the operation out.
    Exhausted,
    /// The peer broke the protocol.
    Protocol,
    /// There is no channel or port of this name.
    NotFound,
}

impl core::fmt::Display for IpcError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the deadline passed",
            Self::PeerRestarted => "the peer restarted with the request in its hands",
            Self::Poisoned => "server after server died of the request",
            Self::PeerGone => "the peer is stopped",
            Self::Full => "the ring is full",
            Self::TooLarge => "the message is too large for the channel",
            Self::Denied => "the peer denies the operation",
            Self::Rejected => "the peer rejects the request",
            Self::Exhausted => "the peer is out of memory",
            Self::Protocol => "the peer broke the protocol",
            Self::NotFound => "no channel or port of that name",
        })
    }
}

impl core::error::Error for IpcError {}

impl Status {
    /// The error that a caller makes of it; `None` for [`Status::Ok`].
    pub const fn error(self) -> Option<IpcError> {
        Some(match self {
            Self::Ok => return None,
            Self::Unknown | Self::Malformed | Self::Dropped => IpcError::Rejected,
            Self::Denied => IpcError::Denied,
            Self::Exhausted => IpcError::Exhausted,
        })
    }
}

impl From<crate::ring::RingError> for IpcError {
    fn from(error: crate::ring::RingError) -> Self {
        match error {
            crate::ring::RingError::Full => Self::Full,
            crate::ring::RingError::TooLarge => Self::TooLarge,
            crate::ring::RingError::Protocol => Self::Protocol,
        }
    }
}
