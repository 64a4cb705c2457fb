//! Client connections that a gateway carries to a stream port (see [`atoll_ipc::stream`]).
//!
//! A server implements [`Connection`] for its protocol; [`Connections`] keeps one for each host
//! connection and speaks with the gateway.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use atoll_ipc::stream::{Op, REPLY_HEAD, REQUEST_HEAD, ReplyHead, RequestHead};

use crate::{Message, Status, boot};

/// Most output that goes into one reply.
const OUTPUT_MAX: usize = 64 << 10;

/// One connection, in the server's protocol. `S` is what all connections share.
pub trait Connection<S> {
    /// Bytes have arrived. Carries out whole requests, in order; may stop early when much output
    /// waits. Returns how many bytes it used up.
    fn feed(&mut self, shared: &mut S, input: &[u8]) -> usize;

    /// A dead incarnation had these bytes in its hands: answers each request that begins in
    /// them with an error, and carries none out.
    fn abort(&mut self, input: &[u8]);

    /// Output that waits to be taken.
    fn output(&self) -> &[u8];

    /// The first `count` bytes of output were taken.
    fn advance(&mut self, count: usize);

    /// Whether the first part of an unfinished request is held here.
    fn mid_request(&self) -> bool;

    /// Whether the connection is to be closed once its output is taken.
    fn closing(&self) -> bool;
}

/// All connections of a stream port.
#[derive(Debug, Default)]
pub struct Connections<C> {
    open: BTreeMap<u64, C>,
    input: Vec<u8>,
    /// The incarnation that they belong to.
    epoch: u32,
}

impl<C> Connections<C> {
    /// None yet.
    pub const fn new() -> Self {
        Self { open: BTreeMap::new(), input: Vec::new(), epoch: 0 }
    }

    /// Connections that hold state here. (Idle ones that this incarnation never heard from do
    /// not.)
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Serves one message of the gateway. `open` makes the state of a connection that is new to
    /// this incarnation.
    pub fn serve<S>(
        &mut self,
        message: Message,
        shared: &mut S,
        open: impl FnOnce(&mut S, u64) -> C,
    ) where
        C: Connection<S>,
    {
        if let Some(taken) = self.take(message, shared, open) {
            self.answer::<S>(taken);
        }
    }

    /// The first half of [`serve`](Self::serve): what the client asks for is carried out, and
    /// nobody hears of it before [`answer`](Self::answer). `None` if the message needs no more.
    #[must_use = "a message that is not answered is lost for its client"]
    pub fn take<S>(
        &mut self,
        message: Message,
        shared: &mut S,
        open: impl FnOnce(&mut S, u64) -> C,
    ) -> Option<Taken>
    where
        C: Connection<S>,
    {
        self.begin();
        self.input.resize(message.len(), 0);
        message.read(0, &mut self.input);
        let (Some(op), Some(head)) =
            (Op::from_code(message.operation()), RequestHead::from_bytes(&self.input))
        else {
            message.fail(Status::Malformed);
            return None;
        };
        if op == Op::Close {
            self.open.remove(&head.connection);
            message.fail(Status::Ok);
            return None;
        }
        // What it goes on with died with an earlier incarnation.
        if head.continues && !self.open.contains_key(&head.connection) {
            message.fail(Status::Malformed);
            return None;
        }
        let connection =
            self.open.entry(head.connection).or_insert_with(|| open(shared, head.connection));
        let input = &self.input[REQUEST_HEAD..];
        let consumed = if op == Op::Abort {
            connection.abort(input);
            input.len()
        } else {
            connection.feed(shared, input)
        };
        Some(Taken { message, connection: head.connection, consumed, received: input.len() })
    }

    /// The connection of a message that was taken, if it is still there.
    pub fn of(&mut self, taken: &Taken) -> Option<&mut C> {
        self.open.get_mut(&taken.connection)
    }

    /// The second half of [`serve`](Self::serve): the client gets what its connection has to say.
    pub fn answer<S>(&mut self, taken: Taken)
    where
        C: Connection<S>,
    {
        match self.open.get_mut(&taken.connection) {
            Some(connection) => answer(taken, connection),
            // The gateway has closed it meanwhile.
            None => taken.message.fail(Status::Dropped),
        }
    }

    /// Forgets connections of an earlier incarnation, with whose memory this one began. They were
    /// another gateway's: this one gives their numbers to others.
    fn begin(&mut self) {
        let epoch = boot::epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.open.clear();
        }
    }
}

/// A message of a gateway that was carried out and is still to be answered.
#[derive(Debug)]
pub struct Taken {
    message: Message,
    connection: u64,
    consumed: usize,
    received: usize,
}

fn answer<S, C: Connection<S>>(taken: Taken, connection: &mut C) {
    let Taken { message, consumed, received, .. } = taken;
    let output = connection.output();
    let taken = output.len().min(OUTPUT_MAX).min(message.max_reply() - REPLY_HEAD);
    let all = taken == output.len();
    let head = ReplyHead {
        consumed: consumed as u32,
        more: !all || (consumed < received && !connection.closing()),
        mid_request: connection.mid_request(),
        close: all && connection.closing(),
    };
    message.reply_with(Status::Ok, REPLY_HEAD + taken, |reply| {
        reply.write(0, &head.to_bytes());
        reply.write(REPLY_HEAD, &output[..taken]);
    });
    connection.advance(taken);
}
