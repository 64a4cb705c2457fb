//! Clients of servers that nothing is done to: they must notice nothing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::client::{Client, Verdict};
use super::record::Calm;

/// Between two bursts when nothing happens: often enough to be at work in whatever happens, and
/// seldom enough to leave the processors to the victims.
const PACE: Duration = Duration::from_millis(1);
/// Longest that a reply may take. A host that is busy delays all alike, so it is generous.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client at work on a thread of its own.
#[derive(Debug)]
pub struct Bystander<'scope> {
    nudges: mpsc::Sender<()>,
    thread: ScopedJoinHandle<'scope, Calm>,
}

impl<'scope> Bystander<'scope> {
    /// Begins.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        domain: &'static str,
        client: impl Client + 'scope,
    ) -> Self {
        let (nudges, nudged) = mpsc::channel();
        let thread = scope.spawn(move || attend(domain, client, &nudged));
        Self { nudges, thread }
    }

    /// Has it make requests now.
    pub fn nudge(&self) {
        // One that has panicked is found out when it is asked how it did.
        let _ = self.nudges.send(());
    }

    /// Ends it; how it did.
    pub fn finish(self, domain: &'static str) -> Calm {
        drop(self.nudges);
        self.thread.join().unwrap_or_else(|_| Calm {
            disturbed: 1,
            example: Some("its client panicked".to_owned()),
            ..Tally::default().calm(domain)
        })
    }
}

fn attend(domain: &str, mut client: impl Client, nudged: &mpsc::Receiver<()>) -> Calm {
    let mut tally = Tally::default();
    while nudged.recv_timeout(PACE) != Err(RecvTimeoutError::Disconnected) {
        for reply in client.burst(Instant::now() + PATIENCE) {
            tally.add(&reply.verdict, reply.answered.saturating_sub(reply.asked));
        }
    }
    tally.calm(domain)
}

#[derive(Debug, Default)]
struct Tally {
    delays: Vec<u32>,
    disturbed: u64,
    example: Option<String>,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict, delay: u64) {
        if *verdict == Verdict::Good {
            return self.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
        self.disturbed += 1;
        self.example.get_or_insert_with(|| format!("{verdict:?}"));
    }

    fn calm(mut self, domain: &str) -> Calm {
        self.delays.sort_unstable();
        let at = |share: f64| {
            let place = (self.delays.len() as f64 * share) as usize;
            self.delays.get(place).or(self.delays.last()).map_or(0, |&delay| delay.into())
        };
        Calm {
            domain: domain.to_owned(),
            good: self.delays.len() as u64,
            disturbed: self.disturbed,
            example: self.example,
            events: Vec::new(),
            delays: [at(0.5), at(0.99), at(1.0)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::client::Reply;

    struct Script(Vec<Verdict>);

    impl Client for Script {
        fn burst(&mut self, _: Instant) -> Vec<Reply> {
            let next = self.0.pop();
            next.map(|verdict| Reply { verdict, asked: 10, answered: 17, epoch: None })
                .into_iter()
                .collect()
        }
    }

    #[test]
    fn everything_but_a_good_reply_is_a_disturbance() {
        let (nudges, nudged) = mpsc::channel();
        let script =
            vec![Verdict::Good, Verdict::Forgotten, Verdict::Failed("x".into()), Verdict::Good];
        let calm = std::thread::scope(|scope| {
            let thread = scope.spawn(move || attend("calm", Script(script), &nudged));
            (0..4).for_each(|_| nudges.send(()).unwrap());
            drop(nudges);
            thread.join().unwrap()
        });
        assert_eq!((calm.good, calm.disturbed), (2, 2));
        assert_eq!(calm.example.as_deref(), Some(r#"Failed("x")"#));
        assert_eq!(calm.delays, [7, 7, 7]);
    }
}
