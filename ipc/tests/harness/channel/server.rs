//! What the server does, and what it may be told, however hostile its client.

use std::vec;

use atoll_ipc::channel::Region;
use atoll_ipc::message::{IpcError, Status};
use atoll_ipc::server::{IN_SERVICE_MAX, Request};

use super::super::input::Input;
use super::World;

impl World {
    pub(super) fn server_step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let what = input.byte()? % 9;
        match what {
            0..3 => self.take(),
            3 => {
                self.server.notify(input.value()?);
                return Some(());
            }
            _ => {
                let (which, length) = (input.small()?, input.small()?);
                if !self.held.is_empty() {
                    let request = self.held.swap_remove(which % self.held.len());
                    self.deal_with(what, request, length);
                }
            }
        }
        Some(())
    }

    fn take(&mut self) {
        match self.server.poll() {
            Ok(Some(request)) => {
                self.read_request(&request);
                self.held.push(request);
                let epoch = self.channel.status().epochs().client;
                let living = self.held.iter().filter(|held| held.client_epoch() == epoch);
                assert!(living.count() <= IN_SERVICE_MAX, "what is held is bounded");
            }
            Ok(None) | Err(IpcError::Protocol) => (),
            Err(error) => panic!("{error:?} is no answer to a hostile client"),
        }
    }

    fn deal_with(&mut self, what: u8, request: Request, length: usize) {
        self.read_request(&request);
        match what {
            4 | 5 => self.reply(request, length),
            6 => self.reply_lent(request, length),
            7 => self.server.owe(request, Status::Dropped),
            _ => {
                let _ = self.server.is_cancelled(&request);
                self.server.forget(request);
            }
        }
    }

    fn read_request(&self, request: &Request) {
        assert!(request.len() <= self.calls.client().max_request());
        self.server.read(request, 0, &mut vec![0; request.len()]);
        if let Some(span) = request.lent {
            assert!(span.len() <= size_of_val(self.channel.lent_requests()));
            self.server.read_lent(request, 0, &mut vec![0; span.len()]);
        }
    }

    fn reply(&mut self, request: Request, length: usize) {
        let bytes = vec![8; length];
        let result = self.server.reply(request, Status::Ok, length, |room| room.write(0, &bytes));
        if let Err((request, error)) = result {
            may_be_told_at_the_reply(error);
            self.server.forget(request);
        }
    }

    fn reply_lent(&mut self, request: Request, length: usize) {
        let loan = match self.server_loans.pop() {
            Some(loan) => loan,
            None => match self.server.lend(length * 2) {
                Ok(loan) => loan,
                Err(error) => {
                    may_be_told_at_the_reply(error);
                    return self.server.owe(request, Status::Exhausted);
                }
            },
        };
        self.server.fill(&loan, 0, &vec![9; loan.len()]);
        if let Err((request, loan, error)) = self.server.reply_lent(request, loan, b"lent") {
            may_be_told_at_the_reply(error);
            if length.is_multiple_of(2) {
                self.server_loans.push(loan);
            } else {
                self.server.give_back(loan);
            }
            self.server.owe(request, Status::Dropped);
        }
    }

    pub(super) fn honest_word(&mut self) {
        let request = self.server.poll().expect("honest").expect("an honest request is heard");
        let mut bytes = [0; 8];
        self.server.read(&request, 0, &mut bytes);
        assert_eq!(&bytes, b"question");
        let said = self.server.reply(request, Status::Denied, 2, |line| line.write(0, b"no"));
        said.expect("there is always room over a request");
    }

    pub(super) fn honest_answer(&mut self) {
        let request = self.server.poll().expect("honest").expect("an honest request is heard");
        let (mut bytes, mut lent) = ([0; 6], [0; 100]);
        self.server.read(&request, 0, &mut bytes);
        self.server.read_lent(&request, 0, &mut lent);
        assert_eq!((&bytes, lent), (b"honest", [3; 100]));
        let loan = self.server.lend(200).expect("a fresh pool lends");
        self.server.fill(&loan, 0, &[2; 200]);
        self.server.reply_lent(request, loan, b"fresh").expect("a fresh ring has room");
    }
}

fn may_be_told_at_the_reply(error: IpcError) {
    use IpcError::{Full, PeerRestarted, Protocol, TooLarge};
    assert!(matches!(error, Full | TooLarge | Protocol | PeerRestarted), "{error:?} at the reply");
}
