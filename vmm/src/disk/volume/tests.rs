use atoll_ipc::disk::{Extent, Outcome};
use proptest::prelude::*;

use super::super::fake::{Done, Fake, bytes, memory};
use super::super::fault::{DiskFault, FaultKind};
use super::super::file::Shape;
use super::Volume;

const SHAPE: Shape = Shape { size: 1 << 20, block: 512, most: 1 << 16, fresh: 0, read_only: false };

fn volume(medium: &Fake, faults: &[DiskFault]) -> Volume<Fake> {
    Volume::new(String::new(), medium.clone(), SHAPE, faults.iter())
}

fn fault(kind: FaultKind, at: u64) -> DiskFault {
    DiskFault { disk: "log".to_owned(), kind, at }
}

fn extent(offset: u64, length: u64) -> Extent {
    Extent { offset, length, flags: 0 }
}

#[test]
fn only_whole_blocks_of_the_disk_are_had() {
    let volume = volume(&Fake::default(), &[]);
    for (offset, length) in [(0, 512), (0, 1 << 20), ((1 << 20) - 512, 512), (512, 1024)] {
        assert!(volume.has(extent(offset, length)), "{offset} {length}");
    }
    for (offset, length) in [
        (0, 0),
        (1, 512),
        (0, 511),
        (0, 513),
        (1 << 20, 512),
        ((1 << 20) - 512, 1024),
        (u64::MAX - 511, 512),
        (u64::MAX - 511, 1024),
        (512, u64::MAX - 511),
    ] {
        assert!(!volume.has(extent(offset, length)), "{offset} {length}");
    }
}

#[test]
fn what_the_host_does_in_parts_is_done_to_the_end() {
    let medium = Fake::default();
    let mut volume = volume(&medium, &[]);
    medium.with(|state| (state.most, state.errors) = (100, vec![libc::EINTR, libc::EINTR]));
    let written: Vec<u8> = (0..1024_u32).map(|n| n as u8).collect();
    assert_eq!(volume.write(512, &memory(&written)), Outcome::Done);
    assert_eq!(medium.with(|state| state.bytes[512..].to_vec()), written);
    assert!(medium.log().len() > 10);
    medium.with(|state| (state.most, state.errors) = (512, vec![libc::EINTR]));
    let found = memory(&[9; 1024]);
    assert_eq!(volume.read(512, &found), Outcome::Done);
    assert_eq!(bytes(&found), written);
}

#[test]
fn behind_the_end_of_the_file_there_are_zeros_wherever_it_ends() {
    for length in [0, 1, 511, 512, 513, 517, 1024, 1999] {
        let medium = Fake::default();
        medium.with(|state| state.bytes = vec![7; length]);
        let found = memory(&[9; 2048]);
        assert_eq!(volume(&medium, &[]).read(0, &found), Outcome::Done, "{length}");
        let mut wanted = vec![7; length];
        wanted.resize(2048, 0);
        assert_eq!(bytes(&found), wanted, "{length}");
    }
}

#[test]
fn what_stops_short_before_the_end_is_no_end() {
    let medium = Fake::default();
    medium.with(|state| (state.bytes, state.most) = (vec![7; 4096], 100));
    assert_eq!(volume(&medium, &[]).read(0, &memory(&[9; 2048])), Outcome::Failed);
}

#[test]
fn a_host_without_room_is_full_and_any_other_error_is_a_failure() {
    for (code, outcome) in [
        (libc::ENOSPC, Outcome::Full),
        (libc::EDQUOT, Outcome::Full),
        (libc::EFBIG, Outcome::Full),
        (libc::EIO, Outcome::Failed),
        (libc::EROFS, Outcome::Failed),
    ] {
        let medium = Fake::default();
        let mut volume = volume(&medium, &[]);
        medium.with(|state| state.errors = vec![code]);
        assert_eq!(volume.write(0, &memory(&[1; 512])), outcome, "{code}");
        // One write says nothing about the next.
        assert_eq!(volume.write(0, &memory(&[1; 512])), Outcome::Done);
        assert_eq!(volume.sync(), Outcome::Done);
    }
    let medium = Fake::default();
    medium.with(|state| state.errors = vec![libc::EIO]);
    assert_eq!(volume(&medium, &[]).read(0, &memory(&[0; 512])), Outcome::Failed);
}

#[test]
fn nothing_is_called_durable_after_that_once_failed() {
    let medium = Fake::default();
    let mut volume = volume(&medium, &[]);
    assert_eq!(volume.write(0, &memory(&[1; 512])), Outcome::Done);
    medium.with(|state| state.errors = vec![libc::EIO]);
    assert_eq!(volume.sync(), Outcome::Failed);
    assert_eq!(volume.write(0, &memory(&[1; 512])), Outcome::Done);
    medium.log();
    assert_eq!(volume.sync(), Outcome::Failed);
    // It is not even asked: what the host says now would mean nothing.
    assert_eq!(medium.log(), []);
    assert_eq!(volume.read(0, &memory(&[0; 512])), Outcome::Done);
}

#[test]
fn the_host_is_asked_to_sync_when_there_may_be_something_and_at_first() {
    let medium = Fake::default();
    let mut volume = volume(&medium, &[]);
    // What the last process wrote may be in the page cache only.
    assert_eq!(volume.sync(), Outcome::Done);
    assert_eq!(medium.log(), [Done::Sync]);
    assert_eq!(volume.sync(), Outcome::Done);
    assert_eq!(medium.log(), []);
    assert_eq!(volume.write(0, &memory(&[1; 512])), Outcome::Done);
    assert_eq!(volume.sync(), Outcome::Done);
    assert_eq!(volume.discard(extent(0, 512)), Outcome::Done);
    assert_eq!(volume.sync(), Outcome::Done);
    assert_eq!(medium.log(), [Done::Write(0, 512), Done::Sync, Done::Punch(0, 512), Done::Sync]);
}

#[test]
fn discarded_bytes_are_zero_and_the_file_stays_as_long_as_it_is() {
    for solid in [false, true] {
        let medium = Fake::default();
        medium.with(|state| (state.bytes, state.solid) = (vec![7; 200_000], solid));
        let mut volume = volume(&medium, &[]);
        assert_eq!(volume.discard(extent(1024, 150_016)), Outcome::Done);
        let left = medium.with(|state| state.bytes.clone());
        assert_eq!(left.len(), 200_000);
        assert!(left[..1024].iter().all(|&byte| byte == 7));
        assert!(left[1024..151_040].iter().all(|&byte| byte == 0), "solid {solid}");
        assert!(left[151_040..].iter().all(|&byte| byte == 7));
        medium.log();
        // Nothing is there that could be discarded.
        assert_eq!(volume.discard(extent(200_704, 512)), Outcome::Done);
        assert_eq!(medium.log(), []);
    }
}

#[test]
fn a_disk_that_is_only_read_is_never_touched() {
    let medium = Fake::default();
    let mut volume =
        Volume::new(String::new(), medium.clone(), Shape { read_only: true, ..SHAPE }, [].iter());
    assert_eq!(volume.write(0, &memory(&[1; 512])), Outcome::ReadOnly);
    assert_eq!(volume.discard(extent(0, 512)), Outcome::ReadOnly);
    assert_eq!(volume.sync(), Outcome::Done);
    assert_eq!(medium.log(), []);
}

#[test]
fn injected_faults_hit_the_writes_that_they_are_meant_for() {
    let medium = Fake::default();
    let mut volume = volume(&medium, &[fault(FaultKind::Fail, 2), fault(FaultKind::Full, 4)]);
    let block = memory(&[1; 512]);
    let outcomes: Vec<_> = (0..6).map(|n| volume.write(n * 512, &block)).collect();
    let (done, full) = (Outcome::Done, Outcome::Full);
    assert_eq!(outcomes, [done, Outcome::Failed, done, full, full, full]);
    assert_eq!(medium.log(), [Done::Write(0, 512), Done::Write(1024, 512)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A disk is an array of bytes, whatever the host does in parts.
    #[test]
    fn it_reads_as_it_was_written(
        most in prop_oneof![Just(0_usize), Just(512), Just(1536)],
        steps in prop::collection::vec((0..3_u8, 0..32_u64, 1..8_u64, any::<u8>()), 1..40),
    ) {
        let medium = Fake::default();
        medium.with(|state| state.most = most);
        let mut volume = volume(&medium, &[]);
        let mut model = vec![0_u8; 40 * 512];
        for (what, block, blocks, fill) in steps {
            let (offset, length) = (block * 512, blocks * 512);
            let range = offset as usize..(offset + length) as usize;
            match what {
                0 => {
                    let data = vec![fill; length as usize];
                    prop_assert_eq!(volume.write(offset, &memory(&data)), Outcome::Done);
                    model[range].copy_from_slice(&data);
                }
                1 => {
                    prop_assert_eq!(volume.discard(extent(offset, length)), Outcome::Done);
                    model[range].fill(0);
                }
                _ => {
                    let found = memory(&vec![9; length as usize]);
                    prop_assert_eq!(volume.read(offset, &found), Outcome::Done);
                    prop_assert_eq!(&bytes(&found), &model[range]);
                }
            }
        }
    }
}
