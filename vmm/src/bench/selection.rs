//! Which cases of a run are measured: what the filters of the command line leave.

use super::wire::{Case, Suite, Wait};

/// The sizes of a quick run: those at which most bars stand.
const QUICK_SIZES: [usize; 4] = [8, 64, 64 << 10, 1 << 20];

/// What to measure. An empty list leaves everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these suites.
    pub suites: Vec<Suite>,
    /// Only these subjects, by their whole names.
    pub subjects: Vec<String>,
    /// Only messages of these sizes, in bytes.
    pub sizes: Vec<usize>,
    /// Only sides that wait in these ways.
    pub waits: Vec<Wait>,
    /// Fewer sizes, unless some are named.
    pub quick: bool,
}

impl Selection {
    /// Whether a case is to be measured.
    pub fn takes(&self, case: &Case) -> bool {
        let sizes: &[usize] =
            if self.quick && self.sizes.is_empty() { &QUICK_SIZES } else { &self.sizes };
        among(&self.suites, &case.suite)
            && among(&self.subjects, &case.subject)
            && among(sizes, &case.size)
            && among(&self.waits, &case.wait)
    }
}

fn among<T: PartialEq>(chosen: &[T], value: &T) -> bool {
    chosen.is_empty() || chosen.contains(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fixture::case;

    #[test]
    fn no_filter_leaves_all_and_each_one_leaves_its_own() {
        let pipe = case(Suite::OneWay, "pipe", 4096);
        assert!(Selection::default().takes(&pipe));
        let filters: [fn(&mut Selection, bool); 4] = [
            |s, own| s.suites = vec![if own { Suite::OneWay } else { Suite::Lent }],
            |s, own| s.subjects = vec![if own { "pipe" } else { "pip" }.into()],
            |s, own| s.sizes = vec![8, if own { 4096 } else { 4095 }],
            |s, own| s.waits = vec![if own { Wait::Polling } else { Wait::Blocking }],
        ];
        for (number, filter) in filters.into_iter().enumerate() {
            for own in [true, false] {
                let mut selection = Selection::default();
                filter(&mut selection, own);
                assert_eq!(selection.takes(&pipe), own, "filter {number}");
            }
        }
    }

    #[test]
    fn a_quick_run_has_fewer_sizes_unless_they_are_named() {
        let takes = |selection: &Selection, size| selection.takes(&case(Suite::Lent, "a", size));
        let quick = Selection { quick: true, ..Selection::default() };
        assert!(takes(&quick, 64) && !takes(&quick, 256));
        let named = Selection { sizes: vec![256], ..quick };
        assert!(takes(&named, 256) && !takes(&named, 64));
    }
}
