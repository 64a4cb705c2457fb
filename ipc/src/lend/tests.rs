//! No two buffers that are out overlap, and each comes back. `channel` lends between two ends.

mod channel;

use std::collections::VecDeque;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

const POOL: usize = 4096;

fn words(bytes: usize) -> Vec<AtomicU64> {
    (0..bytes / WORD).map(|_| AtomicU64::new(0)).collect()
}

fn nothing_released() -> Result<u64, RingError> {
    Ok(0)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Lend(usize),
    Release,
    GiveBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..POOL / 2 + 100).prop_map(Step::Lend),
        2 => Just(Step::Release),
        1 => Just(Step::GiveBack),
    ]
}

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn buffers_that_are_out_never_overlap(steps in prop::collection::vec(step(), 1..crate::support::steps(200))) {
        let mut lender = Lender::new(POOL);
        let mut out: VecDeque<(Span, u64)> = VecDeque::new();
        let (mut sent, mut released) = (0, 0);
        for step in steps {
            match step {
                Step::Lend(length) => match lender.lend(length, || Ok(released)) {
                    Ok(loan) => {
                        let span = loan.span();
                        prop_assert!(span.offset as usize + span.len() <= POOL);
                        for (other, _) in &out {
                            let apart = span.offset + span.length <= other.offset
                                || other.offset + other.length <= span.offset;
                            prop_assert!(apart, "{span:?} and {other:?}");
                        }
                        sent += 16;
                        out.push_back((span, sent));
                        lender.sent(loan, sent);
                    }
                    Err(RingError::TooLarge) => prop_assert!(length > POOL / 2),
                    Err(error) => {
                        prop_assert_eq!(error, RingError::Full);
                        prop_assert!(!out.is_empty(), "an empty pool lends");
                    }
                },
                Step::Release => released = out.pop_front().map_or(released, |(_, end)| end),
                Step::GiveBack => if let Ok(loan) = lender.lend(64, || Ok(released)) {
                    lender.give_back(loan);
                },
            }
        }
    }

    #[test]
    fn any_item_is_within_the_pool_or_refused(offset: u64, length: u32) {
        let pool = words(POOL);
        if let Some(span) = Span::of(Item::Lent { offset, length }, &pool) {
            let mut bytes = std::vec![0; span.len()];
            span.read(&pool, 0, &mut bytes);
        }
    }
}

#[test]
fn half_the_pool_can_always_be_lent_when_nothing_is_out() {
    let mut lender = Lender::new(POOL);
    for round in 0..10 {
        let loan = lender.lend(POOL / 2, || Ok(round * 16)).unwrap();
        assert_eq!(loan.offset % (POOL as u64 / 2), 0);
        lender.sent(loan, (round + 1) * 16);
    }
}

#[test]
fn what_the_pool_cannot_hold_is_too_large_and_what_it_cannot_hold_now_is_full() {
    let mut lender = Lender::new(POOL);
    assert_eq!(lender.lend(POOL / 2 + 1, nothing_released), Err(RingError::TooLarge));
    let first = lender.lend(POOL / 2, nothing_released).unwrap();
    let second = lender.lend(POOL / 2, nothing_released).unwrap();
    assert_eq!(lender.lend(1, nothing_released), Err(RingError::Full));
    lender.sent(first, 16);
    lender.give_back(second);
    let third = lender.lend(POOL / 2, || Ok(16)).unwrap();
    lender.give_back(third);
    assert_eq!(Lender::new(0).lend(1, nothing_released), Err(RingError::TooLarge));
}

#[test]
fn a_loan_of_before_a_restart_is_nobodys() {
    let mut lender = Lender::new(POOL);
    let old = lender.lend(100, nothing_released).unwrap();
    lender.restart();
    let new = lender.lend(100, nothing_released).unwrap();
    lender.give_back(old);
    assert_eq!(lender.lend(POOL / 2, nothing_released).unwrap().offset, 128);
    lender.sent(new, 16);
}

#[test]
fn no_more_are_out_than_the_book_has_lines() {
    let mut lender = Lender::new(64 * LENT_MAX * 2);
    for _ in 0..LENT_MAX {
        let loan = lender.lend(1, nothing_released).unwrap();
        lender.sent(loan, 16);
    }
    assert_eq!(lender.lend(1, nothing_released), Err(RingError::Full));
    assert!(lender.lend(1, || Ok(16)).is_ok());
}

#[test]
fn bytes_cross_a_pool() {
    let pool = words(POOL);
    let mut lender = Lender::new(POOL);
    let loan = lender.lend(1000, nothing_released).unwrap();
    let bytes = crate::support::pattern(7, 1000);
    loan.span().write(&pool, 0, &bytes);
    let span = Span::of(loan.item(), &pool).unwrap();
    let mut found = std::vec![0; span.len()];
    span.read(&pool, 0, &mut found);
    assert_eq!(found, bytes);
    lender.give_back(loan);
}
