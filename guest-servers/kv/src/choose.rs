//! Owns the choice of several different positions at random, for SPOP and SRANDMEMBER.

use alloc::vec::Vec;

use hashbrown::HashTable;

use crate::env::Env;
use crate::failure::Failure;

/// Chooses `count` different numbers below `total` (at most `total` of them), each selection
/// as likely as any other, in time and memory that depend on `count` alone.
///
/// Floyd's method: at step `j` draw from `0..=j`; a number drawn before is replaced by `j`,
/// which cannot have been drawn yet.
pub(crate) fn choose(env: &mut dyn Env, total: usize, count: usize) -> Result<Vec<usize>, Failure> {
    let count = count.min(total);
    let mut chosen = Vec::new();
    chosen.try_reserve_exact(count)?;
    let mut seen: HashTable<usize> = HashTable::new();
    seen.try_reserve(count, |at| spread(*at)).map_err(|_| Failure::Memory)?;
    for most in total - count..total {
        let drawn = (env.random() % (most as u64 + 1)) as usize;
        let known = seen.find(spread(drawn), |at| *at == drawn).is_some();
        let taken = if known { most } else { drawn };
        seen.insert_unique(spread(taken), taken, |at| spread(*at));
        chosen.push(taken);
    }
    Ok(chosen)
}

/// Positions are spread over the buckets; nobody can choose them, so this need not be keyed.
fn spread(at: usize) -> u64 {
    (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
