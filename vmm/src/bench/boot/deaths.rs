//! What it costs that one domain ends, alone and among many: both systems are there at the same
//! time, and one domain of each is ended in turns.
//!
//! A kill's time depends on which of the client, the control API, the nucleus and the vCPU have a
//! processor just then, and stays at one of several levels for dozens of kills. Two series, one
//! after the other, differ by that more than by anything else; in turns, both have the same levels.

use std::fmt::Write;
use std::path::Path;
use std::thread;
use std::time::Instant;

use crate::bench::atoll::AtollError;
use crate::bench::embed::Embedded;
use crate::bench::restart::case::Fault;
use crate::bench::restart::control::Control;
use crate::bench::restart::echo::Client;
use crate::bench::restart::rig::AGE;
use crate::bench::restart::system::WORK;
use crate::system::HostEnds;

/// The domain that is ended.
const VICTIM: &str = "victim";

/// How it is ended.
pub(super) const ENDS: [Fault; 2] = [Fault::Kill, Fault::PageFault];

/// From before its end until the next reply, in nanoseconds: for each of [`ENDS`].
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths {
    /// In a system of its own.
    pub(super) alone: [Vec<u64>; ENDS.len()],
    /// In one with others.
    pub(super) among: [Vec<u64>; ENDS.len()],
}

/// A domain that is ended, and who ends it.
struct Victim {
    client: Client,
    control: Control,
    born: Instant,
}

/// Ends a domain so often in each way, alone and among so many.
pub(super) fn measure(images: &Path, domains: u32, times: u32) -> Result<Deaths, AtollError> {
    let mut measured = Err(AtollError::Impossible("no system".into()));
    let mut outcome = Ok(());
    with_victim(images, 1, |alone| {
        outcome = with_victim(images, domains, |among| {
            measured = alone.and_then(|alone| in_turns(alone, among?, times));
        });
    })?;
    outcome.and(measured)
}

fn with_victim(
    images: &Path,
    domains: u32,
    f: impl FnOnce(Result<Victim, AtollError>) + Send,
) -> Result<(), AtollError> {
    let (text, ports) = (manifest(domains), [(VICTIM.to_owned(), WORK)]);
    let system = Embedded { images, manifest: &text, ports: &ports, spin: None, settled: true };
    system.run(|ends, socket| f(Victim::new(ends, socket)))
}

fn manifest(domains: u32) -> String {
    // Ends are the point here: they are never too many.
    let mut text = format!(
        "name = \"bench\"\n[supervision]\nintensity = 1_000_000\nperiod = \"1 s\"\n\
         [domains.{VICTIM}]\nimage = \"load\"\nmemory = \"64 MiB\"\narguments = [\"take\"]\n"
    );
    for number in 1..domains {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[domains.domain{number}]\nimage = \"echo\"");
    }
    text
}

fn in_turns(mut alone: Victim, mut among: Victim, times: u32) -> Result<Deaths, AtollError> {
    let mut deaths = Deaths::default();
    for turn in 0..times {
        for (place, end) in ENDS.into_iter().enumerate() {
            let mut both =
                [(&mut alone, &mut deaths.alone[place]), (&mut among, &mut deaths.among[place])];
            // Neither always follows the other.
            if turn % 2 == 1 {
                both.reverse();
            }
            for (victim, found) in both {
                found.push(victim.end(end)?);
            }
        }
    }
    Ok(deaths)
}

impl Victim {
    fn new(ends: HostEnds, socket: &Path) -> Result<Self, AtollError> {
        let channel = ends.channels.into_iter().next();
        let channel = channel.ok_or_else(|| AtollError::Impossible("no channel".into()))?;
        let mut client = Client::new(channel);
        client.echo()?;
        Ok(Self { client, control: Control::at(socket)?, born: Instant::now() })
    }

    /// Ends it, when it is old enough to be restarted at once; nanoseconds until its next reply.
    fn end(&mut self, end: Fault) -> Result<u64, AtollError> {
        thread::sleep(AGE.saturating_sub(self.born.elapsed()));
        let seen = self.client.crash(end, &self.control, VICTIM)?;
        self.born = Instant::now();
        Ok(u64::try_from(seen.whole.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn the_victim_is_one_of_so_many() {
        for domains in [1, 10] {
            let text = manifest(domains);
            let parsed = Manifest::parse(text.as_bytes(), Path::new("bench.toml")).unwrap();
            assert_eq!(parsed.domains.len(), domains as usize);
        }
    }
}
