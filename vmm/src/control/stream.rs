//! Streams of newline-delimited JSON from the journal, and files, at the reader's own pace.
//!
//! A stream remembers only how far it has read. It makes its next batch when the reader has taken
//! the last one, so a reader that stands still costs a few batches of memory and no more.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::journal::Journal;

/// Records in a batch. With lines of 4 KiB, and escapes at six bytes for one, at most 1.5 MiB.
const BATCH: usize = 64;

/// What can be streamed.
pub(super) trait Source: Send + 'static {
    /// Records after `seq`, as lines of JSON, and the last one's number; empty if there are none.
    fn batch(&self, journal: &Journal, seq: u64) -> (Vec<u8>, u64);
    /// Tells of new records.
    fn watch(&self, journal: &Journal) -> watch::Receiver<u64>;
}

/// Log lines of a domain, or of all.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) domain: Option<String>,
}

impl Source for Lines {
    fn batch(&self, journal: &Journal, seq: u64) -> (Vec<u8>, u64) {
        let lines = journal.lines_since(seq, self.domain.as_deref(), BATCH);
        let last = lines.last().map_or(seq, |line| line.seq);
        (json_lines(lines.iter().map(AsRef::as_ref)), last)
    }

    fn watch(&self, journal: &Journal) -> watch::Receiver<u64> {
        journal.watch_lines()
    }
}

/// All events.
#[derive(Debug)]
pub(super) struct Events;

impl Source for Events {
    fn batch(&self, journal: &Journal, seq: u64) -> (Vec<u8>, u64) {
        let events = journal.events_since(seq, BATCH);
        let last = events.last().map_or(seq, |event| event.seq);
        (json_lines(events.iter().map(AsRef::as_ref)), last)
    }

    fn watch(&self, journal: &Journal) -> watch::Receiver<u64> {
        journal.watch_events()
    }
}

fn json_lines<'a, T: Serialize + 'a>(records: impl Iterator<Item = &'a T>) -> Vec<u8> {
    let mut text = Vec::new();
    for record in records {
        // Writing to memory cannot fail, and neither can these types.
        if serde_json::to_writer(&mut text, record).is_ok() {
            text.push(b'\n');
        }
    }
    text
}

/// The leave to stream, and what is needed for it.
#[derive(Debug)]
pub(super) struct Stream {
    journal: Arc<Journal>,
    stopping: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(
        journal: Arc<Journal>,
        stopping: watch::Receiver<bool>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { journal, stopping, permit }
    }

    /// An answer whose body is the records after `since`, and with `follow` all later ones.
    pub(super) fn respond(self, source: impl Source, since: u64, follow: bool) -> Response {
        let (batches, reader) = mpsc::channel(1);
        tokio::spawn(self.feed(source, since, follow, batches));
        let body = Body::new(Batches(reader));
        ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
    }

    /// Feeds the reader until it has all, has gone, or the server stops.
    async fn feed(
        mut self,
        source: impl Source,
        mut seq: u64,
        follow: bool,
        batches: mpsc::Sender<Bytes>,
    ) {
        let mut news = source.watch(&self.journal);
        loop {
            // Both are looked at before the last drain, so what came before a stop is delivered.
            let stopping = *self.stopping.borrow();
            news.borrow_and_update();
            while let (text, last) = source.batch(&self.journal, seq)
                && last > seq
            {
                seq = last;
                if batches.send(text.into()).await.is_err() {
                    return;
                }
            }
            if !follow || stopping {
                break;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { break },
                changed = self.stopping.changed() => if changed.is_err() { break },
                () = batches.closed() => break,
            }
        }
        drop(self.permit);
    }
}

/// Bytes of a file that are handed on at a time.
const PIECE: usize = 1 << 20;

/// An answer whose body is a whole file, in parts that follow each other, at the reader's pace. The leave ends with it, whether the
/// reader took all, has gone, or the server stopped; who got less than the header says knows.
pub(super) fn respond_with_file(
    file: Vec<Vec<u8>>,
    kind: &'static str,
    mut stopping: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) -> Response {
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_LENGTH, file.iter().map(Vec::len).sum::<usize>().into()),
    ];
    let head: [(_, HeaderValue); 2] = head;
    let (pieces, reader) = mpsc::channel(1);
    tokio::spawn(async move {
        for part in file {
            let mut rest = Bytes::from(part);
            while !rest.is_empty() {
                let piece = rest.split_to(PIECE.min(rest.len()));
                tokio::select! {
                    sent = pieces.send(piece) => if sent.is_err() { return },
                    // An error means that the server is gone, which is a stop as well.
                    _ = stopping.wait_for(|stop| *stop) => return,
                }
            }
        }
        drop(permit);
    });
    (head, Body::new(Batches(reader))).into_response()
}

/// A body that ends when its batches do.
struct Batches(mpsc::Receiver<Bytes>);

impl HttpBody for Batches {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|batch| batch.map(|bytes| Ok(Frame::data(bytes))))
    }
}
