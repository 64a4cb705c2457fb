//! A client of the echo server, on a channel of the VMM's own.

use std::time::Instant;

use super::client::{Client, Reply, Verdict, difference, payload};
use crate::ipc::Channel;
use crate::journal::now_micros;

/// Longest payload: some go through the ring in several lines, none through a buffer.
const LONGEST: usize = 1500;

/// Asks for the echo of bytes that are never the same.
#[derive(Debug)]
pub(super) struct EchoClient {
    channel: Channel,
    number: u64,
    width: usize,
}

impl EchoClient {
    /// A client that has `width` requests under way at a time.
    pub(super) const fn new(channel: Channel, width: usize) -> Self {
        Self { channel, number: 0, width }
    }
}

impl Client for EchoClient {
    fn burst(&mut self, deadline: Instant) -> Vec<Reply> {
        let (asked, mut replies, mut pending) = (now_micros(), Vec::new(), Vec::new());
        for _ in 0..self.width {
            self.number += 1;
            let bytes = payload(self.number, LONGEST);
            match self.channel.send_message(0, &bytes, Some(deadline)) {
                Ok(call) => pending.push((call, bytes)),
                Err(error) => {
                    let failed = Verdict::Failed(error.to_string());
                    replies.push(Reply::now(failed, asked, None));
                    break;
                }
            }
        }
        for (call, expected) in pending {
            let verdict = match self.channel.wait_answer(call, Some(deadline)) {
                Ok(bytes) if bytes == expected => Verdict::Good,
                Ok(bytes) => Verdict::Wrong(difference(&bytes, &expected)),
                Err(error) => Verdict::Failed(error.to_string()),
            };
            replies.push(Reply::now(verdict, asked, Some(self.channel.server_epoch())));
        }
        replies
    }
}
