//! Checks one section against its table of fields: what is wrong, missing or unknown, and what was meant.

use std::collections::BTreeMap;

use super::diagnostic::{Origin, Reporter, nearest};
use super::document::Table;
use super::field::{Field, Kind, MANY, Need, Section, listed};
use super::value::{FieldValue, Text, is_default};
use crate::units::word::Choice;
use crate::units::{ByteSize, Rate, Span};

/// The checked values of one section, defaults in place. A getter of a key whose value was at fault gives its
/// type's zero: the report then holds a problem, and nothing made of these values is kept.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) path: String,
    pub(crate) origin: Origin,
    section: &'static Section,
    values: BTreeMap<&'static str, FieldValue>,
    given: BTreeMap<&'static str, Origin>,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        pub(crate) fn $name(&self, key: &str) -> Option<$type> {
            match self.values.get(key) {
                Some(FieldValue::$variant(value)) => Some(value.clone()),
                _ => None,
            }
        }
    };
}

impl Fields {
    /// The values of a section that is left empty.
    pub(crate) fn defaults(section: &'static Section) -> Self {
        check(section, &Table::default(), "", &Origin::Whole, &mut Reporter::new(""))
    }

    getter!(text, Text, Text);
    getter!(word, Word, &'static str);
    getter!(optional_span, Span, Span);
    getter!(optional_rate, Rate, Rate);
    getter!(optional_size, Size, ByteSize);
    getter!(optional_integer, Integer, u64);
    getter!(optional_number, Number, f64);
    getter!(table, Table, Self);

    pub(crate) fn span(&self, key: &str) -> Span {
        self.optional_span(key).unwrap_or_default()
    }

    pub(crate) fn rate(&self, key: &str) -> Rate {
        self.optional_rate(key).unwrap_or_default()
    }

    pub(crate) fn size(&self, key: &str) -> ByteSize {
        self.optional_size(key).unwrap_or_default()
    }

    pub(crate) fn integer(&self, key: &str) -> u64 {
        self.optional_integer(key).unwrap_or_default()
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        self.optional_number(key).unwrap_or_default()
    }

    pub(crate) fn choice<C: Choice>(&self, key: &str) -> C {
        self.word(key).and_then(C::choice).unwrap_or(C::FIRST)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.values.get(key), Some(FieldValue::Flag(true)))
    }

    /// The items of a list, with where each was written.
    pub(crate) fn list(&self, key: &str) -> &[(Origin, FieldValue)] {
        match self.values.get(key) {
            Some(FieldValue::List(items)) => items,
            _ => &[],
        }
    }

    /// The entries of a table by name, with where each name was written.
    pub(crate) fn map(&self, key: &str) -> impl Iterator<Item = (&str, &Origin, &FieldValue)> {
        let entries = match self.values.get(key) {
            Some(FieldValue::Map(entries)) => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(name, (origin, found))| (name.as_str(), origin, found))
    }

    /// Where the key's value was written, if it was.
    pub(crate) fn given(&self, key: &str) -> Option<&Origin> {
        self.given.get(key)
    }

    /// Whether the key has a value that is not at fault.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Reports a problem with `key`, at its value if it was written, else at the section.
    pub(crate) fn refuse(
        &self,
        key: &str,
        report: &mut Reporter<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.given(key).unwrap_or(&self.origin);
        report.add(at, &join(&self.path, key), message, help);
    }

    /// Reports that `key`, which may be left out elsewhere, is missing, unless it was written.
    pub(crate) fn require(&self, key: &str, report: &mut Reporter<'_>) {
        if let Some(field) = self.section.field(key).filter(|_| self.given(key).is_none()) {
            missing(field, &join(&self.path, key), &self.origin, report);
        }
    }

    /// Reports each of `keys` that was written, because it does not apply here.
    pub(crate) fn refuse_given(&self, keys: &[&str], report: &mut Reporter<'_>, because: &str) {
        for key in keys.iter().filter(|key| self.given.contains_key(**key)) {
            self.refuse(key, report, because, "take this line out");
        }
    }

    /// Appends a line for every value that is not what it would be if it were left out.
    pub(crate) fn canonical(&self, path: &str, out: &mut String) {
        self.canonical_without(&[], path, out);
    }

    /// The same, but for the keys `left_out`.
    pub(crate) fn canonical_without(&self, left_out: &[&str], path: &str, out: &mut String) {
        for field in self.section.fields.iter().filter(|field| !left_out.contains(&field.name)) {
            if let Some(found) = self.values.get(field.name).filter(|found| !is_default(field, found)) {
                found.canonical(&join(path, field.name), out);
            }
        }
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Checks `table` against `section`: types, bounds, what is missing and what is unknown.
pub(crate) fn check(
    section: &'static Section,
    table: &Table,
    path: &str,
    origin: &Origin,
    report: &mut Reporter<'_>,
) -> Fields {
    let (path, origin) = (path.to_owned(), origin.clone());
    let mut fields = Fields { path, origin, section, values: BTreeMap::new(), given: BTreeMap::new() };
    // First, since a key that is misspelled explains why another is missing.
    for (key, entry) in &table.0 {
        if section.field(key).is_none() {
            unknown(section, key, table, &fields.path, &entry.key, report);
        }
    }
    let selector = section.selector();
    if let Some(selector) = selector {
        take(selector, table, &mut fields, report);
    }
    let word = selector.and_then(|selector| fields.word(selector.name));
    for field in section.fields.iter().filter(|field| Some(field.name) != section.by) {
        match (selector, word) {
            _ if field.applies(word) => take(field, table, &mut fields, report),
            (Some(selector), Some(word)) => foreign(field, selector, word, table, &fields, report),
            // The deciding word is at fault: what would fit is anyone's guess.
            _ => {}
        }
    }
    fields
}

fn take(field: &'static Field, table: &Table, fields: &mut Fields, report: &mut Reporter<'_>) {
    let key = join(&fields.path, field.name);
    let Some(entry) = table.0.get(field.name) else { return absent(field, &key, fields, report) };
    fields.given.insert(field.name, entry.node.origin.clone());
    if let Some(found) = field.kind.take(&entry.node, &key, report) {
        fields.values.insert(field.name, found);
    }
}

/// A key that does not apply with the deciding word.
fn foreign(
    field: &Field,
    selector: &Field,
    word: &str,
    table: &Table,
    fields: &Fields,
    report: &mut Reporter<'_>,
) {
    if let Some(entry) = table.0.get(field.name) {
        let message = format!("does not apply to {} `{word}`", selector.name);
        let help = if field.only.len() > MANY {
            "take this out".to_owned()
        } else {
            format!("take this out, or write {} = {}", selector.name, listed(field.only))
        };
        report.add(&entry.node.origin, &join(&fields.path, field.name), message, help);
    }
}

fn absent(field: &'static Field, key: &str, fields: &mut Fields, report: &mut Reporter<'_>) {
    match field.need {
        Need::Required => missing(field, key, &fields.origin, report),
        Need::Default("") if matches!(field.kind, Kind::Table(_) | Kind::Short(_)) => {
            // Its defaults, placed where the section is, so that later problems have a place.
            if let Some(section) = field.kind.section() {
                let defaults = check(section, &Table::default(), key, &fields.origin, report);
                fields.values.insert(field.name, FieldValue::Table(defaults));
            }
        }
        Need::Default(text) => {
            if let Some(found) = field.kind.default(text) {
                fields.values.insert(field.name, found);
            }
        }
        Need::Optional => {}
    }
}

fn missing(field: &Field, key: &str, section: &Origin, report: &mut Reporter<'_>) {
    let help = format!("{} ({})", field.kind.remedy(), field.about);
    report.add(section, key, "is missing", help);
}

fn unknown(
    section: &'static Section,
    key: &str,
    table: &Table,
    path: &str,
    at: &Origin,
    report: &mut Reporter<'_>,
) {
    let names: Vec<&str> = section.fields.iter().map(|field| field.name).collect();
    let mut elsewhere: Vec<&str> = report
        .context()
        .sections
        .iter()
        .filter(|other| other.title != section.title && other.field(key).is_some())
        .map(|other| other.title)
        .collect();
    elsewhere.dedup();
    let meant = nearest(key, names.iter().copied());
    let help = match (meant, elsewhere.as_slice()) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, []) => format!("known here: {}", names.join(", ")),
        (None, [only]) => format!("it belongs in {only}"),
        (None, several) => format!("it is a key of {}", several.join(", ")),
    };
    report.add(at, &join(path, key), "unknown key", help);
    if let Some(meant) = meant.filter(|meant| !table.0.contains_key(*meant)) {
        report.excuse(&join(path, meant));
    }
}
