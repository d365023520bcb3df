//! A whole run in one value: what `--json` prints and what tables are drawn from, fresh or stored.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::detection::Detections;
use super::failure::{Failure, ReasonSum, reasons};
use super::manifest::{Manifest, ManifestError, load_manifest};
use super::outage::Outage;
use super::replaced::read_rows;
use super::table::{SummaryRow, TableError, is_measured, read_summary};
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
    /// The audit of those fleets in which what they expect of the service was broken, or was not tested.
    pub fn unkept_promises(&self) -> Vec<&FleetDelivery> {
        self.delivery.iter().filter(|fleet| fleet.unkept().is_some()).collect()
    }

    /// How many of how many measured readings failed of those fleets that no budget on failures watches, where that is more than
    /// 1 %. `None` for an invalid measurement too, which says nothing about the service.
    pub fn unguarded_failures(&self) -> Option<(u64, u64)> {
        let rows = self.summary.iter().filter(|row| row.kind == "reading" && !row.is_headline());
        let unguarded = rows
            .filter(|row| is_measured(&row.phase) && !self.run.is_watched(&row.fleet, &row.protocol))
            .map(|row| (row.figures.planned.saturating_sub(row.figures.ok), row.figures.planned));
        let (failed, planned) = unguarded.fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        let many = failed.saturating_mul(100) > planned;
        (many && !self.run.is_invalid()).then_some((failed, planned))
    }

    /// Why readings and connections failed, summed over phases: of readings those of the measured phases, most frequent first,
    /// then connections, then messages that answered nothing.
    pub fn reasons(&self) -> Vec<ReasonSum> {
        reasons(&self.failures)
    }

    /// Reads the run stored in `directory`.
    ///
    /// # Errors
    /// If its manifest, its summary, its anomalies or its faults cannot be read.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let (run, summary) = (load_manifest(directory)?, read_summary(directory)?);
        let detection = Detections::with_summary(directory, &summary)?;
        let (faults, delivery) = (read_rows(directory)?, run.delivery.clone());
        let failures = read_rows(directory)?;
        Ok(Self { run, directory: directory.to_owned(), summary, detection, faults, failures, delivery })
    }
}
