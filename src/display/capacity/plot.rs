//! The curve behind an answer on a terminal: goodput and p99 of every probe against what it offered.

use crate::capacity::{Answer, Finding, Probe, Verdict};
use crate::display::figure::{rate, round_time};
use crate::display::style::{Style, Tone};

/// Rows of a plot.
const ROWS: usize = 7;
/// Columns before it: a figure and a space.
const MARGIN: usize = 10;
/// Columns at most: marks that are further apart are hard to see as a curve.
const WIDEST: usize = 100;

/// One plot above the other, with what the marks mean.
pub(super) fn plots(answer: &Answer, width: usize, style: Style) -> Vec<String> {
    let columns = (width - MARGIN - 1).min(WIDEST);
    let most = answer.probes.iter().map(|probe| probe.offered_per_s).fold(0.0, f64::max);
    if most <= 0.0 {
        return Vec::new();
    }
    let axis = Axis { most, columns };
    let band = band(answer, axis);
    let goodput = answer.probes.iter().map(|probe| probe.goodput_per_s).fold(0.0, f64::max);
    let mut lines = vec![style.paint("goodput by offered load; dots: all that was offered", Tone::Faint)];
    let height = |value: f64| value / goodput.max(f64::MIN_POSITIVE);
    let mut canvas = Canvas::new(columns, band);
    for column in 0..columns {
        let offered = most * column as f64 / (columns - 1) as f64;
        canvas.put(column, height(offered), '.');
    }
    canvas.marks(answer, axis, |probe| Some(height(probe.goodput_per_s)));
    lines.extend(canvas.draw([rate(goodput, style), rate(0.0, style)], style));
    let times = || answer.probes.iter().filter_map(|probe| probe.p99_ms).filter(|ms| *ms > 0.0);
    let (low, high) = times().fold((f64::INFINITY, 0.0_f64), |(low, high), ms| (low.min(ms), high.max(ms)));
    if high > 0.0 {
        lines.push(style.paint("p99 by offered load, logarithmic", Tone::Faint));
        let (low, high) = bounds(low, high);
        let height = |ms: f64| (ms / low).ln() / (high / low).ln();
        let mut canvas = Canvas::new(columns, band);
        canvas.marks(answer, axis, |probe| probe.p99_ms.filter(|ms| *ms > 0.0).map(height));
        let label = |ms: f64| round_time((ms * 1e6).round() as u64, style);
        lines.extend(canvas.draw([label(high), label(low)], style));
    }
    lines.push(axis.labels(style));
    lines.push(style.paint(legend(answer), Tone::Faint));
    lines
}

/// What the marks mean, as far as they were used.
fn legend(answer: &Answer) -> &'static str {
    let is_open = answer.probes.iter().any(|probe| probe.met().is_none());
    match (is_open, has_band(answer)) {
        (false, true) => "o budgets held, x missed; | the answer and its interval",
        (false, false) => "o budgets held, x missed",
        (true, true) => {
            "o budgets held, x missed, g generator limited, ? not judged; | the answer and its interval"
        }
        (true, false) => "o budgets held, x missed, g generator limited, ? not judged",
    }
}

/// A decade-wise range around both.
fn bounds(low: f64, high: f64) -> (f64, f64) {
    let step = |value: f64, up: bool| {
        let decade = libm::pow(10.0, libm::log10(value).floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
        let of = |found: Option<f64>| found.unwrap_or(value);
        if up {
            of(steps.into_iter().find(|step| *step >= value * 0.999))
        } else {
            of(steps.into_iter().rev().find(|step| *step <= value * 1.001))
        }
    };
    let (low, high) = (step(low, false), step(high, true));
    if high > low { (low, high) } else { (low, low * 10.0) }
}

/// Offered loads from 0 on, in columns.
#[derive(Debug, Clone, Copy)]
struct Axis {
    most: f64,
    columns: usize,
}

impl Axis {
    fn column(self, offered: f64) -> usize {
        let share = (offered / self.most).clamp(0.0, 1.0);
        (share * (self.columns - 1) as f64).round() as usize
    }

    fn labels(self, style: Style) -> String {
        let (zero, most) = (rate(0.0, style), rate(self.most, style));
        let gap = self.columns.saturating_sub(zero.chars().count() + most.chars().count());
        format!("{:MARGIN$}{zero}{}{most}", "", " ".repeat(gap))
    }
}

const fn has_band(answer: &Answer) -> bool {
    matches!(answer.finding, Finding::Knee { .. } | Finding::Open { .. })
}

/// The columns of the answer's interval: how much is offered at a factor is as probes saw it.
fn band(answer: &Answer, axis: Axis) -> Option<[usize; 3]> {
    let (Finding::Knee { factor, low, high } | Finding::Open { factor, low, high }) = answer.finding else {
        return None;
    };
    let at = |wanted: f64| offered_at(answer, wanted).map(|offered| axis.column(offered));
    Some([at(low)?, at(factor)?, at(high)?])
}

/// How far, on the scale of logarithms, a probe says what is offered at another load.
const REACH: f64 = 0.2;

/// What is offered at a load: in proportion to what probes offered, the nearer the more. Chance makes one probe offer more and another
/// less, and closed fleets offer what the service lets them.
pub(crate) fn offered_at(answer: &Answer, factor: f64) -> Option<f64> {
    let far = |probe: &Probe| (probe.factor / factor).ln().abs();
    let least = answer.probes.iter().map(far).reduce(f64::min)?;
    let (sum, weight) = answer.probes.iter().fold((0.0, 0.0), |(sum, weight), probe| {
        // By how much further it is than the nearest one: far from all of them the nearest counts.
        let own = libm::exp(-0.5 * ((far(probe) - least) / REACH).powi(2));
        (sum + own * probe.offered_per_s / probe.factor, weight + own)
    });
    Some(factor * sum / weight)
}

/// Marks in rows and columns.
struct Canvas {
    cells: Vec<Vec<char>>,
    band: Option<[usize; 3]>,
}

impl Canvas {
    fn new(columns: usize, band: Option<[usize; 3]>) -> Self {
        let mut cells = vec![vec![' '; columns]; ROWS];
        if let Some([low, knee, high]) = band {
            for (at, row) in cells.iter_mut().enumerate() {
                // The middle all the way down; the ends of the interval are dashed.
                let ends = [low, high].into_iter().filter(|_| at % 2 == 0);
                ends.chain([knee]).for_each(|column| row[column] = '|');
            }
        }
        Self { cells, band }
    }

    /// Puts a mark at a share of the height; what is above or below is left out.
    fn put(&mut self, column: usize, height: f64, mark: char) {
        if !(0.0..=1.0001).contains(&height) {
            return;
        }
        let row = ROWS - 1 - (height.min(1.0) * (ROWS - 1) as f64).round() as usize;
        if let Some(cell) = self.cells.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = mark;
        }
    }

    fn marks(&mut self, answer: &Answer, axis: Axis, height: impl Fn(&Probe) -> Option<f64>) {
        for probe in &answer.probes {
            let mark = match probe.verdict {
                Verdict::Met => 'o',
                Verdict::Missed => 'x',
                Verdict::GeneratorLimited => 'g',
                Verdict::Unjudged => '?',
            };
            if let Some(height) = height(probe) {
                self.put(axis.column(probe.offered_per_s), height.clamp(0.0, 1.0), mark);
            }
        }
    }

    /// The rows behind a scale with the figures of its top and bottom.
    fn draw(&self, [top, bottom]: [String; 2], style: Style) -> Vec<String> {
        let mut lines = Vec::with_capacity(ROWS);
        for (at, row) in self.cells.iter().enumerate() {
            let label = match at {
                0 => top.as_str(),
                _ if at + 1 == ROWS => bottom.as_str(),
                _ => "",
            };
            let side = if style.ascii { '|' } else { '│' };
            let row: String = row.iter().map(|mark| self.shown(*mark, style)).collect();
            lines.push(format!("{label:>width$} {side}{}", row.trim_end(), width = MARGIN - 1));
        }
        let (corner, floor) = if style.ascii { ("+", "-") } else { ("└", "─") };
        let columns = self.cells.first().map_or(0, Vec::len);
        lines.push(format!("{:MARGIN$}{corner}{}", "", floor.repeat(columns)));
        lines
    }

    fn shown(&self, mark: char, style: Style) -> char {
        match mark {
            '|' if self.band.is_some() && !style.ascii => '┆',
            '.' if !style.ascii => '·',
            mark => mark,
        }
    }
}
