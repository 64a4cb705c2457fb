//! Requests that are delivered again, against a model: each call has one outcome, the next
//! incarnation goes on at the oldest request without an answer and in order, nothing is delivered
//! after its answer, and what was blamed too often is delivered no more.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::calls::{Calls, Outcome};
use crate::channel::{Death, Fates, restart_server_again};
use crate::support::{HeapChannel, cases, steps};

#[derive(Clone, Debug)]
enum Op {
    Call {
        length: usize,
    },
    Exchange,
    Send {
        length: usize,
    },
    Take,
    Answer {
        which: usize,
    },
    Cancel {
        which: usize,
    },
    Hear,
    Die {
        death: Death,
    },
    /// The server dies between a reply and the release of its request.
    DieAnswering {
        which: usize,
    },
    /// It dies, and so does its successor before it has done anything.
    DieTwice,
}

fn op() -> impl Strategy<Value = Op> {
    let death = prop_oneof![Just(Death::Own), Just(Death::Ordered)];
    prop_oneof![
        8 => (8..=120_usize).prop_map(|length| Op::Call { length }),
        4 => Just(Op::Exchange),
        2 => (8..=120_usize).prop_map(|length| Op::Send { length }),
        10 => Just(Op::Take),
        6 => any::<usize>().prop_map(|which| Op::Answer { which }),
        1 => any::<usize>().prop_map(|which| Op::Cancel { which }),
        5 => Just(Op::Hear),
        4 => death.prop_map(|death| Op::Die { death }),
        2 => any::<usize>().prop_map(|which| Op::DieAnswering { which }),
        1 => Just(Op::DieTwice),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waits,
    InService,
    Over,
    Poisoned,
}

/// What must become of one request.
#[derive(Clone, Debug)]
struct Sent {
    ticket: Option<crate::client::Ticket>,
    stage: Stage,
    deliveries: u32,
    blamed: u32,
    is_buried: bool,
}

struct World {
    channel: HeapChannel,
    calls: Calls<HeapChannel>,
    server: Server<HeapChannel>,
    fates: Fates,
    poison_after: u32,
    epoch: u32,
    sent: Vec<Sent>,
    held: Vec<(usize, Request)>,
    outcomes: usize,
}

impl World {
    fn new(words: usize, poison_after: u32) -> Self {
        let channel = HeapChannel::new(words, 256);
        channel.status().redeliver();
        Self {
            calls: Calls::new(Client::attach(channel.clone())),
            server: Server::attach(channel.clone()),
            channel,
            fates: Fates::new(poison_after),
            poison_after,
            epoch: 1,
            sent: Vec::new(),
            held: Vec::new(),
            outcomes: 0,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Call { length } => self.ask(
                |calls, bytes| calls.start(1, bytes.len(), |room| room.write(0, bytes)).map(Some),
                length,
            ),
            Op::Exchange if self.calls.is_idle() => self.ask(
                |calls, bytes| {
                    let ticket = calls.client_mut().exchange(1, 8, |line| line.write(0, bytes))?;
                    calls.enter(ticket);
                    Ok(Some(ticket))
                },
                8,
            ),
            Op::Exchange => {}
            Op::Send { length } => self.ask(
                |calls, bytes| {
                    let client = calls.client_mut();
                    client
                        .request(RequestKind::Send, 1, bytes.len(), |room| room.write(0, bytes))?;
                    Ok(None)
                },
                length,
            ),
            Op::Take => _ = self.take(),
            Op::Answer { which } => _ = self.answer(which),
            Op::Cancel { which } => self.cancel(which),
            Op::Hear => self.hear(),
            Op::Die { death } => self.die(death),
            Op::DieAnswering { which } => self.die_answering(which),
            Op::DieTwice => {
                self.die(Death::Own);
                self.die(Death::Own);
            }
        }
    }

    fn ask(
        &mut self,
        send: impl FnOnce(
            &mut Calls<HeapChannel>,
            &[u8],
        ) -> Result<Option<crate::client::Ticket>, IpcError>,
        length: usize,
    ) {
        let length = length.min(self.calls.client().max_request());
        let mut bytes = self.sent.len().to_le_bytes().to_vec();
        bytes.resize(length, 7);
        match send(&mut self.calls, &bytes) {
            Ok(ticket) => self.sent.push(Sent {
                ticket,
                stage: Stage::Waits,
                deliveries: 0,
                blamed: 0,
                is_buried: false,
            }),
            Err(error) => assert_eq!(error, IpcError::Full),
        }
    }

    fn take(&mut self) -> bool {
        let is_ready = self.server.has_request();
        let Some(request) = self.server.poll().unwrap() else { return false };
        assert!(is_ready, "a server that sleeps would not have found it");
        let mut payload = vec![0; request.len()];
        self.server.read(&request, 0, &mut payload);
        let id = usize::from_le_bytes(payload[..8].try_into().unwrap());
        assert!(payload[8..].iter().all(|&byte| byte == 7), "as it was sent");
        let next = self.sent.iter().position(|sent| sent.stage == Stage::Waits);
        assert_eq!(Some(id), next, "in order, and none that was answered or is poisoned");
        assert_eq!(self.server.redeliveries(&request), self.sent[id].deliveries);
        self.sent[id].stage = Stage::InService;
        self.held.push((id, request));
        true
    }

    fn answer(&mut self, which: usize) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let (id, request) = self.held.remove(which % self.held.len());
        // Some are too long for the place of their request.
        let length = if id % 3 == 0 { SHORT + 8 } else { 8 };
        let reply = self.server.reply(request, Status::Ok, length, |room| {
            room.write(0, &id.to_le_bytes());
        });
        match reply {
            Ok(()) => self.sent[id].stage = Stage::Over,
            Err((request, error)) => {
                assert_eq!(error, IpcError::Full);
                self.held.push((id, request));
                return false;
            }
        }
        true
    }

    fn cancel(&mut self, which: usize) {
        let waiting: Vec<_> = self.sent.iter_mut().filter(|sent| sent.ticket.is_some()).collect();
        let count = waiting.len();
        if let Some(sent) = waiting.into_iter().nth(which.checked_rem(count).unwrap_or(0)) {
            self.calls.cancel(sent.ticket.take().unwrap());
        }
    }

    /// Asks for the outcome of each call.
    fn hear(&mut self) {
        self.calls.settle_answers();
        for (id, sent) in self.sent.iter_mut().enumerate() {
            let Some(ticket) = sent.ticket else { continue };
            let expected = match self.calls.outcome(ticket) {
                Ok(None) => {
                    assert_ne!(sent.stage, Stage::Over, "call {id} was answered");
                    assert_ne!(sent.stage, Stage::Poisoned, "call {id} is poisoned");
                    continue;
                }
                Ok(Some(outcome)) => {
                    assert_eq!(read(&mut self.calls, outcome), id);
                    Stage::Over
                }
                Err(error) => {
                    assert_eq!(error, IpcError::Poisoned, "call {id}: {sent:?}");
                    Stage::Poisoned
                }
            };
            assert_eq!(sent.stage, expected, "call {id}");
            sent.ticket = None;
            self.outcomes += 1;
        }
    }

    fn die(&mut self, death: Death) {
        self.held.clear();
        let mut last = None;
        for (id, sent) in self.sent.iter_mut().enumerate() {
            if sent.stage == Stage::InService {
                sent.stage = Stage::Waits;
                sent.deliveries += 1;
                last = Some(id);
            }
        }
        let mut poisoned = None;
        if let Some(id) = last.filter(|_| death == Death::Own) {
            let sent = &mut self.sent[id];
            sent.blamed += 1;
            if sent.blamed == self.poison_after {
                sent.stage = Stage::Poisoned;
                poisoned = Some(id);
            }
        }
        self.epoch += 1;
        self.channel.status().renew(u64::from(self.epoch));
        let sent = &mut self.sent;
        restart_server_again(&self.channel, self.epoch, &mut self.fates, death, |buried| {
            let mut payload = vec![0; buried.len()];
            buried.read(&mut payload);
            let id = usize::from_le_bytes(payload[..8].try_into().unwrap());
            assert_eq!(Some(id), poisoned);
            assert_eq!(buried.deliveries, sent[id].deliveries);
            sent[id].is_buried = true;
        });
        if let Some(id) = poisoned {
            assert!(sent[id].is_buried);
        }
        self.server = Server::attach(self.channel.clone());
    }

    fn die_answering(&mut self, which: usize) {
        if !self.held.is_empty() {
            let (id, request) = self.held.remove(which % self.held.len());
            if request.is_call()
                && let Ok(mut reply) = self.server.replies.reserve(8)
            {
                reply.write(0, &id.to_le_bytes());
                reply.commit(Kind::Reply, answer_to(&request, Status::Ok));
                self.sent[id].stage = Stage::Over;
            }
        }
        self.die(Death::Own);
    }

    /// Both ends run until there is nothing left to do.
    fn settle(mut self) {
        loop {
            self.hear();
            let taken = self.take();
            let answered = self.answer(0);
            if !taken && !answered && self.held.is_empty() {
                break;
            }
        }
        self.hear();
        for (id, sent) in self.sent.iter().enumerate() {
            assert!(matches!(sent.stage, Stage::Over | Stage::Poisoned), "request {id}: {sent:?}");
            assert!(sent.ticket.is_none(), "call {id} has no outcome");
        }
        let rejected = self.channel.shared().replies().counts().rejected;
        assert_eq!(rejected, 0, "nothing was answered twice");
    }
}

fn read(calls: &mut Calls<HeapChannel>, outcome: Outcome) -> usize {
    let mut payload = [0; 8];
    match outcome {
        Outcome::Short(_, short) => payload.copy_from_slice(&short.bytes()[..8]),
        Outcome::Kept(kept) => payload.copy_from_slice(&kept.payload[..8]),
        Outcome::Reply(reply) => {
            calls.client().read(&reply, 0, &mut payload);
            calls.client_mut().release(reply);
        }
    }
    usize::from_le_bytes(payload)
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn each_request_has_one_outcome_however_often_its_server_dies(
        log in 4..9_u32,
        poison_after in 1..4_u32,
        ops in prop::collection::vec(op(), 1..=steps(200)),
    ) {
        let mut world = World::new(1 << log, poison_after);
        for op in &ops {
            world.apply(op);
        }
        world.settle();
    }
}

const CALL: Op = Op::Call { length: 8 };
const DIE: Op = Op::Die { death: Death::Own };

fn world_after(poison_after: u32, ops: &[Op]) -> World {
    let mut world = World::new(256, poison_after);
    ops.iter().for_each(|op| world.apply(op));
    world
}

#[test]
fn what_was_in_service_comes_before_what_was_not_read_and_says_how_often() {
    let mut world = world_after(9, &[CALL, CALL, CALL, Op::Take, Op::Take, DIE, Op::Take, DIE]);
    for (id, times) in [(0, 2), (1, 1), (2, 0)] {
        assert!(world.take());
        assert_eq!((world.held[id].0, world.sent[id].deliveries), (id, times));
    }
    world.settle();
}

#[test]
fn answers_out_of_order_are_not_asked_for_again() {
    let mut world = world_after(9, &[CALL, CALL, CALL, Op::Take, Op::Take, Op::Take]);
    world.apply(&Op::Answer { which: 1 });
    world.apply(&DIE);
    assert!(world.take() && world.take() && !world.take());
    assert_eq!((world.held[0].0, world.held[1].0), (0, 2));
    world.settle();
}

#[test]
fn a_poisoned_call_ends_at_once_and_the_others_are_served() {
    let mut world = world_after(2, &[CALL, CALL, Op::Take, DIE, Op::Take, DIE]);
    world.hear();
    assert_eq!(world.outcomes, 1, "the poisoned one, before any server has said a word");
    assert!(world.take() && !world.take());
    assert_eq!(world.held[0].0, 1);
    world.settle();
}

#[test]
fn orders_to_end_put_nothing_down_to_a_request() {
    let ordered = Op::Die { death: Death::Ordered };
    let mut world = world_after(1, &[CALL, Op::Take, ordered.clone(), Op::Take, ordered]);
    assert!(world.take());
    assert_eq!(world.sent[0].deliveries, 2);
    world.settle();
}

#[test]
fn a_request_that_was_given_up_is_known_to_be_so_when_it_comes_again() {
    let mut world = world_after(9, &[CALL, CALL, Op::Take, Op::Take, Op::Cancel { which: 0 }]);
    assert!(!world.take(), "the server hears of it");
    world.apply(&DIE);
    assert!(world.take() && world.take());
    let (_, request) = &world.held[0];
    assert!(world.server.is_cancelled(request));
    world.settle();
}

#[test]
fn nothing_of_a_dead_client_is_delivered_again() {
    let mut world = world_after(9, &[CALL, CALL, Op::Take]);
    restart_client(&world.channel, 2);
    world.sent.clear();
    world.calls = Calls::new(Client::attach(world.channel.clone()));
    world.die(Death::Own);
    assert!(!world.take());
    // Now it knows the new server, which hears of the ring that it begins.
    assert!(world.channel.status().epochs().server == 2);
    world.hear();
    assert!(!world.take());
    world.apply(&CALL);
    assert!(world.take());
    world.settle();
}

/// A dead server can have claimed anything: then what was in service fails, and nobody waits.
#[test]
fn impossible_claims_of_what_was_released_fail_what_was_in_service() {
    for head in [8, 1 << 40, u64::MAX] {
        let mut world = world_after(9, &[CALL, CALL, Op::Take]);
        world.channel.shared().requests().scribble(2, head);
        world.sent[0].stage = Stage::Over;
        world.die(Death::Own);
        let first = world.sent[0].ticket.take().unwrap();
        assert!(matches!(world.calls.outcome(first), Err(IpcError::PeerRestarted)), "{head:#x}");
        world.settle();
    }
}

/// A mark is the server's word: if no answer came, its caller is told that none will.
#[test]
fn a_request_that_was_marked_without_an_answer_fails() {
    let mut world = world_after(9, &[CALL, CALL, Op::Take, Op::Take]);
    let (_, request) = &world.held[1];
    world.server.requests.mark_done(&request.record);
    world.sent[1].stage = Stage::Over;
    world.die(Death::Own);
    world.calls.settle_answers();
    assert!(world.take() && !world.take());
    let second = world.sent[1].ticket.take().unwrap();
    assert!(matches!(world.calls.outcome(second), Err(IpcError::PeerRestarted)));
    world.settle();
}
