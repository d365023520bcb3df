//! A whole run in one value: what `--json` prints and what tables are drawn from, fresh or stored.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::detection::Detections;
use super::failure::{Failure, ReasonSum, reasons};
use super::manifest::{Manifest, RunState};
use super::manifest_store::{ManifestError, load_manifest};
use super::outage::Outage;
use super::rebuilt::rebuild;
use super::replaced::read_rows;
use super::seal::{SealError, verify};
use super::table::{SummaryRow, TableError, read_summary};
use crate::results::record::delivery::FleetDelivery;

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
    /// The activations of faults, in the order in which they began.
    pub faults: Vec<Outage>,
    /// Why readings and connection attempts failed.
    pub failures: Vec<Failure>,
    /// The delivery audit of every fleet.
    pub delivery: Vec<FleetDelivery>,
    /// Of a run that did not live to write its summary: what the figures were rebuilt from, and what is missing, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<String>,
}

/// Readings that failed, and no budget on failures would have said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnguardedFailures {
    /// How many of them failed.
    pub failed: u64,
    /// How many of them came due.
    pub planned: u64,
    /// The fleets that they are of; empty where those are all.
    pub fleets: Vec<String>,
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
    /// One of its files is not what the run left.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It has no figures.
    #[error("{path} holds no row of all fleets together: it was cut, or is none of a run that has ended")]
    Empty {
        /// The summary.
        path: String,
    },
}

impl Report {
    /// The readings of all fleets in all measured phases; a run that was cut short may not have them.
    pub fn headline(&self) -> Option<&SummaryRow> {
        self.summary.iter().find(|row| row.is_headline())
    }

    /// The audit of those fleets in which what they expect of the service was broken, or was not tested.
    pub fn unkept_promises(&self) -> Vec<&FleetDelivery> {
        self.delivery.iter().filter(|fleet| fleet.unkept().is_some()).collect()
    }

    /// How many of how many measured readings failed of those fleets that no budget on failures watches, where that is more than
    /// 1 %. `None` for an invalid measurement too, which says nothing about the service.
    pub fn unguarded_failures(&self) -> Option<UnguardedFailures> {
        let rows = self.summary.iter().filter(|row| row.is_measured() && row.figures.planned > 0);
        let (watched, open): (Vec<_>, Vec<_>) =
            rows.partition(|row| self.run.is_watched(&row.fleet, &row.protocol));
        let planned: u64 = open.iter().map(|row| row.figures.planned).sum();
        let failed = open.iter().map(|row| row.figures.planned.saturating_sub(row.figures.ok)).sum::<u64>();
        let many = failed.saturating_mul(100) > planned;
        let mut fleets = Vec::new();
        for row in open.iter().filter(|_| !watched.is_empty()) {
            if !fleets.contains(&row.fleet) {
                fleets.push(row.fleet.clone());
            }
        }
        // What was open when a run was killed did not fail.
        (many && !self.run.is_invalid() && self.rebuilt.is_none()).then_some(UnguardedFailures {
            failed,
            planned,
            fleets,
        })
    }

    /// Why readings and connections failed, summed over phases: of readings those of the measured phases, most frequent first,
    /// then connections, then messages that answered nothing.
    pub fn reasons(&self) -> Vec<ReasonSum> {
        reasons(&self.failures)
    }

    /// Reads the run stored in `directory`. Of a run that was killed the figures are rebuilt as far as its files go.
    ///
    /// # Errors
    /// If its manifest, its summary, its anomalies or its faults cannot be read, or are not those that the run left.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let run = load_manifest(directory)?;
        verify(directory, &run.files)?;
        let place = directory.join("summary.csv");
        if matches!(run.state, RunState::Running | RunState::Failed)
            && run.files.is_empty()
            && !place.exists()
        {
            return Self::rebuild(directory, run);
        }
        let summary = read_summary(directory)?;
        if !summary.iter().any(SummaryRow::is_headline) {
            return Err(LoadError::Empty { path: place.display().to_string() });
        }
        let detection = Detections::with_summary(directory, &summary)?;
        let (faults, delivery) = (read_rows(directory)?, run.delivery.clone());
        let failures = read_rows(directory)?;
        let directory = directory.to_owned();
        Ok(Self { run, directory, summary, detection, faults, failures, delivery, rebuilt: None })
    }

    fn rebuild(directory: &Path, run: Manifest) -> Result<Self, LoadError> {
        let (summary, sentence) = rebuild(directory, &run)?;
        // What was cut in the middle of a row is not worth the rest.
        let detection = Detections::with_summary(directory, &summary).unwrap_or_default();
        let delivery = run.delivery.clone();
        let directory = directory.to_owned();
        let (faults, failures) = (read_rows(&directory)?, read_rows(&directory)?);
        Ok(Self { run, directory, summary, detection, faults, failures, delivery, rebuilt: Some(sentence) })
    }
}
