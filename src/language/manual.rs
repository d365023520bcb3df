//! Reference tables in Markdown, generated from the tables that check a document.

use std::fmt::Write as _;

use super::field::{Field, Kind, MANY, Need, Section, bounds};
use super::schema;
use crate::budget::Unit;

/// Every one of `sections` with its keys.
pub(crate) fn manual(sections: &[&Section]) -> String {
    let mut out = String::new();
    for section in sections {
        write_section(section, section.fields, sections, &mut out);
    }
    out.trim_end().to_owned() + "\n"
}

/// The keys at `paths` with all that lies below them: `reference.queue`, `fleet.meters.retry`. What no table of `sections` knows
/// is left out.
pub(crate) fn manual_of(sections: &[&'static Section], paths: &[String]) -> String {
    let mut excerpts: Vec<Excerpt> = Vec::new();
    for (section, field) in paths.iter().filter_map(|path| find(sections, path)) {
        note(&mut excerpts, section, field);
        field.kind.section().into_iter().for_each(|inner| note_all(&mut excerpts, inner));
    }
    let mut out = String::new();
    for (section, fields) in excerpts {
        write_section(section, fields, sections, &mut out);
    }
    out.trim_end().to_owned() + "\n"
}

/// A section, and those of its keys that are shown.
type Excerpt = (&'static Section, Vec<&'static Field>);

/// The key that `path` leads to, and whose it is.
fn find(sections: &[&'static Section], path: &str) -> Option<(&'static Section, &'static Field)> {
    let mut parts = path.split('.');
    let top = parts.next()?;
    let is_top = |section: &&'static Section| section.title.starts_with('[') && schema::name(section) == top;
    let mut section = sections.iter().copied().find(is_top)?;
    if section.title.starts_with("[[") || section.title.contains(".NAME") {
        // The author's name for it.
        parts.next();
    }
    let mut found = None;
    for part in parts {
        let field = section.field(part)?;
        found = Some((section, field));
        match field.kind.section() {
            Some(inner) => section = inner,
            None => break,
        }
    }
    found
}

fn note(excerpts: &mut Vec<Excerpt>, section: &'static Section, field: &'static Field) {
    let is_own = |(own, _): &&mut Excerpt| std::ptr::eq(*own, section);
    match excerpts.iter_mut().find(is_own) {
        Some((_, fields)) if fields.iter().any(|known| known.name == field.name) => {}
        Some((_, fields)) => fields.push(field),
        None => excerpts.push((section, vec![field])),
    }
}

/// Notes every key of `section`, and of the sections below it.
fn note_all(excerpts: &mut Vec<Excerpt>, section: &'static Section) {
    let is_known =
        |(own, fields): &Excerpt| std::ptr::eq(*own, section) && fields.len() == section.fields.len();
    if excerpts.iter().any(is_known) {
        return;
    }
    section.fields.iter().for_each(|field| note(excerpts, section, field));
    section
        .fields
        .iter()
        .filter_map(|field| field.kind.section())
        .for_each(|inner| note_all(excerpts, inner));
}

fn write_section<'f>(
    section: &Section,
    fields: impl IntoIterator<Item = &'f Field>,
    sections: &[&Section],
    out: &mut String,
) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "### `{}`\n\n{}.\n", section.title, capital(section.about));
    if let Some(first) = section.fields.first().filter(|_| section.title.contains(" = ")) {
        let key = section.title.split(" = ").next().unwrap_or_default();
        if is_short(section, sections) {
            let _ = writeln!(out, "A bare value stands for `{key} = {{ {} = … }}`.\n", first.name);
        }
    }
    out.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            field.name,
            takes(&field.kind),
            default(field),
            meaning(field)
        );
    }
    out.push('\n');
}

/// Whether any key takes the section in its short form.
fn is_short(section: &Section, sections: &[&Section]) -> bool {
    fn short(kind: &Kind, section: &Section) -> bool {
        match kind {
            Kind::Short(inner) => std::ptr::eq(*inner, section),
            Kind::List(inner) | Kind::Map(inner, _) => short(inner, section),
            _ => false,
        }
    }
    sections.iter().flat_map(|other| other.fields).any(|field| short(&field.kind, section))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Name => "name: 1 to 64 of `a-z`, `0-9`, `-`".into(),
        Kind::Span(least, most) => format!("span, `\"{least}\"` to `\"{most}\"`"),
        Kind::Rate(least, most) => format!("rate, `\"{least}/s\"` to `\"{most}/s\"`"),
        Kind::Size(least, most) => format!("size, `\"{least}\"` to `\"{most}\"`"),
        Kind::Integer(least, most) if *most == u64::MAX => format!("whole number from {least}"),
        Kind::Integer(least, most) => format!("whole number, {least} to {most}"),
        Kind::Number(least, most) => match bounds(*least, *most) {
            Some(bounds) => format!("number, {}", bounds.trim_start_matches("from ")),
            None => "number".into(),
        },
        Kind::Flag => "`true` or `false`".into(),
        Kind::Word(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Kind::Address(form) => {
            form.all_schemes().map(|scheme| format!("`\"{scheme}://…\"`")).collect::<Vec<_>>().join(" or ")
        }
        Kind::Condition(Unit::Truth) => "`true`".into(),
        Kind::Condition(unit) => format!("condition, such as `{}`", unit.example()),
        Kind::Table(section) => format!("table: {}", link(section)),
        Kind::Short(section) => match section.fields.first() {
            Some(first) => format!("{}, or table: {}", takes(&first.kind), link(section)),
            None => link(section),
        },
        Kind::List(item) => format!("{}, or a list of them", takes(item)),
        Kind::Map(item, names) => format!("table by {names}: {}", takes(item)),
    }
}

fn link(section: &Section) -> String {
    let anchor: String = section
        .title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("[`{}`](#{anchor})", schema::name(section))
}

fn default(field: &Field) -> String {
    match (field.need, &field.kind) {
        (Need::Required, _) => "**required**".into(),
        (Need::Optional | Need::Default(""), _) => "–".into(),
        (Need::Default(text), Kind::Integer(..) | Kind::Number(..) | Kind::Flag) => format!("`{text}`"),
        (Need::Default(text), Kind::Short(section))
            if section.fields.first().is_some_and(|first| matches!(first.kind, Kind::Number(..))) =>
        {
            format!("`{text}`")
        }
        (Need::Default(text), Kind::List(_)) => {
            text.split(", ").map(|item| format!("`\"{item}\"`")).collect::<Vec<_>>().join(", ")
        }
        (Need::Default(text), _) => format!("`\"{text}\"`"),
    }
}

fn meaning(field: &Field) -> String {
    let about = field.about.replace('|', "\\|");
    match field.only {
        [] => about,
        // The text says what they have in common.
        words if words.len() > MANY => about,
        words => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("{} only: {about}", words.join(", "))
        }
    }
}
