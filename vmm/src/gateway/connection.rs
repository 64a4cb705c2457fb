//! One client connection: its bytes in both directions, and where it stands with the server.
//!
//! Pure but for its socket: it decides what is to be asked of the server next and what becomes of
//! it when the server dies; the gateway does the asking.

use std::io;

use atoll_ipc::client::Ticket;
use atoll_ipc::stream::{Op, ReplyHead};

use super::listener::Stream;

/// Most bytes of input that one request carries, and that are held for a connection.
pub const INPUT_MAX: usize = 64 << 10;
/// An idle connection keeps no larger buffers than this.
const IDLE_BUFFER: usize = 4 << 10;

/// How often the same bytes are given up with an abort. An abort carries nothing out, so it may
/// be repeated; but if incarnation after incarnation dies of one, the bytes are to blame.
const ABORTS_MAX: u32 = 8;

/// What the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The operation.
    pub op: Op,
    /// Whether it goes on with a request, or a reply, that the server has begun.
    pub continues: bool,
    /// Bytes of input that go with it, from the front.
    pub bytes: usize,
}

/// What is to be done with a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait: for the server, or for the socket.
    Wait,
    /// Ask the server this.
    Ask(Ask),
    /// Close it.
    Close,
}

/// What all connections of a gateway share while they move bytes.
#[derive(Debug)]
pub struct Traffic {
    /// Where reads go first, so that connections hold no more than they received.
    scratch: Vec<u8>,
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { scratch: vec![0; INPUT_MAX], received: 0, sent: 0 }
    }
}

/// A request that the server has.
#[derive(Clone, Copy, Debug)]
struct Asked {
    ticket: Ticket,
    ask: Ask,
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number; never used again.
    pub id: u64,
    /// Its socket.
    pub stream: Stream,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    readable: bool,
    writable: bool,
    asked: Option<Asked>,
    /// An ask that found no room in the ring.
    stalled: bool,
    /// What the server said last.
    standing: ReplyHead,
    /// The server holds something of this connection.
    known: bool,
    /// An ask other than the next input's: what a dead incarnation had.
    abort: Option<usize>,
    /// How often these bytes were aborted without an answer.
    aborts: u32,
    /// The client has said that it sends no more; some of what it sent may not be read yet.
    finished: bool,
    /// All that the client will ever send was read.
    ended: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(id: u64, stream: Stream) -> Self {
        Self {
            id,
            stream,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            readable: true,
            writable: true,
            asked: None,
            stalled: false,
            standing: ReplyHead::default(),
            known: false,
            abort: None,
            aborts: 0,
            finished: false,
            ended: false,
        }
    }

    /// The socket may have bytes, or room.
    pub fn socket_ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// The client says that it sends no more. The socket says so once, maybe together with the
    /// last bytes, and long before they are read.
    pub fn client_finished(&mut self) {
        self.finished = true;
    }

    /// Whether the server must be told when the connection closes.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// The token of the answer that it waits for.
    pub fn awaited(&self) -> Option<u32> {
        self.asked.map(|asked| asked.ticket.token())
    }

    /// Input that was not consumed yet.
    pub fn input(&self) -> &[u8] {
        &self.input
    }

    /// Moves bytes as far as the socket allows, and says what to do then.
    pub fn advance(&mut self, traffic: &mut Traffic) -> Next {
        match self.try_advance(traffic) {
            Ok(next) => next,
            // The client is gone; there is nobody to tell.
            Err(_) => Next::Close,
        }
    }

    fn try_advance(&mut self, traffic: &mut Traffic) -> io::Result<Next> {
        // A client that does not read gets no more answers, and so sends no more requests:
        // what it can make the VMM hold is bounded.
        if !self.flush(&mut traffic.sent)? || self.asked.is_some() {
            return Ok(Next::Wait);
        }
        if self.standing.close {
            return Ok(Next::Close);
        }
        if let Some(bytes) = self.abort {
            return Ok(Next::Ask(Ask { op: Op::Abort, continues: false, bytes }));
        }
        if !self.standing.more {
            let before = self.input.len();
            self.fill(traffic)?;
            // Input that the server left, because it needs more: new bytes or none.
            if self.input.len() == before && !self.stalled {
                return Ok(if self.ended || before >= INPUT_MAX {
                    Next::Close
                } else {
                    Next::Wait
                });
            }
        }
        let continues = self.standing.more || self.standing.mid_request;
        let op = if self.input.is_empty() { Op::Pull } else { Op::Data };
        Ok(Next::Ask(Ask { op, continues, bytes: self.input.len() }))
    }

    /// The server has the request.
    pub fn was_asked(&mut self, ticket: Ticket, ask: Ask) {
        self.asked = Some(Asked { ticket, ask });
        self.stalled = false;
        self.known = true;
        self.abort = None;
    }

    /// There was no room for the request; it will be asked again.
    pub fn was_stalled(&mut self) {
        self.stalled = true;
    }

    /// The server answered. Output goes to [`Connection::output`] first.
    ///
    /// Returns `false` if the answer makes no sense.
    #[must_use]
    pub fn was_answered(&mut self, head: ReplyHead) -> bool {
        let Some(Asked { ask, .. }) = self.asked.take() else { return false };
        let consumed = head.consumed as usize;
        if consumed > ask.bytes {
            return false;
        }
        self.input.drain(..consumed);
        if self.input.is_empty() && self.input.capacity() > IDLE_BUFFER {
            self.input = Vec::new();
        }
        self.standing = head;
        self.aborts = 0;
        // Asking again must lead on: output to deliver, or input consumed.
        !head.more || consumed > 0 || self.output.len() > self.written
    }

    /// Where the server's output is put.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The server died, and a new incarnation goes on at `resume` in its request ring. Returns
    /// `false` if the connection must be closed.
    #[must_use]
    pub fn server_restarted(&mut self, resume: u64) -> bool {
        let in_the_middle = self.standing.mid_request || self.standing.more;
        match self.asked {
            // Not taken: it is still in the ring, and the next incarnation serves it as if
            // nothing had happened; unless it goes on with something that died.
            Some(asked) if !asked.ticket.was_taken(resume) => !in_the_middle,
            Some(_) if in_the_middle => false,
            Some(asked) => {
                self.asked = None;
                self.known = false;
                self.abort = Some(asked.ask.bytes);
                self.aborts += 1;
                self.aborts <= ABORTS_MAX
            }
            None => {
                self.known = false;
                !in_the_middle
            }
        }
    }

    /// Writes output. Returns whether all of it is written.
    fn flush(&mut self, sent: &mut u64) -> io::Result<bool> {
        while self.written < self.output.len() {
            if !self.writable {
                return Ok(false);
            }
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    *sent += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        self.written = 0;
        self.output.clear();
        if self.output.capacity() > IDLE_BUFFER {
            self.output = Vec::new();
        }
        Ok(true)
    }

    /// Reads input, up to [`INPUT_MAX`].
    fn fill(&mut self, traffic: &mut Traffic) -> io::Result<()> {
        while self.readable && !self.ended && self.input.len() < INPUT_MAX {
            let room = INPUT_MAX - self.input.len();
            match self.stream.read(&mut traffic.scratch[..room]) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    traffic.received += count as u64;
                    self.input.extend_from_slice(&traffic.scratch[..count]);
                    // Less than was asked for: the socket is empty, and will say when it is not.
                    // Of its end it has spoken already.
                    self.readable = count == room || self.finished;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
