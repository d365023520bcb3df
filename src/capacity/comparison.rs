//! Two builds compared by their capacity: searches in step, and the judgement of what they find.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::posterior::Difference;
use super::probe::Probe;
use super::search::Search;
use super::settings::Settings;
use crate::compare::{Decision, Rule, random_order};

/// What is asked of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PairedSettings {
    /// What is asked of the search of either build; the most probes are those of each.
    pub search: Settings,
    /// The probability of calling two equal builds different.
    pub alpha: f64,
    /// A change of capacity up to this share is taken for noise.
    pub threshold: f64,
}

impl Default for PairedSettings {
    fn default() -> Self {
        Self { search: Settings::default(), alpha: 0.05, threshold: 0.05 }
    }
}

/// What a paired search wants next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PairedStep {
    /// A probe of each build, one right after the other.
    Pair {
        /// The factor for the base.
        base: f64,
        /// The factor for the candidate.
        candidate: f64,
        /// Whether the base is probed first.
        base_first: bool,
    },
    /// Nothing more.
    Done(Box<Comparison>),
}

/// Searches of two builds in step: pairs of probes, each pair in an order drawn at random, as often the one first as the other. Whatever
/// the machine does meanwhile, it does to both.
#[derive(Debug, Clone)]
pub(crate) struct PairedSearch {
    settings: PairedSettings,
    base: Search,
    candidate: Search,
    base_first: Vec<bool>,
    pairs: usize,
}

impl PairedSearch {
    /// A search that has seen nothing. The settings of its searches are to be without [`Settings::faults`].
    pub(crate) fn new(settings: PairedSettings) -> Self {
        let Settings { seed, most_probes, .. } = settings.search;
        let search = |side: u64| Search::with_stream(settings.search, seed.stream("capacity/pair", side));
        let base_first = random_order(most_probes as usize, seed, 0);
        Self { settings, base: search(0), candidate: search(1), base_first, pairs: 0 }
    }

    /// What to do next. Asked again before the pair is noted, it says the same.
    pub(crate) fn next_step(&mut self) -> PairedStep {
        // Not when the difference is clear: looking at it would make claims of chance.
        let is_enough = self.base.is_settled() && self.candidate.is_settled();
        match self.base_first.get(self.pairs) {
            Some(base_first) if !is_enough => PairedStep::Pair {
                base: self.base.factor(),
                candidate: self.candidate.factor(),
                base_first: *base_first,
            },
            _ => PairedStep::Done(Box::new(self.comparison_so_far())),
        }
    }

    /// Learns what the probes of a pair saw.
    pub(crate) fn note(&mut self, base: Probe, candidate: Probe) {
        self.base.note(base);
        self.candidate.note(candidate);
        self.pairs += 1;
    }

    /// What is known by now, whether or not it is enough.
    pub(crate) fn comparison_so_far(&self) -> Comparison {
        let (base, candidate) = (self.base.answer_so_far(), self.candidate.answer_so_far());
        let lower = self.base.above(&self.candidate);
        let is_inside = self.base.is_inside() && self.candidate.is_inside();
        Comparison::of([base, candidate], &lower, is_inside, &self.settings)
    }
}

/// Two builds compared by their capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// What is said of the candidate.
    pub decision: Decision,
    /// Whether all of the 90 % interval bears it out.
    pub is_certain: bool,
    /// The change of capacity as a share: −0.15 is 15 % less than the base's. Where the range of a search ended before the knee, the
    /// knee counts as at its end, so that a change is understated.
    pub change: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// Its 90 % interval: the one that equivalence is judged by.
    pub ci90: [f64; 2],
    /// The probability, both ways, that the change is not of the sign that it seems to be of.
    pub p: f64,
    /// A change up to this share is taken for noise.
    pub threshold: f64,
    /// What the search of the base found.
    pub base: Answer,
    /// What that of the candidate found.
    pub candidate: Answer,
}

impl Comparison {
    /// What is said of the answers of base and candidate. `lower` is the distribution of how much lower the candidate's knee is;
    /// `is_inside` whether both knees lie within what could be probed.
    fn of(
        [base, candidate]: [Answer; 2],
        lower: &Difference,
        is_inside: bool,
        settings: &PairedSettings,
    ) -> Self {
        let interval = |level: f64| {
            let tail = (1.0 - level) / 2.0;
            [lower.quantile(tail), lower.quantile(1.0 - tail)]
        };
        let (effect, p) = (lower.quantile(0.5), lower.p());
        let (ci95, ci90) = (interval(0.95), interval(0.9));
        let rule = Rule { alpha: settings.alpha, threshold: settings.threshold.ln_1p() };
        let (decision, is_certain) = rule.judge(effect, ci90, p);
        // Beyond the ends of what could be probed nothing is known, so that nothing is known to be alike; and what moves both knees, such
        // as a machine that gets hot, does not move their difference.
        let says_nothing = decision == Decision::NoDifference && !is_inside
            || [&base, &candidate].iter().any(|answer| answer.fit.is_none());
        let (decision, is_certain) =
            if says_nothing { (Decision::Inconclusive, false) } else { (decision, is_certain) };
        let as_change = |[low, high]: [f64; 2]| [(-high).exp_m1(), (-low).exp_m1()];
        Self {
            decision,
            is_certain,
            change: (-effect).exp_m1(),
            ci95: as_change(ci95),
            ci90: as_change(ci90),
            p,
            threshold: settings.threshold,
            base,
            candidate,
        }
    }
}
