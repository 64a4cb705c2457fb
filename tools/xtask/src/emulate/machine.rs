//! Owns the running machine: QEMU's command line, its streams, interruption and deadline.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::job::Forward;
use super::packages::Parts;

/// How long the machine may take to end by itself after it was interrupted.
const GRACE: Duration = Duration::from_secs(15);

/// What the serial line's terminal reads as an interrupt.
const CONTROL_C: u8 = 3;

/// The kernel's command line. Console noise is kept in a file, a crash ends the machine instead of halting
/// it, mitigations would only slow emulation down, and the emulated TSC is steady though it looks irregular.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off tsc=reliable";

/// The machine's files on the host.
#[derive(Debug)]
pub struct Files<'a> {
    /// The initramfs.
    pub initramfs: &'a Path,
    /// Receives the kernel's console.
    pub console: &'a Path,
    /// Receives the report.
    pub report: &'a Path,
}

/// Why the machine is no longer running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It powered itself off, or broke: the report tells.
    Stopped,
    /// It was stopped because its deadline passed.
    DeadlinePassed,
    /// It was asked to stop, did not in time or was asked twice, and was stopped.
    Interrupted,
}

/// What is left of a machine that ran.
#[derive(Debug)]
pub struct Finished {
    /// Why it ended.
    pub end: End,
    /// QEMU's own exit status.
    pub status: ExitStatus,
    /// What QEMU itself had to say.
    pub complaints: String,
}

enum Event {
    OutputEnded,
    Signal,
}

/// Runs the machine to its end. All that its steps say goes to `output` as it comes.
pub fn run(
    parts: &Parts,
    files: &Files<'_>,
    forwards: &[Forward],
    deadline: Option<Duration>,
    mut output: impl FnMut(&[u8]) + Send,
) -> Result<Finished> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("watching for signals")?;
    let signals_handle = signals.handle();
    let mut child = spawn(parts, files, forwards)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (sender, events) = mpsc::channel();
    thread::scope(|scope| {
        let on_signal: Sender<Event> = sender.clone();
        scope.spawn(move || signals.forever().try_for_each(|_| on_signal.send(Event::Signal)));
        let reader = scope.spawn(move || {
            let result = stdout.map_or(Ok(()), |stdout| copy(stdout, &mut output));
            // The other end is gone only when the machine is already being cleared away.
            let _ = sender.send(Event::OutputEnded);
            result
        });
        let complaints = scope.spawn(move || stderr.map_or(Ok(String::new()), io::read_to_string));
        let end = watch(&mut child, stdin, &events, deadline);
        let status = child.wait().context("waiting for QEMU");
        signals_handle.close();
        joined(reader)?.context("passing on the machine's output")?;
        let complaints = joined(complaints)?.unwrap_or_default();
        Ok(Finished { end: end?, status: status?, complaints })
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a thread that served the machine panicked"))
}

fn copy(mut from: impl Read, to: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the end of the output, which is the end of QEMU. The first signal is handed to the step
/// inside as ^C, so that it can finish its work; the second stops the machine.
fn watch(
    child: &mut Child,
    mut stdin: Option<ChildStdin>,
    events: &Receiver<Event>,
    deadline: Option<Duration>,
) -> Result<End> {
    let mut until = deadline.map(|deadline| Instant::now() + deadline);
    let mut when_late = End::DeadlinePassed;
    loop {
        match next(events, until) {
            Ok(Event::OutputEnded) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(End::Stopped);
            }
            Ok(Event::Signal) if when_late == End::DeadlinePassed => {
                when_late = End::Interrupted;
                until = Some(Instant::now() + GRACE);
                // If QEMU no longer listens it is ending, which is what is wanted.
                let _ = stdin.as_mut().map(|stdin| stdin.write_all(&[CONTROL_C]));
            }
            Ok(Event::Signal) | Err(RecvTimeoutError::Timeout) => {
                child.kill().context("stopping QEMU")?;
                return Ok(when_late);
            }
        }
    }
}

fn next(events: &Receiver<Event>, until: Option<Instant>) -> Result<Event, RecvTimeoutError> {
    match until {
        Some(until) => events.recv_timeout(until.saturating_duration_since(Instant::now())),
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

fn spawn(parts: &Parts, files: &Files<'_>, forwards: &[Forward]) -> Result<Child> {
    let mut command = parts.qemu.command();
    command
        .args(arguments(parts, files, forwards))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Away from the terminal's ^C, which would stop QEMU before the step inside has ended.
        .process_group(0);
    die_with_this_process(&mut command);
    command.spawn().context("starting QEMU")
}

/// Lets the kernel stop QEMU if this process dies without a chance to.
fn die_with_this_process(command: &mut Command) {
    // SAFETY: the closure runs between fork and exec and makes one system call, prctl, which is
    // async-signal-safe; it allocates nothing and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
                .map_err(io::Error::from)
        });
    }
}

/// QEMU's options. Multi-threaded TCG makes nested AMD-V unreliable, hence one thread.
fn arguments(parts: &Parts, files: &Files<'_>, forwards: &[Forward]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "q35",
        "-accel",
        "tcg,thread=single",
        "-cpu",
        "EPYC,+svm,-sha-ni",
        "-smp",
        "2",
        "-m",
        "2G",
    ]
    .map(OsString::from)
    .to_vec();
    let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    add("-chardev", chardev("file,id=console,path=", files.console));
    add("-serial", "chardev:console".into());
    add("-chardev", "stdio,id=steps,signal=off".into());
    add("-serial", "chardev:steps".into());
    add("-chardev", chardev("file,id=report,path=", files.report));
    add("-serial", "chardev:report".into());
    add("-kernel", parts.kernel.as_os_str().to_owned());
    add("-initrd", files.initramfs.as_os_str().to_owned());
    add("-append", COMMAND_LINE.into());
    if !forwards.is_empty() {
        add("-netdev", network(forwards).into());
        // No boot code for the card: the machine never boots from it.
        add("-device", "virtio-net-pci,netdev=net,romfile=".into());
    }
    arguments
}

/// A chardev option; QEMU reads a doubled comma as a comma of the path.
fn chardev(option: &str, path: &Path) -> OsString {
    format!("{option}{}", path.display().to_string().replace(',', ",,")).into()
}

fn network(forwards: &[Forward]) -> String {
    let mut option = String::from("user,id=net");
    for Forward { host, port } in forwards {
        option.push_str(&format!(",hostfwd=tcp:{}:{}-:{port}", host.ip(), host.port()));
    }
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forward_is_one_rule() {
        let forwards = [
            Forward { host: "127.0.0.1:6379".parse().unwrap(), port: 6379 },
            Forward { host: "0.0.0.0:80".parse().unwrap(), port: 8080 },
        ];
        assert_eq!(
            network(&forwards),
            "user,id=net,hostfwd=tcp:127.0.0.1:6379-:6379,hostfwd=tcp:0.0.0.0:80-:8080"
        );
    }

    #[test]
    fn a_comma_in_a_path_does_not_end_it() {
        assert_eq!(chardev("file,path=", Path::new("/a,b")), "file,path=/a,,b");
    }

    #[test]
    fn copying_passes_on_every_byte() {
        let source = vec![9; 20_000];
        let mut copied = Vec::new();
        copy(source.as_slice(), &mut |bytes: &[u8]| copied.extend_from_slice(bytes)).unwrap();
        assert_eq!(copied, source);
    }

    #[test]
    fn waiting_ends_at_the_deadline_and_not_before() {
        let (sender, events) = mpsc::channel();
        sender.send(Event::Signal).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(matches!(next(&events, Some(soon)), Ok(Event::Signal)));
        assert!(matches!(next(&events, Some(soon)), Err(RecvTimeoutError::Timeout)));
        assert!(Instant::now() >= soon);
    }
}
