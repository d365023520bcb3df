//! `squall score`: the bundled detector against labelled recordings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::CliError;
use super::args::ScoreArgs;
use super::exit::Exit;
use super::screen;
use crate::display::Style;
use crate::display::figure::count;
use crate::reference::score::{self, Labels, Profile, Recording, Series, Tally};

/// What the recordings without a folder are gathered under.
const NO_FOLDER: &str = "(no folder)";
/// Files that a note names before it only counts.
const NAMED: usize = 3;

/// A file to be scored, and its windows.
type Task<'a> = (PathBuf, &'a Recording);

/// Scores the detector and prints what came of it.
pub(super) fn score(args: &ScoreArgs) -> Result<Exit, CliError> {
    let windows = args.windows.display();
    let labels =
        Labels::read(&read(&args.windows)?).map_err(|flaw| CliError::usage(format!("{windows}:{flaw}")))?;
    let (tasks, skipped) = tasks(&args.recordings, &labels, &args.windows)?;
    let threshold = args.threshold.unwrap_or_else(score::usual_threshold);
    let (mut scored, mut faults) = (Vec::new(), Vec::new());
    for (path, recording) in tasks {
        match one(&path, recording, threshold, &args.windows) {
            Ok(tally) => scored.push((recording, tally)),
            Err(error) => faults.push(error),
        }
    }
    if let Some(first) = faults.first() {
        let exit = first.exit;
        let messages: Vec<String> = faults.into_iter().map(|error| error.message).collect();
        return Err(CliError::new(exit, &messages.join("\nerror: ")));
    }
    if !skipped.is_empty() {
        // Nobody reading it changes nothing.
        let _ =
            writeln!(io::stderr(), "note: not scored, for {windows} does not have them: {}", named(&skipped));
    }
    print(&Scores { threshold, scored: &scored, skipped: &skipped }, args.json)
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!("cannot read {}: {error}", path.display()))
}

/// Scores one recording; a flaw is in its file, or in its windows.
fn one(path: &Path, recording: &Recording, threshold: f64, windows: &Path) -> Result<Tally, CliError> {
    let within = |file: &Path, flaw| CliError::usage(format!("{}:{flaw}", file.display()));
    let series = Series::read(&read(path)?).map_err(|flaw| within(path, flaw))?;
    score::score(&series, recording, threshold).map_err(|flaw| within(windows, flaw))
}

/// The files to be scored, each with its windows, and those in folders that have none. A file that was named and has none
/// is an error.
fn tasks<'a>(
    named: &[PathBuf],
    labels: &'a Labels,
    windows: &Path,
) -> Result<(Vec<Task<'a>>, Vec<PathBuf>), CliError> {
    let (mut tasks, mut skipped) = (Vec::new(), Vec::new());
    for path in named {
        let mut files = Vec::new();
        let folder = path.is_dir();
        if folder {
            gather(path, &mut files).map_err(|error| unreadable(path, &error))?;
        } else {
            files.push(path.clone());
        }
        for file in files {
            // Without what `.` and links hide, so that entries with a folder match files named from within it.
            let whole = file.canonicalize().map_err(|error| unreadable(&file, &error))?;
            match labels.find(&whole.to_string_lossy()) {
                Some(recording) => tasks.push((file, recording)),
                None if folder => skipped.push(file),
                None => {
                    let (file, windows) = (file.display(), windows.display());
                    return Err(CliError::usage(format!(
                        "{file}: no entry of {windows} is what its path ends with; \
                         add one, such as {}, with no windows if it has no anomaly",
                        json!({ entry(path): [] })
                    )));
                }
            }
        }
    }
    if tasks.is_empty() {
        let (windows, example) = (windows.display(), labels.recordings().first());
        let example = example.map_or_else(String::new, |first| format!(" such as {}", first.name));
        return Err(CliError::usage(format!(
            "none of the files is in {windows}; name CSV files that are{example}, or a folder above them"
        )));
    }
    Ok((tasks, skipped))
}

/// The CSV files under `folder`, by their names.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            gather(&entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            files.push(entry);
        }
    }
    Ok(())
}

/// What an entry for the file at `path` could be called: its name and that of its folder.
fn entry(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

/// The first few files, and how many more there are.
fn named(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().take(NAMED).map(|file| file.display().to_string()).collect();
    let more = files.len().saturating_sub(NAMED);
    names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// What is to be printed.
struct Scores<'a> {
    threshold: f64,
    scored: &'a [(&'a Recording, Tally)],
    skipped: &'a [PathBuf],
}

impl Scores<'_> {
    /// By category, sorted, and all together.
    fn sums(&self) -> (BTreeMap<&str, Tally>, Tally) {
        let (mut categories, mut all) = (BTreeMap::<&str, Tally>::new(), Tally::default());
        for (recording, tally) in self.scored {
            let category = recording.category();
            categories.entry(if category.is_empty() { NO_FOLDER } else { category }).or_default().add(tally);
            all.add(tally);
        }
        (categories, all)
    }

    fn json(&self) -> Value {
        let (categories, all) = self.sums();
        let with = |key: &str, name: &str, tally: &Tally| {
            let mut value = figures(tally);
            value[key] = name.into();
            value
        };
        json!({
            "threshold": self.threshold,
            "all": figures(&all),
            "categories": categories.iter().map(|(name, tally)| with("category", name, tally)).collect::<Vec<_>>(),
            "recordings": self.scored.iter().map(|(recording, tally)| with("recording", &recording.name, tally)).collect::<Vec<_>>(),
            "skipped": self.skipped,
        })
    }

    fn table(&self, style: Style) -> String {
        let (categories, all) = self.sums();
        let mut rows: Vec<Vec<String>> = vec![
            [
                "",
                "files",
                "found",
                "false",
                "standard",
                "low FP",
                "low FN",
                "precision",
                "recall",
                "median delay",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        rows.extend(categories.iter().map(|(name, tally)| row(name, tally, style)));
        rows.push(row("all", &all, style));
        let mut widths = vec![0; rows[0].len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &rows {
            let mut line = format!("{:<1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                // Writing to a string cannot fail.
                let _ = write!(line, "  {cell:>width$}");
            }
            text += line.trim_end();
            text.push('\n');
        }
        text + &format!(
            "\n{} readings, threshold {}. NAB scores: 0 never alerts, 100 is perfect; one credit per window, more the \
             sooner.\nfalse: alarms outside all windows. precision: share of alarms in windows. recall: share of windows \
             found.\ndelay: readings and time from the start of a window to the first alarm in it.\n",
            count(all.readings as u64, style),
            self.threshold
        )
    }
}

fn figures(tally: &Tally) -> Value {
    let nab: serde_json::Map<String, Value> =
        Profile::ALL.iter().map(|profile| (profile.name.to_owned(), tally.nab(profile).into())).collect();
    let delay = tally.median_delay();
    json!({
        "recordings_scored": tally.recordings,
        "readings": tally.readings,
        "windows": tally.windows,
        "windows_found": tally.found(),
        "true_alarms": tally.true_alarms,
        "false_alarms": tally.false_alarms,
        "nab": nab,
        "precision": tally.precision(),
        "recall": tally.recall(),
        "median_delay_readings": delay.map(|delay| delay.readings),
        "median_delay_s": delay.map(|delay| delay.seconds),
    })
}

fn row(name: &str, tally: &Tally, style: Style) -> Vec<String> {
    let none = || "-".to_owned();
    let share = |share: Option<f64>| share.map_or_else(none, |share| format!("{:.1} %", 100.0 * share));
    let [standard, few_false, few_missed] =
        Profile::ALL.map(|profile| tally.nab(&profile).map_or_else(none, |score| format!("{score:.1}")));
    let delay = tally.median_delay();
    vec![
        name.to_owned(),
        tally.recordings.to_string(),
        format!("{} of {}", tally.found(), tally.windows),
        count(tally.false_alarms as u64, style),
        standard,
        few_false,
        few_missed,
        share(tally.precision()),
        share(tally.recall()),
        delay.map_or_else(none, |delay| format!("{} ({})", delay.readings, span(delay.seconds))),
    ]
}

/// A time as people say it, from seconds to days.
fn span(seconds: f64) -> String {
    match seconds {
        _ if seconds < 120.0 => format!("{seconds:.0} s"),
        _ if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

fn print(scores: &Scores<'_>, as_json: bool) -> Result<Exit, CliError> {
    let text = if as_json { screen::json(&scores.json())? + "\n" } else { scores.table(screen::style()) };
    screen::print(&text)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests;
