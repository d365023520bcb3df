//! JSON Schema, generated from the tables that check a document.

use serde_json::{Map, Value, json};

use super::field::{Field, Kind, NUMBER, Need, Section};
use crate::budget::Unit;

/// A quoted value may name environment variables, and is then checked when they are put in.
const VARIABLE: &str = r"\$\{";

/// The schemas of `sections` by name, for `$defs`.
pub(crate) fn definitions(sections: &[&Section]) -> Map<String, Value> {
    sections.iter().map(|section| (name(section), table(section))).collect()
}

/// What [`Kind::Name`] takes.
pub(crate) const NAME: &str = "^[a-z0-9-]{1,64}$";

/// The name of a section's definition: what its title begins with, of a title in brackets the first word.
pub(crate) fn name(section: &Section) -> String {
    let title = section.title.split(" = ").next().unwrap_or(section.title);
    let Some(inner) = title.strip_prefix('[') else { return title.to_owned() };
    inner.trim_matches(['[', ']']).split('.').next().unwrap_or(inner).to_owned()
}

/// A reference to the definition of `section`.
pub(crate) fn reference(section: &Section) -> Value {
    json!({ "$ref": format!("#/$defs/{}", name(section)) })
}

fn table(section: &Section) -> Value {
    let (families, single): (Vec<&Field>, Vec<&Field>) =
        section.fields.iter().partition(|field| matches!(field.kind, Kind::Condition(Unit::Time)));
    let properties: Map<String, Value> =
        single.into_iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> = section
        .fields
        .iter()
        .filter(|field| field.need == Need::Required && field.only.is_empty())
        .map(|field| field.name)
        .collect();
    let mut table = json!({
        "type": "object",
        "description": section.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !families.is_empty() {
        let families = families.into_iter().map(|field| (family(field.name), property(field)));
        table["patternProperties"] = Value::Object(families.collect());
    }
    if let Some(variants) = variants(section) {
        table["allOf"] = variants;
    }
    table
}

/// The keys that a time goes by: with its unit or without, and a percentile with any number.
fn family(name: &str) -> String {
    if name.contains(NUMBER) {
        return format!("^{}(_ms)?$", name.replace(NUMBER, "[0-9]{1,2}(_[0-9]{1,4})?"));
    }
    format!("^{name}(_ms|_s)?$")
}

/// What each word of the deciding key asks for and rules out.
fn variants(section: &Section) -> Option<Value> {
    let selector = section.selector()?;
    let Kind::Word(words) = &selector.kind else { return None };
    let rules = words.iter().map(|word| {
        let required: Vec<&str> = section
            .fields
            .iter()
            .filter(|field| field.need == Need::Required && field.only.contains(word))
            .map(|field| field.name)
            .collect();
        let foreign: Map<String, Value> = section
            .fields
            .iter()
            .filter(|field| !field.only.is_empty() && !field.only.contains(word))
            .map(|field| (field.name.to_owned(), Value::Bool(false)))
            .collect();
        let mut chosen = json!({ "properties": { selector.name: { "const": word } } });
        // Left out, the key is its default.
        if selector.need != Need::Default(word) {
            chosen["required"] = json!([selector.name]);
        }
        json!({ "if": chosen, "then": { "properties": foreign, "required": required } })
    });
    Some(rules.collect())
}

fn property(field: &Field) -> Value {
    let mut value = kind(&field.kind);
    let about = match field.only {
        [] => field.about.to_owned(),
        words => format!("{} ({} only)", field.about, words.join(", ")),
    };
    value["description"] = Value::String(about);
    if let Need::Default(text) = field.need
        && let Some(default) = default(&field.kind, text)
    {
        value["default"] = default;
    }
    value
}

fn kind(kind: &Kind) -> Value {
    let quoted = |pattern: &str| json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") });
    // A number may stand in quotes where an environment variable gives it.
    let or_variable = |value: Value| json!({ "anyOf": [value, { "type": "string", "pattern": VARIABLE }] });
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Name => json!({ "type": "string", "pattern": NAME }),
        Kind::Span(..) => quoted(r"^[0-9.]+ ?(ns|us|µs|ms|s|m|h)$"),
        Kind::Rate(..) => quoted(r"^[0-9.]+ ?/ ?[0-9.]*(ms|s|m|h)$"),
        Kind::Size(..) => quoted(r"^[0-9.]+ ?(B|KiB|MiB|GiB|kB|MB|GB)$"),
        Kind::Integer(least, most) => {
            or_variable(json!({ "type": "integer", "minimum": least, "maximum": most }))
        }
        Kind::Number(least, most) => {
            or_variable(json!({ "type": "number", "minimum": least, "maximum": most }))
        }
        Kind::Flag => or_variable(json!({ "type": "boolean" })),
        Kind::Word(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }] })
        }
        Kind::Address(form) => {
            let schemes: Vec<String> = form.all_schemes().map(|scheme| scheme.replace('+', "\\+")).collect();
            quoted(&format!("^({})://", schemes.join("|")))
        }
        Kind::Condition(Unit::Truth) => json!({ "const": true }),
        Kind::Condition(_) => {
            let item = quoted("^ *[<>]=? *[0-9]");
            json!({ "anyOf": [item, { "type": "array", "minItems": 1, "items": item }] })
        }
        Kind::Table(section) => reference(section),
        Kind::Short(section) => {
            let bare = section.fields.first().map_or(Value::Bool(false), |first| self::kind(&first.kind));
            json!({ "anyOf": [bare, reference(section)] })
        }
        Kind::List(item) => {
            let item = self::kind(item);
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Kind::Map(item, _) => json!({ "type": "object", "additionalProperties": self::kind(item) }),
    }
}

fn default(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Integer(..) | Kind::Number(..) | Kind::Flag => serde_json::from_str(text).ok(),
        Kind::List(_) if text.is_empty() => None,
        Kind::List(_) => Some(text.split(", ").collect()),
        Kind::Short(section) if !text.is_empty() => default(&section.fields.first()?.kind, text),
        Kind::Short(_) | Kind::Table(_) | Kind::Map(..) => None,
        _ => Some(Value::String(text.to_owned())),
    }
}
