//! In which order domains come to rest: clients before the servers that they call, since who waits
//! for a reply is not at rest, and its server has to serve until then.

use std::collections::BTreeSet;

/// Domains that are asked together, the first ones first. Those that call each other in a circle are
/// in one wave. `calls` are pairs of a client and its server.
pub(super) fn waves(domains: &[usize], calls: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut left: BTreeSet<usize> = domains.iter().copied().collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let calls: Vec<_> = calls
            .iter()
            .filter(|(client, server)| client != server)
            .filter(|(client, server)| left.contains(client) && left.contains(server))
            .copied()
            .collect();
        let called: BTreeSet<_> = calls.iter().map(|(_, server)| *server).collect();
        let mut wave: Vec<_> = left.difference(&called).copied().collect();
        if wave.is_empty() {
            wave = left.iter().copied().filter(|&domain| is_called_back(domain, &calls)).collect();
        }
        left.retain(|domain| !wave.contains(domain));
        waves.push(wave);
    }
    waves
}

/// Whether all that call a domain, directly or through others, are called by it in the same way.
fn is_called_back(domain: usize, calls: &[(usize, usize)]) -> bool {
    let callers = reached(domain, calls.iter().map(|&(client, server)| (server, client)));
    let called = reached(domain, calls.iter().copied());
    callers.is_subset(&called)
}

/// What can be reached from a domain by steps of one or more.
fn reached(from: usize, steps: impl Iterator<Item = (usize, usize)> + Clone) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        let next = steps.clone().filter(|(start, _)| *start == at).map(|(_, end)| end);
        open.extend(next.filter(|end| found.insert(*end)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clients_come_before_their_servers() {
        assert_eq!(waves(&[0, 1, 2], &[(2, 1), (1, 0)]), [vec![2], vec![1], vec![0]]);
        assert_eq!(waves(&[0, 1, 2], &[]), [vec![0, 1, 2]]);
        assert_eq!(waves(&[0, 2], &[(2, 1), (1, 0)]), [vec![0, 2]], "1 is not asked");
    }

    #[test]
    fn a_circle_comes_at_once_and_before_those_that_it_calls() {
        let calls = [(0, 1), (1, 0), (1, 2), (3, 0), (4, 4)];
        assert_eq!(waves(&[0, 1, 2, 3, 4], &calls), [vec![3, 4], vec![0, 1], vec![2]]);
    }

    proptest! {
        #[test]
        fn everyone_comes_once_and_no_server_before_a_client_that_it_does_not_call(
            calls in proptest::collection::vec((0usize..8, 0usize..8), 0..16),
        ) {
            let domains: Vec<_> = (0..8).collect();
            let waves = waves(&domains, &calls);
            let place = |domain| waves.iter().position(|wave| wave.contains(&domain)).unwrap();
            prop_assert_eq!(waves.iter().map(Vec::len).sum::<usize>(), domains.len());
            for &(client, server) in &calls {
                let calls_back = reached(server, calls.iter().copied()).contains(&client);
                prop_assert!(place(client) < place(server) || calls_back);
            }
        }
    }
}
