//! What a client's keys must hold, worked out from its requests alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes.
pub type Bytes = Vec<u8>;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// A string.
    Text(Bytes),
    /// A list.
    List(VecDeque<Bytes>),
    /// Fields and their values.
    Fields(BTreeMap<Bytes, Bytes>),
    /// Members.
    Members(BTreeSet<Bytes>),
}

/// A client's keys; for each, what it holds, and whether it will expire one day.
pub type Keys = BTreeMap<String, (Held, bool)>;

/// A change that a client asks for. Each is right for what its key holds, so a server never has a
/// reason to refuse one.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is the command of its name")]
pub enum Change {
    Set(String, Bytes),
    SetForAnHour(String, Bytes),
    Append(String, Bytes),
    Incr(String, i64),
    Del(String),
    Mset(Vec<(String, Bytes)>),
    Rename(String, String),
    Expire(String),
    Persist(String),
    Rpush(String, Bytes),
    Lpush(String, Bytes),
    Lpop(String),
    Rpop(String),
    Hset(String, Bytes, Bytes),
    Hdel(String, Bytes),
    Sadd(String, Bytes),
    Srem(String, Bytes),
}

impl Change {
    /// The words of its request.
    pub fn words(&self) -> Vec<Bytes> {
        let words = |name: &str, rest: &[&[u8]]| {
            let rest = rest.iter().map(|word| word.to_vec());
            std::iter::once(name.into()).chain(rest).collect()
        };
        match self {
            Self::Set(key, value) => words("SET", &[key.as_bytes(), value]),
            Self::SetForAnHour(key, value) => {
                words("SET", &[key.as_bytes(), value, b"EX", b"3600"])
            }
            Self::Append(key, value) => words("APPEND", &[key.as_bytes(), value]),
            Self::Incr(key, by) => words("INCRBY", &[key.as_bytes(), by.to_string().as_bytes()]),
            Self::Del(key) => words("DEL", &[key.as_bytes()]),
            Self::Mset(pairs) => {
                let pairs = pairs.iter().flat_map(|(key, value)| [key.as_bytes(), value]);
                words("MSET", &pairs.collect::<Vec<_>>())
            }
            Self::Rename(from, to) => words("RENAME", &[from.as_bytes(), to.as_bytes()]),
            Self::Expire(key) => words("EXPIRE", &[key.as_bytes(), b"3600"]),
            Self::Persist(key) => words("PERSIST", &[key.as_bytes()]),
            Self::Rpush(key, value) => words("RPUSH", &[key.as_bytes(), value]),
            Self::Lpush(key, value) => words("LPUSH", &[key.as_bytes(), value]),
            Self::Lpop(key) => words("LPOP", &[key.as_bytes()]),
            Self::Rpop(key) => words("RPOP", &[key.as_bytes()]),
            Self::Hset(key, field, value) => words("HSET", &[key.as_bytes(), field, value]),
            Self::Hdel(key, field) => words("HDEL", &[key.as_bytes(), field]),
            Self::Sadd(key, member) => words("SADD", &[key.as_bytes(), member]),
            Self::Srem(key, member) => words("SREM", &[key.as_bytes(), member]),
        }
    }

    /// Makes the change.
    ///
    /// # Panics
    /// If a key holds something that the change is not right for.
    pub fn apply(&self, keys: &mut Keys) {
        match self {
            Self::Set(key, value) => put(keys, key, Held::Text(value.clone()), false),
            Self::SetForAnHour(key, value) => put(keys, key, Held::Text(value.clone()), true),
            Self::Append(key, value) => {
                let held = keys.entry(key.clone()).or_insert((Held::Text(Bytes::new()), false));
                text(&mut held.0).extend(value);
            }
            Self::Incr(key, by) => {
                let held = keys.entry(key.clone()).or_insert((Held::Text(b"0".to_vec()), false));
                let number = text(&mut held.0);
                let before: i64 = String::from_utf8_lossy(number).parse().expect("a number");
                *number = (before + by).to_string().into();
            }
            Self::Del(key) => drop(keys.remove(key)),
            Self::Mset(pairs) => {
                let pairs = pairs.iter();
                pairs.for_each(|(key, value)| put(keys, key, Held::Text(value.clone()), false));
            }
            // One that is not there is refused, and nothing changes.
            Self::Rename(from, to) => {
                if let Some(held) = keys.remove(from) {
                    keys.insert(to.clone(), held);
                }
            }
            Self::Expire(key) => expire(keys, key, true),
            Self::Persist(key) => expire(keys, key, false),
            Self::Rpush(key, value) => list(keys, key).push_back(value.clone()),
            Self::Lpush(key, value) => list(keys, key).push_front(value.clone()),
            Self::Lpop(key) => drop(list(keys, key).pop_front()),
            Self::Rpop(key) => drop(list(keys, key).pop_back()),
            Self::Hset(key, field, value) => {
                drop(fields(keys, key).insert(field.clone(), value.clone()));
            }
            Self::Hdel(key, field) => drop(fields(keys, key).remove(field)),
            Self::Sadd(key, member) => drop(members(keys, key).insert(member.clone())),
            Self::Srem(key, member) => drop(members(keys, key).remove(member)),
        }
        keys.retain(|_, (held, _)| !held.is_void());
    }
}

impl Held {
    fn is_void(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Fields(fields) => fields.is_empty(),
            Self::Members(members) => members.is_empty(),
        }
    }
}

fn put(keys: &mut Keys, key: &str, held: Held, expires: bool) {
    keys.insert(key.to_owned(), (held, expires));
}

fn expire(keys: &mut Keys, key: &str, whether: bool) {
    if let Some((_, expires)) = keys.get_mut(key) {
        *expires = whether;
    }
}

fn text(held: &mut Held) -> &mut Bytes {
    match held {
        Held::Text(text) => text,
        other => panic!("{other:?} is no string"),
    }
}

fn list<'k>(keys: &'k mut Keys, key: &str) -> &'k mut VecDeque<Bytes> {
    match keys.entry(key.to_owned()).or_insert((Held::List(VecDeque::new()), false)) {
        (Held::List(list), _) => list,
        (other, _) => panic!("{key} is no list: {other:?}"),
    }
}

fn fields<'k>(keys: &'k mut Keys, key: &str) -> &'k mut BTreeMap<Bytes, Bytes> {
    match keys.entry(key.to_owned()).or_insert((Held::Fields(BTreeMap::new()), false)) {
        (Held::Fields(fields), _) => fields,
        (other, _) => panic!("{key} is no hash: {other:?}"),
    }
}

fn members<'k>(keys: &'k mut Keys, key: &str) -> &'k mut BTreeSet<Bytes> {
    match keys.entry(key.to_owned()).or_insert((Held::Members(BTreeSet::new()), false)) {
        (Held::Members(members), _) => members,
        (other, _) => panic!("{key} is no set: {other:?}"),
    }
}
