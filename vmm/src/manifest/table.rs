//! Reading one TOML table: known keys, values of the right type, and a note of all that is wrong.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::journal::printable;

use super::error::{Problem, Rule, words};
use super::nearest::nearest;
use super::source::{Source, Span};

/// What is wrong so far.
#[derive(Debug)]
pub(super) struct Problems {
    pub(super) source: Source,
    pub(super) found: Vec<Problem>,
}

impl Problems {
    pub(super) fn at(&mut self, span: &Span, rule: Rule) {
        self.found.push(Problem { place: self.source.place(span.start), rule });
    }

    pub(super) fn line(&self, span: &Span) -> usize {
        self.source.place(span.start).line
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// An integer as written, and its value unless negative or beyond 64 bits.
#[derive(Clone, Debug)]
pub(super) struct Integer {
    pub(super) written: String,
    pub(super) value: Option<u64>,
}

impl Integer {
    /// The value, if 32 bits hold it.
    pub(super) fn small(&self) -> Option<u32> {
        self.value.and_then(|value| value.try_into().ok())
    }
}

/// A table whose keys are all known.
#[derive(Debug)]
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    span: Span,
    title: String,
}

impl<'a> Table<'a> {
    /// Opens a table, noting each key that is not `known`.
    pub(super) fn open(
        (entries, span): (&'a DeTable<'a>, Span),
        title: &str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Self {
        for key in entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let rule = Rule::UnknownKey {
                key: printable(key.get_ref()),
                table: title.to_owned(),
                nearest: nearest(key.get_ref(), known.iter().copied()).map(str::to_owned),
                known: words(known),
            };
            problems.at(&key.span(), rule);
        }
        Self { entries, span, title: title.to_owned() }
    }

    /// Opens a table whose keys were looked at before.
    pub(super) fn again((entries, span): (&'a DeTable<'a>, Span)) -> Self {
        Self { entries, span, title: String::new() }
    }

    /// A value of any type.
    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.get(key)
    }

    /// A string, if the key is there.
    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<Found<&'a str>> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            wrong_type(key, value, "a string", problems);
        }
        text.map(|text| Found { value: text, span: value.span() })
    }

    /// A string that must be there.
    pub(super) fn required(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Found<&'a str>> {
        self.required_value(key, example, problems)?;
        self.text(key, problems)
    }

    /// A value of any type that must be there.
    pub(super) fn required_value(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<&'a Spanned<DeValue<'a>>> {
        let value = self.get(key);
        if value.is_none() {
            let rule = Rule::MissingKey {
                key: key.to_owned(),
                table: self.title.clone(),
                example: example.to_owned(),
            };
            problems.at(&self.span, rule);
        }
        value
    }

    /// An integer, if the key is there.
    pub(super) fn integer(&self, key: &str, problems: &mut Problems) -> Option<Found<Integer>> {
        let value = self.get(key)?;
        let integer = as_integer(value);
        if integer.is_none() {
            wrong_type(key, value, "an integer", problems);
        }
        integer
    }

    /// A boolean; `false` if the key is absent.
    pub(super) fn flag(&self, key: &str, problems: &mut Problems) -> bool {
        let Some(value) = self.get(key) else { return false };
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            wrong_type(key, value, "`true` or `false`", problems);
        }
        flag.unwrap_or_default()
    }

    /// An array's elements, if the key is there.
    pub(super) fn array(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<Found<&'a [Spanned<DeValue<'a>>]>> {
        let value = self.get(key)?;
        let array = value.get_ref().as_array();
        if array.is_none() {
            wrong_type(key, value, expected, problems);
        }
        array.map(|array| Found { value: array.as_ref(), span: value.span() })
    }

    /// The tables of an array of tables; none if the key is absent.
    pub(super) fn tables(
        &self,
        key: &str,
        problems: &mut Problems,
    ) -> Vec<(&'a DeTable<'a>, Span)> {
        let expected = format!("an array of tables, each headed `[[{key}]]`");
        let elements = self.array(key, &expected, problems).map_or(&[][..], |found| found.value);
        let mut tables = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            match element.get_ref().as_table() {
                Some(table) => tables.push((table, element.span())),
                None => wrong_type(&format!("{key}[{index}]"), element, "a table", problems),
            }
        }
        tables
    }
}

/// A key with its value.
pub(super) type Entry<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// A table's entries in the order of the file; the parser keeps them in that of the alphabet.
pub(super) fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The value as an integer, if it is one.
pub(super) fn as_integer(value: &Spanned<DeValue<'_>>) -> Option<Found<Integer>> {
    let integer = value.get_ref().as_integer()?;
    let read = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
    let found = Integer { written: integer.to_string(), value: read };
    Some(Found { value: found, span: value.span() })
}

/// Notes a value of another type than `expected`.
pub(super) fn wrong_type(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    expected: &str,
    problems: &mut Problems,
) {
    let rule = Rule::WrongType {
        key: key.to_owned(),
        found: shown(value.get_ref()),
        expected: expected.to_owned(),
    };
    problems.at(&value.span(), rule);
}

/// A value in words: itself if it is short, otherwise its type.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string `{}`", printable(text)),
        DeValue::Integer(integer) => format!("the integer {integer}"),
        DeValue::Float(float) => format!("the number {}", float.as_str()),
        DeValue::Boolean(boolean) => format!("the boolean {boolean}"),
        DeValue::Datetime(datetime) => format!("the date {datetime}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
