//! The runs of a comparison read once more, for what the comparison does not hold: distributions, budgets, how each is judged.

use std::path::Path;

use hdrhistogram::Histogram;

use super::origin::{Origin, Trial};
use crate::compare::{Comparison, Pairing};
use crate::page::curve::{Point, points};
use crate::record::Judgement;
use crate::results::{
    BudgetResult, LoadError, Manifest, Millis, SummaryRow, load_manifest, read_summary, read_total,
};

/// Single runs of a build that are drawn; of more, evenly chosen ones.
const MOST_LINES: usize = 25;
/// Budgets that are told apart.
const MOST_BUDGETS: usize = 100;
/// Machines that are named.
const MOST_HOSTS: usize = 8;

/// What the runs of a comparison say.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// A line per trial of the origin.
    pub(super) trials: Vec<TrialFacts>,
    /// Of base and candidate.
    pub(super) builds: [Build; 2],
    pub(super) demands: Vec<Demand>,
    /// Manifest of the first run that counts.
    pub(super) first: Option<Manifest>,
    /// The machines that generated the load, each once.
    pub(super) hosts: Vec<crate::results::Host>,
}

/// What became of a pair, or of a run alone.
#[derive(Debug, Default)]
pub(super) struct TrialFacts {
    /// Whether the comparison rests on it.
    pub(super) counts: bool,
    /// How the runs of base and candidate judge themselves.
    pub(super) judgements: [Option<Judgement>; 2],
}

/// The response times of all readings of a build: of its runs, and of all of them together.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) times: Option<Histogram<u64>>,
    /// The smallest bound of a failed reading, nanoseconds.
    pub(super) floor: Option<u64>,
    /// Curves of single runs, and how many runs there are.
    pub(super) lines: Vec<Vec<Point>>,
    pub(super) runs: usize,
}

/// A condition of a budget, and how often each build met it.
#[derive(Debug)]
pub(super) struct Demand {
    pub(super) result: BudgetResult,
    /// Runs of base and candidate that met it, and that it was judged in.
    pub(super) met: [usize; 2],
    pub(super) judged: [usize; 2],
}

impl Runs {
    /// Reads what the runs of `origin` left.
    ///
    /// # Errors
    /// If a run that counts cannot be read.
    pub(super) fn read(comparison: &Comparison, origin: &Origin) -> Result<Self, LoadError> {
        let counted = counted(comparison, &origin.trials);
        let main = |side: usize| {
            let both = origin.trials.iter().zip(&counted);
            both.filter(|(trial, counts)| **counts && !trial.is_fresh && trial.runs[side].is_some()).count()
        };
        let mut runs = Self::default();
        for side in [0, 1] {
            runs.builds[side].runs = main(side);
        }
        let mut places = [0, 0];
        for (trial, counts) in origin.trials.iter().zip(counted) {
            let mut facts = TrialFacts { counts, ..TrialFacts::default() };
            for (side, directory) in trial.runs.iter().enumerate() {
                let Some(directory) = directory else { continue };
                let manifest = match load_manifest(directory) {
                    // What does not count need not be whole.
                    Err(_) if !counts => continue,
                    loaded => loaded?,
                };
                facts.judgements[side] = manifest.validity.as_ref().map(|validity| validity.verdict);
                if counts && !trial.is_fresh {
                    runs.builds[side].add(directory, places[side])?;
                    places[side] += 1;
                    runs.take(side, manifest);
                }
            }
            runs.trials.push(facts);
        }
        Ok(runs)
    }

    fn take(&mut self, side: usize, manifest: Manifest) {
        for result in &manifest.budgets {
            let known = self.demands.iter().position(|demand| demand.result.is_of_same(result));
            let place = match known {
                Some(place) => place,
                None if self.demands.len() < MOST_BUDGETS => {
                    self.demands.push(Demand { result: result.clone(), met: [0; 2], judged: [0; 2] });
                    self.demands.len() - 1
                }
                None => continue,
            };
            self.demands[place].met[side] += usize::from(result.met);
            self.demands[place].judged[side] += usize::from(result.met || !result.unjudged);
        }
        if !self.hosts.contains(&manifest.host) && self.hosts.len() < MOST_HOSTS {
            self.hosts.push(manifest.host.clone());
        }
        self.first.get_or_insert(manifest);
    }
}

impl Build {
    /// Adds the run in `directory`, the `place`-th of the build.
    fn add(&mut self, directory: &Path, place: usize) -> Result<(), LoadError> {
        let floors = read_summary(directory)?;
        let floors = floors.iter().filter(|row| row.is_measured());
        let floor =
            floors.filter_map(|row: &SummaryRow| row.figures.censored_floor_ms.map(Millis::as_ns)).min();
        self.floor = [self.floor, floor].into_iter().flatten().min();
        let Some(mut times) = read_total(directory)? else { return Ok(()) };
        if place.is_multiple_of(self.runs.div_ceil(MOST_LINES).max(1)) {
            self.lines.push(points(&times));
        }
        if let Some(sum) = &mut self.times {
            // Only memory could lack: it grows with what it is given.
            let _ = sum.add(&times);
        } else {
            times.auto(true);
            self.times = Some(times);
        }
        Ok(())
    }
}

/// Which of `trials` the comparison rests on.
pub(super) fn counted(comparison: &Comparison, trials: &[Trial]) -> Vec<bool> {
    let pairs = |comparison: &Comparison| match comparison.design.pairing {
        Pairing::Paired => comparison.design.pairs as usize,
        Pairing::Unpaired | Pairing::Single => usize::MAX,
    };
    let mut left = [pairs(comparison), comparison.confirmation.as_deref().map_or(0, pairs)];
    let mut of = |trial: &Trial| {
        let left = &mut left[usize::from(trial.is_fresh)];
        let counts = trial.discarded.is_none() && *left > 0;
        *left -= usize::from(counts);
        counts
    };
    trials.iter().map(&mut of).collect()
}
