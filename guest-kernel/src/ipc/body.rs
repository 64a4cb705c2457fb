//! Private copies of payloads: what a peer can no longer change.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use atoll_ipc::record::{SHORT, Short};

/// Bytes of a payload; short ones need no memory of their own.
#[derive(Debug)]
pub(super) enum Body {
    Short { bytes: [u8; SHORT], length: u8 },
    Register(Short),
    Long(Box<[u8]>),
}

impl Body {
    /// A copy of `length` bytes that `read` fills in.
    #[inline]
    pub(super) fn read(length: usize, read: impl FnOnce(&mut [u8])) -> Self {
        if length <= SHORT {
            let mut bytes = [0; SHORT];
            read(&mut bytes[..length]);
            Self::Short { bytes, length: length as u8 }
        } else {
            let mut bytes = vec![0; length].into_boxed_slice();
            read(&mut bytes);
            Self::Long(bytes)
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { bytes, length } => &bytes[..usize::from(*length)],
            Self::Register(short) => short.bytes(),
            Self::Long(bytes) => bytes,
        }
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Short { .. } | Self::Register(_) => self.bytes().to_vec(),
            Self::Long(bytes) => bytes.into_vec(),
        }
    }
}
