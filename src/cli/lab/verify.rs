//! `squall lab verify`: whether labs are judged right on this machine. What was run is kept, so that it goes
//! on after an interruption.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::load;
use super::run::prepare;
use crate::cli::exit::Exit;
use crate::cli::run::progress;
use crate::cli::signal::Interrupts;
use crate::cli::{CliError, screen};
use crate::lab::{Lab, LabVerdict, Variant, judge, trial};
use crate::run::{Observer, Steering};
use crate::scenario::Overrides;
use crate::seed::Seed;

/// The share of tries that must be judged, in per cent.
const LEAST_JUDGED: usize = 80;

/// A try, as the table of tries keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    lab: String,
    variant: Variant,
    /// From 1; the seed of the run.
    number: u32,
    student: String,
    /// `passed`, `failed` or `unjudged`.
    verdict: String,
    /// Empty where it was not judged.
    right: Option<bool>,
    run: String,
}

/// Runs what was not run yet, and prints the table.
pub(super) fn verify(
    labs: &[&'static Lab],
    tries: u32,
    student: Option<&str>,
    out: &Path,
) -> Result<Exit, CliError> {
    let unwritable =
        |error: io::Error| CliError::failed(format!("cannot write under {}: {error}", out.display()));
    fs::create_dir_all(out).map_err(unwritable)?;
    let table = out.join("verify.csv");
    let mut rows = read(&table)?;
    let interruption = Interruption::listen().map_err(CliError::failed)?;
    let owner = student.unwrap_or_default();
    // The table may hold tries of other labs and students, and more of them, which are not asked for.
    rows.retain(|row| {
        labs.iter().any(|lab| lab.name == row.lab) && row.number <= tries && row.student == owner
    });
    for (lab, number, variant) in order(labs, tries) {
        let is_of = |row: &Row, variant: Variant| {
            row.lab == lab.name && row.number == number && row.variant == variant
        };
        if rows.iter().any(|row| is_of(row, variant)) {
            continue;
        }
        let before = rows.iter().find(|row| is_of(row, Variant::Broken)).map(|row| Path::new(&row.run));
        let attempt = Attempt { lab, variant, number, student };
        let Some((run, verdict)) = attempt.judged(out, before, &interruption)? else {
            screen::print(&format!("{}\ninterrupted; the same command goes on\n", summary(labs, &rows)))?;
            return Ok(Exit::Interrupted);
        };
        let row = Row {
            lab: lab.name.to_owned(),
            variant,
            number,
            student: owner.to_owned(),
            verdict: verdict.name().to_owned(),
            right: (verdict != LabVerdict::Unjudged)
                .then_some((verdict == LabVerdict::Passed) == variant.must_pass()),
            run: run.display().to_string(),
        };
        append(&table, &row).map_err(unwritable)?;
        rows.push(row);
    }
    screen::print(&summary(labs, &rows))?;
    Ok(exit(&rows))
}

/// Every try: all variants of a lab in turn, so that what disturbs the machine disturbs all alike.
fn order<'l>(
    labs: &'l [&'static Lab],
    tries: u32,
) -> impl Iterator<Item = (&'static Lab, u32, Variant)> + use<'l> {
    let of_lab = move |lab: &'static Lab| {
        (1..=tries).flat_map(move |number| Variant::ALL.map(|variant| (lab, number, variant)))
    };
    labs.iter().flat_map(move |lab| of_lab(lab))
}

/// A try that is to be made.
struct Attempt<'s> {
    lab: &'static Lab,
    variant: Variant,
    /// From 1; the seed of the run.
    number: u32,
    student: Option<&'s str>,
}

impl Attempt<'_> {
    /// Runs and judges it, beside the run of the lab as it is given; `None` if it was interrupted.
    fn judged(
        &self,
        out: &Path,
        before: Option<&Path>,
        interruption: &Arc<Interruption>,
    ) -> Result<Option<(PathBuf, LabVerdict)>, CliError> {
        if interruption.is_heard() {
            return Ok(None);
        }
        let Self { lab, variant, number, student } = self;
        let assignment = trial(lab, *variant, *student).map_err(CliError::failed)?;
        let overrides = Overrides { seed: Some(Seed(u64::from(*number))), ..Overrides::default() };
        let run = prepare(&assignment, Path::new("scenario.toml"), &overrides, &[], &out.join("runs"))?;
        let observer: Arc<dyn Observer> = Arc::new(progress(true, &run));
        let interrupts: Arc<dyn Observer> = interruption.clone();
        let finished = run.start(vec![observer, interrupts])?.wait()?;
        if interruption.is_heard() {
            return Ok(None);
        }
        let directory = finished.directory().to_owned();
        let judged = judge(&load(&directory)?, before).map_err(CliError::failed)?;
        screen::print(&format!("{} {} {number}: {}\n", lab.name, variant.word(), judged.verdict.name()))?;
        Ok(Some((directory, judged.verdict)))
    }
}

/// The exit code: whether all that was judged was judged right, and enough was.
fn exit(rows: &[Row]) -> Exit {
    let judged = rows.iter().filter(|row| row.right.is_some()).count();
    if rows.iter().any(|row| row.right == Some(false)) {
        Exit::Budget
    } else if judged * 100 < rows.len() * LEAST_JUDGED {
        Exit::Invalid
    } else {
        Exit::Fine
    }
}

/// The table for people, in Markdown: it goes into the documentation as it is.
fn summary(labs: &[&'static Lab], rows: &[Row]) -> String {
    let mut text =
        String::from("\n| lab | variant | must | tries | judged | right |\n|---|---|---|---|---|---|\n");
    for lab in labs {
        for variant in Variant::ALL {
            let own: Vec<_> =
                rows.iter().filter(|row| row.lab == lab.name && row.variant == variant).collect();
            let judged = own.iter().filter(|row| row.right.is_some()).count();
            let right = own.iter().filter(|row| row.right == Some(true)).count();
            let must = if variant.must_pass() { "pass" } else { "fail" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {must} | {} | {judged} | {right} |",
                lab.name,
                variant.word(),
                own.len()
            );
        }
    }
    text
}

fn read(table: &Path) -> Result<Vec<Row>, CliError> {
    let fault = |error: csv::Error| {
        let shown = table.display();
        CliError::failed(format!("{shown} is not a table of tries: {error}; move it away to begin anew"))
    };
    if !table.exists() {
        return Ok(Vec::new());
    }
    let mut reader = csv::Reader::from_path(table).map_err(fault)?;
    reader.deserialize().collect::<Result<_, _>>().map_err(fault)
}

fn append(table: &Path, row: &Row) -> io::Result<()> {
    let is_new = !table.exists();
    let file = OpenOptions::new().create(true).append(true).open(table)?;
    let mut writer = csv::WriterBuilder::new().has_headers(is_new).from_writer(file);
    writer.serialize(row).map_err(io::Error::other)?;
    writer.flush()
}

/// Ends the try that is under way when the user interrupts, and the tries after it.
struct Interruption {
    present: Mutex<Option<Steering>>,
    heard: AtomicU32,
}

impl Interruption {
    fn listen() -> io::Result<Arc<Self>> {
        let own = Arc::new(Self { present: Mutex::new(None), heard: AtomicU32::new(0) });
        let told = Arc::clone(&own);
        Interrupts::listen(move |count| told.interrupt(count)).map(drop)?;
        Ok(own)
    }

    fn interrupt(&self, count: u32) {
        self.heard.store(count, Ordering::SeqCst);
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        match present.as_ref() {
            Some(steering) if count == 1 => steering.finish(),
            Some(steering) => steering.abort(),
            None => {}
        }
    }

    fn is_heard(&self) -> bool {
        self.heard.load(Ordering::SeqCst) > 0
    }
}

impl Observer for Interruption {
    fn begin(&self, steering: &Steering) -> io::Result<()> {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(steering.clone());
        Ok(())
    }
}
