//! A database that a store keeps and that lives where a restart keeps it. Its server dies at each
//! moment that differs from others: before, in and after each edit, and on both sides of what the store
//! does. What there is afterwards is what the store has; all that was answered is there, and of what
//! was not, the first requests or none.

use proptest::prelude::*;
use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::String;
use std::vec::Vec;

use store::interface::Ailment;

use super::kept::{REQUESTS, spell};
use super::limits::picture;
use super::rig::{Death, Rig};
use super::shelf::Shelf;
use crate::{Database, Edits, Options, Session, Stale};

/// A request, in words.
type Step = Vec<String>;

/// A request, when it was carried out, and where chance stood.
struct Moment {
    now: u64,
    chance: u64,
    step: Step,
}

/// What becomes of batches whose sender dies when it has sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// They do not arrive.
    Lost,
    /// The store carries them out before it hears of the next incarnation.
    Early,
    /// It does so with the first one, and the others do not arrive.
    First,
    /// The store carries them out after it has told the next incarnation how it stands.
    Late,
}

const FATES: [Fate; 4] = [Fate::Lost, Fate::Early, Fate::First, Fate::Late];

/// How incarnations began.
#[derive(Clone, Copy, Debug, Default)]
struct Starts {
    warm: u32,
    /// Of these, how many had something to commit.
    behind: u32,
    /// And how many found that the store had more than they knew.
    ahead: u32,
    loaded: u32,
}

impl Starts {
    fn plus(self, other: Self) -> Self {
        Self {
            warm: self.warm + other.warm,
            behind: self.behind + other.behind,
            ahead: self.ahead + other.ahead,
            loaded: self.loaded + other.loaded,
        }
    }
}

/// A server, its store, and what is under way between them.
struct System {
    rig: Rig,
    shelf: Shelf,
    /// What the store has not carried out yet.
    sent: VecDeque<(u64, Vec<u8>)>,
    /// Whether the store has not come to a round's batch when the next round begins.
    lags: bool,
    fate: Fate,
    starts: Starts,
    /// What was carried out, and is not answered: when, and what.
    open: Vec<(u64, Step)>,
    /// Where chance stood before that.
    chance: u64,
    /// What was carried out for sure.
    history: Vec<Moment>,
}

fn options() -> Options {
    Options { debug: true, ..Options::default() }
}

impl System {
    fn new(fate: Fate) -> Self {
        let shelf = Shelf::new();
        let (rig, starts) = (shelf.rig(0), Starts::default());
        let (sent, chance) = (VecDeque::new(), rig.env.state);
        let (lags, open, history) = (false, Vec::new(), Vec::new());
        Self { rig, shelf, sent, lags, fate, starts, open, chance, history }
    }

    /// Carries requests out, sweeps, sends, and answers what is committed by then.
    fn round(&mut self, steps: &[Step]) {
        steps.iter().for_each(|step| run(&mut self.rig, step));
        let Rig { db, env, .. } = &mut self.rig;
        let now = env.now;
        env.edit(|| db.expire_some(now, 3));
        while !self.rig.db.can_seal() {
            self.hear();
        }
        self.send();
        while !self.lags && self.rig.db.under_way() > 0 {
            self.hear();
        }
    }

    fn send(&mut self) {
        let Rig { db, env, .. } = &mut self.rig;
        if db.has_changes() {
            env.edit(|| db.seal());
            let (batch, records) = db.batches().next_back().expect("a batch");
            self.sent.push_back((batch, records.into()));
            env.moment();
        }
    }

    /// The store carries the oldest batch out, and says so.
    fn hear(&mut self) {
        let (batch, records) = self.sent.pop_front().expect("a batch that was sent");
        self.shelf.carry_out(batch, &records);
        let Rig { db, env, .. } = &mut self.rig;
        env.moment();
        let (room, now) = (self.shelf.room, env.now);
        env.edit(|| db.committed(room, now));
    }

    /// Gives the store what an earlier incarnation has left; whether it takes all of that.
    fn give_left(&mut self) -> bool {
        loop {
            let Some((batch, records)) = self.rig.db.batches().next() else {
                if !self.rig.db.has_changes() {
                    return true;
                }
                let Rig { db, env, .. } = &mut self.rig;
                env.edit(|| db.seal());
                continue;
            };
            if batch < self.shelf.batch {
                return false;
            }
            self.sent.push_back((batch, records.into()));
            self.rig.env.moment();
            self.hear();
        }
    }

    /// The next incarnation, up to where it serves.
    fn start(&mut self, order: usize) {
        let mut sent = mem::take(&mut self.sent);
        let (early, late) = match self.fate {
            Fate::Lost => (0, 0),
            Fate::Early => (sent.len(), 0),
            Fate::First => (sent.len().min(1), 0),
            Fate::Late => (0, sent.len()),
        };
        sent.drain(..early).for_each(|(batch, records)| self.shelf.carry_out(batch, &records));
        let terms = self.shelf.terms();
        let torn = mem::take(&mut self.rig.env.editing);
        let Rig { db, env, session } = &mut self.rig;
        if torn || db.fits(&terms).is_err() {
            self.load(order);
            self.starts.loaded += 1;
            return;
        }
        env.edit(|| db.resume(64 << 20, options()));
        let (known, now) =
            (db.journal.as_ref().map_or(0, |journal| journal.terms().batch), env.now);
        env.edit(|| db.rejoin(terms, now)).expect("it fits");
        *session = Session::new(db, 7);
        self.starts.warm += 1;
        self.starts.ahead += u32::from(known != terms.batch);
        self.starts.behind += u32::from(db.has_changes() || db.under_way() > 0);
        sent.drain(..late).for_each(|(batch, records)| self.shelf.carry_out(batch, &records));
        if !self.give_left() {
            self.load(order);
        }
    }

    fn load(&mut self, order: usize) {
        let Rig { db, env, session } = &mut self.rig;
        *db = Database::new(64 << 20, 1000 + order as u64, options());
        self.shelf.records(order, |record| env.edit(|| db.load(record))).expect("what was written");
        let (terms, now) = (self.shelf.terms(), env.now);
        env.edit(|| db.keep(terms, now));
        *session = Session::new(db, 7);
    }

    /// A round, some time after the last one, in which the server dies as many moments later as the
    /// first fuse says, and its next incarnations as the others say. Tells whether it died.
    fn deadly_round(&mut self, steps: &[Step], fuses: &[u64]) -> bool {
        self.rig.env.now += 13;
        if self.open.is_empty() {
            self.chance = self.rig.env.state;
        }
        let now = self.rig.env.now;
        self.open.extend(steps.iter().map(|step| (now, step.clone())));
        let mut fuses = fuses.iter().copied();
        self.rig.env.fuse = fuses.next();
        let dies = is_deadly(|| self.round(steps));
        let mut is_dead = dies;
        while is_dead {
            self.rig.env.fuse = fuses.next();
            is_dead = is_deadly(|| self.start(steps.len()));
        }
        self.rig.env.fuse = None;
        if self.rig.db.under_way() == 0 {
            self.judge(dies);
        }
        dies
    }

    /// Finds out which requests were carried out: all that were answered, or only the first ones if
    /// the server died.
    fn judge(&mut self, died: bool) {
        let steps = mem::take(&mut self.open);
        let now = self.rig.env.now;
        let found = picture(&mut self.rig);
        let mut stored = self.shelf.rig(5);
        stored.env.now = now;
        assert_eq!(found, picture(&mut stored), "what is shown is what the store has");
        let mut plain = Rig::new();
        for moment in &self.history {
            moment.repeat(&mut plain);
        }
        plain.env.state = self.chance;
        let least = if died { 0 } else { steps.len() };
        for count in 0..=steps.len() {
            plain.env.now = now;
            if count >= least && picture(&mut plain) == found {
                self.rig.env.state = plain.env.state;
                return;
            }
            let Some((then, step)) = steps.get(count) else { break };
            let moment = Moment { now: *then, chance: plain.env.state, step: step.clone() };
            moment.repeat(&mut plain);
            self.history.push(moment);
        }
        panic!("{steps:?} left {found:?}");
    }
}

impl Moment {
    fn repeat(&self, rig: &mut Rig) {
        (rig.env.now, rig.env.state) = (self.now, self.chance);
        run(rig, &self.step);
    }
}

fn run(rig: &mut Rig, step: &Step) {
    let args: Vec<&[u8]> = step.iter().map(String::as_bytes).collect();
    rig.raw(&args);
}

/// Whether the server dies of it.
fn is_deadly(life: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(life)) {
        Ok(()) => false,
        Err(cause) if cause.is::<Death>() => true,
        Err(cause) => resume_unwind(cause),
    }
}

fn words(text: &str) -> Step {
    text.split(' ').map(Into::into).collect()
}

/// Some of everything, in rounds.
fn script() -> Vec<Vec<Step>> {
    let long = "x".repeat(3_000);
    let rounds = [
        "SET a 1|RPUSH l a b c|HSET h f v",
        "INCR a|APPEND s LONG|SET brief v PX 20",
        "APPEND s tail|RPUSH l d|SADD m x y z",
        "MSET b 1 c 2|RENAME b d|SPOP m",
        "DEL c|LPOP l|HDEL h f",
        "GET brief|SET d other|SET a v",
    ];
    let round = |text: &str| text.split('|').map(|s| words(&s.replace("LONG", &long))).collect();
    rounds.iter().map(|text| round(text)).collect()
}

#[test]
fn a_death_at_any_moment_loses_nothing_that_was_answered() {
    let script = script();
    let mut starts = Starts::default();
    let ways = FATES.into_iter().flat_map(|fate| [(fate, false), (fate, true)]);
    for (fate, lags) in ways {
        for deadly in 0..script.len() {
            for fuse in 0.. {
                let mut system = System::new(fate);
                let mut dies = false;
                for (at, steps) in script.iter().enumerate() {
                    let fuses = [fuse];
                    system.lags = lags && at + 1 < script.len();
                    dies |= system.deadly_round(steps, if at == deadly { &fuses } else { &[] });
                }
                starts = starts.plus(system.starts);
                if !dies {
                    assert!(fuse > 8, "{fuse} moments are no round");
                    break;
                }
            }
        }
    }
    assert!(starts.loaded > 0 && starts.warm > starts.loaded, "{starts:?}");
    assert!(starts.behind > 0 && starts.ahead > 0, "{starts:?}");
}

#[test]
fn deaths_while_an_incarnation_begins_lose_nothing_either() {
    let script = script();
    let mut starts = Starts::default();
    for fate in FATES {
        for first in 0..24 {
            for second in 0..40 {
                let mut system = System::new(fate);
                for (at, steps) in script.iter().enumerate() {
                    let fuses = [first, second];
                    system.deadly_round(steps, if at == 3 { &fuses } else { &[] });
                }
                starts = starts.plus(system.starts);
            }
        }
    }
    assert!(starts.loaded > 0 && starts.behind > 0 && starts.ahead > 0, "{starts:?}");
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0_u8..40;
    (0..REQUESTS.len(), [0_u8..5, 0..5], [0_u8..8, 0..8], number).prop_map(
        |(which, keys, words, number)| {
            // Most runs should see keys live for longer.
            let which = if REQUESTS[which] == "FLUSHALL" && number > 4 { 0 } else { which };
            spell(which, keys, words, number)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_asked_and_whenever_it_dies(
        rounds in prop::collection::vec(
            (
                prop::collection::vec(step(), 0..8),
                prop::collection::vec(0_u64..48, 0..4),
                0..4_usize,
                prop::bool::ANY,
            ),
            1..12,
        ),
    ) {
        let mut system = System::new(Fate::Lost);
        for (steps, fuses, fate, lags) in rounds {
            (system.fate, system.lags) = (FATES[fate], lags);
            system.deadly_round(&steps, &fuses);
        }
        system.lags = false;
        system.deadly_round(&[], &[]);
    }
}

/// A rig whose database has one batch in its store and, if so, a change that is not there.
fn kept(has_changes: bool) -> (Rig, Shelf) {
    let mut shelf = Shelf::new();
    let mut rig = shelf.rig(0);
    rig.run("SET a v");
    shelf.commit(&mut rig);
    if has_changes {
        rig.run("SET b v");
    }
    (rig, shelf)
}

#[test]
fn what_was_not_loaded_to_its_end_is_stale() {
    let (mut rig, shelf) = kept(false);
    assert_eq!(rig.db.fits(&shelf.terms()), Ok(()));
    rig.db.undo();
    assert_eq!(rig.db.fits(&shelf.terms()), Err(Stale::Partial));
}

#[test]
fn what_another_store_kept_is_stale() {
    let (rig, shelf) = kept(false);
    let other = Shelf { store: [3, 8], ..shelf };
    assert_eq!(rig.db.fits(&other.terms()), Err(Stale::Store));
}

#[test]
fn a_store_that_has_gone_back_or_ahead_has_another_history() {
    let (mut rig, mut shelf) = kept(true);
    let stale = |rig: &Rig, shelf: &Shelf, stored| {
        assert_eq!(rig.db.fits(&shelf.terms()), Err(Stale::Batch { known: 1, stored }));
    };
    for batch in [0, 2, 3, u64::MAX] {
        shelf.batch = batch;
        // Changes were made, but no batch of them: nobody can have stored it.
        stale(&rig, &shelf, batch);
    }
    for made in 2..4 {
        rig.db.seal();
        for batch in 1..=made {
            shelf.batch = batch;
            assert_eq!(rig.db.fits(&shelf.terms()), Ok(()));
        }
        shelf.batch = made + 1;
        stale(&rig, &shelf, made + 1);
        rig.run("SET b w");
    }
}

#[test]
fn a_store_that_ails_keeps_what_it_has_and_nothing_else_is_shown() {
    for ailment in [Ailment::Failed, Ailment::ReadOnly] {
        let (mut rig, mut shelf) = kept(true);
        shelf.ailment = Some(ailment);
        assert_eq!(rig.db.fits(&shelf.terms()), Err(Stale::Ailing(ailment)));
        let (unchanged, _) = kept(false);
        assert_eq!(unchanged.db.fits(&shelf.terms()), Ok(()));
        // It has failed since the batch was stored.
        rig.db.seal();
        shelf.batch = 2;
        assert_eq!(rig.db.rejoin(shelf.terms(), rig.env.now), Ok(()));
        assert!(!rig.db.has_changes());
        assert!(rig.run("SET a w").starts_with("-MISCONF "));
        rig.check(&[("GET b", "$1 v")]);
    }
}

#[test]
fn what_the_last_incarnation_believed_of_its_store_is_forgotten() {
    let (mut rig, mut shelf) = kept(false);
    rig.db.doubt();
    assert!(rig.run("SET a w").starts_with("-ERR the store is full"));
    rig.db.rejoin(shelf.terms(), rig.env.now).unwrap();
    rig.check(&[("SET a w", "+OK")]);
    shelf.commit(&mut rig);
    shelf.room = 10;
    rig.db.rejoin(shelf.terms(), rig.env.now).unwrap();
    assert!(rig.run("SET a w").starts_with("-ERR the store is full"));
}

#[test]
fn how_it_began_is_told() {
    let (mut rig, _) = kept(false);
    let text = rig.run("INFO persistence");
    assert!(text.contains(" atoll_start:warm atoll_start_us:1234 "), "{text}");
}
