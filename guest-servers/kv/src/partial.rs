//! Owns a request that arrives in parts: keeps what is needed of it, looks at each byte
//! once, and knows how much is still to come.
//!
//! Kept are the arguments alone, each behind its length. When there is no memory for them,
//! the rest of the request is read past, so that the stream stays in step and the client
//! gets an error in the request's place.

use alloc::vec::Vec;

use crate::failure::Failure;
use crate::memory::{Buffer, Pool};
use crate::request::{self, Head, LINE_LIMIT, Span, Violation};

/// Bytes of an argument's length, in front of it.
const PREFIX: usize = 4;

/// An argument shorter than this is not worth a buffer of exactly its size.
const LARGE: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// In a line, which is kept from `start` on.
    Line { start: u32 },
    /// In an argument: bytes still to come, with the two that end it.
    Bulk { left: u32 },
}

/// Where a request stands after more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come.
    More,
    /// It is whole.
    Request,
    /// It is whole: an inline request.
    Inline,
    /// It was nothing that wants a reply.
    Nothing,
    /// It is no request.
    Bad(Violation),
}

/// The first part of a request.
#[derive(Debug)]
pub(crate) struct Partial {
    kept: Buffer,
    stage: Stage,
    /// Arguments still to come, the present one included; 0 while in the first line.
    awaited: u32,
    discarding: bool,
}

impl Partial {
    /// A request of which nothing has come yet.
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            kept: Buffer::new(pool),
            stage: Stage::Line { start: 0 },
            awaited: 0,
            discarding: false,
        }
    }

    /// Keeps nothing of the request from here on but its place in the stream.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        match &mut self.stage {
            Stage::Bulk { .. } => self.kept.clear(),
            Stage::Line { start } => {
                let line = &self.kept.bytes()[*start as usize..];
                let mut fresh = Buffer::new(self.kept.pool());
                if fresh.reserve(line.len(), usize::MAX).is_ok() {
                    fresh.extend(line);
                    self.kept = fresh;
                } else {
                    // The line is needed to stay in step; it may lie where it is.
                    self.kept.drop_front(*start as usize);
                }
                *start = 0;
            }
        }
    }

    /// Whether the request was too much to keep.
    pub(crate) fn is_discarded(&self) -> bool {
        self.discarding
    }

    /// Whether nothing of the request has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.stage, Stage::Line { start: 0 }) && self.awaited == 0 && self.kept.len() == 0
    }

    /// Begins again with another request, of which nothing has come yet.
    pub(crate) fn restart(&mut self) {
        self.kept.clear();
        self.stage = Stage::Line { start: 0 };
        self.awaited = 0;
    }

    /// Takes what belongs to the request from the front of `input`: how many bytes that
    /// were, and where the request stands then.
    pub(crate) fn push(&mut self, input: &[u8]) -> (usize, Progress) {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let (taken, progress) = match self.stage {
                Stage::Line { start } => self.push_line(start as usize, rest),
                Stage::Bulk { left } => self.push_bulk(left as usize, rest),
            };
            used += taken;
            if progress != Progress::More {
                return (used, progress);
            }
        }
        (used, Progress::More)
    }

    fn push_line(&mut self, start: usize, input: &[u8]) -> (usize, Progress) {
        let is_head = self.awaited == 0;
        let room = LINE_LIMIT - (self.kept.len() - start);
        let window = &input[..input.len().min(room)];
        let end = window.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(window.len(), |end| end + 1);
        if self.keep(&window[..taken], usize::MAX).is_err() {
            self.discard();
            if self.keep(&window[..taken], usize::MAX).is_err() {
                return (taken, Progress::Bad(Violation::Memory));
            }
        }
        let start = match self.stage {
            Stage::Line { start } => start as usize,
            Stage::Bulk { .. } => start,
        };
        let progress = if end.is_some() {
            self.line(start, is_head).unwrap_or_else(Progress::Bad)
        } else if self.kept.len() - start >= LINE_LIMIT {
            Progress::Bad(request::endless(self.kept.bytes().get(start).copied(), is_head))
        } else {
            Progress::More
        };
        (taken, progress)
    }

    /// Acts on a whole line.
    fn line(&mut self, start: usize, is_head: bool) -> Result<Progress, Violation> {
        let line = request::strip(&self.kept.bytes()[start..]);
        if is_head {
            return Ok(match request::head(line)? {
                Head::Count(count) => {
                    self.awaited = count as u32;
                    self.kept.truncate(start);
                    Progress::More
                }
                Head::Inline => Progress::Inline,
                Head::Nothing => Progress::Nothing,
            });
        }
        let length = request::length(line)?;
        self.kept.truncate(start);
        self.stage = Stage::Bulk { left: length as u32 + 2 };
        let prefix = (length as u32).to_le_bytes();
        if !self.discarding && self.keep(&prefix, usize::MAX).is_err() {
            self.discard();
        }
        Ok(Progress::More)
    }

    fn push_bulk(&mut self, left: usize, input: &[u8]) -> (usize, Progress) {
        let taken = input.len().min(left);
        let payload = &input[..taken.min(left.saturating_sub(2))];
        if !self.discarding && !payload.is_empty() {
            let end = self.kept.len() + left - 2;
            let most = if left >= LARGE { end } else { usize::MAX };
            if self.keep(payload, most).is_err() {
                self.discard();
            }
        }
        let left = left - taken;
        self.stage = Stage::Bulk { left: left as u32 };
        if left > 0 {
            return (taken, Progress::More);
        }
        self.stage = Stage::Line { start: self.kept.len() as u32 };
        self.awaited -= 1;
        (taken, if self.awaited == 0 { Progress::Request } else { Progress::More })
    }

    fn keep(&mut self, bytes: &[u8], most: usize) -> Result<(), Failure> {
        // Spans count in 32 bits.
        if self.kept.len() + bytes.len() > u32::MAX as usize {
            return Err(Failure::Memory);
        }
        self.kept.reserve(bytes.len(), most)?;
        self.kept.extend(bytes);
        Ok(())
    }

    /// The arguments' places in [`bytes`](Self::bytes), once the request is whole.
    pub(crate) fn spans(&self, spans: &mut Vec<Span>) -> Result<(), Failure> {
        spans.clear();
        let bytes = self.kept.bytes();
        let mut at = 0;
        while let Some(prefix) = bytes.get(at..).and_then(|rest| rest.first_chunk::<PREFIX>()) {
            let length = u32::from_le_bytes(*prefix) as usize;
            spans.try_reserve(1)?;
            spans.push(Span::new(at + PREFIX, length));
            at += PREFIX + length;
        }
        Ok(())
    }

    /// What is kept: arguments, or the line of an inline request.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.kept.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Args;

    #[test]
    fn a_request_byte_by_byte() {
        let mut partial = Partial::new(Pool::new(0));
        let request = b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\r\nb\n\r\n";
        for (at, byte) in request.iter().enumerate() {
            let (used, progress) = partial.push(&[*byte]);
            let last = at + 1 == request.len();
            assert_eq!(used, 1);
            assert_eq!(progress, if last { Progress::Request } else { Progress::More });
        }
        let mut spans = Vec::new();
        partial.spans(&mut spans).unwrap();
        let args: Vec<&[u8]> = Args::new(partial.bytes(), &spans).from(0).collect();
        assert_eq!(args, [&b"SET"[..], b"", b"a\r\nb\n"]);
    }

    #[test]
    fn takes_no_byte_of_the_next_request() {
        let mut partial = Partial::new(Pool::new(0));
        assert_eq!(partial.push(b"*1\r\n$4\r\nPI"), (10, Progress::More));
        assert_eq!(partial.push(b"NG\r\n*1\r\n"), (4, Progress::Request));
    }

    #[test]
    fn an_announced_length_alone_takes_no_memory() {
        let pool = Pool::new(20 << 20);
        let mut partial = Partial::new(pool.clone());
        partial.push(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n");
        assert_eq!(pool.left(), 20 << 20);
        partial.push(&[b'v'; 100_000]);
        assert!((20 << 20) - pool.left() < 200_000);
        // When all has come, no more is held than was announced.
        for _ in 0..82 {
            partial.push(&[b'v'; 100_000]);
        }
        assert!((20 << 20) - pool.left() < (8 << 20) + 100);
    }

    #[test]
    fn without_memory_the_request_is_read_past() {
        let mut partial = Partial::new(Pool::new(0));
        partial.push(b"*2\r\n$5000\r\n");
        partial.push(&[b'v'; 2_000]);
        assert!(partial.is_discarded());
        let mut rest = std::vec![b'v'; 3_000];
        rest.extend_from_slice(b"\r\n$1\r\nx\r\n+");
        assert_eq!(partial.push(&rest), (rest.len() - 1, Progress::Request));
    }

    #[test]
    fn lines_end_or_are_refused() {
        for (start, violation) in [
            (&b"GET"[..], Violation::Inline),
            (b"*", Violation::CountLine),
            (b"*1\r\n$", Violation::LengthLine),
        ] {
            let mut partial = Partial::new(Pool::new(1 << 20));
            partial.push(start);
            let (_, progress) = partial.push(&[b'1'; LINE_LIMIT]);
            assert_eq!(progress, Progress::Bad(violation));
        }
    }
}
