//! Owns CONFIG. The settings are those that client programs ask for; none can be changed
//! while the server runs, as its limits belong to whoever started it.

use crate::command::{Call, Done, unknown_subcommand, wrong_count};
use crate::db::{Database, Stats};
use crate::glob;
use crate::number::Digits;
use crate::request::BULK_LIMIT;
use crate::word::ShortLower;

const NAMES: &[&str] = &[
    "appendfsync",
    "appendonly",
    "databases",
    "maxmemory",
    "maxmemory-policy",
    "proto-max-bulk-len",
    "save",
    "timeout",
];

/// A setting's value, as text.
enum Setting {
    Text(&'static str),
    Number(Digits),
}

impl Setting {
    fn of(db: &Database, name: &str) -> Self {
        match name {
            "appendfsync" => Self::Text("always"),
            "appendonly" => Self::Text(if db.is_kept() { "yes" } else { "no" }),
            "databases" => Self::Text("1"),
            "maxmemory" => Self::Number(Digits::of_length(db.limit())),
            "maxmemory-policy" => Self::Text("noeviction"),
            "proto-max-bulk-len" => Self::Number(Digits::of_length(BULK_LIMIT)),
            "timeout" => Self::Text("0"),
            _ => Self::Text(""),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Number(digits) => digits.as_bytes(),
        }
    }
}

/// `CONFIG GET pattern … | SET name value … | RESETSTAT`
pub(crate) fn config(call: &mut Call<'_>) -> Done {
    let count = call.args.len();
    match &*call.args.get(1).to_ascii_lowercase_short() {
        b"get" if count >= 3 => get(call),
        b"get" => wrong_count(call, &["config|get"]),
        b"set" if count >= 4 && count.is_multiple_of(2) => set(call),
        b"set" => wrong_count(call, &["config|set"]),
        b"resetstat" if count == 2 => {
            call.db.stats = Stats::default();
            call.out.ok();
            Ok(())
        }
        b"resetstat" => wrong_count(call, &["config|resetstat"]),
        _ => unknown_subcommand(call, "CONFIG"),
    }
}

fn get(call: &mut Call<'_>) -> Done {
    let (mark, mut found) = (call.out.mark(), 0);
    for name in NAMES {
        let wanted = |pattern: &[u8]| {
            glob::matches(&pattern.to_ascii_lowercase_short(), name.as_bytes())
                || pattern.eq_ignore_ascii_case(name.as_bytes())
        };
        if call.args.from(2).any(wanted) {
            call.out.bulk(name.as_bytes());
            call.out.bulk(Setting::of(call.db, name).as_bytes());
            found += 2;
        }
    }
    call.out.array_since(mark, found);
    Ok(())
}

/// Setting what is set already is fine; anything else is refused.
fn set(call: &mut Call<'_>) -> Done {
    for (given, wanted) in call.args.pairs(2) {
        let known = NAMES.iter().find(|name| given.eq_ignore_ascii_case(name.as_bytes()));
        let Some(name) = known else {
            call.out.error(&[
                b"ERR Unknown option or number of arguments for CONFIG SET - '",
                given,
                b"'",
            ]);
            return Ok(());
        };
        if Setting::of(call.db, name).as_bytes() != wanted {
            call.out.error(&[
                b"ERR CONFIG SET failed (possibly related to argument '",
                name.as_bytes(),
                b"') - can't set immutable config",
            ]);
            return Ok(());
        }
    }
    call.out.ok();
    Ok(())
}
