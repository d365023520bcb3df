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
    /// Whose rates the labs have; `None`: everybody's.
    pub(crate) student: Option<String>,
    /// By lab.
    pub(crate) labs: BTreeMap<String, LabProgress>,
}

/// One lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LabProgress {
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

    /// What is known of `lab`; an entry is made where there is none.
    pub(crate) fn of(&mut self, lab: &str) -> &mut LabProgress {
        self.labs.entry(lab.to_owned()).or_default()
    }
}
