//! Checking one section against its table of fields: what is wrong, missing or unknown, and what was meant.

use std::collections::BTreeMap;

use url::Url;

use super::document::{Table, Value};
use super::field::{Field, Found, Kind, Need, Section};
use super::problem::{Origin, Report, nearest};
use crate::units::{Rate, Span};

/// The checked values of one section, defaults in place. A getter of a key whose value was at fault gives its
/// type's zero: the report then holds a problem, and nothing made of these values is kept.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) path: String,
    pub(super) origin: Origin,
    values: BTreeMap<&'static str, Found>,
    given: BTreeMap<&'static str, Origin>,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.values.get(key) {
                Some(Found::$variant(value)) => Some(value.clone()),
                _ => None,
            }
        }
    };
}

impl Fields {
    getter!(text, Text, String);
    getter!(word, Word, &'static str);
    getter!(optional_span, Span, Span);
    getter!(rate, Rate, Rate);
    getter!(optional_integer, Integer, u64);
    getter!(address, Address, Url);
    getter!(table, Table, Self);

    pub(super) fn span(&self, key: &str) -> Span {
        self.optional_span(key).unwrap_or_default()
    }

    pub(super) fn integer(&self, key: &str) -> u64 {
        self.optional_integer(key).unwrap_or_default()
    }

    pub(super) fn number(&self, key: &str) -> f64 {
        match self.values.get(key) {
            Some(Found::Number(value)) => *value,
            _ => 0.0,
        }
    }

    /// Where the key's value was written, if it was.
    pub(super) fn given(&self, key: &str) -> Option<&Origin> {
        self.given.get(key)
    }

    /// Reports a problem with `key`, at its value if it was written, else at the section.
    pub(super) fn refuse(
        &self,
        key: &str,
        report: &mut Report<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.given(key).unwrap_or(&self.origin);
        report.add(at, &join(&self.path, key), message, help);
    }

    /// Reports each of `keys` that was written, because it means nothing here.
    pub(super) fn refuse_given(&self, keys: &[&str], report: &mut Report<'_>, because: &str) {
        for key in keys.iter().filter(|key| self.given.contains_key(**key)) {
            self.refuse(key, report, because, "take this line out");
        }
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Checks `table` against `section`: types, bounds, what is missing and what is unknown.
pub(super) fn check(
    section: &'static Section,
    table: &Table,
    path: &str,
    origin: &Origin,
    report: &mut Report<'_>,
) -> Fields {
    let mut fields = Fields {
        path: path.to_owned(),
        origin: origin.clone(),
        values: BTreeMap::new(),
        given: BTreeMap::new(),
    };
    for field in section.fields {
        let key = join(path, field.name);
        let Some(entry) = table.0.get(field.name) else {
            absent(field, &key, &mut fields, report);
            continue;
        };
        fields.given.insert(field.name, entry.node.origin.clone());
        let found = match (&field.kind, &entry.node.value) {
            (Kind::Table(inner), Value::Table(table)) => {
                Ok(Found::Table(check(inner, table, &key, &entry.node.origin, report)))
            }
            (kind, _) => kind.parse(&entry.node),
        };
        match found {
            Ok(found) => drop(fields.values.insert(field.name, found)),
            Err((message, help)) => report.add(&entry.node.origin, &key, message, help),
        }
    }
    for (key, entry) in &table.0 {
        if !section.fields.iter().any(|field| field.name == key) {
            unknown(section, key, path, &entry.key, report);
        }
    }
    fields
}

fn absent(field: &'static Field, key: &str, fields: &mut Fields, report: &mut Report<'_>) {
    match (field.need, &field.kind) {
        (Need::Required, kind) => {
            report.add(&fields.origin, key, "is missing", format!("{} ({})", kind.remedy(), field.about));
        }
        (Need::Default(_), Kind::Table(inner)) => {
            let defaults = check(inner, &Table::default(), key, &fields.origin, report);
            fields.values.insert(field.name, Found::Table(defaults));
        }
        (Need::Default(text), kind) => {
            if let Some(found) = kind.default(text) {
                fields.values.insert(field.name, found);
            }
        }
        (Need::Optional, _) => {}
    }
}

fn unknown(section: &'static Section, key: &str, path: &str, at: &Origin, report: &mut Report<'_>) {
    let names: Vec<&str> = section.fields.iter().map(|field| field.name).collect();
    let elsewhere = super::section::ALL
        .iter()
        .find(|other| other.title != section.title && other.fields.iter().any(|field| field.name == key));
    let help = match (nearest(key, names.iter().copied()), elsewhere) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, Some(other)) => format!("it belongs in {}", other.title),
        (None, None) => format!("known here: {}", names.join(", ")),
    };
    report.add(at, &join(path, key), "unknown key", help);
}
