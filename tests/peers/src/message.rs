//! Owns messages of a fixed size, for carriers that move values.

use std::fmt::Debug;

/// Sizes of the values that there are.
pub const SIZES: [usize; 4] = [8, 64, 256, 1024];

/// A value that carries a word.
pub trait Message: Copy + Debug + Send + 'static {
    /// One with nothing of note in it.
    fn blank() -> Self;
    /// Writes a word into it.
    fn stamp(&mut self, word: u64);
    /// The word in it.
    fn word(&self) -> u64;
}

/// A cache line, placed as one: a value of lines never straddles more of them than it must.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Line([u64; 8]);

impl Message for u64 {
    fn blank() -> Self {
        0
    }

    #[inline]
    fn stamp(&mut self, word: u64) {
        *self = word;
    }

    #[inline]
    fn word(&self) -> u64 {
        *self
    }
}

impl<const LINES: usize> Message for [Line; LINES] {
    fn blank() -> Self {
        [Line([0x5a5a; 8]); LINES]
    }

    #[inline]
    fn stamp(&mut self, word: u64) {
        self[0].0[0] = word;
    }

    #[inline]
    fn word(&self) -> u64 {
        self[0].0[0]
    }
}

/// Calls a function that is generic over the message, by size: `with_message!(size, f(arguments))`.
macro_rules! with_message {
    ($size:expr, $function:ident($($argument:expr),*)) => {
        match $size {
            8 => $function::<u64>($($argument),*),
            64 => $function::<[$crate::message::Line; 1]>($($argument),*),
            256 => $function::<[$crate::message::Line; 4]>($($argument),*),
            1024 => $function::<[$crate::message::Line; 16]>($($argument),*),
            other => Err(anyhow::anyhow!("there is no value of {other} B: take 8, 64, 256 or 1024")),
        }
    };
}
pub(crate) use with_message;

#[cfg(test)]
mod tests {
    use super::*;

    fn size_and_word<M: Message>() -> anyhow::Result<(usize, u64)> {
        let mut message = M::blank();
        message.stamp(9);
        Ok((size_of::<M>(), message.word()))
    }

    #[test]
    fn each_size_has_a_message_of_that_size() {
        for size in SIZES {
            assert_eq!(with_message!(size, size_and_word()).ok(), Some((size, 9)));
        }
        assert!(with_message!(65, size_and_word()).is_err());
    }
}
