//! Owns the commands on strings, but for those that count (`counters`).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::change::Change;
use crate::command::{Call, Done, wrong_count};
use crate::db::Database;
use crate::expiry::{self, Unit};
use crate::failure::Failure;
use crate::memory::copy;
use crate::request::BULK_LIMIT;
use crate::value::{self, Value};
use crate::word::ShortLower;

pub(crate) use crate::counters::{decr, decrby, incr, incrby};

const TOO_LONG: Failure =
    Failure::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

/// A string that is no longer than this is written down as a whole when a part of it changes.
const SHORT: usize = 512;

/// Stores a string under a key, whatever was there. The deadline is the caller's to set or
/// to keep.
pub(crate) fn store(
    db: &mut Database,
    found: Option<usize>,
    key: &[u8],
    bytes: &[u8],
) -> Result<usize, Failure> {
    let Some(at) = found else {
        db.admit(Database::key_cost(key, Value::string_weight(bytes.len())))?;
        return db.create(key, Value::string(bytes)?);
    };
    db.admit(overwrite_cost(db, at, bytes))?;
    db.edit(at, Change::Whole, |value| match value {
        Value::Str(old) => value::overwrite(old, bytes),
        other => {
            *other = Value::string(bytes)?;
            Ok(())
        }
    })?;
    Ok(at)
}

/// What the memory in use grows by when a value is overwritten.
fn overwrite_cost(db: &Database, at: usize, bytes: &[u8]) -> usize {
    use crate::dense::Weigh as _;
    match db.value(at) {
        Value::Str(old) if value::fits(old.capacity(), bytes.len()) => 0,
        old => Value::string_weight(bytes.len()).saturating_sub(old.weight()),
    }
}

#[inline]
pub(crate) fn get(call: &mut Call<'_>) -> Done {
    let found = call.db.string(call.key(), call.now)?;
    call.out.bulk_or_null(found.map(Vec::as_slice));
    Ok(())
}

/// The options of SET.
#[derive(Clone, Copy, Debug, Default)]
struct SetOptions {
    absent: bool,
    present: bool,
    get: bool,
    keep: bool,
    deadline: Option<u64>,
}

impl SetOptions {
    fn read(call: &Call<'_>) -> Result<Self, Failure> {
        const INVALID: &str = "ERR invalid expire time in 'set' command";
        let mut options = Self::default();
        let mut time = None;
        let mut args = call.args.from(3);
        while let Some(option) = args.next() {
            let option = option.to_ascii_lowercase_short();
            match &*option {
                b"nx" if !options.present => options.absent = true,
                b"xx" if !options.absent => options.present = true,
                b"get" => options.get = true,
                b"keepttl" if time.is_none() => options.keep = true,
                option => {
                    let unit = Unit::of_option(option).ok_or(Failure::Syntax)?;
                    if options.keep || time.is_some() {
                        return Err(Failure::Syntax);
                    }
                    time = Some((args.next().ok_or(Failure::Syntax)?, unit));
                }
            }
        }
        if let Some((text, unit)) = time {
            options.deadline = Some(expiry::deadline(text, unit, call.now, INVALID)?);
        }
        Ok(options)
    }
}

pub(crate) fn set(call: &mut Call<'_>) -> Done {
    let options =
        if call.args.len() == 3 { SetOptions::default() } else { SetOptions::read(call)? };
    let key = call.key();
    let found = if options.get {
        let found = call.db.find_string(key, call.now)?;
        call.out.bulk_or_null(call.db.string_at(found).map(Vec::as_slice));
        call.out.check()?;
        found
    } else {
        call.db.find(key, call.now)
    };
    if options.absent && found.is_some() || options.present && found.is_none() {
        if !options.get {
            call.out.null();
        }
        return Ok(());
    }
    let at = store(call.db, found, key, call.args.get(2))?;
    if !options.keep {
        call.db.set_deadline(at, options.deadline.unwrap_or(0));
    }
    if !options.get {
        call.out.ok();
    }
    Ok(())
}

pub(crate) fn setnx(call: &mut Call<'_>) -> Done {
    let absent = call.db.find(call.key(), call.now).is_none();
    if absent {
        store(call.db, None, call.key(), call.args.get(2))?;
    }
    call.out.flag(absent);
    Ok(())
}

pub(crate) fn setex(call: &mut Call<'_>) -> Done {
    set_until(call, Unit::EX, "ERR invalid expire time in 'setex' command")
}

pub(crate) fn psetex(call: &mut Call<'_>) -> Done {
    set_until(call, Unit::PX, "ERR invalid expire time in 'psetex' command")
}

fn set_until(call: &mut Call<'_>, unit: Unit, invalid: &'static str) -> Done {
    let deadline = expiry::deadline(call.args.get(2), unit, call.now, invalid)?;
    let found = call.db.find(call.key(), call.now);
    let at = store(call.db, found, call.key(), call.args.get(3))?;
    call.db.set_deadline(at, deadline);
    call.out.ok();
    Ok(())
}

pub(crate) fn getset(call: &mut Call<'_>) -> Done {
    let found = call.db.find_string(call.key(), call.now)?;
    call.out.bulk_or_null(call.db.string_at(found).map(Vec::as_slice));
    call.out.check()?;
    let at = store(call.db, found, call.key(), call.args.get(2))?;
    call.db.set_deadline(at, 0);
    Ok(())
}

pub(crate) fn getdel(call: &mut Call<'_>) -> Done {
    let found = call.db.find_string(call.key(), call.now)?;
    call.out.bulk_or_null(call.db.string_at(found).map(Vec::as_slice));
    call.out.check()?;
    if let Some(at) = found {
        call.db.remove(at);
    }
    Ok(())
}

pub(crate) fn getex(call: &mut Call<'_>) -> Done {
    const INVALID: &str = "ERR invalid expire time in 'getex' command";
    let option = call.args.get(2).to_ascii_lowercase_short();
    let unit = match (call.args.len(), &*option) {
        (2, _) | (3, b"persist") => None,
        (4, option) => Some(Unit::of_option(option).ok_or(Failure::Syntax)?),
        _ => return Err(Failure::Syntax),
    };
    let found = call.db.find_string(call.key(), call.now)?;
    call.out.bulk_or_null(call.db.string_at(found).map(Vec::as_slice));
    call.out.check()?;
    let Some(at) = found else { return Ok(()) };
    match unit {
        Some(unit) => {
            let deadline = expiry::deadline(call.args.get(3), unit, call.now, INVALID)?;
            call.db.set_deadline(at, deadline);
        }
        None if call.args.len() == 3 => call.db.set_deadline(at, 0),
        None => {}
    }
    Ok(())
}

pub(crate) fn mget(call: &mut Call<'_>) -> Done {
    call.out.array(call.args.len() - 1);
    for key in call.args.from(1) {
        // A key of another type is as good as none here.
        let value = call.db.string(key, call.now).ok().flatten();
        call.out.bulk_or_null(value.map(Vec::as_slice));
        call.out.check()?;
    }
    Ok(())
}

pub(crate) fn mset(call: &mut Call<'_>) -> Done {
    if call.args.len().is_multiple_of(2) {
        return wrong_count(call, &["mset"]);
    }
    store_pairs(call)?;
    call.out.ok();
    Ok(())
}

pub(crate) fn msetnx(call: &mut Call<'_>) -> Done {
    if call.args.len().is_multiple_of(2) {
        return wrong_count(call, &["msetnx"]);
    }
    let all_absent = call.args.pairs(1).all(|(key, _)| call.db.find(key, call.now).is_none());
    if all_absent {
        store_pairs(call)?;
    }
    call.out.flag(all_absent);
    Ok(())
}

/// Stores all pairs or none: everything that may fail comes before the first change.
fn store_pairs(call: &mut Call<'_>) -> Done {
    let pairs = call.args.pairs(1);
    let mut cost = 0;
    let mut copies: Vec<(Box<[u8]>, Value)> = Vec::new();
    copies.try_reserve_exact(pairs.len())?;
    for (key, bytes) in pairs {
        cost += match call.db.find(key, call.now) {
            Some(at) => overwrite_cost(call.db, at, bytes),
            None => Database::key_cost(key, Value::string_weight(bytes.len())),
        };
        call.db.admit(cost)?;
        copies.push((copy(key)?, Value::string(bytes)?));
    }
    call.db.reserve(copies.len())?;
    for (key, value) in copies {
        match call.db.find(&key, call.now) {
            Some(at) => call.db.replace(at, value),
            None => {
                call.db.create_owned(key, value)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn strlen(call: &mut Call<'_>) -> Done {
    let length = call.db.string(call.key(), call.now)?.map_or(0, Vec::len);
    call.out.length(length);
    Ok(())
}

pub(crate) fn append(call: &mut Call<'_>) -> Done {
    let length = append_to(call.db, call.key(), call.args.get(2), call.now)?;
    call.out.length(length);
    Ok(())
}

/// Puts bytes behind a string, which is made if it is not there; returns its new length. Its
/// deadline stays.
pub(crate) fn append_to(
    db: &mut Database,
    key: &[u8],
    bytes: &[u8],
    now: u64,
) -> Result<usize, Failure> {
    let found = db.find_string(key, now)?;
    let Some(at) = found else {
        store(db, None, key, bytes)?;
        return Ok(bytes.len());
    };
    let length = db.string_at(found).map_or(0, Vec::len) + bytes.len();
    make_room(db, at, length)?;
    let change = written(length, length - bytes.len(), bytes);
    db.edit_string(at, change, |string| {
        string.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(length)
}

/// What is said of bytes that were written into a string, which is so long now.
fn written(length: usize, offset: usize, bytes: &[u8]) -> Change<'_> {
    if length <= SHORT { Change::Whole } else { Change::Write { offset, bytes } }
}

/// Gets the string at a position the capacity for `length` bytes. Grows generously, or, if
/// that is more than the limit allows, exactly.
fn make_room(db: &mut Database, at: usize, length: usize) -> Result<(), Failure> {
    if length > BULK_LIMIT {
        return Err(TOO_LONG);
    }
    let capacity = db.string_at(Some(at)).map_or(0, Vec::capacity);
    if length <= capacity {
        return Ok(());
    }
    let mut target = value::grown(capacity, length);
    if db.admit(target - capacity).is_err() {
        target = length;
        db.admit(target - capacity)?;
    }
    db.edit_string(
        at,
        Change::Unseen,
        |string| Ok(string.try_reserve_exact(target - string.len())?),
    )
}

pub(crate) fn setrange(call: &mut Call<'_>) -> Done {
    let offset =
        usize::try_from(call.int(2)?).map_err(|_| Failure::Text("ERR offset is out of range"))?;
    let bytes = call.args.get(3);
    let found = call.db.find_string(call.key(), call.now)?;
    let length = call.db.string_at(found).map_or(0, Vec::len);
    if bytes.is_empty() {
        call.out.length(length);
        return Ok(());
    }
    let end = offset.checked_add(bytes.len()).filter(|end| *end <= BULK_LIMIT).ok_or(TOO_LONG)?;
    let at = match found {
        Some(at) => at,
        None => {
            call.admit_more(end)?;
            call.db.admit(Database::key_cost(call.key(), Value::string_weight(end)))?;
            let mut fresh = Vec::new();
            fresh.try_reserve_exact(end)?;
            call.db.create(call.key(), Value::Str(fresh))?
        }
    };
    make_room(call.db, at, end)?;
    let change = written(length.max(end), offset, bytes);
    call.db.edit_string(at, change, |string| {
        string.resize(length.max(end), 0);
        string[offset..end].copy_from_slice(bytes);
        Ok(())
    })?;
    call.out.length(length.max(end));
    Ok(())
}

pub(crate) fn getrange(call: &mut Call<'_>) -> Done {
    let (first, last) = (call.int(2)?, call.int(3)?);
    let string = call.db.string(call.key(), call.now)?.map_or(&[][..], Vec::as_slice);
    let range = if first < 0 && last < 0 && first > last {
        0..0
    } else {
        // Unlike lists, strings take an end before their beginning for the beginning.
        range(first, last.max(-(string.len() as i64)), string.len())
    };
    call.out.bulk(&string[range]);
    Ok(())
}

/// The places from `first` to `last`, both included, of `len`. Negative ones count from
/// the end.
pub(crate) fn range(first: i64, last: i64, len: usize) -> core::ops::Range<usize> {
    let total = i64::try_from(len).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at.saturating_add(total) } else { at };
    let start = place(first).max(0);
    let end = place(last).min(total - 1).saturating_add(1);
    if start >= end { 0..0 } else { start as usize..end as usize }
}
