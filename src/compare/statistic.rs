//! The statistics that verdicts rest on: Student's t, Welch's degrees of freedom, and permutation tests over all cells at
//! once.
//!
//! The tests follow Westfall and Young, *Resampling-Based Multiple Testing* (1993): the largest statistic of all cells is
//! compared with what it is when pairs swap sides (or runs swap builds) at random, which holds the family-wise error for
//! any correlation between cells. For pairs in an order drawn for each by itself it does so for any law of noise; balancing
//! the order, or taking turns, makes it very nearly so. For runs that are not paired the runs must be exchangeable.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rand::Rng;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::seed::{Seed, Stream};

/// Pairs up to which every one of the `2^n` flips is tried.
pub(super) const EXACT_PAIRS: usize = 14;
/// Permutations tried where there are too many for all.
const SAMPLED: usize = 20_000;
/// Runs that swap builds in every possible way up to so many ways.
const EXACT_WAYS: f64 = 16_384.0;
/// Statistics that differ by less, relatively, are taken as equal: they were added up in another order.
const TIE: f64 = 1e-9;

thread_local! {
    /// Quantiles at whole degrees of freedom: inverting the law takes longer than all else in a comparison.
    static QUANTILES: RefCell<BTreeMap<(u64, u64), f64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Beyond so many degrees of freedom quantiles are not kept.
const MOST_KEPT: f64 = 256.0;

/// The quantile of Student's t with `df` degrees of freedom; infinite where that is not defined.
pub(super) fn t_quantile(p: f64, df: f64) -> f64 {
    let invert =
        || StudentsT::new(0.0, 1.0, df).map_or(f64::INFINITY, |distribution| distribution.inverse_cdf(p));
    if df.fract() != 0.0 || df > MOST_KEPT {
        return invert();
    }
    QUANTILES.with_borrow_mut(|kept| *kept.entry((p.to_bits(), df.to_bits())).or_insert_with(invert))
}

/// The probability that Student's t with `df` degrees of freedom is further from 0 than `t`; 1 where that is not defined.
pub(crate) fn t_tail(t: f64, df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(1.0, |law| if t.is_nan() { 1.0 } else { 2.0 * law.cdf(-t.abs()) })
}

/// Mean and standard deviation (n − 1) of `values`; the deviation of fewer than two is 0.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() })
}

/// The median of `values`; `None` of none.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// Standard error and degrees of freedom of the difference of two means (Welch 1947, Satterthwaite 1946); `None` for fewer
/// than two values on a side or no spread at all.
pub(super) fn welch(left: &[f64], right: &[f64]) -> Option<(f64, f64)> {
    if left.len() < 2 || right.len() < 2 {
        return None;
    }
    let part = |values: &[f64]| moments(values).1.powi(2) / values.len() as f64;
    let (a, b) = (part(left), part(right));
    let degrees = |part: f64, n: usize| part.powi(2) / (n as f64 - 1.0);
    let df = (a + b).powi(2) / (degrees(a, left.len()) + degrees(b, right.len()));
    (a + b > 0.0).then(|| ((a + b).sqrt(), df))
}

/// Which differences count as extreme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Either sign.
    Both,
    /// Positive ones only.
    Upper,
}

impl Tail {
    fn of(self, sum: f64) -> f64 {
        if self == Self::Both { sum.abs() } else { sum }
    }
}

/// The sign-flip test over all cells: the adjusted p-value of every cell of `cells`, each with one difference per pair.
///
/// Where the builds are equal, either order of a pair is equally likely, so that (but for the balance) every pattern of signs is. `|t|` of a cell
/// is a monotone function of its sum over the root of its sum of squares, which no flip changes. All patterns are tried for
/// up to [`EXACT_PAIRS`] pairs, else [`SAMPLED`] drawn ones, and then `p = (1 + b) / (1 + K)`. A cell whose differences are
/// all 0 has p = 1.
pub(super) fn sign_flip(cells: &[&[f64]], tail: Tail, seed: Seed) -> Vec<f64> {
    let pairs = cells.first().map_or(0, |cell| cell.len());
    let unit: Vec<Vec<f64>> = cells
        .iter()
        .map(|cell| {
            let norm = cell.iter().map(|d| d * d).sum::<f64>().sqrt();
            cell.iter().map(|d| if norm > 0.0 { d / norm } else { 0.0 }).collect()
        })
        .collect();
    let mut tally = Tally::of(unit.iter().map(|cell| tail.of(cell.iter().sum())));
    if pairs <= EXACT_PAIRS {
        every_flip(&unit, pairs, tail, &mut tally);
    } else {
        drawn_flips(&unit, pairs, tail, seed, &mut tally);
    }
    let dead = |cell: &[f64]| cell.iter().all(|d| *d == 0.0);
    let zip = tally.shares(pairs <= EXACT_PAIRS).zip(cells);
    zip.map(|(p, cell)| if dead(cell) { 1.0 } else { p }).collect()
}

/// How often the largest statistic of a permutation reached what was observed in each cell.
struct Tally {
    observed: Vec<f64>,
    reached: Vec<u32>,
    all: u32,
}

impl Tally {
    fn of(observed: impl Iterator<Item = f64>) -> Self {
        let observed: Vec<f64> = observed.map(|value| value - TIE * value.abs().max(TIE)).collect();
        Self { reached: vec![0; observed.len()], observed, all: 0 }
    }

    fn note(&mut self, largest: f64) {
        self.all += 1;
        for (reached, observed) in self.reached.iter_mut().zip(&self.observed) {
            *reached += u32::from(largest >= *observed);
        }
    }

    /// The p-values: where not every permutation was tried, what was observed counts as one of them.
    fn shares(&self, exact: bool) -> impl Iterator<Item = f64> {
        let own = if exact { 0.0 } else { 1.0 };
        self.reached.iter().map(move |reached| (own + f64::from(*reached)) / (own + f64::from(self.all)))
    }
}

/// Notes the largest statistic of all cells under every pattern of signs, each reached from the one before by one flip (Gray
/// code).
fn every_flip(unit: &[Vec<f64>], pairs: usize, tail: Tail, tally: &mut Tally) {
    // With both tails a pattern and its opposite give the same.
    let free = if tail == Tail::Both { pairs.saturating_sub(1) } else { pairs };
    let mut sums: Vec<f64> = unit.iter().map(|cell| cell.iter().sum()).collect();
    let mut flipped = vec![false; free];
    tally.note(largest_of(&sums, tail));
    for step in 1_u32..1 << free {
        let pair = step.trailing_zeros() as usize;
        let sign = if flipped[pair] { 2.0 } else { -2.0 };
        flipped[pair] = !flipped[pair];
        for (sum, cell) in sums.iter_mut().zip(unit) {
            *sum += sign * cell[pair];
        }
        tally.note(largest_of(&sums, tail));
    }
}

/// The same under drawn patterns. Sums over eight pairs at a time come from a table of all their patterns.
fn drawn_flips(unit: &[Vec<f64>], pairs: usize, tail: Tail, seed: Seed, tally: &mut Tally) {
    const EIGHT: usize = 8;
    let signed = |part: &[f64], pattern: usize| -> f64 {
        part.iter().enumerate().map(|(bit, d)| if pattern >> bit & 1 == 0 { *d } else { -d }).sum()
    };
    let tables: Vec<Vec<[f64; 1 << EIGHT]>> = unit
        .iter()
        .map(|cell| {
            cell.chunks(EIGHT).map(|part| std::array::from_fn(|pattern| signed(part, pattern))).collect()
        })
        .collect();
    let mut stream = seed.stream("compare/flips", pairs as u64);
    let mut patterns = vec![0_u8; pairs.div_ceil(EIGHT)];
    let mut sums = vec![0.0; unit.len()];
    for _ in 0..SAMPLED {
        stream.fill_bytes(&mut patterns);
        for (sum, parts) in sums.iter_mut().zip(&tables) {
            *sum = parts.iter().zip(&patterns).map(|(part, pattern)| part[usize::from(*pattern)]).sum();
        }
        tally.note(largest_of(&sums, tail));
    }
}

fn largest_of(sums: &[f64], tail: Tail) -> f64 {
    sums.iter().fold(f64::NEG_INFINITY, |most, sum| most.max(tail.of(*sum)))
}

/// The same for runs that are not paired: `cells` hold the values of the left runs and then those of the right, `left` of
/// the first kind; runs change sides. The statistic is Welch's |t|.
pub(super) fn relabel(cells: &[Vec<f64>], left: usize, seed: Seed) -> Vec<f64> {
    let runs = cells.first().map_or(0, Vec::len);
    // About their mean, so that sums of squares lose no digits.
    let cells: Vec<Vec<f64>> = cells
        .iter()
        .map(|cell| {
            let mean = moments(cell).0;
            cell.iter().map(|value| value - mean).collect()
        })
        .collect();
    let statistic = |values: &[f64], chosen: &[bool]| {
        let (mut number, mut sum, mut squares) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        for (value, on) in values.iter().zip(chosen) {
            let side = usize::from(*on);
            number[side] += 1.0;
            sum[side] += value;
            squares[side] += value * value;
        }
        let part = |side: usize| {
            let mean = sum[side] / number[side];
            (squares[side] - sum[side] * mean).max(0.0) / ((number[side] - 1.0) * number[side])
        };
        let difference = (sum[0] / number[0] - sum[1] / number[1]).abs();
        let error = (part(0) + part(1)).sqrt();
        if error > 0.0 {
            difference / error
        } else if difference > 0.0 {
            f64::MAX
        } else {
            0.0
        }
    };
    let start: Vec<bool> = (0..runs).map(|run| run < left).collect();
    let mut tally = Tally::of(cells.iter().map(|cell| statistic(cell, &start)));
    let exact = ways(runs, left) <= EXACT_WAYS;
    let mut note = |chosen: &[bool]| {
        tally.note(cells.iter().map(|cell| statistic(cell, chosen)).fold(0.0, f64::max));
    };
    if exact {
        every_choice(&mut vec![false; runs], 0, left, &mut note);
    } else {
        let mut stream = seed.stream("compare/labels", runs as u64);
        let mut chosen = start;
        for _ in 0..SAMPLED {
            shuffle(&mut chosen, &mut stream);
            note(&chosen);
        }
    }
    let dead = |cell: &[f64]| cell.iter().all(|value| value.total_cmp(&cell[0]).is_eq());
    tally.shares(exact).zip(&cells).map(|(p, cell)| if dead(cell) { 1.0 } else { p }).collect()
}

/// Brings `items` into a random order (Fisher and Yates).
pub(super) fn shuffle<T>(items: &mut [T], stream: &mut Stream) {
    for last in (1..items.len()).rev() {
        items.swap(last, (stream.next_u64() % (last as u64 + 1)) as usize);
    }
}

/// Ways to choose `k` of `n`.
fn ways(n: usize, k: usize) -> f64 {
    (0..k.min(n)).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

/// Calls `note` with every way to choose `left` further ones of `chosen[at..]`.
fn every_choice(chosen: &mut Vec<bool>, at: usize, left: usize, note: &mut impl FnMut(&[bool])) {
    if left == 0 {
        note(chosen);
    } else if chosen.len() - at >= left {
        chosen[at] = true;
        every_choice(chosen, at + 1, left - 1, note);
        chosen[at] = false;
        every_choice(chosen, at + 1, left, note);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "shares of whole numbers, and sums in the same order, are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_students_t_are_those_of_the_tables() {
        // Fisher and Yates, Statistical Tables, table III.
        for (p, df, t) in [(0.975, 7.0, 2.365), (0.95, 5.0, 2.015), (0.975, 19.0, 2.093), (0.995, 9.0, 3.250)]
        {
            assert!((t_quantile(p, df) - t).abs() < 5e-4, "{p} {df}");
        }
    }

    #[test]
    fn tails_of_students_t_are_the_inverse_of_its_quantiles() {
        for (p, df) in [(0.975, 7.0), (0.95, 5.0), (0.995, 9.0)] {
            let tail = t_tail(-t_quantile(p, df), df);
            assert!((tail - 2.0 * (1.0 - p)).abs() < 1e-9, "{p} {df} {tail}");
        }
        assert_eq!((t_tail(0.0, 3.0), t_tail(f64::NAN, 3.0), t_tail(2.0, 0.0)), (1.0, 1.0, 1.0));
    }

    #[test]
    fn welch_agrees_with_a_worked_example() {
        // Two samples with variances 4 and 16 of sizes 4 and 8: error² = 1 + 2, df = 9 / (1/3 + 4/7).
        let spread = |mean: f64, half: f64, n: usize| -> Vec<f64> {
            // ± half with n even has variance half² · n / (n − 1).
            (0..n).map(|i| mean + if i % 2 == 0 { half } else { -half }).collect()
        };
        let (a, b) = (spread(1.0, (3.0_f64).sqrt(), 4), spread(2.0, (14.0_f64).sqrt(), 8));
        let (error, df) = welch(&a, &b).unwrap();
        assert!((error - 3.0_f64.sqrt()).abs() < 1e-12);
        assert!((df - 9.0 / (1.0 / 3.0 + 4.0 / 7.0)).abs() < 1e-9, "{df}");
    }

    #[test]
    fn a_pair_that_strays_does_not_move_the_median() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, -64.0]), Some(1.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 900.0]), Some(3.0));
    }

    #[test]
    fn a_clear_shift_of_one_cell_has_the_smallest_p_there_is() {
        let (clear, none) = ([1.0, 1.1, 0.9, 1.2, 1.0, 0.8], [0.1, -0.2, 0.1, 0.0, -0.1, 0.05]);
        let p = sign_flip(&[&clear, &none, &[0.0; 6]], Tail::Both, Seed(1));
        assert_eq!(p[0], 2.0 / 64.0);
        assert!(p[1] > 0.5);
        assert_eq!(p[2], 1.0);
        let upper = sign_flip(&[&clear], Tail::Upper, Seed(1));
        assert_eq!(upper, [1.0 / 64.0]);
        assert_eq!(sign_flip(&[&clear.map(|d| -d)], Tail::Upper, Seed(1)), [1.0]);
    }

    /// The same by the definition: t of every cell under every pattern.
    fn by_definition(cells: &[Vec<f64>]) -> Vec<f64> {
        let n = cells[0].len();
        let t = |cell: &[f64], pattern: u32| {
            let flipped: Vec<f64> =
                cell.iter().enumerate().map(|(i, d)| if pattern >> i & 1 == 1 { -d } else { *d }).collect();
            let (mean, sd) = moments(&flipped);
            (mean / (sd / (n as f64).sqrt())).abs()
        };
        let largest: Vec<f64> = (0..1_u32 << n)
            .map(|pattern| cells.iter().map(|cell| t(cell, pattern)).fold(0.0, f64::max))
            .collect();
        cells
            .iter()
            .map(|cell| {
                let own = t(cell, 0);
                let beyond = largest.iter().filter(|most| **most >= own * (1.0 - 1e-7)).count();
                beyond as f64 / largest.len() as f64
            })
            .collect()
    }

    proptest! {
        #[test]
        fn flips_give_what_the_definition_gives(
            cells in (2_usize..8).prop_flat_map(|n| {
                prop::collection::vec(prop::collection::vec(-1.0..1.0_f64, n), 1..4)
            })
        ) {
            let refs: Vec<&[f64]> = cells.iter().map(Vec::as_slice).collect();
            let got = sign_flip(&refs, Tail::Both, Seed(1));
            for (got, expected) in got.iter().zip(by_definition(&cells)) {
                prop_assert!((got - expected).abs() < 1e-12, "{got} {expected}");
            }
        }

        #[test]
        fn swapping_the_builds_changes_no_p(cell in prop::collection::vec(-1.0..1.0_f64, 2..18)) {
            let swapped: Vec<f64> = cell.iter().map(|d| -d).collect();
            prop_assert_eq!(sign_flip(&[&cell], Tail::Both, Seed(3)), sign_flip(&[&swapped], Tail::Both, Seed(3)));
        }
    }

    #[test]
    fn drawn_flips_agree_with_all_of_them() {
        // 15 pairs: drawn here, counted by hand over all 2^15 patterns.
        let cell: Vec<f64> = (0..15).map(|i| (f64::from(i) * 0.7).sin() + 0.45).collect();
        let drawn = sign_flip(&[&cell], Tail::Both, Seed(5))[0];
        let own: f64 = cell.iter().sum();
        let beyond = (0..1_u32 << 15)
            .filter(|pattern| {
                let sum: f64 =
                    cell.iter().enumerate().map(|(i, d)| if pattern >> i & 1 == 1 { -d } else { *d }).sum();
                sum.abs() >= own.abs() - 1e-9
            })
            .count();
        let exact = beyond as f64 / f64::from(1 << 15);
        // Four standard errors of a share from 20 000 draws.
        assert!(
            (drawn - exact).abs() < 4.0 * (exact * (1.0 - exact) / 20_000.0).sqrt() + 1e-4,
            "{drawn} {exact}"
        );
    }

    #[test]
    fn relabelling_finds_a_shift_and_counts_every_way() {
        assert_eq!(ways(10, 5), 252.0);
        let shifted = vec![1.0, 1.1, 0.9, 1.05, 2.0, 2.1, 1.9, 2.05];
        let p = relabel(&[shifted, vec![1.0; 8]], 4, Seed(1));
        assert_eq!(p, [2.0 / 70.0, 1.0]);
        let many: Vec<f64> = (0..24).map(|i| f64::from(i % 7)).collect();
        assert!(relabel(&[many], 12, Seed(1))[0] > 0.5);
    }
}
