//! Owns one client's connection: cuts its bytes into requests, has them executed in order,
//! and holds the replies until they are taken.
//!
//! A request that lies whole in the input is executed from there. Only the first part of an
//! unfinished one is kept, and only so many replies: [`Session::feed`] takes no more bytes
//! while a slow reader has [`HIGH_WATER`] bytes waiting.

use alloc::vec::Vec;
use core::mem;

use crate::client::Client;
use crate::command::{self, Call};
use crate::db::Database;
use crate::env::Env;
use crate::failure::Failure;
use crate::inline::{self, BadLine};
use crate::memory::Boxed;
use crate::partial::{Partial, Progress};
use crate::reply::Output;
use crate::request::{self, Args, Parsed, Span, Violation};

/// Undelivered bytes above which no further request is executed. One reply may still be as
/// long as it is.
const HIGH_WATER: usize = 64 << 10;

/// Arguments whose places the database keeps room for between requests.
const SPANS_KEPT: usize = 1024;

/// One client's connection.
#[derive(Debug)]
pub struct Session {
    output: Output,
    partial: Option<Boxed<Partial>>,
    client: Client,
    /// Replies since output was last taken, and pending bytes before them.
    fresh: u32,
    settled: u32,
}

impl Session {
    /// A new connection to `db`. `id` is what `CLIENT ID` tells; it should be the only one
    /// of its number.
    #[must_use]
    pub fn new(db: &Database, id: u64) -> Self {
        let (output, client) = (Output::new(db.pool.clone()), Client::new(id));
        Self { output, partial: None, client, fresh: 0, settled: 0 }
    }

    /// Takes bytes from the client and executes the requests that they complete. Returns how
    /// many bytes it took: fewer than `input` has when replies wait to be taken, or [changes to
    /// be committed](Database::is_sated), and the rest must be fed again once some are. A closing session takes and ignores all.
    pub fn feed(&mut self, db: &mut Database, env: &mut impl Env, input: &[u8]) -> usize {
        self.output.compact();
        // Spans count in 32 bits; the rest comes with the next call.
        let input = &input[..input.len().min(u32::MAX as usize)];
        let mut turn = Turn { now: env.now_ms(), db, env, spans: Vec::new(), words: Vec::new() };
        mem::swap(&mut turn.spans, &mut turn.db.spans);
        let mut used = 0;
        while used < input.len() && !self.closing() && self.output.pending().len() <= HIGH_WATER {
            // What is pending must be committed first; but a request must get on when it is fed.
            if used > 0 && turn.db.is_sated() {
                break;
            }
            used += match self.partial.take() {
                Some(partial) => self.resume(&mut turn, partial, &input[used..]),
                None => self.begin(&mut turn, &input[used..]),
            };
        }
        if turn.spans.capacity() <= SPANS_KEPT {
            turn.db.spans = turn.spans;
        }
        if self.closing() { input.len() } else { used }
    }

    /// Replies that have not been taken yet.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// Takes the first `count` bytes of [`output`](Self::output) away.
    pub fn advance(&mut self, count: usize) {
        self.output.advance(count);
        self.settle();
    }

    /// What is pending now will not be revoked any more.
    fn settle(&mut self) {
        self.fresh = 0;
        self.settled = u32::try_from(self.output.pending().len()).unwrap_or(u32::MAX);
    }

    /// What was executed since [`advance`](Self::advance) was last called has been undone: each
    /// reply to it becomes this error.
    pub fn revoke(&mut self, error: &str) {
        self.output.keep(self.settled as usize);
        for _ in 0..core::mem::take(&mut self.fresh) {
            self.reply_error(&[error.as_bytes()]);
        }
        self.settle();
    }

    /// Whether the first part of an unfinished request is held.
    #[must_use]
    pub fn mid_request(&self) -> bool {
        self.partial.is_some()
    }

    /// Whether the connection is to be closed once the output is delivered: the client said
    /// QUIT, or what it sent cannot be understood.
    #[must_use]
    pub fn closing(&self) -> bool {
        self.client.closing
    }

    /// Answers what a dead incarnation had received and not answered: each request in
    /// `input` (and one that the session holds the first part of) gets `error`, none is
    /// executed. If the last one is unfinished, the session is closing after its reply, as
    /// nobody could tell where in the stream the next request begins.
    pub fn abort(&mut self, input: &[u8], error: &str) {
        if self.closing() {
            return;
        }
        let mut partial = match self.partial.take() {
            Some(mut held) => mem::replace(&mut *held, Partial::new(self.output.pool())),
            None => Partial::new(self.output.pool()),
        };
        partial.discard();
        let mut used = 0;
        while !self.closing() {
            let (taken, progress) = partial.push(&input[used..]);
            used += taken;
            match progress {
                Progress::Request | Progress::Inline => self.reply_error(&[error.as_bytes()]),
                Progress::Nothing => {}
                Progress::Bad(violation) => self.reject(violation),
                Progress::More if partial.is_untouched() => break,
                Progress::More => {
                    self.reply_error(&[error.as_bytes()]);
                    self.client.closing = true;
                }
            }
            partial.restart();
        }
        // Nothing was executed that could be undone.
        self.settle();
    }

    /// Reads a request at the beginning of `input`; returns the bytes taken.
    fn begin(&mut self, turn: &mut Turn<'_>, input: &[u8]) -> usize {
        match request::parse(input, &mut turn.spans) {
            Parsed::Request { used } => {
                let spans = mem::take(&mut turn.spans);
                self.execute(turn, Args::new(input, &spans));
                turn.spans = spans;
                used
            }
            Parsed::Inline { used } => {
                self.execute_line(turn, &input[..used]);
                used
            }
            Parsed::Nothing { used } => used,
            Parsed::Unfinished => match Boxed::new(Partial::new(self.output.pool())) {
                Ok(partial) => self.resume(turn, partial, input),
                Err(_) => {
                    self.reject(Violation::Memory);
                    input.len()
                }
            },
            Parsed::Bad(violation) => {
                self.reject(violation);
                input.len()
            }
        }
    }

    /// Goes on with a request whose first part is held; returns the bytes taken.
    fn resume(&mut self, turn: &mut Turn<'_>, mut partial: Boxed<Partial>, input: &[u8]) -> usize {
        let (used, progress) = partial.push(input);
        match progress {
            Progress::More => self.partial = Some(partial),
            Progress::Request => self.execute_partial(turn, &partial),
            Progress::Inline => self.execute_line(turn, partial.bytes()),
            Progress::Nothing => {}
            Progress::Bad(violation) => self.reject(violation),
        }
        used
    }

    fn execute_partial(&mut self, turn: &mut Turn<'_>, partial: &Partial) {
        let mut spans = mem::take(&mut turn.spans);
        if partial.is_discarded() || partial.spans(&mut spans).is_err() {
            self.reply_error(&[Failure::Memory.text().as_bytes()]);
        } else {
            self.execute(turn, Args::new(partial.bytes(), &spans));
        }
        turn.spans = spans;
    }

    fn execute_line(&mut self, turn: &mut Turn<'_>, line: &[u8]) {
        let (mut spans, mut words) = (mem::take(&mut turn.spans), mem::take(&mut turn.words));
        words.clear();
        match inline::split(request::strip(line), &mut words, &mut spans) {
            Ok(()) => self.execute(turn, Args::new(&words, &spans)),
            Err(BadLine::Violation(violation)) => self.reject(violation),
            Err(BadLine::Failure(failure)) => self.reply_error(&[failure.text().as_bytes()]),
        }
        (turn.spans, turn.words) = (spans, words);
    }

    #[inline]
    fn execute(&mut self, turn: &mut Turn<'_>, args: Args<'_>) {
        let mark = self.output.mark();
        turn.db.stats.commands += 1;
        let result = command::run(&mut Call {
            db: turn.db,
            env: turn.env,
            now: turn.now,
            args,
            out: &mut self.output,
            client: &mut self.client,
        });
        match result.and_then(|()| self.output.check()) {
            Ok(()) => self.fresh = self.fresh.saturating_add(1),
            Err(failure) => {
                turn.db.stats.errors += 1;
                self.output.rewind(mark);
                self.reply_error(&[failure.text().as_bytes()]);
            }
        }
    }

    fn reject(&mut self, violation: Violation) {
        self.reply_error(&violation.text());
        self.client.closing = true;
    }

    /// An error too short to fail, as a rule. If there is no memory even for it, the
    /// connection must close: a reply left out would shift all later ones.
    fn reply_error(&mut self, parts: &[&[u8]]) {
        self.fresh = self.fresh.saturating_add(1);
        let mark = self.output.mark();
        self.output.error(parts);
        if self.output.failed() {
            self.output.rewind(mark);
            self.client.closing = true;
        }
    }
}

/// What one call of [`Session::feed`] works with.
struct Turn<'a> {
    db: &'a mut Database,
    env: &'a mut dyn Env,
    now: u64,
    /// The arguments' places.
    spans: Vec<Span>,
    /// An inline request's words.
    words: Vec<u8>,
}
