//! The systems: kv alone, as `images/kv.toml` has it, and kv with a store, as
//! `images/durable-kv.toml` has it.

use std::path::{Path, PathBuf};

/// The domain that clients talk to.
const KV: &str = "kv";
/// The domain that keeps what kv is told.
const STORE: &str = "store";
/// Both: when the store fails, kv begins anew with it.
const GROUP: &str = "durable";
/// Where crashes are the point, they are never too many.
const FREELY: &str = "intensity = 1_000_000\nperiod = \"1 s\"\n";

/// A kv, and what it has.
#[derive(Clone, Debug)]
pub(in crate::bench) struct System {
    /// Memory of kv, in MiB.
    pub(in crate::bench) memory: u64,
    /// Memory that a restart of kv keeps, in MiB; none at 0.
    pub(in crate::bench) state: u64,
    /// Where it keeps what it is told, if it does.
    pub(in crate::bench) log: Option<Log>,
    /// Whether clients may have it fault.
    pub(in crate::bench) debug: bool,
}

/// A store's disk.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Log {
    /// The file.
    pub(in crate::bench) file: PathBuf,
    /// Its size, in MiB.
    pub(in crate::bench) size: u64,
    /// Memory of the store, in MiB.
    pub(in crate::bench) memory: u64,
}

impl System {
    /// Its manifest; the gateway listens at `socket`.
    pub(in crate::bench) fn manifest(&self, socket: &Path) -> String {
        let mut text = "name = \"bench\"\n".to_owned();
        if self.debug {
            text += &format!("[supervision]\n{FREELY}");
        }
        if let Some(log) = &self.log {
            text += &log.manifest(self.debug);
        }
        text += &self.kv();
        let listen = socket.display();
        text + &format!("[[gateways]]\nlisten = \"unix:{listen}\"\nto = \"{KV}:redis\"\n")
    }

    fn kv(&self) -> String {
        let Self { memory, state, log, debug } = self;
        let wait = if log.is_some() { "blocking" } else { "200 us" };
        let mut arguments = Vec::new();
        arguments.extend(debug.then_some("\"debug=yes\""));
        arguments.extend(log.as_ref().map(|_| "\"durable=yes\""));
        let mut text = format!(
            "[domains.{KV}]\nimage = \"kv\"\nmemory = \"{memory} MiB\"\nwait = \"{wait}\"\n\
             arguments = [{}]\n",
            arguments.join(", ")
        );
        if *state > 0 {
            text += &format!("state = \"{state} MiB\"\n");
        }
        if log.is_some() {
            text += &format!("group = \"{GROUP}\"\n");
        }
        text
    }
}

impl Log {
    fn manifest(&self, freely: bool) -> String {
        let Self { file, size, memory } = self;
        // A path in quotes may have anything but these.
        let file = file.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
        let freely = if freely { FREELY } else { "" };
        format!(
            "[groups.{GROUP}]\nstrategy = \"rest-for-one\"\n{freely}\
             [domains.{STORE}]\nimage = \"store\"\nmemory = \"{memory} MiB\"\n\
             wait = \"1 ms\"\ngroup = \"{GROUP}\"\n\
             [[channels]]\nfrom = \"{KV}\"\nas = \"store\"\nto = \"{STORE}:store\"\n\
             buffers = \"32 MiB\"\n\
             [disks.log]\nfile = \"{file}\"\nsize = \"{size} MiB\"\ndomain = \"{STORE}\"\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn parsed(system: &System) -> Manifest {
        let text = system.manifest(Path::new("/run/kv"));
        Manifest::parse(text.as_bytes(), Path::new("/etc/bench.toml")).unwrap()
    }

    #[test]
    fn the_system_is_one_that_can_be() {
        let manifest = parsed(&System { memory: 256, state: 0, log: None, debug: true });
        assert_eq!(manifest.gateways[0].to.to_string(), "kv:redis");
        assert!(manifest.disks.is_empty());
    }

    #[test]
    fn a_store_starts_first_and_has_the_disk() {
        for debug in [false, true] {
            let file = PathBuf::from("/tmp/a \"b\" \\c/log");
            let log = Some(Log { file: file.clone(), size: 64, memory: 32 });
            let manifest = parsed(&System { memory: 256, state: 0, log, debug });
            let domains: Vec<_> = manifest.domains.keys().map(|name| name.as_str()).collect();
            assert_eq!(domains, [STORE, KV]);
            assert_eq!(manifest.channels[0].to.to_string(), "store:store");
            let disk = manifest.disks.values().next().unwrap();
            assert_eq!((disk.domain.as_str(), &disk.file), (STORE, &file));
        }
    }
}
