//! Which domains depend on what is on disks.

use indexmap::IndexMap;

use super::name::{DiskName, DomainName};
use super::types::Manifest;

impl Manifest {
    /// The domains that have a disk, and those that call one of them, directly or through others:
    /// each with the disk. What they have in memory follows what is in its file.
    pub fn on_disks(&self) -> IndexMap<DomainName, DiskName> {
        let owners = self.disks.iter().map(|(name, disk)| (disk.domain, *name));
        let mut found: IndexMap<_, _> = owners.collect();
        loop {
            let callers = self.channels.iter().filter(|channel| !found.contains_key(&channel.from));
            let callers = callers.filter_map(|channel| {
                found.get(&channel.to.domain).map(|disk| (channel.from, *disk))
            });
            let callers: Vec<_> = callers.collect();
            if callers.is_empty() {
                return found;
            }
            found.extend(callers);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn who_calls_one_with_a_disk_depends_on_it_and_so_on() {
        let domains = ["store", "kv", "front", "logger", "other"];
        let tables = domains.map(|name| format!("[domains.{name}]\nimage = \"echo\"\n"));
        let calls = [("front", "kv"), ("kv", "store"), ("kv", "logger"), ("other", "logger")];
        let channels = calls.map(|(from, to)| {
            format!("[[channels]]\nfrom = \"{from}\"\nto = \"{to}:echo\"\nas = \"to-{to}\"\n")
        });
        let disk = "[disks.data]\nfile = \"x.disk\"\nsize = \"1 MiB\"\ndomain = \"store\"\n";
        let text = format!("name = \"x\"\n{}{}{disk}", tables.concat(), channels.concat());
        let manifest = Manifest::parse(text.as_bytes(), Path::new("x.toml")).unwrap();
        let mut found: Vec<_> =
            manifest.on_disks().iter().map(|(name, disk)| format!("{name} {disk}")).collect();
        found.sort();
        assert_eq!(found, ["front data", "kv data", "store data"]);
    }
}
