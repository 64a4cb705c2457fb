//! Reading `[supervision]` and `[groups.NAME]`: limits, strategies, and who is in whom.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::domain::{name, word};
use super::super::name::GroupName;
use super::super::nearest::nearest;
use super::super::source::Span;
use super::super::table::{Found, Problems, Table, in_order, wrong_type};
use super::duration::duration;
use super::error::SupervisionRule;
use super::types::{Escalation, Group, Policy, ROOT, Strategy};
use crate::journal::printable;

/// Keys of `[supervision]`.
pub(in super::super) const SYSTEM_KEYS: [&str; 6] =
    ["strategy", "intensity", "period", "escalation", "bailout", "bailout-deadline"];
/// Keys of `[groups.NAME]`.
pub(in super::super) const GROUP_KEYS: [&str; 6] =
    ["parent", "strategy", "intensity", "period", "escalation", "bailout"];

/// A group as it is written, and where.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) group: Group,
    pub(super) bailout: Option<Found<&'a str>>,
    /// Where the group's table begins.
    pub(super) at: Span,
    /// Some group is in it, as it is written.
    pub(super) is_parent: bool,
    parent: Option<Found<&'a str>>,
}

/// All groups, the root first, then in the order of the file; and how long a bailout may take.
pub(super) fn groups<'a>(
    system: &Table<'a>,
    problems: &mut Problems,
) -> (Vec<Written<'a>>, Duration) {
    let (root, deadline) = root(system, problems);
    let mut groups = vec![root];
    if let Some(value) = system.get("groups") {
        match value.get_ref().as_table() {
            Some(tables) => {
                let read = |(key, value): (&'a Spanned<_>, _)| group(key, value, problems);
                groups.extend(in_order(tables).into_iter().filter_map(read));
            }
            None => wrong_type("groups", value, "tables, each headed `[groups.NAME]`", problems),
        }
    }
    find_parents(&mut groups, problems);
    refuse_cycles(&mut groups, problems);
    (groups, deadline)
}

fn root<'a>(system: &Table<'a>, problems: &mut Problems) -> (Written<'a>, Duration) {
    let entries = system.get("supervision").and_then(|value| {
        let entries = value.get_ref().as_table();
        if entries.is_none() {
            wrong_type("supervision", value, "a table", problems);
        }
        Some((entries?, value.span()))
    });
    let Some(entries) = entries else {
        let (group, at) = (limits(None, None, problems), 0..0);
        return (
            Written { group, bailout: None, at, is_parent: false, parent: None },
            Policy::BAILOUT_DEADLINE,
        );
    };
    let at = entries.1.clone();
    let table = Table::open(entries, "`[supervision]`", &SYSTEM_KEYS, problems);
    let group = limits(None, Some(&table), problems);
    let bailout = table.text("bailout", problems);
    let deadline = duration(&table, "bailout-deadline", "100 ms", problems);
    let deadline = deadline.map_or(Policy::BAILOUT_DEADLINE, |found| found.value);
    (Written { group, bailout, at, is_parent: false, parent: None }, deadline)
}

/// `None` only if a problem was noted.
fn group<'a>(
    key: &'a Spanned<toml::de::DeString<'a>>,
    value: &'a Spanned<DeValue<'a>>,
    problems: &mut Problems,
) -> Option<Written<'a>> {
    let at = key.span();
    let text = Found { value: key.get_ref().as_ref(), span: at.clone() };
    if text.value == ROOT {
        problems.at(&at, SupervisionRule::RootGroup.into());
        return None;
    }
    let name: GroupName = name("groups", &text, problems)?;
    let Some(entries) = value.get_ref().as_table() else {
        wrong_type(&format!("groups.{name}"), value, "a table", problems);
        return None;
    };
    let title = format!("`[groups.{name}]`");
    let table = Table::open((entries, value.span()), &title, &GROUP_KEYS, problems);
    let group = limits(Some(name), Some(&table), problems);
    let bailout = table.text("bailout", problems);
    let parent = table.text("parent", problems);
    Some(Written { group, bailout, at, is_parent: false, parent })
}

/// A group with its own limits, or those that are usual.
fn limits(name: Option<GroupName>, table: Option<&Table<'_>>, problems: &mut Problems) -> Group {
    let mut group = Group {
        parent: name.as_ref().map(|_| 0),
        name,
        strategy: Strategy::default(),
        intensity: Group::INTENSITY,
        period: Group::PERIOD,
        escalation: Escalation::default(),
        children: Vec::new(),
    };
    if let Some(table) = table {
        group.strategy = one_of(table, "strategy", &Strategy::WORDS, problems);
        group.intensity = intensity(table, problems);
        let period = duration(table, "period", "5 s", problems);
        group.period = period.map_or(Group::PERIOD, |found| found.value);
        group.escalation = one_of(table, "escalation", &Escalation::WORDS, problems);
    }
    group
}

fn intensity(table: &Table<'_>, problems: &mut Problems) -> u32 {
    let Some(found) = table.integer("intensity", problems) else { return Group::INTENSITY };
    let value = found.value.small().filter(|value| (1..=Group::INTENSITY_MAX).contains(value));
    value.unwrap_or_else(|| {
        let rule = SupervisionRule::Intensity { value: found.value.written };
        problems.at(&found.span, rule.into());
        Group::INTENSITY
    })
}

/// What one of a few words stands for; the default when the key is absent.
pub(super) fn one_of<T: Copy + Default>(
    table: &Table<'_>,
    key: &'static str,
    words: &[(&'static str, T)],
    problems: &mut Problems,
) -> T {
    let known = words.iter().map(|(word, _)| (*word).to_owned()).collect();
    let unknown = |value, nearest| SupervisionRule::Word { key, value, nearest, known }.into();
    word(table, key, words, problems, unknown)
}

/// The group that a text names; `None` only if a problem was noted.
pub(super) fn find(
    groups: &[Written<'_>],
    key: &'static str,
    text: &Found<&str>,
    problems: &mut Problems,
) -> Option<usize> {
    if text.value == ROOT {
        return Some(0);
    }
    let named = |written: &Written<'_>| written.group.name;
    let found = groups
        .iter()
        .position(|written| named(written).is_some_and(|name| name.as_str() == text.value));
    if found.is_none() {
        let names: Vec<_> = groups.iter().map(|written| written.group.title().to_owned()).collect();
        let rule = SupervisionRule::UnknownGroup {
            key,
            group: printable(text.value),
            nearest: nearest(text.value, names.iter().map(String::as_str)).map(str::to_owned),
            known: names,
        };
        problems.at(&text.span, rule.into());
    }
    found
}

fn find_parents(groups: &mut [Written<'_>], problems: &mut Problems) {
    for index in 1..groups.len() {
        if let Some(text) = groups[index].parent.clone() {
            let parent = find(groups, "parent", &text, problems).unwrap_or(0);
            groups[index].group.parent = Some(parent);
            groups[parent].is_parent = true;
        }
    }
}

/// Notes each ring of groups once, and opens it so that the others can be looked at.
fn refuse_cycles(groups: &mut [Written<'_>], problems: &mut Problems) {
    for start in 1..groups.len() {
        let mut path = vec![start];
        let mut at = groups[start].group.parent;
        while let Some(index) = at.filter(|index| *index != start && path.len() <= groups.len()) {
            path.push(index);
            at = groups[index].group.parent;
        }
        if at != Some(start) {
            continue;
        }
        path.push(start);
        let path = path.iter().map(|index| groups[*index].group.title().to_owned()).collect();
        let span = groups[start].parent.as_ref().map_or(&groups[start].at, |text| &text.span);
        problems.at(span, SupervisionRule::GroupCycle { path }.into());
        groups[start].group.parent = Some(0);
    }
}
