//! The storms: many exchanges of one kind, each checked to the last byte.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use atoll::Channel;
use atoll::clock::Instant;
use atoll::ipc::Pending;

use atoll::__ipc::calls::CALLS_MAX;

use crate::outcome::{Failure, Tally, right};
use crate::random::Random;
use crate::wire::{DEFER, Head, LEND, fill, is_body, op};

/// Half of a channel's ring, unless the manifest says otherwise.
const HALF_RING: usize = 128 << 10;
/// A message that fits a cache line with its header, and one that does not.
const SHORT: usize = 48;
/// All that is under way at a time fits the rings: a client that keeps to this is always served.
const UNDER_WAY_MAX: usize = 96 << 10;
/// Bytes of a buffer that are made or checked at a time.
const PIECE: usize = 4096;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    pub kind: Kind,
    pub count: usize,
    pub seed: u64,
    /// Longest message.
    pub max: usize,
    /// Most calls under way.
    pub depth: usize,
    /// How long each of them may take.
    pub patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One call after the other.
    Call,
    /// Several under way; answered, and waited for, out of order.
    Pipeline,
    /// One-way.
    Send,
    /// Buffers lent with the request, with the reply, or with both.
    Lend,
    /// Notifications.
    Notify,
    /// All of them by turns.
    Mix,
}

impl Kind {
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "call" => Self::Call,
            "pipeline" => Self::Pipeline,
            "send" => Self::Send,
            "lend" => Self::Lend,
            "notify" => Self::Notify,
            "mix" => Self::Mix,
            _ => return None,
        })
    }
}

struct UnderWay {
    number: usize,
    pending: Pending,
    head: Head,
}

struct Run {
    storm: Storm,
    channel: Channel,
    random: Random,
    tally: Tally,
    /// Oldest first.
    under_way: VecDeque<UnderWay>,
    started: usize,
    bytes: Vec<u8>,
}

/// Carries a storm out.
pub fn run(channel: Channel, storm: Storm) -> Tally {
    let mut run = Run {
        storm,
        channel,
        random: Random::new(storm.seed),
        tally: Tally::default(),
        under_way: VecDeque::new(),
        started: 0,
        bytes: Vec::new(),
    };
    for _ in 0..storm.count {
        run.step();
    }
    run.drain(0);
    run.tally
}

impl Run {
    fn deadline(&self) -> Option<Instant> {
        Some(Instant::now().after(self.storm.patience))
    }

    fn step(&mut self) {
        let kinds = [Kind::Call, Kind::Pipeline, Kind::Send, Kind::Lend, Kind::Notify];
        let kind = match self.storm.kind {
            Kind::Mix => kinds[self.random.below(kinds.len())],
            kind => kind,
        };
        if kind == Kind::Pipeline {
            return self.pipeline();
        }
        if matches!(kind, Kind::Call | Kind::Lend) {
            // Large answers would have to wait for room that those under way take up.
            self.drain(0);
        }
        let outcome = match kind {
            Kind::Call => self.call(),
            Kind::Send => self.send(),
            Kind::Lend => self.lend(),
            Kind::Notify | Kind::Pipeline | Kind::Mix => self.notify(),
        };
        self.tally.count(outcome);
    }

    /// A length up to `max`: mostly short, some at the limits, few that are long.
    fn length(&mut self, max: usize) -> usize {
        let random = &mut self.random;
        let length = match random.below(1000) {
            0..850 => random.below(200),
            850..900 => SHORT - 1 + random.below(4),
            900..980 => random.below(8 << 10),
            980..990 => HALF_RING - 48 + random.below(64),
            990..996 => random.below(max + 1),
            996..998 => max,
            _ => 0,
        };
        length.min(max)
    }

    fn head(&mut self, max: usize, flags: u32) -> Head {
        Head { nonce: self.random.next(), reply: self.length(max) as u32, flags }
    }

    /// The request with this head, `length` bytes in all.
    fn request(&mut self, head: Head, length: usize) {
        self.bytes.resize(length.max(Head::SIZE), 0);
        let (start, body) = self.bytes.split_at_mut(Head::SIZE);
        start.copy_from_slice(&head.to_bytes());
        fill(head.nonce, 0, body);
    }

    fn call(&mut self) -> Result<(), Failure> {
        let length = self.length(self.storm.max);
        if length < Head::SIZE {
            return self.invert(length);
        }
        let head = self.head(self.storm.max, 0);
        self.request(head, length);
        let reply = self.channel.call(op::EXCHANGE, &self.bytes, self.deadline())?;
        is_answer(head, reply.payload())
    }

    fn invert(&mut self, length: usize) -> Result<(), Failure> {
        let mut bytes = [0; Head::SIZE];
        fill(self.random.next(), 0, &mut bytes);
        let reply = self.channel.call(op::INVERT, &bytes[..length], self.deadline())?;
        right(reply.payload().iter().map(|byte| !byte).eq(bytes[..length].iter().copied()))
    }

    fn send(&mut self) -> Result<(), Failure> {
        let head = Head { nonce: self.random.next(), reply: 0, flags: 0 };
        let length = self.length(self.storm.max);
        self.request(head, length);
        self.channel.send(op::EXCHANGE, &self.bytes, self.deadline())?;
        self.tally.sum = self.tally.sum.wrapping_add(head.nonce);
        Ok(())
    }

    fn notify(&mut self) -> Result<(), Failure> {
        self.channel.notify(1 << self.random.below(64));
        Ok(())
    }

    fn pipeline(&mut self) {
        let depth = 1 + self.random.below(self.storm.depth);
        self.drain(depth - 1);
        let most = (UNDER_WAY_MAX / self.storm.depth).min(self.storm.max);
        let (length, head) = (self.length(most), self.head(most, DEFER));
        self.request(head, length);
        match self.channel.send_message(op::EXCHANGE, &self.bytes, self.deadline()) {
            Ok(pending) => {
                self.under_way.push_back(UnderWay { number: self.started, pending, head });
                self.started += 1;
            }
            Err(error) => self.tally.count(Err(error.into())),
        }
    }

    /// Waits for answers, in any order, until so many are under way.
    fn drain(&mut self, left: usize) {
        while self.under_way.len() > left || self.is_overdue() {
            let Some(UnderWay { pending, head, .. }) = self.next_to_hear() else { return };
            let reply = pending.wait_answer(self.deadline());
            let outcome =
                reply.map_err(Failure::from).and_then(|reply| is_answer(head, reply.payload()));
            self.tally.count(outcome);
        }
    }

    fn is_overdue(&self) -> bool {
        self.under_way.front().is_some_and(|oldest| self.started - oldest.number >= CALLS_MAX)
    }

    /// Any of those under way; but an answer that nobody has heard keeps its place among the
    /// calls of the channel, so none is left for longer than there are places.
    fn next_to_hear(&mut self) -> Option<UnderWay> {
        let at = if self.is_overdue() { 0 } else { self.random.below(self.under_way.len()) };
        self.under_way.remove(at)
    }

    fn lend(&mut self) -> Result<(), Failure> {
        match self.random.below(3) {
            0 => {
                let head = self.head(self.storm.max, 0);
                self.lend_request(head)
            }
            1 => {
                // A request with a buffer of its own leaves no payload to be told from it.
                let head = self.lent_head();
                let length = self.length(HALF_RING);
                self.request(head, length);
                self.lent_reply(head)
            }
            _ => {
                let head = self.lent_head();
                self.request(head, 0);
                self.lent_reply(head)
            }
        }
    }

    fn lent_head(&mut self) -> Head {
        let head = self.head(self.storm.max, LEND);
        Head { reply: head.reply.max(1), ..head }
    }

    fn lend_request(&mut self, head: Head) -> Result<(), Failure> {
        let length = self.length(self.storm.max).max(1);
        let mut loan = self.channel.lend(length, self.deadline())?;
        let mut piece = [0; PIECE];
        for at in (0..length).step_by(PIECE) {
            let piece = &mut piece[..PIECE.min(length - at)];
            fill(head.nonce, at, piece);
            loan.write(at, piece);
        }
        let reply = loan.call(op::EXCHANGE, &head.to_bytes(), self.deadline())?;
        is_answer(head, reply.payload())
    }

    fn lent_reply(&mut self, head: Head) -> Result<(), Failure> {
        let reply = self.channel.call_in_place(op::EXCHANGE, &self.bytes, self.deadline())?;
        right(reply.buffer_len() == head.reply as usize)?;
        let mut piece = vec![0; PIECE];
        let mut is_right = true;
        for at in (0..reply.buffer_len()).step_by(PIECE) {
            let piece = &mut piece[..PIECE.min(reply.buffer_len() - at)];
            reply.read(at, piece)?;
            is_right &= is_body(head.answer(), at, piece);
        }
        right(is_right && *reply.payload() == head.answer().to_le_bytes())
    }
}

fn is_answer(head: Head, answer: &[u8]) -> Result<(), Failure> {
    right(answer.len() == head.reply as usize && is_body(head.answer(), 0, answer))
}
