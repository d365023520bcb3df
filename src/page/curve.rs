//! Percentile curves: which share of the readings was answered within which time, with room for the tail.

use hdrhistogram::Histogram;

use super::colour::{AXIS, Colour, GRID, RESPONSE, SERVICE, SOFT};
use super::svg::{Anchor, LogScale, Pen, Px, area, grid_line, line, open, text, thinned, through};
use super::{figure, tick, two};

/// A line ends where fewer samples than this lie beyond it.
const LEAST_BEYOND: u64 = 10;
/// Room beside and below the lines: for times at the left, names at the right, shares at the bottom.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 40.0;
/// Between the names of two lines.
const APART: f64 = 14.0;
/// With fewer than this beyond, percentiles are marked as weak.
const GOOD_BEYOND: u64 = 100;

/// A distribution to draw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series<'a> {
    pub(super) label: &'a str,
    pub(super) colour: Colour,
    pub(super) times: &'a Histogram<u64>,
    pub(super) dashes: &'static str,
    /// The smallest bound of a failed reading, nanoseconds: from there on the line says only "at least".
    pub(super) floor: Option<u64>,
}

/// A point of a curve: the share of readings below it, and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) below: f64,
    pub(super) ns: u64,
}

/// The points of the curve of `times`, as far as it is known.
pub(super) fn points(times: &Histogram<u64>) -> Vec<Point> {
    let total = times.len();
    let known = total.saturating_sub(LEAST_BEYOND);
    let mut seen = 0;
    let mut points = Vec::new();
    for step in times.iter_recorded() {
        let before = seen;
        if before >= known && !points.is_empty() {
            break;
        }
        seen += step.count_at_value();
        let at = |seen: u64| Point { below: seen as f64 / total.max(1) as f64, ns: step.value_iterated_to() };
        points.push(at(before));
        // A time that many share, as the bound of those that failed, is a level and no corner.
        let end = seen.min(known);
        if (total - end).saturating_mul(4) < (total - before).saturating_mul(3) {
            points.push(at(end));
        }
    }
    points
}

/// A chart of curves: shares of readings, with a decade for every further nine, against times.
#[derive(Debug)]
pub(super) struct Chart {
    width: f64,
    height: f64,
    /// Samples of the fullest curve, and how many decades of shares they fill.
    most: u64,
    decades: f64,
    scale: LogScale,
}

impl Chart {
    /// With room for `times` and for the tail of `most` samples; `None` without a time.
    pub(super) fn around(
        times: impl Iterator<Item = u64>,
        most: u64,
        (width, height): (f64, f64),
    ) -> Option<Self> {
        let decades = libm::log10(most as f64 / LEAST_BEYOND as f64).max(2.0);
        let scale = LogScale::around(times, TOP, height - BOTTOM)?;
        Some(Self { width, height, most, decades, scale })
    }

    /// Where the names of lines stand.
    fn right(&self) -> f64 {
        self.width - RIGHT
    }

    fn x(&self, below: f64) -> f64 {
        let nines = -libm::log10((1.0 - below).max(1e-12));
        LEFT + (self.right() - LEFT) * nines.min(self.decades) / self.decades
    }

    /// The points of a curve in the chart, but those that an eye would not miss.
    pub(super) fn place(&self, points: &[Point], near: f64) -> Vec<(f64, f64)> {
        let at = |point: &Point| (self.x(point.below), self.scale.y(point.ns));
        thinned(&points.iter().map(at).collect::<Vec<_>>(), near)
    }

    /// As far as an eye follows a line.
    const fn near(&self) -> f64 {
        if self.width > 700.0 { 1.0 } else { 2.2 }
    }

    /// The beginning of the chart, with its axes.
    pub(super) fn open(&self, describe: &str) -> String {
        let Self { width, scale, .. } = self;
        let mut out = open(*width, self.height, "curve", describe);
        for value in scale.ticks() {
            grid_line(&mut out, (LEFT, self.right()), scale.y(value), tick(value));
        }
        let nines = [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];
        let further = [(0.9999, "99.99 %"), (0.999_99, "99.999 %"), (0.999_999, "99.9999 %")];
        for (share, words) in nines.into_iter().chain(further) {
            if -libm::log10(1.0 - share) > self.decades + 1e-9 {
                break;
            }
            let x = self.x(share);
            line(&mut out, &format!("M{},{}V{}", Px(x), scale.top, scale.bottom), GRID, 1.0, "");
            text(&mut out, (x, scale.bottom + 17.0), words, Pen::new(SOFT, Anchor::Middle));
        }
        text(&mut out, (LEFT, scale.bottom + 34.0), "share of readings", Pen::new(SOFT, Anchor::Start));
        self.weak(&mut out);
        out
    }

    /// From where on few samples speak.
    fn weak(&self, out: &mut String) {
        let weak = 1.0 - GOOD_BEYOND as f64 / self.most as f64;
        if weak <= 0.0 || self.width <= 700.0 {
            return;
        }
        let (x, LogScale { top, bottom, .. }) = (self.x(weak), self.scale);
        line(out, &format!("M{},{top}V{bottom}", Px(x)), AXIS, 1.0, "1 3");
        let words = "~ fewer than 100 samples beyond";
        let anchor = if x > LEFT + 250.0 { Anchor::End } else { Anchor::Start };
        let aside = if anchor == Anchor::End { -5.0 } else { 5.0 };
        text(out, (x + aside, bottom - 6.0), words, Pen::new(SOFT, anchor).halo());
    }

    /// A line through `points`, dotted from `floor` on, the smallest bound of a failed reading; gives whether any of it is.
    pub(super) fn curve(
        &self,
        out: &mut String,
        points: &[Point],
        floor: Option<u64>,
        (colour, dashes): (Colour, &str),
    ) -> bool {
        let sure = points.partition_point(|point| floor.is_none_or(|floor| point.ns < floor));
        line(out, &through(&self.place(&points[..sure], self.near())), colour, 2.0, dashes);
        let is_open = sure < points.len();
        if is_open {
            let data = through(&self.place(&points[sure.saturating_sub(1)..], self.near()));
            line(out, &data, colour, 2.0, "1.5 4");
        }
        is_open
    }

    /// The end of the chart: names where the lines end, and what dots mean where there are any.
    pub(super) fn close(
        &self,
        mut out: String,
        ends: &[(&str, Colour, Option<&Point>)],
        dotted: bool,
    ) -> String {
        let ends =
            ends.iter().filter_map(|&(label, colour, last)| Some((self.scale.y(last?.ns), label, colour)));
        labels(&mut out, ends.collect(), self.right() + 8.0, self.scale.bottom);
        if dotted {
            let words = "dotted: at least, as failed readings are among these";
            text(&mut out, (self.right(), self.height - 6.0), words, Pen::axis());
        }
        out + "</svg>"
    }
}

/// The curves of `series` in one chart of `width` by `height` pixels; nothing without a sample.
pub(super) fn curves(series: &[Series<'_>], width: f64, height: f64) -> String {
    let series: Vec<_> = series.iter().filter(|series| !series.times.is_empty()).collect();
    let most = series.iter().map(|series| series.times.len()).max().unwrap_or(0);
    let drawn: Vec<_> = series.iter().map(|series| points(series.times)).collect();
    let every = drawn.iter().flatten().map(|point| point.ns);
    let Some(chart) = Chart::around(every, most, (width, height)) else { return String::new() };
    let names: Vec<_> = series.iter().map(|series| series.label).collect();
    let mut out = chart.open(&format!("Percentile curves of response times: {}", names.join(", ")));
    if let ([response, service, ..], [above, beneath, ..]) = (series.as_slice(), drawn.as_slice())
        && (response.colour, service.colour) == (RESPONSE, SERVICE)
    {
        // What a closed loop does not see.
        let mut outline = chart.place(above, 2.0 * chart.near());
        outline.extend(chart.place(beneath, 2.0 * chart.near()).into_iter().rev());
        area(&mut out, &(through(&outline) + "Z"), SERVICE, 0.1);
    }
    let (mut ends, mut dotted) = (Vec::new(), false);
    for (series, points) in series.iter().zip(&drawn) {
        dotted |= chart.curve(&mut out, points, series.floor, (series.colour, series.dashes));
        ends.push((series.label, series.colour, points.last()));
    }
    chart.close(out, &ends, dotted)
}

/// The names of the lines where these end, moved apart where they meet.
fn labels(out: &mut String, mut ends: Vec<(f64, &str, Colour)>, x: f64, bottom: f64) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = 0.0_f64;
    for end in &mut ends {
        end.0 = end.0.max(free);
        free = end.0 + APART;
    }
    // Only those move up again for which there is no room below.
    let mut least = bottom;
    for end in ends.iter_mut().rev() {
        end.0 = end.0.min(least);
        least = end.0 - APART;
    }
    for (y, label, colour) in ends {
        let label = super::escape::clip(label, 14);
        text(out, (x, y + 4.0), label, Pen::new(colour, Anchor::Start));
    }
}

/// Figures for the whole of a run, and its phases and fleets side by side.
pub(super) fn figures(whole: &str, parts: &[(&str, String)]) -> String {
    if whole.is_empty() {
        return String::new();
    }
    let parts = parts.iter().filter(|(_, chart)| !chart.is_empty());
    let parts: Vec<_> = parts.map(|(caption, chart)| figure(chart, caption)).collect();
    figure(whole, "") + &two(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(counts: &[(u64, u64)]) -> Histogram<u64> {
        let mut times = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        for (ns, count) in counts {
            times.record_n(*ns, *count).unwrap();
        }
        times
    }

    #[test]
    fn a_line_ends_where_fewer_than_ten_samples_lie_beyond() {
        let times = times(&[(1_000, 985), (2_000, 5), (3_000, 1), (4_000, 9)]);
        let last = points(&times).last().copied().unwrap();
        assert_eq!((last.below, last.ns / 1_000), (0.99, 2), "ten beyond 2 us, nine beyond 3 us");
    }

    #[test]
    fn a_time_that_many_share_is_drawn_as_far_as_they_reach() {
        // Half of the readings failed, and count as the time-out.
        let times = times(&[(1_000, 400), (2_000, 100), (5_000_000, 500)]);
        let points: Vec<_> = points(&times).iter().map(|point| (point.below, point.ns / 1_000)).collect();
        assert_eq!(points, [(0.0, 1), (0.4, 1), (0.4, 2), (0.5, 5_001), (0.99, 5_001)]);
    }

    #[test]
    fn a_line_is_dotted_from_the_smallest_bound_on() {
        let times = times(&[(1_000_000, 900), (5_000_000, 50), (9_000_000, 200)]);
        let series =
            Series { label: "response", colour: RESPONSE, times: &times, dashes: "", floor: Some(4_000_000) };
        let dotted = curves(&[series], 400.0, 200.0);
        assert!(dotted.contains("1.5 4") && dotted.contains("dotted: at least"), "{dotted}");
        let sure = curves(&[Series { floor: None, ..series }], 400.0, 200.0);
        assert!(!sure.contains("1.5 4") && !sure.contains("dotted: at least"), "{sure}");
        assert_eq!(curves(&[], 400.0, 200.0), "");
    }
}
