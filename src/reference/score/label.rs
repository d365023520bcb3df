//! Which stretches of which recordings are anomalous: NAB's `combined_windows.json`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Flaw;
use super::moment::Moment;

/// An example of the whole format, for messages.
const EXAMPLE: &str = r#"write {"folder/file.csv": [["2014-07-01 00:30:00", "2014-07-01 05:00:00"]]}"#;

/// The labelled windows of several recordings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Labels {
    recordings: Vec<Recording>,
}

/// The windows of one recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recording {
    /// The recording's path, relative to a folder that the labels do not name: `realKnownCause/nyc_taxi.csv`.
    pub name: String,
    /// Its windows, by their start.
    pub windows: Vec<Window>,
}

/// From when to when readings are anomalous, both included.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    /// Line on which it begins in the labels, from 1.
    pub line: u64,
    /// When the anomaly begins.
    pub start: Moment,
    /// When it ends, not before it begins.
    pub end: Moment,
    /// Both as they were written.
    pub text: [String; 2],
}

impl Labels {
    /// Reads a JSON object with, for every recording, the array of its windows, each an array of two timestamps.
    ///
    /// # Errors
    /// With the first line that is none.
    pub(crate) fn read(text: &str) -> Result<Self, Flaw> {
        let files: BTreeMap<String, Vec<&RawValue>> = serde_json::from_str(text)
            .map_err(|error| Flaw::new(error.line() as u64, format!("no labels: {error}; {EXAMPLE}")))?;
        let mut recordings = Vec::with_capacity(files.len());
        for (name, raw) in files {
            let windows = raw.iter().enumerate().map(|(nth, raw)| {
                let line = line_of(text, raw.get());
                window(raw.get(), line).map_err(|message| {
                    Flaw::new(line, format!("field `{name}`, window {}: {message}", nth + 1))
                })
            });
            let mut windows = windows.collect::<Result<Vec<_>, _>>()?;
            windows.sort_by_key(|window| window.start);
            recordings.push(Recording { name, windows });
        }
        Ok(Self { recordings })
    }

    /// All recordings that are labelled, in the order of their names.
    pub(crate) fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// The recording whose name is what the file's path ends with, in whole components; of several the longest.
    pub(crate) fn find(&self, path: &str) -> Option<&Recording> {
        let ends = |name: &str| {
            let (mut path, mut name) = (components(path), components(name));
            name.by_ref().all(|part| path.next() == Some(part))
        };
        let named = self.recordings.iter().filter(|recording| ends(&recording.name));
        named.max_by_key(|recording| components(&recording.name).count())
    }
}

impl Recording {
    /// The folder that it lies in; empty if its name has none.
    pub(crate) fn category(&self) -> &str {
        self.name.rsplit_once(['/', '\\']).map_or("", |(folder, _)| folder)
    }
}

/// The parts of a path, the last one first.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit(['/', '\\']).filter(|part| !part.is_empty() && *part != ".")
}

fn window(raw: &str, line: u64) -> Result<Window, String> {
    let text: [String; 2] = serde_json::from_str(raw)
        .map_err(|_| format!("`{raw}` is not a window; write its start and its end, [\"2014-07-01 00:30:00\", \"2014-07-01 05:00:00\"]"))?;
    let [start, end] = [text[0].parse::<Moment>(), text[1].parse()];
    let start = start.map_err(|bad| format!("start: {bad}"))?;
    let end = end.map_err(|bad| format!("end: {bad}"))?;
    if end < start {
        return Err(format!("it ends at {}, before it starts; exchange the two", text[1]));
    }
    Ok(Window { line, start, end, text })
}

/// The line on which `part`, a piece of `text`, begins.
fn line_of(text: &str, part: &str) -> u64 {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    text[..offset].matches('\n').count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_with_their_lines_and_sorted() {
        let text = "{\n \"b/y.csv\": [],\n \"a/x.csv\": [\n  [\"2014-02-02 00:00:00\",\n \"2014-02-03 00:00:00\"],\n  [\"2014-01-01 00:00:00\", \"2014-01-01 00:00:00\"]\n ]\n}";
        let labels = Labels::read(text).unwrap();
        let [x, y] = labels.recordings() else { panic!("{labels:?}") };
        assert_eq!((x.name.as_str(), x.category(), y.windows.len()), ("a/x.csv", "a", 0));
        assert_eq!(x.windows.iter().map(|window| window.line).collect::<Vec<_>>(), [6, 4]);
        assert_eq!(x.windows[1].text[1], "2014-02-03 00:00:00");
    }

    #[test]
    fn recordings_are_found_by_the_end_of_a_path() {
        let labels = Labels::read(r#"{"a/x.csv": [], "x.csv": [], "b/a/x.csv": [], "c/y.csv": []}"#).unwrap();
        let find = |path| labels.find(path).map(|recording| recording.name.as_str());
        for (path, name) in [
            ("/data/a/x.csv", Some("a/x.csv")),
            ("/data/b/a/x.csv", Some("b/a/x.csv")),
            (r"C:\data\c\.\y.csv", Some("c/y.csv")),
            ("x.csv", Some("x.csv")),
            ("/data/dx.csv", None),
            ("/data/y.csv", None),
        ] {
            assert_eq!(find(path), name, "{path}");
        }
    }

    #[test]
    fn a_flaw_names_its_line_its_field_and_the_remedy() {
        for (text, line, said) in [
            ("", 1, "no labels: EOF"),
            ("{\n\"a\": 3}", 2, "no labels: invalid type"),
            (
                "{\"a\":\n[\"2014-07-01 00:00:00\"]}",
                2,
                "field `a`, window 1: `\"2014-07-01 00:00:00\"` is not a window; write",
            ),
            ("{\"a\":\n[[1, 2]]}", 2, "field `a`, window 1: `[1, 2]` is not a window; write"),
            (
                "{\"a\": [[\"2014-07-01 00:00:00\", \"2014-07-01 00:00:00\"],\n[\"x\", \"\"]]}",
                2,
                "field `a`, window 2: start: `x` is not a timestamp; write",
            ),
            (
                "{\"a\": [[\"2014-07-02 00:00:00\", \"2014-07-01 00:00:00\"]]}",
                1,
                "field `a`, window 1: it ends at 2014-07-01 00:00:00, before it starts; exchange",
            ),
        ] {
            let flaw = Labels::read(text).unwrap_err();
            assert!(flaw.line == line && flaw.message.starts_with(said), "{text}: {flaw}");
        }
    }
}
