//! The rules tried on builds whose difference is known: how often they cry wolf, and how often they miss one.
//!
//! Seeded and offline. Every row is a simulated machine with many comparisons on it, judged by the code that judges real
//! ones. One row must fail: runs in blocks, build after build, as comparisons should not be made; it shows that the test
//! has teeth.

use std::thread;

use serde::Serialize;

use super::comparison::{Cell, Figure, Group, Support, Verdict};
use super::decision::Settings;
use super::judge::judge_paired;
use super::simulation::{Noise, Order, PERCENTILES, World};
use crate::seed::{Seed, Stream};

/// Pairs at each of three declared looks.
pub const LOOKS: [u32; 3] = [8, 14, 20];
/// The nominal level of every look, where there are one, two or three (Pocock 1977).
pub const LOOK_ALPHAS: [f64; 3] = [0.05, 0.0294, 0.0221];

/// What a row is held to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "measure")]
pub enum Demand {
    /// A cell is called different before the noise threshold.
    Significant {
        /// At most this share.
        at_most: f64,
    },
    /// A cell is called a regression.
    Red {
        /// At least this share.
        at_least: f64,
        /// At most this share.
        at_most: f64,
    },
    /// And is again by as many fresh pairs.
    Confirmed {
        /// At most this share.
        at_most: f64,
    },
    /// p99 is shown to be no different, though it is by its threshold.
    FalseGreen {
        /// At most this share.
        at_most: f64,
    },
    /// The 95 % interval holds the true change.
    Covered {
        /// At least this share.
        at_least: f64,
    },
}

/// How often something happened in a row's trials, as shares.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rates {
    /// A cell called different before the noise threshold.
    pub significant: f64,
    /// A cell called a regression.
    pub red: f64,
    /// The same cell called a regression by fresh pairs too.
    pub confirmed: f64,
    /// p99 shown to be no different.
    pub green: f64,
    /// True changes within their 95 % intervals, of all cells.
    pub covered: f64,
    /// Pairs run on average, fresh ones apart.
    pub pairs: f64,
}

impl Rates {
    /// Adds one of `trials` trials.
    fn add(&mut self, trial: &Self, trials: f64) {
        self.significant += trial.significant / trials;
        self.red += trial.red / trials;
        self.confirmed += trial.confirmed / trials;
        self.green += trial.green / trials;
        self.covered += trial.covered / trials;
        self.pairs += trial.pairs / trials;
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What is simulated, in words.
    pub name: String,
    /// The law of noise.
    pub noise: &'static str,
    /// Standard deviation of a pair's difference at p99, on the scale of logarithms.
    pub spread: f64,
    /// Pairs.
    pub pairs: usize,
    /// What happened.
    pub rates: Rates,
    /// What must have.
    pub demands: Vec<Demand>,
    /// Whether all demands are met.
    pub met: bool,
}

/// The whole table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    /// Seed, as text.
    pub seed: String,
    /// Comparisons per row.
    pub trials: u32,
    /// The rows.
    pub rows: Vec<Row>,
}

impl SelfTest {
    /// Whether every row is as it must be.
    pub fn met(&self) -> bool {
        self.rows.iter().all(|row| row.met)
    }
}

/// A row before it is run.
struct Question {
    name: String,
    world: World,
    looks: bool,
    demands: Vec<Demand>,
}

/// Runs `trials` comparisons per row on all cores.
pub fn self_test(trials: u32, seed: Seed) -> SelfTest {
    ask(&questions(), trials, seed)
}

fn ask(questions: &[Question], trials: u32, seed: Seed) -> SelfTest {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(questions.len());
    let share = |core: usize| {
        let own = questions.iter().enumerate().skip(core).step_by(cores);
        own.map(|(index, question)| (index, question.answer(trials, seed, index as u64))).collect::<Vec<_>>()
    };
    let share = &share;
    let mut rows: Vec<(usize, Row)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|core| scope.spawn(move || share(core))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    rows.sort_by_key(|(index, _)| *index);
    SelfTest { seed: seed.to_string(), trials, rows: rows.into_iter().map(|(_, row)| row).collect() }
}

/// The rows, in the order of the table.
fn questions() -> Vec<Question> {
    let mut rows = equal_builds();
    rows.extend(controls());
    rows.extend(different_builds());
    rows
}

const STILL: World = World {
    noise: Noise::Normal,
    order: Order::Balanced,
    pairs: 8,
    spread: 0.05,
    together: 0.5,
    scale: [1.0; PERCENTILES],
    drift: 0.0,
    shift: [0.0; PERCENTILES],
};

/// Equal builds under every law of noise: the rules must not cry wolf.
fn equal_builds() -> Vec<Question> {
    let mut rows = Vec::new();
    for noise in Noise::ALL {
        for pairs in [6, 8, 10, 20] {
            for (spread, red) in [(0.05, 0.02), (0.1, 0.035)] {
                rows.push(Question {
                    name: "equal builds".into(),
                    world: World { noise, pairs, spread, drift: 0.05, ..STILL },
                    looks: false,
                    demands: vec![
                        Demand::Significant { at_most: 0.06 },
                        Demand::Red { at_least: 0.0, at_most: red },
                        Demand::Confirmed { at_most: 0.005 },
                        Demand::Covered { at_least: 0.935 },
                    ],
                });
            }
        }
    }
    rows.push(Question {
        name: "equal builds, ABBA".into(),
        world: World { order: Order::Abba, ..STILL },
        looks: false,
        demands: vec![Demand::Significant { at_most: 0.06 }, Demand::Red { at_least: 0.0, at_most: 0.02 }],
    });
    rows.push(Question {
        name: "equal builds, up to 3 looks".into(),
        world: World { spread: 0.1, ..STILL },
        looks: true,
        demands: vec![Demand::Red { at_least: 0.0, at_most: 0.035 }, Demand::Confirmed { at_most: 0.005 }],
    });
    rows
}

/// The same builds, compared as they should not be: the test must see it.
fn controls() -> Vec<Question> {
    let control = |pairs, drift, words: &str| Question {
        name: format!("equal builds, one after the other{words}"),
        world: World { order: Order::Sequential, pairs, drift, ..STILL },
        looks: false,
        demands: vec![Demand::Red { at_least: 0.1, at_most: 1.0 }],
    };
    vec![control(20, 0.0, ""), control(10, 0.1, ", machine 10 % slower at the end")]
}

/// Percentiles scatter the more the further out they are.
const GRADED: [f64; PERCENTILES] = [0.5, 0.75, 1.0, 1.5];

/// Builds that differ: the rules must not miss them, nor call them the same.
fn different_builds() -> Vec<Question> {
    let red = |at_least| vec![Demand::Red { at_least, at_most: 1.0 }, Demand::Covered { at_least: 0.935 }];
    let everywhere = [0.05_f64.ln_1p(); PERCENTILES];
    let graded = |row: Question| Question { world: World { scale: GRADED, ..row.world }, ..row };
    let tail = |percent: f64| [0.0, 0.0, percent.ln_1p(), 0.0];
    let row = |name: &str, spread: f64, shift: [f64; PERCENTILES], demands| Question {
        name: name.into(),
        world: World { spread, shift, ..STILL },
        looks: false,
        demands,
    };
    vec![
        row("+10 % at p99", 0.05, tail(0.1), red(0.9)),
        row("+20 % at p99", 0.1, tail(0.2), red(0.88)),
        row("+5 % everywhere", 0.05, everywhere, red(0.6)),
        graded(row("+5 % everywhere, calmer below p99", 0.05, everywhere, red(0.9))),
        Question { looks: true, ..graded(row("+5 % everywhere, up to 3 looks", 0.1, everywhere, red(0.85))) },
        row("+5 % at p99, its threshold", 0.02, tail(0.05), vec![Demand::FalseGreen { at_most: 0.06 }]),
        row("+5 % at p99, its threshold", 0.03, tail(0.05), vec![Demand::FalseGreen { at_most: 0.06 }]),
    ]
}

impl Question {
    fn answer(&self, trials: u32, seed: Seed, index: u64) -> Row {
        let mut stream = seed.stream("compare/self-test", index);
        let mut rates = Rates::default();
        for _ in 0..trials {
            rates.add(&self.trial(&mut stream), f64::from(trials));
        }
        Row {
            name: self.name.clone(),
            noise: self.world.noise.name(),
            spread: self.world.spread,
            pairs: self.world.pairs,
            rates,
            met: self.demands.iter().all(|demand| demand.met(&rates)),
            demands: self.demands.clone(),
        }
    }

    /// What one comparison gives: 1 for what happened, 0 for what did not.
    fn trial(&self, stream: &mut Stream) -> Rates {
        let (cells, alpha) = if self.looks { self.look(stream) } else { (self.judged(stream), 0.05) };
        let red = cells.iter().any(|cell| cell.claim() == Some(Verdict::Regression));
        let covers =
            |cell: &Cell, shift: f64| cell.ci95.is_some_and(|[low, high]| (low..=high).contains(&shift));
        let covered = cells.iter().zip(self.world.shift).filter(|(cell, shift)| covers(cell, *shift)).count();
        let happened = |what: bool| f64::from(u8::from(what));
        Rates {
            significant: happened(cells.iter().any(|cell| cell.p_adjusted.is_some_and(|p| p <= alpha))),
            red: happened(red),
            confirmed: happened(red && self.confirmed(&cells, stream)),
            green: happened(cells[2].verdict.is_some_and(|own| own.verdict == Verdict::NoDifference)),
            covered: covered as f64 / PERCENTILES as f64,
            pairs: cells[0].differences.len() as f64,
        }
    }

    fn judged(&self, stream: &mut Stream) -> Vec<Cell> {
        let mut cells = cells(self.world.compare(stream));
        judge_paired(&mut cells, &Settings::default(), None);
        cells
    }

    /// Looks at the first pairs, then at more, until something is claimed.
    fn look(&self, stream: &mut Stream) -> (Vec<Cell>, f64) {
        let most = LOOKS[LOOKS.len() - 1] as usize;
        let all = World { pairs: most, ..self.world }.compare(stream);
        let settings = Settings { alpha: LOOK_ALPHAS[LOOKS.len() - 1], ..Settings::default() };
        let mut judged = Vec::new();
        for pairs in LOOKS {
            judged = cells(all.clone().map(|differences| differences[..pairs as usize].to_vec()));
            judge_paired(&mut judged, &settings, None);
            if judged.iter().any(|cell| cell.claim().is_some()) {
                break;
            }
        }
        (judged, settings.alpha)
    }

    fn confirmed(&self, first: &[Cell], stream: &mut Stream) -> bool {
        let claims: Vec<_> = first.iter().map(Cell::claim).collect();
        let mut fresh = cells(self.world.compare(stream));
        judge_paired(&mut fresh, &Settings::default(), Some(&claims));
        fresh.iter().any(|cell| cell.claim() == Some(Verdict::Regression))
    }
}

impl Demand {
    /// Whether `rates` are within it.
    pub fn met(&self, rates: &Rates) -> bool {
        match *self {
            Self::Significant { at_most } => rates.significant <= at_most,
            Self::Red { at_least, at_most } => (at_least..=at_most).contains(&rates.red),
            Self::Confirmed { at_most } => rates.confirmed <= at_most,
            Self::FalseGreen { at_most } => rates.green <= at_most,
            Self::Covered { at_least } => rates.covered >= at_least,
        }
    }
}

/// Cells with these differences, as a comparison of one group has them.
pub(super) fn cells(differences: [Vec<f64>; PERCENTILES]) -> Vec<Cell> {
    let thresholds = Settings::default().thresholds;
    let figures = [Figure::P50, Figure::P95, Figure::P99, Figure::P999];
    let group = Group { phase: String::new(), fleet: String::new(), protocol: String::new() };
    let zip = figures.into_iter().zip(differences);
    zip.map(|(figure, differences)| Cell {
        group: group.clone(),
        figure,
        support: Support::Judged,
        base: None,
        candidate: None,
        effect: None,
        ci95: None,
        ci90: None,
        spread: None,
        p_adjusted: None,
        // Long times: the floor does not matter.
        threshold: thresholds.of(figure, 1e6, 1e6),
        differences,
        verdict: None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold_what_they_promise_and_the_control_fails_them() {
        // Drawn flips have a test of their own, and take long without optimisation.
        let exact: Vec<_> =
            questions().into_iter().filter(|row| row.world.pairs < 20 && !row.looks).collect();
        let test = ask(&exact, 400, Seed(1));
        // Fewer trials than the command takes: the limits are widened by three standard errors of a share.
        let slack = |limit: f64| 3.0 * (limit * (1.0 - limit) / 400.0).sqrt().max(0.002);
        for row in &test.rows {
            for demand in &row.demands {
                let widened = match *demand {
                    Demand::Significant { at_most } => {
                        Demand::Significant { at_most: at_most + slack(at_most) }
                    }
                    Demand::Red { at_least, at_most } => Demand::Red {
                        at_least: at_least - slack(at_least),
                        at_most: at_most + slack(at_most),
                    },
                    Demand::Confirmed { at_most } => Demand::Confirmed { at_most: at_most + slack(at_most) },
                    Demand::FalseGreen { at_most } => {
                        Demand::FalseGreen { at_most: at_most + slack(at_most) }
                    }
                    Demand::Covered { at_least } => Demand::Covered { at_least: at_least - slack(at_least) },
                };
                assert!(widened.met(&row.rates), "{} ({}): {:?}, {demand:?}", row.name, row.noise, row.rates);
            }
        }
        let control = test.rows.iter().filter(|row| row.name.contains("one after the other"));
        assert!(control.clone().count() > 0 && control.clone().all(|row| row.rates.red > 0.1));
    }

    #[test]
    fn equal_seeds_give_equal_tables() {
        let table = |seed| self_test(3, Seed(seed));
        assert_eq!(table(3), table(3));
        assert_ne!(table(3).rows, table(4).rows);
    }
}
