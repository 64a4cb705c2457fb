//! Kills of either side, and of the middle of a chain, at any point of any operation: each call
//! ends once, in a way that can be named, and nobody gets another's answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use atoll_tests::System;
use atoll_tests::control::until;
use atoll_tests::environment::{is_emulated, rounds};
use atoll_tests::storm::{PAIR, Stormer, one_more};

/// Calls of one command: few enough for some commands to end between two kills.
const CALLS: usize = 300;
/// What a call may become whose server is killed now and then. It is never late, and never
/// another call's answer. (`exhausted` is for a client that a busy host did not let run while a
/// new server waited for it to make room.)
const FATES: [&str; 3] = ["ok", "restarted", "exhausted"];

/// What all storms of a test came to.
#[derive(Default)]
struct Sum {
    ended: AtomicU64,
    restarted: AtomicU64,
    /// Commands whose client died with them.
    aborted: AtomicU64,
}

impl Sum {
    /// Storms from one client, one after the other, until it is told to stop. `fates` is what a
    /// call may become.
    fn storms(&self, system: &System, client: &str, stop: &AtomicBool, fates: &[&str]) {
        let kinds = ["call", "mix", "pipeline", "lend", "send", "notify"];
        let mut seed = 0;
        let mut stormer = Stormer::connect(system, client);
        while !stop.load(SeqCst) {
            seed += 1;
            let how = format!("seed {seed} max 200000");
            let kind = kinds[seed % kinds.len()];
            match stormer.any_storm(kind, CALLS, &how) {
                Some(tally) => {
                    tally.assert_only(CALLS as u64, fates);
                    self.ended.fetch_add(tally.ended(), SeqCst);
                    self.restarted.fetch_add(tally.get("restarted"), SeqCst);
                }
                None => {
                    self.aborted.fetch_add(1, SeqCst);
                    // Its connection may have gone with it.
                    stormer = Stormer::connect(system, client);
                }
            }
        }
        for kind in kinds {
            stormer.storm(kind, CALLS, "max 200000");
        }
    }
}

/// Kills one domain after the other while storms rage, and lets the storms end.
fn rage(system: &System, clients: &[&str], victims: &[&str], kills: usize, fates: &[&str]) -> Sum {
    let (sum, stop) = (Sum::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        let storms: Vec<_> = clients
            .iter()
            .map(|client| scope.spawn(|| sum.storms(system, client, &stop, fates)))
            .collect();
        for kill in 0..kills {
            await_messages(system, clients[0], kill, || storms.iter().any(|s| s.is_finished()));
            let victim = victims[kill % victims.len()];
            // Every other time an order, so that no domain is taken for one that crash-loops.
            let verb = if (kill / victims.len()).is_multiple_of(2) { "kill" } else { "restart" };
            system.renew(victim, verb);
        }
        stop.store(true, SeqCst);
    });
    let (ended, restarted) = (sum.ended.load(SeqCst), sum.restarted.load(SeqCst));
    println!("{kills} kills: {ended} messages ended, {restarted} of them with their server, and");
    println!("{} commands with their client", sum.aborted.load(SeqCst));
    sum
}

/// Lets some messages pass, now more and now fewer. It is done, too, if a storm has failed.
fn await_messages(system: &System, client: &str, kill: usize, done: impl Fn() -> bool) {
    let sent = || system.number(client, "/channels/0/requests");
    let (before, some) = (sent(), (kill * 37 % 101) as u64);
    until("messages", || (done() || sent() >= before + some).then_some(()));
}

#[test]
fn kills_of_the_server_end_each_call_once() {
    let Some(system) = System::start(&format!("{PAIR}{}", one_more("other", "server"))) else {
        return;
    };
    let sum = rage(&system, &["client", "other"], &["server"], rounds(200, 10), &FATES);
    assert_eq!(sum.aborted.load(SeqCst), 0, "no client was killed");
    // A few kills may all have met a server with nothing in its hands.
    let met = sum.restarted.load(SeqCst) > 0 || is_emulated();
    assert!(met, "some calls were in the server's hands");
    for client in ["client", "other"] {
        assert_eq!(system.number(client, "/channels/0/rejected"), 0);
        assert_eq!(system.epoch(client), 1);
    }
}

#[test]
fn kills_of_a_client_harm_neither_the_server_nor_its_other_clients() {
    let Some(system) = System::start(&format!("{PAIR}{}", one_more("other", "server"))) else {
        return;
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut other = Stormer::connect(&system, "other");
            while !stop.load(SeqCst) {
                other.storm("mix", CALLS, "max 200000");
            }
            other.counts().get("malformed")
        });
        let sum = rage(&system, &["client"], &["client"], rounds(150, 10), &["ok"]);
        stop.store(true, SeqCst);
        assert!(sum.aborted.load(SeqCst) > 0, "some commands died with their client");
        assert_eq!(other.join().expect("the other client is served"), 0);
    });
    assert_eq!(system.epoch("server"), 1);
}

#[test]
fn kills_anywhere_in_a_chain_end_each_call_once() {
    let chain = PAIR.replace(
        "from = \"client\"\nto = \"server:storm\"\n",
        "from = \"client\"\nas = \"storm\"\nto = \"relay:relay\"\n\
         [domains.relay]\nimage = \"relay\"\nmemory = \"32 MiB\"\n\
         [[channels]]\nfrom = \"relay\"\nas = \"next\"\nto = \"server:storm\"\n",
    );
    let Some(system) = System::start(&chain) else { return };
    // The relay gives a call up whose server died: that is `rejected`. It does not pass lent
    // buffers on as such, so `lend` is no storm for a chain.
    let fates = ["ok", "restarted", "exhausted", "rejected"];
    let (sum, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut client = Stormer::connect(&system, "client");
            for seed in 0.. {
                if stop.load(SeqCst) {
                    break;
                }
                let (kind, max) = [("call", 200_000), ("pipeline", 900)][seed % 2];
                match client.any_storm(kind, CALLS, &format!("seed {seed} max {max}")) {
                    Some(tally) => tally.assert_only(CALLS as u64, &fates),
                    None => client = Stormer::connect(&system, "client"),
                }
                sum.fetch_add(1, SeqCst);
            }
            client.storm("call", CALLS, "max 200000");
        });
        for kill in 0..rounds(150, 9) {
            await_messages(&system, "client", kill, || storm.is_finished());
            let victim = ["server", "relay", "client"][kill % 3];
            let verb = if kill / 3 % 2 == 0 { "kill" } else { "restart" };
            system.renew(victim, verb);
        }
        stop.store(true, SeqCst);
    });
    println!("{} storms", sum.load(SeqCst));
}
