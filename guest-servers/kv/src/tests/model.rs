//! The keyspace against the standard library's collections: the same commands, the same
//! contents.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::rig::Rig;

#[derive(Debug, Clone, PartialEq)]
enum Model {
    Str(String),
    List(VecDeque<String>),
    Hash(BTreeMap<String, String>),
    Set(BTreeSet<String>),
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Set,
    Append,
    Del,
    PushHead,
    PushTail,
    PopHead,
    PopTail,
    SetField,
    DropField,
    AddMember,
    DropMember,
    Rename,
    Expire,
    Wait,
}

use Step::*;

const STEPS: [Step; 14] = [
    Set, Append, Del, PushHead, PushTail, PopHead, PopTail, SetField, DropField, AddMember,
    DropMember, Rename, Expire, Wait,
];

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[derive(Default)]
struct Keyspace {
    keys: HashMap<String, (Model, Option<u64>)>,
    now: u64,
}

impl Keyspace {
    fn reap(&mut self) {
        let now = self.now;
        self.keys.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| deadline > now));
    }

    fn entry(&mut self, key: &str, fresh: Model) -> &mut Model {
        &mut self.keys.entry(key.into()).or_insert((fresh, None)).0
    }

    /// Drops a key whose collection has become empty.
    fn settle(&mut self, key: &str) {
        let empty = match self.keys.get(key) {
            Some((Model::List(list), _)) => list.is_empty(),
            Some((Model::Hash(hash), _)) => hash.is_empty(),
            Some((Model::Set(set), _)) => set.is_empty(),
            _ => false,
        };
        if empty {
            self.keys.remove(key);
        }
    }

    /// Does one step; returns the request and the reply that it should get.
    fn step(&mut self, step: Step, key: &str, word: &str) -> (String, String) {
        self.reap();
        let result = self.apply(step, key, word);
        self.settle(key);
        result
    }

    fn apply(&mut self, step: Step, key: &str, word: &str) -> (String, String) {
        match step {
            Set => {
                self.keys.insert(key.into(), (Model::Str(word.into()), None));
                (format!("SET {key} {word}"), "+OK".into())
            }
            Append => {
                let reply = match self.entry(key, Model::Str(String::new())) {
                    Model::Str(text) => {
                        text.push_str(word);
                        format!(":{}", text.len())
                    }
                    _ => WRONG.into(),
                };
                (format!("APPEND {key} {word}"), reply)
            }
            Del => (format!("DEL {key}"), flag(self.keys.remove(key).is_some())),
            PushHead | PushTail => {
                let name = if matches!(step, PushHead) { "LPUSH" } else { "RPUSH" };
                let reply = match self.entry(key, Model::List(VecDeque::new())) {
                    Model::List(list) => {
                        if name == "LPUSH" {
                            list.push_front(word.into());
                        } else {
                            list.push_back(word.into());
                        }
                        format!(":{}", list.len())
                    }
                    _ => WRONG.into(),
                };
                (format!("{name} {key} {word}"), reply)
            }
            PopHead | PopTail => {
                let name = if matches!(step, PopHead) { "LPOP" } else { "RPOP" };
                let reply = match self.entry(key, Model::List(VecDeque::new())) {
                    Model::List(list) if name == "LPOP" => bulk(list.pop_front()),
                    Model::List(list) => bulk(list.pop_back()),
                    _ => WRONG.into(),
                };
                (format!("{name} {key}"), reply)
            }
            SetField => {
                let reply = match self.entry(key, Model::Hash(BTreeMap::new())) {
                    Model::Hash(hash) => flag(hash.insert(word.into(), key.into()).is_none()),
                    _ => WRONG.into(),
                };
                (format!("HSET {key} {word} {key}"), reply)
            }
            DropField => {
                let reply = match self.entry(key, Model::Hash(BTreeMap::new())) {
                    Model::Hash(hash) => flag(hash.remove(word).is_some()),
                    _ => WRONG.into(),
                };
                (format!("HDEL {key} {word}"), reply)
            }
            AddMember | DropMember => {
                let adding = matches!(step, AddMember);
                let reply = match self.entry(key, Model::Set(BTreeSet::new())) {
                    Model::Set(set) if adding => flag(set.insert(word.into())),
                    Model::Set(set) => flag(set.remove(word)),
                    _ => WRONG.into(),
                };
                (format!("{} {key} {word}", if adding { "SADD" } else { "SREM" }), reply)
            }
            Rename => {
                let reply = match self.keys.remove(key) {
                    Some(value) => {
                        self.keys.insert(word.into(), value);
                        "+OK".into()
                    }
                    None => "-ERR no such key".to_string(),
                };
                (format!("RENAME {key} {word}"), reply)
            }
            Expire => {
                let deadline = self.now + 20;
                let found = self.keys.get_mut(key).map(|(_, old)| *old = Some(deadline));
                (format!("PEXPIRE {key} 20"), flag(found.is_some()))
            }
            Wait => {
                self.now += 7;
                ("PING".into(), "+PONG".into())
            }
        }
    }
}

fn flag(flag: bool) -> String {
    format!(":{}", u8::from(flag))
}

fn bulk(text: Option<String>) -> String {
    text.map_or("$-1".into(), |text| format!("${} {text}", text.len()))
}

fn contents(rig: &mut Rig, key: &str) -> Model {
    match &*rig.run(&format!("TYPE {key}")) {
        "+string" => {
            let reply = rig.run(&format!("GET {key}"));
            Model::Str(reply.split(' ').nth(1).unwrap().into())
        }
        "+list" => {
            let reply = rig.run(&format!("LRANGE {key} 0 -1"));
            Model::List(reply.split(' ').skip(2).step_by(2).map(Into::into).collect())
        }
        "+hash" => {
            let reply = rig.run(&format!("HGETALL {key}"));
            let words: Vec<&str> = reply.split(' ').skip(2).step_by(2).collect();
            Model::Hash(words.chunks(2).map(|pair| (pair[0].into(), pair[1].into())).collect())
        }
        _ => Model::Set(rig.sorted(&format!("SMEMBERS {key}")).into_iter().collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn same_replies_and_same_contents(
        steps in prop::collection::vec(
            (prop::sample::select(STEPS.to_vec()), 0_u8..5, 0_u8..8), 1..300),
    ) {
        let mut rig = Rig::new();
        let mut model = Keyspace { now: rig.env.now, ..Keyspace::default() };
        for (step, key, word) in steps {
            let (key, word) = (format!("k{key}"), format!("k{word}"));
            let (request, expected) = model.step(step, &key, &word);
            let reply = rig.run(&request);
            prop_assert_eq!(&reply, &expected, "{}", request);
            rig.env.now = model.now;
        }
        model.reap();
        let mut expected: Vec<String> = model.keys.keys().cloned().collect();
        expected.sort();
        let found = rig.sorted("KEYS *");
        prop_assert_eq!(&found, &expected);
        for (key, (value, deadline)) in &model.keys {
            prop_assert_eq!(&contents(&mut rig, key), value);
            let left = deadline.map_or(-1, |deadline| (deadline - model.now).cast_signed());
            prop_assert_eq!(rig.run(&format!("PTTL {key}")), format!(":{left}"));
        }
    }
}
