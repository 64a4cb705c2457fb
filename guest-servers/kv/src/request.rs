//! Owns the request format: what a whole request in a client's bytes looks like, its
//! limits, and what is said of bytes that break the protocol.
//!
//! Here a request lies whole in the input and is read in place. One that arrives in parts
//! is `partial`'s.

use alloc::vec::Vec;

use crate::failure::Failure;
use crate::number;

/// The longest key or value.
pub(crate) const BULK_LIMIT: usize = 8 << 20;
/// The most arguments in a request.
const COUNT_LIMIT: i64 = 1 << 20;
/// The longest line: a header, or a whole inline request.
pub(crate) const LINE_LIMIT: usize = 64 << 10;

/// Where an argument lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(crate) fn new(start: usize, len: usize) -> Self {
        Self { start: start as u32, len: len as u32 }
    }
}

/// A request's arguments, the command's name first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    pub(crate) fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// An argument; an empty one where there is none (the table of commands has checked
    /// the count).
    #[inline]
    pub(crate) fn get(&self, at: usize) -> &'a [u8] {
        self.spans.get(at).map_or(&[], |span| self.cut(*span))
    }

    /// The arguments from `at` on.
    pub(crate) fn from(&self, at: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let whole = *self;
        self.spans.get(at..).unwrap_or(&[]).iter().map(move |span| whole.cut(*span))
    }

    /// The arguments from `at` on, two by two.
    pub(crate) fn pairs(
        &self,
        at: usize,
    ) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let whole = *self;
        let (pairs, _) = self.spans.get(at..).unwrap_or(&[]).as_chunks::<2>();
        pairs.iter().map(move |[first, second]| (whole.cut(*first), whole.cut(*second)))
    }

    #[inline]
    fn cut(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.start as usize..][..span.len as usize]
    }
}

/// Bytes that are no request. The stream cannot be understood any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A count of arguments that is no number or too large.
    Count,
    /// The line with the count never ends.
    CountLine,
    /// A length that is no number, negative or too large.
    Length,
    /// The line with a length never ends.
    LengthLine,
    /// Another byte where a length must begin.
    NotLength(u8),
    /// An inline request that never ends.
    Inline,
    /// An inline request with a quote that is not closed.
    Quotes,
    /// No memory even for a line.
    Memory,
}

impl Violation {
    /// The text of the reply, in its parts, without the dash.
    pub(crate) fn text(&self) -> [&[u8]; 3] {
        let whole: &str = match self {
            Self::NotLength(byte) => {
                let found = core::slice::from_ref(byte);
                return [b"ERR Protocol error: expected '$', got '", found, b"'"];
            }
            Self::Count => "ERR Protocol error: invalid multibulk length",
            Self::CountLine => "ERR Protocol error: too big mbulk count string",
            Self::Length => "ERR Protocol error: invalid bulk length",
            Self::LengthLine => "ERR Protocol error: too big bulk count string",
            Self::Inline => "ERR Protocol error: too big inline request",
            Self::Quotes => "ERR Protocol error: unbalanced quotes in request",
            Self::Memory => Failure::Memory.text(),
        };
        [whole.as_bytes(), b"", b""]
    }
}

/// What a request's first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// That many arguments follow, at least one.
    Count(usize),
    /// The line is the request.
    Inline,
    /// Nothing is asked.
    Nothing,
}

/// Reads a request's first line.
pub(crate) fn head(line: &[u8]) -> Result<Head, Violation> {
    match line {
        [b'*', count @ ..] => match number::parse(count) {
            Some(count) if count > COUNT_LIMIT => Err(Violation::Count),
            Some(count) if count > 0 => Ok(Head::Count(count as usize)),
            Some(_) => Ok(Head::Nothing),
            None => Err(Violation::Count),
        },
        line if line.iter().all(u8::is_ascii_whitespace) => Ok(Head::Nothing),
        _ => Ok(Head::Inline),
    }
}

/// Reads the line before an argument: its length.
#[inline]
pub(crate) fn length(line: &[u8]) -> Result<usize, Violation> {
    match line {
        [b'$', digits @ ..] => number::parse(digits)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= BULK_LIMIT)
            .ok_or(Violation::Length),
        // An empty line: the byte that Redis finds here is the line's end.
        other => Err(Violation::NotLength(other.first().copied().unwrap_or(b'\r'))),
    }
}

/// Which violation a line is that began with `first` and has not ended within the limit.
pub(crate) fn endless(first: Option<u8>, is_head: bool) -> Violation {
    match (is_head, first) {
        (true, Some(b'*')) => Violation::CountLine,
        (true, _) => Violation::Inline,
        (false, _) => Violation::LengthLine,
    }
}

/// A line without its end.
pub(crate) fn strip(line: &[u8]) -> &[u8] {
    match line {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => line,
        line => line,
    }
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A whole request of `used` bytes, its arguments' spans written down.
    Request { used: usize },
    /// A whole inline request: a line of `used` bytes.
    Inline { used: usize },
    /// Nothing that wants a reply.
    Nothing { used: usize },
    /// The first part of a request, or one that needs the care of `Partial`.
    Unfinished,
    /// No request.
    Bad(Violation),
}

/// Reads one request at the beginning of `input`.
pub(crate) fn parse(input: &[u8], spans: &mut Vec<Span>) -> Parsed {
    parse_lines(input, spans).unwrap_or_else(|stop| stop)
}

fn parse_lines(input: &[u8], spans: &mut Vec<Span>) -> Result<Parsed, Parsed> {
    let (line, mut used) = next_line(input, 0, true)?;
    let count = match head(line).map_err(Parsed::Bad)? {
        Head::Count(count) => count,
        Head::Inline => return Ok(Parsed::Inline { used }),
        Head::Nothing => return Ok(Parsed::Nothing { used }),
    };
    spans.clear();
    for _ in 0..count {
        let (line, start) = next_line(input, used, false)?;
        let length = length(line).map_err(Parsed::Bad)?;
        used = start + length + 2;
        if used > input.len() {
            return Err(Parsed::Unfinished);
        }
        spans.try_reserve(1).map_err(|_| Parsed::Unfinished)?;
        spans.push(Span::new(start, length));
    }
    Ok(Parsed::Request { used })
}

/// The line that begins at `from`, and where the next one begins.
#[inline]
fn next_line(input: &[u8], from: usize, is_head: bool) -> Result<(&[u8], usize), Parsed> {
    let rest = &input[from..];
    let window = &rest[..rest.len().min(LINE_LIMIT)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok((strip(&rest[..=end]), from + end + 1)),
        None if rest.len() >= LINE_LIMIT => {
            Err(Parsed::Bad(endless(rest.first().copied(), is_head)))
        }
        None => Err(Parsed::Unfinished),
    }
}
