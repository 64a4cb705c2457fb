//! How a command can fail, and which exit code tells so.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use thiserror::Error;

use crate::bench::atoll::AtollError;
use crate::bench::engine::RunError;
use crate::bench::kv::error::KvError;
use crate::bench::peers::PeerError;
use crate::bench::plot::PlotError;
use crate::campaign::CampaignError;
use crate::control::ClientError;
use crate::control::api::ProblemKind;
use crate::exit_code::ExitCode;
use crate::manifest::ManifestError;
use crate::snapshot::{DraftError, SnapshotError};
use crate::system::SystemError;

#[derive(Debug, Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    System(#[from] SystemError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Bench(#[from] RunError),
    #[error(transparent)]
    Atoll(#[from] AtollError),
    #[error(transparent)]
    Kv(#[from] KvError),
    #[error(transparent)]
    Peers(#[from] PeerError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Draft(#[from] DraftError),
    #[error("there is nothing to run; name a manifest, or a snapshot with --from FILE")]
    NoManifest,
    #[error(
        "no system runs here (looked in {}); start one with `vmm run SYSTEM.toml`",
        .0.display()
    )]
    NoneRuns(PathBuf),
    #[error("several systems run here: `{}`; choose one with --system NAME", .0.join("`, `"))]
    SeveralRun(Vec<String>),
    #[error("cannot write to standard output: {0}; check where it goes to")]
    Output(#[from] io::Error),
    #[error("cannot start an event loop: {0}; check the limit on open files")]
    EventLoop(io::Error),
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error, remedy: &'static str },
    #[error("cannot wait for the system to stop: {0}; `vmm ps` tells whether it still runs")]
    Departure(io::Error),
}

impl CliError {
    /// Whether the reader of the output has gone, as `head` does when it has enough.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Manifest(_) => ExitCode::Manifest,
            Self::System(error) => error.exit_code(),
            Self::Client(error) => client_code(error),
            Self::Bench(error) => bench_code(error),
            Self::Atoll(error) => atoll_code(error),
            Self::Kv(error) => kv_code(error),
            Self::Peers(error) => peers_code(error),
            Self::Plot(error) => plot_code(error),
            Self::File { .. } | Self::Draft(_) => ExitCode::Host,
            Self::Snapshot(_) => ExitCode::Snapshot,
            Self::NoManifest => ExitCode::Usage,
            Self::Campaign(error) => campaign_code(error),
            Self::NoneRuns(_) => ExitCode::Unreachable,
            Self::SeveralRun(_) => ExitCode::Usage,
            Self::Output(_) | Self::EventLoop(_) | Self::Departure(_) => ExitCode::Runtime,
        }
    }

    /// The error for scripts: one object, with each problem of a manifest apart.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.exit_code() as u8, "message": self.to_string() });
        if let Some(problems) = self.problems() {
            error["problems"] = problems;
        }
        json!({ "error": error })
    }

    fn problems(&self) -> Option<Value> {
        let Self::Manifest(ManifestError::Invalid(problems)) = self else { return None };
        let each = problems.iter().map(|problem| {
            json!({
                "file": problem.place.file.to_string_lossy(),
                "line": problem.place.line,
                "column": problem.place.column,
                "message": problem.rule.to_string(),
            })
        });
        Some(each.collect())
    }
}

fn bench_code(error: &RunError) -> ExitCode {
    match error {
        RunError::NoSubject | RunError::NoCase(_) => ExitCode::Usage,
        RunError::Placement(_) => ExitCode::Host,
    }
}

fn atoll_code(error: &AtollError) -> ExitCode {
    match error {
        AtollError::System(error) => error.exit_code(),
        AtollError::Host { .. } => ExitCode::Host,
        AtollError::Manifest(_)
        | AtollError::Control(_)
        | AtollError::Load(_)
        | AtollError::Ring(_)
        | AtollError::Bind(_)
        | AtollError::Histogram(_)
        | AtollError::Impossible(_) => ExitCode::Runtime,
    }
}

fn kv_code(error: &KvError) -> ExitCode {
    match error {
        KvError::Atoll(error) => atoll_code(error),
        KvError::InMemory { .. } => ExitCode::Usage,
        KvError::Program { .. } | KvError::Host { .. } => ExitCode::Host,
        KvError::Ended { .. }
        | KvError::Silent(_)
        | KvError::Reply { .. }
        | KvError::Setting(_) => ExitCode::Runtime,
    }
}

fn peers_code(error: &PeerError) -> ExitCode {
    match error {
        PeerError::Start { .. } => ExitCode::Host,
        PeerError::Talk { .. }
        | PeerError::Ended { .. }
        | PeerError::Silent { .. }
        | PeerError::Garbled { .. }
        | PeerError::Endless { .. } => ExitCode::Runtime,
    }
}

fn plot_code(error: &PlotError) -> ExitCode {
    match error {
        PlotError::Directory { .. } | PlotError::Write { .. } => ExitCode::Host,
        PlotError::Font | PlotError::Draw { .. } | PlotError::Pixels { .. } => ExitCode::Runtime,
    }
}

fn campaign_code(error: &CampaignError) -> ExitCode {
    match error {
        CampaignError::System(error) => error.exit_code(),
        CampaignError::Host { .. } => ExitCode::Host,
        CampaignError::Manifest(_)
        | CampaignError::Refused(_)
        | CampaignError::Garbled { .. }
        | CampaignError::Stillborn { .. }
        | CampaignError::Lost { .. }
        | CampaignError::NotWell { .. } => ExitCode::Runtime,
    }
}

fn client_code(error: &ClientError) -> ExitCode {
    match error {
        ClientError::NoSystem { .. }
        | ClientError::Unreachable { .. }
        | ClientError::Lost { .. } => ExitCode::Unreachable,
        ClientError::Answer { .. } => ExitCode::Runtime,
        ClientError::Refused(problem) => match problem.kind {
            ProblemKind::NoSuchDomain
            | ProblemKind::WrongState
            | ProblemKind::NoState
            | ProblemKind::NoCore
            | ProblemKind::NoSnapshot
            | ProblemKind::NoSuchLetter
            | ProblemKind::LetterNotWhole
            | ProblemKind::ShuttingDown
            | ProblemKind::TooManyStreams => ExitCode::Refused,
            ProblemKind::NoAnswer | ProblemKind::BadRequest => ExitCode::Runtime,
        },
    }
}
