//! Owns the commands on lists.

use alloc::boxed::Box;

use crate::change::Change;
use crate::command::{Call, Done, wrong_count};
use crate::db::Database;
use crate::failure::Failure;
use crate::memory::copy;
use crate::strings::range;
use crate::value::{End, List, Value};

pub(crate) fn lpush(call: &mut Call<'_>) -> Done {
    push(call, End::Head, true)
}

pub(crate) fn rpush(call: &mut Call<'_>) -> Done {
    push(call, End::Tail, true)
}

pub(crate) fn lpushx(call: &mut Call<'_>) -> Done {
    push(call, End::Head, false)
}

pub(crate) fn rpushx(call: &mut Call<'_>) -> Done {
    push(call, End::Tail, false)
}

fn push(call: &mut Call<'_>, end: End, create: bool) -> Done {
    let (db, items) = (&mut *call.db, call.args.from(2));
    let key = call.args.get(1);
    let found = db.find_list(key, call.now)?;
    if found.is_none() && !create {
        call.out.int(0);
        return Ok(());
    }
    let content: usize = call.args.from(2).map(|item| List::item_cost(item.len())).sum();
    let growth = List::growth(db.list_at(found), items.len());
    let fresh = if found.is_none() { Database::key_cost(key, Value::EMPTY_WEIGHT) } else { 0 };
    db.admit(content.saturating_add(growth + fresh))?;
    let at = match found {
        Some(at) => at,
        None => db.create(key, Value::list()?)?,
    };
    let change = Change::Push { end, items: &|show| call.args.from(2).for_each(show) };
    let length = db.edit_list(at, change, |list| list.push(end, items))?;
    call.out.length(length);
    Ok(())
}

pub(crate) fn lpop(call: &mut Call<'_>) -> Done {
    pop(call, End::Head, "lpop")
}

pub(crate) fn rpop(call: &mut Call<'_>) -> Done {
    pop(call, End::Tail, "rpop")
}

fn pop(call: &mut Call<'_>, end: End, name: &'static str) -> Done {
    const NEGATIVE: Failure = Failure::Text("ERR value is out of range, must be positive");
    let count = match call.args.len() {
        2 => None,
        3 => Some(call.int(2).ok().and_then(|n| usize::try_from(n).ok()).ok_or(NEGATIVE)?),
        _ => return wrong_count(call, &[name]),
    };
    let found = call.db.find_list(call.key(), call.now)?;
    let Some((at, list)) = found.zip(call.db.list_at(found)) else {
        match count {
            None => call.out.null(),
            Some(_) => call.out.null_array(),
        }
        return Ok(());
    };
    let taken = count.unwrap_or(1).min(list.items().len());
    if count.is_some() {
        call.out.array(taken);
    }
    let items = list.items();
    for n in 0..taken {
        let place = if end == End::Head { n } else { items.len() - 1 - n };
        call.out.bulk(&items[place]);
    }
    call.out.check()?;
    take(call.db, at, end, taken)
}

/// Drops items of one end.
fn take(db: &mut Database, at: usize, end: End, count: usize) -> Done {
    if count == 0 {
        return Ok(());
    }
    db.edit_list(at, Change::Take { end, count }, |list| {
        list.take(end, count);
        Ok(())
    })
}

pub(crate) fn llen(call: &mut Call<'_>) -> Done {
    let length = call.db.list(call.key(), call.now)?.map_or(0, |list| list.items().len());
    call.out.length(length);
    Ok(())
}

pub(crate) fn lrange(call: &mut Call<'_>) -> Done {
    let (first, last) = (call.int(2)?, call.int(3)?);
    let Some(list) = call.db.list(call.key(), call.now)? else {
        call.out.array(0);
        return Ok(());
    };
    let places = range(first, last, list.items().len());
    call.out.array(places.len());
    for item in list.items().range(places) {
        call.out.bulk(item);
        call.out.check()?;
    }
    Ok(())
}

/// The place that an index means, negative ones from the end.
fn place(index: i64, list: &List) -> Option<usize> {
    let length = list.items().len();
    let at = if index < 0 { index.checked_add(length as i64)? } else { index };
    usize::try_from(at).ok().filter(|at| *at < length)
}

pub(crate) fn lindex(call: &mut Call<'_>) -> Done {
    let index = call.int(2);
    let item = match call.db.list(call.key(), call.now)? {
        Some(list) => place(index?, list).and_then(|at| list.items().get(at)),
        None => None,
    };
    call.out.bulk_or_null(item.map(Box::as_ref));
    Ok(())
}

pub(crate) fn lset(call: &mut Call<'_>) -> Done {
    let found = call.db.find_list(call.key(), call.now)?;
    let Some((at, list)) = found.zip(call.db.list_at(found)) else {
        return Err(Failure::Text("ERR no such key"));
    };
    let item = call.args.get(3);
    let place = place(call.int(2)?, list).ok_or(Failure::Text("ERR index out of range"))?;
    let old = list.items().get(place).map_or(0, |old| old.len());
    call.db.admit(item.len().saturating_sub(old))?;
    let owned = copy(item)?;
    call.db.edit_list(at, Change::Replace { at: place, item }, |list| {
        list.replace(place, owned);
        Ok(())
    })?;
    call.out.ok();
    Ok(())
}

pub(crate) fn ltrim(call: &mut Call<'_>) -> Done {
    let (first, last) = (call.int(2)?, call.int(3)?);
    let found = call.db.find_list(call.key(), call.now)?;
    if let Some((at, list)) = found.zip(call.db.list_at(found)) {
        let length = list.items().len();
        let kept = range(first, last, length);
        take(call.db, at, End::Tail, length - kept.end)?;
        // Without an item that is kept the list is gone, and another key may be there.
        if !kept.is_empty() {
            take(call.db, at, End::Head, kept.start)?;
        }
    }
    call.out.ok();
    Ok(())
}

pub(crate) fn lrem(call: &mut Call<'_>) -> Done {
    let (count, item) = (call.int(2)?, call.args.get(3));
    let Some(at) = call.db.find_list(call.key(), call.now)? else {
        call.out.int(0);
        return Ok(());
    };
    let most = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    };
    let items = call.db.list_at(Some(at)).into_iter().flat_map(List::items);
    let equal = items.filter(|each| ***each == *item).count();
    if equal == 0 {
        call.out.int(0);
        return Ok(());
    }
    // From the tail: the first ones are those that stay.
    let skip = if count < 0 { equal.saturating_sub(most) } else { 0 };
    let change = Change::DropEqual { item, skip, most };
    let dropped = call.db.edit_list(at, change, |list| Ok(list.drop_equal(item, skip, most)))?;
    call.out.length(dropped);
    Ok(())
}
