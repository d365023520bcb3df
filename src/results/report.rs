//! A whole run in one value: what `--json` prints and what tables are drawn from, fresh or stored.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::detection::Detections;
use super::manifest::{Manifest, ManifestError, load_manifest};
use super::table::{SummaryRow, TableError, read_summary};

/// A finished run: its manifest and its figures. Its JSON form is stable under the manifest's schema version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The manifest.
    pub run: Manifest,
    /// Where the run's files are.
    pub directory: PathBuf,
    /// The rows of `summary.csv`; times in milliseconds, `null` where there is no data.
    pub summary: Vec<SummaryRow>,
    /// How well the service found the seeded anomalies.
    pub detection: Detections,
}

/// Why a stored run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// One of its tables.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Report {
    /// Reads the run stored in `directory`.
    ///
    /// # Errors
    /// If its manifest, its summary or its anomalies cannot be read.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let (run, summary) = (load_manifest(directory)?, read_summary(directory)?);
        let detection = Detections::with_summary(directory, &summary)?;
        Ok(Self { run, directory: directory.to_owned(), summary, detection })
    }
}
