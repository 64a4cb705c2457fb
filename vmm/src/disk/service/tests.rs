use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use atoll_ipc::calls::{Calls, Outcome as Ended};
use atoll_ipc::channel::{Layout, Role};
use atoll_ipc::client::{Client, Ticket};
use atoll_ipc::record::RequestKind;

use super::super::fake::{Done, Fake};
use super::super::file::Shape;
use super::*;
use crate::domain::new_event;
use crate::ipc::Spin;

const SHAPE: Shape = Shape { size: 8 << 20, block: 512, most: 1 << 20, fresh: 0, read_only: false };

/// A service, its medium, and a client.
struct Bench {
    memory: ChannelMemory,
    medium: Fake,
    wake: Arc<EventFd>,
    stop: Arc<AtomicBool>,
    figures: Arc<Shared>,
    service: Option<Service<Fake>>,
    calls: Calls<ChannelMemory>,
}

/// How a call ended: its status, its payload, and the buffer that came with it.
type Answer = Result<(Status, Vec<u8>, Option<Vec<u8>>), IpcError>;

fn done(outcome: Outcome) -> Answer {
    Ok((Status::Ok, outcome.to_bytes().to_vec(), None))
}

fn refused(status: Status) -> Answer {
    Ok((status, Vec::new(), None))
}

fn extent(offset: u64, length: u64, flags: u64) -> Vec<u8> {
    Extent { offset, length, flags }.to_bytes().to_vec()
}

impl Bench {
    fn new() -> Self {
        let memory = ChannelMemory::new(Layout::DEFAULT).unwrap();
        let (wake, stop) = (Arc::new(new_event().unwrap()), Arc::new(AtomicBool::new(false)));
        let (medium, figures) = (Fake::default(), Arc::new(Shared::default()));
        let end = End {
            name: atoll_ipc::abi::Name::new("disk"),
            interface: super::super::INTERFACE,
            memory: memory.clone(),
            peer: Arc::new(new_event().unwrap()),
            waiter: Waiter::new(wake.clone(), Spin::For(Duration::ZERO)),
        };
        let presence = Presence::new(Arc::new(SharedPage::new().unwrap()));
        let volume = Volume::new(String::new(), medium.clone(), SHAPE, [].iter());
        let service = Service::new(end, presence, volume, figures.clone(), stop.clone());
        let calls = Calls::new(Client::attach(memory.clone()));
        let service = Some(service);
        Self { memory, medium, wake, stop, figures, service, calls }
    }

    fn service(&mut self) -> &mut Service<Fake> {
        self.service.as_mut().unwrap()
    }

    /// Serves everything that waits.
    fn pump(&mut self) {
        while self.service().step() {}
    }

    fn kick(&self) {
        if self.calls.client().must_kick() {
            signal(&self.wake);
        }
    }

    fn try_start(&mut self, op: Op, payload: &[u8]) -> Result<Ticket, IpcError> {
        let fill = |request: &mut atoll_ipc::ring::Reservation<'_, _>| request.write(0, payload);
        let started = self.calls.start(op as u16, payload.len(), fill);
        self.kick();
        started
    }

    /// Starts a call. A client that has restarted has no room before the service has heard of it.
    fn start(&mut self, op: Op, payload: &[u8]) -> Ticket {
        let mut is_last = false;
        loop {
            match (self.try_start(op, payload), &mut self.service) {
                (Ok(ticket), _) => return ticket,
                (Err(error), Some(_)) if is_last => panic!("it stays {error:?}"),
                (Err(_), Some(service)) => is_last = !service.step(),
                (Err(_), None) => thread::yield_now(),
            }
        }
    }

    fn start_lent(&mut self, op: Op, payload: &[u8], bytes: &[u8]) -> Ticket {
        let loan = self.calls.client_mut().lend(bytes.len()).unwrap();
        self.calls.client().fill(&loan, 0, bytes);
        let ticket = self.calls.start_lent(op as u16, loan, payload).unwrap();
        self.kick();
        ticket
    }

    fn start_write(&mut self, offset: u64, bytes: &[u8], flags: u64) -> Ticket {
        let payload = extent(offset, bytes.len() as u64, flags);
        self.start_lent(Op::Write, &payload, bytes)
    }

    fn poll(&mut self, ticket: Ticket) -> Option<Answer> {
        let ended = match self.calls.outcome(ticket) {
            Ok(ended) => ended?,
            Err(error) => return Some(Err(error)),
        };
        let answer = match ended {
            Ended::Short(status, short) => (status, short.bytes().to_vec(), None),
            Ended::Kept(kept) => (kept.status, kept.payload.into(), kept.lent.map(Vec::from)),
            Ended::Reply(reply) => {
                let client = self.calls.client_mut();
                let mut payload = vec![0; reply.len()];
                client.read(&reply, 0, &mut payload);
                let lent = reply.lent.map(|span| {
                    let mut bytes = vec![0; span.len()];
                    client.read_lent(&reply, 0, &mut bytes).unwrap();
                    bytes
                });
                let status = reply.status;
                client.release(reply);
                (status, payload, lent)
            }
        };
        self.kick();
        Some(Ok(answer))
    }

    fn answer(&mut self, ticket: Ticket) -> Answer {
        self.pump();
        self.poll(ticket).expect("everything that waited was served")
    }

    fn call(&mut self, op: Op, payload: &[u8]) -> Answer {
        let ticket = self.start(op, payload);
        self.answer(ticket)
    }

    fn write(&mut self, offset: u64, bytes: &[u8], flags: u64) -> Answer {
        let ticket = self.start_write(offset, bytes, flags);
        self.answer(ticket)
    }

    fn read(&mut self, offset: u64, length: u64) -> Answer {
        self.call(Op::Read, &extent(offset, length, 0))
    }

    /// The client's next incarnation.
    fn restart(&mut self, epoch: u32) {
        self.memory.restart(Role::Client, epoch, None);
        signal(&self.wake);
        self.calls = Calls::new(Client::attach(self.memory.clone()));
    }
}

#[test]
fn a_disk_is_described_written_and_read() {
    let mut bench = Bench::new();
    let wanted = Description { size: 8 << 20, block: 512, most: 1 << 20, fresh: 0 };
    assert_eq!(bench.call(Op::Describe, &[]), Ok((Status::Ok, wanted.to_bytes().to_vec(), None)));
    let bytes: Vec<u8> = (0..4096_u32).map(|n| (n / 16) as u8).collect();
    assert_eq!(bench.write(512, &bytes, 0), done(Outcome::Done));
    let Ok((Status::Ok, outcome, Some(found))) = bench.read(0, 5120) else { panic!("no bytes") };
    assert_eq!(outcome, Outcome::Done.to_bytes());
    assert_eq!(found, [&[0; 512], &bytes[..], &[0; 512]].concat());
    assert_eq!(bench.call(Op::Discard, &extent(512, 4096, 0)), done(Outcome::Done));
    let Ok((_, _, Some(found))) = bench.read(0, 5120) else { panic!("no bytes") };
    assert_eq!(found, [0; 5120]);
    let figures = bench.figures.lock();
    assert_eq!((figures.writes, figures.reads, figures.discards), (1, 2, 1));
    assert_eq!((figures.written_bytes, figures.read_bytes, figures.syncs), (4096, 10240, 0));
}

#[test]
fn the_longest_request_is_a_mebibyte_here() {
    let mut bench = Bench::new();
    let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| (n >> 10) as u8).collect();
    assert_eq!(bench.write(1 << 20, &bytes, Extent::DURABLE), done(Outcome::Done));
    let Ok((_, _, Some(found))) = bench.read(1 << 20, 1 << 20) else { panic!("no bytes") };
    assert!(found == bytes);
    assert_eq!(bench.read(0, (1 << 20) + 512), refused(Status::Malformed));
}

#[test]
fn writes_that_wait_together_are_made_durable_at_once_and_in_their_order() {
    let mut bench = Bench::new();
    let durable = Extent::DURABLE;
    let mut tickets: Vec<_> =
        (0..5).map(|n| bench.start_write(n * 512, &[n as u8; 512], durable)).collect();
    tickets.push(bench.start_write(0, &[9; 512], 0));
    tickets.push(bench.start(Op::Flush, &[]));
    for ticket in tickets {
        assert_eq!(bench.answer(ticket), done(Outcome::Done));
    }
    let mut wanted: Vec<_> = (0..5).map(|n| Done::Write(n * 512, 512)).collect();
    wanted.extend([Done::Write(0, 512), Done::Sync]);
    assert_eq!(bench.medium.log(), wanted);
    let figures = bench.figures.lock();
    assert_eq!((figures.syncs, figures.synced, figures.largest_batch), (1, 6, 6));
}

#[test]
fn nothing_durable_is_answered_before_it_is() {
    let mut bench = Bench::new();
    let ticket = bench.start_write(0, &[1; 512], Extent::DURABLE);
    assert!(bench.service().step());
    assert_eq!(bench.medium.log(), [Done::Write(0, 512)]);
    assert_eq!(bench.poll(ticket), None);
    assert!(bench.service().step());
    assert_eq!(bench.medium.log(), [Done::Sync]);
    assert_eq!(bench.poll(ticket), Some(done(Outcome::Done)));
}

#[test]
fn whoever_goes_on_writing_does_not_hold_up_what_is_to_be_durable() {
    let mut bench = Bench::new();
    let ticket = bench.start_write(0, &[1; 512], Extent::DURABLE);
    let mut next = bench.start(Op::Read, &extent(0, 512, 0));
    for _ in 0..2 * BATCH {
        // There is always one more to be served.
        let oldest = std::mem::replace(&mut next, bench.start(Op::Read, &extent(0, 512, 0)));
        while bench.poll(oldest).is_none() {
            assert!(bench.service().step());
        }
        if let Some(answer) = bench.poll(ticket) {
            return assert_eq!(answer, done(Outcome::Done));
        }
    }
    panic!("it waits for ever");
}

#[test]
fn a_failure_to_make_durable_is_told_to_all_that_waited_and_all_that_come() {
    let mut bench = Bench::new();
    let tickets = [0, 512].map(|at| bench.start_write(at, &[1; 512], Extent::DURABLE));
    bench.service().step();
    bench.service().step();
    bench.medium.with(|state| state.errors = vec![libc::EIO]);
    for ticket in tickets {
        assert_eq!(bench.answer(ticket), done(Outcome::Failed));
    }
    assert_eq!(bench.write(0, &[1; 512], Extent::DURABLE), done(Outcome::Failed));
    assert_eq!(bench.call(Op::Flush, &[]), done(Outcome::Failed));
    assert_eq!(bench.write(0, &[1; 512], 0), done(Outcome::Done));
    let figures = bench.figures.lock();
    assert!(figures.is_lost && figures.failed == 4, "{figures:?}");
}

#[test]
fn what_is_malformed_is_refused_and_touches_nothing() {
    let mut bench = Bench::new();
    let malformed = || refused(Status::Malformed);
    for (offset, length) in [
        (0, 0),
        (1, 512),
        (0, 100),
        (8 << 20, 512),
        ((8 << 20) - 512, 1024),
        (u64::MAX - 511, 512),
        (0, 8 << 20),
        (0, u64::MAX - 511),
    ] {
        assert_eq!(bench.read(offset, length), malformed(), "{offset} {length}");
        let payload = extent(offset, length, 0);
        let ticket = bench.start_lent(Op::Write, &payload, &[1; 512]);
        let fits = length == 512 && offset == 0;
        assert!(!fits);
        assert_eq!(bench.answer(ticket), malformed(), "{offset} {length}");
        if length != 8 << 20 {
            assert_eq!(bench.call(Op::Discard, &payload), malformed(), "{offset} {length}");
        }
    }
    // Wrong flags, wrong payloads, no buffer or one of another length.
    assert_eq!(bench.write(0, &[1; 512], 2), malformed());
    assert_eq!(bench.call(Op::Read, &extent(0, 512, Extent::DURABLE)), malformed());
    assert_eq!(bench.call(Op::Discard, &extent(0, 512, 1)), malformed());
    assert_eq!(bench.call(Op::Write, &extent(0, 512, 0)), malformed());
    for bytes in [511, 513, 1024, 8] {
        let ticket = bench.start_lent(Op::Write, &extent(0, 512, 0), &vec![1; bytes]);
        assert_eq!(bench.answer(ticket), malformed(), "{bytes}");
    }
    for op in [Op::Read, Op::Write, Op::Discard] {
        for payload in [&[][..], &[0; 23], &[0; 32], &[0; 5000]] {
            assert_eq!(bench.call(op, payload), malformed(), "{op:?}");
        }
    }
    assert_eq!(bench.call(Op::Describe, &[1]), malformed());
    assert_eq!(bench.call(Op::Flush, &[1]), malformed());
    assert_eq!(bench.call(Op::Note, &[b'x'; NOTE_MAX + 1]), malformed());
    let fill = |_: &mut atoll_ipc::ring::Reservation<'_, _>| ();
    let unknown = bench.calls.start(99, 0, fill).unwrap();
    assert_eq!(bench.answer(unknown), refused(Status::Unknown));
    assert_eq!(bench.medium.log(), []);
    assert!(bench.figures.lock().refused > 30);
    // And it serves on.
    assert_eq!(bench.write(0, &[1; 512], 0), done(Outcome::Done));
}

#[test]
fn the_last_note_is_kept_whatever_it_is() {
    let mut bench = Bench::new();
    for (note, kept) in [(&b"log 1\nlive 2"[..], "log 1\nlive 2"), (b"\xffx", "\u{fffd}x")] {
        let fill = |request: &mut atoll_ipc::ring::Reservation<'_, _>| request.write(0, note);
        let client = bench.calls.client_mut();
        client.request(RequestKind::Send, Op::Note as u16, note.len(), fill).unwrap();
        bench.pump();
        assert_eq!(bench.figures.lock().note.as_deref(), Some(kept));
    }
}

#[test]
fn what_a_dead_client_sent_is_settled_before_its_successor_is_heard() {
    let mut bench = Bench::new();
    // Taken and not durable yet; and not even taken.
    bench.start_write(0, &[1; 512], Extent::DURABLE);
    assert!(bench.service().step());
    for n in 1..4 {
        bench.start_write(n * 512, &[1; 512], Extent::DURABLE);
    }
    bench.restart(2);
    // The buffers that the dead one lent are still to be read: nobody may use them for others, nor
    // say anything yet.
    assert_eq!(bench.calls.client_mut().lend(512).unwrap_err(), IpcError::Full);
    assert_eq!(bench.try_start(Op::Describe, &[]), Err(IpcError::Full));
    let ticket = bench.start(Op::Describe, &[]);
    assert_eq!(bench.poll(ticket), None);
    let before = bench.medium.log();
    assert_eq!(before.iter().filter(|done| matches!(done, Done::Write(..))).count(), 4);
    assert!(matches!(bench.answer(ticket), Ok((Status::Ok, ..))));
    let after = bench.medium.log();
    assert!(!after.iter().any(|done| matches!(done, Done::Write(..))), "{after:?}");
    // Its own requests are served as ever.
    assert_eq!(bench.write(0, &[2; 512], Extent::DURABLE), done(Outcome::Done));
    let Ok((_, _, Some(found))) = bench.read(0, 1024) else { panic!("no bytes") };
    assert_eq!(found, [[2; 512], [1; 512]].concat());
}

#[test]
fn a_full_house_of_a_dead_client_makes_place_for_its_successor() {
    let mut bench = Bench::new();
    for n in 0..BATCH as u64 {
        bench.start_write(n * 512, &[1; 512], Extent::DURABLE);
        bench.service().step();
    }
    bench.restart(2);
    let ticket = bench.start(Op::Describe, &[]);
    assert!(matches!(bench.answer(ticket), Ok((Status::Ok, ..))));
    assert_eq!(bench.write(0, &[2; 512], 0), done(Outcome::Done));
}

/// With the service on a thread of its own.
fn threaded(f: impl FnOnce(&mut Bench)) {
    let mut bench = Bench::new();
    let service = bench.service.take().unwrap();
    let (ended, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        service.run();
        ended.send(()).unwrap();
    });
    f(&mut bench);
    bench.stop.store(true, Ordering::Release);
    signal(&bench.wake);
    end.recv_timeout(Duration::from_secs(30)).expect("it ends when it is told to");
    thread.join().unwrap();
}

fn wait(bench: &mut Bench, ticket: Ticket) -> Answer {
    loop {
        if let Some(answer) = bench.poll(ticket) {
            return answer;
        }
        thread::yield_now();
    }
}

#[test]
fn a_client_that_reads_late_is_waited_for() {
    threaded(|bench| {
        // The pool holds two of them at a time.
        let tickets: Vec<_> =
            (0..6).map(|n| bench.start(Op::Read, &extent(n << 20, 1 << 20, 0))).collect();
        for ticket in tickets {
            let Ok((Status::Ok, _, Some(found))) = wait(bench, ticket) else { panic!("no bytes") };
            assert_eq!(found.len(), 1 << 20);
        }
    });
}

#[test]
fn a_client_that_dies_without_reading_holds_nothing_up() {
    threaded(|bench| {
        for n in 0..6 {
            bench.start(Op::Read, &extent(n << 20, 1 << 20, 0));
        }
        bench.restart(2);
        let ticket = bench.start(Op::Read, &extent(0, 512, 0));
        assert!(matches!(wait(bench, ticket), Ok((Status::Ok, _, Some(_)))));
    });
}

#[test]
fn it_ends_though_its_client_never_reads() {
    threaded(|bench| {
        for n in 0..6 {
            bench.start(Op::Read, &extent(n << 20, 1 << 20, 0));
        }
    });
}

#[test]
fn an_orderly_end_makes_everything_durable() {
    let mut log = Vec::new();
    threaded(|bench| {
        let ticket = bench.start_write(0, &[1; 512], 0);
        assert_eq!(wait(bench, ticket), done(Outcome::Done));
        log.push(bench.medium.clone());
    });
    assert_eq!(log[0].log(), [Done::Write(0, 512), Done::Sync]);
}
