//! Values: from what stands in the document to what a key takes, or what is wrong with it and what to write instead.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use super::address::without_login;
use super::check::{Fields, check, join};
use super::diagnostic::{Origin, Reporter, nearest};
use super::document::{Entry, Node, Table, Value};
use super::field::{Kind, Need, Section, listed};
use super::refusal::{Refusal, quote};
use crate::units::{ByteSize, Rate, Span, is_steering};

/// Protocols over TLS, by the schemes of their URLs. The plain protocol is not a correction of their spelling.
const SECURE: [&str; 4] = ["https", "wss", "mqtts", "tcps"];

/// A text of the author's, with the environment variables in it (`${NAME}`) put in. Only what was written is ever
/// shown or stored: what a variable stands for may be a secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text {
    written: Box<str>,
    /// With variables put in; `None` if there are none.
    value: Option<Box<str>>,
}

impl Text {
    /// A text with the variables it names already put in.
    pub(crate) fn expanded(written: &str, value: &str) -> Self {
        Self { written: written.into(), value: (written != value).then(|| value.into()) }
    }

    /// What it says.
    pub fn value(&self) -> &str {
        self.value.as_deref().unwrap_or(&self.written)
    }

    /// As it stands in the file.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What a shell is to read: there the variables stay, as the shell has them in its environment and pastes what they
    /// stand for into no text that it runs.
    pub(crate) fn for_shell(&self) -> String {
        self.written.replace("$${", "${")
    }

    /// Whether it has parts that must not be shown.
    pub const fn is_secret(&self) -> bool {
        self.value.is_some()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

/// A value of the right type, within its bounds.
#[derive(Debug, Clone)]
pub(crate) enum FieldValue {
    Text(Text),
    Word(&'static str),
    Span(Span),
    Rate(Rate),
    Size(ByteSize),
    Integer(u64),
    Number(f64),
    Flag(bool),
    Table(Fields),
    List(Vec<(Origin, Self)>),
    Map(BTreeMap<String, (Origin, Self)>),
}

impl FieldValue {
    /// Appends `key=value` lines in which equal values are equal, however they were written.
    pub(crate) fn canonical(&self, key: &str, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Text(text) => writeln!(out, "{key}={:?}", text.written()),
            Self::Word(word) => writeln!(out, "{key}={word}"),
            Self::Span(span) => writeln!(out, "{key}={}", span.as_ns()),
            Self::Rate(rate) => writeln!(out, "{key}={:?}", rate.as_per_second()),
            Self::Size(size) => writeln!(out, "{key}={}", size.0),
            Self::Integer(value) => writeln!(out, "{key}={value}"),
            // Both zeros mean the same.
            Self::Number(value) => writeln!(out, "{key}={:?}", value + 0.0),
            Self::Flag(value) => writeln!(out, "{key}={value}"),
            Self::Table(fields) => return fields.canonical(key, out),
            Self::List(items) => {
                for (nth, (_, item)) in items.iter().enumerate() {
                    item.canonical(&format!("{key}[{nth}]"), out);
                }
                return;
            }
            Self::Map(items) => {
                for (name, (_, item)) in items {
                    // The name itself counts, even where everything under it is a default.
                    let _ = writeln!(out, "{key}.{name}");
                    item.canonical(&format!("{key}.{name}"), out);
                }
                return;
            }
        };
    }
}

impl Kind {
    /// The value of `node` for `key`, or problems in `report`.
    pub(crate) fn take(
        &'static self,
        node: &Node,
        key: &str,
        report: &mut Reporter<'_>,
    ) -> Option<FieldValue> {
        match (self, &node.value) {
            (Self::Table(section), Value::Table(table)) => {
                Some(FieldValue::Table(check(section, table, key, &node.origin, report)))
            }
            (Self::Short(section), _) => short(section, node, key, report),
            (Self::List(kind), Value::List(items)) => {
                let found = items.iter().enumerate().map(|(nth, item)| {
                    let found = kind.take(item, &format!("{key}[{nth}]"), report);
                    found.map(|found| (item.origin.clone(), found))
                });
                // Those that are sound are kept, so that all that is wrong with them is found at once.
                Some(FieldValue::List(found.flatten().collect()))
            }
            (Self::List(kind), _) => {
                let found = kind.take(node, key, report)?;
                Some(FieldValue::List(vec![(node.origin.clone(), found)]))
            }
            (Self::Map(kind, _), Value::Table(table)) => {
                let mut found = BTreeMap::new();
                for (name, entry) in &table.0 {
                    let value = kind.take(&entry.node, &join(key, name), report);
                    value.map(|value| found.insert(name.clone(), (entry.key.clone(), value)));
                }
                Some(FieldValue::Map(found))
            }
            _ => match self.scalar(node, report) {
                Ok(found) => Some(found),
                Err((message, help)) => {
                    report.add(&node.origin, key, message, help);
                    None
                }
            },
        }
    }

    /// A value that is neither list nor table.
    fn scalar(&'static self, node: &Node, report: &Reporter<'_>) -> Result<FieldValue, Refusal> {
        let Value::Text(written) = &node.value else { return self.parse(&node.value) };
        let value = report.expand(written)?;
        if value == *written {
            return self.parse(&node.value);
        }
        // The message must not tell what the variable stands for.
        let veiled = |_| (unfit(written), self.remedy());
        match self {
            Self::Text => Ok(FieldValue::Text(Text::expanded(written, &value))),
            Self::Address(form) => match form.check(&value) {
                Ok(()) => Ok(FieldValue::Text(Text::expanded(&without_login(written), &value))),
                Err(refusal) => Err(veiled(refusal)),
            },
            Self::Integer(..) | Self::Number(..) | Self::Flag => {
                let literal = super::document::read_value(&value, &node.origin);
                self.parse(&literal.value).map_err(veiled)
            }
            _ => self.parse(&Value::Text(value)).map_err(veiled),
        }
    }

    pub(crate) fn parse(&'static self, value: &Value) -> Result<FieldValue, Refusal> {
        let wrong_type =
            || (format!("expected {}, found {}", self.described(), value.described()), self.remedy());
        match (self, value) {
            (Self::Span(..) | Self::Rate(..) | Self::Size(..), Value::Integer(_) | Value::Number(_)) => {
                let message = format!("expected {} with its unit", self.described());
                Err((message, self.with_unit(value).unwrap_or_else(|| self.remedy())))
            }
            (_, Value::Text(text)) => self.read(text).unwrap_or_else(|| {
                let (message, help) = wrong_type();
                Err((message, format!("{help}, without quotes")))
            }),
            (Self::Integer(..), Value::Integer(value)) => self.integer(*value),
            (Self::Number(..), Value::Integer(value)) => self.number(*value as f64),
            (Self::Number(..), Value::Number(value)) => self.number(*value),
            (Self::Flag, Value::Flag(value)) => Ok(FieldValue::Flag(*value)),
            _ => Err(wrong_type()),
        }
    }

    /// What a bare number was probably meant to be.
    fn with_unit(&self, value: &Value) -> Option<String> {
        let unit = match self {
            Self::Span(..) => "s",
            Self::Rate(..) => "/s",
            _ => return None,
        };
        let number = match value {
            Value::Integer(number) if *number >= 0 => number.to_string(),
            Value::Number(number) if number.is_finite() && *number >= 0.0 => number.to_string(),
            _ => return None,
        };
        Some(format!("did you mean \"{number}{unit}\"? {}", self.remedy()))
    }

    /// The value of a quoted text; `None` if this kind is not written in quotes.
    fn read(&'static self, text: &str) -> Option<Result<FieldValue, Refusal>> {
        let refuse = |message: String| Err((message, self.remedy()));
        let shown = || quote(text);
        Some(match self {
            Self::Text => Ok(FieldValue::Text(Text::expanded(text, text))),
            Self::Name if is_name(text) => Ok(FieldValue::Text(Text::expanded(text, text))),
            Self::Name if text.is_empty() => refuse("the name is empty".into()),
            Self::Name => refuse(format!("`{}` is not a valid name", shown())),
            Self::Span(least, most) => match text.parse::<Span>() {
                Ok(span) if (*least..=*most).contains(&span) => Ok(FieldValue::Span(span)),
                Ok(span) => refuse(format!("`{span}` is out of range")),
                Err(error) => Err(self.split(&error.to_string())),
            },
            Self::Rate(least, most) => match text.parse::<Rate>() {
                Ok(rate) if (*least..=*most).contains(&rate.as_per_second()) => Ok(FieldValue::Rate(rate)),
                Ok(_) => refuse(format!("`{}` is out of range", shown())),
                Err(error) => Err(self.split(&error.to_string())),
            },
            Self::Size(least, most) => match text.parse::<ByteSize>() {
                Ok(size) if (*least..=*most).contains(&size) => Ok(FieldValue::Size(size)),
                Ok(_) => refuse(format!("`{}` is out of range", shown())),
                Err(error) => Err(self.split(&error.to_string())),
            },
            Self::Word(words) => match words.iter().find(|word| **word == text) {
                Some(word) => Ok(FieldValue::Word(word)),
                None if SECURE.contains(&text) => Err((
                    format!("`{}` is not a protocol of its own: the scheme of the target decides on TLS", shown()),
                    format!("write one of {}, and a target with {text}://", listed(words)),
                )),
                None => match nearest(text, words.iter().copied()) {
                    Some(meant) if words.len() > super::field::MANY => {
                        Err((format!("`{}` is unknown", shown()), format!("did you mean \"{meant}\"?")))
                    }
                    Some(meant) => Err((
                        format!("`{}` is unknown", shown()),
                        format!("did you mean \"{meant}\"? {}", self.remedy()),
                    )),
                    None => refuse(format!("`{}` is unknown", shown())),
                },
            },
            Self::Address(form) => {
                form.check(text).map(|()| FieldValue::Text(Text::expanded(&without_login(text), text)))
            }
            Self::Integer(..)
            | Self::Number(..)
            | Self::Flag
            // The section that has them reads them itself.
            | Self::Condition(_)
            | Self::Table(_)
            | Self::Short(_)
            | Self::List(_)
            | Self::Map(..) => return None,
        })
    }

    fn integer(&self, value: i128) -> Result<FieldValue, Refusal> {
        let Self::Integer(least, most) = self else { return Ok(FieldValue::Integer(0)) };
        match u64::try_from(value) {
            Ok(value) if (*least..=*most).contains(&value) => Ok(FieldValue::Integer(value)),
            _ => Err((format!("`{value}` is out of range"), self.remedy())),
        }
    }

    fn number(&self, value: f64) -> Result<FieldValue, Refusal> {
        let Self::Number(least, most) = self else { return Ok(FieldValue::Number(0.0)) };
        if (*least..=*most).contains(&value) {
            return Ok(FieldValue::Number(value));
        }
        Err((format!("`{value}` is out of range"), self.remedy()))
    }

    /// The value of a default, which stands in a table of fields as plain text.
    pub(crate) fn default(&'static self, text: &'static str) -> Option<FieldValue> {
        match self {
            Self::Integer(..) => text.parse().ok().map(FieldValue::Integer),
            Self::Number(..) => text.parse().ok().map(FieldValue::Number),
            Self::Flag => text.parse().ok().map(FieldValue::Flag),
            Self::Table(section) | Self::Short(section) => {
                let mut table = Table::default();
                if let (Some(first), false) = (section.fields.first(), text.is_empty()) {
                    let node = Node { value: first.kind.literal(text), origin: Origin::Whole };
                    table.0.insert(first.name.to_owned(), Entry { key: Origin::Whole, node });
                }
                Some(FieldValue::Table(check(section, &table, "", &Origin::Whole, &mut Reporter::new(""))))
            }
            Self::List(kind) if !text.is_empty() => {
                let items = text.split(", ").filter_map(|item| kind.default(item));
                Some(FieldValue::List(items.map(|item| (Origin::Whole, item)).collect()))
            }
            Self::List(_) => Some(FieldValue::List(Vec::new())),
            Self::Map(..) => Some(FieldValue::Map(BTreeMap::new())),
            _ => self.read(text)?.ok(),
        }
    }

    /// `text` as the document would hold it.
    pub(crate) fn literal(&'static self, text: &'static str) -> Value {
        match self {
            Self::Integer(..) => text.parse().map_or(Value::Other("no number"), Value::Integer),
            Self::Number(..) => text.parse().map_or(Value::Other("no number"), Value::Number),
            Self::Flag => text.parse().map_or(Value::Other("no flag"), Value::Flag),
            _ => Value::Text(text.to_owned()),
        }
    }

    /// A message of `units` says what is wrong, then what to write: its two halves.
    fn split(&self, message: &str) -> Refusal {
        match message.split_once("; ") {
            Some((wrong, remedy)) => (harmless(wrong), remedy.to_owned()),
            None => (harmless(message), self.remedy()),
        }
    }
}

/// A table, or the value of its first key by itself.
fn short(section: &'static Section, node: &Node, key: &str, report: &mut Reporter<'_>) -> Option<FieldValue> {
    if let Value::Table(table) = &node.value {
        return Some(FieldValue::Table(check(section, table, key, &node.origin, report)));
    }
    let first = section.fields.first()?;
    // What is wrong with the bare value is said of the key as it was written.
    if let Err((message, help)) = first.kind.scalar(node, report) {
        report.add(&node.origin, key, message, help);
        return None;
    }
    let mut table = Table::default();
    table.0.insert(first.name.to_owned(), Entry { key: node.origin.clone(), node: node.clone() });
    Some(FieldValue::Table(check(section, &table, key, &node.origin, report)))
}

/// What to say of a value that the variables in `written` make wrong, without telling what they stand for.
pub(crate) fn unfit(written: &str) -> String {
    format!("what `{}` stands for does not fit here", quote(written))
}

pub(crate) fn harmless(message: &str) -> String {
    message.chars().take(120).map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect()
}

pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether `field`'s value is what it would be if it were left out.
pub(crate) fn is_default(field: &'static super::field::Field, found: &FieldValue) -> bool {
    let Need::Default(text) = field.need else { return false };
    let Some(default) = field.kind.default(text) else { return false };
    let (mut one, mut other) = (String::new(), String::new());
    found.canonical("", &mut one);
    default.canonical("", &mut other);
    one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_variable_stands_for_is_never_shown() {
        let text = Text::expanded("Bearer ${TOKEN}", "Bearer s3cret");
        assert_eq!(text.value(), "Bearer s3cret");
        assert!(!format!("{text:?}").contains("s3cret"));
        let mut canonical = String::new();
        FieldValue::Text(text).canonical("header", &mut canonical);
        assert_eq!(canonical, "header=\"Bearer ${TOKEN}\"\n");
    }
}
