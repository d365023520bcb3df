//! Goodput and p99 of every probe against what it offered, with the interval of the answer.

use std::fmt::Write as _;

use crate::capacity::{Answer, Finding, Probe, Verdict};
use crate::display::capacity::{factor, offered_at};
use crate::display::figure::rate;
use crate::page::colour::{BAND, Colour, GOOD, GRID, LAG, RESPONSE, SERVICE, SOFT};
use crate::page::svg::{Anchor, LinearScale, LogScale, Pen, Px, grid_line, line, open, rect, text, through};
use crate::page::{STYLE, tick};

const WIDTH: f64 = 1_080.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;
/// Radius of a mark.
const MARK: f64 = 4.0;
/// Points of a drawn law.
const STEPS: u32 = 80;

/// Offered load from 0 on.
#[derive(Debug, Clone, Copy)]
struct Axis(f64);

impl Axis {
    fn x(self, offered: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (offered / self.0).clamp(0.0, 1.0)
    }
}

/// The chart of goodput and that of p99; empty where nothing was offered.
pub(super) fn charts(answer: &Answer) -> (String, String) {
    let most = answer.probes.iter().map(|probe| probe.offered_per_s).fold(0.0, f64::max);
    if most <= 0.0 {
        return (String::new(), String::new());
    }
    let axis = Axis(most * 1.03);
    (goodput(answer, axis), p99(answer, axis))
}

fn goodput(answer: &Answer, axis: Axis) -> String {
    let most = answer.probes.iter().map(|probe| probe.goodput_per_s).fold(0.0, f64::max);
    let scale = LinearScale { most, top: TOP, bottom: HEIGHT - BOTTOM };
    let mut out = begin(answer, axis, "Goodput of every probe by the load that it offered");
    for value in scale.ticks(5.0) {
        grid_line(&mut out, (LEFT, WIDTH - RIGHT), scale.y(value), rate(value, STYLE));
    }
    let all = axis.0.min(most * 1.04);
    line(&mut out, &through(&[(axis.x(0.0), scale.y(0.0)), (axis.x(all), scale.y(all))]), SOFT, 1.2, "2 4");
    if let Some(law) = &answer.scalability {
        let step = (law.highest - law.lowest) / f64::from(STEPS);
        let at = |nth: u32| {
            let load = law.lowest + step * f64::from(nth);
            Some((axis.x(offered_at(answer, load)?), scale.y(law.at(load).goodput_per_s)))
        };
        let points: Vec<_> = (0..=STEPS).filter_map(at).collect();
        line(&mut out, &through(&points), RESPONSE, 1.2, "");
    }
    for probe in &answer.probes {
        mark(&mut out, probe, (axis.x(probe.offered_per_s), scale.y(probe.goodput_per_s)));
    }
    end(out, axis)
}

fn p99(answer: &Answer, axis: Axis) -> String {
    let ns = |probe: &Probe| probe.p99_ms.filter(|ms| *ms > 0.0).map(|ms| (ms * 1e6).round() as u64);
    let Some(scale) = LogScale::around(answer.probes.iter().filter_map(ns), TOP, HEIGHT - BOTTOM) else {
        return String::new();
    };
    let mut out = begin(answer, axis, "99 % response time of every probe by the load that it offered");
    for value in scale.ticks() {
        grid_line(&mut out, (LEFT, WIDTH - RIGHT), scale.y(value), tick(value));
    }
    for probe in &answer.probes {
        if let Some(ns) = ns(probe) {
            mark(&mut out, probe, (axis.x(probe.offered_per_s), scale.y(ns)));
        }
    }
    end(out, axis)
}

/// The beginning of a chart, with the interval of the answer behind everything.
fn begin(answer: &Answer, axis: Axis, describe: &str) -> String {
    let mut out = open(WIDTH, HEIGHT, "curve", describe);
    let (Finding::Knee { factor: knee, low, high } | Finding::Open { factor: knee, low, high }) =
        answer.finding
    else {
        return out;
    };
    let at = |load: f64| offered_at(answer, load).map(|offered| axis.x(offered));
    if let (Some(from), Some(middle), Some(to)) = (at(low), at(knee), at(high)) {
        let height = HEIGHT - BOTTOM - TOP;
        rect(&mut out, [from, TOP, (to - from).max(1.0), height], BAND, 0.14);
        line(&mut out, &format!("M{},{TOP}v{height}", Px(middle)), BAND, 1.4, "");
        let words = format!("{} ({} to {})", factor(knee), factor(low), factor(high));
        let anchor = if middle > WIDTH * 0.7 { Anchor::End } else { Anchor::Start };
        let aside = if anchor == Anchor::End { -6.0 } else { 6.0 };
        text(&mut out, (middle + aside, TOP - 7.0), words, Pen::new(BAND, anchor));
    }
    out
}

fn end(mut out: String, axis: Axis) -> String {
    let scale = LinearScale { most: axis.0, top: 0.0, bottom: 1.0 };
    for value in scale.ticks(8.0).into_iter().filter(|value| *value <= axis.0) {
        let x = axis.x(value);
        line(&mut out, &format!("M{},{}v5", Px(x), HEIGHT - BOTTOM), GRID, 1.0, "");
        text(&mut out, (x, HEIGHT - BOTTOM + 18.0), rate(value, STYLE), Pen::new(SOFT, Anchor::Middle));
    }
    let mut x = LEFT;
    for (verdict, words) in [
        (Verdict::Met, "budgets held"),
        (Verdict::Missed, "missed"),
        (Verdict::GeneratorLimited, "generator limited"),
        (Verdict::Unjudged, "not judged"),
    ] {
        symbol(&mut out, verdict, (x + MARK, HEIGHT - 10.0));
        text(&mut out, (x + 3.5 * MARK, HEIGHT - 6.0), words, Pen::new(SOFT, Anchor::Start));
        x += 5.0 * MARK + 7.0 * words.len() as f64;
    }
    text(&mut out, (WIDTH - RIGHT, HEIGHT - 6.0), "offered, readings per second", Pen::axis());
    out + "</svg>"
}

fn mark(out: &mut String, probe: &Probe, place: (f64, f64)) {
    let _ = write!(
        out,
        "<g><title>probe {}: {} times the load, {}</title>",
        probe.number,
        factor(probe.factor),
        probe.verdict.name()
    );
    symbol(out, probe.verdict, place);
    out.push_str("</g>");
}

/// Marks are told apart by their shapes, for print and for every colour vision.
fn symbol(out: &mut String, verdict: Verdict, (x, y): (f64, f64)) {
    let (colour, data): (Colour, String) = match verdict {
        Verdict::Met => (GOOD, {
            let (r, d) = (Px(MARK), Px(2.0 * MARK));
            format!("M{},{}a{r},{r} 0 1,0 {d},0a{r},{r} 0 1,0 -{d},0z", Px(x - MARK), Px(y))
        }),
        Verdict::Missed => (SERVICE, {
            let (left, right, top, bottom) = (Px(x - MARK), Px(x + MARK), Px(y - MARK), Px(y + MARK));
            format!("M{left},{top}L{right},{bottom}M{right},{top}L{left},{bottom}")
        }),
        Verdict::GeneratorLimited => {
            (LAG, format!("M{},{}h{d}v{d}h-{d}z", Px(x - MARK), Px(y - MARK), d = Px(2.0 * MARK)))
        }
        Verdict::Unjudged => (SOFT, format!("M{},{}h{}", Px(x - MARK), Px(y), Px(2.0 * MARK))),
    };
    line(out, &data, colour, 1.8, "");
}
