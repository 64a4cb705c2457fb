//! Passes each message on through its channel `next`, and the answer back: one link of a chain
//! of domains. Notifications are passed on as well, and logged.
//!
//! When the next server restarts with a request in its hands, this one's client is told so
//! (`Dropped`) instead of the request being sent again: the relay cannot know whether it is safe
//! to repeat.

#![no_std]
#![no_main]

use core::time::Duration;

use atoll::clock::Instant;
use atoll::{Channel, Event, IpcError, Message, Status};

/// Longer than any honest answer takes, so that a chain never hangs for good.
const PATIENCE: Duration = Duration::from_secs(10);

atoll::server! {
    name: "relay",
    memory: 8 << 20,
    ports: [RELAY: "relay" message],
}

fn main() -> u32 {
    let next = match Channel::open("next") {
        Ok(next) => next,
        Err(error) => panic!("the manifest gives this relay no channel `next`: {error}"),
    };
    loop {
        match RELAY.event(None) {
            Some(Event::Message(message)) => pass_on(message, next),
            Some(Event::Notified(bits)) => {
                log::info!("notified: {bits:#x}");
                next.notify(bits);
            }
            None => (),
        }
    }
}

fn pass_on(message: Message, next: Channel) {
    let deadline = Instant::now().after(PATIENCE);
    match next.call(message.operation(), &message.to_vec(), Some(deadline)) {
        Ok(reply) => message.reply(reply.payload()),
        Err(IpcError::Denied) => message.fail(Status::Denied),
        Err(IpcError::Exhausted | IpcError::TooLarge) => message.fail(Status::Exhausted),
        Err(error) => {
            log::warn!("a request of {} failed: {error}", message.sender());
            message.fail(Status::Dropped);
        }
    }
}
