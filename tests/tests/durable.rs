//! Durability: what kv has acknowledged is there after any death, of kv, of its store, or of the VMM,
//! and nothing is there that was never asked for.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use atoll_tests::environment::{has_kvm, patience, rounds};
use atoll_tests::ledger::{Chance, Ledger, Tally, connect_in_time};
use atoll_tests::resp::command;
use atoll_tests::{Place, Reply, Resp, System};

/// kv in front of its store, on a file in the system's directory.
const SYSTEM: &str = r#"
name = "durable"

[supervision]
intensity = 100_000

[groups.data]
strategy = "rest-for-one"
intensity = 100_000

[domains.store]
image = "store"
memory = "64 MiB"
group = "data"

[domains.kv]
image = "kv"
memory = "64 MiB"
arguments = ["durable=yes", "debug=yes"]
group = "data"

[[channels]]
from = "kv"
to = "store:store"
buffers = "8 MiB"

[[gateways]]
listen = "unix:{dir}/kv.socket"
to = "kv:redis"

[disks.data]
file = "data.disk"
size = "64 MiB"
domain = "store"
"#;

fn place() -> Place {
    place_of(SYSTEM)
}

/// The same, but kv's memory outlives it.
fn place_with_state(state: &str) -> Place {
    let kv = "image = \"kv\"\n";
    place_of(&SYSTEM.replace(kv, &format!("{kv}state = \"{state}\"\n")))
}

/// The same, but what follows a fault is decided by a supervisor domain, while it lives.
fn place_with_bailout() -> Place {
    let group = "[groups.data]\n";
    let manifest = SYSTEM.replace(group, &format!("{group}bailout = \"bailout:faults\"\n"));
    let domain = "[domains.bailout]\nimage = \"bailout\"\narguments = [\"limit=100000\"]\n\n";
    let at = manifest.find("[groups.data]").expect("there is a group");
    place_of(&format!("{}{domain}{}", &manifest[..at], &manifest[at..]))
}

fn place_of(manifest: &str) -> Place {
    let place = Place::new(manifest);
    place.put("data.disk", "");
    place
}

fn address(place: &Place) -> String {
    format!("unix:{}", place.path("kv.socket").display())
}

/// Works on its keys until it is over, and looks whenever something may have been lost.
fn work(mut ledger: Ledger, address: &str, is_over: &AtomicBool) -> Ledger {
    let mut chance = Chance::new(7);
    let mut connection = connect_in_time(address);
    while !is_over.load(Relaxed) {
        if !ledger.work(&mut connection, 1 + chance.below(16) as usize) {
            ledger.check(|| connect_in_time(address));
            connection = connect_in_time(address);
        }
    }
    ledger
}

/// What may die.
#[derive(Clone, Copy)]
enum Victim {
    Kv,
    Store,
    Bailout,
    Fault,
    Vmm,
}

/// Longest time between two deaths, in milliseconds: enough for some work, little enough to hit a
/// start.
fn calm() -> u64 {
    rounds(60, 1500) as u64
}

/// Waits until kv answers.
fn await_service(address: &str) {
    while !matches!(connect_in_time(address).ask("DBSIZE"), Reply::Integer(_)) {}
}

/// How incarnations of kv said that they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Starts {
    /// With what a restart had kept.
    warm: usize,
    /// And with changes that the store had not been told of yet.
    behind: usize,
    /// With what the store had.
    loaded: usize,
    /// After a death in a change.
    torn: usize,
    /// After a death while it loaded.
    partial: usize,
    /// For another reason, though something was kept.
    stale: usize,
}

impl Starts {
    /// Counts those of one run of a system.
    fn count(&mut self, system: &System) {
        for record in system.records().all() {
            let Some(text) = record["text"].as_str() else { continue };
            let is_warm = text.contains(" keys were kept; ");
            self.warm += usize::from(is_warm);
            self.behind += usize::from(is_warm && !text.ends_with(" got 0 more"));
            self.loaded += usize::from(text.starts_with("loaded "));
            if text.starts_with("the keys that were kept are not used") {
                let is_torn = text.contains("died in an edit");
                let is_partial = text.contains("had not loaded all of it");
                self.torn += usize::from(is_torn);
                self.partial += usize::from(is_partial);
                self.stale += usize::from(!is_torn && !is_partial);
            }
        }
    }
}

/// Lets clients work while one after the other dies, at any moment, and judges what is there.
fn kill_under_load(place: Place, deaths: usize, victims: &[Victim]) -> (Tally, Starts) {
    let system = System::start_at(place);
    let mut starts = Starts::default();
    let address = address(system.place());
    let is_over = AtomicBool::new(false);
    let mut chance = Chance::new(deaths as u64);
    let (system, mut ledgers) = thread::scope(|scope| {
        let mut system = system;
        let clients = (0..4).map(|number| Ledger::new(&format!("client-{number}"), number));
        let clients: Vec<_> =
            clients.map(|ledger| scope.spawn(|| work(ledger, &address, &is_over))).collect();
        for _ in 0..deaths {
            // Half of them come to a server that serves, the others may come while it starts.
            if chance.below(2) == 0 {
                await_service(&address);
            }
            // Any moment will do, so it is one of the clock's.
            thread::sleep(Duration::from_millis(chance.below(calm())));
            match victims[chance.below(victims.len() as u64) as usize] {
                Victim::Kv => drop(system.http("POST", "/v1/domains/kv/kill")),
                Victim::Store => drop(system.http("POST", "/v1/domains/store/kill")),
                Victim::Bailout => drop(system.http("POST", "/v1/domains/bailout/kill")),
                Victim::Fault => drop(connect_in_time(&address).send(b"DEBUG SEGFAULT\r\n")),
                Victim::Vmm => {
                    starts.count(&system);
                    system = System::start_at(system.murder());
                }
            }
        }
        is_over.store(true, Relaxed);
        let ledgers = clients.into_iter().map(|client| client.join().expect("a client judges"));
        (system, ledgers.collect::<Vec<_>>())
    });
    // What is served, and then, as the last word, what is on disk.
    ledgers.iter_mut().for_each(|ledger| ledger.check(|| connect_in_time(&address)));
    starts.count(&system);
    let system = System::start_at(system.murder());
    ledgers.iter_mut().for_each(|ledger| ledger.check(|| connect_in_time(&address)));
    let tally = ledgers.iter().fold(Tally::default(), |sum, ledger| sum.plus(ledger.tally));
    drop(system);
    eprintln!("{deaths} deaths: {tally:?}, {starts:?}");
    (tally, starts)
}

const ALL: [Victim; 4] = [Victim::Kv, Victim::Store, Victim::Fault, Victim::Vmm];

#[test]
fn nothing_acknowledged_is_lost_whoever_dies() {
    if !has_kvm() {
        return;
    }
    let (tally, starts) = kill_under_load(place(), rounds(60, 6), &ALL);
    assert!(tally.acknowledged > 0 && tally.looks > 4, "{tally:?}");
    assert_eq!(tally.refused, 0);
    assert_eq!((starts.warm, starts.torn), (0, 0), "nothing is kept but by the store");
}

#[test]
#[ignore = "takes minutes"]
fn nor_by_a_thousand_deaths() {
    if has_kvm() {
        kill_under_load(place(), 1000, &ALL);
    }
}

#[test]
#[ignore = "takes minutes"]
fn nor_by_a_thousand_deaths_of_which_most_leave_kv_its_memory() {
    if has_kvm() {
        let (_, starts) = kill_under_load(place_with_state("16 MiB"), 1000, &ALL);
        assert!(starts.warm > starts.behind && starts.behind > 0, "{starts:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kv_that_comes_back_warm() {
    if !has_kvm() {
        return;
    }
    let victims = [Victim::Kv, Victim::Fault, Victim::Kv, Victim::Store];
    let (tally, starts) = kill_under_load(place_with_state("16 MiB"), rounds(80, 6), &victims);
    assert!(tally.acknowledged > 0 && tally.looks > 4, "{tally:?}");
    assert_eq!(tally.refused, 0);
    assert!(starts.warm > 0, "{starts:?}");
    assert!(starts.loaded <= 1 + starts.torn + starts.partial, "{starts:?}");
    assert_eq!(starts.stale, 0, "{starts:?}");
}

#[test]
fn nor_if_the_vmm_dies_too() {
    if !has_kvm() {
        return;
    }
    let (tally, starts) = kill_under_load(place_with_state("16 MiB"), rounds(60, 6), &ALL);
    assert!(tally.acknowledged > 0 && tally.looks > 4, "{tally:?}");
    assert_eq!((tally.refused, starts.stale), (0, 0), "{starts:?}");
}

#[test]
fn nor_if_the_supervisor_domain_dies_too() {
    if !has_kvm() {
        return;
    }
    let victims = [Victim::Kv, Victim::Fault, Victim::Store, Victim::Bailout, Victim::Vmm];
    let (tally, _) = kill_under_load(place_with_bailout(), rounds(60, 6), &victims);
    assert!(tally.acknowledged > 0 && tally.looks > 4, "{tally:?}");
}

/// What `INFO` says of how kv began.
fn start(kv: &mut Resp) -> String {
    let info = kv.ask("INFO persistence").text();
    let line = info.lines().find_map(|line| line.strip_prefix("atoll_start:"));
    line.expect("it says how it began").to_owned()
}

#[test]
fn what_kv_keeps_is_used_as_long_as_it_is_what_the_store_has() {
    if !has_kvm() {
        return;
    }
    let system = System::start_at(place_with_state("16 MiB"));
    let address = address(system.place());
    let mut kv = connect_in_time(&address);
    assert_eq!(start(&mut kv), "loaded");
    assert_eq!(kv.ask("SET a 1"), Reply::ok());
    assert!(connect_in_time(&address).ask("DEBUG SEGFAULT").is_restarted());
    assert_eq!((kv.ask("INCR a"), start(&mut kv)), (Reply::Integer(2), "warm".into()));
    for victim in ["kv", "store"] {
        let mark = system.records().mark();
        system.told(&["kill", victim]);
        system.restarted_after(mark, "kv");
        let mut kv = connect_in_time(&address);
        assert_eq!((kv.ask("GET a"), start(&mut kv)), (Reply::bulk("2"), "warm".into()));
    }
    let mark = system.records().mark();
    system.told(&["reset-state", "kv"]);
    system.restarted_after(mark, "kv");
    let mut kv = connect_in_time(&address);
    assert_eq!((kv.ask("INCR a"), start(&mut kv)), (Reply::Integer(3), "loaded".into()));
    let system = System::start_at(system.murder());
    let mut kv = connect_in_time(&address);
    assert_eq!((kv.ask("GET a"), start(&mut kv)), (Reply::bulk("3"), "loaded".into()));
    drop(system);
}

/// Commands that take long: a kv that has many of them is hardly ever outside of an edit.
#[test]
fn a_kv_that_dies_in_a_change_loads_what_the_store_has() {
    if !has_kvm() {
        return;
    }
    let system = System::start_at(place_with_state("16 MiB"));
    let address = address(system.place());
    let mut kv = connect_in_time(&address);
    let keys = rounds(10_000, 1_000);
    for chunk in (0..keys).collect::<Vec<_>>().chunks(100) {
        let pairs = chunk.iter().map(|number| format!(" {}-{number} {number}", "key".repeat(20)));
        assert_eq!(kv.ask(&format!("MSET{}", pairs.collect::<String>())), Reply::ok());
    }
    let search = command("KEYS *k*k*k*k*x").repeat(100);
    let began = (0..rounds(50, 20)).find_map(|_| {
        let mark = system.records().mark();
        let mut busy = connect_in_time(&address);
        assert!(busy.send(&search));
        system.told(&["kill", "kv"]);
        system.restarted_after(mark, "kv");
        let began = start(&mut connect_in_time(&address));
        (began == "loaded").then_some(began)
    });
    assert!(began.is_some(), "it never died in an edit");
    let mut starts = Starts::default();
    starts.count(&system);
    assert_eq!((starts.torn, starts.stale), (1, 0), "{starts:?}");
    let mut kv = connect_in_time(&address);
    assert_eq!(kv.ask("DBSIZE"), Reply::Integer(keys as i64));
    drop(system);
}

#[test]
fn a_state_region_without_room_for_a_batch_is_refused() {
    if !has_kvm() {
        return;
    }
    let system = System::start_at(place_with_state("2 MiB"));
    let faulted = system.event_after(0, "kv", "domain-faulted");
    let what = faulted["fault"]["what"].as_str().expect("a panic has a text");
    assert!(what.contains("batches of 1048576 bytes must be possible"), "{what}");
    assert!(what.contains("and of its `state` if it has any"), "{what}");
    drop(system.murder());
}

/// Requests of the workload whose every write is a place to die at.
const STEPS: usize = 40;

/// Runs the workload with a fault at the disk's n-th write, and then without one. Returns whether
/// the fault came.
fn die_at(kind: &str, write: usize) -> bool {
    let place = place().with_options(&["--disk-fault", &format!("data:{kind}@{write}")]);
    let address = address(&place);
    let mut vmm = place
        .run_command()
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the VMM can be started");
    let mut ledger = Ledger::new("client", write as u64);
    let mut is_alive = true;
    let mut connection = first_connection(&address, &mut vmm);
    for _ in 0..STEPS {
        let Some(open) = connection.as_mut() else { break };
        if !ledger.work(open, 3) {
            is_alive = false;
            break;
        }
    }
    is_alive &= connection.is_some();
    if is_alive {
        vmm.kill().expect("a child can be killed");
    }
    assert!(atoll_tests::process::ends_within(&vmm, patience()), "{kind}@{write}: it lives on");
    vmm.wait().expect("a child can be waited for");
    let system = System::start_at(place.with_options(&[]));
    ledger.check(|| connect_in_time(&address));
    // And it goes on from there.
    assert!(ledger.work(&mut connect_in_time(&address), 16));
    ledger.check(|| connect_in_time(&address));
    drop(system);
    !is_alive
}

/// A connection, or nothing if the VMM dies before there can be one.
fn first_connection(address: &str, vmm: &mut std::process::Child) -> Option<Resp> {
    let began = Instant::now();
    loop {
        if let Ok(socket) = atoll_tests::socket::Socket::try_connect(address) {
            return Some(Resp::over(socket));
        }
        if vmm.try_wait().expect("a child can be asked").is_some() {
            return None;
        }
        assert!(began.elapsed() < patience(), "nobody listens at {address}");
        // Nothing tells when a socket begins to listen.
        thread::sleep(Duration::from_millis(1));
    }
}

fn die_at_each(kind: &str) {
    if !has_kvm() {
        return;
    }
    // The emulated machine takes seconds for each start.
    let stride = rounds(1, 12);
    let mut deaths = 0;
    for write in (1..).step_by(stride) {
        if !die_at(kind, write) {
            break;
        }
        deaths += 1;
    }
    assert!(deaths >= STEPS / stride / 2, "{deaths} writes are no workload");
}

#[test]
fn a_vmm_that_dies_before_any_write_loses_nothing() {
    die_at_each("stop");
}

#[test]
fn a_vmm_that_dies_in_the_middle_of_any_write_loses_nothing() {
    die_at_each("tear");
}

#[test]
fn a_disk_that_fails_is_told_and_what_was_acknowledged_is_there() {
    fails_at_each(place);
}

#[test]
fn the_same_of_a_kv_that_keeps_what_the_disk_did_not_take() {
    fails_at_each(|| place_with_state("16 MiB"));
}

fn fails_at_each(place: impl Fn() -> Place) {
    if !has_kvm() {
        return;
    }
    for write in [10, 11, 13, 17, 25, 40] {
        let fault = format!("data:fail@{write}");
        let system = System::start_at(place().with_options(&["--disk-fault", &fault]));
        let address = address(system.place());
        let mut ledger = Ledger::new("client", write);
        for _ in 0..STEPS {
            if !ledger.work(&mut connect_in_time(&address), 3) {
                ledger.check(|| connect_in_time(&address));
            }
        }
        // Reads go on; the writes that were refused said why.
        let refused = connect_in_time(&address).ask("SET client:text:0 x");
        assert!(refused.is_error("MISCONF"), "write {write}: {refused:?}");
        assert!(matches!(connect_in_time(&address).ask("DBSIZE"), Reply::Integer(_)));
        let system = System::start_at(system.murder().with_options(&[]));
        ledger.check(|| connect_in_time(&address));
        assert!(ledger.work(&mut connect_in_time(&address), 16));
        assert!(ledger.tally.refused > 0, "write {write}: {:?}", ledger.tally);
        drop(system);
    }
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_back() {
    if !has_kvm() {
        return;
    }
    let place = Place::new(&SYSTEM.replace("64 MiB\"\ndomain", "32 MiB\"\ndomain"));
    place.put("data.disk", "");
    let system = System::start_at(place);
    let address = address(system.place());
    let mut kv = connect_in_time(&address);
    let value = "x".repeat(100_000);
    let mut stored = Vec::new();
    let refusal = loop {
        let key = format!("fill:{}", stored.len());
        match kv.ask(&format!("SET {key} {value}")) {
            reply if reply == Reply::ok() => stored.push(key),
            reply => break reply,
        }
        assert!(stored.len() < 1000, "32 MiB never fill up");
    };
    let Reply::Error(why) = &refusal else { panic!("{refusal:?}") };
    assert!(why.starts_with("ERR the store is full"), "{why}");
    assert!(stored.len() > 20, "{} values are all that fits", stored.len());
    // What is there stays, and room can be made.
    let system = System::start_at(system.murder());
    let mut kv = connect_in_time(&address);
    for key in &stored {
        assert_eq!(kv.ask(&format!("STRLEN {key}")), Reply::Integer(100_000), "{key}");
    }
    for key in &stored {
        assert_eq!(kv.ask(&format!("DEL {key}")), Reply::Integer(1), "{key}");
    }
    for round in 0..3 {
        for key in &stored[..stored.len() / 2] {
            assert_eq!(kv.ask(&format!("SET {key} {value}")), Reply::ok(), "{key}, {round}");
        }
    }
    drop(system);
}
