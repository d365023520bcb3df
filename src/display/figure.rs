//! Figures as people read them: times with three significant digits and a unit, grouped counts, percentiles with the
//! support of their tail.

use super::style::Style;
use crate::results::Percentile;
use crate::units::Quantile;

/// Fewer samples than this beyond a percentile, and it is not shown at all.
const LEAST_SUPPORT: u64 = 10;
/// Fewer samples than this beyond a percentile, and it is marked.
const GOOD_SUPPORT: u64 = 100;

/// `ns` nanoseconds with three significant digits: `412 µs`, `1.24 ms`, `12.0 s`.
pub(crate) fn time(ns: u64, style: Style) -> String {
    let (number, unit) = parts(ns);
    format!("{number} {}", unit_name(unit, style))
}

/// The same without a space, for lines that must stay short: `0.41ms` is written `410µs`.
pub(crate) fn short_time(ns: u64, style: Style) -> String {
    let (number, unit) = parts(ns);
    format!("{}{}", number, unit_name(unit, style))
}

/// A percentile that may be only a lower bound: `1.24 ms`, `>5 s`.
pub(crate) fn bounded_time(percentile: Percentile, style: Style) -> String {
    if percentile.censored {
        format!(">{}", round_time(percentile.ns, style))
    } else {
        time(percentile.ns, style)
    }
}

/// A time that is round as a rule, such as a time-out or one at an axis, without idle zeros: `5 s`.
pub(crate) fn round_time(ns: u64, style: Style) -> String {
    let (number, unit) = parts(ns);
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number} {}", unit_name(unit, style))
}

/// `ns` rounded to three significant digits, as a number and the index of its unit.
fn parts(ns: u64) -> (String, usize) {
    let digits = ns.checked_ilog10().unwrap_or(0);
    let scale = 10_u64.pow(digits.saturating_sub(2));
    let rounded = ns.saturating_add(scale / 2) / scale * scale;
    let unit = [1_000, 1_000_000, 1_000_000_000].iter().filter(|&&bound| rounded >= bound).count();
    let one = 1_000_u64.pow(unit as u32);
    let whole = rounded / one;
    let decimals = match whole {
        _ if unit == 0 => 0,
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    (format!("{:.decimals$}", rounded as f64 / one as f64), unit)
}

fn unit_name(unit: usize, style: Style) -> &'static str {
    match unit {
        0 => "ns",
        1 if style.ascii => "us",
        1 => "µs",
        2 => "ms",
        _ => "s",
    }
}

/// `count` in groups of three: `12 000`, or `12,000` in plain ASCII.
pub(crate) fn count(count: u64, style: Style) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(if style.ascii { ',' } else { '\u{202f}' });
        }
        grouped.push(digit);
    }
    grouped
}

/// How many times as large: `×2.4`, `×43`, `×6 600`.
pub(crate) fn factor(times: f64, style: Style) -> String {
    let sign = if style.ascii { 'x' } else { '×' };
    if times < 9.95 {
        return format!("{sign}{times:.1}");
    }
    // Three digits, as times have.
    let whole = times.round() as u64;
    let scale = 10_u64.pow(whole.checked_ilog10().unwrap_or(0).saturating_sub(2));
    format!("{sign}{}", count(whole.saturating_add(scale / 2) / scale * scale, style))
}

/// `part` of `whole`, rounded down: 100 % means all.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    hundredths(u128::from(part) * 10_000 / u128::from(whole.max(1)))
}

/// `part` of `whole`, rounded up: 0 % means none.
pub(crate) fn percent_up(part: u64, whole: u64) -> String {
    hundredths((u128::from(part) * 10_000).div_ceil(u128::from(whole.max(1))))
}

/// The same with one decimal, for lines that must stay short.
pub(crate) fn short_percent_up(part: u64, whole: u64) -> String {
    let tenths = (u128::from(part) * 1_000).div_ceil(u128::from(whole.max(1)));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn hundredths(hundredths: u128) -> String {
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// Events per second: `2 400/s`, `12.5/s`, `0.333/s`. Not finite or negative reads as none.
pub(crate) fn rate(per_second: f64, style: Style) -> String {
    let rate = if per_second.is_finite() { per_second.max(0.0) } else { 0.0 };
    match rate {
        0.0 => "0/s".to_owned(),
        _ if rate < 0.995 => format!("{rate:.3}/s"),
        _ if rate < 99.95 => {
            let text = format!("{rate:.1}");
            format!("{}/s", text.strip_suffix(".0").unwrap_or(&text))
        }
        _ => format!("{}/s", count(rate.round() as u64, style)),
    }
}

/// What had to be said about the percentiles of a table, so that its footnotes explain exactly that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Some percentile had too few samples beyond it to be shown.
    pub unsupported: bool,
    /// Some percentile had few samples beyond it.
    pub weak: bool,
    /// Some figure is only a lower bound.
    pub censored: bool,
}

impl Marks {
    /// The percentile at `quantile` of `samples` values: `n/a` with fewer than 10 of them beyond it, marked `~` with
    /// fewer than 100.
    pub(crate) fn tail(
        &mut self,
        percentile: Option<Percentile>,
        quantile: Quantile,
        samples: u64,
        style: Style,
    ) -> String {
        let Some(percentile) = percentile else { return dash(style).to_owned() };
        let beyond = quantile.samples_beyond(samples);
        if beyond < LEAST_SUPPORT {
            self.unsupported = true;
            return "n/a".to_owned();
        }
        let weak = beyond < GOOD_SUPPORT;
        self.weak |= weak;
        format!("{}{}", if weak { "~" } else { "" }, self.bounded(Some(percentile), style))
    }

    /// A figure that needs no support, such as a maximum.
    pub(crate) fn bounded(&mut self, figure: Option<Percentile>, style: Style) -> String {
        let Some(figure) = figure else { return dash(style).to_owned() };
        self.censored |= figure.censored;
        bounded_time(figure, style)
    }
}

/// What the signs on percentiles mean, as far as they were used.
pub(crate) fn footnotes(marks: Marks) -> Vec<&'static str> {
    let notes = [
        (marks.weak, "~ fewer than 100 samples lie beyond this percentile"),
        (marks.unsupported, "n/a: fewer than 10 samples lie beyond this percentile"),
        (marks.censored, "> at least: a failed reading counts as its time-out or more"),
    ];
    notes.into_iter().filter(|(used, _)| *used).map(|(_, note)| note).collect()
}

/// What stands where there is nothing.
pub(crate) fn dash(style: Style) -> &'static str {
    if style.ascii { "-" } else { "–" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RICH: Style = Style { colour: false, ascii: false };

    #[test]
    fn times_have_three_significant_digits_and_the_unit_that_suits_them() {
        for (ns, text) in [
            (0, "0 ns"),
            (7, "7 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (412_345, "412 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_240_000, "1.24 ms"),
            (12_345_678, "12.3 ms"),
            (99_950_000, "100 ms"),
            (5_003_800_000, "5.00 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(time(ns, RICH), text);
        }
        assert_eq!(time(1_500, Style::PLAIN), "1.50 us");
        assert_eq!(short_time(410_000, RICH), "410µs");
    }

    #[test]
    fn a_factor_has_three_digits_and_a_sign() {
        for (times, text) in [
            (2.0, "x2.0"),
            (9.94, "x9.9"),
            (9.96, "x10"),
            (43.4, "x43"),
            (6_603.0, "x6,600"),
            (1e6, "x1,000,000"),
        ] {
            assert_eq!(factor(times, Style::PLAIN), text);
        }
        assert_eq!(factor(43.4, RICH), "×43");
    }

    #[test]
    fn a_lower_bound_says_so() {
        let at = |ns, censored| bounded_time(Percentile { ns, censored }, RICH);
        assert_eq!(at(5_003_800_000, true), ">5 s");
        assert_eq!(at(250_000_000, true), ">250 ms");
        assert_eq!(at(2_500_000_000, true), ">2.5 s");
        assert_eq!(at(5_003_800_000, false), "5.00 s");
    }

    #[test]
    fn counts_are_grouped_and_rates_keep_what_matters() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number, Style::PLAIN), text);
        }
        assert_eq!(count(12_000, RICH), "12\u{202f}000");
        for (per_second, text) in [
            (0.0, "0/s"),
            (1.0 / 3.0, "0.333/s"),
            (12.5, "12.5/s"),
            (30.0, "30/s"),
            (2_400.4, "2,400/s"),
            (f64::NAN, "0/s"),
        ] {
            assert_eq!(rate(per_second, Style::PLAIN), text);
        }
    }

    #[test]
    fn a_percentile_is_shown_only_as_far_as_its_tail_carries_it() {
        let p99 = Some(Percentile { ns: 1_240_000, censored: false });
        let shown = |samples| {
            let mut marks = Marks::default();
            let text = marks.tail(p99, Quantile::P99, samples, RICH);
            (text, marks.unsupported, marks.weak)
        };
        assert_eq!(shown(999), ("n/a".to_owned(), true, false));
        assert_eq!(shown(1_000), ("~1.24 ms".to_owned(), false, true));
        assert_eq!(shown(9_999), ("~1.24 ms".to_owned(), false, true));
        assert_eq!(shown(10_000), ("1.24 ms".to_owned(), false, false));
        assert_eq!(Marks::default().tail(None, Quantile::P99, 0, RICH), "–");
    }

    proptest! {
        #[test]
        fn a_printed_time_is_within_half_a_percent_and_short(ns in 1_u64..10_000_000_000_000) {
            let text = time(ns, Style::PLAIN);
            let (number, unit) = text.split_once(' ').unwrap();
            let one = match unit { "ns" => 1.0, "us" => 1e3, "ms" => 1e6, _ => 1e9 };
            let read = number.parse::<f64>().unwrap() * one;
            prop_assert!((read - ns as f64).abs() <= ns as f64 * 0.005_01, "{ns} {text}");
            prop_assert!(text.len() <= 8, "{text}");
        }
    }

    #[test]
    fn a_share_is_rounded_neither_up_to_all_nor_down_to_none() {
        assert_eq!(percent(99_999, 100_000), "99.99 %");
        assert_eq!(percent(3, 3), "100.00 %");
        assert_eq!(percent(0, 0), "0.00 %");
        assert_eq!(percent_up(1, 100_000), "0.01 %");
        assert_eq!(percent_up(12, 10_000), "0.12 %");
        assert_eq!(percent_up(0, 5), "0.00 %");
        assert_eq!(short_percent_up(1, 100_000), "0.1 %");
        assert_eq!(short_percent_up(124, 1_000), "12.4 %");
        assert_eq!(short_percent_up(5, 5), "100.0 %");
        assert_eq!(short_percent_up(0, 0), "0.0 %");
    }
}
