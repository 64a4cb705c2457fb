//! Owns the commands that take a string for a number: INCR and its relatives.

use crate::change::Change;
use crate::command::{Call, Done};
use crate::db::Database;
use crate::failure::Failure;
use crate::number::{self, Digits};
use crate::value::{self, Value};

const OVERFLOW: Failure = Failure::Text("ERR increment or decrement would overflow");

pub(crate) fn incr(call: &mut Call<'_>) -> Done {
    add(call, 1)
}

pub(crate) fn decr(call: &mut Call<'_>) -> Done {
    add(call, -1)
}

pub(crate) fn incrby(call: &mut Call<'_>) -> Done {
    let amount = call.int(2)?;
    add(call, amount)
}

pub(crate) fn decrby(call: &mut Call<'_>) -> Done {
    let amount = call.int(2)?.checked_neg().ok_or(Failure::Text("ERR decrement would overflow"))?;
    add(call, amount)
}

fn add(call: &mut Call<'_>, amount: i64) -> Done {
    let new = add_to(call.db, call.key(), amount, call.now)?;
    call.out.int(new);
    Ok(())
}

/// Adds to the number that a string is, 0 if there is none; returns the sum. The deadline stays.
#[inline]
pub(crate) fn add_to(db: &mut Database, key: &[u8], amount: i64, now: u64) -> Result<i64, Failure> {
    let found = db.find_string(key, now)?;
    let old = match db.string_at(found) {
        Some(string) => number::parse(string).ok_or(Failure::NotInteger)?,
        None => 0,
    };
    let new = old.checked_add(amount).ok_or(OVERFLOW)?;
    write(db, found, key, Digits::new(new).as_bytes())?;
    Ok(new)
}

/// Puts the number in the string's place; its deadline stays.
fn write(db: &mut Database, found: Option<usize>, key: &[u8], digits: &[u8]) -> Done {
    let Some(at) = found else {
        db.admit(Database::key_cost(key, Value::string_weight(digits.len())))?;
        db.create(key, Value::string(digits)?)?;
        return Ok(());
    };
    let capacity = db.string_at(found).map_or(0, |string| string.capacity());
    if !value::fits(capacity, digits.len()) {
        db.admit(digits.len().saturating_sub(capacity))?;
    }
    db.edit_string(at, Change::Whole, |string| value::overwrite(string, digits))
}
