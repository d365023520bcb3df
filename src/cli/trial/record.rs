//! The record of what was tried: written anew after every step, and read again for a report.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::results::replace_text;

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum State {
    Running,
    Complete,
    Interrupted,
    Failed,
}

/// Reads the record in the file at `path`, which is one of `what`; `known` is the latest version of its form.
///
/// # Errors
/// In a sentence: that there is none, or that it is of another form.
pub(in crate::cli) fn load<T: DeserializeOwned>(path: &Path, what: &str, known: u32) -> Result<T, String> {
    #[derive(Deserialize)]
    struct SchemaOnly {
        schema: u32,
    }
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let garbled = |error| format!("{shown} is not a record of {what}: {error}");
    let SchemaOnly { schema } = serde_json::from_str(&text).map_err(garbled)?;
    if schema > known {
        return Err(format!("{shown} has schema {schema}; this squall reads up to {known}"));
    }
    serde_json::from_str(&text).map_err(garbled)
}

/// Writes `record` to the file at `path` in one step: readers see the old one or the new one.
///
/// # Errors
/// If it cannot be written.
pub(in crate::cli) fn store(path: &Path, record: &impl Serialize) -> io::Result<()> {
    replace_text(path, &(serde_json::to_string_pretty(record)? + "\n"))
}
