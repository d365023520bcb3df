//! The outputs for people and CI: what is asked for is looked at before anything runs, and written after the run's own files.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;

use super::{CliError, folder};
use crate::compare::Comparison;
use crate::export::{Format, TABLE, Writer, github};
use crate::language::guess;
use crate::page::comparison::Origin;
use crate::results::{LazyHistory, Report, TableError, read_distributions};

/// Where GitHub Actions wants a step's summary.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// What to write for CI besides the run's own files.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Outputs for people and CI")]
pub(super) struct ExportArgs {
    /// Write a JUnit report, for the test views of GitLab, Jenkins and others; the same as --format junit=FILE
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,

    /// Write a page to look at in a browser: one file that loads nothing, with every chart in it; the same as --format html=FILE
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Add to the step summary of GitHub Actions, and annotate what failed: workflow commands on standard output, with --json
    /// on standard error
    #[arg(long)]
    pub(super) github: bool,

    #[arg(long = "format", value_name = "FORMAT=FILE", value_parser = parse_output, help = help())]
    pub(super) formats: Vec<Output>,
}

/// A file to write.
#[derive(Debug, Clone)]
pub(super) struct Output {
    format: &'static Format,
    path: PathBuf,
}

/// What outputs are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A run.
    Run,
    /// Two builds compared.
    Comparison,
}

fn names() -> String {
    TABLE.map(|format| format.name).join(", ")
}

/// The help of `--format`.
fn help() -> String {
    let formats = TABLE.map(|format| format!("{}: {}", format.name, format.about)).join("\n- ");
    format!("Write a further output, as often as wanted:\n- {formats}")
}

fn named(name: &str) -> Option<&'static Format> {
    TABLE.into_iter().find(|format| format.name == name)
}

fn parse_output(text: &str) -> Result<Output, String> {
    let (name, path) = text
        .split_once('=')
        .ok_or_else(|| format!("no `=` in it; write FORMAT=FILE, the format being one of {}", names()))?;
    let format = named(name).ok_or_else(|| {
        let meant = guess(name, TABLE.map(|format| format.name));
        format!("`{name}` is not a valid format; {meant}write one of {}", names())
    })?;
    if path.is_empty() {
        return Err(format!("no file in it; write for example {name}=FILE"));
    }
    Ok(Output { format, path: path.into() })
}

impl ExportArgs {
    /// Everything that goes to a file of its own.
    fn outputs(&self) -> Vec<Output> {
        let own = [("html", &self.html), ("junit", &self.junit)];
        let own = own
            .into_iter()
            .filter_map(|(name, path)| Some(Output { format: named(name)?, path: path.clone()? }));
        own.chain(self.formats.iter().cloned()).collect()
    }

    /// The first thing that is asked for besides the page, as it is typed.
    pub(super) fn beside_page(&self) -> Option<String> {
        let junit = self.junit.is_some().then(|| "--junit".to_owned());
        let github = self.github.then(|| "--github".to_owned());
        let format = self.formats.first().map(|output| format!("--format {}", output.format.name));
        junit.or(github).or(format)
    }

    /// Whether anything is asked for.
    pub(super) fn asks(&self) -> bool {
        self.html.is_some() || self.beside_page().is_some()
    }

    /// Makes sure, before anything is sent, that what is asked for exists of `subject` and can be written: folders are
    /// made, which is said.
    ///
    /// # Errors
    /// One that names everything that is wrong; as wrong usage, unless the file system alone is to blame.
    pub(super) fn prepare(&self, subject: Subject) -> Result<(), CliError> {
        let (mut unsuited, mut unwritable, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for output in self.outputs() {
            let Output { format, path } = &output;
            let shown = path.display();
            if let Some(why) = unsuited_for(format, subject) {
                unsuited.push(format!("--format {}: {why}", format.name));
            } else if seen.contains(&place(path)) {
                unsuited.push(format!("{shown} is named for two outputs; name another file for one of them"));
            } else if let Err(error) = output.reachable() {
                unwritable.push(format!("cannot write {shown}: {error}"));
            }
            seen.push(place(path));
        }
        let kind: fn(String) -> CliError =
            if unsuited.is_empty() { CliError::failed } else { CliError::usage };
        let faults: Vec<_> = unsuited.into_iter().chain(unwritable).collect();
        if faults.is_empty() { Ok(()) } else { Err(kind(faults.join("\n       "))) }
    }
}

/// Why there is no such output of `subject`, if there is none.
fn unsuited_for(format: &Format, subject: Subject) -> Option<&'static str> {
    match (subject, &format.run, &format.comparison) {
        (Subject::Run, Writer::Unsuited(why), _) | (Subject::Comparison, _, Writer::Unsuited(why)) => {
            Some(why)
        }
        _ => None,
    }
}

/// Where `path` leads, however it is written; as it stands where its folder is not there.
fn place(path: &Path) -> PathBuf {
    match (folder::of(path).canonicalize(), path.file_name()) {
        // A link to another output is that output.
        (Ok(folder), Some(name)) => path.canonicalize().unwrap_or_else(|_| folder.join(name)),
        _ => path.to_owned(),
    }
}

impl Output {
    /// Whether it is to be a folder with a file per tag.
    fn is_folder(&self) -> bool {
        matches!(self.format.run, Writer::Distribution(_))
            && self.path.extension().is_none_or(|extension| extension != self.format.name)
    }

    /// Makes the folder it goes into, and checks that it can be written there.
    fn reachable(&self) -> io::Result<()> {
        if self.is_folder() {
            folder::ensure(&self.path)?;
            return writable(&self.path);
        }
        if self.path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; name a file"));
        }
        let folder = folder::of(&self.path);
        folder::ensure(folder)?;
        if self.path.exists() { writable(&self.path) } else { writable(folder) }
    }
}

#[cfg(unix)]
fn writable(path: &Path) -> io::Result<()> {
    Ok(nix::unistd::access(path, nix::unistd::AccessFlags::W_OK)?)
}

#[cfg(not(unix))]
fn writable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes what is asked for of a run that has ended.
///
/// # Errors
/// If something cannot be written, with everything that could not be. The rest is written all the same.
pub(super) fn run_outputs(
    args: &ExportArgs,
    report: &Report,
    history: &LazyHistory<'_>,
) -> Result<(), CliError> {
    let summary = |limit| github::run_summary(report, limit);
    let mut faults = Vec::new();
    for output in args.outputs() {
        let written = match output.format.run {
            Writer::Distribution(text) => distributions(&output, report, text),
            Writer::Page(page) => history.get().map_err(TableError::to_string).and_then(|history| {
                write(&output.path, &page(report, history, &seen_from(&output.path, &report.directory)))
            }),
            ref writer => text_of(writer, report).and_then(|text| write(&output.path, &text)),
        };
        faults.extend(written.err().map(|why| unwritten(&output, &why)));
    }
    if args.github {
        faults.extend(append_summary(&summary).err());
    }
    conclude(&faults)
}

/// Prints the annotations of a run, if they are asked for; `json` says that standard output holds JSON.
///
/// # Errors
/// If nobody takes them.
pub(super) fn run_annotations(args: &ExportArgs, report: &Report, json: bool) -> Result<(), CliError> {
    if !args.github {
        return Ok(());
    }
    annotate(&github::run_annotations(report), json).map_err(CliError::failed)
}

/// Writes what is asked for of a comparison that was made as `origin` says; `json` says that standard output holds JSON.
///
/// # Errors
/// If something cannot be written, with everything that could not be. The rest is written all the same.
pub(super) fn comparison_outputs(
    args: &ExportArgs,
    (comparison, origin): (&Comparison, &Origin),
    json: bool,
) -> Result<(), CliError> {
    let summary = |limit| github::comparison_summary(comparison, limit);
    let mut faults = Vec::new();
    for output in args.outputs() {
        let text = match output.format.comparison {
            Writer::Compared(page) => page(comparison, origin, &|file| seen_from(&output.path, file))
                .map_err(|error| error.to_string()),
            ref writer => text_of(writer, comparison),
        };
        let written = text.and_then(|text| write(&output.path, &text));
        faults.extend(written.err().map(|why| unwritten(&output, &why)));
    }
    if args.github {
        faults.extend(append_summary(&summary).err());
        faults.extend(annotate(&github::comparison_annotations(comparison), json).err());
    }
    conclude(&faults)
}

fn text_of<S>(writer: &Writer<S>, subject: &S) -> Result<String, String> {
    match writer {
        Writer::Text(text) => text(subject).map_err(|why| why.to_string()),
        // `prepare` has said so already.
        Writer::Unsuited(why) => Err((*why).to_owned()),
        Writer::Distribution(_) | Writer::Page(_) | Writer::Compared(_) => {
            Err("there is no such output".to_owned())
        }
    }
}

/// The percentile files of a run: of all response times, or of every tag of its log.
fn distributions(
    output: &Output,
    report: &Report,
    text: fn(&Histogram<u64>) -> String,
) -> Result<(), String> {
    let read = read_distributions(&report.directory).map_err(|error| error.to_string())?;
    if !output.is_folder() {
        let all = read.get(&None).ok_or("the run's log holds no response time of a measured phase")?;
        return write(&output.path, &text(all));
    }
    for (tag, times) in &read {
        // A tag may come from elsewhere, and must not lead elsewhere.
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let name: String = tag.as_deref().unwrap_or("all").chars().map(plain).take(200).collect();
        write(&output.path.join(format!("{name}.{}", output.format.name)), &text(times))?;
    }
    Ok(())
}

/// The way from the folder of `file` to `folder`, both of which are there: a relative path with `/`, empty for the same folder.
pub(super) fn seen_from(file: &Path, folder: &Path) -> String {
    let (Ok(own), Ok(folder)) = (folder::of(file).canonicalize(), folder.canonicalize()) else {
        return folder.display().to_string();
    };
    let shared = own.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = own.components().skip(shared).map(|_| "..".to_owned());
    let down = folder.components().skip(shared);
    let down = down.map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| error.to_string())
}

fn unwritten(output: &Output, why: &str) -> String {
    format!("cannot write {} ({}): {why}", output.path.display(), output.format.name)
}

/// Adds to the step's summary as much as it still takes.
fn append_summary(text: &dyn Fn(usize) -> String) -> Result<(), String> {
    let Some(path) = env::var_os(SUMMARY).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        let _ = writeln!(
            io::stderr(),
            "note: {SUMMARY} is not set, so that there is no step summary; outside of GitHub Actions write \
             --format github-summary=FILE"
        );
        return Ok(());
    };
    let unwritable = |error: io::Error| format!("cannot add to {} ({SUMMARY}): {error}", path.display());
    let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(unwritable)?;
    let present = file.metadata().map_err(unwritable)?.len();
    let room = github::SUMMARY_BYTES.saturating_sub(usize::try_from(present).unwrap_or(usize::MAX));
    file.write_all(text(room).as_bytes()).map_err(unwritable)
}

fn annotate(text: &str, json: bool) -> Result<(), String> {
    let printed = if json {
        io::stderr().lock().write_all(text.as_bytes())
    } else {
        io::stdout().lock().write_all(text.as_bytes())
    };
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot print annotations: {error}"))
        }
        _ => Ok(()),
    }
}

fn conclude(faults: &[String]) -> Result<(), CliError> {
    if faults.is_empty() { Ok(()) } else { Err(CliError::failed(faults.join("\n       "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;
    use crate::export::specimen;

    fn args(formats: &[&str]) -> ExportArgs {
        let formats = formats.iter().map(|text| parse_output(text).unwrap()).collect();
        ExportArgs { formats, ..ExportArgs::default() }
    }

    #[test]
    fn a_format_is_named_with_its_file() {
        for format in TABLE {
            let output = parse_output(&format!("{}=a=b.xml", format.name)).unwrap();
            assert_eq!((output.format.name, output.path.as_path()), (format.name, Path::new("a=b.xml")));
        }
        for (text, part) in [
            ("junit", "write FORMAT=FILE"),
            ("junit=", "write for example junit=FILE"),
            (
                "xml=a",
                "`xml` is not a valid format; write one of html, junit, github-summary, pr-comment, bencher,",
            ),
        ] {
            let error = parse_output(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_guide_for_ci_has_a_row_for_every_format() {
        let guide = include_str!("../../docs/ci.md");
        let rows = |format: &&&Format| {
            let Format { name, .. } = format;
            guide.contains(&format!("| `--format {name}=F")) || guide.contains(&format!("| `--{name} FILE"))
        };
        let missing: Vec<_> = TABLE.iter().filter(|format| !rows(format)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn everything_that_is_asked_for_of_a_comparison_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let formats = TABLE.into_iter().filter(|format| unsuited_for(format, Subject::Comparison).is_none());
        let formats: Vec<_> = formats
            .map(|format| Output { format, path: folder.path().join("out").join(format.name) })
            .collect();
        let args =
            ExportArgs { formats, junit: Some(folder.path().join("junit.xml")), html: None, github: false };
        args.prepare(Subject::Comparison).unwrap();
        let mut comparison = specimen::comparison();
        comparison_outputs(&args, (&comparison, &Origin::default()), false).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(read(&folder.path().join("junit.xml")), read(&folder.path().join("out/junit")));
        for output in args.outputs() {
            assert!(read(&output.path).contains("quickstart"), "{output:?}");
        }
        comparison.cells.clear();
        let refusal = comparison_outputs(&args, (&comparison, &Origin::default()), false).unwrap_err();
        assert!(refusal.exit == Exit::Failed && refusal.message.contains("(benchmark-smaller): nothing was"));
    }

    #[test]
    fn what_cannot_be_written_is_said_before_the_run_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |format: &str, name: &str| format!("{format}={}", folder.path().join(name).display());
        fs::write(folder.path().join("file"), "").unwrap();
        let good = [
            in_folder("junit", "new/folder/j.xml"),
            in_folder("hgrm", "new/tags"),
            in_folder("hgrm", "a.hgrm"),
        ];
        args(&good.each_ref().map(String::as_str)).prepare(Subject::Run).unwrap();
        assert!(folder.path().join("new/folder").is_dir() && folder.path().join("new/tags").is_dir());
        assert!(!folder.path().join("new/folder/j.xml").exists(), "an empty report helps nobody");

        let refusal = |formats: &[String], subject| {
            let formats: Vec<_> = formats.iter().map(String::as_str).collect();
            args(&formats).prepare(subject).unwrap_err()
        };
        let under_a_file =
            refusal(&[in_folder("junit", "file/j.xml"), in_folder("bencher", "new")], Subject::Run);
        assert_eq!(under_a_file.exit, Exit::Failed);
        assert_eq!(under_a_file.message.matches("cannot write").count(), 2, "{}", under_a_file.message);
        let twice = refusal(&[in_folder("junit", "x"), in_folder("bencher", "x")], Subject::Run);
        assert!(twice.exit == Exit::Usage && twice.message.contains("named for two outputs"));
        let twice = refusal(&[in_folder("junit", "x"), in_folder("bencher", "new/../x")], Subject::Run);
        assert!(twice.message.contains("named for two outputs"), "{}", twice.message);
        let twice =
            refusal(&[in_folder("junit", "later/x"), in_folder("bencher", "./later/x")], Subject::Run);
        assert!(twice.message.contains("named for two outputs"), "{}", twice.message);
        for (format, subject, part) in [
            ("csv", Subject::Run, "summary.csv"),
            ("hgrm", Subject::Comparison, "squall report RUN"),
            ("benchmark-bigger", Subject::Comparison, "benchmark-smaller=FILE"),
        ] {
            let refusal = refusal(&[in_folder(format, "y")], subject);
            assert!(refusal.exit == Exit::Usage && refusal.message.contains(part), "{}", refusal.message);
        }
    }
}
