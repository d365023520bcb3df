//! What of the devices' state outlives a crash.

use std::path::PathBuf;

use crate::language::{Field, Fields, Kind, Reporter, Section};
use crate::units::ByteSize;

/// What of the devices' state outlives a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where snapshots and the journal lie; none: only a worker's crash leaves no trace.
    pub directory: Option<PathBuf>,
    /// A journal of so many bytes is followed by a snapshot.
    pub journal: u64,
}

pub(crate) static STATE: Section = Section {
    title: "state = { … }",
    about: "what of the devices' state outlives a crash: a snapshot and a journal of the readings since; a bare text is the \
            directory. Paths begin at the directory of the scenario",
    by: None,
    fields: &[
        Field::optional(
            "directory",
            Kind::Text,
            "where snapshot and journal lie, for this instance alone; without it nothing outlives the process, and only what a \
             crashed worker had begun is undone",
        ),
        Field::with(
            "journal",
            Kind::Size(ByteSize(4_096), ByteSize(1 << 40)),
            "64MiB",
            "a journal of this size is followed by a new snapshot, and forgotten",
        ),
    ],
};

impl State {
    /// A state that lies in `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: Some(directory.into()), ..Self::default() }
    }

    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let base = report.context().directory.clone();
        Self {
            directory: fields.text("directory").map(|text| base.join(text.value())),
            journal: fields.size("journal").0,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::from_fields(&Fields::defaults(&STATE), &mut Reporter::new(""))
    }
}
