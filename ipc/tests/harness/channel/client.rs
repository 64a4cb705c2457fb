//! What the client does, and what it may be told, however hostile its server.

use std::vec;

use atoll_ipc::calls::Outcome;
use atoll_ipc::client::{Reply, Ticket};
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::record::{RequestKind, SHORT};

use super::super::input::Input;
use super::World;

impl World {
    pub(super) fn client_step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 12 {
            0 | 1 => self.start(input.small()?),
            2 => self.start_lent(input.small()? * 2, input.small()? % 32),
            3 => self.send(input.small()?),
            4 | 5 => self.ask(input.small()?),
            6 => self.cancel(input.small()?),
            7 => self.release(input.small()?),
            8 => self.calls.settle_answers(),
            9 | 10 => self.exchange(input.small()?),
            _ => self.borrow(input.small()? * 4),
        }
        Some(())
    }

    fn start(&mut self, length: usize) {
        let bytes = vec![7; length];
        match self.calls.start(1, length, |room| room.write(0, &bytes)) {
            Ok(ticket) => self.under_way.push(ticket),
            Err(error) => may_be_told_at_the_start(error),
        }
    }

    fn exchange(&mut self, length: usize) {
        if !self.calls.is_idle() {
            return;
        }
        let bytes = vec![2; length];
        match self.calls.client_mut().exchange(5, length, |line| line.write(0, &bytes)) {
            Ok(ticket) => {
                self.calls.enter(ticket);
                self.under_way.push(ticket);
            }
            Err(error) => may_be_told_at_the_start(error),
        }
    }

    /// A look at what lies over each request, whether an answer was asked for there or not.
    pub(super) fn look_over(&self) {
        for &ticket in &self.under_way {
            match self.calls.client().answer(ticket) {
                Ok(Some((_, short))) => assert!(short.bytes().len() <= SHORT),
                Ok(None) | Err(IpcError::Protocol) => (),
                Err(error) => panic!("{error:?} is no answer to a hostile server"),
            }
        }
    }

    fn start_lent(&mut self, lent: usize, length: usize) {
        let loan = match self.client_loans.pop() {
            Some(loan) => loan,
            None => match self.calls.client_mut().lend(lent) {
                Ok(loan) => loan,
                Err(error) => return may_be_told_at_the_start(error),
            },
        };
        self.calls.client().fill(&loan, 0, &vec![6; loan.len()]);
        match self.calls.start_lent(2, loan, &vec![5; length]) {
            Ok(ticket) => self.under_way.push(ticket),
            Err((loan, error)) => {
                may_be_told_at_the_start(error);
                self.calls.client_mut().give_back(loan);
            }
        }
    }

    fn send(&mut self, length: usize) {
        let bytes = vec![4; length];
        let client = self.calls.client_mut();
        client.notify(length as u64);
        if let Err(error) =
            client.request(RequestKind::Send, 3, length, |room| room.write(0, &bytes))
        {
            may_be_told_at_the_start(error);
        }
    }

    fn ask(&mut self, which: usize) {
        if self.under_way.is_empty() {
            return;
        }
        let which = which % self.under_way.len();
        let ticket = self.under_way[which];
        match self.calls.outcome(ticket) {
            Ok(None) => return,
            Ok(Some(Outcome::Reply(reply))) => {
                assert_eq!(reply.token, ticket.token());
                self.read_reply(&reply);
                self.replies.push(reply);
            }
            Ok(Some(Outcome::Kept(kept))) => {
                assert!(kept.payload.len() <= self.server.max_reply());
            }
            Ok(Some(Outcome::Short(_, short))) => assert!(short.bytes().len() <= SHORT),
            Err(error) => assert!(
                matches!(
                    error,
                    IpcError::Protocol
                        | IpcError::PeerRestarted
                        | IpcError::PeerGone
                        | IpcError::Exhausted
                ),
                "{error:?} is no outcome"
            ),
        }
        self.under_way.swap_remove(which);
        let again = self.calls.outcome(ticket);
        assert!(again.is_err(), "a call that has ended ends once more: {again:?}");
    }

    fn read_reply(&self, reply: &Reply) {
        assert!(reply.len() <= self.server.max_reply());
        self.calls.client().read(reply, 0, &mut vec![0; reply.len()]);
        if let Some(span) = reply.lent {
            let _ = self.calls.client().read_lent(reply, 0, &mut vec![0; span.len()]);
        }
    }

    fn cancel(&mut self, which: usize) {
        if !self.under_way.is_empty() {
            let ticket = self.under_way.swap_remove(which % self.under_way.len());
            self.calls.cancel(ticket);
        }
    }

    fn release(&mut self, which: usize) {
        if !self.replies.is_empty() {
            let reply = self.replies.swap_remove(which % self.replies.len());
            self.read_reply(&reply);
            self.calls.client_mut().release(reply);
        }
    }

    fn borrow(&mut self, length: usize) {
        match self.calls.client_mut().lend(length) {
            Ok(loan) if length.is_multiple_of(8) => self.client_loans.push(loan),
            Ok(loan) => self.calls.client_mut().give_back(loan),
            Err(error) => may_be_told_at_the_start(error),
        }
    }

    pub(super) fn honest_call(&mut self) -> Ticket {
        let loan = self.calls.client_mut().lend(100).expect("a fresh pool lends");
        self.calls.client().fill(&loan, 0, &[3; 100]);
        self.calls.start_lent(4, loan, b"honest").expect("a fresh ring has room")
    }

    pub(super) fn honest_exchange(&mut self) -> Ticket {
        let exchanged = self.calls.client_mut().exchange(5, 8, |line| line.write(0, b"question"));
        let ticket = exchanged.expect("a ring that is read has room");
        self.calls.enter(ticket);
        ticket
    }

    pub(super) fn honest_short(&mut self, ticket: Ticket) {
        match self.calls.outcome(ticket) {
            Ok(Some(Outcome::Short(Status::Denied, short))) => assert_eq!(short.bytes(), b"no"),
            found => panic!("{found:?} is not what an honest server said"),
        }
    }

    pub(super) fn honest_outcome(&mut self, ticket: Ticket) {
        let Ok(Some(Outcome::Reply(reply))) = self.calls.outcome(ticket) else {
            panic!("an honest reply is heard");
        };
        assert_eq!(reply.status, Status::Ok);
        let (mut bytes, mut lent) = ([0; 5], [0; 200]);
        self.calls.client().read(&reply, 0, &mut bytes);
        self.calls.client().read_lent(&reply, 0, &mut lent).expect("the server lives");
        assert_eq!((&bytes, lent), (b"fresh", [2; 200]));
        self.calls.client_mut().release(reply);
    }
}

fn may_be_told_at_the_start(error: IpcError) {
    use IpcError::{Full, PeerGone, Protocol, TooLarge};
    assert!(matches!(error, Full | TooLarge | Protocol | PeerGone), "{error:?} at the start");
}
