//! The system in which restarts are measured: a domain for each case, all of which take turns.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::case::{Beginning, Case, Server};

/// The port of a load server that takes messages.
pub(in crate::bench) const WORK: &str = "work";

/// The name of a case's domain.
pub(super) fn domain(number: usize) -> String {
    format!("case{number}")
}

/// Where the gateway of a case's domain listens, if it has one.
pub(super) fn socket(place: &Path, number: usize) -> PathBuf {
    place.join(format!("case{number}.sock"))
}

/// The system.
pub(super) fn manifest(cases: &[Case], place: &Path) -> String {
    // Crashes are the point here: they are never too many.
    let mut text =
        String::from("name = \"bench\"\n[supervision]\nintensity = 1_000_000\nperiod = \"1 s\"\n");
    for (number, case) in cases.iter().enumerate() {
        let domain = domain(number);
        let image = match case.server {
            Server::Echo => "image = \"load\"\nmemory = \"64 MiB\"\narguments = [\"take\"]",
            Server::Kv => "image = \"kv\"\nmemory = \"64 MiB\"\narguments = [\"debug=yes\"]",
        };
        let from = case.from.word();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[domains.{domain}]\n{image}\nrestart-from = \"{from}\"");
        if case.server == Server::Kv {
            let listen = socket(place, number);
            let _ = writeln!(
                text,
                "[[gateways]]\nlisten = \"unix:{}\"\nto = \"{domain}:redis\"",
                listen.display()
            );
        }
    }
    text
}

/// A system of one domain that never sleeps, so that all of its exits are those of restarts.
pub(super) fn sleepless(from: Beginning) -> String {
    format!(
        "name = \"bench\"\n[supervision]\nintensity = 1_000_000\nperiod = \"1 s\"\n\
         [domains.{}]\nimage = \"load\"\nmemory = \"64 MiB\"\narguments = [\"take\"]\n\
         wait = \"polling\"\nrestart-from = \"{}\"\n",
        domain(0),
        from.word()
    )
}

#[cfg(test)]
mod tests {
    use super::super::case::cases;
    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn every_case_has_a_domain_that_can_be() {
        let cases = cases(false);
        let text = manifest(&cases, Path::new("/run/bench"));
        let parsed = Manifest::parse(text.as_bytes(), Path::new("bench.toml")).unwrap();
        assert_eq!(parsed.domains.len(), cases.len());
        let kv = cases.iter().filter(|case| case.server == Server::Kv).count();
        assert_eq!(parsed.gateways.len(), kv);
        for from in [Beginning::Checkpoint, Beginning::Image] {
            let text = sleepless(from);
            Manifest::parse(text.as_bytes(), Path::new("bench.toml")).unwrap();
        }
    }
}
