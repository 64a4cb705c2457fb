//! The status page, the layout, and the decision where a restarted server goes on.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

const RING: u64 = 4096;
const SMALL: Layout =
    Layout { requests: 4096, replies: 8192, lent_requests: 4096, lent_replies: 12288 };

fn status() -> Box<Status> {
    let status = Box::<Status>::default();
    status.initialise(7, 3, 5);
    status
}

#[test]
fn a_new_channel_says_what_it_was_given() {
    let status = status();
    assert_eq!(status.epochs(), Epochs { client: 3, server: 5, resume: 0 });
    assert_eq!((status.epoch(Role::Client), status.epoch(Role::Server)), (3, 5));
    let secrets = status.snapshot().secrets;
    assert_eq!(secrets.requests, 7);
    assert_ne!(secrets.requests, secrets.replies, "the rings of a channel share no key");
}

#[test]
fn a_server_restart_tells_where_it_goes_on_and_leaves_the_client_alone() {
    let status = status();
    status.server_restarts(6, 320);
    assert_eq!(status.epochs(), Epochs { client: 3, server: 6, resume: 320 });
    assert_eq!(status.epoch(Role::Server), 6);
}

#[test]
fn a_client_restart_takes_every_later_server_back_to_the_start() {
    let status = status();
    status.server_restarts(6, 320);
    status.client_restarts(4);
    assert_eq!(status.epochs(), Epochs { client: 4, server: 6, resume: 0 });
}

#[test]
fn each_restart_of_either_end_begins_another_generation_of_replies() {
    let status = status();
    let mut last = status.epochs().replies();
    for epoch in 6..20 {
        status.server_restarts(epoch, 0);
        assert!(status.epochs().replies() > last);
        last = status.epochs().replies();
        status.client_restarts(epoch);
        assert!(status.epochs().replies() > last);
        assert_eq!(status.epochs().requests(), epoch);
        last = status.epochs().replies();
    }
}

#[test]
fn a_renewed_secret_reaches_only_the_rings_that_begin_anew() {
    let status = status();
    let before = status.snapshot().secrets;
    status.renew(8);
    assert_eq!(status.snapshot().secrets.requests, before.requests, "not before the restart");
    status.server_restarts(6, 320);
    let server_restarted = status.snapshot().secrets;
    assert_eq!(server_restarted.requests, before.requests, "unread requests keep their key");
    assert_ne!(server_restarted.replies, before.replies);
    status.renew(9);
    status.client_restarts(4);
    let client_restarted = status.snapshot().secrets;
    assert_ne!(client_restarted.requests, server_restarted.requests);
    assert_ne!(client_restarted.replies, server_restarted.replies);
}

#[test]
fn each_end_is_gone_by_itself() {
    let status = status();
    status.set_gone(Role::Server, true);
    assert!(status.is_gone(Role::Server) && !status.is_gone(Role::Client));
    status.set_gone(Role::Client, true);
    status.set_gone(Role::Server, false);
    assert!(!status.is_gone(Role::Server) && status.is_gone(Role::Client));
}

#[test]
fn each_end_has_the_other_for_a_peer() {
    assert_eq!(Role::Client.peer(), Role::Server);
    assert_eq!(Role::Server.peer(), Role::Client);
}

#[test]
fn a_layout_is_valid_for_powers_of_two_within_bounds() {
    let valid = |requests, replies| Layout { requests, replies, ..Layout::PLAIN }.is_valid();
    assert!(Layout::DEFAULT.is_valid() && Layout::PLAIN.is_valid() && valid(4096, 1 << 27));
    for size in [0, 2048, 4097, 6144, 1 << 28, u32::MAX] {
        assert!(!valid(size, 4096) && !valid(4096, size), "{size}");
    }
}

#[test]
fn pools_are_whole_pages_or_none() {
    let valid = |lent_requests, lent_replies| {
        Layout { lent_requests, lent_replies, ..Layout::DEFAULT }.is_valid()
    };
    for size in [0, 4096, 12288, 1 << 27] {
        assert!(valid(size, 0) && valid(0, size), "{size}");
    }
    for size in [1, 64, 4095, 4097, (1 << 27) + 4096, u32::MAX] {
        assert!(!valid(size, 0) && !valid(0, size), "{size}");
    }
}

#[test]
fn a_layout_leaves_room_for_all_areas_and_the_two_pages_before() {
    let plain = Layout { lent_requests: 0, lent_replies: 0, ..SMALL };
    assert_eq!(plain.total(), 8192 + 4096 + 8192);
    assert_eq!(SMALL.total(), (2 << 20) + 4096 + 12288, "pools begin at a large page");
}

#[test]
fn the_longest_message_goes_through_the_ring_or_the_pool_whichever_carries_more() {
    assert_eq!((SMALL.max_request(), SMALL.max_reply()), (2048, 6144));
    let plain = Layout { lent_requests: 0, lent_replies: 0, ..SMALL };
    assert_eq!((plain.max_request(), plain.max_reply()), (2048 - 16, 4096 - 16));
}

#[derive(Clone)]
#[repr(C, align(4096))]
struct Page([u64; 512]);

#[test]
fn a_mapped_channel_lays_its_parts_out_without_overlap() {
    let mut memory = vec![Page([0; _]); SMALL.total() / 4096];
    let base = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: `memory` is as large as the layout, page-aligned, outlives `channel`, and is not
    // touched by other means before `channel` is last used.
    let channel = unsafe { Mapped::at(base, SMALL) };
    let areas = [
        (channel.requests(), 512),
        (channel.replies(), 1024),
        (channel.lent_requests(), 512),
        (channel.lent_replies(), 1536),
    ];
    let mut mark = 4;
    for (area, words) in areas {
        assert_eq!(area.len(), words);
        area[0].store(mark, Relaxed);
        area[words - 1].store(mark + 1, Relaxed);
        mark += 2;
    }
    channel.status().initialise(0, 1, 2);
    channel.shared().notifications(Role::Server).store(3, Relaxed);
    assert_eq!(channel.status().epochs(), Epochs { client: 1, server: 2, resume: 0 });
    assert_eq!(channel.shared().notifications(Role::Server).load(Relaxed), 3);
    let pools = 2 << 20 >> 3;
    let rings = [1024, 1535, 1536, 2559];
    let ends = rings.into_iter().chain([0, 511, 512, 2047].map(|at| pools + at));
    let found: Vec<u64> = ends.map(|at: usize| memory[at / 512].0[at % 512]).collect();
    assert_eq!(found, [4, 5, 6, 7, 8, 9, 10, 11]);
}

/// What two honest ends say, the client being in epoch 2.
fn honest(taken: u64, tail: u64) -> Claims {
    Claims { tail, taken, head: 0, generation: 2, producing: 2 }
}

#[test]
fn a_new_server_goes_on_where_the_last_one_stopped_taking() {
    assert_eq!(resume_point(&honest(320, 640), 2, RING), 320);
    assert_eq!(resume_point(&honest(640, 640), 2, RING), 640);
    assert_eq!(resume_point(&honest(0, 640), 2, RING), 0);
    assert_eq!(resume_point(&honest(640, 640 + RING), 2, RING), 640, "an exactly full ring");
}

#[test]
fn what_an_earlier_client_had_taken_means_nothing_to_a_new_one() {
    let unfollowed = Claims { generation: 1, ..honest(9600, 640) };
    assert_eq!(resume_point(&unfollowed, 2, RING), 0);
}

#[test]
fn the_tail_of_a_client_that_restarted_and_has_not_run_yet_means_nothing() {
    let followed_before_it_ran = Claims { producing: 1, ..honest(0, 96_000) };
    assert_eq!(resume_point(&followed_before_it_ran, 2, RING), 0);
}

#[test]
fn a_claim_that_cannot_be_true_counts_everything_as_taken() {
    for taken in [656, 641, 321, u64::MAX, u64::MAX - 15, 1 << 62] {
        assert_eq!(resume_point(&honest(taken, 640), 2, RING), 640, "{taken}");
    }
    assert_eq!(resume_point(&honest(0, RING + 16), 2, RING), RING + 16);
}

#[test]
fn a_tail_that_cannot_be_true_is_no_place_to_go_on() {
    for tail in [641, u64::MAX, u64::MAX - 15, 1 << 62] {
        assert_eq!(resume_point(&honest(320, tail), 2, RING), 0, "{tail}");
    }
}

proptest! {
    #![proptest_config(crate::support::cases(1024))]

    #[test]
    fn whatever_is_claimed_a_server_goes_on_at_the_start_of_a_record_that_can_exist(
        tail: u64, taken: u64, head: u64, generation in 0u32..3, producing in 0u32..3, epoch in 0u32..3,
    ) {
        let claims = Claims { tail, taken, head, generation, producing };
        let resume = resume_point(&claims, epoch, RING);
        prop_assert!(resume.is_multiple_of(16) && resume < 1 << 62);
        prop_assert!(resume == 0 || resume == tail || resume == taken);
    }

    #[test]
    fn an_honest_claim_is_believed(taken in 0u64..1 << 58, unread in 0..=RING / 16, epoch: u32) {
        let (taken, tail) = (taken * 16, taken * 16 + unread * 16);
        let claims = Claims { tail, taken, head: taken, generation: epoch, producing: epoch };
        prop_assert_eq!(resume_point(&claims, epoch, RING), if tail < 1 << 62 { taken } else { 0 });
    }
}
