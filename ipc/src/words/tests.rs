//! Bytes survive the way through words, and nothing beside them is touched.

use std::vec;
use std::vec::Vec;

use super::*;
use proptest::prelude::*;

/// Beyond where copies go over from words to rounds, and from rounds to the string move.
const LONGEST: usize = if cfg!(miri) { 104 } else { 3000 };

fn words(count: usize, value: u64) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(value)).collect()
}

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn what_is_written_is_read(bytes in prop::collection::vec(any::<u8>(), 0..LONGEST)) {
        let words = words(LONGEST / WORD, u64::MAX);
        write(&words, &bytes);
        let mut found = vec![0; bytes.len()];
        read(&words, &mut found);
        prop_assert_eq!(&found, &bytes);
    }

    #[test]
    fn only_the_last_word_is_filled_up_and_with_zeros(bytes in prop::collection::vec(any::<u8>(), 0..LONGEST)) {
        let words = words(LONGEST / WORD + 1, u64::MAX);
        write(&words, &bytes);
        let mut found = [0; LONGEST + WORD];
        read(&words, &mut found);
        let (filled, beyond) = found.split_at(bytes.len().next_multiple_of(WORD));
        prop_assert!(filled[bytes.len()..].iter().all(|&byte| byte == 0));
        prop_assert!(beyond.iter().all(|&byte| byte == 0xff));
    }
}

#[test]
#[should_panic]
fn a_write_beyond_the_words_panics() {
    write(&words(1, 0), &[0; 9]);
}

#[test]
#[should_panic]
fn a_read_beyond_the_words_panics() {
    read(&words(1, 0), &mut [0; 9]);
}
