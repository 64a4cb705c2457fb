//! Changes without a pattern, and the same ones in each run.

use super::model::{Bytes, Change};

/// A source of numbers (xorshift64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// Longest value; most are much shorter.
const LONGEST: u64 = 6000;

impl Chance {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        // Of nothing, xorshift would make nothing.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// A change of the keys that begin with the client's name and a colon.
    pub fn change(&mut self, client: &str) -> Change {
        let one_of = |chance: &mut Self, kind: &str, count: u64| {
            format!("{client}:{kind}:{}", chance.below(count))
        };
        let text = |chance: &mut Self| one_of(chance, "text", 8);
        let list = |chance: &mut Self| one_of(chance, "list", 2);
        match self.below(24) {
            0..6 => Change::Set(text(self), self.value()),
            6 => Change::SetForAnHour(text(self), self.value()),
            7 => Change::Append(text(self), self.short()),
            8 | 9 => Change::Incr(one_of(self, "count", 2), self.below(100) as i64 - 40),
            10 => Change::Del(text(self)),
            11 => Change::Mset((0..3).map(|_| (text(self), self.value())).collect()),
            12 => Change::Rename(text(self), text(self)),
            13 => Change::Expire(text(self)),
            14 => Change::Persist(text(self)),
            15 => Change::Rpush(list(self), self.short()),
            16 => Change::Lpush(list(self), self.short()),
            17 => Change::Lpop(list(self)),
            18 => Change::Rpop(list(self)),
            19 => Change::Hset(one_of(self, "hash", 2), self.name(), self.short()),
            20 => Change::Hdel(one_of(self, "hash", 2), self.name()),
            21 | 22 => Change::Sadd(one_of(self, "set", 2), self.name()),
            _ => Change::Srem(one_of(self, "set", 2), self.name()),
        }
    }

    /// A name of a field or member.
    fn name(&mut self) -> Bytes {
        format!("name-{}", self.below(20)).into()
    }

    fn short(&mut self) -> Bytes {
        format!("{:x}", self.below(u64::MAX)).into()
    }

    /// A value that is unlike others, of any length.
    fn value(&mut self) -> Bytes {
        let longest = if self.below(10) == 0 { LONGEST } else { 100 };
        let length = self.below(longest);
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}
