//! A nucleus that has domains on paper only: it answers the control API as a real one would.

// Each test program uses another part of this.
#![allow(dead_code, reason = "shared by several test programs")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use atoll_vmm::control::api::{
    Aftermath, ChannelReport, ChannelRole, DiskLatency, DiskReport, DomainReport, DomainState,
    DomainStatus, FaultKind, FaultReport, Frame, GatewayReport, Hex, HostKind, Registers,
    StateReport, SystemStatus,
};
use atoll_vmm::control::{
    Claim, ControlHandle, LetterRequest, Operation, Refusal, Request, Server,
};
use atoll_vmm::domain::Origin;
use atoll_vmm::journal::Journal;

/// A served system: `kv` runs, `echo` is paused.
pub struct System {
    pub journal: Arc<Journal>,
    pub socket: PathBuf,
    pub wakes: Arc<AtomicUsize>,
    server: Option<Server>,
    nucleus: Option<JoinHandle<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl System {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_at(dir.path().join("demo.sock"), dir)
    }

    /// Serves at `socket`; `dir` lives as long as the system does.
    pub fn start_at(socket: PathBuf, dir: tempfile::TempDir) -> Self {
        let (requests, inbox) = mpsc::channel();
        let (wakes, journal) = (Arc::new(AtomicUsize::new(0)), Arc::new(Journal::default()));
        let counter = Arc::clone(&wakes);
        let wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let claim = Claim::new(&socket, "demo").unwrap();
        let handle = ControlHandle::new(requests, wake);
        let server = Server::start(claim, handle, Arc::clone(&journal)).unwrap();
        let nucleus = thread::spawn(move || Nucleus::default().run(&inbox));
        let (server, nucleus) = (Some(server), Some(nucleus));
        Self { journal, socket, wakes, server, nucleus, _dir: dir }
    }

    /// Waits until the system was told to stop, stops serving, and returns the orders it got.
    pub fn join(mut self) -> Vec<String> {
        let orders = self.nucleus.take().unwrap().join().unwrap();
        self.server.take().unwrap().stop();
        orders
    }

    /// Stops serving, as at an orderly stop.
    pub fn stop_serving(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// Takes the nucleus away while the API is still served.
    pub fn join_nucleus(&mut self) -> Vec<String> {
        self.nucleus.take().unwrap().join().unwrap()
    }
}

#[derive(Default)]
struct Nucleus {
    orders: Vec<String>,
}

impl Nucleus {
    /// Answers until it is told to stop, or the API has gone.
    fn run(mut self, inbox: &mpsc::Receiver<Request>) -> Vec<String> {
        for request in inbox {
            match request {
                Request::Status { answer } => drop(answer.send(Ok(status()))),
                Request::Inspect { domain, answer } => {
                    drop(answer.send(known(&domain).map(|()| Box::new(report(&domain)))));
                }
                Request::Faults { domain, answer } => {
                    let faults = || if domain == "kv" { vec![fault()] } else { Vec::new() };
                    drop(answer.send(known(&domain).map(|()| faults())));
                }
                Request::Core { domain, answer } => drop(answer.send(core(&domain))),
                Request::Snapshot { answer, .. } => {
                    drop(answer.send(Ok(vec![b"no ".to_vec(), b"snapshot".to_vec()])));
                }
                Request::Kill { domain, answer } => {
                    drop(answer.send(self.order(Operation::Kill, &domain)));
                }
                Request::Restart { domain, answer } => {
                    drop(answer.send(self.order(Operation::Restart, &domain)));
                }
                Request::ResetState { domain, answer } => {
                    drop(answer.send(self.order(Operation::ResetState, &domain)));
                }
                Request::Pause { domain, answer } => {
                    drop(answer.send(self.order(Operation::Pause, &domain)));
                }
                Request::Resume { domain, answer } => {
                    drop(answer.send(self.order(Operation::Resume, &domain)));
                }
                Request::Letters(LetterRequest::List { answer }) => {
                    drop(answer.send(Ok(Vec::new())));
                }
                // There are none, so nothing can be said of any.
                Request::Letters(_) => (),
                Request::Inject { .. } => panic!("a route of the API harms guests"),
                Request::Stop { answer } => {
                    drop(answer.send(Ok(())));
                    break;
                }
            }
        }
        self.orders
    }

    fn order(&mut self, operation: Operation, domain: &str) -> Result<(), Refusal> {
        known(domain)?;
        let paused = domain == "echo";
        let allowed = match operation {
            Operation::Pause => !paused,
            Operation::Resume => paused,
            Operation::Kill | Operation::Restart | Operation::ResetState => true,
        };
        if !allowed {
            return Err(Refusal::WrongState {
                domain: domain.to_owned(),
                operation,
                state: if paused { DomainState::Paused } else { DomainState::Running },
                remedy: "nothing needs to be done".to_owned(),
            });
        }
        self.orders.push(format!("{operation} {domain}"));
        Ok(())
    }
}

fn known(domain: &str) -> Result<(), Refusal> {
    match domain {
        "kv" | "echo" => Ok(()),
        other => Err(Refusal::no_such_domain(other, ["kv", "echo"])),
    }
}

/// A core file of `kv`; `echo` has none.
fn core(domain: &str) -> Result<Vec<u8>, Refusal> {
    known(domain)?;
    match domain {
        "kv" => Ok(core_of_kv()),
        _ => Err(Refusal::NoCore { domain: domain.to_owned(), why: "it is a test".to_owned() }),
    }
}

/// Several pieces long, and not a whole number of them.
pub fn core_of_kv() -> Vec<u8> {
    (0..5u32 << 18).flat_map(u32::to_le_bytes).chain([7]).collect()
}

pub fn status() -> SystemStatus {
    SystemStatus {
        name: "demo".into(),
        pid: 42,
        version: "0.1.0".into(),
        uptime_micros: 182_000_000,
        host: HostKind::Software,
        restored_from: None,
        domains: vec![domain("kv", DomainState::Running), domain("echo", DomainState::Paused)],
    }
}

fn domain(name: &str, state: DomainState) -> DomainStatus {
    let id = if name == "kv" { 0 } else { 1 };
    DomainStatus {
        name: name.into(),
        id,
        image: name.into(),
        state,
        epoch: 2,
        restarts: 1,
        faults: 1 - u64::from(id),
        memory_bytes: 256 << 20,
        resident_bytes: 3_250_586,
        cpu_micros: 1_250,
        uptime_micros: 12_300_000,
        vcpus: 1,
        restored: None,
    }
}

pub fn report(name: &str) -> DomainReport {
    let kv = name == "kv";
    DomainReport {
        status: domain(name, if kv { DomainState::Running } else { DomainState::Paused }),
        image_hash: "9f2c".into(),
        state_region: kv.then_some(StateReport { bytes: 64 << 20, populated_bytes: 3 << 20 }),
        last_fault: kv.then(fault),
        exits: [("wait".to_owned(), 120), ("doorbell".to_owned(), 7)].into(),
        channels: vec![ChannelReport {
            name: "next".into(),
            peer: if kv { "echo" } else { "kv" }.into(),
            role: if kv { ChannelRole::Client } else { ChannelRole::Server },
            port: "main".into(),
            requests: 10,
            replies: 9,
            rejected: 0,
            unread_bytes: 128,
            doorbells: 3,
            in_service_bytes: 64,
        }],
        gateways: vec![GatewayReport {
            listen: "127.0.0.1:6379".into(),
            port: "redis".into(),
            connections: 1,
            accepted: 2,
            refused: 0,
            requests: 5,
            aborted: 1,
            bytes_in: 2048,
            bytes_out: 12,
        }],
        disks: if kv { vec![disk()] } else { Vec::new() },
    }
}

pub fn disk() -> DiskReport {
    DiskReport {
        name: "log".into(),
        channel: "disk".into(),
        file: "/srv/log.disk".into(),
        size_bytes: 1 << 30,
        file_bytes: 64 << 20,
        host_bytes: 3 << 20,
        direct: false,
        read_only: false,
        failing: false,
        reads: 4,
        read_bytes: 4 << 20,
        writes: 10,
        written_bytes: 40 << 10,
        discards: 1,
        syncs: 4,
        synced: 10,
        largest_batch: 5,
        refused: 0,
        full: 2,
        failed: 0,
        durable_writes: Some(DiskLatency {
            count: 9,
            p50_micros: 130,
            p90_micros: 150,
            p99_micros: 2_100,
            max_micros: 4_000,
        }),
        note: Some("log 5 MiB\nlive 60%".into()),
    }
}

pub fn fault() -> FaultReport {
    FaultReport {
        domain: "kv".into(),
        epoch: 1,
        time: 951_868_799_000_001,
        kind: FaultKind::Exception,
        vector: Some(14),
        vector_name: Some("page fault".into()),
        error_code: Some(Hex(6)),
        explanation: Some("write to a page that is not mapped".into()),
        rip: Hex(0x40_10a0),
        cr2: Some(Hex(0xdead_0000)),
        registers: Registers { rax: Hex(u64::MAX), rip: Hex(0x40_10a0), ..Registers::default() },
        message: None,
        backtrace: vec![
            Frame { address: Hex(0x40_10a0), symbol: Some("kv::poke".into()), offset: 0x12 },
            Frame { address: Hex(0x40_2000), symbol: None, offset: 0 },
        ],
        vcpu: 0,
        uptime_micros: 12_300_000,
        restart_count: 0,
        decision: None,
        restart: Some(Aftermath::Restarted {
            epoch: 2,
            origin: Origin::Image,
            micros: 464,
            steps: None,
        }),
    }
}

/// A path in a directory that exists nowhere.
pub fn nowhere() -> &'static Path {
    Path::new("/nonexistent/demo.sock")
}
