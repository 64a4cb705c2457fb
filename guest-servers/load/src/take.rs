//! Takes load: answers what is to be answered, checks and counts the rest, crashes if it is told to.

use alloc::vec;

use atoll::{Message, Port, Status};
use atoll_ipc::load::work;

use crate::crash;
use crate::dirt::Dirt;

/// Longest message that is copied out: 1 MiB, and what a batch may add.
const LONGEST: usize = 2 << 20;

/// What was taken since it was last asked for.
#[derive(Default)]
struct Taken {
    count: u64,
    next: u64,
    wrong: bool,
}

impl Taken {
    /// A record of messages that begins with the number of its first one.
    fn record(&mut self, first: u64, messages: u64) {
        self.wrong |= first != self.next;
        self.next = first.wrapping_add(messages);
        self.count += messages;
    }

    fn told(&mut self) -> [u8; 8] {
        let taken = core::mem::take(self);
        if taken.wrong { u64::MAX } else { taken.count }.to_le_bytes()
    }
}

pub(crate) fn serve(port: Port) -> ! {
    let mut taken = Taken::default();
    let mut buffer = vec![0; LONGEST];
    let mut dirt = Dirt::default();
    loop {
        let message = port.receive();
        match message.operation() {
            work::ECHO => echo(message, &mut buffer),
            work::SINK => sink(message, &mut taken, &mut buffer),
            work::SINK_LENT => sink_lent(message, &mut taken),
            work::COUNT => message.reply(&taken.told()),
            work::CRASH => crash(message),
            work::DIRTY => dirty(message, &mut dirt),
            _ => message.fail(Status::Unknown),
        }
    }
}

#[inline]
fn echo(message: Message, buffer: &mut [u8]) {
    let Some(payload) = buffer.get_mut(..message.len()) else {
        return message.fail(Status::Malformed);
    };
    message.read(0, payload);
    message.reply(payload);
}

/// The number of messages in the record stands behind the first one's number, where there is room.
#[inline]
fn sink(message: Message, taken: &mut Taken, buffer: &mut [u8]) {
    let Some(payload) = buffer.get_mut(..message.len()) else {
        return message.fail(Status::Malformed);
    };
    message.read(0, payload);
    if let Some((first, rest)) = payload.split_first_chunk() {
        let messages = rest.first_chunk().map_or(1, |count| u64::from_le_bytes(*count));
        taken.record(u64::from_le_bytes(*first), messages);
    }
}

#[inline]
fn sink_lent(message: Message, taken: &mut Taken) {
    let mut first = [0; 8];
    message.read_buffer(0, &mut first);
    taken.record(u64::from_le_bytes(first), 1);
}

/// Does not return, unless the message names no fault.
fn crash(message: Message) {
    let mut kind = [0];
    if message.len() == kind.len() {
        message.read(0, &mut kind);
        crash::by_number(kind[0]);
    }
    message.fail(Status::Malformed);
}

fn dirty(message: Message, dirt: &mut Dirt) {
    let mut bytes = [0; 4];
    if message.len() != bytes.len() {
        return message.fail(Status::Malformed);
    }
    message.read(0, &mut bytes);
    if dirt.add(u32::from_le_bytes(bytes) as usize) {
        message.reply(&[]);
    } else {
        message.fail(Status::Exhausted);
    }
}
