//! The shortest server: answers each message with itself, on `echo` whatever it is, and on `typed`
//! through an interface.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use atoll::interface::{Bytes, Word};
use atoll::{Status, ipc};
use echo::{Echo, EchoServer};

atoll::server! {
    name: "echo",
    memory: 16 << 20,
    ports: [ECHO: "echo" message, TYPED: "typed" message speaks Echo],
}

/// Keeps the last bytes that it was asked for, because a reply is lent by the server.
struct Server(Vec<u8>);

impl EchoServer for Server {
    fn nothing(&mut self) -> Result<(), Status> {
        Ok(())
    }

    fn word(&mut self, word: Word) -> Result<Word, Status> {
        Ok(word)
    }

    fn bytes(&mut self, bytes: Bytes<'_>) -> Result<Bytes<'_>, Status> {
        self.0.clear();
        self.0.extend_from_slice(&bytes);
        Ok(Bytes(&self.0))
    }
}

fn main() -> u32 {
    let mut server = Server(Vec::new());
    loop {
        match ipc::receive_any(&[TYPED, ECHO], None) {
            Some((TYPED, message)) => Echo::dispatch(&mut server, message),
            Some((_, message)) => {
                let payload = message.to_vec();
                message.reply(&payload);
            }
            None => (),
        }
    }
}
