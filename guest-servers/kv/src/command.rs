//! Owns the path from a request to its handler: the look-up of the name, the check of the
//! number of arguments, and what handlers are given.

use alloc::vec::Vec;

use crate::client::Client;
use crate::db::Database;
use crate::env::Env;
use crate::failure::Failure;
use crate::number;
use crate::reply::Output;
use crate::request::Args;
use crate::table::{self, COMMANDS, Command, Effect};
use crate::word::{ShortLower, Word};

/// The most that a record takes beside a string that it holds, for each of them.
pub(crate) const STRING_MAX: usize = 24;

/// The most that a request's records take beside its arguments: numbers, and the rest of a short
/// string of which a part was changed.
pub(crate) const RECORDS_MAX: usize = 1024;

/// What a handler says: its reply is written, or why there is none.
pub(crate) type Done = Result<(), Failure>;

/// A command's handler.
pub(crate) type Handler = fn(&mut Call<'_>) -> Done;

/// One request in service.
pub(crate) struct Call<'a> {
    pub db: &'a mut Database,
    pub env: &'a mut dyn Env,
    /// Milliseconds since 1970.
    pub now: u64,
    pub args: Args<'a>,
    pub out: &'a mut Output,
    pub client: &'a mut Client,
}

impl<'a> Call<'a> {
    /// An argument as an integer.
    pub(crate) fn int(&self, at: usize) -> Result<i64, Failure> {
        number::parse(self.args.get(at)).ok_or(Failure::NotInteger)
    }

    /// Asks whether the store that keeps the database takes what this request may cause: its
    /// arguments, and `more` bytes.
    fn admit(&mut self, effect: Effect, more: usize) -> Done {
        let arguments: usize = self.args.from(0).map(|arg| arg.len() + STRING_MAX).sum();
        self.db.admit_records(effect, arguments + RECORDS_MAX + more, self.args.len())
    }

    /// Asked by a handler that may cause more records than its arguments are long, before it
    /// changes anything.
    pub(crate) fn admit_more(&mut self, more: usize) -> Done {
        if self.db.is_kept() { self.admit(Effect::Grow, more) } else { Ok(()) }
    }

    /// The key of most commands.
    #[inline]
    pub(crate) fn key(&self) -> &'a [u8] {
        self.args.get(1)
    }
}

/// Finds the command and runs it.
#[inline]
pub(crate) fn run(call: &mut Call<'_>) -> Done {
    let name = call.args.get(0).to_ascii_lowercase_short();
    let Some(command) = find(&name) else {
        return unknown(call);
    };
    if !takes(command, call.args.len()) {
        return wrong_count(call, &[command.name]);
    }
    if call.db.is_kept() {
        call.admit(command.effect, 0)?;
    }
    (command.run)(call)
}

/// The command of that lower-case name.
#[inline]
pub(crate) fn find(name: &Word) -> Option<&'static Command> {
    let mut bucket = table::bucket(name);
    loop {
        let command = COMMANDS.get(usize::from(table::INDEX[bucket]))?;
        if command.name.as_bytes() == &**name {
            return Some(command);
        }
        bucket = (bucket + 1) % table::BUCKETS;
    }
}

/// Whether the command takes that many arguments, its name among them.
fn takes(command: &Command, count: usize) -> bool {
    let least = usize::from(command.arity.unsigned_abs());
    if command.arity < 0 { count >= least } else { count == least }
}

/// The reply to a command with too few arguments or too many.
pub(crate) fn wrong_count(call: &mut Call<'_>, name: &[&str]) -> Done {
    let mut parts: Vec<&[u8]> = Vec::new();
    parts.try_reserve(name.len() + 2)?;
    parts.push(b"ERR wrong number of arguments for '");
    parts.extend(name.iter().map(|part| part.as_bytes()));
    parts.push(b"' command");
    call.out.error(&parts);
    Ok(())
}

/// The reply to a subcommand that is not there.
pub(crate) fn unknown_subcommand(call: &mut Call<'_>, command: &str) -> Done {
    let given = call.args.get(1);
    let given = &given[..given.len().min(128)];
    let command = command.as_bytes();
    call.out.error(&[b"ERR unknown subcommand '", given, b"'. Try ", command, b" HELP."]);
    Ok(())
}

/// The reply to a command that is not there: it quotes the request, but not without end.
fn unknown(call: &mut Call<'_>) -> Done {
    const QUOTED: usize = 128;
    let name = call.args.get(0);
    let mut quoted = Vec::new();
    quoted.try_reserve(2 * QUOTED)?;
    for arg in call.args.from(1) {
        if quoted.len() >= QUOTED {
            break;
        }
        quoted.push(b'\'');
        quoted.extend_from_slice(&arg[..arg.len().min(QUOTED - quoted.len() + 1)]);
        quoted.extend_from_slice(b"' ");
    }
    let name = &name[..name.len().min(QUOTED)];
    call.out.error(&[b"ERR unknown command '", name, b"', with args beginning with: ", &quoted]);
    Ok(())
}
