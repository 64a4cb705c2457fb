//! Owns short words in lower case, on the stack: names of commands, options and settings.

/// The longest word that is known to anybody, and some more.
const LONGEST: usize = 32;

/// A word in lower case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    bytes: [u8; LONGEST],
    len: usize,
}

impl core::ops::Deref for Word {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Lower case without an allocation.
pub(crate) trait ShortLower {
    /// The word in lower case; an empty one if it is too long to be known.
    fn to_ascii_lowercase_short(&self) -> Word;
}

impl ShortLower for [u8] {
    #[inline]
    fn to_ascii_lowercase_short(&self) -> Word {
        let mut word = Word { bytes: [0; LONGEST], len: 0 };
        if self.len() <= LONGEST {
            word.len = self.len();
            for (to, from) in word.bytes.iter_mut().zip(self) {
                *to = from.to_ascii_lowercase();
            }
        }
        word
    }
}
