//! What a domain keeps: through faults, kills and restarts of every kind, whole or not at all.

use atoll_tests::control::until;
use atoll_tests::environment::rounds;
use atoll_tests::{Lines, System};

const PORT: &str = "keep:keep";

/// A system with a server that keeps things.
fn start(keys: &str) -> Option<System> {
    start_with("[supervision]\nintensity = 100_000", keys)
}

fn start_with(head: &str, keys: &str) -> Option<System> {
    System::start(&format!(
        "name = \"keep\"\n{head}\n[domains.keep]\nimage = \"keep\"\nstate = \"4 MiB\"\n{keys}\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{PORT}\"\n"
    ))
}

fn client(system: &System) -> Lines {
    Lines::connect(&system.gateway(PORT))
}

/// Ends an incarnation with a verb, and waits for the next one.
fn ends_by(system: &System, verb: &str) {
    let mark = system.records().mark();
    assert_eq!(client(system).ask(verb), "restarted");
    system.restarted_after(mark, "keep");
}

fn killed(system: &System) {
    let mark = system.records().mark();
    system.told(&["kill", "keep"]);
    system.restarted_after(mark, "keep");
}

fn restarted(system: &System) {
    let mark = system.records().mark();
    system.told(&["restart", "keep"]);
    system.restarted_after(mark, "keep");
}

fn emptied(system: &System) {
    let mark = system.records().mark();
    assert_eq!(system.told(&["reset-state", "keep"]), "emptied keep\n");
    let event = system.event_after(mark, "keep", "domain-state-emptied");
    assert_eq!(system.restarted_after(mark, "keep"), event["epoch"].as_u64().unwrap());
}

/// What is kept, whatever ends an incarnation.
fn keeps(system: &System) {
    let mut keep = client(system);
    assert_eq!(keep.ask("found"), "the state region is empty");
    assert_eq!(keep.ask("value"), "none");
    let mut edits = 1;
    let ends: [&dyn Fn(); 5] = [
        &|| ends_by(system, "die"),
        &|| ends_by(system, "panic at last"),
        &|| ends_by(system, "pass-away"),
        &|| killed(system),
        &|| restarted(system),
    ];
    for (number, end) in (1u64..).zip(ends) {
        let epoch = keep.ask("epoch");
        assert_eq!(keep.ask(&format!("set key-{number} value of {number}")), "");
        assert_eq!(keep.ask("set last of all"), if number == 1 { "" } else { "of all" });
        assert_eq!(keep.ask("step"), number.to_string());
        // Giving the old value of `last` back was an edit, too.
        edits += if number == 1 { 2 } else { 3 };
        assert_eq!(keep.ask("edits"), edits.to_string());
        end();
        let found = format!("warm after {edits} edits, the last in epoch {epoch}");
        assert_eq!(keep.ask("found"), found, "after {number} ends");
        assert_eq!(keep.ask("check"), "whole");
        assert_eq!(keep.ask("value"), format!("{number} written in {epoch}"));
        for before in 1..=number {
            assert_eq!(keep.ask(&format!("get key-{before}")), format!("value of {before}"));
        }
        assert_eq!(keep.ask("keys"), (number + 1).to_string());
        assert_eq!(keep.ask("where"), "true false", "all of it is in the region, and only that");
    }
}

#[test]
fn what_is_kept_survives_every_end_and_a_checkpoint_forgets_the_rest() {
    let Some(system) = start("") else { return };
    keeps(&system);
    let restarts = system.records().all();
    let restarts = restarts.iter().filter(|record| record["kind"] == "domain-restarted");
    assert!(restarts.clone().count() == 5 && restarts.clone().all(|r| r["origin"] == "checkpoint"));
}

#[test]
fn what_is_kept_survives_restarts_from_the_image() {
    let Some(system) = start("restart-from = \"image\"") else { return };
    keeps(&system);
    let restarts = system.records().all();
    let faulted = restarts.iter().filter(|record| record["kind"] == "domain-restarted");
    assert!(faulted.clone().count() == 5 && faulted.clone().all(|r| r["origin"] == "image"));
}

#[test]
fn an_arena_that_its_server_died_in_is_torn_and_begins_anew() {
    let Some(system) = start("") else { return };
    let mut keep = client(&system);
    keep.ask("set whole yes");
    keep.ask("step");
    let epoch = keep.ask("epoch");
    ends_by(&system, "die-in-edit halfway");
    let torn =
        format!("the server died in an edit of its arena, the one after 2, in epoch {epoch}");
    assert_eq!(keep.ask("found"), torn);
    assert_eq!((keep.ask("keys"), keep.ask("get whole")), ("0".into(), "none".into()));
    assert!(keep.ask("value").starts_with("1 written"), "the value is another matter");
    keep.ask("set again yes");
    ends_by(&system, "die");
    assert!(keep.ask("found").starts_with("warm after 2 edits"), "it is an arena like any other");
    assert_eq!(keep.ask("get again"), "yes");
}

#[test]
fn a_torn_arena_stays_torn_until_its_server_begins_anew() {
    let Some(system) = start("arguments = [\"torn=keep\"]") else { return };
    let mut keep = client(&system);
    keep.ask("set a b");
    ends_by(&system, "die-in-edit halfway");
    let torn = keep.ask("found");
    assert!(torn.contains("died in an edit"), "{torn}");
    assert_eq!(keep.ask("get a"), "there is no arena");
    restarted(&system);
    assert_eq!(keep.ask("found"), torn);
    emptied(&system);
    assert_eq!(
        (keep.ask("found"), keep.ask("get a")),
        ("the state region is empty".into(), "none".into())
    );
}

#[test]
fn another_version_is_named_and_left_alone() {
    let Some(system) = start("arguments = [\"version=3\", \"then=4\"]") else {
        return;
    };
    let mut keep = client(&system);
    assert_eq!(keep.ask("step"), "1");
    restarted(&system);
    let said = keep.ask("value");
    assert!(said.contains("holds version 3 of `value`, and this server keeps version 4"), "{said}");
    assert!(said.contains("`vmm reset-state DOMAIN`"), "it says what to do: {said}");
    assert_eq!(keep.ask("step"), said, "nothing is written over it");
    assert_eq!(keep.ask("value-anew"), "none");
    assert_eq!(keep.ask("step"), "1");
}

#[test]
fn an_arena_of_another_version_is_named() {
    let Some(system) = start("arguments = [\"version=3\", \"then=4\"]") else { return };
    let mut keep = client(&system);
    keep.ask("set a b");
    restarted(&system);
    let said = keep.ask("found");
    assert!(said.contains("holds version 3 of `arena`, and this server keeps version 4"), "{said}");
    assert_eq!(keep.ask("keys"), "0", "this server begins anew");
    restarted(&system);
    assert!(keep.ask("found").starts_with("warm after 1 edits"), "and that is version 4");
}

#[test]
fn an_arena_of_another_size_is_named() {
    let Some(system) = start("arguments = [\"size=1048576\"]") else { return };
    let mut keep = client(&system);
    keep.ask("set a b");
    restarted(&system);
    let said = keep.ask("found");
    let sizes = "`arena` was made for a state region of 4128768 bytes, and this one has 1048576";
    assert!(said.contains(sizes) && said.contains("set `state` in the manifest"), "{said}");
}

#[test]
fn an_operator_can_empty_it() {
    let Some(system) = start("") else { return };
    let mut keep = client(&system);
    keep.ask("set a b");
    keep.ask("step");
    let region = &system.inspect("keep")["state_region"];
    assert_eq!(region["bytes"], 4 << 20);
    let used = region["populated_bytes"].as_u64().unwrap();
    assert!(used > 0 && used < 4 << 20, "{used}");
    assert!(system.told(&["inspect", "keep"]).contains("in use of 4 MiB"));
    emptied(&system);
    assert_eq!(keep.ask("found"), "the state region is empty");
    assert_eq!((keep.ask("value"), keep.ask("keys")), ("none".into(), "0".into()));
    keep.ask("set a c");
    killed(&system);
    assert_eq!(keep.ask("get a"), "c", "it is kept like before");
    assert_eq!(system.inspect("keep")["faults"], 1, "only the kill was a fault");
}

#[test]
fn who_keeps_nothing_has_nothing_to_empty() {
    let manifest = "name = \"none\"\n[domains.echo]\nimage = \"echo\"\n";
    let Some(system) = System::start(manifest) else { return };
    assert!(system.inspect("echo").get("state_region").is_none());
    let refused = system.vmm(&["reset-state", "echo"]);
    assert_eq!(refused.code, Some(7));
    let expected = "`echo` has no state region, so every restart begins without";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}

#[test]
fn waiting_in_an_edit_is_refused() {
    let Some(system) = start("") else { return };
    let mark = system.records().mark();
    ends_by(&system, "wait-in-edit");
    let faulted = system.event_after(mark, "keep", "domain-faulted");
    let what = faulted["fault"]["what"].as_str().unwrap();
    assert!(what.contains("an edit of the arena cannot wait"), "{what}");
}

#[test]
fn a_full_arena_refuses_and_goes_on() {
    let Some(system) = start("") else { return };
    let mut keep = client(&system);
    let before = keep.ask("usage");
    let filled: u64 = keep.ask("fill").parse().unwrap();
    assert!(filled > 3 << 20 && filled < 4 << 20, "{filled}");
    killed(&system);
    assert_eq!(keep.ask("check"), "whole");
    assert_eq!(keep.ask("empty-blocks"), "emptied");
    assert_eq!(keep.ask("usage"), before, "all of it was given back");
    assert_eq!(keep.ask("fill"), filled.to_string(), "and can be had again");
}

#[test]
fn the_heap_hangs_together_after_any_history() {
    let Some(system) = start("") else { return };
    let mut keep = client(&system);
    let empty = keep.ask("usage");
    for round in 1..rounds(20, 4) as u64 {
        keep.ask(&format!("churn 400 {}", round * 7919));
        assert_eq!(keep.ask("check"), "whole", "round {round}");
        killed(&system);
        assert!(keep.ask("found").starts_with("warm"), "round {round}");
        assert_eq!(keep.ask("check"), "whole", "round {round}");
    }
    keep.ask("empty-blocks");
    assert_eq!(keep.ask("usage"), empty);
}

#[test]
fn a_heap_that_was_scribbled_on_is_found_out() {
    let Some(system) = start("") else { return };
    let mut keep = client(&system);
    assert_eq!(keep.ask("scribble"), "scribbled");
    let said = keep.ask("check");
    assert!(said.starts_with("the arena's heap is damaged at 0x3000"), "{said}");
    // What follows a scribble may be anything; the domain is not to go on with it.
    emptied(&system);
    assert_eq!(keep.ask("check"), "whole");
}

/// Kills come at any instant of a run of commits and edits. What is found afterwards was committed,
/// and is no older than the last that was acknowledged.
#[test]
fn whatever_is_found_after_a_kill_was_committed() {
    let Some(system) = start("") else { return };
    let mut acknowledged = 0;
    let mut warm = 0;
    for round in 1..=rounds(60, 8) as u64 {
        let mut keep = client(&system);
        for _ in 0..=round % 3 {
            acknowledged = keep.ask("step").parse().unwrap();
        }
        let set = acknowledged.to_string();
        keep.ask(&format!("set acknowledged {set}"));
        // Under way while the kill comes.
        for _ in 0..20 {
            keep.tell("step");
            keep.tell(&format!("churn 30 {round}"));
        }
        killed(&system);
        let mut answers = std::iter::from_fn(|| keep.hear()).take(40);
        let mut steps = Vec::new();
        while let (Some(step), Some(_)) = (answers.next(), answers.next()) {
            steps.extend(step.parse::<u64>());
        }
        let last = steps.last().copied().unwrap_or(acknowledged).max(acknowledged);
        let mut keep = client(&system);
        let value = keep.ask("value");
        let (number, _) = value.split_once(" written in ").unwrap_or_else(|| panic!("{value}"));
        let number: u64 = number.parse().unwrap();
        assert!(number >= last, "round {round}: {number} after {last} was acknowledged");
        acknowledged = number;
        match keep.ask("found") {
            found if found.starts_with("warm") => {
                warm += 1;
                assert_eq!(keep.ask("get acknowledged"), set, "round {round}");
                assert_eq!(keep.ask("check"), "whole", "round {round}");
            }
            found => assert!(found.contains("died in an edit"), "round {round}: {found}"),
        }
    }
    assert!(warm > 0, "not every kill comes within an edit");
}

/// A server that dies of what it keeps, from its checkpoint and from its image alike.
#[test]
fn a_crash_loop_can_be_ended_by_dropping_what_is_kept() {
    let keys =
        "arguments = [\"poison=yes\"]\nstate-on-crash-loop = \"drop\"\nbackoff-first = \"1 ms\"";
    let Some(system) = start(keys) else { return };
    let mut keep = client(&system);
    keep.ask("set poison yes");
    let mark = system.records().mark();
    assert_eq!(keep.ask("die"), "restarted");
    system.event_after(mark, "keep", "domain-state-emptied");
    assert_eq!(keep.ask("found"), "the state region is empty");
    // The server may have answered before it is told that it began.
    until("a start from the image with its state, and one without", || {
        let records = system.records().all();
        let of_image = records[mark..].iter().filter(|record| record["origin"] == "image");
        (of_image.count() >= 2).then_some(())
    });
}

/// The same with the default: it stays in the loop until an operator empties the region.
#[test]
fn a_crash_loop_keeps_what_is_kept_unless_it_is_told_otherwise() {
    let keys = "arguments = [\"poison=yes\"]\nbackoff-first = \"1 ms\"\nbackoff-cap = \"1 ms\"";
    let Some(system) = start(keys) else { return };
    let mut keep = client(&system);
    keep.ask("set poison yes");
    let mut mark = system.records().mark();
    keep.tell("die");
    for _ in 0..10 {
        mark = system.records().mark();
        system.event_after(mark, "keep", "domain-restarted");
    }
    let records = system.records().all();
    assert!(records.iter().all(|record| record["kind"] != "domain-state-emptied"));
    until("an order between two lives", || {
        (system.vmm(&["reset-state", "keep"]).code == Some(0)).then_some(())
    });
    system.event_after(mark, "keep", "domain-state-emptied");
    assert_eq!(client(&system).ask("found"), "the state region is empty");
}

#[test]
fn a_region_of_one_page_has_no_room_for_this_server() {
    let manifest = format!(
        "name = \"small\"\n[domains.keep]\nimage = \"keep\"\nstate = \"72 KiB\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{PORT}\"\n"
    );
    let Some(system) = System::start(&manifest) else { return };
    let said = client(&system).ask("found");
    assert!(said.contains("8192 bytes is too small") && said.contains("raise `state`"), "{said}");
}
