//! Tables of fields: what each section of a scenario may say. One table serves checking, hints, and reference.

use url::Url;

use super::check::Fields;
use super::document::{Node, Value};
use super::problem::{nearest, quote};
use crate::units::{Rate, Span};

/// One section of a scenario: a table and the keys it takes.
#[derive(Debug)]
pub struct Section {
    /// As written in the file: `[run]`, `[[phase]]`, `[fleet.NAME]`, or the key of an inline table.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order documents list them.
    pub fields: &'static [Field],
}

/// One key of a section.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it may be left out.
    pub need: Need,
    /// What it means, in one line.
    pub about: &'static str,
}

/// Whether a key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Required,
    /// It may be left out, and then nothing takes its place, or a rule that `about` states.
    Optional,
    /// Left out, it is this, as one would write it (without quotes).
    Default(&'static str),
}

/// What a key takes, with inclusive bounds.
#[derive(Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// 1 to 64 of `a`–`z`, `0`–`9` and `-`.
    Name,
    /// A span of time in quotes.
    Span(Span, Span),
    /// A rate in quotes, bounds in events per second.
    Rate(f64, f64),
    /// A whole number.
    Integer(u64, u64),
    /// A finite number.
    Number(f64, f64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A URL of this scheme.
    Address(&'static str),
    /// An inline table or sub-table.
    Table(&'static Section),
}

impl Kind {
    /// The type in one word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Name => "name",
            Self::Span(..) => "span",
            Self::Rate(..) => "rate",
            Self::Integer(..) => "integer",
            Self::Number(..) => "number",
            Self::Word(_) => "word",
            Self::Address(_) => "url",
            Self::Table(_) => "table",
        }
    }

    /// The type as a message says it.
    const fn described(&self) -> &'static str {
        match self {
            Self::Text | Self::Name | Self::Word(_) | Self::Address(_) => "a text",
            Self::Span(..) => "a span of time",
            Self::Rate(..) => "a rate",
            Self::Integer(..) => "a whole number",
            Self::Number(..) => "a number",
            Self::Table(_) => "a table",
        }
    }

    /// What to write, with its bounds.
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Text => "write a text in double quotes".into(),
            Self::Name => "write 1 to 64 of a-z, 0-9 and - in double quotes".into(),
            Self::Span(least, most) => {
                format!("write a span from \"{least}\" to \"{most}\", in double quotes")
            }
            Self::Rate(least, most) => {
                format!("write a rate from \"{least}/s\" to \"{most}/s\", in double quotes")
            }
            Self::Integer(least, most) if *most == u64::MAX => format!("write a whole number from {least}"),
            Self::Integer(least, most) => format!("write a whole number from {least} to {most}"),
            Self::Number(least, most) => format!("write a number from {least} to {most}"),
            Self::Word(words) => format!("write one of {}", listed(words)),
            Self::Address(scheme) => format!("write for example \"{}\"", address_example(scheme)),
            Self::Table(section) => {
                format!("write a table: {{ {} = … }}", section.fields.first().map_or("", |field| field.name))
            }
        }
    }

    /// The value of `node`, or what is wrong with it and what to write instead.
    pub(super) fn parse(&self, node: &Node) -> Result<Found, (String, String)> {
        let wrong_type =
            || (format!("expected {}, found {}", self.described(), node.value.described()), self.remedy());
        match (self, &node.value) {
            (Self::Text, Value::Text(text)) => Ok(Found::Text(text.clone())),
            (Self::Span(..) | Self::Rate(..), Value::Integer(_) | Value::Number(_)) => {
                Err((format!("expected {} with its unit", self.described()), self.remedy()))
            }
            (_, Value::Text(text)) => self.read(text).unwrap_or_else(|| {
                let (message, help) = wrong_type();
                Err((message, format!("{help}, without quotes")))
            }),
            (Self::Integer(..), Value::Integer(value)) => self.integer(*value),
            (Self::Number(..), Value::Integer(value)) => self.number(*value as f64),
            (Self::Number(..), Value::Number(value)) => self.number(*value),
            _ => Err(wrong_type()),
        }
    }

    /// The value of a quoted text; `None` if this kind is not written in quotes.
    fn read(&self, text: &str) -> Option<Result<Found, (String, String)>> {
        let refuse = |message: String| Err((message, self.remedy()));
        let shown = || quote(text);
        Some(match self {
            Self::Text => Ok(Found::Text(text.to_owned())),
            Self::Name if is_name(text) => Ok(Found::Text(text.to_owned())),
            Self::Name if text.is_empty() => refuse("the name is empty".into()),
            Self::Name => refuse(format!("`{}` is no name", shown())),
            Self::Span(least, most) => match text.parse::<Span>() {
                Ok(span) if (*least..=*most).contains(&span) => Ok(Found::Span(span)),
                Ok(span) => refuse(format!("`{span}` is out of range")),
                Err(error) => Err(split(&error.to_string(), self)),
            },
            Self::Rate(least, most) => match text.parse::<Rate>() {
                Ok(rate) if (*least..=*most).contains(&rate.as_per_second()) => Ok(Found::Rate(rate)),
                Ok(_) => refuse(format!("`{}` is out of range", shown())),
                Err(error) => Err(split(&error.to_string(), self)),
            },
            Self::Word(words) => match words.iter().find(|word| **word == text) {
                Some(word) => Ok(Found::Word(word)),
                None => match nearest(text, words.iter().copied()) {
                    Some(meant) => Err((
                        format!("`{}` is unknown", shown()),
                        format!("did you mean \"{meant}\"? {}", self.remedy()),
                    )),
                    None => refuse(format!("`{}` is unknown", shown())),
                },
            },
            Self::Address(scheme) => address(text, scheme).map(Found::Address),
            Self::Integer(..) | Self::Number(..) | Self::Table(_) => return None,
        })
    }

    fn integer(&self, value: i128) -> Result<Found, (String, String)> {
        let Self::Integer(least, most) = self else { return Ok(Found::Integer(0)) };
        match u64::try_from(value) {
            Ok(value) if (*least..=*most).contains(&value) => Ok(Found::Integer(value)),
            _ => Err((format!("`{value}` is out of range"), self.remedy())),
        }
    }

    fn number(&self, value: f64) -> Result<Found, (String, String)> {
        let Self::Number(least, most) = self else { return Ok(Found::Number(0.0)) };
        if (*least..=*most).contains(&value) {
            return Ok(Found::Number(value));
        }
        Err((format!("`{value}` is out of range"), self.remedy()))
    }

    /// The value of a default, which stands in a table as plain text.
    pub(super) fn default(&self, text: &'static str) -> Option<Found> {
        match self {
            Self::Integer(..) => text.parse().ok().map(Found::Integer),
            Self::Number(..) => text.parse().ok().map(Found::Number),
            _ => self.read(text)?.ok(),
        }
    }
}

/// A message of `units` says what is wrong, then what to write: its two halves.
fn split(message: &str, kind: &Kind) -> (String, String) {
    match message.split_once("; ") {
        Some((wrong, remedy)) => (quote_message(wrong), remedy.to_owned()),
        None => (quote_message(message), kind.remedy()),
    }
}

fn quote_message(message: &str) -> String {
    message.chars().take(120).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

const fn address_example(scheme: &str) -> &'static str {
    match scheme.as_bytes() {
        b"mqtt" => "mqtt://127.0.0.1:1883",
        b"ws" => "ws://127.0.0.1:8080/readings",
        _ => "http://127.0.0.1:8080/readings",
    }
}

fn address(text: &str, scheme: &'static str) -> Result<Url, (String, String)> {
    let example = || format!("write for example \"{}\"", address_example(scheme));
    let url =
        Url::parse(text).map_err(|error| (format!("`{}` is no URL: {error}", quote(text)), example()))?;
    let secure = format!("{scheme}s");
    let wrong = if url.scheme() == secure {
        Some(format!("`{secure}` is not supported: squall speaks {scheme} without TLS"))
    } else if url.scheme() != scheme {
        Some(format!("`{}` is not the scheme of this key", quote(url.scheme())))
    } else if url.host_str().is_none_or(str::is_empty) {
        Some(format!("`{}` names no host", quote(text)))
    } else if url.port() == Some(0) {
        Some("port 0 cannot be connected to".to_owned())
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("user and password in a URL are not supported".to_owned())
    } else if scheme == "mqtt" && !matches!(url.path(), "" | "/") {
        Some("the address of a broker has no path".to_owned())
    } else {
        None
    };
    wrong.map_or(Ok(url), |message| Err((message, example())))
}

/// `"a", "b" or "c"`.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A value of the right type, within its bounds.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Text(String),
    Word(&'static str),
    Span(Span),
    Rate(Rate),
    Integer(u64),
    Number(f64),
    Address(Url),
    Table(Fields),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_field(section: &'static Section, visit: &mut dyn FnMut(&'static Section, &'static Field)) {
        for field in section.fields {
            visit(section, field);
            if let Kind::Table(inner) = field.kind {
                every_field(inner, visit);
            }
        }
    }

    #[test]
    fn every_default_is_of_its_kind_and_within_its_bounds() {
        for section in super::super::section::ALL {
            every_field(section, &mut |section, field| {
                let Need::Default(text) = field.need else { return };
                let found = match field.kind {
                    Kind::Table(_) => return,
                    Kind::Integer(..) => field.kind.integer(text.parse().unwrap()),
                    Kind::Number(..) => field.kind.number(text.parse().unwrap()),
                    _ => field.kind.read(text).unwrap(),
                };
                assert!(found.is_ok(), "{} {}: {found:?}", section.title, field.name);
            });
        }
    }

    #[test]
    fn every_field_is_described_and_named_once() {
        for section in super::super::section::ALL {
            assert!(!section.about.is_empty());
            for (nth, field) in section.fields.iter().enumerate() {
                assert!(!field.about.is_empty(), "{} {}", section.title, field.name);
                assert!(section.fields[..nth].iter().all(|other| other.name != field.name), "{}", field.name);
            }
        }
    }
}
