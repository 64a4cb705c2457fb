//! The status page, the layout, and the decision where a restarted server goes on.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::again::Again;
use super::restart::resume_point;
use super::status::Resume;
use super::*;
use crate::client::Client;
use crate::ring::Claims;
use crate::server::Server;
use crate::support::HeapChannel;
use crate::sync::Ordering::Relaxed;
use proptest::prelude::*;

const RING: u64 = 4096;
const SMALL: Layout =
    Layout { requests: 4096, replies: 8192, lent_requests: 4096, lent_replies: 12288 };

fn status() -> Box<Status> {
    let status = Box::<Status>::default();
    status.initialise(7, 3, 5);
    status
}

/// The request ring of a channel that a server goes on in.
const fn at(generation: u32, position: u64) -> Option<Resume> {
    Some(Resume { generation, position })
}

#[test]
fn a_new_channel_says_what_it_was_given() {
    let status = status();
    assert_eq!(status.epochs(), Epochs { client: 3, server: 5, requests: 8, resume: 0 });
    assert_eq!((status.epoch(Role::Client), status.epoch(Role::Server)), (3, 5));
    let secrets = status.snapshot().secrets;
    assert_eq!(secrets.requests, 7);
    assert_ne!(secrets.requests, secrets.replies, "the rings of a channel share no key");
}

#[test]
fn a_server_restart_tells_where_it_goes_on_and_leaves_the_client_alone() {
    let status = status();
    status.server_restarts(6, at(8, 320), &Again::nothing());
    assert_eq!(status.epochs(), Epochs { client: 3, server: 6, requests: 8, resume: 320 });
    assert_eq!(status.epoch(Role::Server), 6);
}

#[test]
fn a_server_that_goes_on_nowhere_knows_of_no_generation() {
    let status = status();
    status.server_restarts(6, None, &Again::nothing());
    let requests = Epochs::NO_REQUESTS;
    assert_eq!(status.epochs(), Epochs { client: 3, server: 6, requests, resume: 0 });
}

#[test]
fn a_client_restart_takes_every_later_server_back_to_the_start() {
    let status = status();
    status.server_restarts(6, at(8, 320), &Again::nothing());
    status.client_restarts(4);
    assert_eq!(status.epochs(), Epochs { client: 4, server: 6, requests: 10, resume: 0 });
}

#[test]
fn each_restart_of_either_end_offers_a_generation_that_never_was() {
    let status = status();
    let mut last = status.epochs().replies();
    for epoch in 6..20 {
        status.server_restarts(epoch, at(last, 0), &Again::nothing());
        assert!(status.epochs().spare() > last && status.epochs().replies() > last);
        assert_eq!(status.epochs().requests, last, "the client's is left alone");
        last = status.epochs().replies();
        status.client_restarts(epoch);
        assert!(status.epochs().replies() > last);
        assert_eq!(status.epochs().requests, status.epochs().spare());
        last = status.epochs().replies();
    }
}

#[test]
fn a_renewed_secret_reaches_only_the_rings_that_begin_anew() {
    let status = status();
    let before = status.snapshot();
    status.renew(8);
    assert_eq!(status.snapshot().requests(), before.requests(), "not before the restart");
    status.server_restarts(6, at(8, 320), &Again::nothing());
    let server_restarted = status.snapshot();
    assert_eq!(server_restarted.requests(), before.requests(), "unread requests keep their key");
    assert_ne!(server_restarted.secrets.replies, before.secrets.replies);
    assert_eq!(server_restarted.spare_requests(), Generation { secret: 8, number: 9 });
    status.renew(9);
    status.client_restarts(4);
    let client_restarted = status.snapshot();
    assert_eq!(client_restarted.requests(), Generation { secret: 9, number: 10 });
    assert_ne!(client_restarted.secrets.replies, server_restarted.secrets.replies);
}

#[test]
fn a_spare_generation_that_was_begun_keeps_its_key_under_later_servers() {
    let status = status();
    status.renew(8);
    status.server_restarts(6, None, &Again::nothing());
    let spare = status.snapshot().spare_requests();
    for (epoch, secret) in [(7, 9), (8, 10)] {
        status.renew(secret);
        status.server_restarts(epoch, at(spare.number, 320), &Again::nothing());
        assert_eq!(status.snapshot().requests(), spare);
    }
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
fn a_client_may_be_forsaken_by_a_server_that_will_be_back() {
    let status = status();
    status.set_forsaken(true);
    assert!(status.is_gone(Role::Server) && !status.is_gone(Role::Client));
    status.set_gone(Role::Server, false);
    assert!(status.is_gone(Role::Server));
    status.set_forsaken(false);
    assert!(!status.is_gone(Role::Server));
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
    assert_eq!(channel.status().epochs(), Epochs { client: 1, server: 2, requests: 3, resume: 0 });
    assert_eq!(channel.shared().notifications(Role::Server).load(Relaxed), 3);
    let pools = 2 << 20 >> 3;
    let rings = [1024, 1535, 1536, 2559];
    let ends = rings.into_iter().chain([0, 511, 512, 2047].map(|at| pools + at));
    let found: Vec<u64> = ends.map(|at: usize| memory[at / 512].0[at % 512]).collect();
    assert_eq!(found, [4, 5, 6, 7, 8, 9, 10, 11]);
}

/// The generation in which the client was told that the server goes on, and the one that it may
/// begin instead.
const NOW: Epochs = Epochs { client: 2, server: 5, requests: 4, resume: 0 };

/// What two honest ends say.
fn honest(taken: u64, tail: u64) -> Claims {
    Claims { tail, taken, head: 0, generation: 4, producing: 4 }
}

#[test]
fn a_new_server_goes_on_where_the_last_one_stopped_taking() {
    for (taken, tail) in [(320, 640), (640, 640), (0, 640), (640, 640 + RING)] {
        assert_eq!(resume_point(&honest(taken, tail), &NOW, RING), at(4, taken));
    }
}

#[test]
fn a_new_server_goes_on_in_the_spare_generation_if_both_ends_had_begun_it() {
    let claims = Claims { generation: 7, producing: 7, ..honest(320, 640) };
    assert_eq!(resume_point(&claims, &NOW, RING), at(7, 320));
}

#[test]
fn a_new_server_goes_on_nowhere_while_the_ends_speak_of_different_generations() {
    for (generation, producing) in [(4, 7), (7, 4), (3, 4), (4, 3), (0, 4), (4, 0)] {
        let claims = Claims { generation, producing, ..honest(320, 640) };
        assert_eq!(resume_point(&claims, &NOW, RING), None, "{generation} {producing}");
    }
}

#[test]
fn a_generation_that_no_end_was_told_of_is_nowhere_to_go_on() {
    for generation in [0, 3, 5, 6, 8, u32::MAX] {
        let claims = Claims { generation, producing: generation, ..honest(320, 640) };
        assert_eq!(resume_point(&claims, &NOW, RING), None, "{generation}");
        let nowhere = Epochs { requests: Epochs::NO_REQUESTS, ..NOW };
        assert_eq!(resume_point(&claims, &nowhere, RING), None, "{generation}");
    }
}

#[test]
fn a_claim_that_cannot_be_true_is_nowhere_to_go_on() {
    for taken in [656, 641, 321, u64::MAX, u64::MAX - 15, 1 << 62] {
        assert_eq!(resume_point(&honest(taken, 640), &NOW, RING), None, "{taken}");
    }
    for tail in [RING + 336, 641, u64::MAX, u64::MAX - 15, 1 << 62] {
        assert_eq!(resume_point(&honest(320, tail), &NOW, RING), None, "{tail}");
    }
}

proptest! {
    #![proptest_config(crate::support::cases(1024))]

    #[test]
    fn whatever_is_claimed_a_server_goes_on_at_the_start_of_a_record_that_can_exist(
        tail: u64, taken: u64, head: u64, generation in 0u32..9, producing in 0u32..9,
    ) {
        let claims = Claims { tail, taken, head, generation, producing };
        if let Some(Resume { generation, position }) = resume_point(&claims, &NOW, RING) {
            prop_assert!(position.is_multiple_of(16) && position < 1 << 62 && position == taken);
            prop_assert!([4, 7].contains(&generation));
        }
    }

    #[test]
    fn an_honest_claim_is_believed(taken in 0u64..1 << 57, unread in 0..=RING / 16) {
        let (taken, tail) = (taken * 16, taken * 16 + unread * 16);
        prop_assert_eq!(resume_point(&honest(taken, tail), &NOW, RING), at(4, taken));
    }
}

#[test]
fn a_restart_leaves_no_word_of_the_dead_server_that_speaks_for_its_successor() {
    let channel = HeapChannel::new(16, 16);
    let (_client, _server) = (Client::attach(channel.clone()), Server::attach(channel.clone()));
    // What the next incarnations of both rings will be: forged before its death.
    let next = channel.status().epochs().spare() + 1;
    channel.shared().requests().consume_from(next, 48);
    channel.shared().replies().consume_from(next, 0);
    restart_server(&channel, 2);
    let requests = channel.shared().requests().claims();
    assert_eq!((requests.generation, requests.taken, requests.head), (0, 0, 0));
    assert!(!channel.shared().replies().is_consumed_in(next));
}
