//! Figures on screens: those of [`crate::units::figure`] with the signs of the screen's style, and percentiles with the support of
//! their tail.

use super::style::Style;
use crate::results::Percentile;
use crate::units::{Quantile, figure};

/// Fewer samples than this beyond a percentile, and it is not shown at all.
const LEAST_SUPPORT: u64 = 10;
/// Fewer samples than this beyond a percentile, and it is marked.
const GOOD_SUPPORT: u64 = 100;

/// `ns` nanoseconds with three significant digits: `412 µs`, `1.24 ms`, `12.0 s`.
pub(crate) fn time(ns: u64, style: Style) -> String {
    style.spoken(&figure::time(ns))
}

/// An instant, nanoseconds after the run began: `12.3 s`, `5 432.1 s`.
pub(crate) fn instant(ns: u64, style: Style) -> String {
    style.spoken(&figure::instant(ns))
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
    style.spoken(&figure::round_time(ns))
}

/// `count` in groups of three: `12 000`, or `12,000` in plain ASCII.
pub(crate) fn count(count: u64, style: Style) -> String {
    style.spoken(&figure::count(count))
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
    style.spoken(&figure::rate(per_second))
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

    const RICH: Style = Style { colour: false, ascii: false };

    #[test]
    fn a_rich_screen_has_signs_that_ascii_lacks() {
        assert_eq!((time(412_345, RICH), time(1_500, Style::PLAIN)), ("412 µs".into(), "1.50 us".into()));
        assert_eq!(count(12_000, RICH), "12\u{202f}000");
        assert_eq!(rate(2_400.4, RICH), "2\u{202f}400/s");
        assert_eq!(instant(5_432_100_000_000, RICH), "5\u{202f}432.1 s");
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
