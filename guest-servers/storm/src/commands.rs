//! The client's commands: a line each, with one line for an answer.
//!
//! | a line | what it does | answer |
//! |---|---|---|
//! | `call`, `pipeline`, `send`, `lend`, `notify`, `mix` and `COUNT seed S max BYTES depth N ms T` | a [storm](crate::storms) | `done COUNT` and how many ended how |
//! | `one OPERATION BYTES ms T` | one call of zeros | `ok BYTES`, or the error, and the milliseconds that it took |
//! | `start OPERATION COUNT reply BYTES ms T` | starts calls whose answers nobody reads for now | `started N` and why there were no more |
//! | `cancel COUNT` | cancels the oldest of them | `cancelled N` |
//! | `harvest ms T` | waits for the answers of all of them | as a storm |
//! | `text OPERATION` | one call | the answer as text |
//! | `order` | asks who was served | numbers |
//! | `borrow BYTES` | borrows a buffer and gives it back | `borrowed`, or the error |
//! | `scribble SEED` | writes over the memory of its own channels | `scribbled N` |
//! | `deface SEED ms T` | has the server do so | `defaced`, and what became of the call |
//! | `bind` | binds a typed client and uses it | the sum, or the error |
//! | `epoch` | which incarnation of the server is known to serve | its number |
//!
//! `on CHANNEL` before any of them says which channel, instead of `storm`.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::str::SplitWhitespace;
use core::time::Duration;

use atoll::__ipc::channel::Role;
use atoll::clock::Instant;
use atoll::ipc::Pending;
use atoll::lines::{Lines, Obey};
use atoll::stream::Connections;
use atoll::{Channel, IpcError, Port};

use crate::outcome::{Failure, Tally, right};
use crate::scribble::scribble;
use crate::storms::{self, Kind, Storm};
use crate::typed::SumsClient;
use crate::wire::{DEFER, Head, is_body, op};

/// Longer than an honest server takes for anything.
const PATIENCE_MS: u64 = 20_000;

/// What all connections share.
#[derive(Default)]
struct Client {
    under_way: Vec<(Pending, Head)>,
}

/// Serves the port, for ever.
pub fn serve(port: Port) -> ! {
    let mut connections = Connections::new();
    let mut client = Client::default();
    loop {
        connections.serve(port.receive(), &mut client, |_, _| Lines::default());
    }
}

impl Client {
    fn carry_out(&mut self, line: &str) -> Result<String, IpcError> {
        let mut words = line.split_whitespace();
        let mut verb = words.next().unwrap_or_default();
        let mut channel = "storm";
        if verb == "on" {
            channel = words.next().unwrap_or_default();
            verb = words.next().unwrap_or_default();
        }
        if verb == "scribble" {
            return Ok(format!("scribbled {}", scribble(Role::Client, number(&mut words))));
        }
        let channel = Channel::open(channel)?;
        if let Some(kind) = Kind::of(verb) {
            return Ok(storm(channel, kind, words));
        }
        match verb {
            "one" => Ok(one(channel, words)),
            "start" => Ok(self.start(channel, words)),
            "cancel" => Ok(self.cancel(number(&mut words) as usize)),
            "harvest" => Ok(self.harvest(words)),
            "text" => {
                let reply = channel.call(number(&mut words) as u16, &[], deadline(PATIENCE_MS))?;
                Ok(String::from_utf8_lossy(reply.payload()).into_owned())
            }
            "order" => {
                let reply = channel.call(op::ORDER, &[], deadline(PATIENCE_MS))?;
                let numbers = reply.payload().iter().map(|number| format!("{number} "));
                Ok(numbers.collect())
            }
            "borrow" => {
                let loan = channel.lend(number(&mut words) as usize, deadline(PATIENCE_MS))?;
                drop(loan);
                Ok("borrowed".into())
            }
            "epoch" => Ok(format!("{}", channel.server_epoch())),
            "deface" => {
                let seed = number(&mut words).to_le_bytes();
                let deadline = deadline(setting(&words, "ms", PATIENCE_MS));
                let fate = channel.call(op::SCRIBBLE, &seed, deadline).map(drop);
                Ok(format!("defaced {fate:?}"))
            }
            "bind" => Ok(bind(channel)),
            _ => Ok("error: what?".into()),
        }
    }

    /// Starts calls, and leaves them.
    fn start(&mut self, channel: Channel, mut words: SplitWhitespace<'_>) -> String {
        let operation = number(&mut words) as u16;
        let count = number(&mut words) as usize;
        let reply = setting(&words, "reply", 0) as u32;
        let deadline = deadline(setting(&words, "ms", PATIENCE_MS));
        let mut why = None;
        let mut started = 0;
        while started < count && why.is_none() {
            let head = Head { nonce: started as u64, reply, flags: DEFER };
            match channel.send_message(operation, &head.to_bytes(), deadline) {
                Ok(pending) => self.under_way.push((pending, head)),
                Err(error) => why = Some(error),
            }
            started += usize::from(why.is_none());
        }
        why.map_or(format!("started {started}"), |why| format!("started {started} {why:?}"))
    }

    fn cancel(&mut self, count: usize) -> String {
        let count = count.min(self.under_way.len());
        self.under_way.drain(..count).for_each(|(pending, _)| pending.cancel());
        format!("cancelled {count}")
    }

    fn harvest(&mut self, words: SplitWhitespace<'_>) -> String {
        let ms = setting(&words, "ms", PATIENCE_MS);
        let mut tally = Tally::default();
        for (pending, head) in self.under_way.drain(..) {
            let answer = pending.wait_answer(deadline(ms)).map_err(Failure::from);
            tally.count(answer.and_then(|answer| {
                let answer = answer.payload();
                let is_whole = answer.len() == head.reply as usize;
                right(answer == b"late" || is_whole && is_body(head.answer(), 0, answer))
            }));
        }
        tally.line()
    }
}

fn storm(channel: Channel, kind: Kind, mut words: SplitWhitespace<'_>) -> String {
    let count = number(&mut words) as usize;
    let storm = Storm {
        kind,
        count,
        seed: setting(&words, "seed", 1),
        max: setting(&words, "max", 1 << 20) as usize,
        depth: setting(&words, "depth", 64) as usize,
        patience: Duration::from_millis(setting(&words, "ms", PATIENCE_MS)),
    };
    format!("done {count} {}", storms::run(channel, storm).line())
}

fn one(channel: Channel, mut words: SplitWhitespace<'_>) -> String {
    let operation = number(&mut words) as u16;
    let bytes = vec![0; number(&mut words) as usize];
    let start = Instant::now();
    let reply = channel.call(operation, &bytes, deadline(setting(&words, "ms", PATIENCE_MS)));
    let took = Instant::now().since(start).as_millis();
    match reply {
        Ok(reply) => format!("ok {} {took}", reply.payload().len()),
        Err(error) => format!("{error:?} {took}"),
    }
}

fn bind(channel: Channel) -> String {
    let mut sums = match SumsClient::bind(channel) {
        Ok(sums) => sums.with_timeout(Duration::from_millis(PATIENCE_MS)),
        Err(error) => return format!("error: {error}"),
    };
    match sums.add(40, 2) {
        Ok(sum) => format!("sum {sum}"),
        Err(error) => format!("error: {error:?}"),
    }
}

fn deadline(ms: u64) -> Option<Instant> {
    Some(Instant::now().after(Duration::from_millis(ms)))
}

fn number(words: &mut SplitWhitespace<'_>) -> u64 {
    words.next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The number after a word, if the word is there.
fn setting(words: &SplitWhitespace<'_>, name: &str, default: u64) -> u64 {
    let mut rest = words.clone().skip_while(|word| *word != name).skip(1);
    rest.next().and_then(|word| word.parse().ok()).unwrap_or(default)
}

impl Obey for Client {
    const INTERRUPTED: &str = "aborted";

    fn obey(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        let said = self.carry_out(&String::from_utf8_lossy(line));
        Some(said.unwrap_or_else(|error| format!("error: {error:?}")).into_bytes())
    }
}
