//! Owns the commands about the connection and the server itself.

use crate::command::{Call, Done, find, unknown_subcommand, wrong_count};
use crate::env::Crash;
use crate::failure::Failure;
use crate::reply::Output;
use crate::table::{COMMANDS, Command, Effect};
use crate::word::ShortLower;

/// The Redis whose commands and texts these are; clients look at it.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

pub(crate) fn ping(call: &mut Call<'_>) -> Done {
    match call.args.len() {
        1 => call.out.simple("PONG"),
        2 => call.out.bulk(call.args.get(1)),
        _ => return wrong_count(call, &["ping"]),
    }
    Ok(())
}

pub(crate) fn echo(call: &mut Call<'_>) -> Done {
    call.out.bulk(call.args.get(1));
    Ok(())
}

pub(crate) fn quit(call: &mut Call<'_>) -> Done {
    call.client.closing = true;
    call.out.ok();
    Ok(())
}

pub(crate) fn select(call: &mut Call<'_>) -> Done {
    if call.int(1)? != 0 {
        return Err(Failure::Text("ERR DB index is out of range"));
    }
    call.out.ok();
    Ok(())
}

pub(crate) fn time(call: &mut Call<'_>) -> Done {
    let now = call.env.now_us().cast_signed();
    call.out.array(2);
    call.out.bulk_int(now / 1_000_000);
    call.out.bulk_int(now % 1_000_000);
    Ok(())
}

/// `HELLO [2 [AUTH user password] [SETNAME name]]`. There are no passwords, so any is good.
pub(crate) fn hello(call: &mut Call<'_>) -> Done {
    if call.args.len() > 1 {
        let version = call
            .int(1)
            .map_err(|_| Failure::Text("ERR Protocol version is not an integer or out of range"))?;
        if version != 2 {
            return Err(Failure::Text("NOPROTO unsupported protocol version"));
        }
    }
    let mut options = call.args.from(2);
    while let Some(option) = options.next() {
        match &*option.to_ascii_lowercase_short() {
            b"auth" if options.len() >= 2 => {
                options.nth(1);
            }
            b"setname" if options.len() >= 1 => {
                call.client.set_name(options.next().unwrap_or_default())?;
            }
            _ => {
                call.out.error(&[b"ERR Syntax error in HELLO option '", option, b"'"]);
                return Ok(());
            }
        }
    }
    describe(call);
    Ok(())
}

fn describe(call: &mut Call<'_>) {
    let out = &mut *call.out;
    out.array(14);
    for text in ["server", "redis", "version", REDIS_VERSION, "proto"] {
        out.bulk(text.as_bytes());
    }
    out.int(2);
    out.bulk(b"id");
    out.int(call.client.id.cast_signed());
    for text in ["mode", "standalone", "role", "master", "modules"] {
        out.bulk(text.as_bytes());
    }
    out.array(0);
}

/// `COMMAND [COUNT | LIST | INFO name … | DOCS name …]`
pub(crate) fn command(call: &mut Call<'_>) -> Done {
    let count = call.args.len();
    match &*call.args.get(1).to_ascii_lowercase_short() {
        _ if count == 1 => all(call.out),
        b"count" if count == 2 => call.out.length(COMMANDS.len()),
        b"list" if count == 2 => {
            call.out.array(COMMANDS.len());
            COMMANDS.iter().for_each(|command| call.out.bulk(command.name.as_bytes()));
        }
        b"info" if count == 2 => all(call.out),
        b"info" => {
            call.out.array(count - 2);
            for name in call.args.from(2) {
                match find(&name.to_ascii_lowercase_short()) {
                    Some(command) => entry(call.out, command),
                    None => call.out.null_array(),
                }
            }
        }
        // No documentation is kept here; redis-cli then goes without hints.
        b"docs" => call.out.array(0),
        b"count" => return wrong_count(call, &["command|count"]),
        b"list" => return wrong_count(call, &["command|list"]),
        _ => return unknown_subcommand(call, "COMMAND"),
    }
    Ok(())
}

fn all(out: &mut Output) {
    out.array(COMMANDS.len());
    COMMANDS.iter().for_each(|command| entry(out, command));
}

fn entry(out: &mut Output, command: &Command) {
    let flags: &[&str] = match command.effect {
        Effect::Grow => &["write", "denyoom"],
        Effect::Write | Effect::Remove => &["write"],
        Effect::Read => &["readonly"],
        Effect::Other => &["fast"],
    };
    out.array(6);
    out.bulk(command.name.as_bytes());
    out.int(command.arity.into());
    out.array(flags.len());
    flags.iter().for_each(|flag| out.simple(flag));
    let (first, last, step) = command.keys;
    [first, last, step].iter().for_each(|number| out.int((*number).into()));
}

/// `DEBUG fault`, for tests of what happens when a server dies.
pub(crate) fn debug(call: &mut Call<'_>) -> Done {
    if !call.db.options.debug {
        return Err(Failure::Text(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ));
    }
    let crash = match &*call.args.get(1).to_ascii_lowercase_short() {
        b"segfault" => Crash::Segfault,
        b"panic" => Crash::Panic,
        b"loop" => Crash::Loop,
        b"stackoverflow" => Crash::StackOverflow,
        b"ud2" => Crash::Ud2,
        b"divzero" => Crash::DivZero,
        _ => return unknown_subcommand(call, "DEBUG"),
    };
    call.env.debug(crash);
    call.out.ok();
    Ok(())
}
