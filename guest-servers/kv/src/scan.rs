//! Owns SCAN, HSCAN and SSCAN. What a cursor promises is explained at `dense`.

use crate::command::{Call, Done};
use crate::failure::Failure;
use crate::glob;
use crate::number::{self, Digits};
use crate::reply::Output;
use crate::request::Args;
use crate::word::ShortLower;

/// The options of a scan.
#[derive(Clone, Copy, Debug)]
struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    kind: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads the options, which stand behind the cursor at `at`.
    fn read(args: Args<'a>, at: usize, with_type: bool) -> Result<Self, Failure> {
        let mut options = Self { pattern: None, count: 10, kind: None };
        let mut args = args.from(at + 1);
        while let Some(option) = args.next() {
            let value = args.next().ok_or(Failure::Syntax)?;
            match &*option.to_ascii_lowercase_short() {
                b"match" => options.pattern = Some(value).filter(|pattern| *pattern != b"*"),
                b"count" => options.count = count(value)?,
                b"type" if with_type => options.kind = Some(value),
                _ => return Err(Failure::Syntax),
            }
        }
        Ok(options)
    }

    fn takes(&self, key: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, key))
    }
}

fn cursor(text: &[u8]) -> Result<u64, Failure> {
    let number = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or(Failure::Text("ERR invalid cursor"))
}

fn count(text: &[u8]) -> Result<usize, Failure> {
    let count = number::parse(text).ok_or(Failure::NotInteger)?;
    usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Failure::Syntax)
}

/// Writes the elements' array, whose elements stand behind `mark`, and the cursor before it.
fn finish(out: &mut Output, mark: usize, cursor: u64, elements: usize) {
    out.array_since(mark, elements);
    let head = out.mark();
    out.array(2);
    out.bulk(Digits::of_length(cursor as usize).as_bytes());
    out.move_to(mark, head);
}

pub(crate) fn scan(call: &mut Call<'_>) -> Done {
    let cursor = cursor(call.args.get(1))?;
    let options = Options::read(call.args, 1, true)?;
    let (mark, mut found) = (call.out.mark(), 0);
    let (db, out) = (&*call.db, &mut *call.out);
    let next = db.scan(cursor, options.count, call.now, |key, value| {
        let kind = options.kind;
        let right = kind.is_none_or(|kind| kind.eq_ignore_ascii_case(value.kind().as_bytes()));
        if right && options.takes(key) {
            out.bulk(key);
            found += 1;
        }
    });
    finish(out, mark, next, found);
    Ok(())
}

pub(crate) fn hscan(call: &mut Call<'_>) -> Done {
    let cursor = cursor(call.args.get(2))?;
    let (mark, mut found) = (call.out.mark(), 0);
    let out = &mut *call.out;
    let Some(hash) = call.db.hash(call.args.get(1), call.now)? else {
        finish(out, mark, 0, 0);
        return Ok(());
    };
    // Only now, as Redis does: without the key the options are not even looked at.
    let options = Options::read(call.args, 2, false)?;
    let next = hash.scan(cursor, options.count, |field, value| {
        if options.takes(field) {
            out.bulk(field);
            out.bulk(value);
            found += 2;
        }
    });
    finish(out, mark, next, found);
    Ok(())
}

pub(crate) fn sscan(call: &mut Call<'_>) -> Done {
    let cursor = cursor(call.args.get(2))?;
    let (mark, mut found) = (call.out.mark(), 0);
    let out = &mut *call.out;
    let Some(set) = call.db.set(call.args.get(1), call.now)? else {
        finish(out, mark, 0, 0);
        return Ok(());
    };
    let options = Options::read(call.args, 2, false)?;
    let next = set.scan(cursor, options.count, |member, ()| {
        if options.takes(member) {
            out.bulk(member);
            found += 1;
        }
    });
    finish(out, mark, next, found);
    Ok(())
}
