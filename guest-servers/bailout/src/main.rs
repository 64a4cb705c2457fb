//! A supervisor domain: has what failed restarted, but stops a crash loop and raises an alarm.
//!
//! | argument | meaning | default |
//! |---|---|---|
//! | `limit=N` | with this many faults of one domain it is in a crash loop … | 5 |
//! | `window-ms=N` | … if they came within this time | 10000 |
//!
//! A domain that is stopped stays down until an operator restarts it. The alarm is a log line at
//! level `error`, and, if the manifest gives this domain a channel `alarm`, bit 1 raised there.

#![no_std]
#![no_main]

extern crate alloc;

use core::fmt::Debug;
use core::str::FromStr;
use core::time::Duration;

use atoll::bailout::{Bailout, BailoutServer, Forecast, NUCLEUS, Report, Verdict};
use atoll::{Channel, Status, boot, clock};
use bailout::{Decision, Limit, Watch};

atoll::server! {
    name: "bailout",
    memory: 8 << 20,
    ports: [FAULTS: "faults" message speaks Bailout],
}

/// What is raised on the channel `alarm`.
const ALARM: u64 = 1;

struct Server {
    watch: Watch,
    alarm: Option<Channel>,
    alarms: u64,
}

fn main() -> u32 {
    let limit = Limit {
        faults: number("limit", 5),
        window: Duration::from_millis(number("window-ms", 10_000)),
    };
    let alarm = Channel::open("alarm").ok();
    let mut server = Server { watch: Watch::new(limit), alarm, alarms: 0 };
    loop {
        let message = FAULTS.receive();
        // Others may have channels to this port, but none of them is told of faults.
        if message.sender() == NUCLEUS {
            Bailout::dispatch(&mut server, message);
        } else {
            message.fail(Status::Denied);
        }
    }
}

impl BailoutServer for Server {
    fn faulted(&mut self, report: Report<'_>) -> Result<Verdict, Status> {
        let Report { domain, epoch, what, .. } = report;
        let top = report.backtrace.lines().next().unwrap_or("no backtrace");
        log::warn!("{domain} failed in epoch {epoch}: {what}; at {top}");
        Ok(match self.watch.fault(domain, clock::uptime()) {
            // Who would be left down anyway is not brought back by this server.
            Decision::Restart if report.forecast == Forecast::StayDown => Verdict::BuiltIn,
            Decision::Restart => Verdict::Restart,
            Decision::Stop => {
                self.raise_alarm(domain);
                Verdict::Hold
            }
        })
    }
}

impl Server {
    fn raise_alarm(&mut self, domain: &str) {
        self.alarms += 1;
        let number = self.alarms;
        log::error!("alarm {number}: {domain} is in a crash loop, and is held down");
        if let Some(alarm) = self.alarm {
            alarm.notify(ALARM);
        }
    }
}

/// A number that the manifest may give.
fn number<N: FromStr<Err: Debug>>(key: &str, default: N) -> N {
    match boot::argument(key).map(str::parse) {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(error)) => panic!("argument `{key}` is no number: {error:?}"),
    }
}
