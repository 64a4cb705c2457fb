//! The worker's process, from outside: that it lives is a finding, not a premise.
//!
//! A worker that dies, or says nothing for long, is the worst that a fault can do. It is counted,
//! the fault that it was at is passed over, and a new one goes on with the next.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::record::Line;
use super::tally::Tally;
use super::{CampaignError, Order};

/// Longest that a worker may say nothing: a fault takes ten seconds at the very most.
const SILENCE: Duration = Duration::from_secs(60);
/// With more deaths than this, there is nothing left to find out.
const DEATHS_MAX: u32 = 20;

/// Runs a campaign, and tells `progress` the number of faults so far.
///
/// # Errors
/// If no worker can be started, or one says what is no record.
pub fn run(order: &Order, progress: &mut dyn FnMut(u32)) -> Result<Tally, CampaignError> {
    run_with(order, &mut |first| worker(order, first), SILENCE, progress)
}

fn worker(order: &Order, first: u32) -> Command {
    let program = env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new(program);
    command.arg("campaign").arg("--images").arg(&order.images).args([
        "--faults",
        &order.faults.to_string(),
        "--seed",
        &order.seed.to_string(),
        "--worker-from",
        &first.to_string(),
    ]);
    command
}

fn run_with(
    order: &Order,
    worker: &mut dyn FnMut(u32) -> Command,
    silence: Duration,
    progress: &mut dyn FnMut(u32),
) -> Result<Tally, CampaignError> {
    let mut tally = Tally::default();
    let mut next = 0;
    while next < order.faults && tally.vmm_deaths + tally.vmm_hangs <= DEATHS_MAX {
        let began = next;
        let end = attend(&mut worker(next), silence, &mut |line| {
            if let Line::Fault(record) = &line {
                next = record.number + 1;
                progress(next);
            }
            tally.add(line);
        })?;
        match end {
            End::Over => break,
            // A worker gives up when its victim is lost, which the record tells.
            End::Died(_) if tally.last_was_lost() && next > began => (),
            End::Died(status) if !tally.has_begun() => {
                return Err(CampaignError::Stillborn { status });
            }
            End::Died(_) => {
                tally.vmm_deaths += 1;
                next += 1;
            }
            End::Silent => {
                tally.vmm_hangs += 1;
                next += 1;
            }
        }
    }
    Ok(tally)
}

enum End {
    Over,
    Died(String),
    Silent,
}

/// Hears one worker to its end.
fn attend(
    command: &mut Command,
    silence: Duration,
    hear: &mut dyn FnMut(Line),
) -> Result<End, CampaignError> {
    let failed = "starting a worker";
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(CampaignError::host(failed))?;
    let lines = listen(child.stdout.take());
    loop {
        match lines.recv_timeout(silence) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(line) => hear(line),
                Err(_) => {
                    end(&mut child);
                    return Err(CampaignError::Garbled { line });
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child);
                return Ok(End::Silent);
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().map_err(CampaignError::host(failed))?;
                let over = status.success();
                return Ok(if over { End::Over } else { End::Died(status.to_string()) });
            }
        }
    }
}

fn end(child: &mut Child) {
    // One that has ended by itself cannot be killed, and need not be.
    let _ = child.kill();
    let _ = child.wait();
}

fn listen(stdout: Option<ChildStdout>) -> mpsc::Receiver<String> {
    let (lines, heard) = mpsc::channel();
    if let Some(stdout) = stdout {
        thread::spawn(move || {
            let read = BufReader::new(stdout).lines().map_while(Result::ok);
            // Nobody listens any more when the worker was given up.
            read.into_iter().try_for_each(|line| lines.send(line)).ok()
        });
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::plan::{Victim, fault};
    use crate::campaign::record::{Outcome, Record};
    use crate::campaign::resources::Resources;
    use std::path::PathBuf;

    fn order() -> Order {
        Order { images: PathBuf::new(), faults: 4, seed: 1 }
    }

    fn record(number: u32, lost: bool) -> String {
        let fault = fault(1, number);
        let record = Record {
            number,
            victim: Victim::Echo,
            harm: fault.harm,
            injected: None,
            outcome: Outcome::NoEffect,
            good: 1,
            failed: 0,
            wrong: 0,
            example: None,
            noticed: None,
            recovered: None,
            lost,
        };
        serde_json::to_string(&Line::Fault(record)).unwrap()
    }

    fn well() -> String {
        let resources = Resources::default();
        serde_json::to_string(&Line::Well { resources, hardware: false }).unwrap()
    }

    /// A campaign whose workers say these lines and end so, one after the other.
    fn campaign(scripts: &[(&[String], &str)], silence: Duration) -> (Tally, Vec<u32>) {
        let (mut scripts, mut firsts) = (scripts.iter(), Vec::new());
        let mut worker = |first| {
            firsts.push(first);
            let (lines, end) = scripts.next().expect("one worker too many");
            let mut command = Command::new("sh");
            command.args(["-c", r#"printf '%s\n' "$1"; eval "$2""#, "sh", &lines.join("\n"), end]);
            command
        };
        let tally = run_with(&order(), &mut worker, silence, &mut |_| ()).unwrap();
        (tally, firsts)
    }

    #[test]
    fn a_worker_that_ends_well_is_the_only_one() {
        let lines = [&[well()][..], &(0..4).map(|n| record(n, false)).collect::<Vec<_>>()].concat();
        let (tally, firsts) = campaign(&[(&lines, "exit 0")], SILENCE);
        assert_eq!((firsts, tally.vmm_deaths, tally.injected()), (vec![0], 0, 4));
    }

    #[test]
    fn a_death_is_counted_and_its_fault_passed_over() {
        let first = [well(), record(0, false)];
        let second = [well(), record(2, false), record(3, false)];
        let (tally, firsts) = campaign(&[(&first, "kill -9 $$"), (&second, "exit 0")], SILENCE);
        assert_eq!((firsts, tally.vmm_deaths), (vec![0, 2], 1));
    }

    #[test]
    fn a_worker_that_lost_its_victim_has_not_died() {
        let first = [well(), record(0, false), record(1, true)];
        let second = [well(), record(2, false), record(3, false)];
        let (tally, firsts) = campaign(&[(&first, "exit 1"), (&second, "exit 0")], SILENCE);
        assert_eq!((firsts, tally.vmm_deaths, tally.lost()), (vec![0, 2], 0, 1));
    }

    #[test]
    fn a_worker_that_says_nothing_is_ended_and_counted() {
        let first = [well(), record(0, false)];
        let second = [well(), record(2, false), record(3, false)];
        let (tally, firsts) = campaign(
            &[(&first, "exec sleep 600"), (&second, "exit 0")],
            Duration::from_millis(500),
        );
        assert_eq!((firsts, tally.vmm_hangs, tally.vmm_deaths), (vec![0, 2], 1, 0));
    }

    #[test]
    fn a_worker_that_cannot_begin_is_no_finding() {
        let mut worker = |_| {
            let mut command = Command::new("sh");
            command.args(["-c", "exit 5"]);
            command
        };
        let error = run_with(&order(), &mut worker, SILENCE, &mut |_| ()).unwrap_err();
        assert!(matches!(error, CampaignError::Stillborn { .. }), "{error}");
    }
}
