//! What can be wrong with a manifest.

use std::fmt;
use std::path::PathBuf;

use atoll_ipc::abi::PortKind;
use thiserror::Error;

use super::areas::AreaError;
use super::disks::DiskRule;
use super::memory::{MemorySize, MemorySizeError};
use super::name::NameError;
use super::source::Place;
use super::state::{OnCrashLoop, StateError};
use super::supervision::SupervisionRule;
use super::types::{CpuSet, MaxConnections, Restart, Vcpus};
use super::wait::Wait;

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file could not be read.
    #[error(
        "cannot read manifest {}: {source}; check the path and its permissions",
        file.display()
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the host said.
        source: std::io::Error,
    },
    /// The file breaks rules; all of them, in the order of the file.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Problem>),
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// A broken rule and its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {rule}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Which rule.
    pub rule: Rule,
}

/// The rules of a manifest, each as the message for who broke it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rule {
    /// Not UTF-8.
    #[error("byte {byte:#04x} is not UTF-8; a manifest is UTF-8 text")]
    Encoding {
        /// The first byte that is wrong.
        byte: u8,
    },
    /// Not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// A key that means nothing here.
    #[error("unknown key `{key}` in {table}; {}", hint(.nearest, "known keys are", .known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The table that it is in.
        table: String,
        /// The key that it is most like.
        nearest: Option<String>,
        /// All that may be there.
        known: Vec<String>,
    },
    /// A key that must be there.
    #[error("{table} has no `{key}`; add `{example}`")]
    MissingKey {
        /// The key.
        key: String,
        /// The table that lacks it.
        table: String,
        /// How it could look.
        example: String,
    },
    /// A value of another type.
    #[error("`{key}` is {found}, but must be {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// What was written.
        found: String,
        /// What must be.
        expected: String,
    },
    /// No domain at all.
    #[error("the system has no domains; add a table such as `[domains.kv]`")]
    NoDomains,
    /// Not a name.
    #[error("`{key}`: {error}")]
    Name {
        /// The key, or what is named.
        key: String,
        /// The rule for names.
        error: NameError,
    },
    /// An image that no file can be meant by.
    #[error(
        "`image` is `{image}`; give an image's name, such as `kv`, \
         or a file, such as `./kv.img`"
    )]
    Image {
        /// As written.
        image: String,
    },
    /// Not an amount of memory.
    #[error("`memory`: {0}")]
    Memory(#[from] MemorySizeError),
    /// Not a size of a state region.
    #[error("`state`: {0}")]
    State(StateError),
    /// No answer to a crash loop.
    #[error("`state-on-crash-loop` is `{value}`; {}", hint(.nearest, "use", &answers()))]
    OnCrashLoop {
        /// As written.
        value: String,
        /// The answer that it is most like.
        nearest: Option<String>,
    },
    /// An answer where there is nothing to keep.
    #[error(
        "`state-on-crash-loop` says what becomes of a state region, but this domain has none; add \
         `state = \"64 MiB\"`, or remove it"
    )]
    OnCrashLoopWithoutState,
    /// No number of vCPUs.
    #[error("`vcpus` is {value}; use 1 to {max}", max = Vcpus::MAX)]
    Vcpus {
        /// As written.
        value: String,
    },
    /// An argument that cannot be handed over.
    #[error("`arguments[{index}]` holds a zero byte, which ends an argument; remove it")]
    Argument {
        /// Which, from 0.
        index: usize,
    },
    /// More than the page that they are handed over in holds.
    #[error(
        "`arguments` take {bytes} bytes, each with its end counted, but at most {max} can be \
         handed over; shorten them"
    )]
    Arguments {
        /// Bytes of all arguments, with a zero byte after each.
        bytes: usize,
        /// Most bytes there can be.
        max: usize,
    },
    /// No restart policy.
    #[error("`restart` is `{value}`; {}", hint(.nearest, "use", &policies()))]
    Restart {
        /// As written.
        value: String,
        /// The policy that it is most like.
        nearest: Option<String>,
    },
    /// No way of waiting.
    #[error("`wait` is `{value}`; {}", hint(.nearest, "use a time, such as `200 us`, or", &ways()))]
    Wait {
        /// As written.
        value: String,
        /// The way that it is most like.
        nearest: Option<String>,
    },
    /// No time that a domain can look for.
    #[error("`wait` is `{value}`; a domain looks for `1 us` to `100 ms` before it sleeps")]
    WaitTime {
        /// As written.
        value: String,
    },
    /// Pinned to nothing.
    #[error("`cpus` is empty; name host CPUs, such as `[0, 1]`, or remove the key to run on any")]
    NoCpus,
    /// Not a CPU's number.
    #[error("`cpus` names CPU {value}; use numbers from 0 to {}", CpuSet::LIMIT - 1)]
    Cpu {
        /// As written.
        value: String,
    },
    /// One CPU twice.
    #[error("`cpus` names CPU {cpu} twice; name each CPU once")]
    CpuTwice {
        /// The CPU.
        cpu: u32,
    },
    /// Not a port of a domain.
    #[error("`{key}` is `{value}`; write it as DOMAIN:PORT, such as `{example}`")]
    PortRef {
        /// The key.
        key: String,
        /// As written.
        value: String,
        /// How it could look.
        example: String,
    },
    /// A domain that the manifest does not have.
    #[error(
        "`{key}` names domain `{domain}`, which this manifest does not have; {}",
        hint(.nearest, "it has", .known)
    )]
    UnknownDomain {
        /// The key.
        key: String,
        /// The domain.
        domain: String,
        /// The domain that it is most like.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// A domain that would call itself.
    #[error(
        "a channel joins two domains, but this one leads from `{domain}` to itself; name another \
         domain in `from` or `to`"
    )]
    SelfChannel {
        /// The domain.
        domain: String,
    },
    /// Two channels of one client under one name.
    #[error(
        "domain `{client}` already has a channel named `{alias}` (line {first}); give this one \
         another name with `as`"
    )]
    DuplicateAlias {
        /// The client.
        client: String,
        /// The name.
        alias: String,
        /// Line of the first one.
        first: usize,
    },
    /// A size that no ring or no pool of a channel can have.
    #[error("`{key}`: {error}")]
    Area {
        /// The key.
        key: &'static str,
        /// The rule for such sizes.
        error: AreaError,
    },
    /// A rule about groups, restarts, deadlines or bailouts.
    #[error(transparent)]
    Supervision(#[from] SupervisionRule),
    /// A rule about disks.
    #[error(transparent)]
    Disk(#[from] DiskRule),
    /// More links than a domain's table of channels holds.
    #[error(
        "domain `{domain}` has more than {max} channels, gateways and disks; \
         spread them over several domains"
    )]
    TooManyLinks {
        /// The domain.
        domain: String,
        /// Most links of a domain.
        max: u32,
    },
    /// Not an address.
    #[error(
        "`listen` is `{value}`, which is no address: {why}; write `127.0.0.1:6379`, `[::1]:6379` \
         or `unix:/run/kv.sock`"
    )]
    Listen {
        /// As written.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two gateways at one address.
    #[error(
        "another gateway already listens on `{listen}` (line {first}); give this one another \
         address"
    )]
    DuplicateListen {
        /// The address.
        listen: String,
        /// Line of the first one.
        first: usize,
    },
    /// No limit of connections.
    #[error("`max-connections` is {value}; use 1 to {limit}", limit = MaxConnections::LIMIT)]
    MaxConnections {
        /// As written.
        value: String,
    },
    /// A port that the image does not declare.
    #[error(
        "image `{image}` of domain `{domain}` has no port `{port}`; {}",
        hint(.nearest, "it has", .known)
    )]
    UnknownPort {
        /// The server domain.
        domain: String,
        /// Its image.
        image: String,
        /// The port.
        port: String,
        /// The port that it is most like.
        nearest: Option<String>,
        /// All that the image declares.
        known: Vec<String>,
    },
    /// A message port at a gateway, or a stream port at a channel.
    #[error("port `{port}` carries {}, but {}", carries(*.kind), needs(*.kind))]
    PortKind {
        /// The port, with its domain.
        port: String,
        /// What it carries.
        kind: PortKind,
    },
    /// Less memory than the image needs.
    #[error(
        "domain `{domain}` has {memory} of memory, but image `{image}` needs at least {needed}; \
         raise or remove `memory`"
    )]
    MemoryTooSmall {
        /// The domain.
        domain: String,
        /// Its image.
        image: String,
        /// What the manifest gives.
        memory: MemorySize,
        /// What the image needs.
        needed: MemorySize,
    },
    /// More vCPUs than the server makes use of.
    #[error(
        "domain `{domain}` has {vcpus} vCPUs, but image `{image}` uses at most {max}; lower `vcpus`"
    )]
    TooManyVcpus {
        /// The domain.
        domain: String,
        /// Its image.
        image: String,
        /// What the manifest gives.
        vcpus: u32,
        /// What the image can use.
        max: u32,
    },
}

fn policies() -> Vec<String> {
    words(&Restart::WORDS.map(|(word, _)| word))
}

fn answers() -> Vec<String> {
    words(&OnCrashLoop::WORDS.map(|(word, _)| word))
}

fn ways() -> Vec<String> {
    words(&Wait::WORDS.map(|(word, _)| word))
}

fn carries(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Message => "messages",
        PortKind::Stream => "byte streams",
    }
}

fn needs(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Message => "a gateway needs a port for byte streams; join it with a channel",
        PortKind::Stream => "a channel needs a port for messages; join it with a gateway",
    }
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn hint(nearest: &Option<String>, lead: &str, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("{lead} none"),
        None => format!("{lead} `{}`", known.join("`, `")),
    }
}
