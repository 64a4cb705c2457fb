//! What is seen of one fault: replies and events go in, a record comes out.

use super::client::{Reply, Verdict};
use super::plan::Fault;
use super::record::{Outcome, Record};
use crate::control::api::FaultKind;
use crate::domain::Injected;

/// Correct replies after which a fault counts as without effect.
pub const QUIET: u32 = 32;

/// Said, in one form or other, of a request that died with its server.
const RESTARTED: &str = "restarted";

/// A correct reply.
#[derive(Clone, Copy, Debug)]
struct Good {
    asked: u64,
    answered: u64,
    epoch: Option<u32>,
}

/// One fault under observation; by default, nothing was seen of it yet.
#[derive(Debug, Default)]
pub struct Observation {
    injected: Option<Injected>,
    ended: Option<(String, u64)>,
    failure: Option<(String, u64)>,
    first_wrong: Option<u64>,
    goods: Vec<Good>,
    /// Replies to what was asked after the injection, and those of them that are correct.
    since: u32,
    quiet: u32,
    forgotten: u32,
    failed: u32,
    wrong: u32,
    example: Option<String>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look on.
    Look,
    /// The fault has had its time, and the server did not end by it: end it.
    Reset,
    /// It ended; wait until it answers again.
    Recover,
}

impl Observation {
    /// The fault was injected.
    pub const fn injected(&mut self, injected: Injected) {
        self.injected = Some(injected);
    }

    /// Whether it was.
    pub const fn is_injected(&self) -> bool {
        self.injected.is_some()
    }

    /// The server ended; later ends are the first one's doing.
    pub fn ended(&mut self, how: String, at: u64) {
        self.ended.get_or_insert((how, at));
    }

    /// A reply came.
    pub fn reply(&mut self, reply: Reply) {
        let Reply { verdict, asked, answered, epoch } = reply;
        let after = self.injected.is_some_and(|injected| asked >= injected.at);
        self.since += u32::from(after);
        match verdict {
            Verdict::Good => {
                self.quiet += u32::from(after);
                self.goods.push(Good { asked, answered, epoch });
            }
            Verdict::Forgotten => self.forgotten += 1,
            Verdict::Failed(words) => {
                self.failed += 1;
                // That the server restarted says only what the nucleus will say itself.
                if !words.to_ascii_lowercase().contains(RESTARTED) {
                    self.failure.get_or_insert((words, answered));
                }
            }
            Verdict::Wrong(words) => {
                self.wrong += 1;
                self.first_wrong.get_or_insert(answered);
                self.example.get_or_insert(words);
            }
        }
    }

    /// What is to be done now. All events of what has been replied to are known.
    pub const fn next(&self) -> Next {
        if self.ended.is_some() {
            Next::Recover
        } else if self.injected.is_some()
            && (self.failure.is_some() || self.quiet >= QUIET || self.since >= 2 * QUIET)
        {
            Next::Reset
        } else {
            Next::Look
        }
    }

    /// When the first correct reply came of a server that ended at `ended`, in incarnation
    /// `epoch` or a later one.
    pub fn answered_again(&self, ended: u64, epoch: u32) -> Option<u64> {
        let again = self.goods.iter().find(|good| match good.epoch {
            Some(by) => by >= epoch && good.answered >= ended,
            None => good.asked >= ended,
        });
        again.map(|good| good.answered)
    }

    /// When the server ended by itself.
    pub fn end(&self) -> Option<u64> {
        self.ended.as_ref().map(|(_, at)| *at)
    }

    /// What came of it. `again` is when the server answered again, if it does.
    pub fn conclude(self, fault: &Fault, again: Option<u64>) -> Record {
        let (outcome, noticed) = match (self.ended, self.failure, self.first_wrong) {
            (Some((how, at)), _, _) => (Outcome::Ended(how), Some(at)),
            (None, Some((words, at)), _) => (Outcome::Noticed(words), Some(at)),
            (None, None, Some(at)) => (Outcome::WrongReply, Some(at)),
            // Nothing may be forgotten by a server that did not end.
            (None, None, None) if self.forgotten > 0 => (Outcome::WrongReply, None),
            (None, None, None) => (Outcome::NoEffect, None),
        };
        let forgotten = if matches!(outcome, Outcome::Ended(_)) { 0 } else { self.forgotten };
        let had_effect = outcome != Outcome::NoEffect;
        Record {
            number: fault.number,
            victim: fault.victim,
            harm: fault.harm,
            injected: self.injected,
            outcome,
            good: self.goods.len() as u32,
            failed: self.failed,
            wrong: self.wrong + forgotten,
            example: self.example,
            noticed: self
                .injected
                .zip(noticed)
                .map(|(injected, noticed)| noticed.saturating_sub(injected.at)),
            recovered: noticed
                .zip(again)
                .filter(|_| had_effect)
                .map(|(noticed, again)| again.saturating_sub(noticed)),
            lost: again.is_none(),
        }
    }
}

/// How an incarnation ended, without what differs from one time to the next.
pub fn how(kind: FaultKind, what: &str) -> String {
    match kind {
        FaultKind::Exception => {
            let name = what.split(':').next().unwrap_or(what);
            format!("exception: {name}")
        }
        FaultKind::Mmio => "access to no memory".to_owned(),
        kind => kind.as_str().replace('-', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::plan;
    use crate::control::api::Hex;

    fn reply(verdict: Verdict, asked: u64, epoch: Option<u32>) -> Reply {
        Reply { verdict, asked, answered: asked + 5, epoch }
    }

    fn injected(at: u64) -> Observation {
        let mut seen = Observation::default();
        seen.injected(Injected { at, epoch: 3, rip: Hex(1), address: None });
        seen
    }

    fn fault() -> Fault {
        plan::fault(1, 4)
    }

    #[test]
    fn only_replies_to_what_was_asked_afterwards_show_that_a_fault_has_no_effect() {
        let mut seen = injected(100);
        (0..99).for_each(|asked| seen.reply(reply(Verdict::Good, asked, None)));
        assert_eq!(seen.next(), Next::Look);
        (0..QUIET.into()).for_each(|n| seen.reply(reply(Verdict::Good, 100 + n, None)));
        assert_eq!(seen.next(), Next::Reset);
        let record = seen.conclude(&fault(), Some(500));
        assert_eq!((record.outcome, record.recovered), (Outcome::NoEffect, None));
        assert!(!record.lost);
    }

    #[test]
    fn recovery_lasts_from_the_end_to_the_first_reply_of_a_later_incarnation() {
        let mut seen = injected(100);
        seen.reply(reply(Verdict::Good, 150, Some(3)));
        seen.reply(reply(Verdict::Failed(format!("{RESTARTED} it")), 140, Some(4)));
        seen.reply(reply(Verdict::Good, 145, Some(4)));
        assert_eq!(seen.next(), Next::Look, "that it restarted is the nucleus's to say");
        seen.ended("panic".into(), 148);
        seen.ended("killed".into(), 149);
        assert_eq!(seen.next(), Next::Recover);
        let again = seen.answered_again(148, 4);
        assert_eq!(again, Some(150));
        let record = seen.conclude(&fault(), again);
        assert_eq!(record.outcome, Outcome::Ended("panic".into()));
        assert_eq!((record.noticed, record.recovered), (Some(48), Some(2)));
        assert_eq!((record.good, record.failed, record.wrong), (2, 1, 0));
    }

    #[test]
    fn a_client_that_cannot_tell_incarnations_apart_counts_only_what_it_asked_later() {
        let mut seen = injected(100);
        seen.reply(reply(Verdict::Good, 110, None));
        seen.ended("hang".into(), 112);
        assert_eq!(seen.answered_again(112, 4), None);
        seen.reply(reply(Verdict::Good, 120, None));
        assert_eq!(seen.answered_again(112, 4), Some(125));
    }

    #[test]
    fn what_only_the_client_noticed_ends_in_a_reset() {
        let mut seen = injected(100);
        seen.reply(reply(Verdict::Failed("the deadline passed".into()), 110, None));
        assert_eq!(seen.next(), Next::Reset);
        let record = seen.conclude(&fault(), None);
        assert_eq!(record.outcome, Outcome::Noticed("the deadline passed".into()));
        assert!(record.lost && record.recovered.is_none());
    }

    #[test]
    fn wrong_replies_are_counted_and_shown_and_do_not_go_on_for_ever() {
        let mut seen = injected(100);
        for _ in 0..2 * QUIET {
            assert_eq!(seen.next(), Next::Look);
            seen.reply(reply(Verdict::Wrong("x".into()), 110, None));
        }
        assert_eq!(seen.next(), Next::Reset);
        let record = seen.conclude(&fault(), Some(200));
        assert_eq!((record.outcome, record.wrong), (Outcome::WrongReply, 2 * QUIET));
        assert_eq!((record.example.as_deref(), record.recovered), (Some("x"), Some(85)));
    }

    #[test]
    fn only_a_server_that_ended_may_have_forgotten() {
        for (ends, wrong) in [(true, 0), (false, 1)] {
            let mut seen = injected(100);
            seen.reply(reply(Verdict::Forgotten, 110, None));
            if ends {
                seen.ended("exit".into(), 111);
            }
            assert_eq!(seen.conclude(&fault(), Some(120)).wrong, wrong);
        }
    }

    #[test]
    fn ends_are_named_without_their_numbers() {
        assert_eq!(how(FaultKind::Exception, "page fault: read of 0x7"), "exception: page fault");
        assert_eq!(how(FaultKind::Exception, "breakpoint"), "exception: breakpoint");
        assert_eq!(how(FaultKind::Panic, "at 7"), "panic");
        assert_eq!(how(FaultKind::IllegalPort, "port 0x70"), "illegal port");
    }
}
