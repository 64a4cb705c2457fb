//! Owns one running system: the directory it has to itself, its start, and its end in good order.
//!
//! Every system that a test starts must end well: dropping it asks the VMM to stop and fails the
//! test if that does not happen, if it did not exit with 0, or if it left anything behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::environment::{self, patience};
use crate::process::{self, Outcome};
use crate::records::{Records, is_event};

/// A directory with a manifest in it, from which a system can be run.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
    options: Vec<String>,
    /// What the VMM is to go on from.
    from: Option<PathBuf>,
    /// There is no manifest but the snapshot's.
    is_bare: bool,
}

impl Place {
    /// A directory with this manifest. `{dir}` in the text stands for the directory.
    pub fn new(manifest: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let place = Self { dir, options: Vec::new(), from: None, is_bare: false };
        place.put("system.toml", manifest.replace("{dir}", &place.path("").display().to_string()));
        place
    }

    /// Further options of `vmm run`, instead of those that it had.
    pub fn with_options(self, options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { options, ..self }
    }

    /// The same, going on from a snapshot.
    #[must_use]
    pub fn from_snapshot(self, file: &Path) -> Self {
        Self { from: Some(file.to_owned()), ..self }
    }

    /// An empty directory, from which what a snapshot says is run.
    pub fn of_snapshot(file: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        Self { dir, options: Vec::new(), from: Some(file.to_owned()), is_bare: true }
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.dir.path().to_owned() } else { self.dir.path().join(name) }
    }

    /// Writes a file into the directory.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a temporary file can be written");
    }

    /// Where the system's control socket is.
    pub fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The names of the files in it.
    pub fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a directory can be listed");
        entries
            .map(|entry| entry.expect("it goes on").file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// The names of the files in it, without those that are there to outlive a system: disks.
    fn files_but_disks(&self) -> BTreeSet<String> {
        self.files().into_iter().filter(|name| !name.ends_with(".disk")).collect()
    }

    /// Its files without disks, and without what a system that was killed may have left.
    fn files_of_its_own(&self) -> BTreeSet<String> {
        let is_leftover = |name: &String| {
            let found = fs::symlink_metadata(self.path(name)).expect("a listed file is there");
            found.file_type().is_socket() || name.ends_with(".lock")
        };
        self.files_but_disks().into_iter().filter(|name| !is_leftover(name)).collect()
    }

    /// `vmm run` of the manifest, with the images of this build.
    pub fn run_command(&self) -> Command {
        let mut command = command();
        command.arg("run");
        if !self.is_bare {
            command.arg(self.path("system.toml"));
        }
        if let Some(file) = &self.from {
            command.arg("--from").arg(file);
        }
        command.arg("--images").arg(environment::images());
        command.arg("--socket").arg(self.socket()).args(&self.options);
        command
    }

    /// Runs the manifest to its end: for those that cannot start.
    pub fn run(&self) -> Outcome {
        process::run(&mut self.run_command())
    }

    /// Checks the manifest.
    pub fn check(&self) -> Outcome {
        let manifest = self.path("system.toml");
        process::run(
            command().arg("check").arg(manifest).arg("--images").arg(environment::images()),
        )
    }
}

/// The `vmm` command, in surroundings that do not change what it prints.
pub fn command() -> Command {
    let mut command = Command::new(environment::vmm());
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").env_remove("ATOLL_IMAGES");
    command
}

/// A system that runs.
#[derive(Debug)]
pub struct System {
    /// Its directory; gone once somebody has taken it.
    place: Option<Place>,
    vmm: Child,
    records: Records,
    complaints: Arc<Mutex<String>>,
    complaining: Option<JoinHandle<()>>,
    files_before: BTreeSet<String>,
}

impl System {
    /// Starts a system and waits until it serves. `None` where there is no KVM, which is said.
    pub fn start(manifest: &str) -> Option<Self> {
        environment::has_kvm().then(|| Self::start_at(Place::new(manifest)))
    }

    /// Starts a system from a place.
    pub fn start_at(place: Place) -> Self {
        Self::start_with(place, &[])
    }

    /// Starts a system from a place, with more arguments.
    pub fn start_with(place: Place, arguments: &[&str]) -> Self {
        let files_before = place.files_of_its_own();
        let mut vmm = place
            .run_command()
            .arg("--json")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the VMM can be started");
        let records = Records::read(vmm.stdout.take().expect("the pipe was asked for"));
        let complaints = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(vmm.stderr.take().expect("the pipe was asked for"));
        let complaining = Some(thread::spawn({
            let complaints = complaints.clone();
            move || collect(stderr, &complaints)
        }));
        let place = Some(place);
        let system = Self { place, vmm, records, complaints, complaining, files_before };
        system.await_start();
        system
    }

    /// Waits until every domain's first incarnation runs.
    fn await_start(&self) {
        self.records.after(0, "the system's start", |record| record["kind"] == "system-started");
        for domain in self.domains() {
            self.records.after(0, &format!("the start of {domain}"), |record| {
                is_event(record, &domain, "domain-started")
                    || is_event(record, &domain, "domain-restored")
            });
        }
    }

    /// The directory it runs in.
    pub fn place(&self) -> &Place {
        self.place.as_ref().expect("a running system has its place")
    }

    /// The VMM's process.
    pub fn pid(&self) -> u32 {
        self.vmm.id()
    }

    /// Its events and log lines.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// A number of the VMM's process in `/proc/PID/status`, such as `VmRSS`, in KiB.
    pub fn process_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in\n{status}"))
    }

    /// Processor time of the VMM's process so far, in clock ticks: a hundred a second.
    pub fn process_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        let stat = stat.expect("a running process has a status");
        // The name, in parentheses, may hold anything; the fields are counted behind it.
        let (_, fields) = stat.rsplit_once(") ").expect("the name is in parentheses");
        let fields: Vec<_> = fields.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("times are numbers");
        ticks(11) + ticks(12)
    }

    /// Where the gateway to a port listens.
    pub fn gateway(&self, port: &str) -> String {
        self.gateways(port).swap_remove(0)
    }

    /// Where all gateways to a port listen.
    pub fn gateways(&self, port: &str) -> Vec<String> {
        let all = self.records.all();
        let ours = all
            .iter()
            .filter(|record| record["kind"] == "gateway-listening" && record["port"] == port);
        let listen: Vec<_> = ours.map(|event| text_of(&event["listen"])).collect();
        assert!(!listen.is_empty(), "no gateway leads to {port}");
        listen
    }

    /// Ends the VMM as `kill -9` does, and hands over the place where it was.
    pub fn murder(mut self) -> Place {
        self.vmm.kill().expect("a child can be killed");
        assert!(process::ends_within(&self.vmm, patience()), "a killed process ends");
        self.vmm.wait().expect("a child can be waited for");
        self.place.take().expect("nobody else takes the place")
    }

    /// Waits until the VMM has ended by itself, and fails unless it did so in good order.
    pub fn ended(mut self) {
        self.end_well();
    }

    /// Stops the system, and hands over the place where it was.
    pub fn stop(mut self) -> Place {
        self.ask_to_stop();
        self.end_well();
        self.place.take().expect("nobody else takes the place")
    }

    fn ask_to_stop(&self) {
        let pid = Pid::from_raw(self.vmm.id() as i32);
        kill(pid, Signal::SIGTERM).expect("a child can be signalled");
    }

    fn end_well(&mut self) {
        let ended = process::ends_within(&self.vmm, patience());
        assert!(ended, "the VMM does not stop; it said:\n{}", self.said());
        let status = self.collect_status();
        assert_eq!(status.code(), Some(0), "the VMM ended with {status}:\n{}", self.said());
        let complaints = self.complaints();
        assert!(!complaints.contains("panicked"), "the VMM panicked:\n{complaints}");
        if let Some(place) = &self.place {
            assert_eq!(place.files_but_disks(), self.files_before, "the VMM left something behind");
        }
    }

    fn collect_status(&mut self) -> ExitStatus {
        let status = self.vmm.wait().expect("a child can be waited for");
        if let Some(reader) = self.complaining.take() {
            reader.join().expect("reading a pipe does not panic");
        }
        status
    }

    /// What the VMM has written to standard error so far.
    pub fn complaints(&self) -> String {
        self.complaints.lock().expect("no holder of this lock panics").clone()
    }

    /// The last of what the VMM said, for a failure's message.
    fn said(&self) -> String {
        const LAST: usize = 20;
        let records = self.records.all();
        let last = records.iter().skip(records.len().saturating_sub(LAST));
        let records: Vec<_> = last.map(Value::to_string).collect();
        format!("{}\n{}", records.join("\n"), self.complaints())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let alive = matches!(self.vmm.try_wait(), Ok(None));
        if thread::panicking() {
            eprintln!("the system said:\n{}", self.said());
            if alive {
                // The test has failed already; all that is left is to leave nothing running.
                let _ = self.vmm.kill();
                let _ = self.vmm.wait();
            }
        } else if alive {
            self.ask_to_stop();
            self.end_well();
        }
    }
}

fn collect(mut from: impl BufRead, to: &Mutex<String>) {
    let mut line = String::new();
    while from.read_line(&mut line).is_ok_and(|count| count > 0) {
        to.lock().expect("no holder of this lock panics").push_str(&line);
        line.clear();
    }
}

/// A JSON string's text.
pub fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
