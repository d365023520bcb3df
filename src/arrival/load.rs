//! The time change between operational time and the run's time line: a load over adjoining stretches.

use super::shape::Shape;
use crate::clock::Tick;

/// A stretch of the time line with one course of the load, `start` inclusive to `end` exclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// First instant.
    pub start: Tick,
    /// First instant after it.
    pub end: Tick,
    /// Factor on the rate.
    pub shape: Shape,
}

impl Stretch {
    fn length_ns(&self) -> u64 {
        self.end.since(self.start)
    }
}

/// A load over adjoining stretches, with its integral.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    stretches: Vec<Stretch>,
    /// Operational time passed at the start of each stretch and at the end of the last, nanoseconds.
    passed: Vec<f64>,
}

impl Load {
    /// A load over `stretches`, which adjoin in the order of time. Operational time begins with the first.
    pub fn new(stretches: Vec<Stretch>) -> Self {
        debug_assert!(stretches.windows(2).all(|pair| pair[0].end == pair[1].start), "stretches adjoin");
        let mut passed = Vec::with_capacity(stretches.len() + 1);
        let mut sum = 0.0;
        passed.push(sum);
        for stretch in &stretches {
            // Rounding leaves the integral over a sine that touches 0 a hair below 0 at worst.
            sum += stretch.shape.integral(stretch.length_ns(), stretch.length_ns()).max(0.0);
            passed.push(sum);
        }
        Self { stretches, passed }
    }

    /// The stretches, in the order of time.
    #[cfg(test)]
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Operational time passed at `at`, nanoseconds: the integral of the load up to there.
    pub fn operational(&self, at: Tick) -> f64 {
        let Some(index) = self.index(at) else { return 0.0 };
        let stretch = &self.stretches[index];
        if at >= stretch.end {
            return self.passed[index + 1];
        }
        self.passed[index] + stretch.shape.integral(at.since(stretch.start), stretch.length_ns())
    }

    #[cfg(test)]
    /// The load at `at`; 0 before the first stretch and after the last.
    pub fn at(&self, at: Tick) -> f64 {
        let stretch = self.index(at).map(|index| &self.stretches[index]).filter(|stretch| at < stretch.end);
        stretch.map_or(0.0, |stretch| stretch.shape.at(at.since(stretch.start), stretch.length_ns()))
    }

    /// The largest load any stretch can reach.
    pub fn peak(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.shape.peak()).fold(0.0, f64::max)
    }

    /// The last stretch that has begun at `at`.
    fn index(&self, at: Tick) -> Option<usize> {
        self.stretches.partition_point(|stretch| stretch.start <= at).checked_sub(1)
    }

    /// The instant at which `operational` nanoseconds have passed, or `None` after the last stretch.
    ///
    /// `hint` is the stretch to search from; it moves forward only, so a device's whole plan takes linear time.
    pub(super) fn invert(&self, operational: f64, hint: &mut usize) -> Option<Tick> {
        while self.passed.get(*hint + 1).is_some_and(|end| operational >= *end) {
            *hint += 1;
        }
        let stretch = self.stretches.get(*hint)?;
        let into_ns = stretch.shape.invert(operational - self.passed[*hint], stretch.length_ns());
        Some(stretch.start.plus_ns(into_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use proptest::prelude::*;

    fn load() -> Load {
        let stretch =
            |start, end, load| Stretch { start: Tick(start), end: Tick(end), shape: Shape::Flat(load) };
        Load::new(vec![stretch(100, 200, 1.0), stretch(200, 300, 0.0), stretch(300, 400, 4.0)])
    }

    fn single(shape: Shape, length_ns: u64) -> Load {
        Load::new(vec![Stretch { start: Tick(1_000), end: Tick(1_000 + length_ns), shape }])
    }

    #[test]
    fn the_integral_is_exact_at_and_between_edges() {
        for (at, passed) in [
            (0, 0.0),
            (100, 0.0),
            (150, 50.0),
            (200, 100.0),
            (250, 100.0),
            (301, 104.0),
            (400, 500.0),
            (999, 500.0),
        ] {
            assert!((load().operational(Tick(at)) - passed).abs() < 1e-9, "at {at}");
        }
    }

    #[test]
    fn inversion_skips_silence_and_ends_with_the_last_stretch() {
        for (operational, at) in [
            (0.0, Some(100)),
            (99.9, Some(199)),
            (100.0, Some(300)),
            (104.0, Some(301)),
            (499.999, Some(399)),
            (500.0, None),
        ] {
            assert_eq!(load().invert(operational, &mut 0), at.map(Tick), "{operational}");
        }
    }

    #[test]
    fn the_load_is_known_at_every_instant() {
        for (at, expected) in
            [(0, 0.0), (100, 1.0), (199, 1.0), (200, 0.0), (300, 4.0), (399, 4.0), (400, 0.0)]
        {
            assert!((load().at(Tick(at)) - expected).abs() < 1e-12, "at {at}");
        }
        assert!((load().peak() - 4.0).abs() < 1e-12);
    }

    #[test]
    fn the_integral_over_every_shape_is_the_sum_of_its_loads() {
        let ns = Span::from_ns;
        let shapes = [
            Shape::Flat(0.7),
            Shape::Ramp { from: 0.0, to: 3.0 },
            Shape::Ramp { from: 2.0, to: 0.0 },
            Shape::Sine { mean: 2.0, amplitude: 1.0, period: ns(3_700), phase: 0.3 },
            Shape::Sine { mean: 1.0, amplitude: 0.5, period: ns(50_000), phase: -7.75 },
            Shape::Bursts { base: 0.5, peak: 4.0, every: ns(900), length: ns(70) },
            Shape::Bursts { base: 1.0, peak: 0.0, every: ns(900), length: ns(899) },
        ];
        for shape in shapes {
            let load = single(shape, 10_000);
            let mut sum = 0.0;
            for into in 0..10_000 {
                // Bursts change at whole nanoseconds only; the midpoint rule is exact for ramps.
                let (now, then) = (shape.at(into, 10_000), shape.at(into + 1, 10_000));
                sum += if matches!(shape, Shape::Bursts { .. }) { now } else { 0.5 * (now + then) };
                assert!((load.operational(Tick(1_001 + into)) - sum).abs() < 0.02, "{shape:?} at {into}");
                assert!(now <= shape.peak() + 1e-12, "{shape:?} at {into}");
            }
        }
    }

    #[test]
    fn bursts_begin_and_end_on_their_nanosecond() {
        let (every, length) = (Span::from_ns(900), Span::from_ns(70));
        let quiet = single(Shape::Bursts { base: 0.0, peak: 3.0, every, length }, 2_500);
        let gap = single(Shape::Bursts { base: 0.1, peak: 0.0, every, length }, 2_500);
        for (load, operational, at) in [
            (&quiet, 0.0, Some(1_000)),
            (&quiet, 209.999_999, Some(1_069)),
            (&quiet, 210.0, Some(1_900)),
            (&quiet, 420.0, Some(2_800)),
            (&quiet, 629.999_999, Some(2_869)),
            (&quiet, 630.0, None),
            (&gap, 0.0, Some(1_070)),
            (&gap, 82.999_999, Some(1_899)),
            (&gap, 83.0, Some(1_970)),
        ] {
            assert_eq!(load.invert(operational, &mut 0), at.map(Tick), "{operational} of {load:?}");
        }
    }

    fn any_shape() -> impl Strategy<Value = Shape> {
        let (load, ns) = (0.0..5.0_f64, 1_u64..3_000_000_000);
        let span = ns.prop_map(Span::from_ns);
        prop_oneof![
            load.clone().prop_map(Shape::Flat),
            (load.clone(), load.clone()).prop_map(|(from, to)| Shape::Ramp { from, to }),
            (0.01..5.0_f64, 0.0..=1.0_f64, span.clone(), -3.0..3.0_f64)
                .prop_map(|(mean, amplitude, period, phase)| Shape::Sine { mean, amplitude, period, phase }),
            (load.clone(), load, span.clone(), span, any::<[bool; 2]>()).prop_map(
                |(base, peak, every, length, [quiet, gap])| {
                    let (base, peak) = (if quiet { 0.0 } else { base }, if gap { 0.0 } else { peak });
                    Shape::Bursts { base, peak, every, length }
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn inversion_undoes_the_integral(
            shape in any_shape(), length in 1_u64..20_000_000_000, parts in prop::collection::vec(0.0..1.0_f64, 20)
        ) {
            let load = single(shape, length);
            let whole = load.operational(Tick::FAR);
            for part in parts {
                let operational = part * whole;
                let Some(at) = load.invert(operational, &mut 0) else {
                    prop_assert!(operational >= whole);
                    continue;
                };
                // The instant's own nanosecond holds the operational time, but for the rounding of the sums.
                let slack = 1e-12 * whole + 0.01;
                prop_assert!(load.operational(at) <= operational + slack, "{} {}", at, operational);
                prop_assert!(load.operational(at.plus_ns(1)) >= operational - slack, "{} {}", at, operational);
                if matches!(shape, Shape::Bursts { .. }) {
                    prop_assert!(load.at(at) > 0.0, "{} lies in silence", at);
                }
            }
        }
    }
}
