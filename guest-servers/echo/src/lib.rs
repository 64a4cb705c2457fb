//! What the echo server speaks on its port `typed`.

#![no_std]

use atoll_ipc::interface::{Bytes, Word};

atoll_ipc::interface! {
    /// Answers with what it was asked.
    pub interface Echo = "echo" version 1, client EchoClient, server EchoServer {
        /// Nothing, for nothing.
        1 => idempotent fn nothing();
        /// The same word.
        2 => idempotent fn word(word: Word) -> Word;
        /// The same bytes.
        3 => idempotent fn bytes(bytes: Bytes<'_>) -> Bytes<'_> as loan;
    }
}
