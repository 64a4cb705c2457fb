//! How often a domain leaves its micro-VM when it crashes and comes back: counted, not timed.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::case::{Beginning, Fault};
use super::control::Control;
use super::echo::Client;
use super::rig::AGE;
use super::system::{WORK, domain, sleepless};
use crate::bench::atoll::AtollError;
use crate::bench::embed::Embedded;
use crate::journal::EventKind;

/// Restarts that are counted together.
const RESTARTS: u32 = 10;
/// How long this process looks for an answer.
pub(super) const SPIN: Duration = Duration::from_secs(1);

/// Exits of restarts of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Exits {
    /// How the server ended.
    pub fault: Fault,
    /// From where it began again.
    pub from: Beginning,
    /// Exits to the VMM of each restart, up to the first reply.
    pub exits: f64,
}

/// Counts the exits of each of these faults. The domain never sleeps meanwhile, so it leaves its
/// micro-VM for nothing else.
pub(super) fn exits(
    images: &Path,
    from: Beginning,
    faults: &[Fault],
) -> Result<Vec<Exits>, AtollError> {
    let (manifest, ports) = (sleepless(from), [(domain(0), WORK)]);
    let mut counted = Ok(Vec::new());
    Embedded { images, manifest: &manifest, ports: &ports, spin: Some(SPIN), settled: true }.run(
        |ends, socket| {
            counted = (|| {
                let mut channels = ends.channels.into_iter();
                let channel = channels.next();
                let channel =
                    channel.ok_or_else(|| AtollError::Impossible("no channel".to_owned()))?;
                let (mut client, mut control) = (Client::new(channel), Control::at(socket)?);
                faults.iter().map(|&fault| of(&mut client, &mut control, fault, from)).collect()
            })();
        },
    )?;
    counted
}

fn of(
    client: &mut Client,
    control: &mut Control,
    fault: Fault,
    from: Beginning,
) -> Result<Exits, AtollError> {
    client.echo()?;
    let before = total(control)?;
    for _ in 0..RESTARTS {
        thread::sleep(AGE);
        client.crash(fault, control, &domain(0))?;
    }
    let exits = (total(control)? - before) as f64 / f64::from(RESTARTS);
    let began_elsewhere = control.events()?.into_iter().any(|event| {
        matches!(event.kind, EventKind::DomainRestarted { origin, .. } if origin != from.origin())
    });
    if began_elsewhere {
        let word = from.word();
        return Err(AtollError::Impossible(format!("a restart from elsewhere than its {word}")));
    }
    Ok(Exits { fault, from, exits })
}

fn total(control: &Control) -> Result<u64, AtollError> {
    Ok(control.exits(&domain(0))?.values().sum())
}
