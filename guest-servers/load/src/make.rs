//! Makes load, and tells how it went.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use atoll::clock::{Instant, hz};
use atoll::interface::{Bytes, Word};
use atoll::ipc::Pending;
use atoll::{Channel, IpcError, Port, Status};
use atoll_ipc::load::{How, Load, LoadServer, SAMPLES_MAX, Tally, Work, work};
use echo::EchoClient;

/// Messages between two looks at the clock, where they are not timed one by one.
const STRIDE: u64 = 64;
/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn serve(control: Port) -> ! {
    let channel = match Channel::open("peer") {
        Ok(channel) => channel,
        Err(error) => panic!("the manifest gives this load no channel `peer`: {error}"),
    };
    let mut maker = Maker { channel, samples: Vec::with_capacity(SAMPLES_MAX * 4) };
    loop {
        Load::dispatch(&mut maker, control.receive());
    }
}

struct Maker {
    channel: Channel,
    /// Ticks of each round trip, 4 bytes each.
    samples: Vec<u8>,
}

/// How long a stretch of work lasts.
struct Stretch {
    began: Instant,
    ticks: u64,
}

impl Stretch {
    fn of_micros(micros: u64) -> Self {
        Self { began: Instant::now(), ticks: hz() / 1_000_000 * micros }
    }

    fn is_over(&self) -> bool {
        Instant::now().ticks_since(self.began) >= self.ticks
    }
}

/// What a stretch amounted to.
struct Done {
    messages: u64,
    ticks: u64,
}

impl LoadServer for Maker {
    fn run(&mut self, work: Work) -> Result<Tally<'_>, Status> {
        // A fifth goes before, to warm up everything that can be.
        self.stretch(work, u64::from(work.millis) * 200).map_err(status)?;
        self.samples.clear();
        let exits = atoll::exits();
        let done = self.stretch(work, u64::from(work.millis) * 1000).map_err(status)?;
        Ok(Tally {
            messages: done.messages,
            ticks: done.ticks,
            hz: hz(),
            exits: atoll::exits() - exits,
            samples: Bytes(&self.samples),
        })
    }
}

fn status(error: IpcError) -> Status {
    log::error!("the work failed: {error}");
    Status::Exhausted
}

impl Maker {
    fn stretch(&mut self, work: Work, micros: u64) -> Result<Done, IpcError> {
        match work.how {
            How::Typed => self.typed(work, micros),
            How::Raw => self.raw(work, micros),
            How::Calls { depth } => self.calls(work, depth, micros),
            How::Sent => self.sent(work, micros),
            How::Lent => self.lent(work, micros),
        }
    }

    fn typed(&mut self, work: Work, micros: u64) -> Result<Done, IpcError> {
        let mut echo = EchoClient::bind(self.channel).map_err(|error| {
            log::error!("{error}");
            IpcError::NotFound
        })?;
        let payload = vec![7; work.size as usize];
        match work.size {
            0 => self.timed(micros, |_| echo.nothing()),
            8 => self.timed(micros, |number| {
                let word = Word(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                if echo.word(word)? == word { Ok(()) } else { Err(IpcError::Protocol) }
            }),
            _ => self
                .timed(micros, |_| echo.bytes(Bytes(&payload), |reply| same(&reply, &payload))?),
        }
    }

    fn raw(&mut self, work: Work, micros: u64) -> Result<Done, IpcError> {
        let (channel, mut payload) = (self.channel, vec![7; work.size as usize]);
        self.timed(micros, |number| {
            stamp(&mut payload, number);
            let reply = channel.call(work::ECHO, &payload, None)?;
            same(reply.payload(), &payload)
        })
    }

    /// Repeats a round trip, and keeps the time of each.
    fn timed(
        &mut self,
        micros: u64,
        mut round_trip: impl FnMut(u64) -> Result<(), IpcError>,
    ) -> Result<Done, IpcError> {
        let stretch = Stretch::of_micros(micros);
        let mut last = Instant::now();
        let mut messages = 0;
        loop {
            round_trip(messages)?;
            messages += 1;
            let now = Instant::now();
            let ticks = now.ticks_since(last);
            last = now;
            if self.samples.len() < SAMPLES_MAX * 4 {
                let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
                self.samples.extend_from_slice(&ticks.to_le_bytes());
            }
            let all = now.ticks_since(stretch.began);
            if all >= stretch.ticks {
                return Ok(Done { messages, ticks: all });
            }
        }
    }

    fn calls(&mut self, work: Work, depth: u32, micros: u64) -> Result<Done, IpcError> {
        let mut payload = vec![7; work.size as usize];
        let mut pending: VecDeque<(u64, Pending)> = VecDeque::with_capacity(depth as usize);
        let deadline = Some(Instant::now().after(PATIENCE));
        let stretch = Stretch::of_micros(micros);
        let (mut asked, mut answered) = (0, 0);
        loop {
            let over = asked % STRIDE == 0 && stretch.is_over();
            while !over && pending.len() < depth as usize {
                stamp(&mut payload, asked);
                pending
                    .push_back((asked, self.channel.send_message(work::ECHO, &payload, deadline)?));
                asked += 1;
            }
            let Some((number, call)) = pending.pop_front() else { break };
            let reply = call.wait_answer(deadline)?;
            stamp(&mut payload, number);
            same(reply.payload(), &payload)?;
            answered += 1;
            if over {
                while let Some((_, call)) = pending.pop_front() {
                    call.wait_answer(deadline)?;
                    answered += 1;
                }
                break;
            }
        }
        Ok(Done { messages: answered, ticks: Instant::now().ticks_since(stretch.began) })
    }

    fn sent(&mut self, work: Work, micros: u64) -> Result<Done, IpcError> {
        let batch = u64::from(work.batch.max(1));
        let mut payload = vec![7; work.size as usize * batch as usize];
        let channel = self.channel;
        self.one_way(batch, micros, |number| {
            stamp(&mut payload, number);
            if let Some(count) = payload.get_mut(8..16) {
                count.copy_from_slice(&batch.to_le_bytes());
            }
            channel.send(work::SINK, &payload, None)
        })
    }

    fn lent(&mut self, work: Work, micros: u64) -> Result<Done, IpcError> {
        let channel = self.channel;
        self.one_way(1, micros, |number| {
            let mut loan = channel.lend(work.size as usize, None)?;
            loan.write(0, &number.to_le_bytes());
            loan.send(work::SINK_LENT, &[], None)
        })
    }

    /// Repeats sending, until the other side has taken all of it.
    fn one_way(
        &mut self,
        batch: u64,
        micros: u64,
        mut send: impl FnMut(u64) -> Result<(), IpcError>,
    ) -> Result<Done, IpcError> {
        let stretch = Stretch::of_micros(micros);
        let mut messages = 0;
        while !stretch.is_over() {
            for _ in 0..STRIDE {
                send(messages)?;
                messages += batch;
            }
        }
        let taken = self.channel.call(work::COUNT, &[], Some(Instant::now().after(PATIENCE)))?;
        let ticks = Instant::now().ticks_since(stretch.began);
        if taken.payload() != messages.to_le_bytes() {
            log::error!("{messages} messages were sent, {:?} taken in order", taken.payload());
            return Err(IpcError::Protocol);
        }
        Ok(Done { messages, ticks })
    }
}

/// Puts a number at the start, as far as there is room.
#[inline]
fn stamp(payload: &mut [u8], number: u64) {
    if let Some(start) = payload.first_chunk_mut() {
        *start = number.to_le_bytes();
    }
}

/// What came back is what went out, as far as both ends show it.
#[inline]
fn same(reply: &[u8], payload: &[u8]) -> Result<(), IpcError> {
    let ends =
        |bytes: &[u8]| (bytes.len(), bytes.first_chunk::<8>().copied(), bytes.last().copied());
    if ends(reply) == ends(payload) { Ok(()) } else { Err(IpcError::Protocol) }
}
