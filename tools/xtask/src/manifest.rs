//! Owns what a system manifest means to the build: the images it needs, and what must change in the copy
//! that goes into the emulated machine.
//!
//! Whether the manifest is right is for the VMM to say; what makes no sense here is left as it is.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, TableLike};

use crate::emulate::Forward;

/// A manifest that can be read as TOML.
#[derive(Debug)]
pub struct Manifest {
    document: DocumentMut,
    /// Its directory, from which relative paths in it count.
    directory: PathBuf,
}

/// The copy for the emulated machine, and what it needs around it.
#[derive(Debug)]
pub struct Copy {
    /// The changed manifest.
    pub text: String,
    /// Host addresses that lead to its gateways.
    pub forwards: Vec<Forward>,
    /// Image files that it names by path: the host's file, and its path in the machine.
    pub files: Vec<(PathBuf, String)>,
    /// What cannot be reached from outside, and why.
    pub notes: Vec<String>,
}

impl Manifest {
    /// Reads the manifest at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the manifest {}", path.display()))?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, directory).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str, directory: PathBuf) -> Result<Self> {
        Ok(Self { document: text.parse()?, directory })
    }

    /// The names of the images that its domains use, but for those given by path.
    pub fn image_names(&self) -> BTreeSet<String> {
        let mut document = self.document.clone();
        let mut names = BTreeSet::new();
        for_each(&mut document, "domains", "image", |item| {
            if let Some(name) = item.as_str().filter(|name| !is_path(name)) {
                names.insert(name.to_owned());
            }
        });
        names
    }

    /// Makes the copy. In it TCP gateways listen on every address of the machine, since those of the
    /// host are not there, and images given by path are where they will be shipped.
    pub fn for_emulation(&self) -> Copy {
        let mut document = self.document.clone();
        let mut forwards = Vec::new();
        let mut notes = Vec::new();
        for_each(&mut document, "gateways", "listen", |item| {
            let Some(listen) = item.as_str().map(str::to_owned) else { return };
            match forward(&listen, &forwards) {
                Ok(forward) => {
                    replace(item, &format!("0.0.0.0:{}", forward.port));
                    forwards.push(forward);
                }
                Err(reason) => {
                    notes.push(format!("the gateway at {listen} stays inside: {reason}"))
                }
            }
        });
        let mut files = Vec::new();
        for_each(&mut document, "domains", "image", |item| {
            let Some(path) = item.as_str().filter(|path| is_path(path)) else { return };
            let host = self.directory.join(path);
            let inside = format!("/atoll/files/{}.img", files.len());
            replace(item, &inside);
            files.push((host, inside));
        });
        Copy { text: document.to_string(), forwards, files, notes }
    }
}

/// An image is given by path, not by name, if it looks like one.
fn is_path(image: &str) -> bool {
    image.contains('/') || image.ends_with(".img")
}

/// The forwarding that `listen` asks for. Inside, its port is kept unless another gateway has it.
fn forward(listen: &str, taken: &[Forward]) -> Result<Forward, &'static str> {
    if listen.starts_with("unix:") {
        return Err("a Unix socket cannot be forwarded out of the machine");
    }
    let host: SocketAddrV4 =
        listen.parse().map_err(|_| "only IPv4 addresses with a port are forwarded")?;
    let mut port = host.port();
    if port == 0 {
        return Err("port 0 is chosen inside, too late to be forwarded");
    }
    while taken.iter().any(|other| other.port == port) {
        port = port.checked_add(1).unwrap_or(1024);
    }
    Ok(Forward { host, port })
}

/// Calls `visit` on the value of `key` in each entry of `section`, be it a table of tables or a list.
fn for_each(
    document: &mut DocumentMut,
    section: &str,
    key: &str,
    mut visit: impl FnMut(&mut Item),
) {
    let Some(section) = document.get_mut(section) else { return };
    let mut visit_entry = |entry: &mut dyn TableLike| {
        if let Some(item) = entry.get_mut(key) {
            visit(item);
        }
    };
    if let Some(entries) = section.as_array_of_tables_mut() {
        entries.iter_mut().for_each(|entry| visit_entry(entry));
    } else if let Some(entries) = section.as_table_like_mut() {
        let tables = entries.iter_mut().filter_map(|(_, item)| item.as_table_like_mut());
        tables.for_each(visit_entry);
    } else if let Some(entries) = section.as_array_mut() {
        let tables = entries.iter_mut().filter_map(|value| value.as_inline_table_mut());
        tables.for_each(|entry| visit_entry(entry));
    }
}

/// Puts `text` in the place of a value, whose surroundings (blanks, comments) stay.
fn replace(item: &mut Item, text: &str) {
    if let Some(value) = item.as_value_mut() {
        let decor = value.decor().clone();
        *value = text.into();
        *value.decor_mut() = decor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV: &str = r#"
name = "kv"
[domains.kv]
image = "kv"
[domains.front]
image = "relay"      # by name
[domains.own]
image = "own/thing.img"
[[gateways]]
listen = "127.0.0.1:6379" # redis
to = "kv:redis"
[[gateways]]
listen = "127.0.0.2:6379"
to = "front:main"
[[gateways]]
listen = "unix:/run/kv.sock"
to = "kv:redis"
[[gateways]]
listen = "[::1]:7000"
to = "kv:redis"
"#;

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(text, PathBuf::from("/m")).unwrap()
    }

    fn rule(host: &str, port: u16) -> Forward {
        Forward { host: host.parse().unwrap(), port }
    }

    #[test]
    fn images_by_name_are_those_to_build() {
        let names: Vec<_> = manifest(KV).image_names().into_iter().collect();
        assert_eq!(names, ["kv", "relay"]);
    }

    #[test]
    fn the_copy_listens_everywhere_and_is_forwarded_from_the_same_address() {
        let copy = manifest(KV).for_emulation();
        assert_eq!(copy.forwards, [rule("127.0.0.1:6379", 6379), rule("127.0.0.2:6379", 6380)]);
        assert!(copy.text.contains("listen = \"0.0.0.0:6379\" # redis"), "{}", copy.text);
        assert!(copy.text.contains("listen = \"0.0.0.0:6380\""), "{}", copy.text);
    }

    #[test]
    fn what_cannot_be_forwarded_is_kept_and_said() {
        let copy = manifest(KV).for_emulation();
        assert!(copy.text.contains("listen = \"unix:/run/kv.sock\""));
        assert!(copy.text.contains("listen = \"[::1]:7000\""));
        assert_eq!(copy.notes.len(), 2);
        assert!(copy.notes[0].contains("unix:/run/kv.sock"), "{:?}", copy.notes);
        assert!(copy.notes[1].contains("IPv4"), "{:?}", copy.notes);
    }

    #[test]
    fn images_by_path_count_from_the_manifest_and_are_shipped() {
        let copy = manifest(KV).for_emulation();
        let shipped = (PathBuf::from("/m/own/thing.img"), "/atoll/files/0.img".to_owned());
        assert_eq!(copy.files, [shipped]);
        assert!(copy.text.contains("image = \"/atoll/files/0.img\""));
    }

    #[test]
    fn inline_tables_are_read_too() {
        let text = "domains = { a = { image = \"echo\" } }\n\
            gateways = [{ listen = \"0.0.0.0:80\", to = \"a:b\" }, { listen = \"0.0.0.0:0\" }]\n";
        let manifest = manifest(text);
        assert_eq!(manifest.image_names().into_iter().collect::<Vec<_>>(), ["echo"]);
        let copy = manifest.for_emulation();
        assert_eq!(copy.forwards, [rule("0.0.0.0:80", 80)]);
        assert_eq!(copy.notes.len(), 1);
    }

    #[test]
    fn nonsense_is_left_to_the_vmm() {
        let text = "domains = 3\ngateways = [1, { listen = 5 }]\n";
        let copy = manifest(text).for_emulation();
        assert_eq!(copy.text, text);
        assert!(manifest(text).image_names().is_empty());
    }
}
