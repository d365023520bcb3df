//! How often the interval holds the truth, how wide it is, and how many probes it takes.

use super::queue::{Kind, Simulated};
use super::{SETTINGS, searched};
use crate::capacity::{Finding, Settings};
use crate::seed::Seed;

/// Searches per service.
const SEARCHES: u64 = 200;
/// Searches of them whose interval must hold the truth.
const COVERED: u32 = 184;
/// Readings of a probe: at 200 per second, 15 seconds.
const READINGS: usize = 3_000;

/// What happened in all the searches of one kind of service.
#[derive(Debug, Default)]
struct Tally {
    covered: u32,
    narrow: u32,
    probes: usize,
    most: usize,
    high: u32,
    width: f64,
}

impl Tally {
    fn add(&mut self, finding: Finding, probes: usize, truth: f64) {
        if let Finding::Knee { factor, low, high } = finding {
            self.narrow += u32::from(high - low <= SETTINGS.precision * factor + 1e-12);
            self.covered += u32::from((low..=high).contains(&truth));
            self.high += u32::from(low > truth);
            self.width += (high - low) / factor / SEARCHES as f64;
        }
        self.probes += probes;
        self.most = self.most.max(probes);
    }
}

/// The knee of search `seed`: of each another one, so that no grid or bracket happens to suit it.
fn truth(seed: u64) -> f64 {
    (-0.45 + 0.9 * (seed as f64 * 0.618_034).fract()).exp()
}

fn tally(kind: Kind, edge: f64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..SEARCHES {
        let truth = truth(seed);
        let simulated = Simulated::new(kind, edge, truth, READINGS);
        let settings = Settings { seed: Seed(seed), ..SETTINGS };
        let mut stream = settings.seed.stream("test/service", 0);
        let answer = searched(settings, |number, factor| simulated.probe(number, factor, &mut stream));
        tally.add(answer.finding, answer.probes.len(), truth);
    }
    println!(
        "{kind:?}: covered {} (low bounds above the truth: {}), narrow {} of {SEARCHES}, mean width {:.4}, {:.1} probes on average, {} at most",
        tally.covered,
        tally.high,
        tally.narrow,
        tally.width,
        tally.probes as f64 / SEARCHES as f64,
        tally.most
    );
    tally
}

impl Tally {
    /// Whether the intervals hold the truth as often as they should, and are all as narrow as was asked for.
    fn is_sound(&self) -> bool {
        self.covered >= COVERED && u64::from(self.narrow) == SEARCHES
    }
}

fn assert_sound(kind: Kind, edge: f64) {
    let tally = tally(kind, edge);
    assert!(tally.is_sound(), "{kind:?}: {tally:?}");
}

#[test]
fn answers_that_say_nothing_or_too_much_are_told_from_sound_ones() {
    let Settings { lowest, highest, precision, .. } = SETTINGS;
    let width = Finding::Knee { factor: (lowest * highest).sqrt(), low: lowest, high: highest };
    let half = precision / 2.0;
    let guess = Finding::Knee { factor: 1.0, low: 1.0 - half, high: 1.0 + half };
    let none = Finding::Open { factor: 1.0, low: lowest, high: highest };
    for said in [width, guess, none] {
        let mut tally = Tally::default();
        for seed in 0..SEARCHES {
            tally.add(said, 1, truth(seed));
        }
        assert!(!tally.is_sound(), "{said:?} {tally:?}");
    }
}

#[test]
fn intervals_of_a_constant_server_hold_the_closed_formula() {
    assert_sound(Kind::Constant, 0.75);
}

#[test]
fn intervals_of_an_exponential_server_hold_the_closed_formula() {
    assert_sound(Kind::Exponential, 0.7);
}

#[test]
fn intervals_of_four_servers_hold_the_closed_formula() {
    assert_sound(Kind::Four, 0.7);
}

#[test]
fn intervals_of_a_cliff_hold_its_edge() {
    assert_sound(Kind::Cliff, 0.7);
}
