//! What is stored: keys with numbers, each with the one value that belongs to it, so that every
//! reply to a GET can be checked.

use std::ops::Range;

/// Keys have this many bytes, as those of redis-benchmark have.
const KEY: usize = 16;
/// Digits of a key: what is left beside `key:`.
const DIGITS: usize = 12;
/// Values are cut out of so many bytes.
const POOL: usize = 64 << 10;

/// Keys and their values.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Content {
    keys: u32,
    size: usize,
    /// What stands between a key and its value.
    length: Vec<u8>,
    pool: Vec<u8>,
}

impl Content {
    /// So many keys, with values of so many bytes.
    pub(in crate::bench) fn new(keys: u32, size: usize) -> Self {
        let mut random = Random::new(1);
        let letter = |_| b'a' + random.below(26) as u8;
        let length = format!("\r\n${size}\r\n").into_bytes();
        Self { keys, size, length, pool: (0..POOL + size).map(letter).collect() }
    }

    /// How many keys there are.
    pub(in crate::bench) const fn keys(&self) -> u32 {
        self.keys
    }

    /// Writes a request that stores the value of a key.
    pub(in crate::bench) fn set(&self, key: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\n");
        to.extend_from_slice(&name(key));
        to.extend_from_slice(&self.length);
        let start = to.len();
        to.extend_from_slice(&self.pool[self.part(key)]);
        let digits = self.size.min(DIGITS);
        to[start..start + digits].copy_from_slice(&name(key)[KEY - digits..]);
        to.extend_from_slice(b"\r\n");
    }

    /// Writes a request that fetches it.
    pub(in crate::bench) fn get(&self, key: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
        to.extend_from_slice(&name(key));
        to.extend_from_slice(b"\r\n");
    }

    /// Whether these bytes are the value of a key.
    pub(in crate::bench) fn is_value(&self, key: u32, bytes: &[u8]) -> bool {
        if bytes.len() != self.size {
            return false;
        }
        let (told, rest) = bytes.split_at(self.size.min(DIGITS));
        *told == name(key)[KEY - told.len()..] && *rest == self.pool[self.part(key)][told.len()..]
    }

    /// Where a key's value begins depends on the key: values differ in more than their digits.
    fn part(&self, key: u32) -> Range<usize> {
        let start = (key as usize).wrapping_mul(31) % POOL;
        start..start + self.size
    }
}

/// `key:000000000042`.
fn name(key: u32) -> [u8; KEY] {
    let mut name = *b"key:000000000000";
    let mut rest = key;
    for digit in name.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name
}

/// Numbers without a pattern that matters here, the same in each run (xorshift).
#[derive(Clone, Debug)]
pub(in crate::bench) struct Random(u64);

impl Random {
    /// Those that follow from a seed.
    pub(in crate::bench) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One below a limit.
    pub(in crate::bench) const fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * limit as u64) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_clients_send_them() {
        let content = Content::new(10, 3);
        let mut bytes = Vec::new();
        content.set(1042, &mut bytes);
        content.get(7, &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let set = "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000001042\r\n$3\r\n042\r\n";
        assert_eq!(text, format!("{set}*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000007\r\n"));
    }

    #[test]
    fn a_value_belongs_to_one_key() {
        for size in [1, 12, 64, 100_000] {
            let content = Content::new(10, size);
            let value = |key| {
                let mut bytes = Vec::new();
                content.set(key, &mut bytes);
                bytes[bytes.len() - 2 - size..bytes.len() - 2].to_vec()
            };
            for key in [0, 3, 65_536, u32::MAX] {
                assert!(content.is_value(key, &value(key)), "{size} {key}");
                assert!(!content.is_value(key, &value(key ^ 1)), "{size} {key}");
            }
            let mut wrong = value(3);
            assert!(!content.is_value(3, &wrong[1..]));
            *wrong.last_mut().unwrap() ^= 1;
            assert!(!content.is_value(3, &wrong));
        }
    }

    #[test]
    fn every_key_has_its_turn() {
        let mut random = Random::new(7);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[random.below(10) as usize] += 1);
        assert!(seen.iter().all(|&count| count > 500), "{seen:?}");
    }
}
