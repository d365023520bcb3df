//! `progress.json`: how far a student has come. Kept beside the labs' folders; runs and judgements do not
//! depend on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::results::replace_text;

/// The name of the file.
const FILE: &str = "progress.json";

/// What a student has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// Whose rates the labs have that are begun from now on; `None`: everybody's.
    pub(crate) student: Option<String>,
    /// The lab that was started or run last.
    pub(crate) last: Option<String>,
    /// By lab.
    pub(crate) labs: BTreeMap<String, LabProgress>,
}

/// One lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LabProgress {
    /// Whose rates it has, since it was begun; `None`: everybody's.
    pub(crate) student: Option<String>,
    /// The depth of the deepest hint that was asked for; 0: none.
    pub(crate) hints: u8,
    /// The directories of its runs, the last one last, as they are seen from the folder of the lab.
    pub(crate) runs: Vec<String>,
    /// The run that passed first.
    pub(crate) passed: Option<String>,
}

impl Progress {
    /// Reads what is kept in `folder`; nothing is no fault.
    ///
    /// # Errors
    /// If there is something else.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        serde_json::from_str(&text).map_err(|error| {
            let path = path.display();
            format!("{path} is not the progress of labs: {error}; move it away, and the labs begin anew")
        })
    }

    /// Keeps it in `folder`, in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn save(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        replace_text(&folder.join(FILE), &(text + "\n"))
    }

    /// Whether a run of `lab` has passed.
    pub(crate) fn is_passed(&self, lab: &str) -> bool {
        self.labs.get(lab).is_some_and(|own| own.passed.is_some())
    }

    /// Whose rates `lab` has.
    pub(crate) fn student_of(&self, lab: &str) -> Option<&str> {
        self.labs.get(lab)?.student.as_deref()
    }

    /// The labs with everybody's rates, although there is a student by now.
    pub(crate) fn nameless(&self) -> Vec<&str> {
        let all = self.labs.iter().filter(|(_, own)| self.student.is_some() && own.student.is_none());
        all.map(|(lab, _)| lab.as_str()).collect()
    }

    /// What is known of `lab`; an entry is made where there is none.
    pub(crate) fn of(&mut self, lab: &str) -> &mut LabProgress {
        self.labs.entry(lab.to_owned()).or_default()
    }
}
