//! The connections that load kv: each sends so many requests at a time, and judges every reply.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::book::Book;
use super::reply::Reply;
use super::tally::{Fate, Tally};

/// Longer than any reply takes: one that did not come by then never does.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// Connections of one conversation that may end before it gives up: each end but that of a
/// connection within a request is a fault of the gateway.
const CONNECTIONS_MAX: u32 = 10_000;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Load<'a> {
    socket: &'a Path,
    depth: u32,
    stop: AtomicBool,
    good: AtomicU64,
    connections: AtomicU64,
}

/// A connection at work.
struct Talk {
    stream: UnixStream,
    book: Book,
    /// What has been read and not judged.
    input: Vec<u8>,
    chunk: Box<[u8]>,
    /// When it last got a good reply, and whether it was told of a restart since then.
    last_good: Instant,
    interrupted: bool,
}

impl<'a> Load<'a> {
    pub(super) fn new(socket: &'a Path, depth: u32) -> Self {
        let (stop, good) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { socket, depth, stop, good, connections: AtomicU64::new(0) }
    }

    /// Good replies so far, of all connections.
    pub(super) fn good(&self) -> u64 {
        self.good.load(Relaxed)
    }

    /// Ends all conversations, once all that was asked has its reply.
    pub(super) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Asks until it is told to stop. A connection that ends is followed by another.
    pub(super) fn converse(&self) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..CONNECTIONS_MAX {
            let (waiting, error) = match Talk::begin(self) {
                Ok(mut talk) => {
                    let end = talk.go_on(self, &mut tally);
                    tally.forgotten += talk.book.forgotten();
                    match end {
                        Ok(()) => return tally,
                        Err(error) => (talk.book.waiting() as u64, error),
                    }
                }
                Err(error) => (0, error),
            };
            let fate = fate_at(&error);
            tally.fates.add(fate, waiting);
            tally.example.get_or_insert_with(|| error.to_string());
            if !fate.is_definite() {
                return tally;
            }
        }
        tally
    }
}

/// What has become of requests whose connection failed so.
fn fate_at(error: &io::Error) -> Fate {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Fate::Lost,
        // What follows a reply that is none cannot be told.
        ErrorKind::InvalidData => Fate::Wrong,
        _ => Fate::Closed,
    }
}

impl Talk {
    fn begin(load: &Load<'_>) -> io::Result<Self> {
        let stream = UnixStream::connect(load.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            book: Book::new(load.connections.fetch_add(1, Relaxed)),
            input: Vec::new(),
            chunk: vec![0; CHUNK].into(),
            last_good: Instant::now(),
            interrupted: false,
        })
    }

    fn go_on(&mut self, load: &Load<'_>, tally: &mut Tally) -> io::Result<()> {
        let mut requests = Vec::new();
        while !load.stop.load(Relaxed) {
            requests.clear();
            (0..load.depth).for_each(|_| self.book.ask(&mut requests));
            self.stream.write_all(&requests)?;
            let good = tally.fates.good;
            while self.book.waiting() > 0 {
                self.read()?;
                self.judge(tally)?;
            }
            load.good.fetch_add(tally.fates.good - good, Relaxed);
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        match self.stream.read(&mut self.chunk) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend_from_slice(&self.chunk[..count]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Judges all replies that are there, a reply too many included.
    fn judge(&mut self, tally: &mut Tally) -> io::Result<()> {
        let (now, mut at) = (Instant::now(), 0);
        while let Some((reply, length)) = Reply::first_of(&self.input[at..]) {
            let fate = self.book.judge(reply);
            tally.fates.add(fate, 1);
            if !fate.is_definite() {
                return Err(io::Error::new(ErrorKind::InvalidData, format!("{fate:?}: {reply:?}")));
            }
            at += length;
            if fate == Fate::Good {
                if std::mem::take(&mut self.interrupted) {
                    let gap = now - self.last_good;
                    tally.gaps.push(u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX));
                }
                self.last_good = now;
            } else {
                self.interrupted = true;
            }
        }
        self.input.drain(..at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Fates;
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// What becomes of four requests that get these bytes for an answer, and no more.
    fn answered(bytes: &'static [u8]) -> (Fates, usize) {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("kv");
        let listener = UnixListener::bind(&socket).unwrap();
        let load = Load::new(&socket, 4);
        let tally = thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
                // Whatever comes of these is the end.
                load.stop();
                stream.write_all(bytes).unwrap();
            });
            load.converse()
        });
        assert_eq!(load.good(), if tally.example.is_none() { tally.fates.good } else { 0 });
        (tally.fates, tally.gaps.len())
    }

    #[test]
    fn replies_are_counted_by_what_they_are() {
        let good = b"+OK\r\n$-1\r\n:1\r\n$32\r\n000000000000:0000000000000000003\r\n";
        assert_eq!(answered(good), (Fates { good: 4, ..Fates::default() }, 0));
        let some = b"-RESTARTED\r\n-RESTARTED\r\n:1\r\n$32\r\n000000000000:0000000000000000003\r\n";
        assert_eq!(answered(some), (Fates { good: 2, restarted: 2, ..Fates::default() }, 1));
    }

    #[test]
    fn a_connection_that_ends_is_an_outcome_of_what_waited_on_it() {
        let (fates, _) = answered(b"+OK\r\n");
        assert_eq!(fates, Fates { good: 1, closed: 3, ..Fates::default() });
    }

    #[test]
    fn after_a_reply_that_is_none_nothing_can_be_told() {
        let (fates, _) = answered(b"+OK\r\n$-1\r\n:7\r\n");
        assert_eq!((fates.good, fates.doubled, fates.wrong), (2, 1, 1));
        let (fates, _) =
            answered(b"+OK\r\n$-1\r\n:1\r\n$32\r\n000000000000:0000000000000000003\r\n+OK\r\n");
        assert_eq!((fates.good, fates.doubled), (4, 1));
    }
}
