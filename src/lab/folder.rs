//! The folder of a lab on the student's disk: what is handed out, and what is read back.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::answer::{self, Answers};
use super::catalogue::Lab;
use super::check::Check;
use super::{mend, student};
use crate::results::LabFacts;
use crate::scenario::manual_of;

/// Largest file that is read back, bytes.
const LARGEST: u64 = 1 << 20;

/// Where a lab lies.
#[derive(Debug, Clone)]
pub(crate) struct LabFolder {
    /// Its own folder.
    path: PathBuf,
    lab: &'static Lab,
}

/// What is needed to run a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The scenario, as the student has it.
    pub(crate) scenario: String,
    /// What goes into the manifest of the run.
    pub(crate) facts: LabFacts,
}

impl Assignment {
    /// `lab` with the `scenario` and the answers in `prediction`, at the rates of `student`.
    pub(super) fn of(lab: &Lab, student: Option<&str>, scenario: String, prediction: String) -> Self {
        let prediction_sha256 = answer::fingerprint(&prediction);
        let (name, student) = (lab.name.to_owned(), student.map(str::to_owned));
        Self { scenario, facts: LabFacts { name, student, prediction_sha256, prediction } }
    }
}

impl LabFolder {
    /// The folder of `lab` below `root`, the folder of all labs.
    pub(crate) fn new(root: &Path, lab: &'static Lab) -> Self {
        Self { path: root.join(lab.name), lab }
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the lab was handed out.
    pub(crate) fn is_started(&self) -> bool {
        self.scenario().is_file()
    }

    /// The task.
    pub(crate) fn readme(&self) -> PathBuf {
        self.path.join("README.md")
    }

    /// The scenario to be changed.
    pub(crate) fn scenario(&self) -> PathBuf {
        self.path.join("scenario.toml")
    }

    /// The file of answers.
    pub(crate) fn answers(&self) -> PathBuf {
        self.path.join("answer.toml")
    }

    /// Under which runs are kept.
    pub(crate) fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// The directory of the run that the student's progress has as `run`.
    pub(crate) fn run(&self, run: &str) -> PathBuf {
        self.path.join(run)
    }

    /// What the progress has of the run in `directory`: its place in this folder, which may be moved.
    pub(crate) fn kept(&self, directory: &Path) -> String {
        directory.strip_prefix(&self.path).unwrap_or(directory).display().to_string()
    }

    /// Hands the lab out, with the rates of `student`. What is there already is the student's, and stays.
    ///
    /// # Errors
    /// If the lab was handed out before, or the folder cannot be written.
    pub(crate) fn start(&self, student: Option<&str>) -> Result<(), String> {
        let check = self.lab.check()?;
        let scenario = student::scenario(self.lab, &check, student)?;
        let shown = self.path.display();
        if self.scenario().exists() {
            return Err(format!("{shown} is there already; go on with it, or move it away to begin anew"));
        }
        let unwritable =
            |error: io::Error| format!("cannot write {shown}: {error}; choose another place with --dir");
        fs::create_dir_all(&self.path).map_err(unwritable)?;
        let (answers, keys) = (answer::blank(&check), keys(&check));
        let readme = student::text(self.lab, &check, student, self.lab.readme)?;
        for (path, text) in [
            (self.readme(), &readme),
            (self.answers(), &answers),
            (self.path.join("keys.md"), &keys),
            (self.scenario(), &scenario),
        ] {
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            match file.and_then(|mut file| file.write_all(text.as_bytes())) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => written.map_err(unwritable)?,
            }
        }
        Ok(())
    }

    /// What is to be run: answers given, and nothing changed that the lab holds fixed.
    ///
    /// # Errors
    /// What is still blank, wrong, or changed, and what to write instead.
    pub(crate) fn assignment(&self, student: Option<&str>) -> Result<Assignment, String> {
        let check = self.lab.check()?;
        let prediction = self.read(&self.answers())?;
        let source = self.answers().display().to_string();
        Answers::read(&source, &prediction, &check).map_err(|error| error.to_string())?;
        let scenario = self.read(&self.scenario())?;
        let given = student::scenario(self.lab, &check, student)?;
        mend::confine(&given, &scenario, &check.mend)
            .map_err(|error| format!("{}: {error}", self.scenario().display()))?;
        Ok(Assignment::of(self.lab, student, scenario, prediction))
    }

    /// Whether the answers are no longer those with this fingerprint, which a run began with.
    pub(crate) fn is_edited(&self, prediction_sha256: &str) -> bool {
        let text = self.read(&self.answers());
        text.is_ok_and(|text| answer::fingerprint(&text) != prediction_sha256)
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
        match read {
            Ok(read) if read as u64 <= LARGEST => Ok(text),
            Ok(_) => Err(format!("{} is larger than 1 MiB", path.display())),
            Err(error) => Err(format!(
                "cannot read {}: {error}; squall lab start {} writes it",
                path.display(),
                self.lab.name
            )),
        }
    }
}

/// What may be changed, with what each key takes.
fn keys(check: &Check) -> String {
    let named: Vec<_> = check.mend.iter().map(|key| format!("`{key}`")).collect();
    format!(
        "# What may be changed in scenario.toml\n\n{}, and what lies below. Whatever else is changed, the lab refuses.\n\n\
         `reference.queue` stands for the key `queue` under `[reference]`, and `queue.deadline` for `queue = {{ deadline = … }}`.\n\n{}",
        named.join(", "),
        manual_of(&check.mend)
    )
}
