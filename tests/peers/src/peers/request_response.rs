//! `iceoryx2`, request-response between two processes that never sleep; messages are copied in and
//! out at both ends.

use std::collections::VecDeque;

use anyhow::{Result, anyhow, bail, ensure};
use iceoryx2::active_request::ActiveRequest;
use iceoryx2::pending_response::PendingResponse;
use iceoryx2::port::client::Client;
use iceoryx2::port::server::Server;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::{BackpressureStrategy, Node, ipc};

use crate::course::{Sink, Source};
use crate::ends::{self, Ends, Meeting};
use crate::payload::Payload;
use crate::peers::iceoryx;
use crate::subjects::{Runner, SIZES, Subject, each, polled, round_trips as trips};
use crate::suites::{Receive, Send, echo, round_trips};
use crate::task::{Role, Task};
use crate::wire::{Case, Cpus, Outcome, Suite, Wait};

/// Requests under way where as many as go through are counted.
const DEPTH: u32 = 16;
/// Sizes of the messages then.
const CALL_SIZES: [usize; 4] = [8, 64, 1 << 10, 64 << 10];

/// The peer.
pub const SUBJECT: Subject =
    Subject { name: "iceoryx2 request-response", cases, runner: Runner::Processes { ends, side } };

fn cases() -> Vec<Case> {
    let calls = Case { depth: DEPTH, ..polled(SUBJECT.name, Suite::Calls) };
    trips(SUBJECT.name, Wait::Polling, Cpus::Two, &SIZES).chain(each(&CALL_SIZES, calls)).collect()
}

fn ends(_: &Case) -> Result<[Ends; 2]> {
    ends::pipes()
}

type Request = ActiveRequest<ipc::Service, [u8], (), [u8], ()>;
type Response = PendingResponse<ipc::Service, [u8], (), [u8], ()>;

fn side(task: &Task) -> Result<Option<Outcome>> {
    let node = iceoryx::node(task)?;
    let mut meeting = Meeting::new()?;
    let outcome = match task.role {
        Role::First => call(Caller::new(&node, task)?, task, &mut meeting).map(Some)?,
        Role::Second => serve(Callee::new(&node, task)?, task, &mut meeting).map(|()| None)?,
    };
    Ok(outcome)
}

fn call(mut caller: Caller, task: &Task, meeting: &mut Meeting) -> Result<Outcome> {
    meeting.meet()?;
    caller
        .client
        .update_connections()
        .map_err(|error| anyhow!("cannot connect to the server: {error}"))?;
    meeting.meet()?;
    meeting.meet()?;
    let outcome = match task.case.suite {
        Suite::RoundTrip => round_trips(&mut caller, task.budget())?,
        _ => pipeline(&mut caller, task)?,
    };
    meeting.meet()?;
    Ok(outcome)
}

fn serve(mut callee: Callee, task: &Task, meeting: &mut Meeting) -> Result<()> {
    meeting.meet()?;
    meeting.meet()?;
    // Requests that do not fit are dropped until the server has looked for them once.
    ensure!(!callee.try_receive()?, "a request came before the first was sent");
    meeting.meet()?;
    match task.case.suite {
        Suite::RoundTrip => echo(&mut callee)?,
        _ => answer(&mut callee)?,
    }
    // Responses that have not been received yet go with the server.
    meeting.meet()
}

/// Keeps as many requests under way as the case says.
fn pipeline(caller: &mut Caller, task: &Task) -> Result<Outcome> {
    let mut words = Source::new(task.budget(), task.case.size);
    let mut sink = Sink::new();
    loop {
        while caller.pending.len() < task.case.depth as usize {
            let Some(word) = words.next() else { break };
            caller.send(word)?;
        }
        if let Some(outcome) = sink.take(caller.receive()?)?.outcome() {
            return Ok(outcome);
        }
    }
}

/// Answers each request with what it carries.
fn answer(callee: &mut Callee) -> Result<()> {
    let mut sink = Sink::new();
    loop {
        let word = callee.receive()?;
        callee.send(word)?;
        if sink.take(word)?.outcome().is_some() {
            return Ok(());
        }
    }
}

/// A service with one port at each end, which loses nothing.
macro_rules! service {
    ($node:expr, $task:expr) => {
        $node
            .service_builder(&iceoryx::service("calls")?)
            .request_response::<[u8], [u8]>()
            .request_payload_alignment(iceoryx::alignment()?)
            .response_payload_alignment(iceoryx::alignment()?)
            .max_clients(1)
            .max_servers(1)
            .max_active_requests_per_client($task.case.depth as usize)
            .max_loaned_requests(1)
            .max_response_buffer_size(1)
            .enable_safe_overflow_for_requests(false)
            .enable_safe_overflow_for_responses(false)
            .open_or_create()
            .map_err(|error| anyhow!("cannot open the service: {error}"))?
    };
}

/// The side that asks. Its responses come in the order of its requests.
#[derive(Debug)]
struct Caller {
    client: Client<ipc::Service, [u8], (), [u8], ()>,
    pending: VecDeque<Response>,
    payload: Payload,
}

impl Caller {
    fn new(node: &Node<ipc::Service>, task: &Task) -> Result<Self> {
        let client = service!(node, task)
            .client_builder()
            .initial_max_slice_len(task.case.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(|error| anyhow!("cannot make a client: {error}"))?;
        Ok(Self { client, pending: VecDeque::new(), payload: Payload::new(task.case.size)? })
    }
}

impl Send for Caller {
    fn send(&mut self, word: u64) -> Result<()> {
        self.payload.stamp(word);
        let request = self
            .client
            .loan_slice_uninit(self.payload.len())
            .map_err(|error| anyhow!("cannot get room for a request: {error}"))?
            .write_from_slice(&self.payload);
        let pending = request.send().map_err(|error| anyhow!("cannot send a request: {error}"))?;
        ensure!(pending.number_of_server_connections() == 1, "request {word:#x} reached nobody");
        self.pending.push_back(pending);
        Ok(())
    }
}

impl Receive for Caller {
    fn receive(&mut self) -> Result<u64> {
        let Some(pending) = self.pending.pop_front() else { bail!("no request is under way") };
        loop {
            let response =
                pending.receive().map_err(|error| anyhow!("cannot receive a response: {error}"))?;
            if let Some(response) = response {
                take(&mut self.payload, response.payload())?;
                return self.payload.word();
            }
        }
    }
}

/// The side that answers, and the request that it has to answer next.
#[derive(Debug)]
struct Callee {
    server: Server<ipc::Service, [u8], (), [u8], ()>,
    request: Option<Request>,
    payload: Payload,
}

impl Callee {
    fn new(node: &Node<ipc::Service>, task: &Task) -> Result<Self> {
        let server = service!(node, task)
            .server_builder()
            .initial_max_slice_len(task.case.size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(|error| anyhow!("cannot make a server: {error}"))?;
        Ok(Self { server, request: None, payload: Payload::new(task.case.size)? })
    }

    #[inline]
    fn try_receive(&mut self) -> Result<bool> {
        let request =
            self.server.receive().map_err(|error| anyhow!("cannot receive a request: {error}"))?;
        let Some(request) = request else { return Ok(false) };
        take(&mut self.payload, request.payload())?;
        self.request = Some(request);
        Ok(true)
    }
}

impl Receive for Callee {
    fn receive(&mut self) -> Result<u64> {
        while !self.try_receive()? {}
        self.payload.word()
    }
}

impl Send for Callee {
    fn send(&mut self, word: u64) -> Result<()> {
        let Some(request) = self.request.take() else { bail!("no request is to be answered") };
        self.payload.stamp(word);
        let response = request
            .loan_slice_uninit(self.payload.len())
            .map_err(|error| anyhow!("cannot get room for a response: {error}"))?
            .write_from_slice(&self.payload);
        response.send().map_err(|error| anyhow!("cannot send a response: {error}"))
    }
}

/// Copies a message out.
#[inline]
fn take(payload: &mut Payload, message: &[u8]) -> Result<()> {
    ensure!(message.len() == payload.len(), "a message of {} B came", message.len());
    payload.copy_from_slice(message);
    Ok(())
}
