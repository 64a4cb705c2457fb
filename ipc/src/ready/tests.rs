//! Sets of channels, turns, and attention.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn a_set_is_a_set(channels in prop::collection::btree_set(0..CHANNELS_MAX, 0..40), from in 0..CHANNELS_MAX) {
        let set: ChannelSet = channels.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), channels.clone());
        let next = channels.range(from..).chain(channels.iter()).next().copied();
        prop_assert_eq!(set.first_from(from), next);
        prop_assert_eq!(set.is_empty(), channels.is_empty());
    }

    #[test]
    fn a_rotation_visits_each_watched_channel_once_and_the_last_served_last(
        channels in prop::collection::btree_set(0..CHANNELS_MAX, 1..40),
        last in any::<prop::sample::Index>(),
    ) {
        let mut watch = Watch::new();
        channels.iter().for_each(|&channel| watch.add(channel));
        let all: Vec<usize> = channels.iter().copied().collect();
        let last = all[last.index(all.len())];
        watch.served(last);
        let everything = (0..CHANNELS_MAX).collect();
        let visited: Vec<usize> = watch.rotation(&everything).collect();
        prop_assert_eq!(visited.iter().copied().collect::<BTreeSet<_>>(), channels);
        prop_assert_eq!(visited.len(), all.len());
        prop_assert_eq!(*visited.last().unwrap(), last);
    }
}

#[test]
fn a_sole_channel_is_known_as_long_as_it_is_alone() {
    let mut watch = Watch::new();
    assert_eq!(watch.sole(), None);
    watch.add(70);
    assert_eq!(watch.sole(), Some(70));
    watch.add(3);
    assert_eq!(watch.sole(), None);
    watch.remove(70);
    assert_eq!(watch.sole(), Some(3));
    watch.clear();
    assert_eq!(watch.sole(), None);
}

#[test]
fn no_channel_waits_longer_than_one_round() {
    let mut watch = Watch::new();
    (0..5).for_each(|channel| watch.add(channel * 50));
    let everything = (0..CHANNELS_MAX).collect();
    let served: Vec<usize> = (0..10)
        .map(|_| {
            let channel = watch.rotation(&everything).next().unwrap();
            watch.served(channel);
            channel
        })
        .collect();
    assert_eq!(served, [0, 50, 100, 150, 200, 0, 50, 100, 150, 200]);
}

#[test]
fn a_channel_is_left_after_many_looks_in_vain_and_none_that_speaks() {
    let mut watch = Watch::new();
    watch.add(3);
    for _ in 0..10 {
        for _ in 0..IDLE_MAX {
            assert!(!watch.missed(3));
        }
        watch.served(3);
    }
    (0..IDLE_MAX).for_each(|_| assert!(!watch.missed(3)));
    assert!(watch.missed(3));
    watch.remove(3);
    assert!(watch.watched().is_empty());
}

#[test]
fn attention_is_collected_once_and_a_sleeper_kicked_once() {
    let ready = Ready::default();
    assert!(!ready.raise(7));
    assert!(!ready.raise(200));
    let collected: Vec<usize> = ready.collect().iter().collect();
    assert_eq!(collected, [7, 200]);
    assert!(ready.collect().is_empty());
    ready.declare_asleep();
    assert!(Alert::new(&ready, 9).raise());
    assert!(!ready.raise(10));
    ready.declare_asleep();
    ready.declare_awake();
    assert!(!ready.raise(11));
    assert_eq!(ready.collect().iter().collect::<Vec<_>>(), [9, 10, 11]);
}
