//! Tables of fields: what each section of a document may say. One table serves checking, hints, schema and manual.

use super::address::AddressForm;
use crate::budget::Unit;
use crate::units::{ByteSize, Span};

/// One section of a document: a table and the keys it takes.
#[derive(Debug)]
pub(crate) struct Section {
    /// As written in the file: `[run]`, `[[phase]]`, `[fleet.NAME]`, or the key of an inline table.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The key whose word decides which of the others mean something.
    pub by: Option<&'static str>,
    /// Its keys, in the order documents list them.
    pub fields: &'static [Field],
}

impl Section {
    /// The key named `name`.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The key that decides which others mean something, where there is one.
    pub(crate) fn selector(&self) -> Option<&'static Field> {
        self.by.and_then(|by| self.field(by))
    }
}

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it may be left out.
    pub need: Need,
    /// The words of the deciding key with which it means something; empty: with all.
    pub only: &'static [&'static str],
    /// What it means, in one line.
    pub about: &'static str,
}

impl Field {
    pub(crate) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, need: Need::Required, only: &[], about }
    }

    pub(crate) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, need: Need::Optional, only: &[], about }
    }

    /// `default` stands there as one would write it, without quotes; empty for a table of defaults.
    pub(crate) const fn with(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, kind, need: Need::Default(default), only: &[], about }
    }

    /// The same key, meaningful only with these words of the deciding key.
    pub(crate) const fn only(self, words: &'static [&'static str]) -> Self {
        Self { only: words, ..self }
    }

    /// Whether it means something with this word of the deciding key.
    pub(crate) fn applies(&self, word: Option<&str>) -> bool {
        self.only.is_empty() || word.is_some_and(|word| self.only.contains(&word))
    }
}

/// Stands for the number in a key of percentiles.
pub(crate) const NUMBER: &str = "NN";

/// More words than this are not listed where they are not asked for.
pub(crate) const MANY: usize = 11;

/// Whether a key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It must be there.
    Required,
    /// It may be left out, and then nothing takes its place, or a rule that `about` states.
    Optional,
    /// Left out, it is this, as one would write it (without quotes).
    Default(&'static str),
}

/// What a key takes, with inclusive bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// 1 to 64 of `a`–`z`, `0`–`9` and `-`.
    Name,
    /// A span of time in quotes.
    Span(Span, Span),
    /// A rate in quotes, bounds in events per second.
    Rate(f64, f64),
    /// A size in quotes.
    Size(ByteSize, ByteSize),
    /// A whole number.
    Integer(u64, u64),
    /// A finite number.
    Number(f64, f64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A URL of this form.
    Address(&'static AddressForm),
    /// What a figure in this unit must keep to: a comparison in quotes, or several.
    Condition(Unit),
    /// An inline table or sub-table.
    Table(&'static Section),
    /// The same, or the bare value of its first key.
    Short(&'static Section),
    /// A list, or a single value standing for a list of one.
    List(&'static Kind),
    /// A table of values by a name of the author's choice; the text says what the names are.
    Map(&'static Kind, &'static str),
}

impl Kind {
    /// The type in one word.
    #[cfg(test)]
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Name => "name",
            Self::Span(..) => "span",
            Self::Rate(..) => "rate",
            Self::Size(..) => "size",
            Self::Integer(..) => "integer",
            Self::Number(..) => "number",
            Self::Flag => "flag",
            Self::Word(_) => "word",
            Self::Address(_) => "url",
            Self::Condition(_) => "condition",
            Self::Table(_) | Self::Short(_) | Self::Map(..) => "table",
            Self::List(_) => "list",
        }
    }

    /// The section of a table's keys, whatever stands around it.
    pub(crate) fn section(&self) -> Option<&'static Section> {
        match self {
            Self::Table(section) | Self::Short(section) => Some(section),
            Self::List(kind) | Self::Map(kind, _) => kind.section(),
            _ => None,
        }
    }

    /// The type as a message says it.
    pub(crate) const fn described(&self) -> &'static str {
        match self {
            Self::Text | Self::Name | Self::Word(_) | Self::Address(_) => "a text",
            Self::Condition(_) => "a condition",
            Self::Span(..) => "a span of time",
            Self::Rate(..) => "a rate",
            Self::Size(..) => "a size",
            Self::Integer(..) => "a whole number",
            Self::Number(..) => "a number",
            Self::Flag => "true or false",
            Self::Table(_) | Self::Map(..) => "a table",
            Self::Short(section) => match section.fields {
                [first, ..] => first.kind.described(),
                [] => "a table",
            },
            Self::List(_) => "a list",
        }
    }

    /// What to write, with its bounds.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Text => "write a text in double quotes".into(),
            Self::Name => "write 1 to 64 of a-z, 0-9 and - in double quotes".into(),
            Self::Span(least, most) => {
                format!("write a span from \"{least}\" to \"{most}\", in double quotes")
            }
            Self::Rate(least, most) => {
                format!("write a rate from \"{least}/s\" to \"{most}/s\", in double quotes")
            }
            Self::Size(least, most) => {
                format!("write a size from \"{least}\" to \"{most}\", in double quotes")
            }
            Self::Integer(least, most) if *most == u64::MAX => format!("write a whole number from {least}"),
            Self::Integer(least, most) => format!("write a whole number from {least} to {most}"),
            Self::Number(least, most) => match bounds(*least, *most) {
                Some(bounds) => format!("write a number {bounds}"),
                None => "write a number".into(),
            },
            Self::Flag => "write true or false".into(),
            Self::Word(words) => format!("write one of {}", listed(words)),
            Self::Address(form) => format!("write for example \"{}\"", form.example),
            Self::Condition(unit) => format!("write for example {}", unit.example()),
            Self::Table(section) => {
                format!("write a table: {{ {} = … }}", section.fields.first().map_or("", |field| field.name))
            }
            Self::Short(section) => section.fields.first().map_or_else(String::new, |first| {
                format!("{}, or a table: {{ {} = …, … }}", first.kind.remedy(), first.name)
            }),
            Self::List(kind) => format!("{}, or a list of such: [ …, … ]", kind.remedy()),
            Self::Map(_, names) => format!("write a table by {names}: {{ {names} = … }}"),
        }
    }
}

/// Bounds beyond this are those of the arithmetic and tell an author nothing.
const UNBOUNDED: f64 = 1e15;

/// `from 0 to 1`; `None` where an author may write any number.
pub(super) fn bounds(least: f64, most: f64) -> Option<String> {
    match (least <= -UNBOUNDED, most >= UNBOUNDED) {
        (true, true) => None,
        (false, true) => Some(format!("from {least}")),
        (true, false) => Some(format!("of at most {most}")),
        (false, false) => Some(format!("from {least} to {most}")),
    }
}

/// `"a", "b" or "c"`.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    alternatives(&quoted)
}

/// The same without quotes: `a, b or c`.
pub(crate) fn alternatives<W: AsRef<str>>(words: &[W]) -> String {
    joined(words, "or")
}

/// `a, b and c`.
pub(crate) fn conjunction<W: AsRef<str>>(words: &[W]) -> String {
    joined(words, "and")
}

fn joined<W: AsRef<str>>(words: &[W], last_by: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {last_by} {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_a_sentence() {
        for (words, either, both) in [
            (&[][..], "", ""),
            (&["a"], "a", "a"),
            (&["a", "b"], "a or b", "a and b"),
            (&["a", "b", "c"], "a, b or c", "a, b and c"),
        ] {
            assert_eq!((alternatives(words), conjunction(words)), (either.to_owned(), both.to_owned()));
        }
        assert_eq!(listed(&["a", "b"]), "\"a\" or \"b\"");
    }
}
