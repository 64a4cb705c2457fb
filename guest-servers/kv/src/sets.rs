//! Owns the commands on sets.

use crate::change::Change;
use crate::choose::choose;
use crate::command::{Call, Done, STRING_MAX};
use crate::db::Database;
use crate::failure::Failure;
use crate::hash::Hasher;
use crate::memory::copy;
use crate::value::{Set, Value};

fn has(set: &Set, hasher: Hasher, member: &[u8]) -> bool {
    set.find(hasher.hash(member), member).is_some()
}

pub(crate) fn sadd(call: &mut Call<'_>) -> Done {
    let (db, key) = (&mut *call.db, call.args.get(1));
    let hasher = db.hasher();
    let found = db.find_set(key, call.now)?;
    let set = db.set_at(found);
    let fresh = if found.is_none() { Database::key_cost(key, Value::EMPTY_WEIGHT) } else { 0 };
    let cost: usize = call
        .args
        .from(2)
        .filter(|member| !set.is_some_and(|set| has(set, hasher, member)))
        .map(|member| Set::cost(member.len(), 0))
        .sum();
    db.admit(cost.saturating_add(if cost > 0 { fresh } else { 0 }))?;
    let at = match found {
        Some(at) => at,
        None => db.create(key, Value::set()?)?,
    };
    let change = Change::AddMembers(&|show| call.args.from(2).for_each(show));
    let added = db.edit_set(at, change, |set| add_all(set, hasher, call.args.from(2)))?;
    call.out.length(added);
    Ok(())
}

/// Adds all members, or none, and tells how many are new.
pub(crate) fn add_all<'a>(
    set: &mut Set,
    hasher: Hasher,
    members: impl Iterator<Item = &'a [u8]>,
) -> Result<usize, Failure> {
    let before = set.len();
    for member in members {
        if let Err(failure) = add(set, hasher, member) {
            // New members are the last ones.
            while set.len() > before {
                set.remove(set.len() - 1);
            }
            return Err(failure);
        }
    }
    Ok(set.len() - before)
}

fn add(set: &mut Set, hasher: Hasher, member: &[u8]) -> Result<(), Failure> {
    let code = hasher.hash(member);
    if set.find(code, member).is_none() {
        set.insert(code, copy(member)?, ())?;
    }
    Ok(())
}

pub(crate) fn srem(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let Some(at) = call.db.find_set(call.key(), call.now)? else {
        call.out.int(0);
        return Ok(());
    };
    let change = Change::DropMembers(&|show| call.args.from(2).for_each(show));
    let removed =
        call.db.edit_set(at, change, |set| Ok(drop_all(set, hasher, call.args.from(2))))?;
    call.out.length(removed);
    Ok(())
}

/// Drops members, and tells how many were there.
pub(crate) fn drop_all<'a>(
    set: &mut Set,
    hasher: Hasher,
    members: impl Iterator<Item = &'a [u8]>,
) -> usize {
    let before = set.len();
    for member in members {
        if let Some(at) = set.find(hasher.hash(member), member) {
            set.remove(at);
        }
    }
    before - set.len()
}

pub(crate) fn sismember(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let set = call.db.set(call.key(), call.now)?;
    call.out.flag(set.is_some_and(|set| has(set, hasher, call.args.get(2))));
    Ok(())
}

pub(crate) fn smismember(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let set = call.db.set(call.key(), call.now)?;
    call.out.array(call.args.len() - 2);
    for member in call.args.from(2) {
        call.out.flag(set.is_some_and(|set| has(set, hasher, member)));
    }
    Ok(())
}

pub(crate) fn scard(call: &mut Call<'_>) -> Done {
    let count = call.db.set(call.key(), call.now)?.map_or(0, Set::len);
    call.out.length(count);
    Ok(())
}

pub(crate) fn smembers(call: &mut Call<'_>) -> Done {
    let Some(set) = call.db.set(call.key(), call.now)? else {
        call.out.array(0);
        return Ok(());
    };
    call.out.array(set.len());
    for (member, ()) in set.iter() {
        call.out.bulk(member);
        call.out.check()?;
    }
    Ok(())
}

pub(crate) fn spop(call: &mut Call<'_>) -> Done {
    const NEGATIVE: Failure = Failure::Text("ERR value is out of range, must be positive");
    let count = match call.args.len() {
        2 => None,
        3 => Some(call.int(2).ok().and_then(|n| usize::try_from(n).ok()).ok_or(NEGATIVE)?),
        _ => return Err(Failure::Syntax),
    };
    let found = call.db.find_set(call.key(), call.now)?;
    let Some((at, set)) = found.zip(call.db.set_at(found)) else {
        match count {
            None => call.out.null(),
            Some(_) => call.out.array(0),
        }
        return Ok(());
    };
    let mut chosen = choose(call.env, set.len(), count.unwrap_or(1))?;
    if count.is_some() {
        call.out.array(chosen.len());
    }
    for member in &chosen {
        call.out.bulk(set.key(*member));
    }
    call.out.check()?;
    // From the top down: a removal moves the last member, which is then never a chosen one.
    chosen.sort_unstable();
    let some = !chosen.is_empty() && chosen.len() < set.len();
    if some && call.db.is_kept() {
        let names = chosen.iter().map(|member| set.key(*member).len() + STRING_MAX).sum();
        call.admit_more(names)?;
        call.db.note_drop(at, chosen.iter().rev().copied());
    }
    // It is said already, or the key goes.
    call.db.edit_set(at, Change::Unseen, |set| {
        for member in chosen.iter().rev() {
            set.remove(*member);
        }
        Ok(())
    })
}

pub(crate) fn srandmember(call: &mut Call<'_>) -> Done {
    let count = match call.args.len() {
        2 => None,
        3 => Some(call.int(2)?),
        _ => return Err(Failure::Syntax),
    };
    if count == Some(i64::MIN) {
        return Err(Failure::Text(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let Some(set) = call.db.set(call.key(), call.now)? else {
        match count {
            None => call.out.null(),
            Some(_) => call.out.array(0),
        }
        return Ok(());
    };
    match count {
        None => {
            let at = call.env.random() % set.len() as u64;
            call.out.bulk(set.key(at as usize));
        }
        Some(count @ 0..) => {
            let chosen = choose(call.env, set.len(), usize::try_from(count).unwrap_or(usize::MAX))?;
            call.out.array(chosen.len());
            for member in chosen {
                call.out.bulk(set.key(member));
            }
        }
        // A negative count asks for that many draws, the same member perhaps again.
        Some(count) => {
            call.out.array(count.unsigned_abs() as usize);
            for _ in 0..count.unsigned_abs() {
                let at = call.env.random() % set.len() as u64;
                call.out.bulk(set.key(at as usize));
                call.out.check()?;
            }
        }
    }
    Ok(())
}
