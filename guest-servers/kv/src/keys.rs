//! Owns the commands on keys, whatever they hold.

use crate::command::{Call, Done};
use crate::db::Database;
use crate::dense::Weigh;
use crate::failure::Failure;
use crate::glob;
use crate::value::Value;
use crate::word::ShortLower;

/// How often RANDOMKEY draws again when it meets a key whose time is over.
const DRAWS: usize = 100;

pub(crate) fn del(call: &mut Call<'_>) -> Done {
    let mut deleted = 0;
    for key in call.args.from(1) {
        if let Some(at) = call.db.find(key, call.now) {
            call.db.remove(at);
            deleted += 1;
        }
    }
    call.out.int(deleted);
    Ok(())
}

pub(crate) fn exists(call: &mut Call<'_>) -> Done {
    let found = call.args.from(1).filter(|key| call.db.look_up(key, call.now).is_some()).count();
    call.out.length(found);
    Ok(())
}

pub(crate) fn kind(call: &mut Call<'_>) -> Done {
    let found = call.db.look_up(call.key(), call.now);
    call.out.simple(found.map_or("none", |at| call.db.value(at).kind()));
    Ok(())
}

pub(crate) fn keys(call: &mut Call<'_>) -> Done {
    let pattern = call.key();
    let (mark, mut count) = (call.out.mark(), 0);
    let (db, out) = (&*call.db, &mut *call.out);
    db.scan(0, usize::MAX, call.now, |key, _| {
        if glob::matches(pattern, key) {
            out.bulk(key);
            count += 1;
        }
    });
    out.array_since(mark, count);
    Ok(())
}

pub(crate) fn randomkey(call: &mut Call<'_>) -> Done {
    for _ in 0..DRAWS {
        if call.db.is_empty() {
            break;
        }
        let at = (call.env.random() % call.db.len() as u64) as usize;
        if call.db.is_gone(at, call.now) {
            call.db.expire(at);
            continue;
        }
        call.out.bulk(call.db.key(at));
        return Ok(());
    }
    call.out.null();
    Ok(())
}

pub(crate) fn rename(call: &mut Call<'_>) -> Done {
    move_value(call)?;
    call.out.ok();
    Ok(())
}

pub(crate) fn renamenx(call: &mut Call<'_>) -> Done {
    if call.db.find(call.key(), call.now).is_none() {
        return Err(NO_SUCH_KEY);
    }
    let free = call.db.find(call.args.get(2), call.now).is_none();
    if free {
        move_value(call)?;
    }
    call.out.flag(free);
    Ok(())
}

const NO_SUCH_KEY: Failure = Failure::Text("ERR no such key");

/// Moves a value, with its deadline, from the first key to the second.
fn move_value(call: &mut Call<'_>) -> Done {
    let (from, to) = (call.key(), call.args.get(2));
    // Looked up first: if its time is over, it goes, and positions change.
    let is_new = call.db.find(to, call.now).is_none();
    let Some(old) = call.db.find(from, call.now) else {
        return Err(NO_SUCH_KEY);
    };
    if from == to {
        return Ok(());
    }
    let deadline = call.db.deadline(old);
    // The whole value will be written under its new name.
    call.admit_more(call.db.value(old).weight())?;
    if is_new {
        // A place for the value first; only then may it leave its old one.
        call.db.admit(rename_cost(call.db, old, from, to))?;
        call.db.create(to, Value::Str(alloc::vec::Vec::new()))?;
    }
    // The key that is overwritten keeps its place, or a scan might miss it.
    let moved = call.db.find(from, call.now).and_then(|at| call.db.remove(at));
    if let (Some(value), Some(at)) = (moved, call.db.find(to, call.now)) {
        call.db.replace(at, value);
        call.db.set_deadline(at, deadline);
    }
    Ok(())
}

/// What the memory in use grows by when a key gets a longer name.
fn rename_cost(db: &Database, at: usize, from: &[u8], to: &[u8]) -> usize {
    let weight = db.value(at).weight();
    Database::key_cost(to, weight).saturating_sub(Database::key_cost(from, weight))
}

pub(crate) fn dbsize(call: &mut Call<'_>) -> Done {
    call.out.length(call.db.len());
    Ok(())
}

/// FLUSHALL and FLUSHDB: there is one database. It is emptied at once, also when ASYNC is
/// asked for.
pub(crate) fn flush(call: &mut Call<'_>) -> Done {
    let option = call.args.get(1).to_ascii_lowercase_short();
    match (call.args.len(), &*option) {
        (1, _) | (2, b"sync" | b"async") => {
            call.db.flush();
            call.out.ok();
            Ok(())
        }
        _ => Err(Failure::Syntax),
    }
}
