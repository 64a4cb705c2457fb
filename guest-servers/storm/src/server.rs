//! The server of a storm: checks what it is sent, and answers so that the client can check, too.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use atoll::__ipc::channel::Role;
use atoll::clock::Instant;
use atoll::{Event, IpcError, Message, Port, Status, boot};

use crate::random::Random;
use crate::scribble::scribble;
use crate::wire::{DEFER, Head, LEND, fill, is_body, op};

/// Answers that may overtake each other are held back until there are so many.
const DEFERRED_MAX: usize = 24;
/// Served messages whose order is remembered.
const ORDER_MAX: usize = 64 << 10;
/// Bytes that are checked or made at a time where a buffer is read or filled piece by piece.
const PIECE: usize = 4096;

/// Serves the port, for ever.
pub fn serve(port: Port) -> ! {
    let mut server = Server::new();
    loop {
        // While answers are held back, only what is there already goes before them.
        let deadline = (!server.deferred.is_empty()).then(Instant::now);
        match port.event(deadline) {
            Some(Event::Message(message)) => server.serve(message),
            Some(Event::Notified(bits)) => server.bits |= bits,
            None => server.answer_one(),
        }
    }
}

struct Server {
    random: Random,
    deferred: Vec<(Message, Head)>,
    kept: Vec<Message>,
    order: Vec<u8>,
    bits: u64,
    served: u64,
    oneway: u64,
    /// All one-way messages' nonces, added up.
    sum: u64,
    malformed: u64,
}

impl Server {
    fn new() -> Self {
        Self {
            random: Random::new(u64::from(boot::epoch())),
            deferred: Vec::new(),
            kept: Vec::new(),
            order: Vec::new(),
            bits: 0,
            served: 0,
            oneway: 0,
            sum: 0,
            malformed: 0,
        }
    }

    fn serve(&mut self, message: Message) {
        self.served += 1;
        match message.operation() {
            op::INVERT => {
                let inverted: Vec<_> = message.to_vec().iter().map(|byte| !byte).collect();
                message.reply(&inverted);
            }
            op::EXCHANGE => self.exchange(message),
            op::KEEP => self.kept.push(message),
            op::RELEASE => self.release(message),
            op::COUNTS => self.counts(message),
            op::ORDER => message.reply(&core::mem::take(&mut self.order)),
            op::DENY => message.fail(Status::Denied),
            op::DROP => drop(message),
            op::CRASH => crash(message),
            op::BURST => {
                let length = message.max_reply() + 1;
                message.reply_with(Status::Ok, length, |_| ());
            }
            op::SCRIBBLE => {
                let mut seed = [0; 8];
                message.read(0, &mut seed);
                log::info!("scribbles with seed {}", u64::from_le_bytes(seed));
                // What is answered now is likely to be unread still when the scribbling begins.
                self.kept.drain(..).for_each(|message| message.reply(b"late"));
                scribble(Role::Server, u64::from_le_bytes(seed));
            }
            _ => message.fail(Status::Unknown),
        }
    }

    fn exchange(&mut self, message: Message) {
        if self.order.len() < ORDER_MAX {
            self.order.push(number_of(message.sender()));
        }
        let Some(head) = checked(&message) else {
            self.malformed += 1;
            return message.fail(Status::Malformed);
        };
        if !message.is_call() {
            self.oneway += 1;
            self.sum = self.sum.wrapping_add(head.nonce);
        } else if head.flags & DEFER != 0 {
            self.deferred.push((message, head));
            if self.deferred.len() >= DEFERRED_MAX {
                self.answer_one();
            }
        } else {
            answer(message, head);
        }
    }

    /// Answers any of those that are held back.
    fn answer_one(&mut self) {
        if self.deferred.is_empty() {
            return;
        }
        let at = self.random.below(self.deferred.len());
        let (message, head) = self.deferred.swap_remove(at);
        answer(message, head);
    }

    fn release(&mut self, message: Message) {
        let kept = core::mem::take(&mut self.kept);
        let line = format!("{}", kept.len());
        kept.into_iter().rev().for_each(|message| message.reply(b"late"));
        message.reply(line.as_bytes());
    }

    fn counts(&self, message: Message) {
        let cancelled = self.kept.iter().filter(|message| message.is_cancelled()).count();
        let Self { served, oneway, sum, malformed, bits, .. } = self;
        let line = format!(
            "epoch {} served {served} oneway {oneway} sum {sum} malformed {malformed} \
             kept {} cancelled {cancelled} bits {bits}",
            boot::epoch(),
            self.kept.len(),
        );
        message.reply(line.as_bytes());
    }
}

/// The head of a message, if every byte is as it was sent.
fn checked(message: &Message) -> Option<Head> {
    if message.len() < Head::SIZE {
        return None;
    }
    if message.buffer_len() == 0 || message.len() != Head::SIZE {
        // Copied, through the ring or a buffer.
        let bytes = message.to_vec();
        let head = Head::of(&bytes)?;
        return is_body(head.nonce, 0, &bytes[Head::SIZE..]).then_some(head);
    }
    let mut head = [0; Head::SIZE];
    message.read(0, &mut head);
    let head = Head::of(&head)?;
    let mut piece = [0; PIECE];
    let mut pieces = (0..message.buffer_len()).step_by(PIECE);
    let is_right = pieces.all(|at| {
        let piece = &mut piece[..PIECE.min(message.buffer_len() - at)];
        message.read_buffer(at, piece);
        is_body(head.nonce, at, piece)
    });
    is_right.then_some(head)
}

fn answer(message: Message, head: Head) {
    let length = head.reply as usize;
    if head.flags & LEND == 0 {
        let mut body = vec![0; length];
        fill(head.answer(), 0, &mut body);
        return message.reply(&body);
    }
    match message.lend(length) {
        Ok(mut loan) => {
            let mut piece = [0; PIECE];
            for at in (0..length).step_by(PIECE) {
                let piece = &mut piece[..PIECE.min(length - at)];
                fill(head.answer(), at, piece);
                loan.write(at, piece);
            }
            loan.reply(&head.answer().to_le_bytes());
        }
        Err((message, IpcError::TooLarge)) => message.fail(Status::Denied),
        Err((message, _)) => message.fail(Status::Exhausted),
    }
}

fn crash(message: Message) {
    let times = message.redeliveries() as usize;
    assert!(times >= message.len(), "delivered {times} times before");
    message.reply(&vec![0; times]);
}

/// The number at the end of a client's name.
fn number_of(sender: &str) -> u8 {
    let digits = sender.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(0)
}
