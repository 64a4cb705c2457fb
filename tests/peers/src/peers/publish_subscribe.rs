//! `iceoryx2`, publish-subscribe between two processes that never sleep. Messages are copied in and
//! out, or lent: then their number alone is written and read.

use anyhow::{Result, anyhow, ensure};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::{BackpressureStrategy, Node, ipc};

use crate::ends::{self, Ends, Meeting};
use crate::payload::{Payload, first_word};
use crate::peers::iceoryx;
use crate::subjects::{
    ONE_WAY_SIZES, Runner, SIZES, Subject, each, one_way, polled, round_trips as trips,
};
use crate::suites::{Link, Receive, Send, consume, echo, produce, round_trips};
use crate::task::{Role, Task};
use crate::wire::{Case, Cpus, Outcome, Suite, Wait};

/// Sizes of messages that are lent.
const LENT_SIZES: [usize; 4] = [64, 1 << 10, 64 << 10, 1 << 20];

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "iceoryx2 pub-sub", cases, runner: Runner::Processes { ends, side } };

fn cases() -> Vec<Case> {
    trips(SUBJECT.name, Wait::Polling, Cpus::Two, &SIZES)
        .chain(one_way(SUBJECT.name, Wait::Polling, &ONE_WAY_SIZES))
        .chain(each(&LENT_SIZES, polled(SUBJECT.name, Suite::Lent)))
        .collect()
}

fn ends(_: &Case) -> Result<[Ends; 2]> {
    ends::pipes()
}

fn side(task: &Task) -> Result<Option<Outcome>> {
    let node = iceoryx::node(task)?;
    let (out, home) = match task.role {
        Role::First => ("there", "back"),
        Role::Second => ("back", "there"),
    };
    let lent = task.case.suite == Suite::Lent;
    let mut link = Link(Output::new(&node, out, task, lent)?, Input::new(&node, home, task, lent)?);
    let mut meeting = Meeting::new()?;
    connect(&mut link, &mut meeting)?;
    let outcome = measure(task, &mut link)?;
    // What has not been received yet goes with the port that sent it.
    meeting.meet()?;
    Ok(outcome)
}

fn measure(task: &Task, link: &mut Link<Output, Input>) -> Result<Option<Outcome>> {
    match (task.case.suite, task.role) {
        (Suite::RoundTrip, Role::First) => round_trips(link, task.budget()).map(Some),
        (Suite::RoundTrip, Role::Second) => echo(link).map(|()| None),
        (_, Role::First) => produce(link, task.budget(), task.case.size).map(|()| None),
        (_, Role::Second) => consume(link).map(Some),
    }
}

/// Makes sure that both ports of each service know each other. A publisher drops what does not fit
/// until its subscriber has looked for messages once, whatever its strategy is.
fn connect(link: &mut Link<Output, Input>, meeting: &mut Meeting) -> Result<()> {
    meeting.meet()?;
    let Link(output, input) = link;
    output
        .publisher
        .update_connections()
        .map_err(|error| anyhow!("cannot connect to the subscriber: {error}"))?;
    meeting.meet()?;
    ensure!(input.try_receive()?.is_none(), "a message came before the first was sent");
    meeting.meet()
}

#[derive(Debug)]
struct Output {
    publisher: Publisher<ipc::Service, [u8], ()>,
    payload: Payload,
    lent: bool,
}

#[derive(Debug)]
struct Input {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    payload: Payload,
    lent: bool,
}

/// A service with one port at each end, which loses nothing.
macro_rules! service {
    ($node:expr, $name:expr, $size:expr) => {
        $node
            .service_builder(&iceoryx::service($name)?)
            .publish_subscribe::<[u8]>()
            .payload_alignment(iceoryx::alignment()?)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(iceoryx::depth($size))
            .enable_safe_overflow(false)
            .open_or_create()
            .map_err(|error| anyhow!("cannot open the service {:?}: {error}", $name))?
    };
}

impl Output {
    fn new(node: &Node<ipc::Service>, name: &str, task: &Task, lent: bool) -> Result<Self> {
        let publisher = service!(node, name, task.case.size)
            .publisher_builder()
            .initial_max_slice_len(task.case.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(|error| anyhow!("cannot make a publisher: {error}"))?;
        Ok(Self { publisher, payload: Payload::new(task.case.size)?, lent })
    }
}

impl Send for Output {
    fn send(&mut self, word: u64) -> Result<()> {
        let sample = self
            .publisher
            .loan_slice_uninit(self.payload.len())
            .map_err(|error| anyhow!("cannot get room for a message: {error}"))?;
        let sample = if self.lent {
            let mut sample = sample;
            sample.payload_mut()[..size_of::<u64>()].write_copy_of_slice(&word.to_le_bytes());
            // SAFETY: the room is shared memory, which is all zeroes when it is made and only ever
            // holds bytes of messages: any are good as `u8`, and the receiver reads the number only.
            unsafe { sample.assume_init() }
        } else {
            self.payload.stamp(word);
            sample.write_from_slice(&self.payload)
        };
        let receivers =
            sample.send().map_err(|error| anyhow!("cannot publish a message: {error}"))?;
        ensure!(receivers == 1, "message {word:#x} reached {receivers} subscribers, not one");
        Ok(())
    }
}

impl Input {
    fn new(node: &Node<ipc::Service>, name: &str, task: &Task, lent: bool) -> Result<Self> {
        let subscriber = service!(node, name, task.case.size)
            .subscriber_builder()
            .create()
            .map_err(|error| anyhow!("cannot make a subscriber: {error}"))?;
        Ok(Self { subscriber, payload: Payload::new(task.case.size)?, lent })
    }

    #[inline]
    fn try_receive(&mut self) -> Result<Option<u64>> {
        let sample = self
            .subscriber
            .receive()
            .map_err(|error| anyhow!("cannot receive a message: {error}"))?;
        let Some(sample) = sample else { return Ok(None) };
        let message = sample.payload();
        ensure!(message.len() == self.payload.len(), "a message of {} B came", message.len());
        if self.lent {
            return first_word(message).map(Some);
        }
        self.payload.copy_from_slice(message);
        self.payload.word().map(Some)
    }
}

impl Receive for Input {
    fn receive(&mut self) -> Result<u64> {
        loop {
            if let Some(word) = self.try_receive()? {
                return Ok(word);
            }
        }
    }
}
