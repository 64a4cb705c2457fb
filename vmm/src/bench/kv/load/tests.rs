use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use super::super::case::Operation;
use super::*;

/// What answers a request: the whole request in, the whole reply out.
type Answer = fn(&mut HashMap<Vec<u8>, Vec<u8>>, &[&[u8]]) -> Vec<u8>;

/// A server of one thread for each connection, each with values of its own.
fn serve(mut stream: UnixStream, answer: Answer) {
    let (mut values, mut bytes, mut chunk) = (HashMap::new(), Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        while let Some((words, length)) = request(&bytes) {
            let reply = answer(&mut values, &words);
            bytes.drain(..length);
            // One byte at a time, so that no reply comes whole.
            if reply.iter().any(|byte| stream.write_all(&[*byte]).is_err()) {
                return;
            }
        }
    }
}

/// The words of the first request.
fn request(bytes: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let line = |at: usize| {
        let end = at + bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let number = str::from_utf8(&bytes[at + 1..end]).unwrap().parse::<usize>().unwrap();
        Some((number, end + 2))
    };
    let (count, mut at) = line(0)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, start) = line(at)?;
        words.push(bytes.get(start..start + length)?);
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

fn good(values: &mut HashMap<Vec<u8>, Vec<u8>>, words: &[&[u8]]) -> Vec<u8> {
    match words {
        [b"SET", key, value] => {
            values.insert(key.to_vec(), value.to_vec());
            b"+OK\r\n".to_vec()
        }
        [b"GET", key] => {
            // Of what it was never given, it makes up what that must be.
            let content = Content::new(50, 7);
            let key = str::from_utf8(&key[4..]).unwrap().parse().unwrap();
            let mut bytes = Vec::new();
            content.set(key, &mut bytes);
            [&b"$7\r\n"[..], &bytes[bytes.len() - 9..]].concat()
        }
        _ => panic!("{words:?}"),
    }
}

fn with_server<T>(answer: Answer, connections: u32, f: impl FnOnce(&Path) -> T) -> T {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("kv");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                thread::spawn(move || serve(stream, answer));
            }
        });
        f(&socket)
    })
}

fn measured(answer: Answer, operation: Operation) -> Result<Sample, KvError> {
    let content = Content::new(50, 7);
    with_server(answer, 3, |socket| {
        let task = Task { operation, depth: 5 };
        let load = Load { socket, content: &content, connections: 3, task };
        load.measure(Duration::ZERO, Duration::from_millis(50))
    })
}

#[test]
fn what_is_counted_was_timed() {
    for operation in Operation::ALL {
        let sample = measured(good, operation).unwrap();
        assert!(sample.all >= sample.times.len(), "{sample:?}");
        assert!((sample.rate - sample.times.len() as f64 * 20.0).abs() < 1e-6, "{sample:?}");
        assert!(sample.rate > 0.0, "{sample:?}");
    }
}

#[test]
fn a_wrong_reply_is_no_throughput() {
    let refuse: Answer = |_, _| b"-OOM command not allowed\r\n".to_vec();
    let error = measured(refuse, Operation::Set).unwrap_err().to_string();
    assert!(error.starts_with("`OOM command not allowed` to SET of key "), "{error}");
    let forget: Answer = |_, _| b"$-1\r\n".to_vec();
    let error = measured(forget, Operation::Get).unwrap_err().to_string();
    assert!(error.starts_with("`no value` to GET of key "), "{error}");
    let mistake: Answer = |_, _| b"$7\r\nabcdefg\r\n".to_vec();
    assert!(measured(mistake, Operation::Get).is_err());
}

#[test]
fn a_server_that_hangs_up_is_a_failure() {
    let content = Content::new(50, 7);
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("kv");
    let listener = UnixListener::bind(&socket).unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| drop(listener.accept().unwrap()));
        let task = Task { operation: Operation::Set, depth: 1 };
        let load = Load { socket: &socket, content: &content, connections: 1, task };
        load.measure(Duration::ZERO, Duration::from_millis(50)).unwrap_err().to_string()
    });
    assert!(error.starts_with("talking to the server: "), "{error}");
}

#[test]
fn each_key_is_asked_for_once() {
    let content = Content::new(50, 7);
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("kv");
    let listener = UnixListener::bind(&socket).unwrap();
    let keys = thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut keys, mut bytes, mut chunk) = (Vec::new(), Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                bytes.extend_from_slice(&chunk[..count]);
                while let Some((words, length)) = request(&bytes) {
                    keys.push(words[1].to_vec());
                    bytes.drain(..length);
                    stream.write_all(b"+OK\r\n").unwrap();
                }
            }
            keys
        });
        let task = Task { operation: Operation::Set, depth: 7 };
        Load { socket: &socket, content: &content, connections: 1, task }.each().unwrap();
        server.join().unwrap()
    });
    let expected: Vec<_> = (0..50).map(|key| format!("key:{key:012}").into_bytes()).collect();
    assert_eq!(keys, expected);
}

#[test]
fn what_is_not_taken_at_once_is_sent_later() {
    // More than a socket holds.
    let content = Content::new(64, 100 << 10);
    let take: Answer = |_, _| b"+OK\r\n".to_vec();
    with_server(take, 2, |socket| {
        let task = Task { operation: Operation::Set, depth: 16 };
        Load { socket, content: &content, connections: 2, task }.each().unwrap();
    });
}
