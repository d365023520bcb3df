//! Percentile curves: which share of the readings was answered within which time, with room for the tail.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::colour::{AXIS, Colour, GRID, RESPONSE, SERVICE, SOFT};
use super::svg::{Anchor, LogScale, Pen, Px, area, grid_line, line, open, text, thinned, through};
use super::tick;

/// A line ends where fewer samples than this lie beyond it.
const LEAST_BEYOND: u64 = 10;
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
struct Point {
    below: f64,
    ns: u64,
}

fn points(times: &Histogram<u64>) -> Vec<Point> {
    let total = times.len();
    let mut seen = 0;
    let mut points = Vec::new();
    for step in times.iter_recorded() {
        let below = seen as f64 / total.max(1) as f64;
        seen += step.count_at_value();
        if total - seen < LEAST_BEYOND && !points.is_empty() {
            break;
        }
        points.push(Point { below, ns: step.value_iterated_to() });
    }
    points
}

/// The axis of shares: a decade for every further nine.
struct Shares {
    left: f64,
    width: f64,
    decades: f64,
}

impl Shares {
    fn x(&self, below: f64) -> f64 {
        let nines = -libm::log10((1.0 - below).max(1e-12));
        self.left + self.width * nines.min(self.decades) / self.decades
    }
}

/// The curves of `series` in one chart of `width` by `height` pixels; nothing without a sample.
pub(super) fn curves(series: &[Series<'_>], width: f64, height: f64) -> String {
    let series: Vec<_> = series.iter().filter(|series| !series.times.is_empty()).collect();
    let Some(most) = series.iter().map(|series| series.times.len()).max() else { return String::new() };
    let (left, right, top, bottom) = (66.0, 96.0, 16.0, height - 40.0);
    let decades = libm::log10(most as f64 / LEAST_BEYOND as f64).max(2.0);
    let shares = Shares { left, width: width - left - right, decades };
    let drawn: Vec<_> = series.iter().map(|series| points(series.times)).collect();
    let every = drawn.iter().flatten().map(|point| point.ns);
    let Some(scale) = LogScale::around(every, top, bottom) else { return String::new() };
    let names: Vec<_> = series.iter().map(|series| series.label).collect();
    let mut out =
        open(width, height, "curve", &format!("Percentile curves of response times: {}", names.join(", ")));
    axes(&mut out, &shares, &scale, width, most);
    // As far as an eye follows a line.
    let near = if width > 700.0 { 1.0 } else { 2.2 };
    let place = |points: &[Point]| -> Vec<(f64, f64)> {
        points.iter().map(|point| (shares.x(point.below), scale.y(point.ns))).collect()
    };
    if let ([response, service], [above, beneath]) = (series.as_slice(), drawn.as_slice())
        && (response.colour, service.colour) == (RESPONSE, SERVICE)
    {
        // What a closed loop does not see.
        let mut outline = thinned(&place(above), 2.0 * near);
        outline.extend(thinned(&place(beneath), 2.0 * near).into_iter().rev());
        area(&mut out, &(through(&outline) + "Z"), SERVICE, 0.1);
    }
    let mut ends = Vec::new();
    for (series, points) in series.iter().zip(&drawn) {
        let sure = points.partition_point(|point| series.floor.is_none_or(|floor| point.ns < floor));
        let data = through(&thinned(&place(&points[..sure]), near));
        line(&mut out, &data, series.colour, 2.0, series.dashes);
        if sure < points.len() {
            let data = through(&thinned(&place(&points[sure.saturating_sub(1)..]), near));
            line(&mut out, &data, series.colour, 2.0, "1.5 4");
        }
        ends.extend(points.last().map(|point| (scale.y(point.ns), series.label, series.colour)));
    }
    labels(&mut out, ends, width - right + 8.0, bottom);
    if series.iter().zip(&drawn).any(|(series, points)| {
        points.last().is_some_and(|last| series.floor.is_some_and(|floor| last.ns >= floor))
    }) {
        let words = "dotted: at least, as failed readings are among these";
        text(&mut out, (width - right, height - 6.0), words, Pen::axis());
    }
    out + "</svg>"
}

fn axes(out: &mut String, shares: &Shares, scale: &LogScale, width: f64, most: u64) {
    let (left, right) = (shares.left, shares.left + shares.width);
    for value in scale.ticks() {
        grid_line(out, (left, right), scale.y(value), tick(value));
    }
    let nines = [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];
    let further = [(0.9999, "99.99 %"), (0.999_99, "99.999 %"), (0.999_999, "99.9999 %")];
    for (share, words) in nines.into_iter().chain(further) {
        if -libm::log10(1.0 - share) > shares.decades + 1e-9 {
            break;
        }
        let x = shares.x(share);
        line(out, &format!("M{},{}V{}", Px(x), scale.top, scale.bottom), GRID, 1.0, "");
        text(out, (x, scale.bottom + 17.0), words, Pen::new(SOFT, Anchor::Middle));
    }
    text(out, (left, scale.bottom + 34.0), "share of readings", Pen::new(SOFT, Anchor::Start));
    let weak = 1.0 - GOOD_BEYOND as f64 / most as f64;
    if weak > 0.0 && width > 700.0 {
        let x = shares.x(weak);
        line(out, &format!("M{},{}V{}", Px(x), scale.top, scale.bottom), AXIS, 1.0, "1 3");
        let words = "~ fewer than 100 samples beyond";
        let anchor = if x > left + 250.0 { Anchor::End } else { Anchor::Start };
        let aside = if anchor == Anchor::End { -5.0 } else { 5.0 };
        text(out, (x + aside, scale.bottom - 6.0), words, Pen::new(SOFT, anchor).halo());
    }
}

/// The names of the lines where these end, moved apart where they meet.
fn labels(out: &mut String, mut ends: Vec<(f64, &str, Colour)>, x: f64, bottom: f64) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = 0.0_f64;
    for end in &mut ends {
        end.0 = end.0.max(free);
        free = end.0 + 14.0;
    }
    let excess = (free - 14.0 - bottom).max(0.0);
    for (y, label, colour) in ends {
        let label = super::escape::clip(label, 14);
        text(out, (x, y - excess + 4.0), label, Pen::new(colour, Anchor::Start));
    }
}

/// Figures for the whole of a run, and its phases and fleets side by side.
pub(super) fn figures(whole: &str, parts: &[(&str, String)]) -> String {
    if whole.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<figure class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Chart\">{whole}</figure>"
    );
    let parts: Vec<_> = parts.iter().filter(|(_, chart)| !chart.is_empty()).collect();
    if !parts.is_empty() {
        out += "<div class=\"two\">";
        for (caption, chart) in parts {
            let _ = write!(
                out,
                "<figure class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Chart\">{chart}<figcaption>{caption}\
                 </figcaption></figure>"
            );
        }
        out += "</div>";
    }
    out
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
        assert_eq!((last.below, last.ns / 1_000), (0.985, 2), "ten beyond 2 us, nine beyond 3 us");
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
