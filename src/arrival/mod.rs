//! Laws of arrival: when a device's readings are due, as pure functions of a seeded stream.
//!
//! A law speaks in *operational time*, in which its rate never changes. [`Load`] maps operational time to the
//! run's time line and back, exactly: a phase with load 2 passes operational time twice as fast, a phase with
//! load 0 passes none. This is the time change of a point process (Daley & Vere-Jones, *An Introduction to the
//! Theory of Point Processes*, vol. I, §7.4): a Poisson process in operational time becomes the inhomogeneous
//! Poisson process with intensity rate × load(t), and every other law keeps its shape within a phase.

mod constant;
mod load;
mod poisson;
#[cfg(test)]
mod statistic;

use std::sync::Arc;

use crate::clock::Tick;
use crate::seed::Stream;
use crate::units::Rate;

pub use load::{Load, Stretch};

use constant::Constant;
use poisson::Poisson;

/// How the gaps between a device's readings are distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Law {
    /// A fixed interval with a random phase, as device firmware with a timer behaves.
    Constant {
        /// Symmetric displacement of each reading, as a fraction of the interval, 0 to 0.5. It never accumulates:
        /// the n-th reading stays within `jitter` intervals of its undisturbed place.
        jitter: f64,
    },
    /// Independent, exponentially distributed gaps: the superposition of many unrelated sources.
    Poisson,
}

impl Law {
    /// All words a scenario may use, in the order documents list them.
    pub const NAMES: [&'static str; 2] = ["constant", "poisson"];

    /// The word used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant { .. } => "constant",
            Self::Poisson => "poisson",
        }
    }
}

/// The due instants of one device, in non-decreasing order, without end until the load's last stretch ends.
///
/// Holds under 400 bytes, most of them the random stream's.
#[derive(Debug, Clone)]
pub struct Arrivals {
    state: State,
    load: Arc<Load>,
    stream: Stream,
    /// Stretch of the load in which the last instant lay: instants only move forward.
    stretch: usize,
}

#[derive(Debug, Clone)]
enum State {
    Constant(Constant),
    Poisson(Poisson),
    Silent,
}

impl Arrivals {
    /// Arrivals by `law` at `rate` (of a load of 1), drawn from `stream`. A rate of 0 never arrives.
    pub fn new(law: Law, rate: Rate, load: Arc<Load>, mut stream: Stream) -> Self {
        let gap_ns = 1e9 / rate.as_per_second();
        let state = match law {
            _ if !gap_ns.is_finite() => State::Silent,
            Law::Constant { jitter } => State::Constant(Constant::new(gap_ns, jitter, &mut stream)),
            Law::Poisson => State::Poisson(Poisson::new(gap_ns)),
        };
        Self { state, load, stream, stretch: 0 }
    }
}

impl Iterator for Arrivals {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        let operational = match &mut self.state {
            State::Constant(law) => law.next(&mut self.stream),
            State::Poisson(law) => law.next(&mut self.stream),
            State::Silent => return None,
        };
        let due = self.load.invert(operational, &mut self.stretch);
        if due.is_none() {
            self.state = State::Silent;
        }
        due
    }
}

/// The expected number of arrivals of one device in [`from`, `to`): rate × the integral of the load.
///
/// Exact for every law here, because each is stationary in operational time.
pub fn expected_count(rate: Rate, load: &Load, from: Tick, to: Tick) -> f64 {
    rate.as_per_second() * (load.operational(to) - load.operational(from)).max(0.0) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn bursty() -> Arc<Load> {
        let edges = [(0, 100, 1.0), (100, 150, 3.0), (150, 180, 0.0), (180, 300, 0.5)];
        let stretches = edges.map(|(start, end, load)| Stretch {
            start: Tick(start * SECOND),
            end: Tick(end * SECOND),
            load,
        });
        Arc::new(Load::new(stretches.to_vec()))
    }

    fn laws() -> [Law; 4] {
        [
            Law::Poisson,
            Law::Constant { jitter: 0.0 },
            Law::Constant { jitter: 0.1 },
            Law::Constant { jitter: 0.5 },
        ]
    }

    fn draw(law: Law, per_second: f64, load: &Arc<Load>, seed: u64) -> Vec<Tick> {
        let rate = Rate::per_second(per_second).unwrap();
        Arrivals::new(law, rate, Arc::clone(load), Seed(seed).stream("arrival/test", 0)).collect()
    }

    #[test]
    fn counts_in_every_phase_follow_the_integral_of_the_load() {
        let load = bursty();
        for law in laws() {
            let rate = Rate::per_second(500.0).unwrap();
            let due = draw(law, 500.0, &load, 7);
            assert!(due.len() > 100_000, "{law:?}: {}", due.len());
            for stretch in load.stretches() {
                let count = due.iter().filter(|t| (stretch.start..stretch.end).contains(t)).count() as f64;
                let expected = expected_count(rate, &load, stretch.start, stretch.end);
                // A Poisson count's variance is its mean; jittered grids vary by less than two readings at an edge.
                let deviation = if law == Law::Poisson { expected.sqrt() } else { 0.5 };
                assert!((count - expected).abs() <= 4.0 * deviation, "{law:?}: {count} for {expected}");
            }
        }
    }

    #[test]
    fn a_silent_phase_is_silent_and_a_burst_begins_on_its_edge() {
        let load = bursty();
        let due = draw(Law::Constant { jitter: 0.0 }, 1_000.0, &load, 3);
        let within =
            |from: u64, to: u64| due.iter().filter(|t| (from * SECOND..to * SECOND).contains(&t.0)).count();
        assert_eq!(within(150, 180), 0);
        // Gaps are an exact interval ÷ load on both sides of the edge at 100 s; the gap across the edge is
        // shortened from the very nanosecond of the edge.
        let edge = 100 * SECOND;
        let after = due.partition_point(|t| t.0 < edge);
        let (before, first, second) = (due[after - 1].0, due[after].0, due[after + 1].0);
        let spent = edge - before;
        assert!((first - edge).abs_diff((1_000_000 - spent) / 3) <= 1, "{before} {first}");
        assert!((second - first).abs_diff(333_333) <= 1);
        assert_eq!(due.iter().find(|t| t.0 >= 150 * SECOND).unwrap().0 / SECOND, 180);
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let load =
            Arc::new(Load::new(vec![Stretch { start: Tick::ZERO, end: Tick(2_000 * SECOND), load: 1.0 }]));
        let due = draw(Law::Poisson, 100.0, &load, 11);
        assert!(due.len() > 100_000, "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|w| w[1].since(w[0]) as f64 / 1e9).collect();
        let p = statistic::kolmogorov_smirnov(gaps, |gap| 1.0 - (-100.0 * gap).exp());
        assert!(p > 0.001, "p = {p}");
    }

    #[test]
    fn poisson_counts_are_as_dispersed_as_poisson_and_constant_ones_are_not() {
        let load =
            Arc::new(Load::new(vec![Stretch { start: Tick::ZERO, end: Tick(20_000 * SECOND), load: 1.0 }]));
        let poisson = statistic::dispersion(&draw(Law::Poisson, 10.0, &load, 5), SECOND, 20_000);
        assert!((poisson - 1.0).abs() < 0.03, "{poisson}");
        let constant =
            statistic::dispersion(&draw(Law::Constant { jitter: 0.1 }, 10.0, &load, 5), SECOND, 20_000);
        assert!(constant < 0.1, "{constant}");
    }

    #[test]
    fn a_constant_phase_is_uniform_over_the_interval() {
        let load = Arc::new(Load::new(vec![Stretch { start: Tick::ZERO, end: Tick(SECOND), load: 1.0 }]));
        let rate = Rate::per_second(1.0).unwrap();
        let phases: Vec<f64> = (0..10_000)
            .map(|device| {
                let stream = Seed(9).stream("arrival/test", device);
                let mut due = Arrivals::new(Law::Constant { jitter: 0.0 }, rate, Arc::clone(&load), stream);
                due.next().unwrap().as_secs_f64()
            })
            .collect();
        let p = statistic::kolmogorov_smirnov(phases, |x| x.clamp(0.0, 1.0));
        assert!(p > 0.001, "p = {p}");
    }

    #[test]
    fn an_arrival_process_fits_beside_a_connection() {
        assert!(size_of::<Arrivals>() <= 400, "{}", size_of::<Arrivals>());
    }

    #[test]
    fn a_rate_of_nothing_never_arrives() {
        assert_eq!(draw(Law::Poisson, 0.0, &bursty(), 1), []);
        assert_eq!(draw(Law::Poisson, 5.0, &Arc::new(Load::new(vec![])), 1), []);
    }

    proptest! {
        #[test]
        fn instants_never_go_back_and_stay_inside_the_load(
            jitter in 0.0..=0.5_f64, rate in 0.01..5_000.0_f64, seed in any::<u64>(), poisson in any::<bool>(),
            edges in proptest::collection::vec((1_u64..2_000_000_000, 0.0..4.0_f64), 1..6)
        ) {
            let law = if poisson { Law::Poisson } else { Law::Constant { jitter } };
            let mut start = Tick(123);
            let stretches: Vec<_> = edges.iter().map(|&(length, load)| {
                let stretch = Stretch { start, end: start.plus_ns(length), load };
                start = stretch.end;
                stretch
            }).collect();
            let load = Arc::new(Load::new(stretches));
            let due = draw(law, rate, &load, seed);
            prop_assert!(due.windows(2).all(|w| w[0] <= w[1]));
            for at in due {
                let inside = load.stretches().iter().find(|s| (s.start..s.end).contains(&at));
                prop_assert!(inside.is_some_and(|s| s.load > 0.0), "{} lies in no sending stretch", at);
            }
        }
    }
}
