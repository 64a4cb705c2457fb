//! From bytes to a [`Manifest`], or to everything that is wrong with them.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::DeTable;

use crate::journal::printable;

use super::disks;
use super::domain::{domain, name};
use super::error::{ManifestError, Problem, Rule};
use super::links::Links;
use super::name::DomainName;
use super::source::Source;
use super::supervision::supervision;
use super::table::{Found, Problems, Table, in_order, wrong_type};
use super::types::{Domain, Manifest};

pub(super) const KEYS: [&str; 7] =
    ["name", "domains", "channels", "gateways", "disks", "supervision", "groups"];

/// Longest piece of the text that a syntax error quotes, in bytes.
const SHORT: usize = 40;

impl Manifest {
    /// Reads a manifest file.
    ///
    /// # Errors
    /// When it cannot be read, or is not a manifest.
    pub fn load(file: &Path) -> Result<Self, ManifestError> {
        let bytes = std::fs::read(file)
            .map_err(|source| ManifestError::Unreadable { file: file.to_owned(), source })?;
        Self::parse(&bytes, file)
    }

    /// Reads a manifest's bytes. `file` names it in messages, and images with a relative path
    /// are sought in its directory.
    ///
    /// # Errors
    /// When they are not a manifest: with all that is wrong, or, if it is not even TOML, with
    /// all that is wrong about that.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, ManifestError> {
        let text = utf8(bytes, file)?;
        let source = Source::new(file, text);
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut problems = Problems { source, found: Vec::new() };
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            problems.at(&span, Rule::Syntax { message: syntax(&error, text.get(span.clone())) });
        }
        let manifest = if problems.found.is_empty() { system(&root, &mut problems) } else { None };
        match manifest {
            Some(manifest) if problems.found.is_empty() => Ok(manifest),
            _ => Err(invalid(problems.found)),
        }
    }

    /// The file that this was read from, as it was named.
    pub fn file(&self) -> &Path {
        self.source.file()
    }

    /// The text that this was read from.
    pub fn text(&self) -> &Arc<str> {
        self.source.text()
    }
}

/// The problems as an error, in the order of the file.
pub(super) fn invalid(mut problems: Vec<Problem>) -> ManifestError {
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    ManifestError::Invalid(problems)
}

/// The parser's message on one line, with the text that it is about.
fn syntax(error: &toml::de::Error, about: Option<&str>) -> String {
    let message = printable(error.message()).replace("\\n", "; ");
    match about.map(printable) {
        Some(about) if (1..=SHORT).contains(&about.len()) && !message.contains(&about) => {
            format!("{message}, at `{about}`")
        }
        _ => message,
    }
}

fn utf8<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str, ManifestError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let place = Source::new(file, &good).place(good.len());
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        ManifestError::Invalid(vec![Problem { place, rule: Rule::Encoding { byte } }])
    })
}

/// `None` only if a problem was noted.
fn system<'a>(root: &'a Spanned<DeTable<'a>>, problems: &mut Problems) -> Option<Manifest> {
    let table = Table::open((root.get_ref(), 0..0), "the manifest", &KEYS, problems);
    let title = table.required("name", "name = \"kv\"", problems);
    let title = title.and_then(|text| name("name", &text, problems));
    let (known, domains) = domains(&table, problems);
    let mut links = Links::new(&known);
    let channels = table.tables("channels", problems);
    let channels = channels.into_iter().filter_map(|t| links.channel(t, problems)).collect();
    let gateways = table.tables("gateways", problems);
    let gateways = gateways.into_iter().filter_map(|t| links.gateway(t, problems)).collect();
    let disks = disks::disks(&table, &mut links, problems);
    let supervision = supervision(&table, &known, &domains, problems);
    links.bailouts(&supervision, problems);
    let (name, source) = (title?, problems.source.clone());
    Some(Manifest { name, domains, channels, gateways, disks, supervision, source })
}

/// The names that are taken, and those domains that are in order.
fn domains(
    system: &Table<'_>,
    problems: &mut Problems,
) -> (Vec<DomainName>, IndexMap<DomainName, Domain>) {
    let (mut known, mut domains) = (Vec::new(), IndexMap::new());
    let Some(value) = system.get("domains") else {
        problems.at(&(0..0), Rule::NoDomains);
        return (known, domains);
    };
    let Some(tables) = value.get_ref().as_table() else {
        wrong_type("domains", value, "tables, each headed `[domains.NAME]`", problems);
        return (known, domains);
    };
    if tables.is_empty() {
        problems.at(&value.span(), Rule::NoDomains);
    }
    for (key, value) in in_order(tables) {
        let key_text = Found { value: key.get_ref().as_ref(), span: key.span() };
        let Some(name) = name("domains", &key_text, problems) else { continue };
        known.push(name);
        if let Some(domain) = domain(name, value, problems) {
            domains.insert(name, domain);
        }
    }
    (known, domains)
}
