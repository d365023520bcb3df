//! Fleets that the service left without an answer, whatever it did for others.

use serde::{Deserialize, Serialize};

use super::table::{ALL, SummaryRow, is_measured};
use crate::units::plural;

/// A fleet that was not answered, or that could not reach the service for most of the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The fleet.
    pub fleet: String,
    /// What was missing, in a sentence.
    pub reason: String,
}

impl Silence {
    /// The fleets of `rows` that had readings due in the measured phases and none of them answered ok, in the order of the rows.
    pub(crate) fn unanswered(rows: &[SummaryRow]) -> Vec<Self> {
        let mut fleets: Vec<(&str, u64, u64)> = Vec::new();
        let measured =
            |row: &&SummaryRow| row.kind == "reading" && is_measured(&row.phase) && row.fleet != ALL;
        for row in rows.iter().filter(measured) {
            let (planned, ok) = (row.figures.planned, row.figures.ok);
            match fleets.iter_mut().find(|(fleet, ..)| *fleet == row.fleet) {
                Some(sum) => (sum.1, sum.2) = (sum.1 + planned, sum.2 + ok),
                None => fleets.push((&row.fleet, planned, ok)),
            }
        }
        let silent = fleets.into_iter().filter(|(_, planned, ok)| *planned > 0 && *ok == 0);
        silent.map(|(fleet, planned, _)| Self::of_none(fleet, planned)).collect()
    }

    fn of_none(fleet: &str, planned: u64) -> Self {
        let reason = if planned == 1 {
            format!("the one reading of fleet {fleet} in the measured phases was not answered ok")
        } else {
            let readings = plural(planned, "reading");
            format!("none of the {readings} of fleet {fleet} in the measured phases was answered ok")
        };
        Self { fleet: fleet.to_owned(), reason }
    }

    /// A closed fleet whose devices had no connection for `away_s` of the `measured_s` seconds measured, for their attempts failed.
    pub(crate) fn cut_off(fleet: &str, away_s: f64, measured_s: f64) -> Self {
        let reason = format!(
            "no device of fleet {fleet} had a connection for {away_s:.1} s of the {measured_s:.1} s measured, for every attempt \
             failed; as the fleet is closed, no reading came due meanwhile"
        );
        Self { fleet: fleet.to_owned(), reason }
    }
}
