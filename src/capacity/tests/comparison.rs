//! Builds whose capacities are known, compared by paired searches.

use std::sync::LazyLock;

use rand::RngExt as _;

use super::SETTINGS;
use super::queue::{Kind, Simulated, judged};
use crate::capacity::{Comparison, PairedSearch, PairedSettings, PairedStep, Probe, Settings, Verdict};
use crate::compare::Decision;
use crate::seed::{Seed, Stream, variate};

const COMPARISONS: u64 = 1_000;
/// Where the outcome is so clear that fewer show it.
const FEWER: u64 = 200;
/// The usage of probes is sampled at so many factors on either side of the knee, so far apart on the scale of logarithms.
const AROUND: i32 = 16;
const APART: f64 = 0.012;
/// Probes simulated for each of them.
const SAMPLES: usize = 60;
/// How much a run differs from the one before it, and how much less the machine can do in the end than at the beginning.
const NOISE: f64 = 0.01;
const DRIFT: f64 = 0.03;

/// What probes of a simulated queue use of their budget, by the distance of their factor from the knee.
static LAW: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
    let simulated = Simulated::new(Kind::Constant, 0.75, 1.0, 6_000);
    let mut stream = Seed(1).stream("test/law", 0);
    let at = |cell: i32| (f64::from(cell) * APART).exp();
    let mut usages = |factor: f64| {
        let usage = |_| simulated.probe(1, factor, &mut stream).usage.unwrap();
        (0..SAMPLES).map(usage).collect()
    };
    (-AROUND..=AROUND).map(|cell| usages(at(cell))).collect()
});

/// A probe of a service with its knee at `truth`, drawn from what was simulated near that distance from the knee.
fn drawn(number: u32, factor: f64, truth: f64, stream: &mut Stream) -> Probe {
    let cell = (factor / truth).ln() / APART + f64::from(AROUND) + stream.random::<f64>();
    let cell = (cell.floor().max(0.0) as usize).min(LAW.len() - 1);
    judged(number, factor, LAW[cell][stream.random_range(0..SAMPLES)])
}

/// A comparison of a base with its knee at 1 and a candidate with its at `candidate`, on a machine that drifts.
fn compared(candidate: f64, seed: u64, limit: f64) -> Comparison {
    let settings = PairedSettings {
        search: Settings { seed: Seed(seed), lowest: 0.65, highest: 1.5, precision: 0.06, ..SETTINGS },
        ..PairedSettings::default()
    };
    let mut stream = settings.search.seed.stream("test/pair", 0);
    let mut search = PairedSearch::new(settings);
    for pair in 0..SETTINGS.most_probes {
        match search.next_step() {
            PairedStep::Done(comparison) => return *comparison,
            PairedStep::Pair { base, candidate: other, base_first } => {
                let order =
                    if base_first { [2 * pair + 1, 2 * pair + 2] } else { [2 * pair + 2, 2 * pair + 1] };
                let mut probe = |number: u32, factor: f64, truth: f64| {
                    let drift = DRIFT * (-f64::from(number) / 20.0).exp();
                    let state = (drift + NOISE * variate::normal(&mut stream)).exp();
                    let probe = drawn(number, factor, truth * state, &mut stream);
                    if factor < limit { probe } else { Probe { verdict: Verdict::GeneratorLimited, ..probe } }
                };
                let base = probe(order[0], base, 1.0);
                search.note(base, probe(order[1], other, candidate));
            }
        }
    }
    search.comparison_so_far()
}

/// How often each decision is made of a candidate with so much of the base's capacity.
fn decided(candidate: f64, comparisons: u64) -> impl Fn(Decision) -> u64 {
    let all: Vec<_> = (0..comparisons).map(|seed| compared(candidate, seed, f64::INFINITY)).collect();
    let pairs: usize = all.iter().map(|own| own.base.probes.len()).sum();
    let covered = all.iter().filter(|own| (own.ci95[0]..=own.ci95[1]).contains(&(candidate - 1.0))).count();
    let count = move |decision| all.iter().filter(|own| own.decision == decision).count() as u64;
    println!(
        "capacity {candidate}: {} regressions, {} improvements, {} no difference, {} inconclusive of {comparisons}; \
         interval holds it in {covered}, {:.1} pairs on average",
        count(Decision::Regression),
        count(Decision::Improvement),
        count(Decision::NoDifference),
        count(Decision::Inconclusive),
        pairs as f64 / comparisons as f64
    );
    count
}

#[test]
fn equal_builds_are_rarely_accused() {
    let count = decided(1.0, COMPARISONS);
    assert!(count(Decision::Regression) * 50 <= COMPARISONS);
    assert!(count(Decision::Improvement) * 50 <= COMPARISONS);
    assert!(count(Decision::NoDifference) * 2 >= COMPARISONS);
}

#[test]
fn fifteen_percent_less_capacity_is_found() {
    let count = decided(0.85, FEWER);
    assert!(count(Decision::Regression) * 10 >= FEWER * 9);
    assert_eq!(count(Decision::Improvement), 0);
}

#[test]
fn more_capacity_is_an_improvement() {
    assert!(decided(1.0 / 0.85, 50)(Decision::Improvement) >= 45);
}

#[test]
fn a_generator_that_ends_before_both_knees_shows_no_difference_of_them() {
    for seed in 0..20 {
        let comparison = compared(0.85, seed, 0.75);
        assert_eq!(comparison.decision, Decision::Inconclusive, "{seed}");
    }
    // Between them the difference is at least what is left of it.
    let found = (0..20).filter(|seed| compared(0.7, *seed, 0.9).decision == Decision::Regression).count();
    assert!(found >= 18, "{found}");
}
