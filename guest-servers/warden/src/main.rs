//! A supervisor domain that is told what to do, for the whole-system tests. Its stream port `lines`
//! takes a verb a line, and answers with a line:
//!
//! | a line | what it does |
//! |---|---|
//! | `on-fault VERDICT` | from now on faults are answered with this |
//! | `on-fault keep` | they are kept, and not answered |
//! | `on-fault die`, `on-fault nonsense` | this server panics; answers what is no verdict |
//! | `report` | tells the last fault that it heard of |
//! | `backtrace` | the innermost function of that one |
//! | `answer VERDICT` | answers one that was kept |
//! | `read CAPABILITY ADDRESS LENGTH` | memory of a suspended domain, in hexadecimal |
//! | `registers CAPABILITY` | `rip` and `rsp` of a suspended domain |
//! | `skip CAPABILITY BYTES` | moves its `rip` on |
//!
//! Numbers are hexadecimal. What fails is said as `error: ` and why.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use atoll::bailout::{Bailout, Capability, Report, SUSPENDED, SuspendedClient, Verdict};
use atoll::interface::{Word, answer, arguments};
use atoll::ipc::receive_any;
use atoll::stream::{Connection, Connections};
use atoll::{Channel, Message, Status};

atoll::server! {
    name: "warden",
    memory: 8 << 20,
    ports: [LINES: "lines" stream, FAULTS: "faults" message speaks Bailout],
}

/// What is done about a fault.
enum Habit {
    Say(Verdict),
    Keep,
    Die,
    Nonsense,
}

struct Shared {
    suspended: Result<SuspendedClient<Channel>, String>,
    habit: Habit,
    report: String,
    function: String,
    kept: Vec<Message>,
}

fn main() -> u32 {
    let suspended = Channel::open(SUSPENDED).map_err(|error| error.to_string());
    let suspended = suspended
        .and_then(|channel| SuspendedClient::bind(channel).map_err(|error| error.to_string()));
    let (report, function) = (String::from("none"), String::new());
    let habit = Habit::Say(Verdict::BuiltIn);
    let mut shared = Shared { suspended, habit, report, function, kept: Vec::new() };
    let mut connections = Connections::new();
    loop {
        match receive_any(&[FAULTS, LINES], None) {
            Some((FAULTS, message)) => shared.hear(message),
            Some((_, message)) => connections.serve(message, &mut shared, |_, _| Line::default()),
            None => (),
        }
    }
}

impl Shared {
    fn hear(&mut self, message: Message) {
        let payload = message.to_vec();
        let Ok((report,)) = arguments::<(Report<'_>,)>(&payload) else {
            return message.fail(Status::Malformed);
        };
        let Report { capability, domain, epoch, kind, registers, .. } = &report;
        self.report = format!(
            "{:x} {domain} epoch={epoch} kind={kind:?} rip={:x} rsp={:x} faults={} resume={} \
             forecast={:?} what={}",
            capability.0,
            registers.rip.0,
            registers.rsp.0,
            report.faults,
            report.can_resume,
            report.forecast,
            report.what,
        );
        self.function = report.backtrace.lines().next().unwrap_or_default().into();
        match self.habit {
            Habit::Say(verdict) => answer(message, Ok(verdict)),
            Habit::Keep => self.kept.push(message),
            Habit::Die => panic!("told to die of a fault"),
            Habit::Nonsense => message.reply(b"\xff\xff"),
        }
    }

    fn obey(&mut self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let mut next = || words.next().ok_or_else(|| String::from("a word is missing"));
        Ok(match verb {
            "ping" => "pong".into(),
            "on-fault" => {
                self.habit = match next()? {
                    "keep" => Habit::Keep,
                    "die" => Habit::Die,
                    "nonsense" => Habit::Nonsense,
                    word => Habit::Say(verdict(word)?),
                };
                "told".into()
            }
            "report" => self.report.clone(),
            "backtrace" => self.function.clone(),
            "answer" => {
                let verdict = verdict(next()?)?;
                let kept = self.kept.pop().ok_or("nothing was kept")?;
                answer(kept, Ok(verdict));
                "answered".into()
            }
            "read" => {
                let (of, from) = (Capability(number(next()?)?), Word(number(next()?)?));
                let length = number(next()?)? as u32;
                let shown = self.suspended()?.read(of, from, length, |bytes| hex(&bytes));
                shown.map_err(|error| error.to_string())?
            }
            "registers" => {
                let of = Capability(number(next()?)?);
                let registers = self.suspended()?.registers(of);
                let registers = registers.map_err(|error| error.to_string())?;
                format!("rip={:x} rsp={:x}", registers.rip.0, registers.rsp.0)
            }
            "skip" => {
                let (of, bytes) = (Capability(number(next()?)?), number(next()?)?);
                let suspended = self.suspended()?;
                let registers = suspended.registers(of).and_then(|mut registers| {
                    registers.rip.0 = registers.rip.0.wrapping_add(bytes);
                    suspended.set_registers(of, registers)
                });
                registers.map(|()| "moved".into()).map_err(|error| error.to_string())?
            }
            _ => return Err(format!("no such verb: {verb}")),
        })
    }

    fn suspended(&mut self) -> Result<&mut SuspendedClient<Channel>, String> {
        self.suspended.as_mut().map_err(|error| error.clone())
    }
}

fn verdict(word: &str) -> Result<Verdict, String> {
    let found = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == word);
    found.ok_or_else(|| format!("no verdict: {word}"))
}

fn number(word: &str) -> Result<u64, String> {
    u64::from_str_radix(word, 16).map_err(|error| error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A connection. Its server is not meant to fail under it.
#[derive(Default)]
struct Line {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Connection<Shared> for Line {
    fn feed(&mut self, shared: &mut Shared, input: &[u8]) -> usize {
        for &byte in input {
            if byte != b'\n' {
                self.input.push(byte);
                continue;
            }
            let line = core::mem::take(&mut self.input);
            let said = shared.obey(&String::from_utf8_lossy(&line));
            let said = said.unwrap_or_else(|error| format!("error: {error}"));
            self.output.extend_from_slice(said.as_bytes());
            self.output.push(b'\n');
        }
        input.len()
    }

    fn abort(&mut self, input: &[u8]) {
        for _ in input.split_inclusive(|&byte| byte == b'\n') {
            self.output.extend_from_slice(b"restarted\n");
        }
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn advance(&mut self, count: usize) {
        self.output.drain(..count);
    }

    fn mid_request(&self) -> bool {
        !self.input.is_empty()
    }

    fn closing(&self) -> bool {
        false
    }
}
