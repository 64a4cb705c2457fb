//! The journal under several writers and a reader that follows.

use std::collections::HashMap;
use std::thread;

use super::*;
use crate::domain::Origin;

#[test]
fn a_line_is_stored_bounded() {
    let journal = Journal::default();
    journal.log("kv", 3, Level::Warn, &[b'x'; TEXT_MAX + 1]);
    let lines = journal.lines_since(0, None, 10);
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].seq, lines[0].number, lines[0].epoch), (1, 1, 3));
    assert!(lines[0].text.len() <= TEXT_MAX && lines[0].text.ends_with('…'));
}

#[test]
fn events_are_numbered_and_bounded() {
    let journal = Journal::default();
    for _ in 0..EVENTS_KEPT + 5 {
        journal.event(Some("kv"), EventKind::DomainPaused);
    }
    let events = journal.events_since(0, usize::MAX);
    assert_eq!(events.len(), EVENTS_KEPT);
    assert_eq!(events[0].seq, 6);
    assert_eq!(journal.events_since(EVENTS_KEPT as u64 + 4, 10).len(), 1);
}

#[test]
fn a_follower_misses_nothing_that_is_kept() {
    const WRITERS: u64 = 4;
    const LINES: u64 = 500;
    let journal = Journal::new(Limits { per_domain: LINES as usize, in_all: 10_000 });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let journal = &journal;
            scope.spawn(move || {
                for _ in 0..LINES {
                    journal.log(&format!("d{writer}"), 1, Level::Info, b"line");
                }
            });
        }
        let mut seen: HashMap<String, u64> = HashMap::new();
        runtime.block_on(async {
            let (mut watch, mut seq) = (journal.watch_lines(), 0);
            while seq < WRITERS * LINES {
                watch.wait_for(|last| *last > seq).await.unwrap();
                for line in journal.lines_since(seq, None, 64) {
                    assert_eq!(line.seq, seq + 1, "no line is skipped");
                    seq = line.seq;
                    let number = seen.entry(line.domain.clone()).or_default();
                    *number += 1;
                    assert_eq!(line.number, *number);
                }
            }
        });
        assert!(seen.values().all(|&lines| lines == LINES));
    });
    assert_eq!(journal.followers(), 0);
}

#[test]
fn json_of_an_event_is_flat() {
    let kind = EventKind::DomainRestarted {
        epoch: 2,
        origin: Origin::Checkpoint,
        micros: 90,
        steps: None,
    };
    let event = Event { seq: 7, time: 1, domain: Some("kv".into()), kind };
    let json = serde_json::to_value(&event).unwrap();
    let expected = serde_json::json!({
        "seq": 7, "time": 1, "domain": "kv", "kind": "domain-restarted", "epoch": 2, "origin": "checkpoint",
        "micros": 90
    });
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
}
