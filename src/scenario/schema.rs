//! The JSON Schema of scenarios, which editors read through taplo.

use serde_json::{Map, Value, json};

use super::section;
use crate::language::schema;

/// The schema of a scenario (JSON Schema, draft 2020-12).
pub(crate) fn schema() -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (key, title) in section::TOP {
        let Some(section) = section::all().iter().find(|section| section.title == title) else { continue };
        let table = schema::reference(section);
        let value = match key {
            "phase" => json!({ "type": "array", "minItems": 1, "items": table }),
            "fault" | "budget" | "scrape" => json!({ "type": "array", "items": table }),
            "fleet" => json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": schema::NAME },
                "additionalProperties": table,
            }),
            _ => table,
        };
        properties.insert(key.to_owned(), value);
        if ["scenario", "phase", "fleet"].contains(&key) {
            required.push(key);
        }
    }
    let mut definitions = schema::definitions(section::all());
    definitions["phase"]["anyOf"] = lasting();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "squall scenario",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// What says how long a phase lasts: its duration, or the steps of a load.
fn lasting() -> Value {
    let stepped = json!({
        "type": "object",
        "properties": { "shape": { "const": "steps" } },
        "required": ["shape"],
    });
    json!([
        { "required": ["duration"] },
        { "required": ["load"], "properties": { "load": stepped } },
        { "required": ["loads"] },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition_and_names_are_distinct() {
        let schema = schema();
        let definitions = schema["$defs"].as_object().unwrap();
        assert_eq!(definitions.len(), section::all().len(), "two sections share a name");
        let text = schema.to_string();
        for part in text.split("#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
    }
}
