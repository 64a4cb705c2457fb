//! Any order of calls, answers, cancellations, lost replies and deaths, beside a model that knows
//! what must become of each call.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::support::{cases, steps};

#[derive(Clone, Debug)]
enum Op {
    Start {
        length: usize,
    },
    StartLent {
        length: usize,
    },
    /// An exchange, if there may be one now.
    Exchange {
        length: usize,
    },
    Ask {
        which: usize,
    },
    Settle,
    Cancel {
        which: usize,
    },
    Take,
    Answer {
        which: usize,
        length: usize,
        lent: usize,
    },
    /// The server forgets a request: its reply is lost.
    Lose {
        which: usize,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<usize>;
    prop_oneof![
        6 => (8..120_usize).prop_map(|length| Op::Start { length }),
        3 => (1..400_usize).prop_map(|length| Op::StartLent { length }),
        4 => (8..=48_usize).prop_map(|length| Op::Exchange { length }),
        6 => which().prop_map(|which| Op::Ask { which }),
        1 => Just(Op::Settle),
        2 => which().prop_map(|which| Op::Cancel { which }),
        8 => Just(Op::Take),
        6 => (which(), 8..80_usize, prop_oneof![Just(0), 1..400_usize])
            .prop_map(|(which, length, lent)| Op::Answer { which, length, lent }),
        1 => which().prop_map(|which| Op::Lose { which }),
        1 => Just(Op::Restart),
    ]
}

/// What happened to a call at the server, and in which of its incarnations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Unread,
    Taken { epoch: u32 },
    Answered { epoch: u32, length: usize, lent: usize },
}

#[derive(Debug)]
struct Known {
    id: u64,
    ticket: Ticket,
    lent: usize,
    fate: Fate,
}

struct World {
    channel: HeapChannel,
    calls: Calls<HeapChannel>,
    server: Server<HeapChannel>,
    epoch: u32,
    next: u64,
    /// Calls that have no outcome yet, and those that were given up.
    known: Vec<Known>,
    given_up: Vec<Known>,
    held: Vec<(u64, Request)>,
}

impl World {
    fn new() -> Self {
        let words = Words { requests: 128, replies: 64, lent_requests: 128, lent_replies: 128 };
        let channel = HeapChannel::with_buffers(words);
        Self {
            calls: Calls::new(Client::attach(channel.clone())),
            server: Server::attach(channel.clone()),
            channel,
            epoch: 1,
            next: 0,
            known: Vec::new(),
            given_up: Vec::new(),
            held: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Start { length } => self.start(length),
            Op::StartLent { length } => self.start_lent(length),
            Op::Exchange { length } => self.exchange(length),
            Op::Ask { which } if !self.known.is_empty() => self.ask(which % self.known.len()),
            Op::Settle => self.calls.settle_answers(),
            Op::Cancel { which } if !self.known.is_empty() => {
                let known = self.known.swap_remove(which % self.known.len());
                self.calls.cancel(known.ticket);
                self.given_up.push(known);
            }
            Op::Take => _ = self.take(),
            Op::Answer { which, length, lent } if !self.held.is_empty() => {
                _ = self.answer(which % self.held.len(), length, lent);
            }
            Op::Lose { which } if !self.held.is_empty() => {
                let (_, request) = self.held.swap_remove(which % self.held.len());
                self.server.forget(request);
            }
            Op::Restart => self.restart(),
            Op::Ask { .. } | Op::Cancel { .. } | Op::Answer { .. } | Op::Lose { .. } => {}
        }
    }

    fn note(&mut self, started: Result<Ticket, IpcError>, lent: usize) {
        match started {
            Ok(ticket) => {
                self.known.push(Known { id: self.next, ticket, lent, fate: Fate::Unread });
                self.next += 1;
            }
            Err(error) => assert_eq!(error, IpcError::Full),
        }
    }

    fn start(&mut self, length: usize) {
        let id = self.next;
        let started = self.calls.start(1, length, |room| room.write(0, &id.to_le_bytes()));
        self.note(started, 0);
    }

    fn exchange(&mut self, length: usize) {
        if !self.calls.is_idle() {
            return;
        }
        let id = self.next.to_le_bytes();
        let asked = self.calls.client_mut().exchange(1, length, |line| line.write(0, &id));
        if let Ok(ticket) = asked {
            self.calls.enter(ticket);
        }
        self.note(asked, 0);
    }

    fn start_lent(&mut self, length: usize) {
        let loan = match self.calls.client_mut().lend(length) {
            Ok(loan) => loan,
            Err(error) => return assert_eq!(error, IpcError::Full),
        };
        self.calls.client().fill(&loan, 0, &pattern(self.next, length));
        let started = self.calls.start_lent(1, loan, &self.next.to_le_bytes());
        let started = started.map_err(|(loan, error)| {
            self.calls.client_mut().give_back(loan);
            error
        });
        self.note(started, length);
    }

    fn find(&mut self, id: u64) -> &mut Known {
        let mut all = self.known.iter_mut().chain(&mut self.given_up);
        all.find(|known| known.id == id).expect("a request that nobody sent")
    }

    fn take(&mut self) -> bool {
        let Some(request) = self.server.poll().unwrap() else { return false };
        let mut bytes = [0; 8];
        self.server.read(&request, 0, &mut bytes);
        let (id, epoch) = (u64::from_le_bytes(bytes), self.epoch);
        let known = self.find(id);
        assert_eq!(known.fate, Fate::Unread, "a request is taken once");
        known.fate = Fate::Taken { epoch };
        let lent = known.lent;
        assert_eq!(request.lent.map_or(0, |span| span.len()), lent);
        if lent > 0 {
            let mut buffer = vec![0; lent];
            self.server.read_lent(&request, 0, &mut buffer);
            assert_eq!(buffer, pattern(id, lent), "nobody writes to what is lent");
        }
        self.held.push((id, request));
        true
    }

    /// Returns whether there was room for the answer.
    fn answer(&mut self, which: usize, length: usize, lent: usize) -> bool {
        let (id, request) = self.held.remove(which);
        let result = if lent == 0 {
            let bytes = pattern(id, length);
            self.server.reply(request, Status::Ok, length, |room| room.write(0, &bytes))
        } else {
            self.answer_lent(id, request, lent)
        };
        if let Err((request, error)) = result {
            assert_eq!(error, IpcError::Full);
            self.held.insert(which, (id, request));
            return false;
        }
        let epoch = self.epoch;
        self.find(id).fate = Fate::Answered { epoch, length, lent };
        true
    }

    fn answer_lent(
        &mut self,
        id: u64,
        request: Request,
        lent: usize,
    ) -> Result<(), (Request, IpcError)> {
        let loan = match self.server.lend(lent) {
            Ok(loan) => loan,
            Err(error) => return Err((request, error)),
        };
        self.server.fill(&loan, 0, &pattern(!id, lent));
        let result = self.server.reply_lent(request, loan, &id.to_le_bytes());
        result.map_err(|(request, loan, error)| {
            self.server.give_back(loan);
            (request, error)
        })
    }

    fn restart(&mut self) {
        self.held.clear();
        self.epoch += 1;
        self.server = restart_server(&self.channel);
    }

    fn ask(&mut self, which: usize) {
        let ticket = self.known[which].ticket;
        let outcome = self.calls.outcome(ticket);
        if let Ok(None) = outcome {
            let (fate, epoch) = (self.known[which].fate, self.epoch);
            assert!(fate == Fate::Unread || fate == Fate::Taken { epoch }, "{fate:?}");
            return;
        }
        let known = self.known.swap_remove(which);
        let kept = match outcome.transpose().expect("not under way any more") {
            Ok(Outcome::Reply(reply)) => {
                let copied = self.calls.copy(&reply);
                self.calls.client_mut().release(reply);
                copied
            }
            Ok(Outcome::Kept(kept)) => Ok(kept),
            Ok(Outcome::Short(status, short)) => {
                Ok(Kept { status, payload: short.bytes().into(), lent: None })
            }
            Err(error) => Err(error),
        };
        self.check(&known, kept);
        assert_eq!(self.calls.outcome(ticket).unwrap_err(), IpcError::NotFound, "a second outcome");
    }

    fn check(&self, known: &Known, outcome: Result<Kept, IpcError>) {
        let died = |epoch| epoch < self.epoch;
        match (known.fate, outcome) {
            (Fate::Answered { length, lent, .. }, Ok(kept)) => {
                let id = known.id.to_le_bytes().to_vec();
                let payload = if lent > 0 { id } else { pattern(known.id, length) };
                assert_eq!(*kept.payload, payload);
                let buffer = (lent > 0).then(|| pattern(!known.id, lent));
                assert_eq!(kept.lent.as_deref(), buffer.as_deref());
            }
            (Fate::Taken { epoch }, Err(IpcError::PeerRestarted)) => assert!(died(epoch)),
            // The buffer is the next incarnation's.
            (Fate::Answered { epoch, lent, .. }, Err(IpcError::PeerRestarted)) => {
                assert!(died(epoch) && lent > 0);
            }
            (fate, outcome) => panic!("{fate:?} became {outcome:?}"),
        }
    }

    /// Lets the server do all that is left; a last death takes what it lost.
    fn settle(&mut self) {
        loop {
            while !self.held.is_empty() && self.answer(0, 8, 0) {}
            let took = self.take();
            self.calls.settle_answers();
            if !took && self.held.is_empty() {
                break;
            }
        }
        self.restart();
        self.calls.settle_answers();
        while !self.known.is_empty() {
            let before = self.known.len();
            self.ask(0);
            assert!(self.known.len() < before, "a call has no outcome: {:?}", self.known);
        }
        assert_eq!(self.calls.under_way(), 0, "a call that was given up keeps its place");
        assert_eq!(rejected(&self.channel), 0, "an honest server was accused");
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn each_call_has_exactly_one_outcome(ops in prop::collection::vec(op(), 1..=steps(250))) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.settle();
    }
}
