//! Snapshots of what outlives incarnations: state regions are in them, and what is on a disk is not.

use std::fs;

use atoll_tests::snapshots::{CRASH, refused, restore, scratch, snap, text};
use atoll_tests::{Lines, Place, Reply, Resp, System};
use serde_json::json;

const KEEP: &str = "keep:keep";
const REDIS: &str = "kv:redis";

const KEEPER: &str = r#"
name = "keeper"
[domains.keep]
image = "keep"
state = "4 MiB"
[[gateways]]
listen = "127.0.0.1:0"
to = "keep:keep"
"#;

/// kv in front of its store, which has a disk.
const DURABLE: &str = r#"
name = "durable"
[groups.data]
strategy = "rest-for-one"
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
listen = "127.0.0.1:0"
to = "kv:redis"
[disks.data]
file = "data.disk"
size = "64 MiB"
domain = "store"
"#;

/// Somebody whom the disk does not concern.
const BESIDE: &str = r#"
[domains.crashme]
image = "crashme"
[[gateways]]
listen = "127.0.0.1:0"
to = "crashme:crash"
"#;

/// Ends an incarnation with a verb; returns where the next one began.
fn ends_by(system: &System, verb: &str) -> String {
    let mark = system.records().mark();
    assert_eq!(Lines::connect(&system.gateway(KEEP)).ask(verb), "restarted");
    let event = system.event_after(mark, "keep", "domain-restarted");
    event["origin"].as_str().expect("it says where from").to_owned()
}

#[test]
fn a_state_region_is_as_it_was_and_later_incarnations_look_at_it_anew() {
    let Some(system) = System::start(KEEPER) else { return };
    let (_dir, path) = scratch();
    let mut keep = Lines::connect(&system.gateway(KEEP));
    keep.ask("set key before");
    assert_eq!(keep.ask("step"), "1");
    snap(&system, &path);
    assert_eq!(keep.ask("set key after"), "before");
    assert_eq!(keep.ask("step"), "2");

    let other = restore(&path);
    let mut there = Lines::connect(&other.gateway(KEEP));
    assert_eq!((there.ask("get key"), there.ask("step")), ("before".into(), "2".into()));
    assert_eq!((there.ask("epoch"), there.ask("check")), ("2".into(), "whole".into()));
    // What was in memory when the snapshot was taken knows nothing of this.
    assert_eq!(there.ask("set key there"), "before");
    assert_eq!(ends_by(&other, "die"), "image");
    assert!(there.ask("found").starts_with("warm after"));
    assert_eq!((there.ask("get key"), there.ask("step")), ("there".into(), "3".into()));
    assert_eq!(ends_by(&other, "die"), "checkpoint", "the one that it has taken here");
    assert_eq!(there.ask("get key"), "there");
    assert_eq!(keep.ask("get key"), "after", "the first one does not mind");
}

#[test]
fn an_arena_that_a_restored_server_dies_in_is_found_torn() {
    let Some(system) = System::start(KEEPER) else { return };
    let (_dir, path) = scratch();
    Lines::connect(&system.gateway(KEEP)).ask("set key before");
    snap(&system, &path);
    let other = restore(&path);
    assert_eq!(ends_by(&other, "die-in-edit halfway"), "image");
    let found = Lines::connect(&other.gateway(KEEP)).ask("found");
    assert!(found.contains("died in an edit"), "{found}");
}

#[test]
fn what_depends_on_a_disk_begins_with_what_is_there_and_the_others_go_on() {
    let Some(system) = System::start(&format!("{DURABLE}{BESIDE}")) else { return };
    let (_dir, path) = scratch();
    let ok = || Reply::Simple("OK".into());
    let mut client = Resp::connect(&system.gateway(REDIS));
    let mut count = Lines::connect(&system.gateway(CRASH));
    assert_eq!((client.ask("SET a 1"), count.ask("count")), (ok(), "1".into()));
    let said = snap(&system, &path);
    let apart = json!([{"domain": "store", "disk": "data"}, {"domain": "kv", "disk": "data"}]);
    assert_eq!((&said["on_disks"], said["domains"].as_array().map(Vec::len)), (&apart, Some(1)));
    assert_eq!((client.ask("SET a 2"), count.ask("count")), (ok(), "2".into()));
    assert_eq!(client.ask("SET b 2"), ok());

    // Death, and the snapshot is older than the file.
    let other = System::start_at(system.murder().from_snapshot(&path));
    let epochs = ["store", "kv", "crashme"].map(|domain| other.epoch(domain));
    assert_eq!(epochs, [1, 1, 2]);
    let mut client = Resp::connect(&other.gateway(REDIS));
    assert_eq!(client.ask("GET a"), Reply::bulk("2"), "what was acknowledged is there");
    assert_eq!(client.ask("GET b"), Reply::bulk("2"));
    assert_eq!(Lines::connect(&other.gateway(CRASH)).ask("count"), "2");
    // And kv follows its store as ever.
    assert_eq!(client.ask("SET c 3"), ok());
    let mark = other.records().mark();
    other.order("store", "kill");
    other.restarted_after(mark, "store");
    other.restarted_after(mark, "kv");
    let mut client = Resp::connect(&other.gateway(REDIS));
    assert_eq!(client.ask("GET c"), Reply::bulk("3"));
}

#[test]
fn what_is_all_on_disk_has_no_snapshot_and_the_error_says_what_to_copy() {
    let Some(system) = System::start(DURABLE) else { return };
    let (_dir, path) = scratch();
    for (domain, who) in
        [(None, "each of its domains"), (Some("kv"), "kv"), (Some("store"), "store")]
    {
        let arguments: Vec<_> =
            ["snapshot"].into_iter().chain(domain).chain([text(&path)]).collect();
        let outcome = system.vmm(&arguments);
        assert_eq!(outcome.code, Some(7), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("{who} depends on what is on disk")), "{who}");
        assert!(outcome.stderr.contains("data.disk"), "{}", outcome.stderr);
    }
    assert!(!path.exists());
    let mut client = Resp::connect(&system.gateway(REDIS));
    assert_eq!(client.ask("SET a 1"), Reply::Simple("OK".into()));
}

#[test]
fn a_disk_that_is_counted_on_is_not_made_anew() {
    let Some(system) = System::start(&format!("{DURABLE}{BESIDE}")) else { return };
    let (dir, path) = scratch();
    snap(&system, &path);
    let said = refused(&Place::of_snapshot(&path));
    assert!(said.contains("x.snap") && said.contains("data.disk"), "{said}");
    assert!(said.contains("has what store, kv knows"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "none was made");
}

#[test]
fn memory_does_not_go_on_beside_a_disk_that_was_not_there() {
    let volatile = format!("name = \"x\"\n{BESIDE}");
    let Some(system) = System::start(&volatile) else { return };
    let (_dir, path) = scratch();
    snap(&system, &path);
    let disk = "[disks.data]\nfile = \"data.disk\"\nsize = \"1 MiB\"\ndomain = \"crashme\"\n";
    let place = Place::new(&format!("{volatile}{disk}"));
    let said = refused(&place.from_snapshot(&path));
    assert!(said.contains("x.snap") && said.contains("depends on disk `data`"), "{said}");
}
