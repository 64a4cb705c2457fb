//! Byte streams over messages: what a gateway and a *stream port* say to each other.
//!
//! A gateway carries host connections (TCP, Unix sockets) to a server without knowing the
//! protocol that is spoken on them. It numbers the connections and sends at most **one request
//! at a time for each**; the server answers with how much it consumed, what it has to say, and
//! where the connection stands.
//!
//! That one-at-a-time rule is what gives each connection a definite fate when the server dies:
//!
//! | the connection was | what the gateway does |
//! |---|---|
//! | idle: no request out, last reply at a boundary | nothing; the next incarnation serves it |
//! | in a request that began at a boundary | sends the same bytes to the next incarnation as [`Op::Abort`]: it answers each request in them with an error |
//! | in a request or a reply that an earlier message began | closes it |
//! | in an `Abort` (the server died again) | aborts once more, as an abort carries nothing out; after a few times the bytes themselves are suspect, and it closes it |
//!
//! Requests begin with a [`RequestHead`], replies with a [`ReplyHead`]; stream bytes follow.

/// Bytes of a [`RequestHead`] on the wire.
pub const REQUEST_HEAD: usize = 8;
/// Bytes of a [`ReplyHead`] on the wire.
pub const REPLY_HEAD: usize = 8;

/// What a gateway asks of a stream port; travels as the record's operation code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// Bytes arrived on the connection.
    Data = 1,
    /// The output so far has been delivered; go on with what is left.
    Pull = 2,
    /// These bytes were in the hands of an incarnation that died: answer each request that
    /// *begins* in them with an error, execute none, forget the rest.
    Abort = 3,
    /// The connection is gone; forget it. Sent one-way: there is no reply.
    Close = 4,
}

impl Op {
    /// The operation with this code, if there is one.
    pub fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Data,
            2 => Self::Pull,
            3 => Self::Abort,
            4 => Self::Close,
            _ => return None,
        })
    }
}

/// The start of each request to a stream port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Which connection; never reused while a system runs. Below 2^63.
    pub connection: u64,
    /// It goes on with a request or a reply that an earlier message began. An incarnation that
    /// does not know the connection must refuse it: it cannot know what the bytes mean.
    pub continues: bool,
}

impl RequestHead {
    /// As bytes on the wire.
    pub fn to_bytes(self) -> [u8; REQUEST_HEAD] {
        (self.connection << 1 | u64::from(self.continues)).to_le_bytes()
    }

    /// From the first bytes of a request; `None` if there are too few.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<REQUEST_HEAD>()?;
        let word = u64::from_le_bytes(*head);
        Some(Self { connection: word >> 1, continues: word & 1 != 0 })
    }
}

/// Where a connection stands after a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyHead {
    /// How many of the request's stream bytes were used; the gateway keeps the others and sends
    /// them again, with what arrived since.
    pub consumed: u32,
    /// The server has more to say: send [`Op::Pull`] once this output is delivered.
    pub more: bool,
    /// Bytes of an unfinished request were consumed: the server holds its first part.
    pub mid_request: bool,
    /// Close the connection once this output is delivered.
    pub close: bool,
}

impl ReplyHead {
    const MORE: u32 = 1;
    const MID_REQUEST: u32 = 2;
    const CLOSE: u32 = 4;

    /// As bytes on the wire.
    pub fn to_bytes(self) -> [u8; REPLY_HEAD] {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        let flags = flag(self.more, Self::MORE)
            | flag(self.mid_request, Self::MID_REQUEST)
            | flag(self.close, Self::CLOSE);
        let mut bytes = [0; REPLY_HEAD];
        bytes[..4].copy_from_slice(&self.consumed.to_le_bytes());
        bytes[4..].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    /// From the first bytes of a reply; `None` if there are too few or a flag is unknown.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<REPLY_HEAD>()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let flags = word(4);
        if flags & !(Self::MORE | Self::MID_REQUEST | Self::CLOSE) != 0 {
            return None;
        }
        Some(Self {
            consumed: word(0),
            more: flags & Self::MORE != 0,
            mid_request: flags & Self::MID_REQUEST != 0,
            close: flags & Self::CLOSE != 0,
        })
    }
}

#[cfg(test)]
mod tests;
