//! A connection's requests: each has a number, and from that follows what its reply must be.
//!
//! ```text
//!   SET key:7:3 …41     GET key:7:3     INCR count:7     ECHO …44
//! ```
//!
//! by turns. A value and what is echoed say which request they belong to, so a reply that is another
//! request's is told from the right one; and a counter tells a command that was carried out twice,
//! or not at all, from one that was carried out once. A server that restarts forgets everything, and
//! says so only to those whose requests it had in service; so it is counted how often it forgets.

use std::collections::VecDeque;
use std::io::Write;

use super::reply::Reply;
use super::tally::Fate;

/// Keys of a connection.
const KEYS: u64 = 16;
/// What a reply begins with that says that its request died with a server.
const RESTARTED: &[u8] = b"RESTARTED";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Get,
    Count,
    Echo,
}

/// A request without a reply so far.
#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    kind: Kind,
    key: usize,
}

/// What a connection has asked, and what it knows of its keys.
#[derive(Debug)]
pub(super) struct Book {
    connection: u64,
    next: u64,
    waiting: VecDeque<Asked>,
    /// Which request stored what lies there.
    stored: [Option<u64>; KEYS as usize],
    counter: i64,
    forgotten: u64,
}

impl Book {
    /// An empty one, of a connection with a number that no other has.
    pub(super) fn new(connection: u64) -> Self {
        Self {
            connection,
            next: 0,
            waiting: VecDeque::new(),
            stored: [None; KEYS as usize],
            counter: 0,
            forgotten: 0,
        }
    }

    /// How often the server had forgotten what it had counted, and had not said that it restarted.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Requests without a reply.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes the next request.
    pub(super) fn ask(&mut self, bytes: &mut Vec<u8>) {
        let number = self.next;
        self.next += 1;
        let kind = [Kind::Set, Kind::Get, Kind::Count, Kind::Echo][(number % 4) as usize];
        let key = (number / 4 % KEYS) as usize;
        let connection = self.connection;
        let name = format!("key:{connection}:{key}");
        match kind {
            Kind::Set => command(bytes, &["SET", &name, &self.value(number)]),
            Kind::Get => command(bytes, &["GET", &name]),
            Kind::Count => command(bytes, &["INCR", &format!("count:{connection}")]),
            Kind::Echo => command(bytes, &["ECHO", &self.value(number)]),
        }
        self.waiting.push_back(Asked { number, kind, key });
    }

    /// What a reply is worth: that of the oldest request without one.
    pub(super) fn judge(&mut self, reply: Reply<'_>) -> Fate {
        let Some(Asked { number, kind, key }) = self.waiting.pop_front() else {
            return Fate::Doubled;
        };
        match (kind, reply) {
            (_, Reply::Error(words)) if words.starts_with(RESTARTED) => {
                // Whoever says so has nothing of what was before.
                (self.stored, self.counter) = ([None; KEYS as usize], 0);
                Fate::Restarted
            }
            (Kind::Set, Reply::Status(b"OK")) => {
                self.stored[key] = Some(number);
                Fate::Good
            }
            (Kind::Get, Reply::Value(None)) => {
                self.stored[key] = None;
                Fate::Good
            }
            (Kind::Get, Reply::Value(Some(value))) if self.is_stored(key, value) => Fate::Good,
            (Kind::Count, Reply::Number(count)) => self.counted(count),
            (Kind::Echo, Reply::Value(Some(value))) => match self.number_in(value) {
                Some(other) if other == number => Fate::Good,
                Some(other) if other < number => Fate::Doubled,
                Some(_) => Fate::Lost,
                None => Fate::Wrong,
            },
            _ => Fate::Wrong,
        }
    }

    fn counted(&mut self, count: i64) -> Fate {
        let before = std::mem::replace(&mut self.counter, count);
        match count {
            1 => {
                self.forgotten += u64::from(before > 0);
                Fate::Good
            }
            _ if count == before + 1 => Fate::Good,
            _ if count > before => Fate::Doubled,
            _ => Fate::Lost,
        }
    }

    fn value(&self, number: u64) -> String {
        format!("{:012}:{number:019}", self.connection)
    }

    fn number_in(&self, value: &[u8]) -> Option<u64> {
        let (connection, number) = str::from_utf8(value).ok()?.split_once(':')?;
        let is_ours = connection.parse() == Ok(self.connection);
        number.parse().ok().filter(|_| is_ours)
    }

    fn is_stored(&self, key: usize, value: &[u8]) -> bool {
        self.stored[key].is_some_and(|number| self.number_in(value) == Some(number))
    }
}

fn command(bytes: &mut Vec<u8>, words: &[&str]) {
    // Writing to a vector cannot fail.
    let _ = write!(bytes, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(bytes, "${}\r\n{word}\r\n", word.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: Reply<'static> = Reply::Error(b"RESTARTED it may be");
    const OK: Reply<'static> = Reply::Status(b"OK");

    fn asked(count: usize) -> Book {
        let (mut book, mut bytes) = (Book::new(7), Vec::new());
        (0..count).for_each(|_| book.ask(&mut bytes));
        book
    }

    fn value(number: u64) -> Vec<u8> {
        Book::new(7).value(number).into_bytes()
    }

    #[test]
    fn requests_are_what_a_server_reads() {
        let (mut book, mut bytes) = (Book::new(7), Vec::new());
        (0..4).for_each(|_| book.ask(&mut bytes));
        let expected = "*3\r\n$3\r\nSET\r\n$7\r\nkey:7:0\r\n$32\r\n000000000007:0000000000000000000\r\n\
             *2\r\n$3\r\nGET\r\n$7\r\nkey:7:0\r\n*2\r\n$4\r\nINCR\r\n$7\r\ncount:7\r\n\
             *2\r\n$4\r\nECHO\r\n$32\r\n000000000007:0000000000000000003\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        assert_eq!(book.waiting(), 4);
    }

    #[test]
    fn what_belongs_to_its_request_is_good() {
        let mut book = asked(4);
        let replies =
            [OK, Reply::Value(Some(&value(0))), Reply::Number(1), Reply::Value(Some(&value(3)))]
                .map(|reply| book.judge(reply));
        assert_eq!(replies, [Fate::Good; 4]);
        assert_eq!(book.waiting(), 0);
    }

    #[test]
    fn a_server_that_restarted_knows_nothing() {
        let mut book = asked(8);
        let fates = [OK, GONE, GONE, GONE, OK, Reply::Value(None), Reply::Number(1)]
            .map(|reply| book.judge(reply));
        use Fate::{Good, Restarted};
        assert_eq!(fates, [Good, Restarted, Restarted, Restarted, Good, Good, Good]);
        let mut book = asked(2);
        assert_eq!(book.judge(GONE), Restarted);
        let stale = Reply::Value(Some(&value(0)));
        assert_eq!(book.judge(stale), Fate::Wrong, "it was set in an incarnation that is dead");
    }

    #[test]
    fn a_command_that_was_carried_out_twice_or_never_is_found_by_its_count() {
        let counts = |counts: &[i64]| {
            let mut book = asked(4 * counts.len());
            let mut fates = Vec::new();
            for &count in counts {
                for reply in [OK, Reply::Value(None)] {
                    book.judge(reply);
                }
                fates.push(book.judge(Reply::Number(count)));
                book.judge(OK);
            }
            fates
        };
        use Fate::{Doubled, Good, Lost};
        assert_eq!(counts(&[1, 2, 1, 2]), [Good; 4]);
        assert_eq!(counts(&[1, 2, 1, 1, 2]), [Good; 5]);
        assert_eq!(counts(&[1, 3]), [Good, Doubled]);
        assert_eq!(counts(&[1, 2, 2]), [Good, Good, Lost]);
    }

    #[test]
    fn it_is_known_how_often_a_server_forgets() {
        let mut book = asked(24);
        for counter in [Some(1), Some(2), Some(1), None, Some(1), Some(2)] {
            [OK, Reply::Value(None)].into_iter().for_each(|reply| _ = book.judge(reply));
            _ = book.judge(counter.map_or(GONE, Reply::Number));
            _ = book.judge(OK);
        }
        assert_eq!(book.forgotten(), 1, "and once it said so");
    }

    #[test]
    fn a_reply_to_another_request_is_told_by_its_number() {
        let fate = |number| {
            let mut book = asked(8);
            (0..7).for_each(|_| _ = book.judge(GONE));
            book.judge(Reply::Value(Some(&value(number))))
        };
        assert_eq!([3, 7, 11].map(fate), [Fate::Doubled, Fate::Good, Fate::Lost]);
    }

    #[test]
    fn a_reply_too_many_is_one_and_nonsense_is_wrong() {
        let mut book = asked(1);
        assert_eq!(book.judge(Reply::Error(b"ERR what?")), Fate::Wrong);
        assert_eq!(book.judge(OK), Fate::Doubled);
    }
}
