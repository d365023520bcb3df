//! The scale of changes: logarithms of ratios for times, so that twice and half are equally far, differences for shares.

use crate::compare::Cell;

/// Changes of times that may stand at an axis, per cent, the most telling first.
const PERCENT: [f64; 24] = [
    10.0, -10.0, 50.0, -50.0, 5.0, -5.0, 100.0, 20.0, -20.0, 30.0, -30.0, 2.0, -2.0, 1.0, -1.0, 900.0, 200.0,
    400.0, -75.0, -90.0, 0.5, -0.5, 9_900.0, -99.0,
];

/// From the least to the greatest change, in the unit of [`Cell::effect`], and where these stand, pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChangeScale {
    /// Whether it is of times.
    is_ratio: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl ChangeScale {
    /// With room for `values` and some more; no difference lies within.
    pub(super) fn around(values: impl Iterator<Item = f64>, is_ratio: bool, (from, to): (f64, f64)) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let (low, high) =
            finite.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let room = ((high - low) * 0.06).max(1e-4);
        Self { is_ratio, low: low - room, high: high + room, from, to }
    }

    /// Where a change stands; beyond the ends at the end.
    pub(super) fn at(&self, change: f64) -> f64 {
        let share = ((change - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + (self.to - self.from) * share
    }

    /// Whether a change lies within the ends.
    pub(super) fn holds(&self, change: f64) -> bool {
        (self.low..=self.high).contains(&change)
    }

    /// Round changes with their words, at least `apart` pixels from each other, no difference first.
    pub(super) fn ticks(&self, apart: f64) -> Vec<(f64, String)> {
        let mut ticks = vec![(self.at(0.0), "same".to_owned())];
        for (change, words) in self.round() {
            let at = self.at(change);
            if self.holds(change) && ticks.iter().all(|(taken, _)| (taken - at).abs() >= apart) {
                ticks.push((at, words));
            }
        }
        ticks
    }

    fn round(&self) -> Vec<(f64, String)> {
        if self.is_ratio {
            let words = |percent: f64| {
                if percent >= 100.0 {
                    format!("{} times", 1.0 + percent / 100.0)
                } else {
                    format!("{percent:+} %")
                }
            };
            return PERCENT.map(|percent| (libm::log1p(percent / 100.0), words(percent))).to_vec();
        }
        let most = (self.high - self.low) * 100.0;
        let nice = libm::pow(10.0, libm::log10(most).floor());
        let steps = [0.1, 0.2, 0.5, 1.0].map(|step| step * nice);
        let step = steps.into_iter().find(|step| most / step <= 10.0).unwrap_or(nice);
        let places = usize::from(step < 0.999) + usize::from(step < 0.099);
        let points = (1..=10).flat_map(|nth| [f64::from(nth) * step, -f64::from(nth) * step]);
        points.map(|points| (points / 100.0, format!("{points:+.places$} pt"))).collect()
    }
}

/// Whether the changes of a cell are ratios.
pub(super) fn is_ratio(cell: &Cell) -> bool {
    cell.figure.quantile().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_and_half_are_equally_far_and_ticks_keep_apart() {
        for (low, high) in [(-0.01, 0.02), (-0.7, 0.7), (0.0, 5.0), (-3.0, 0.1), (0.0, 0.0)] {
            let scale = ChangeScale::around([low, high].into_iter(), true, (0.0, 1_000.0));
            let (half, same, twice) = (scale.at(-2_f64.ln()), scale.at(0.0), scale.at(2_f64.ln()));
            if scale.holds(2_f64.ln()) && scale.holds(-2_f64.ln()) {
                assert!((twice - same - (same - half)).abs() < 1e-9);
            }
            let mut ticks: Vec<_> = scale.ticks(50.0).into_iter().map(|(at, _)| at).collect();
            ticks.sort_by(f64::total_cmp);
            assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] >= 50.0), "{low} {high}: {ticks:?}");
        }
    }

    #[test]
    fn ticks_have_the_words_of_their_unit() {
        let words = |low: f64, high: f64, is_ratio| -> Vec<String> {
            let scale = ChangeScale::around([low, high].into_iter(), is_ratio, (0.0, 600.0));
            scale.ticks(60.0).into_iter().map(|(_, words)| words).collect()
        };
        assert_eq!(words(-0.1, 0.2, true), ["same", "+10 %", "-10 %", "+5 %", "-5 %", "+20 %"]);
        assert!(words(0.0, 2.5, true).contains(&"10 times".to_owned()));
        for (low, high) in [(-0.002, 0.01), (0.0, 0.7), (-1e-5, 1e-5)] {
            let words = words(low, high, false);
            assert!((3..=11).contains(&words.len()) && words[1].ends_with(" pt"), "{words:?}");
        }
    }
}
