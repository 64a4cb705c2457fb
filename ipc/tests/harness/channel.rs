//! A whole channel in one process: a client with calls under way, a server, a nucleus that restarts
//! either, and a hand that writes to every word that a domain can write.

mod client;
mod hand;
mod server;

use std::sync::Arc;
use std::vec::Vec;

use atoll_ipc::calls::Calls;
use atoll_ipc::channel::{Region, Role, restart_client, restart_server};
use atoll_ipc::client::{Client, Reply, Ticket};
use atoll_ipc::lend::Loan;
use atoll_ipc::ready::Ready;
use atoll_ipc::server::{Request, Server};

use super::super::heap::{HeapChannel, SECRET, Words};
use super::input::{Input, unforeseen};

const WORDS: Words = Words { requests: 64, replies: 64, lent_requests: 128, lent_replies: 128 };
/// The channel's bit in its server's ready page.
const NUMBER: u32 = 70;

/// Does what the bytes say, and then tries whether honest successors get along.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new();
    while world.step(&mut input).is_some() {}
    world.recover(unforeseen(bytes));
}

struct World {
    channel: HeapChannel,
    ready: Arc<Ready>,
    calls: Calls<HeapChannel>,
    server: Server<HeapChannel>,
    /// Calls that have no outcome yet, and replies that are not released.
    under_way: Vec<Ticket>,
    replies: Vec<Reply>,
    /// What the server holds.
    held: Vec<Request>,
    /// Buffers that either end has in hand.
    client_loans: Vec<Loan>,
    server_loans: Vec<Loan>,
    /// What the nucleus put into the status page: whoever can read it can forge.
    secret: u64,
    request_secret: u64,
    spare_secret: u64,
    reply_secret: u64,
    /// The hand has written requests with the right key.
    has_forged: bool,
}

impl World {
    fn new() -> Self {
        let ready = Arc::new(Ready::default());
        let channel = HeapChannel::alerting(WORDS, ready.clone(), NUMBER);
        Self {
            calls: Calls::new(Client::attach(channel.clone())),
            server: Server::attach(channel.clone()),
            channel,
            ready,
            under_way: Vec::new(),
            replies: Vec::new(),
            held: Vec::new(),
            client_loans: Vec::new(),
            server_loans: Vec::new(),
            secret: SECRET,
            request_secret: SECRET,
            spare_secret: SECRET,
            reply_secret: !SECRET,
            has_forged: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 32 {
            0..8 => self.client_step(input),
            8..16 => self.server_step(input),
            16..24 => self.hand_step(input),
            24 | 25 => self.look(),
            26 => self.sleep(),
            27 => self.attend(),
            28 => self.restart_server(),
            29 => self.restart_client(),
            30 => self.renew(input.value()?),
            _ => self.stop(input.byte()?),
        }
    }

    /// Everything that an end may ask at any time.
    fn look(&mut self) -> Option<()> {
        let client = self.calls.client_mut();
        let _ = (client.has_reply(), client.is_ready(), client.collect_notifications());
        let _ = self.calls.has_news();
        self.look_over();
        let server = &mut self.server;
        let _ = (server.has_request(), server.is_ready(), server.collect_notifications());
        assert!(self.calls.under_way() <= atoll_ipc::calls::CALLS_MAX);
        Some(())
    }

    fn sleep(&mut self) -> Option<()> {
        self.calls.client().declare_asleep();
        self.calls.client().declare_starved();
        self.server.declare_asleep();
        self.server.declare_starved();
        let _ = (self.calls.client().must_kick(), self.server.must_kick());
        assert!(!self.calls.client().must_kick() && !self.server.must_kick(), "kicked twice");
        self.calls.client().declare_awake();
        self.server.declare_awake();
        Some(())
    }

    /// The server's domain looks at its ready page.
    fn attend(&mut self) -> Option<()> {
        self.ready.declare_asleep();
        let wanting = self.ready.collect();
        assert!(wanting.iter().count() <= 256 && wanting.iter().all(|channel| channel < 256));
        self.ready.declare_awake();
        Some(())
    }

    fn restart_server(&mut self) -> Option<()> {
        self.held.clear();
        self.server_loans.clear();
        let before = self.channel.status().epochs();
        restart_server(&self.channel, before.server + 1);
        if self.channel.status().epochs().requests == before.spare() {
            self.request_secret = self.spare_secret;
        }
        (self.spare_secret, self.reply_secret) = (self.secret, !self.secret);
        self.server = Server::attach(self.channel.clone());
        Some(())
    }

    fn restart_client(&mut self) -> Option<()> {
        self.under_way.clear();
        self.replies.clear();
        self.client_loans.clear();
        restart_client(&self.channel, self.channel.status().epochs().client + 1);
        (self.request_secret, self.reply_secret) = (self.secret, !self.secret);
        self.spare_secret = self.secret;
        self.calls = Calls::new(Client::attach(self.channel.clone()));
        Some(())
    }

    fn renew(&mut self, secret: u64) -> Option<()> {
        self.channel.status().renew(secret);
        self.secret = secret;
        Some(())
    }

    fn stop(&mut self, which: u8) -> Option<()> {
        let role = if which & 1 == 0 { Role::Client } else { Role::Server };
        self.channel.status().set_gone(role, which & 2 == 0);
        Some(())
    }

    /// Restarts an end that had gone wild, with a secret that nobody knows, and has them talk: the
    /// other end need not restart. (A client must, if its server left forged requests behind that
    /// it has still to come to.)
    fn recover(&mut self, secret: u64) {
        for role in [Role::Client, Role::Server] {
            self.channel.status().set_gone(role, false);
        }
        self.renew(secret);
        self.restart_server();
        if !self.has_forged {
            self.talk();
        }
        self.renew(!secret);
        self.restart_client();
        self.talk();
    }

    fn talk(&mut self) {
        self.replies.clear();
        // What the client has in hand is no part of a fresh pool.
        for loan in std::mem::take(&mut self.client_loans) {
            self.calls.client_mut().give_back(loan);
        }
        self.calls.settle_answers();
        while let Some(request) = self.server.poll().expect("an honest client") {
            self.server.forget(request);
        }
        for ticket in std::mem::take(&mut self.under_way) {
            self.calls.cancel(ticket);
        }
        assert_eq!(self.server.poll(), Ok(None), "cancellations are no requests");
        let ticket = self.honest_call();
        self.honest_answer();
        self.honest_outcome(ticket);
        if self.calls.is_idle() {
            let ticket = self.honest_exchange();
            self.honest_word();
            self.honest_short(ticket);
        }
    }
}
