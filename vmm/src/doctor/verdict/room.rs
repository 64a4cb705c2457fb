//! Whether the host has room for a thousand domains, and how to make it.

use super::Finding;
use crate::doctor::capacity::{Capacity, files_for, mappings_for};
use crate::doctor::facts::HostFacts;

/// How many domains a host should have room for.
const WANTED: u64 = 1_000;

/// `vm.overcommit_memory` that promises no more memory than there is.
const STRICT: u32 = 2;

pub(super) fn findings(host: &HostFacts, capacity: &Capacity) -> Vec<Finding> {
    let bounds = [
        (capacity.by_open_files, "are open files", files_remedy(host)),
        (
            capacity.by_threads,
            "are threads",
            "raise `ulimit -u`, the group's pids.max (systemd: `TasksMax=`) and \
             kernel.threads-max, whichever is least"
                .to_owned(),
        ),
        (
            capacity.by_mappings,
            "are mappings of a process",
            format!("`sudo sysctl vm.max_map_count={}`", mappings_for(WANTED)),
        ),
        (
            capacity.by_address_space,
            "are addresses of a process",
            "lift the limit (`ulimit -v unlimited`)".to_owned(),
        ),
        (
            capacity.by_memory,
            "is memory",
            "end other programs, raise the group's memory.max, or add memory".to_owned(),
        ),
    ];
    let short = |(bound, what, remedy): (Option<u64>, &str, String)| match bound? {
        0 => Some(Finding::problem(format!("there {what} for no domain at all"), remedy)),
        1 => Some(Finding::warning(format!("there {what} for 1 domain only"), remedy)),
        bound @ 2..WANTED => {
            Some(Finding::warning(format!("there {what} for {bound} domains only"), remedy))
        }
        _ => None,
    };
    bounds.into_iter().filter_map(short).chain(overcommit(host)).chain(large_pages(host)).collect()
}

/// Up to the hard limit, one's own user may raise it.
fn files_remedy(host: &HostFacts) -> String {
    let needed = files_for(WANTED);
    match host.limits.open_files.hard {
        Some(hard) if hard < needed => format!(
            "raise the hard limit to {needed} for {WANTED} domains (`nofile` in \
             /etc/security/limits.conf; systemd: `LimitNOFILE=`)"
        ),
        _ => format!("`ulimit -n {needed}` before `vmm run`, for {WANTED} domains"),
    }
}

/// A host whose kernel has none at all says nothing of them.
fn large_pages(host: &HostFacts) -> Option<Finding> {
    (host.kernel.large_pages.as_deref() == Some("never")).then(|| {
        Finding::warning(
            "the host gives no large pages: a domain that comes to use much memory takes a fault for \
             each 4 KiB of it"
                .to_owned(),
            "`echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled`".to_owned(),
        )
    })
}

fn overcommit(host: &HostFacts) -> Option<Finding> {
    (host.kernel.overcommit == Some(STRICT)).then(|| {
        Finding::warning(
            format!(
                "the host promises no memory that it has not (vm.overcommit_memory={STRICT}): each \
                 domain counts with all of its memory, used or not"
            ),
            "`sudo sysctl vm.overcommit_memory=0`, or give domains less memory".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::doctor::facts::limits::Limit;

    #[test]
    fn room_for_a_thousand_is_enough() {
        let capacity = Capacity { by_open_files: Some(WANTED), ..Capacity::default() };
        assert_eq!(findings(&HostFacts::default(), &capacity), []);
    }

    #[test]
    fn no_room_at_all_is_a_problem() {
        let severity = |bound| {
            let capacity = Capacity { by_threads: Some(bound), ..Capacity::default() };
            findings(&HostFacts::default(), &capacity).first().map(|finding| finding.severity)
        };
        assert_eq!(severity(0), Some(Severity::Problem));
        assert_eq!(severity(1), Some(Severity::Warning));
        assert_eq!(severity(WANTED - 1), Some(Severity::Warning));
        assert_eq!(severity(WANTED), None);
    }

    #[test]
    fn a_soft_limit_is_raised_by_ones_own_user_a_hard_one_is_not() {
        let capacity = Capacity { by_open_files: Some(160), ..Capacity::default() };
        let mut host = HostFacts::default();
        host.limits.open_files = Limit { soft: Some(1024), hard: Some(524_288) };
        let found = findings(&host, &capacity);
        assert_eq!(found[0].what, "there are open files for 160 domains only");
        assert!(found[0].remedy.as_deref().unwrap().starts_with("`ulimit -n 7064`"));
        host.limits.open_files.hard = Some(4096);
        let found = findings(&host, &capacity);
        assert!(found[0].remedy.as_deref().unwrap().starts_with("raise the hard limit to 7064"));
    }

    #[test]
    fn large_pages_are_missed_where_they_are_turned_off() {
        let mut host = HostFacts::default();
        for (chosen, count) in [(None, 0), (Some("never"), 1), (Some("madvise"), 0)] {
            host.kernel.large_pages = chosen.map(str::to_owned);
            assert_eq!(findings(&host, &Capacity::default()).len(), count, "{chosen:?}");
        }
    }

    #[test]
    fn strict_accounting_is_told() {
        let mut host = HostFacts::default();
        host.kernel.overcommit = Some(STRICT);
        assert_eq!(findings(&host, &Capacity::default()).len(), 1);
        host.kernel.overcommit = Some(1);
        assert_eq!(findings(&host, &Capacity::default()), []);
    }
}
