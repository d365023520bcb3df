//! A TOML document as a tree of ours, in which every key and value knows where it came from.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::diagnostic::{Origin, Reporter};
use super::typography::{Typographic, typographic};

/// No value of a scenario lies deeper; what does is not looked at.
const DEEPEST: usize = 8;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// A TOML value, as far as scenarios use them.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i128),
    Number(f64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// A value no key takes: its type's name.
    Other(&'static str),
}

impl Value {
    /// The type's name, with its article.
    pub(crate) const fn described(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(described) => described,
        }
    }
}

/// A table; its entries by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table(pub(crate) BTreeMap<String, Entry>);

/// An entry of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Origin,
    pub(crate) node: Node,
}

/// The document in `text`; syntax errors go to `report`, and then the tree is not worth checking. The parser bounds
/// the depth of nesting, dotted keys included.
pub(crate) fn read(text: &str, report: &mut Reporter<'_>) -> Table {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut derailed = false;
    let mut line_said = None;
    for error in errors {
        if let Some((place, found)) = error.span().and_then(|span| misplaced(text, span.start)) {
            // The rest of the line is what the parser makes of it.
            if line_said.replace(place.start) != Some(place.start) {
                report.add(&Origin::Text(place), "", found.message(), found.remedy);
            }
            derailed = true;
            continue;
        }
        // Behind another fault, a duplicate is mostly what the parser's recovery made of it.
        let duplicate = error.message().starts_with("duplicate key");
        if duplicate && derailed {
            continue;
        }
        derailed |= !duplicate;
        let message = error.message().replace('\n', ", ");
        let at = error.span().map_or(Origin::Whole, Origin::Text);
        report.add(&at, "", message.clone(), advice(&message));
    }
    table(document.get_ref(), 0, &|range| Origin::Text(range))
}

/// The typographic character that the line around byte `at` fails for, and where it stands.
fn misplaced(text: &str, at: usize) -> Option<(Range<usize>, Typographic)> {
    let before = text.get(..at)?;
    let first = before.rfind('\n').map_or(0, |end| end + 1);
    let found = typographic(text[first..].lines().next()?)?;
    let start = first + found.at;
    Some((start..start + found.character.len_utf8(), found))
}

/// The value in `text`, or `text` itself where it is none: what `--set key=value` takes.
pub(crate) fn read_value(text: &str, origin: &Origin) -> Node {
    let literal = || Node { value: Value::Text(text.to_owned()), origin: origin.clone() };
    DeValue::parse(text).map_or_else(|_| literal(), |value| node(&value, 0, &|_| origin.clone()))
}

fn advice(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "give each key and each table once"
    } else if ["quoted", "string", "boolean"].iter().any(|word| message.contains(word)) {
        "put texts, spans and rates in double quotes: rate = \"10/s\""
    } else {
        "check quotes, brackets and the equals sign here"
    }
}

fn table(source: &DeTable<'_>, depth: usize, place: &dyn Fn(Range<usize>) -> Origin) -> Table {
    let entries = source.iter().map(|(key, value)| {
        let entry = Entry { key: place(key.span()), node: node(value, depth + 1, place) };
        (key.get_ref().to_string(), entry)
    });
    Table(entries.collect())
}

fn node(source: &Spanned<DeValue<'_>>, depth: usize, place: &dyn Fn(Range<usize>) -> Origin) -> Node {
    let value = match source.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => whole(integer),
        DeValue::Float(float) => float.as_str().parse().map_or(Value::Other("a number"), Value::Number),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(_) | DeValue::Table(_) if depth > DEEPEST => Value::Other("something nested too deep"),
        DeValue::Array(array) => Value::List(array.iter().map(|item| node(item, depth + 1, place)).collect()),
        DeValue::Table(inner) => Value::Table(table(inner, depth, place)),
    };
    Node { value, origin: place(source.span()) }
}

fn whole(integer: &DeInteger<'_>) -> Value {
    i128::from_str_radix(integer.as_str(), integer.radix())
        .map_or(Value::Other("a whole number beyond all bounds"), Value::Integer)
}
