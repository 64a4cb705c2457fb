//! A peer that writes anything anywhere in a channel: the other end neither panics, nor leaves
//! the channel's memory, nor goes on for ever, and after a restart it is served again.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use crate::channel::{Region, resume_point};
use crate::client::{Client, ClientEvent};
use crate::message::{IpcError, Status};
use crate::record::{Head, Kind};
use crate::ring::{Control, key};
use crate::server::{Request, Server};
use crate::support::{HeapChannel, cases, steps};
use crate::sync::Ordering::Relaxed;
use crate::words::WORD;

#[derive(Clone, Copy, Debug)]
enum Side {
    Requests,
    Replies,
}

#[derive(Clone, Debug)]
enum Op {
    Call {
        length: usize,
    },
    Take,
    Answer {
        length: usize,
    },
    Forget,
    Hear,
    Sleep,
    RestartServer,
    RestartClient,
    Data {
        side: Side,
        at: usize,
        value: u64,
    },
    Control {
        side: Side,
        which: u8,
        value: u64,
    },
    /// A record with a right tag and any header, which a peer that knows the secret can make.
    Forge {
        side: Side,
        at: u64,
        length: u32,
        kind: u8,
        flags: u8,
        word: u32,
    },
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Requests), Just(Side::Replies)]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), (0..64_u64).prop_map(|n| n * 16), (0..64_u64).prop_map(|n| !n)]
}

fn op() -> impl Strategy<Value = Op> {
    let forge = (side(), 0..64_u64, 0..600_u32, 1..=5_u8, 0..3_u8, any::<u32>());
    prop_oneof![
        6 => (0..300_usize).prop_map(|length| Op::Call { length }),
        6 => Just(Op::Take),
        4 => (0..300_usize).prop_map(|length| Op::Answer { length }),
        1 => Just(Op::Forget),
        6 => Just(Op::Hear),
        1 => Just(Op::Sleep),
        1 => Just(Op::RestartServer),
        1 => Just(Op::RestartClient),
        2 => (side(), any::<usize>(), value()).prop_map(|(side, at, value)| Op::Data { side, at, value }),
        3 => (side(), any::<u8>(), value())
            .prop_map(|(side, which, value)| Op::Control { side, which, value }),
        4 => forge.prop_map(|(side, at, length, kind, flags, word)| {
            Op::Forge { side, at: at * 16, length, kind, flags, word }
        }),
    ]
}

/// Two honest ends in a channel that a third hand scribbles over.
struct Victims {
    channel: HeapChannel,
    client: Client<HeapChannel>,
    server: Server<HeapChannel>,
    held: Vec<Request>,
}

impl Victims {
    fn new() -> Self {
        let channel = HeapChannel::new(64, 64);
        let client = Client::attach(channel.clone());
        let server = Server::attach(channel.clone());
        Self { channel, client, server, held: Vec::new() }
    }

    fn control(&self, side: Side) -> &Control {
        match side {
            Side::Requests => self.channel.shared().requests(),
            Side::Replies => self.channel.shared().replies(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Call { length } => self.call(length),
            Op::Take => self.take(),
            Op::Answer { length } => self.answer(length),
            Op::Forget => {
                if let Some(request) = self.held.pop() {
                    self.server.forget(request);
                }
            }
            Op::Hear => self.hear(),
            Op::Sleep => {
                self.client.declare_asleep();
                self.server.declare_starved();
                let _ = (self.client.must_kick(), self.server.must_kick());
            }
            Op::RestartServer => self.restart_server(),
            Op::RestartClient => self.restart_client(),
            Op::Data { side, at, value } => self.scribble(side, at, value),
            Op::Control { side, which, value } => self.control(side).scribble(which, value),
            Op::Forge { side, at, length, kind, flags, word } => {
                let low = u64::from(length) | u64::from(kind) << 24 | u64::from(flags) << 28;
                self.forge(side, at, low | u64::from(word) << 32);
            }
        }
    }

    fn call(&mut self, length: usize) {
        let bytes = vec![7; length];
        if let Err(error) = self.client.request(Kind::Call, 1, length, |room| room.write(0, &bytes))
        {
            let known = [IpcError::Full, IpcError::TooLarge, IpcError::Protocol];
            assert!(known.contains(&error), "{error:?}");
        }
    }

    fn take(&mut self) {
        match self.server.poll() {
            Ok(Some(request)) => {
                assert!(request.len() <= self.client.max_request());
                self.server.read(&request, 0, &mut vec![0; request.len()]);
                self.held.push(request);
            }
            Ok(None) | Err(IpcError::Protocol) => {}
            Err(error) => panic!("{error:?} is no answer to a hostile client"),
        }
    }

    fn answer(&mut self, length: usize) {
        let Some(request) = self.held.pop() else { return };
        let bytes = vec![8; length];
        let result = self.server.reply(request, Status::Ok, length, |room| room.write(0, &bytes));
        if let Err((request, error)) = result {
            assert!(!matches!(error, IpcError::Timeout | IpcError::Rejected), "{error:?}");
            self.server.forget(request);
        }
    }

    fn hear(&mut self) {
        match self.client.poll() {
            Ok(Some(ClientEvent::Reply(reply))) => {
                assert!(reply.len() <= self.server.max_reply());
                self.client.read(&reply, 0, &mut vec![0; reply.len()]);
                self.client.release(&reply);
            }
            Ok(_) | Err(IpcError::Protocol) => {}
            Err(error) => panic!("{error:?} is no answer to a hostile server"),
        }
    }

    fn restart_server(&mut self) {
        self.held.clear();
        let status = self.channel.status();
        let epochs = status.epochs();
        let claims = self.channel.shared().requests().claims();
        let bytes = (self.channel.requests().len() * WORD) as u64;
        status.server_restarts(epochs.server + 1, resume_point(&claims, epochs.client, bytes));
        self.server = Server::attach(self.channel.clone());
    }

    fn restart_client(&mut self) {
        let status = self.channel.status();
        status.client_restarts(status.epochs().client + 1);
        self.client = Client::attach(self.channel.clone());
    }

    fn scribble(&self, side: Side, at: usize, value: u64) {
        let data = match side {
            Side::Requests => self.channel.requests(),
            Side::Replies => self.channel.replies(),
        };
        data[at % data.len()].store(value, Relaxed);
    }

    fn forge(&self, side: Side, position: u64, head: u64) {
        let snapshot = self.channel.status().snapshot();
        let key = match side {
            Side::Requests => key(snapshot.secrets.requests, snapshot.epochs.requests()),
            Side::Replies => key(snapshot.secrets.replies, snapshot.epochs.replies()),
        };
        let at = position as usize / WORD;
        self.scribble(side, at, position ^ key);
        self.scribble(side, at + 1, head);
    }

    /// Restarts both ends and tries whether an honest pair gets along in what is left.
    fn recover(&mut self) {
        self.restart_client();
        self.restart_server();
        self.channel.status().renew(0xf0e5);
        self.restart_client();
        while self.server.poll() != Ok(None) {}
        self.call(100);
        self.take();
        let request = self.held.pop().expect("an honest request is heard");
        self.server.reply(request, Status::Ok, 5, |room| room.write(0, b"fresh")).unwrap();
        let Ok(Some(ClientEvent::Reply(reply))) = self.client.poll() else {
            panic!("an honest reply is heard");
        };
        let mut bytes = [0; 5];
        self.client.read(&reply, 0, &mut bytes);
        assert_eq!(&bytes, b"fresh");
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_hostile_peer_breaks_nothing_and_its_successor_is_served(
        ops in prop::collection::vec(op(), 1..=steps(150)),
    ) {
        let mut victims = Victims::new();
        for op in &ops {
            victims.apply(op);
        }
        victims.recover();
    }
}

#[test]
fn an_operation_code_beyond_sixteen_bits_is_a_breach_of_the_protocol() {
    let mut victims = Victims::new();
    let head = Head { length: 0, kind: Kind::Call, flags: 0, word: 1 << 16 };
    victims.forge(Side::Requests, 0, head.to_bits());
    assert_eq!(victims.server.poll(), Err(IpcError::Protocol));
    let head = Head { word: u16::MAX.into(), ..head };
    victims.forge(Side::Requests, 0, head.to_bits());
    assert!(matches!(victims.server.poll(), Ok(Some(_))));
}

#[test]
fn a_status_that_nobody_knows_is_a_breach_of_the_protocol() {
    let mut victims = Victims::new();
    let head = Head { length: 0, kind: Kind::Reply, flags: 15, word: 1 };
    victims.forge(Side::Replies, 0, head.to_bits());
    assert_eq!(victims.client.poll(), Err(IpcError::Protocol));
}
