//! `campaign`: harms servers on purpose, and tells what came of it.

use std::fs;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::campaign::{CampaignError, Order, judge, report, worker};
use crate::exit_code::ExitCode;

use super::args::CampaignArgs;
use super::error::CliError;

const TEMPLATE: &str = "{bar:30} {pos}/{len} faults  {elapsed} gone, {eta} to go";

pub(super) fn campaign(
    args: &CampaignArgs,
    json: bool,
    out: &mut (dyn Write + Send),
) -> Result<ExitCode, CliError> {
    let CampaignArgs { images, faults, seed, .. } = args;
    let order = Order { images: images.clone(), faults: *faults, seed: *seed };
    if let Some(first) = args.worker_from {
        worker::run(&order, first, out)?;
        return Ok(ExitCode::Success);
    }
    // What would fail after the run should fail before it.
    if let Some(path) = &args.report {
        let written = fs::OpenOptions::new().append(true).create(true).open(path);
        written.map_err(|cause| CampaignError::Host { what: "opening the report", cause })?;
    }
    let bar = ProgressBar::new((*faults).into());
    // A template that cannot be read leaves the one that indicatif brings.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    let tally = judge::run(&order, &mut |done| bar.set_position(done.into()))?;
    bar.finish_and_clear();
    let failures = tally.failures(*faults);
    let command = format!("cargo xtask campaign --faults {faults} --seed {seed}");
    let text = report::markdown(&tally, &order, &command);
    if let Some(path) = &args.report {
        fs::write(path, &text)
            .map_err(|cause| CampaignError::Host { what: "writing the report", cause })?;
    }
    if json {
        let all = tally.all();
        let value = json!({
            "faults": faults, "seed": seed, "all": all, "tally": tally, "failures": failures,
        });
        writeln!(out, "{}", serde_json::to_string(&value).map_err(io::Error::from)?)?;
    } else {
        out.write_all(text.as_bytes())?;
    }
    Ok(if failures.is_empty() { ExitCode::Success } else { ExitCode::Runtime })
}
