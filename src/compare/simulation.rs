//! Simulated comparisons: what runs of two builds would give on a machine whose noise is known.
//!
//! A run is a vector of log-percentiles. Its noise is the state of the machine, which wanders slowly and hits all runs of
//! the hour alike (first-order autoregressive), and a part of its own, half of the variance each; percentiles of one run
//! go together. Independent of the statistics it serves to test.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal, StudentT};

use super::statistic::shuffle;
use crate::seed::{Seed, Stream};

/// Percentiles of a simulated run: p50, p95, p99, p99.9.
pub(super) const PERCENTILES: usize = 4;
/// How much of the machine's state one run hands to the next.
const PERSISTENCE: f64 = 0.9;
/// Shocks hit one run in so many, by so many standard deviations.
const SHOCK: (f64, f64) = (0.1, 3.0);

/// The law of a run's own noise, with variance 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    Normal,
    /// Student's t with 3 degrees of freedom: heavy tails.
    Heavy,
    /// One run in ten is hit, upwards.
    Shocks,
}

impl Noise {
    pub(super) const ALL: [Self; 3] = [Self::Normal, Self::Heavy, Self::Shocks];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Heavy => "heavy",
            Self::Shocks => "shocks",
        }
    }

    fn draw(self, stream: &mut Stream) -> f64 {
        let normal: f64 = StandardNormal.sample(stream);
        match self {
            Self::Normal => normal,
            Self::Heavy => {
                let distribution = StudentT::new(3.0).expect("3 degrees of freedom");
                distribution.sample(stream) / 3.0_f64.sqrt()
            }
            Self::Shocks => {
                let (share, size) = SHOCK;
                let hit = if stream.random::<f64>() < share { size } else { 0.0 };
                let rest = (1.0 - share * (1.0 - share) * size * size).max(0.0).sqrt();
                rest * normal + hit
            }
        }
    }
}

/// The order in which the runs of a comparison are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Pairs, each in an order drawn at random, as many one way as the other.
    Balanced,
    /// Pairs that begin with the base and the candidate by turns.
    Abba,
    /// All of the base, then all of the candidate: how it should not be done.
    Sequential,
}

/// Runs that something else on the machine, or the failures of a build, spoil; the generator notices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disturbance {
    /// Which share of the runs of base and candidate.
    pub(super) shares: [f64; 2],
    /// How much longer everything takes in such a run, on the scale of logarithms.
    pub(super) size: f64,
}

/// A machine and two builds on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Simulation {
    pub(super) noise: Noise,
    pub(super) order: Order,
    pub(super) pairs: usize,
    /// Standard deviation of the difference of a pair made one right after the other.
    pub(super) spread: f64,
    /// Share of a run's own variance that its percentiles have in common.
    pub(super) together: f64,
    /// Spread of each percentile, as a multiple of `spread`.
    pub(super) scale: [f64; PERCENTILES],
    /// How much slower the machine gets from the first run to the last, on the scale of logarithms.
    pub(super) drift: f64,
    /// What the candidate does to each percentile, same scale.
    pub(super) shift: [f64; PERCENTILES],
    /// Pairs with such a run are run again, as far as that is allowed.
    pub(super) disturbance: Option<Disturbance>,
}

impl Simulation {
    /// The differences of one comparison: for each percentile one per pair.
    pub(super) fn compare(&self, stream: &mut Stream) -> [Vec<f64>; PERCENTILES] {
        let sides = self.sides(stream);
        // Two runs in a row share the machine's state but for what it wanders between them.
        let part = (self.spread.powi(2) / (2.0 - PERSISTENCE) / 2.0).sqrt();
        let mut state: f64 = StandardNormal.sample(stream);
        let mut runs: [Vec<[f64; PERCENTILES]>; 2] = Default::default();
        let (mut again, mut is_suspect, mut number) = (repeats(self.pairs as u32), false, 0);
        while let Some(candidate) = sides.get(number) {
            let step: f64 = StandardNormal.sample(stream);
            state = PERSISTENCE * state + (1.0 - PERSISTENCE * PERSISTENCE).sqrt() * step;
            let drift = self.drift * number as f64 / (sides.len() - 1) as f64;
            let common = self.noise.draw(stream);
            let run = std::array::from_fn(|percentile| {
                let own =
                    self.together.sqrt() * common + (1.0 - self.together).sqrt() * self.noise.draw(stream);
                let shift = if *candidate { self.shift[percentile] } else { 0.0 };
                self.scale[percentile] * part * (state + own) + drift + shift
            });
            let spoilt = self.spoilt(usize::from(*candidate), stream);
            runs[usize::from(*candidate)].push(run.map(|value| value + spoilt.unwrap_or(0.0)));
            is_suspect |= spoilt.is_some();
            number += 1;
            if number % 2 > 0 {
                continue;
            }
            if is_suspect && again > 0 {
                (again, number) = (again - 1, number - 2);
                for own in &mut runs {
                    own.truncate(number / 2);
                }
            }
            is_suspect = false;
        }
        let [base, candidate] = runs;
        std::array::from_fn(|percentile| {
            base.iter().zip(&candidate).map(|(a, b)| b[percentile] - a[percentile]).collect()
        })
    }

    /// By how much a run of this side is spoilt, if it is.
    fn spoilt(&self, side: usize, stream: &mut Stream) -> Option<f64> {
        let Disturbance { shares, size } = self.disturbance?;
        (stream.random::<f64>() < shares[side]).then_some(size)
    }

    /// For every run, in the order of time, whether it is the candidate's.
    fn sides(&self, stream: &mut Stream) -> Vec<bool> {
        if self.order == Order::Sequential {
            return (0..2 * self.pairs).map(|run| run >= self.pairs).collect();
        }
        let first = match self.order {
            Order::Abba => (0..self.pairs).map(|pair| pair % 2 == 0).collect(),
            _ => balanced(self.pairs, stream),
        };
        first.into_iter().flat_map(|base_first| [!base_first, base_first]).collect()
    }
}

/// How many suspect pairs of a batch of so many may be run again.
pub(crate) const fn repeats(pairs: u32) -> u32 {
    pairs.div_ceil(2)
}

/// Whether the base runs first, for each of `pairs` pairs: a random order with as many of the one as of the other, or one
/// more where the number is odd.
pub(super) fn balanced(pairs: usize, stream: &mut Stream) -> Vec<bool> {
    let extra = pairs % 2 == 1 && stream.next_u64() & 1 == 1;
    let mut first: Vec<bool> = (0..pairs).map(|pair| pair < pairs / 2 + usize::from(extra)).collect();
    shuffle(&mut first, stream);
    first
}

/// Whether the base runs first, for each of `pairs` pairs that are to be run: balanced at random, fixed by `seed` and the
/// number of the batch.
pub(crate) fn random_order(pairs: usize, seed: Seed, batch: u64) -> Vec<bool> {
    balanced(pairs, &mut seed.stream("compare/order", batch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::statistic::moments;

    const STILL: Simulation = Simulation {
        noise: Noise::Normal,
        order: Order::Balanced,
        pairs: 8,
        spread: 0.05,
        together: 0.7,
        scale: [1.0; PERCENTILES],
        drift: 0.0,
        shift: [0.0, 0.0, 0.1, 0.0],
        disturbance: None,
    };

    #[test]
    fn a_pair_with_a_spoilt_run_is_run_again_as_long_as_that_is_allowed() {
        let spoilt = |shares, pairs| {
            let disturbance = Some(Disturbance { shares, size: 50.0 });
            let simulation = Simulation { disturbance, pairs, shift: [0.0; 4], ..STILL };
            let differences = (0..50).map(|seed| simulation.compare(&mut Seed(seed).stream("test", 2)));
            differences.map(|own| own[0].iter().filter(|own| own.abs() > 10.0).count()).collect::<Vec<_>>()
        };
        let (rare, ever) = (spoilt([0.0, 0.05], 8), spoilt([0.0, 1.0], 8));
        assert!(rare.iter().filter(|count| **count > 0).count() <= 1, "{rare:?}");
        assert!(ever.iter().all(|count| *count == 8), "{ever:?}");
    }

    #[test]
    fn differences_have_the_spread_and_the_shift_they_are_to_have() {
        for noise in Noise::ALL {
            let mut stream = Seed(7).stream("test", 0);
            let world = Simulation { noise, ..STILL };
            let all: Vec<f64> = (0..4_000).flat_map(|_| world.compare(&mut stream)[2].clone()).collect();
            let (mean, spread) = moments(&all);
            assert!((mean - 0.1).abs() < 0.002, "{noise:?} {mean}");
            // Of the heavy law no fourth moment exists, so that its spread settles slowly.
            assert!((spread / 0.05 - 1.0).abs() < 0.1, "{noise:?} {spread}");
        }
    }

    #[test]
    fn orders_are_balanced_random_and_fixed_by_the_seed() {
        let orders: Vec<_> = (0..200).map(|seed| random_order(8, Seed(seed), 0)).collect();
        assert!(orders.iter().all(|order| order.iter().filter(|first| **first).count() == 4));
        for pair in 0..8 {
            let first = orders.iter().filter(|order| order[pair]).count();
            assert!((60..=140).contains(&first), "pair {pair}: {first}");
        }
        assert_eq!(random_order(8, Seed(3), 1), random_order(8, Seed(3), 1));
        let odd: Vec<_> = (0..200)
            .map(|seed| random_order(7, Seed(seed), 0).iter().filter(|first| **first).count())
            .collect();
        assert!(odd.iter().all(|first| [3, 4].contains(first)) && odd.contains(&3) && odd.contains(&4));
    }

    #[test]
    fn sequential_runs_drift_apart_and_pairs_do_not() {
        let mut stream = Seed(7).stream("test", 1);
        for (order, shift) in
            [(Order::Sequential, 0.1 * 8.0 / 15.0), (Order::Abba, 0.0), (Order::Balanced, 0.0)]
        {
            let world = Simulation { order, drift: 0.1, shift: [0.0; 4], ..STILL };
            let means: Vec<f64> = (0..2_000).map(|_| moments(&world.compare(&mut stream)[0]).0).collect();
            let (mean, spread) = moments(&means);
            assert!((mean - shift).abs() < 5.0 * spread / 2_000.0_f64.sqrt(), "{order:?} {mean}");
        }
    }
}
