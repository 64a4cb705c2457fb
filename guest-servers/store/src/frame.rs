//! Owns the form of frames: what one write appends to the log.
//!
//! A frame begins at a unit, and covers whole ones. Its head:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 8 | XXH3 (64 bits, seeded with the store's key) of the head from offset 16 on |
//! | 16 | 8 | the same of the body |
//! | 24 | 8 | sequence number |
//! | 32 | 8 | position |
//! | 40 | 8 | span: bytes to the next frame |
//! | 48 | 8 | bytes of the body, which follows the head; 0 if the frame only fills room |
//! | 56 | 8 | sequence number of the next frame |
//!
//! Sequence number and position make sure that what the area holds of an earlier lap is not taken
//! for a part of the log; the key, that no client can have a value taken for a frame.
//!
//! The body is sections, back to back:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | [`Kind`] |
//! | 1 | 1 | bytes of the client's name |
//! | 2 | 2 | zero |
//! | 4 | 4 | bytes of the records |
//! | 8 | 8 | the number of the client's last batch |
//! | 16 | | the name, then the [records](crate::record) |

use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::layout::{UNIT, units};

/// How a frame begins.
pub const MAGIC: [u8; 8] = *b"atollog\x01";

/// Bytes of a frame's head.
pub const HEAD: usize = 64;

/// Bytes of a section before its client's name.
pub const SECTION: usize = 16;

/// Most bytes of a client's name.
pub const CLIENT_MAX: usize = 255;

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its sequence number.
    pub sequence: u64,
    /// Where in the log it is.
    pub position: u64,
    /// Bytes to the next frame.
    pub span: u64,
    /// Bytes of its body.
    pub length: u64,
    /// The sequence number of the next frame.
    pub next: u64,
    body_check: u64,
}

impl Head {
    /// The head that `unit` begins with, if it is one of this store.
    pub fn read(key: u64, unit: &[u8]) -> Option<Self> {
        let head = unit.first_chunk::<HEAD>()?;
        let words = head.as_chunks().0;
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        if head[..8] != MAGIC || word(1) != xxh3_64_with_seed(&head[16..], key) {
            return None;
        }
        let [body_check, sequence, position, span, length, next] = [2, 3, 4, 5, 6, 7].map(word);
        let sound = span > 0 && span.is_multiple_of(UNIT) && length <= span - HEAD as u64;
        sound.then_some(Self { sequence, position, span, length, next, body_check })
    }

    /// The body, if it is the one that was written. `frame` is all of the frame.
    pub fn body<'a>(&self, key: u64, frame: &'a [u8]) -> Option<&'a [u8]> {
        let body = frame.get(HEAD..HEAD + self.length as usize)?;
        (xxh3_64_with_seed(body, key) == self.body_check).then_some(body)
    }

    /// Bytes that must be read of the frame.
    pub const fn extent(&self) -> u64 {
        units(HEAD as u64 + self.length)
    }
}

/// What a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A batch of its client.
    Batch = 1,
    /// Whole chains that were moved; or nothing, to keep the number of the last batch.
    Moved = 2,
    /// A part of a chain that is too long for one frame: its beginning if it begins with a base.
    Part = 3,
    /// The last part: now the parts are the chain.
    Last = 4,
}

impl Kind {
    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Batch,
            2 => Self::Moved,
            3 => Self::Part,
            4 => Self::Last,
            _ => return None,
        })
    }
}

/// A section of a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub client: &'a str,
    /// The client's last batch.
    pub number: u64,
    /// The records.
    pub records: &'a [u8],
    /// Where they begin in the frame.
    pub offset: usize,
    /// Whether it is the frame's first section.
    pub is_first: bool,
}

/// The sections of a body; ends early, with `None`, where there is no whole one.
pub fn sections(body: &[u8]) -> impl Iterator<Item = Option<Section<'_>>> {
    let mut offset = 0;
    core::iter::from_fn(move || {
        if offset >= body.len() {
            return None;
        }
        let section = section(body, offset);
        offset = match &section {
            Some(section) => section.offset - HEAD + section.records.len(),
            None => body.len(),
        };
        Some(section)
    })
}

fn section(body: &[u8], offset: usize) -> Option<Section<'_>> {
    let (head, rest) = body[offset..].split_first_chunk::<SECTION>()?;
    let [kind, name, _, _, length @ ..] = head.first_chunk::<8>()?;
    let number = u64::from_le_bytes(*head.last_chunk()?);
    let (client, rest) = rest.split_at_checked(usize::from(*name))?;
    let records = rest.get(..u32::from_le_bytes(*length) as usize)?;
    Some(Section {
        kind: Kind::from_code(*kind)?,
        client: str::from_utf8(client).ok()?,
        number,
        records,
        offset: HEAD + offset + SECTION + client.len(),
        is_first: offset == 0,
    })
}

/// A frame in the making.
#[derive(Debug, Default)]
pub struct Draft {
    /// Head and body; nothing before the first section is begun.
    bytes: Vec<u8>,
    /// Where the section that is being written begins.
    section: usize,
}

impl Draft {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() <= HEAD
    }

    /// Its bytes, were it written now and with so many more.
    pub fn span_with(&self, more: usize) -> u64 {
        units((self.bytes.len().max(HEAD) + more) as u64)
    }

    /// Begins a section.
    pub fn begin(&mut self, kind: Kind, client: &str, number: u64) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEAD, 0);
        }
        self.section = self.bytes.len();
        self.bytes.extend_from_slice(&[kind as u8, client.len() as u8, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self.bytes.extend_from_slice(client.as_bytes());
    }

    /// Appends encoded records to the section.
    pub fn push(&mut self, records: &[u8]) {
        self.bytes.extend_from_slice(records);
        let length = &mut self.bytes[self.section + 4..self.section + 8];
        let so_far = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        length.copy_from_slice(&(so_far + records.len() as u32).to_le_bytes());
    }

    /// Says of the section that it is another kind.
    pub fn turn(&mut self, kind: Kind) {
        self.bytes[self.section] = kind as u8;
    }

    /// The whole frame, as it is written.
    pub fn seal(&mut self, key: u64, sequence: u64, position: u64) -> &[u8] {
        let length = self.bytes.len() - HEAD;
        let span = units(self.bytes.len() as u64);
        self.bytes.resize(span as usize, 0);
        let body = xxh3_64_with_seed(&self.bytes[HEAD..HEAD + length], key);
        let words = [body, sequence, position, span, length as u64, sequence + 1];
        write_head(&mut self.bytes, key, words);
        &self.bytes
    }

    /// The body of a frame that was [sealed](Draft::seal).
    pub fn body(&self) -> &[u8] {
        let length = self.bytes[48..56].try_into().map_or(0, u64::from_le_bytes);
        &self.bytes[HEAD..HEAD + length as usize]
    }

    /// Forgets what is in it, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// A frame that only fills room, or leaves sequence numbers out: the unit that it begins with.
pub fn filler(key: u64, sequence: u64, position: u64, span: u64, next: u64) -> [u8; UNIT as usize] {
    let mut bytes = [0; UNIT as usize];
    write_head(&mut bytes, key, [xxh3_64_with_seed(&[], key), sequence, position, span, 0, next]);
    bytes
}

fn write_head(bytes: &mut [u8], key: u64, words: [u64; 6]) {
    bytes[..8].copy_from_slice(&MAGIC);
    for (place, word) in bytes[16..HEAD].as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    let check = xxh3_64_with_seed(&bytes[16..HEAD], key);
    bytes[8..16].copy_from_slice(&check.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 0x1234_5678;

    fn example() -> Draft {
        let mut draft = Draft::default();
        draft.begin(Kind::Batch, "kv", 9);
        draft.push(b"some");
        draft.push(b"thing");
        draft.begin(Kind::Moved, "", 3);
        draft
    }

    #[test]
    fn what_was_written_is_read() {
        let mut draft = example();
        let frame = draft.seal(KEY, 5, 8 * UNIT).to_vec();
        let head = Head::read(KEY, &frame).unwrap();
        assert_eq!((head.sequence, head.position, head.next), (5, 8 * UNIT, 6));
        assert_eq!(head.span, frame.len() as u64);
        let body = head.body(KEY, &frame).unwrap();
        assert_eq!(body, draft.body());
        let sections: Vec<_> = sections(body).map(Option::unwrap).collect();
        assert_eq!(sections[0].records, b"something");
        assert_eq!(frame[sections[0].offset..][..9], *b"something");
        assert_eq!(
            (sections[0].kind, sections[0].client, sections[0].number),
            (Kind::Batch, "kv", 9)
        );
        assert_eq!(
            (sections[1].kind, sections[1].client, sections[1].number),
            (Kind::Moved, "", 3)
        );
        assert_eq!(sections.len(), 2);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed_nor_another_key() {
        let frame = example().seal(KEY, 5, 0).to_vec();
        let length = HEAD + example().bytes.len() - HEAD;
        for bit in 0..length * 8 {
            let mut frame = frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            let body =
                Head::read(KEY, &frame).and_then(|head| head.body(KEY, &frame).map(<[u8]>::len));
            assert_eq!(body, None, "bit {bit}");
        }
        assert_eq!(Head::read(KEY + 1, &frame), None);
    }

    #[test]
    fn a_filler_covers_more_than_is_written_of_it() {
        let unit = filler(KEY, 7, UNIT, 12 * UNIT, 99);
        let head = Head::read(KEY, &unit).unwrap();
        assert_eq!((head.span, head.next, head.extent()), (12 * UNIT, 99, UNIT));
        assert_eq!(head.body(KEY, &unit), Some(&[][..]));
    }

    #[test]
    fn a_body_that_ends_too_early_is_noticed() {
        let mut draft = example();
        draft.seal(KEY, 0, 0);
        let body = draft.body();
        for cut in 1..body.len() {
            let whole = cut == SECTION + 2 + 9;
            assert_eq!(sections(&body[..cut]).all(|section| section.is_some()), whole, "{cut}");
        }
    }
}
