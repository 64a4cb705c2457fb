//! Whether something leads back to where it began.

use std::collections::BTreeSet;

/// A way from one node back to itself, if there is one: the least of its nodes begins it.
pub(super) fn ring<N: Copy + Ord>(
    nodes: impl IntoIterator<Item = N>,
    next: impl Fn(N) -> Vec<N>,
) -> Option<Vec<N>> {
    let mut done = BTreeSet::new();
    for start in nodes {
        // The way from `start`, each with what is still to be followed from there.
        let mut way = if done.contains(&start) { vec![] } else { vec![(start, next(start))] };
        while let Some((node, left)) = way.last_mut() {
            let node = *node;
            let Some(to) = left.pop() else {
                done.insert(node);
                way.pop();
                continue;
            };
            if let Some(begin) = way.iter().position(|(passed, _)| *passed == to) {
                let mut path: Vec<N> = way[begin..].iter().map(|(passed, _)| *passed).collect();
                let least =
                    path.iter().min().and_then(|node| path.iter().position(|at| at == node));
                path.rotate_left(least.unwrap_or(0));
                path.push(path[0]);
                return Some(path);
            }
            if !done.contains(&to) {
                way.push((to, next(to)));
            }
        }
    }
    None
}
