//! Owns the replies of a session: their format, and the bytes that are not yet delivered.
//!
//! When memory runs out in the middle of a reply, the rest of it is not written, the output
//! says that it has [`failed`](Output::failed), and the session puts an error in its place.

use crate::failure::Failure;
use crate::memory::{Buffer, FREE, Pool};
use crate::number::Digits;

/// More than any reply takes beside its payload: a sign, twenty digits, line ends.
const FRAME: usize = 32;

/// Replies in the order of their requests.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Buffer,
    /// Bytes of the buffer that are delivered.
    sent: usize,
    failed: bool,
}

impl Output {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { buffer: Buffer::new(pool), sent: 0, failed: false }
    }

    /// What is not yet delivered.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer.bytes()[self.sent..]
    }

    /// Marks the first `count` pending bytes as delivered.
    pub(crate) fn advance(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.buffer.len());
        if self.sent == self.buffer.len() {
            self.sent = 0;
            self.buffer.clear();
        }
    }

    /// Drops delivered bytes once they outweigh the pending ones, so that a client who never
    /// quite catches up does not make the buffer grow.
    pub(crate) fn compact(&mut self) {
        if self.sent > FREE && self.sent * 2 >= self.buffer.len() {
            self.buffer.drop_front(self.sent);
            self.sent = 0;
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        self.buffer.pool()
    }

    /// Where the next reply begins.
    pub(crate) fn mark(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets all but the first `count` pending bytes.
    pub(crate) fn keep(&mut self, count: usize) {
        self.buffer.truncate(self.sent.saturating_add(count));
        self.failed = false;
    }

    /// Forgets what was written since `mark`, and that it failed.
    pub(crate) fn rewind(&mut self, mark: usize) {
        self.buffer.truncate(mark);
        self.failed = false;
    }

    /// Whether something could not be written.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// Asked before a change whose reply must not be lost.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.failed { Err(Failure::Memory) } else { Ok(()) }
    }

    #[inline]
    fn room(&mut self, payload: usize) -> bool {
        let room = self.buffer.reserve(payload.saturating_add(FRAME), usize::MAX);
        self.failed |= room.is_err();
        !self.failed
    }

    fn line(&mut self, kind: u8, payload: &[u8]) {
        if self.room(payload.len()) {
            self.buffer.extend(&[kind]);
            self.buffer.extend(payload);
            self.buffer.extend(b"\r\n");
        }
    }

    pub(crate) fn ok(&mut self) {
        self.line(b'+', b"OK");
    }

    pub(crate) fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error, put together from parts. What would end the line is made a blank.
    pub(crate) fn error(&mut self, parts: &[&[u8]]) {
        if !self.room(parts.iter().map(|part| part.len()).sum()) {
            return;
        }
        self.buffer.extend(b"-");
        let start = self.buffer.len();
        for part in parts {
            self.buffer.extend(part);
        }
        for byte in self.buffer.tail_mut(start) {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.buffer.extend(b"\r\n");
    }

    #[inline]
    pub(crate) fn int(&mut self, number: i64) {
        self.line(b':', Digits::new(number).as_bytes());
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.line(b':', Digits::of_length(length).as_bytes());
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.int(i64::from(flag));
    }

    #[inline]
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        if self.room(bytes.len()) {
            self.buffer.extend(b"$");
            self.buffer.extend(Digits::of_length(bytes.len()).as_bytes());
            self.buffer.extend(b"\r\n");
            self.buffer.extend(bytes);
            self.buffer.extend(b"\r\n");
        }
    }

    /// A number as a string of its digits.
    pub(crate) fn bulk_int(&mut self, number: i64) {
        self.bulk(Digits::new(number).as_bytes());
    }

    /// A bulk string, or null where there is none.
    pub(crate) fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    pub(crate) fn null(&mut self) {
        self.line(b'$', b"-1");
    }

    pub(crate) fn null_array(&mut self) {
        self.line(b'*', b"-1");
    }

    pub(crate) fn array(&mut self, count: usize) {
        self.line(b'*', Digits::of_length(count).as_bytes());
    }

    /// Puts the array's head in front of the elements written since `mark`, for arrays whose
    /// count is known only at their end.
    pub(crate) fn array_since(&mut self, mark: usize, count: usize) {
        let head = self.buffer.len();
        self.array(count);
        self.move_to(mark, head);
    }

    /// Moves what was written since `from` in front of what was written since `mark`.
    pub(crate) fn move_to(&mut self, mark: usize, from: usize) {
        if !self.failed {
            let length = self.buffer.len() - from;
            self.buffer.tail_mut(mark).rotate_right(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let mut out = Output::new(Pool::new(0));
        out.ok();
        out.int(-5);
        out.bulk(b"a\r\nb");
        out.null();
        out.null_array();
        out.error(&[b"ERR a", b"\r\nb"]);
        assert_eq!(out.pending(), b"+OK\r\n:-5\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n-ERR a  b\r\n");
    }

    #[test]
    fn an_array_counted_at_its_end() {
        let mut out = Output::new(Pool::new(0));
        out.ok();
        let mark = out.mark();
        (1..=2).for_each(|n| out.int(n));
        out.array_since(mark, 2);
        assert_eq!(out.pending(), b"+OK\r\n*2\r\n:1\r\n:2\r\n");
    }

    #[test]
    fn delivery_in_pieces_and_a_reader_that_never_catches_up() {
        let mut out = Output::new(Pool::new(1 << 20));
        for _ in 0..10_000 {
            out.compact();
            out.bulk(&[b'x'; 500]);
            let most = out.pending().len().saturating_sub(300);
            out.advance(most);
        }
        assert_eq!(out.pending().len(), 300);
        assert!(out.buffer.capacity() <= 8192);
        out.advance(usize::MAX);
        assert_eq!((out.pending().len(), out.sent), (0, 0));
        assert!(out.buffer.capacity() <= FREE);
    }

    #[test]
    fn what_does_not_fit_is_rewound() {
        let mut out = Output::new(Pool::new(0));
        out.ok();
        let mark = out.mark();
        out.bulk(&[0; 4096]);
        assert!(out.failed());
        out.rewind(mark);
        out.error(&[Failure::Memory.text().as_bytes()]);
        assert!(out.pending().starts_with(b"+OK\r\n-OOM "));
    }
}
