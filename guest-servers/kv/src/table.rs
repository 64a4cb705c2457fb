//! Owns the table of commands: names, numbers of arguments, where the keys are, handlers.

use crate::client::client;
use crate::command::Handler;
use crate::{expiry, hashes, info, keys, lists, saving, scan, server, sets, settings, strings};

/// What a command does, as COMMAND tells clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Changes the keyspace and may need memory.
    Grow,
    /// Changes the keyspace, but never needs more memory.
    Write,
    /// Does nothing to the keyspace but to take keys out.
    Remove,
    /// Reads the keyspace.
    Read,
    /// Has nothing to do with the keyspace.
    Other,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// In lower case.
    pub name: &'static str,
    /// The number of arguments, the name included; negative: at least that many.
    pub arity: i8,
    pub effect: Effect,
    /// The first key, the last (negative: from the end) and the step between them.
    pub keys: (i8, i8, i8),
    pub run: Handler,
}

const NONE: (i8, i8, i8) = (0, 0, 0);
const ONE: (i8, i8, i8) = (1, 1, 1);
const TWO: (i8, i8, i8) = (1, 2, 1);
const ALL: (i8, i8, i8) = (1, -1, 1);
const PAIRS: (i8, i8, i8) = (1, -1, 2);

const fn command(
    name: &'static str,
    arity: i8,
    effect: Effect,
    keys: (i8, i8, i8),
    run: Handler,
) -> Command {
    Command { name, arity, effect, keys, run }
}

use Effect::{Grow, Other, Read, Remove, Write};

/// Every command.
#[rustfmt::skip]
pub(crate) static COMMANDS: &[Command] = &[
    command("append", 3, Grow, ONE, strings::append),
    command("bgrewriteaof", 1, Other, NONE, saving::bgrewriteaof),
    command("bgsave", -1, Other, NONE, saving::bgsave),
    command("client", -2, Other, NONE, client),
    command("command", -1, Other, NONE, server::command),
    command("config", -2, Other, NONE, settings::config),
    command("dbsize", 1, Read, NONE, keys::dbsize),
    command("debug", -2, Other, NONE, server::debug),
    command("decr", 2, Grow, ONE, strings::decr),
    command("decrby", 3, Grow, ONE, strings::decrby),
    command("del", -2, Remove, ALL, keys::del),
    command("echo", 2, Other, NONE, server::echo),
    command("exists", -2, Read, ALL, keys::exists),
    command("expire", -3, Write, ONE, expiry::expire),
    command("expireat", -3, Write, ONE, expiry::expireat),
    command("expiretime", 2, Read, ONE, expiry::expiretime),
    command("flushall", -1, Remove, NONE, keys::flush),
    command("flushdb", -1, Remove, NONE, keys::flush),
    command("get", 2, Read, ONE, strings::get),
    command("getdel", 2, Remove, ONE, strings::getdel),
    command("getex", -2, Write, ONE, strings::getex),
    command("getrange", 4, Read, ONE, strings::getrange),
    command("getset", 3, Grow, ONE, strings::getset),
    command("hdel", -3, Write, ONE, hashes::hdel),
    command("hello", -1, Other, NONE, server::hello),
    command("hexists", 3, Read, ONE, hashes::hexists),
    command("hget", 3, Read, ONE, hashes::hget),
    command("hgetall", 2, Read, ONE, hashes::hgetall),
    command("hincrby", 4, Grow, ONE, hashes::hincrby),
    command("hkeys", 2, Read, ONE, hashes::hkeys),
    command("hlen", 2, Read, ONE, hashes::hlen),
    command("hmget", -3, Read, ONE, hashes::hmget),
    command("hmset", -4, Grow, ONE, hashes::hmset),
    command("hscan", -3, Read, ONE, scan::hscan),
    command("hset", -4, Grow, ONE, hashes::hset),
    command("hsetnx", 4, Grow, ONE, hashes::hsetnx),
    command("hstrlen", 3, Read, ONE, hashes::hstrlen),
    command("hvals", 2, Read, ONE, hashes::hvals),
    command("incr", 2, Grow, ONE, strings::incr),
    command("incrby", 3, Grow, ONE, strings::incrby),
    command("info", -1, Other, NONE, info::info),
    command("keys", 2, Read, NONE, keys::keys),
    command("lastsave", 1, Other, NONE, saving::lastsave),
    command("lindex", 3, Read, ONE, lists::lindex),
    command("llen", 2, Read, ONE, lists::llen),
    command("lpop", -2, Write, ONE, lists::lpop),
    command("lpush", -3, Grow, ONE, lists::lpush),
    command("lpushx", -3, Grow, ONE, lists::lpushx),
    command("lrange", 4, Read, ONE, lists::lrange),
    command("lrem", 4, Write, ONE, lists::lrem),
    command("lset", 4, Grow, ONE, lists::lset),
    command("ltrim", 4, Write, ONE, lists::ltrim),
    command("mget", -2, Read, ALL, strings::mget),
    command("mset", -3, Grow, PAIRS, strings::mset),
    command("msetnx", -3, Grow, PAIRS, strings::msetnx),
    command("persist", 2, Write, ONE, expiry::persist),
    command("pexpire", -3, Write, ONE, expiry::pexpire),
    command("pexpireat", -3, Write, ONE, expiry::pexpireat),
    command("pexpiretime", 2, Read, ONE, expiry::pexpiretime),
    command("ping", -1, Other, NONE, server::ping),
    command("psetex", 4, Grow, ONE, strings::psetex),
    command("pttl", 2, Read, ONE, expiry::pttl),
    command("quit", -1, Other, NONE, server::quit),
    command("randomkey", 1, Read, NONE, keys::randomkey),
    command("rename", 3, Write, TWO, keys::rename),
    command("renamenx", 3, Write, TWO, keys::renamenx),
    command("rpop", -2, Write, ONE, lists::rpop),
    command("rpush", -3, Grow, ONE, lists::rpush),
    command("rpushx", -3, Grow, ONE, lists::rpushx),
    command("sadd", -3, Grow, ONE, sets::sadd),
    command("save", 1, Other, NONE, saving::save),
    command("scan", -2, Read, NONE, scan::scan),
    command("scard", 2, Read, ONE, sets::scard),
    command("select", 2, Other, NONE, server::select),
    command("set", -3, Grow, ONE, strings::set),
    command("setex", 4, Grow, ONE, strings::setex),
    command("setnx", 3, Grow, ONE, strings::setnx),
    command("setrange", 4, Grow, ONE, strings::setrange),
    command("sismember", 3, Read, ONE, sets::sismember),
    command("smembers", 2, Read, ONE, sets::smembers),
    command("smismember", -3, Read, ONE, sets::smismember),
    command("spop", -2, Write, ONE, sets::spop),
    command("srandmember", -2, Read, ONE, sets::srandmember),
    command("srem", -3, Write, ONE, sets::srem),
    command("sscan", -3, Read, ONE, scan::sscan),
    command("strlen", 2, Read, ONE, strings::strlen),
    command("substr", 4, Read, ONE, strings::getrange),
    command("time", 1, Other, NONE, server::time),
    command("touch", -2, Read, ALL, keys::exists),
    command("ttl", 2, Read, ONE, expiry::ttl),
    command("type", 2, Read, ONE, keys::kind),
    command("unlink", -2, Remove, ALL, keys::del),
];

/// Several times as many as commands, so that most look-ups meet their command first.
pub(crate) const BUCKETS: usize = 512;

/// An empty bucket.
const VACANT: u8 = u8::MAX;

/// For each bucket, the command that is there; made by the compiler.
pub(crate) static INDEX: [u8; BUCKETS] = build();

/// The bucket in which the search for a name begins.
#[inline]
pub(crate) const fn bucket(name: &[u8]) -> usize {
    let mut hash = name.len() as u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 15)) as usize % BUCKETS
}

const fn build() -> [u8; BUCKETS] {
    let mut index = [VACANT; BUCKETS];
    let mut at = 0;
    while at < COMMANDS.len() {
        let mut place = bucket(COMMANDS[at].name.as_bytes());
        while index[place] != VACANT {
            place = (place + 1) % BUCKETS;
        }
        index[place] = at as u8;
        at += 1;
    }
    index
}

// A vacant bucket must lead out of the table, and a search must end at one.
const _: () = assert!(COMMANDS.len() < VACANT as usize && COMMANDS.len() < BUCKETS / 2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;
    use crate::word::ShortLower;

    #[test]
    fn every_command_is_found_and_nothing_else() {
        for command in COMMANDS {
            let upper = command.name.to_ascii_uppercase();
            let found = find(&upper.as_bytes().to_ascii_lowercase_short()).unwrap();
            assert_eq!(found.name, command.name);
        }
        for name in ["", "ge", "gett", "a-name-that-is-far-too-long", "get\0"] {
            assert!(find(&name.as_bytes().to_ascii_lowercase_short()).is_none(), "{name}");
        }
    }

    #[test]
    fn searches_are_short() {
        for (at, command) in COMMANDS.iter().enumerate() {
            let start = bucket(command.name.as_bytes());
            let steps = (0..BUCKETS)
                .take_while(|step| usize::from(INDEX[(start + step) % BUCKETS]) != at)
                .count();
            assert!(steps <= 4, "{} takes {steps} steps", command.name);
        }
    }
}
