//! How the two ends live by themselves: work while there is work, then say so and sleep until
//! kicked. A kick that is not sent leaves its sleeper asleep, and the conversation unfinished.

use super::world::World;
use crate::channel::Role;

/// More steps than any conversation here needs; a conversation that takes them all goes in
/// circles.
const MANY: usize = 100_000;
/// Steps in which an end that has nothing to wait for has done all it can.
const SLICE: usize = 1000;

/// Who is awake. A restart wakes both, as the nucleus does.
#[derive(Debug)]
pub(super) struct Awake {
    pub(super) client: bool,
    pub(super) server: bool,
}

impl Default for Awake {
    fn default() -> Self {
        Self { client: true, server: true }
    }
}

/// Whose next incarnation has not attached yet. Between a restart and that, anything can happen.
#[derive(Debug, Default)]
pub(super) struct Unborn {
    pub(super) client: bool,
    pub(super) server: bool,
}

impl World {
    /// Lets both ends run until both sleep, and checks that nothing is left undone.
    pub(super) fn settle(&mut self) {
        self.live(MANY);
        assert!(!self.awake.client && !self.awake.server, "the two go in circles");
        self.check_settled();
    }

    /// Lets both ends run, in turn, for so many steps or until both sleep.
    pub(super) fn live(&mut self, steps: usize) {
        for step in 0..steps {
            match (self.awake.client, self.awake.server) {
                (false, false) => return,
                (true, true) if step % 2 == 0 => self.live_client(),
                (true, false) => self.live_client(),
                (_, true) => self.live_server(),
            }
        }
    }

    /// Lets one end run until it sleeps, for as long as a time slice is.
    pub(super) fn live_alone(&mut self, role: Role) {
        for _ in 0..SLICE {
            match role {
                Role::Client if self.awake.client => self.live_client(),
                Role::Server if self.awake.server => self.live_server(),
                _ => return,
            }
        }
    }

    pub(super) fn kick_both(&mut self) {
        // The dead ask nothing.
        self.awake.server |= !self.unborn.client && self.client.must_kick();
        self.awake.client |= !self.unborn.server && self.server.must_kick();
    }

    fn live_client(&mut self) {
        self.attach_client();
        self.client.declare_awake();
        if self.client_works() {
            return;
        }
        self.awake.server |= self.client.must_kick();
        self.client.declare_asleep();
        if !self.outbox.is_empty() {
            self.client.declare_starved();
        }
        // Once more after the declarations; then sleep.
        self.awake.client = self.client_works();
        self.awake.server |= self.client.must_kick();
    }

    fn client_works(&mut self) -> bool {
        let noted = self.client.collect_notifications() != 0;
        let heard = self.hear();
        self.flush() | heard | noted
    }

    fn live_server(&mut self) {
        self.attach_server();
        self.server.declare_awake();
        if self.server_works() {
            return;
        }
        self.awake.client |= self.server.must_kick();
        self.server.declare_asleep();
        if !self.held.is_empty() {
            self.server.declare_starved();
        }
        self.awake.server = self.server_works();
        self.awake.client |= self.server.must_kick();
    }

    fn server_works(&mut self) -> bool {
        let noted = self.server.collect_notifications() != 0;
        let answered = !self.held.is_empty() && self.answer(self.held.len() - 1);
        self.take() | answered | noted
    }
}
