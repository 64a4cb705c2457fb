//! Ranges of offsets, in their order and apart from each other: what two lists of them have in
//! common, and what not.

use std::ops::Range;

/// Bytes of them all.
pub(super) fn length_of(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// What is in one or the other; both in their order.
pub(crate) fn union(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut all: Vec<_> = ranges.iter().chain(others).cloned().collect();
    all.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(all.len());
    for range in all {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// What is in `ranges`, and not in `others`; both in their order.
pub(super) fn without(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut others = others.iter().peekable();
    for range in ranges {
        let mut at = range.start;
        while let Some(other) = others.peek().filter(|other| other.start < range.end) {
            if at < other.start {
                left.push(at..other.start);
            }
            at = at.max(other.end);
            if other.end > range.end {
                break;
            }
            others.next();
        }
        if at < range.end {
            left.push(at..range.end);
        }
    }
    left
}

/// What is in both; both in their order.
pub(super) fn common(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    without(ranges, &without(ranges, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_left_of_ranges_is_in_them_and_not_in_the_others(
            one in proptest::collection::vec(proptest::bool::ANY, 40),
            other in proptest::collection::vec(proptest::bool::ANY, 40),
        ) {
            let ranges = |bits: &[bool]| {
                let mut found: Vec<Range<u64>> = Vec::new();
                for at in (0..40u64).filter(|&at| bits[at as usize]) {
                    match found.last_mut() {
                        Some(last) if last.end == at => last.end += 1,
                        _ => found.push(at..at + 1),
                    }
                }
                found
            };
            let left = without(&ranges(&one), &ranges(&other));
            let both = union(&ranges(&one), &ranges(&other));
            proptest::prop_assert!(both.is_sorted_by(|a, b| a.end < b.start));
            let shared = common(&ranges(&one), &ranges(&other));
            for at in 0..40u64 {
                let is_in_one = both.iter().any(|range| range.contains(&at));
                proptest::prop_assert_eq!(is_in_one, one[at as usize] || other[at as usize]);
                let is_left = left.iter().any(|range| range.contains(&at));
                proptest::prop_assert_eq!(is_left, one[at as usize] && !other[at as usize]);
                let is_common = shared.iter().any(|range| range.contains(&at));
                proptest::prop_assert_eq!(is_common, one[at as usize] && other[at as usize]);
            }
        }
    }
}
