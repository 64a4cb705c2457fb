//! What a server holds for a client, read key by key.

use super::model::{Bytes, Held, Keys};
use crate::resp::{Reply, Resp};

/// The server died while it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

/// Everything under the keys that begin with the client's name and a colon.
pub fn look(connection: &mut Resp, client: &str) -> Result<Keys, Interrupted> {
    let names = array(ask(connection, &format!("KEYS {client}:*"))?);
    let mut keys = Keys::new();
    for name in names {
        let name = String::from_utf8(name).expect("a client's keys are text");
        let held = hold(connection, &name)?;
        let left = integer(&ask(connection, &format!("PTTL {name}"))?);
        assert!(left == -1 || left > 0, "{name} is there, and expires in {left} ms");
        keys.insert(name, (held, left > 0));
    }
    Ok(keys)
}

fn hold(connection: &mut Resp, key: &str) -> Result<Held, Interrupted> {
    let kind = ask(connection, &format!("TYPE {key}"))?.text();
    Ok(match kind.as_str() {
        "string" => match ask(connection, &format!("GET {key}"))? {
            Reply::Bulk(Some(bytes)) => Held::Text(bytes),
            other => panic!("GET {key}: {other:?}"),
        },
        "list" => Held::List(array(ask(connection, &format!("LRANGE {key} 0 -1"))?).into()),
        "hash" => {
            let pairs = array(ask(connection, &format!("HGETALL {key}"))?);
            let (pairs, []) = pairs.as_chunks() else { panic!("{key}: an odd number") };
            Held::Fields(pairs.iter().cloned().map(|[field, value]| (field, value)).collect())
        }
        "set" => {
            let members = array(ask(connection, &format!("SMEMBERS {key}"))?);
            Held::Members(members.into_iter().collect())
        }
        other => panic!("{key} is a {other}"),
    })
}

fn ask(connection: &mut Resp, line: &str) -> Result<Reply, Interrupted> {
    if !connection.send(&crate::resp::command(line)) {
        return Err(Interrupted);
    }
    match connection.reply() {
        None => Err(Interrupted),
        Some(reply) if reply.is_restarted() => Err(Interrupted),
        Some(reply) => Ok(reply),
    }
}

fn array(reply: Reply) -> Vec<Bytes> {
    let Reply::Array(Some(all)) = reply else { panic!("{reply:?} is no array") };
    let bytes = all.into_iter().map(|reply| match reply {
        Reply::Bulk(Some(bytes)) => bytes,
        other => panic!("{other:?} in an array"),
    });
    bytes.collect()
}

fn integer(reply: &Reply) -> i64 {
    let Reply::Integer(number) = reply else { panic!("{reply:?} is no number") };
    *number
}
