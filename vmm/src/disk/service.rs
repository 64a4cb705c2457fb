//! Serving a disk: takes requests, has them carried out, and answers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use atoll_ipc::abi::{Crowd, GROUPS_MAX, HostPage, NO_DOMAIN};
use atoll_ipc::disk::{Description, Extent, NOTE_MAX, Op, Outcome};
use atoll_ipc::lend::Loan;
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::server::{Request, Server};
use vmm_sys_util::eventfd::EventFd;

use super::figures::Shared;
use super::medium::Medium;
use super::volume::Volume;
use crate::channel::ChannelMemory;
use crate::domain::signal;
use crate::ipc::{End, Waiter};
use crate::machine::processors;
use crate::machine::shared_page::SharedPage;

/// Requests that are taken at most before those are answered that wait to be durable: as many as a
/// client can have under way, so that whoever goes on asking holds nobody up.
const BATCH: usize = 64;

/// A disk's thread among those that want to run: counted while it does, so that nobody looks for
/// something to do on a processor that it needs, nor it on theirs.
#[derive(Clone, Debug)]
pub struct Presence {
    page: Arc<SharedPage<HostPage>>,
    crowd: Crowd,
}

impl Presence {
    /// It may run on any processor, as the nucleus does.
    pub fn new(page: Arc<SharedPage<HostPage>>) -> Self {
        let processors = processors::allowed().map_or(1, |cpus| cpus.len().max(1));
        let crowd = Crowd { groups: (1 << GROUPS_MAX) - 1, processors: processors as u32 };
        Self { page, crowd }
    }

    /// Does something that takes no processor.
    fn away<T>(&self, blocks: impl FnOnce() -> T) -> T {
        self.leave();
        let result = blocks();
        self.enter();
        result
    }

    fn enter(&self) {
        self.page.enter(0, NO_DOMAIN);
    }

    fn leave(&self) {
        self.page.leave(0, NO_DOMAIN);
    }

    fn is_crowded(&self) -> bool {
        self.page.is_crowded(self.crowd)
    }
}

/// A request that is answered once everything before it is durable.
#[derive(Debug)]
struct Waiting {
    request: Request,
    /// When it was taken, if it is a write.
    since: Option<Instant>,
}

/// The server of a disk, for a thread of its own.
#[derive(Debug)]
pub(super) struct Service<M> {
    server: Server<ChannelMemory>,
    client: Arc<EventFd>,
    waiter: Waiter,
    presence: Presence,
    volume: Volume<M>,
    figures: Arc<Shared>,
    stop: Arc<AtomicBool>,
    waiting: Vec<Waiting>,
    /// Requests taken since none were waiting.
    taken: usize,
}

impl<M: Medium> Service<M> {
    pub(super) fn new(
        end: End,
        presence: Presence,
        volume: Volume<M>,
        figures: Arc<Shared>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            server: Server::attach(end.memory),
            client: end.peer,
            waiter: end.waiter,
            presence,
            volume,
            figures,
            stop,
            waiting: Vec::with_capacity(BATCH),
            taken: 0,
        }
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) {
        self.presence.enter();
        while !self.is_stopping() {
            if !self.step() {
                let found = self.wait();
                self.hear(found);
            }
        }
        self.settle();
        // In good order nothing is lost, whether anybody asked for that or not.
        self.presence.away(|| self.volume.sync());
        self.presence.leave();
    }

    /// Does what there is to do next; whether there was anything.
    fn step(&mut self) -> bool {
        let is_due = !self.waiting.is_empty() && self.taken >= BATCH;
        let found = if is_due { Ok(None) } else { self.server.poll() };
        match found {
            Ok(None) if self.waiting.is_empty() => return false,
            Ok(None) => self.settle(),
            found => self.hear(found),
        }
        true
    }

    fn hear(&mut self, found: Result<Option<Request>, IpcError>) {
        match found {
            Ok(Some(request)) => {
                self.taken += 1;
                self.take(request);
            }
            Ok(None) => (),
            Err(error) => {
                log::warn!("a domain is not heard by its disk before it restarts: {error}");
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn take(&mut self, request: Request) {
        match Op::from_code(request.operation()) {
            Some(Op::Describe) => self.describe(request),
            Some(Op::Read) => self.read(request),
            Some(Op::Write) => self.write(request),
            Some(Op::Flush) => self.flush(request),
            Some(Op::Discard) => self.discard(request),
            Some(Op::Note) => self.note(request),
            None => self.refuse(request, Status::Unknown),
        }
    }

    fn describe(&mut self, request: Request) {
        if request.len() != 0 {
            return self.refuse(request, Status::Malformed);
        }
        let shape = self.volume.shape();
        let description = Description {
            size: shape.size,
            block: shape.block,
            most: shape.most,
            fresh: shape.fresh,
        };
        self.answer(request, &description.to_bytes());
    }

    fn read(&mut self, request: Request) {
        let Some(extent) = self.extent(&request, 0).filter(|e| e.length <= self.most()) else {
            return self.refuse(request, Status::Malformed);
        };
        let Some(loan) = self.loan(&request, extent.length as usize) else {
            return self.server.forget(request);
        };
        let memory = self.server.words_of(&loan);
        let outcome = self.presence.away(|| self.volume.read(extent.offset, memory));
        {
            let mut figures = self.figures.lock();
            figures.reads += 1;
            figures.read_bytes += extent.length;
            figures.count(outcome);
        }
        if outcome != Outcome::Done {
            self.server.give_back(loan);
            return self.answer(request, &outcome.to_bytes());
        }
        if let Err((request, loan, error)) =
            self.server.reply_lent(request, loan, &outcome.to_bytes())
        {
            self.server.give_back(loan);
            self.give_up(request, error);
        }
        self.kick();
    }

    fn write(&mut self, request: Request) {
        let since = Instant::now();
        let extent = self.extent(&request, Extent::DURABLE);
        let fits = |extent: &Extent| {
            let lent = request.lent.map(|buffer| buffer.len() as u64);
            extent.length <= self.most() && lent == Some(extent.length)
        };
        let Some(extent) = extent.filter(fits) else {
            return self.refuse(request, Status::Malformed);
        };
        // Nothing of a client that is dead by now can have come into the buffer: the next one waits
        // with lending until this server has heard of it.
        let Some(memory) = self.server.lent(&request) else {
            return self.server.forget(request);
        };
        let outcome = self.presence.away(|| self.volume.write(extent.offset, memory));
        {
            let mut figures = self.figures.lock();
            figures.writes += 1;
            figures.written_bytes += if outcome == Outcome::Done { extent.length } else { 0 };
            figures.count(outcome);
        }
        if outcome == Outcome::Done && extent.flags & Extent::DURABLE != 0 {
            self.postpone(Waiting { request, since: Some(since) });
        } else {
            self.answer(request, &outcome.to_bytes());
        }
    }

    fn flush(&mut self, request: Request) {
        if request.len() == 0 {
            self.postpone(Waiting { request, since: None });
        } else {
            self.refuse(request, Status::Malformed);
        }
    }

    fn discard(&mut self, request: Request) {
        let Some(extent) = self.extent(&request, 0) else {
            return self.refuse(request, Status::Malformed);
        };
        let outcome = self.presence.away(|| self.volume.discard(extent));
        {
            let mut figures = self.figures.lock();
            figures.discards += 1;
            figures.count(outcome);
        }
        self.answer(request, &outcome.to_bytes());
    }

    fn note(&mut self, request: Request) {
        if request.len() > NOTE_MAX {
            return self.refuse(request, Status::Malformed);
        }
        let mut text = [0; NOTE_MAX];
        let text = &mut text[..request.len()];
        self.server.read(&request, 0, text);
        self.figures.lock().note = Some(String::from_utf8_lossy(text).into_owned());
        self.answer(request, &Outcome::Done.to_bytes());
    }

    /// The part of the disk that a request is about, with no other flags than these; `None` if that
    /// is none. It is read once: what the client makes of it later counts for nothing.
    fn extent(&self, request: &Request, flags: u64) -> Option<Extent> {
        if request.len() != Extent::LEN {
            return None;
        }
        let mut bytes = [0; Extent::LEN];
        self.server.read(request, 0, &mut bytes);
        let extent = Extent::from_bytes(&bytes)?;
        (extent.flags & !flags == 0 && self.volume.has(extent)).then_some(extent)
    }

    const fn most(&self) -> u64 {
        self.volume.shape().most
    }

    fn postpone(&mut self, waiting: Waiting) {
        if self.waiting.is_empty() {
            self.taken = 1;
        }
        self.waiting.push(waiting);
    }

    /// Makes everything durable, and answers those that wait for it.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let is_dirty = self.volume.is_dirty();
        let outcome = self.presence.away(|| self.volume.sync());
        let count = self.waiting.len() as u64;
        for Waiting { request, since } in std::mem::take(&mut self.waiting) {
            self.answer_quietly(request, &outcome.to_bytes());
            let mut figures = self.figures.lock();
            figures.count(outcome);
            if let Some(since) = since {
                figures.took(since.elapsed());
            }
        }
        self.kick();
        let mut figures = self.figures.lock();
        figures.is_lost |= outcome == Outcome::Failed;
        if is_dirty {
            figures.syncs += 1;
            figures.synced += count;
            figures.largest_batch = figures.largest_batch.max(count);
        }
    }

    /// A buffer to be filled and sent. A client that has not read what it was lent before is waited
    /// for, however long it takes: nobody else is served here. `None` if nobody waits for it.
    fn loan(&mut self, request: &Request, length: usize) -> Option<Loan> {
        loop {
            match self.server.lend(length) {
                Ok(loan) => return Some(loan),
                Err(IpcError::Full) => (),
                // It broke the protocol: nothing more is read from it.
                Err(_) => return None,
            }
            // Its answers may be what the client waits for before it reads.
            self.settle();
            self.server.declare_starved();
            match self.server.lend(length) {
                Ok(loan) => return Some(loan),
                Err(IpcError::Full) if self.server.is_awaited(request) && !self.is_stopping() => {
                    self.presence.away(|| self.waiter.sleep(None));
                }
                Err(_) => return None,
            }
        }
    }

    fn refuse(&mut self, request: Request, status: Status) {
        self.figures.lock().refused += 1;
        if let Err((request, error)) = self.server.reply(request, status, 0, |_| ()) {
            self.give_up(request, error);
        }
        self.kick();
    }

    fn answer(&mut self, request: Request, reply: &[u8]) {
        self.answer_quietly(request, reply);
        self.kick();
    }

    /// Answers; the client is still to be woken.
    fn answer_quietly(&mut self, request: Request, reply: &[u8]) {
        let write = |writer: &mut atoll_ipc::ring::Writer<'_>| writer.write(0, reply);
        if let Err((request, error)) = self.server.reply(request, Status::Ok, reply.len(), write) {
            self.give_up(request, error);
        }
    }

    /// The answer does not reach the client: one that leaves no room for it learns so when it reads,
    /// and nobody else waits.
    fn give_up(&mut self, request: Request, error: IpcError) {
        match error {
            IpcError::Full => self.server.owe(request, Status::Exhausted),
            _ => self.server.forget(request),
        }
    }

    fn kick(&self) {
        if self.server.must_kick() {
            signal(&self.client);
        }
    }

    /// Waits for a request, or for the word to stop: it looks for as long as is worth it, then
    /// sleeps.
    fn wait(&mut self) -> Result<Option<Request>, IpcError> {
        self.kick();
        let (server, stop) = (&mut self.server, &self.stop);
        let look = || match server.poll() {
            Ok(None) => stop.load(Ordering::Acquire).then_some(Ok(None)),
            found => Some(found),
        };
        if !self.presence.is_crowded()
            && let Some(found) = self.waiter.spin(None, look)
        {
            return found;
        }
        self.server.declare_asleep();
        self.server.declare_starved();
        let found = self.server.poll();
        // The last look may have given room to a client that has restarted.
        self.kick();
        if matches!(found, Ok(None)) {
            self.presence.away(|| self.waiter.sleep(None));
        }
        self.server.declare_awake();
        found
    }
}

#[cfg(test)]
mod tests;
