//! Dead letters: requests of which server after server has died, and which are delivered no more.
//!
//! They are filed by whoever begins the incarnation that is spared them, which may be a vCPU's own
//! thread, and are kept until an operator drops them, or so many others have followed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atoll_ipc::channel::{Buried, Region};
use atoll_ipc::message::IpcError;

use crate::control::api::{DeadLetter, DeadLetterLine, FaultSummary, HexBytes, Replay};
use crate::control::{LetterRequest, Refusal};
use crate::ipc::Channel;
use crate::journal::now_micros;

/// Letters that are kept: a system in which more requests than these are poison within the time in
/// which anybody looks has other troubles.
const LETTERS_MAX: usize = 64;

/// Bytes that are kept of a request's payload. All letters together stay within a few megabytes,
/// and what is longer is rarely read by a person.
const PAYLOAD_MAX: usize = 64 << 10;

/// How long a server has for a request that is sent again; below what the control API waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an incarnation died of, told only if it is asked for: a description takes longer than a
/// restart may.
pub struct Obituary<'a>(&'a dyn Fn() -> String);

impl<'a> Obituary<'a> {
    /// One that is written by `write`.
    pub const fn new(write: &'a dyn Fn() -> String) -> Self {
        Self(write)
    }
}

impl std::fmt::Debug for Obituary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Obituary").field(&(self.0)()).finish()
    }
}

/// A fault as a letter tells it.
pub fn line_of(fault: &FaultSummary) -> String {
    let FaultSummary { what, rip, symbol, .. } = fault;
    let place = symbol.as_ref().map(|symbol| format!(" in {symbol}")).unwrap_or_default();
    format!("{what}, at {rip}{place}")
}

/// Whose requests a channel carries.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The server's domain.
    pub domain: String,
    /// Its port.
    pub port: String,
    /// The client.
    pub client: String,
    /// Where its dead letters go.
    pub letters: Arc<Letters>,
}

impl Sender {
    /// Files a request of which the server's incarnation `epoch` has died.
    pub fn file<R: Region>(
        &self,
        buried: &Buried<'_, R>,
        epoch: u32,
        obituary: Option<&Obituary<'_>>,
    ) {
        // A long message is one buffer and nothing else.
        let is_long = buried.len() == 0;
        let whole = match buried.lent {
            Some(span) if is_long => span.len(),
            _ => buried.len(),
        };
        let mut payload = vec![0; whole.min(PAYLOAD_MAX)];
        if is_long && buried.lent.is_some() {
            buried.read_lent(&mut payload);
        } else {
            buried.read(&mut payload);
        }
        let line = DeadLetterLine {
            number: 0,
            time: now_micros(),
            domain: self.domain.clone(),
            port: self.port.clone(),
            epoch: epoch.into(),
            client: self.client.clone(),
            client_epoch: buried.client_epoch.into(),
            operation: buried.operation(),
            is_call: buried.is_call(),
            deliveries: buried.deliveries,
            bytes: whole as u64,
            buffer_bytes: buried.lent.filter(|_| !is_long).map_or(0, |span| span.len() as u64),
            fault: obituary.map(|obituary| (obituary.0)()).unwrap_or_default(),
        };
        self.letters.file(DeadLetter { line, payload: HexBytes(payload) });
    }
}

/// The letters of a system, oldest first.
#[derive(Debug, Default)]
pub struct Letters(Mutex<Files>);

#[derive(Debug, Default)]
struct Files {
    kept: VecDeque<DeadLetter>,
    last: u64,
}

impl Letters {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, mut letter: DeadLetter) {
        let mut files = self.files();
        files.last += 1;
        letter.line.number = files.last;
        let DeadLetterLine { number, domain, port, client, operation, deliveries, .. } =
            &letter.line;
        log::warn!(
            "dead letter {number}: {domain}:{port} died of operation {operation} from {client}, \
             which was delivered {deliveries} times"
        );
        if files.kept.len() == LETTERS_MAX {
            files.kept.pop_front();
        }
        files.kept.push_back(letter);
    }

    fn lines(&self) -> Vec<DeadLetterLine> {
        self.files().kept.iter().map(|letter| letter.line.clone()).collect()
    }

    fn find(&self, number: u64) -> Result<DeadLetter, Refusal> {
        let files = self.files();
        let found = files.kept.iter().find(|letter| letter.line.number == number);
        found.cloned().ok_or(Refusal::NoSuchLetter { number })
    }

    fn forget(&self, number: u64) -> Result<(), Refusal> {
        self.find(number)?;
        self.files().kept.retain(|letter| letter.line.number != number);
        Ok(())
    }
}

/// What sends letters again: a channel for each port from which some can come.
#[derive(Debug, Default)]
pub struct PostOffice {
    /// The letters.
    pub letters: Arc<Letters>,
    channels: HashMap<(String, String), Arc<Mutex<Channel>>>,
}

impl PostOffice {
    /// The channel to a port, by domain and name.
    pub fn connect(&mut self, domain: String, port: String, channel: Channel) {
        self.channels.insert((domain, port), Arc::new(Mutex::new(channel)));
    }

    /// Answers one request of the control API.
    pub fn obey(&self, request: LetterRequest) {
        match request {
            LetterRequest::List { answer } => drop(answer.send(Ok(self.letters.lines()))),
            LetterRequest::Show { number, answer } => {
                drop(answer.send(self.letters.find(number).map(Box::new)));
            }
            LetterRequest::Drop { number, answer } => {
                drop(answer.send(self.letters.forget(number)));
            }
            LetterRequest::Replay { number, answer } => {
                let replay = self.letters.find(number).and_then(|letter| self.replay(letter));
                match replay {
                    Err(refusal) => drop(answer.send(Err(refusal))),
                    // A server may take its time, or die once more: the event loop does not wait.
                    Ok(replay) => drop(std::thread::spawn(move || answer.send(Ok(replay())))),
                }
            }
        }
    }

    /// How to send a letter again.
    fn replay(
        &self,
        letter: DeadLetter,
    ) -> Result<impl FnOnce() -> Replay + Send + use<>, Refusal> {
        let DeadLetterLine { number, ref domain, ref port, .. } = letter.line;
        if letter.payload.0.len() as u64 != letter.line.bytes || letter.line.buffer_bytes > 0 {
            return Err(Refusal::LetterNotWhole { number });
        }
        let channel = self.channels.get(&(domain.clone(), port.clone()));
        let channel = channel.cloned().ok_or(Refusal::NoSuchLetter { number })?;
        Ok(move || {
            let mut channel = channel.lock().unwrap_or_else(PoisonError::into_inner);
            send_again(&letter, &mut channel)
        })
    }
}

fn send_again(letter: &DeadLetter, channel: &mut Channel) -> Replay {
    let (operation, deadline) = (letter.line.operation, Some(Instant::now() + PATIENCE));
    let payload = &letter.payload.0;
    let outcome: Result<_, IpcError> = if letter.line.is_call {
        channel.call(operation, payload, deadline).map(|reply| Some(HexBytes(reply)))
    } else {
        channel.send(operation, payload, deadline).map(|()| None)
    };
    match outcome {
        Ok(reply) => Replay { reply, error: None },
        Err(error) => Replay { reply: None, error: Some(error.to_string()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(operation: u16) -> DeadLetter {
        let line = DeadLetterLine { operation, ..DeadLetterLine::default() };
        DeadLetter { line, payload: HexBytes(vec![1, 2]) }
    }

    #[test]
    fn the_oldest_letters_make_room_and_numbers_go_on() {
        let letters = Letters::default();
        (0..LETTERS_MAX as u16 + 3).for_each(|n| letters.file(letter(n)));
        let lines = letters.lines();
        assert_eq!(lines.len(), LETTERS_MAX);
        assert_eq!((lines[0].number, lines[0].operation), (4, 3));
        assert_eq!(letters.find(3).unwrap_err(), Refusal::NoSuchLetter { number: 3 });
        letters.forget(4).unwrap();
        assert_eq!(letters.forget(4), Err(Refusal::NoSuchLetter { number: 4 }));
        assert_eq!(letters.lines()[0].number, 5);
    }

    #[test]
    fn a_letter_that_is_not_whole_is_not_sent_again() {
        let office = PostOffice::default();
        let mut cut = letter(1);
        cut.line.bytes = 3;
        let refusal = office.replay(cut).err();
        assert_eq!(refusal, Some(Refusal::LetterNotWhole { number: 0 }));
    }
}
