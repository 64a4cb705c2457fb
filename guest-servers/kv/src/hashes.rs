//! Owns the commands on hashes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::change::Change;
use crate::command::{Call, Done, wrong_count};
use crate::db::Database;
use crate::failure::Failure;
use crate::hash::Hasher;
use crate::memory::copy;
use crate::number::{self, Digits};
use crate::value::{Hash, Value};

/// A field and its value, in memory of their own.
pub(crate) type Owned = (Box<[u8]>, Box<[u8]>);

/// A field's value.
fn value<'a>(hash: Option<&'a Hash>, hasher: Hasher, field: &[u8]) -> Option<&'a [u8]> {
    let hash = hash?;
    let at = hash.find(hasher.hash(field), field)?;
    Some(hash.value(at))
}

/// What the memory in use grows by when a field is set.
fn field_cost(hash: Option<&Hash>, hasher: Hasher, field: &[u8], new: &[u8]) -> usize {
    match value(hash, hasher, field) {
        Some(old) => new.len().saturating_sub(old.len()),
        None => Hash::cost(field.len(), new.len()),
    }
}

/// Sets fields, all or none, and tells how many are new.
fn set_fields<'a>(
    db: &mut Database,
    found: Option<usize>,
    key: &[u8],
    pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
) -> Result<usize, Failure> {
    let hasher = db.hasher();
    let hash = db.hash_at(found);
    let fresh = if found.is_none() { Database::key_cost(key, Value::EMPTY_WEIGHT) } else { 0 };
    let fields: usize =
        pairs.clone().map(|(field, new)| field_cost(hash, hasher, field, new)).sum();
    db.admit(fields.saturating_add(fresh))?;
    let mut copies: Vec<Owned> = Vec::new();
    copies.try_reserve_exact(pairs.len())?;
    let shown = pairs.clone();
    for (field, new) in pairs {
        copies.push((copy(field)?, copy(new)?));
    }
    let at = match found {
        Some(at) => at,
        None => db.create(key, Value::hash()?)?,
    };
    let change = Change::SetFields(&|show| {
        shown.clone().for_each(|(field, new)| {
            show(field);
            show(new);
        });
    });
    db.edit_hash(at, change, |hash| set_all(hash, hasher, copies))
}

/// Sets fields, all or none, and tells how many are new.
pub(crate) fn set_all(
    hash: &mut Hash,
    hasher: Hasher,
    pairs: Vec<Owned>,
) -> Result<usize, Failure> {
    hash.reserve(pairs.len())?;
    let before = hash.len();
    for (field, new) in pairs {
        let code = hasher.hash(&field);
        match hash.find(code, &field) {
            Some(at) => hash.edit(at, |old| *old = new),
            None => {
                hash.insert(code, field, new)?;
            }
        }
    }
    Ok(hash.len() - before)
}

/// Drops fields, and tells how many were there.
pub(crate) fn drop_all<'a>(
    hash: &mut Hash,
    hasher: Hasher,
    fields: impl Iterator<Item = &'a [u8]>,
) -> usize {
    let before = hash.len();
    for field in fields {
        if let Some(at) = hash.find(hasher.hash(field), field) {
            hash.remove(at);
        }
    }
    before - hash.len()
}

pub(crate) fn hset(call: &mut Call<'_>) -> Done {
    if !call.args.len().is_multiple_of(2) {
        return wrong_count(call, &["hset"]);
    }
    let found = call.db.find_hash(call.key(), call.now)?;
    let added = set_fields(call.db, found, call.key(), call.args.pairs(2))?;
    call.out.length(added);
    Ok(())
}

pub(crate) fn hmset(call: &mut Call<'_>) -> Done {
    if !call.args.len().is_multiple_of(2) {
        return wrong_count(call, &["hmset"]);
    }
    let found = call.db.find_hash(call.key(), call.now)?;
    set_fields(call.db, found, call.key(), call.args.pairs(2))?;
    call.out.ok();
    Ok(())
}

pub(crate) fn hsetnx(call: &mut Call<'_>) -> Done {
    let found = call.db.find_hash(call.key(), call.now)?;
    let absent = value(call.db.hash_at(found), call.db.hasher(), call.args.get(2)).is_none();
    if absent {
        set_fields(call.db, found, call.key(), call.args.pairs(2))?;
    }
    call.out.flag(absent);
    Ok(())
}

pub(crate) fn hincrby(call: &mut Call<'_>) -> Done {
    let amount = call.int(3)?;
    let field = call.args.get(2);
    let found = call.db.find_hash(call.key(), call.now)?;
    let old = match value(call.db.hash_at(found), call.db.hasher(), field) {
        Some(digits) => {
            number::parse(digits).ok_or(Failure::Text("ERR hash value is not an integer"))?
        }
        None => 0,
    };
    let new = old
        .checked_add(amount)
        .ok_or(Failure::Text("ERR increment or decrement would overflow"))?;
    let digits = Digits::new(new);
    let pair = core::iter::once((field, digits.as_bytes()));
    set_fields(call.db, found, call.key(), pair)?;
    call.out.int(new);
    Ok(())
}

pub(crate) fn hget(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let hash = call.db.hash(call.key(), call.now)?;
    call.out.bulk_or_null(value(hash, hasher, call.args.get(2)));
    Ok(())
}

pub(crate) fn hmget(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let hash = call.db.hash(call.key(), call.now)?;
    call.out.array(call.args.len() - 2);
    for field in call.args.from(2) {
        call.out.bulk_or_null(value(hash, hasher, field));
        call.out.check()?;
    }
    Ok(())
}

pub(crate) fn hdel(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let Some(at) = call.db.find_hash(call.key(), call.now)? else {
        call.out.int(0);
        return Ok(());
    };
    let change = Change::DropFields(&|show| call.args.from(2).for_each(show));
    let deleted =
        call.db.edit_hash(at, change, |hash| Ok(drop_all(hash, hasher, call.args.from(2))))?;
    call.out.length(deleted);
    Ok(())
}

pub(crate) fn hlen(call: &mut Call<'_>) -> Done {
    let length = call.db.hash(call.key(), call.now)?.map_or(0, Hash::len);
    call.out.length(length);
    Ok(())
}

pub(crate) fn hexists(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let hash = call.db.hash(call.key(), call.now)?;
    call.out.flag(value(hash, hasher, call.args.get(2)).is_some());
    Ok(())
}

pub(crate) fn hstrlen(call: &mut Call<'_>) -> Done {
    let hasher = call.db.hasher();
    let hash = call.db.hash(call.key(), call.now)?;
    call.out.length(value(hash, hasher, call.args.get(2)).map_or(0, <[u8]>::len));
    Ok(())
}

pub(crate) fn hgetall(call: &mut Call<'_>) -> Done {
    list(call, true, true)
}

pub(crate) fn hkeys(call: &mut Call<'_>) -> Done {
    list(call, true, false)
}

pub(crate) fn hvals(call: &mut Call<'_>) -> Done {
    list(call, false, true)
}

fn list(call: &mut Call<'_>, fields: bool, values: bool) -> Done {
    let Some(hash) = call.db.hash(call.key(), call.now)? else {
        call.out.array(0);
        return Ok(());
    };
    call.out.array(hash.len() * (usize::from(fields) + usize::from(values)));
    for (field, value) in hash.iter() {
        if fields {
            call.out.bulk(field);
        }
        if values {
            call.out.bulk(value);
        }
        call.out.check()?;
    }
    Ok(())
}
