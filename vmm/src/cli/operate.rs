//! Orders: `kill`, `restart`, `pause`, `resume`, `stop`.

use std::io::Write;

use serde_json::json;

use crate::control::Departure;

use super::args::{DomainArgs, Target};
use super::error::CliError;
use super::target::converse;

/// What can be ordered of a domain.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Kill,
    Restart,
    ResetState,
    Pause,
    Resume,
}

impl Order {
    fn verb(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::ResetState => "reset-state",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Restart => "restarted",
            Self::ResetState => "emptied",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

pub(super) fn order(
    args: &DomainArgs,
    order: Order,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let client = args.target.client()?;
    let domain = args.domain.as_str();
    let target = format!("/v1/domains/{domain}/{}", order.verb());
    converse(client.post(&target))?;
    if json {
        writeln!(out, "{}", json!({ "domain": domain, "done": order.done() }))?;
    } else {
        writeln!(out, "{} {domain}", order.done())?;
    }
    Ok(())
}

/// Returns when the system is gone, so that it can be started again at once.
pub(super) fn stop(target: &Target, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let client = target.client()?;
    let departure = Departure::of(client.path());
    converse(client.post("/v1/system/stop"))?;
    if let Some(departure) = departure {
        departure.wait().map_err(CliError::Departure)?;
    }
    if json {
        writeln!(out, "{}", json!({ "done": "stopped" }))?;
    } else {
        writeln!(out, "stopped")?;
    }
    Ok(())
}
