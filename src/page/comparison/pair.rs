//! Pairs in the order of time: a trend or a single outlier means that the machine changed, not the build.

use std::fmt::Write as _;

use super::change::{ChangeScale, is_ratio};
use super::origin::Trial;
use super::run::TrialFacts;
use crate::compare::{Cell, Comparison, Figure};
use crate::display::comparison::change;
use crate::page::colour::{AXIS, CARD, Colour, GRID, RESPONSE, SERVICE, SOFT, WARNING};
use crate::page::svg::{Anchor, Pen, Px, line, open, rect, text, width_of};
use crate::record::Judgement;

const HEIGHT: f64 = 232.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 42.0;
/// Pairs of a chart.
pub(super) const MOST_PAIRS: usize = 400;
/// Of so many pairs a chart is half as wide as the page.
pub(super) const FEW: usize = 26;

/// A pair in a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dot {
    /// Its change; `None` where it does not count.
    change: Option<f64>,
    number: u32,
    is_fresh: bool,
    base_first: Option<bool>,
    is_suspect: bool,
}

/// The shapes of dots, each drawn as one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Circle,
    Diamond,
    Cross,
}

impl Dot {
    const fn shape(&self) -> Shape {
        match (self.change, self.base_first) {
            (None, _) => Shape::Cross,
            (_, Some(false)) => Shape::Diamond,
            (_, Some(true) | None) => Shape::Circle,
        }
    }

    /// Who ran first has a colour too.
    const fn colour(&self) -> Colour {
        match (self.change, self.is_suspect, self.base_first) {
            (None, ..) => AXIS,
            (_, true, _) => WARNING,
            (_, _, Some(false)) => SERVICE,
            (_, _, Some(true) | None) => RESPONSE,
        }
    }

    fn place(&self, data: &mut String, x: f64, y: f64) {
        let _ = match self.shape() {
            Shape::Circle => write!(data, "M{},{}a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z", Px(x - 5.0), Px(y)),
            Shape::Diamond => write!(data, "M{},{}l6.2,6.2-6.2,6.2-6.2-6.2z", Px(x), Px(y - 6.2)),
            Shape::Cross => write!(data, "M{},{}l8,8m0-8l-8,8", Px(x - 4.0), Px(y - 4.0)),
        };
    }
}

/// The pairs of `cell` in the order of time.
pub(super) fn dots(comparison: &Comparison, cell: &Cell, trials: &[Trial], facts: &[TrialFacts]) -> Vec<Dot> {
    let fresh = comparison.fresh(cell).map(|cell| cell.differences.as_slice()).unwrap_or_default();
    let mut changes = [cell.differences.iter(), fresh.iter()];
    let mut dots = Vec::new();
    for (trial, facts) in trials.iter().zip(facts) {
        if !facts.counts && trial.discarded.is_none() {
            continue;
        }
        let change = if facts.counts { changes[usize::from(trial.is_fresh)].next().copied() } else { None };
        dots.push(Dot {
            change: change.filter(|change| change.is_finite()),
            number: trial.number,
            is_fresh: trial.is_fresh,
            base_first: trial.base_first,
            is_suspect: facts.judgements.contains(&Some(Judgement::Suspect)),
        });
    }
    dots
}

/// The cells whose pairs are worth a chart: what the decision rests on, and the median and p99 of all fleets, two at most.
pub(super) fn cells(comparison: &Comparison) -> Vec<&Cell> {
    let of = |figure| comparison.cells.iter().find(move |cell| cell.group.is_all() && cell.figure == figure);
    let mut cells: Vec<&Cell> = Vec::new();
    for cell in
        [comparison.headline(), of(Figure::P50), of(Figure::P99), of(Figure::P95)].into_iter().flatten()
    {
        if !cell.differences.is_empty() && !cells.iter().any(|own| own.is(cell)) && cells.len() < 2 {
            cells.push(cell);
        }
    }
    cells
}

/// The chart of the pairs of `cell`.
pub(super) fn chart(cell: &Cell, dots: &[Dot]) -> String {
    let dots = &dots[..dots.len().min(MOST_PAIRS)];
    let width = if dots.len() <= FEW { 530.0 } else { 1_080.0 };
    let changes = dots.iter().filter_map(|dot| dot.change);
    let zone = [1.2 * cell.threshold, -1.2 * cell.threshold];
    let scale = ChangeScale::around(changes.chain(zone), is_ratio(cell), (BOTTOM, TOP));
    let mut out = open(width, HEIGHT, "pairs", "Change of each pair in the order of time");
    let right = width - RIGHT;
    let (top, bottom) = (scale.at(cell.threshold), scale.at(-cell.threshold));
    rect(&mut out, [LEFT, top, right - LEFT, bottom - top], AXIS, 0.16);
    for (nth, (y, words)) in scale.ticks(24.0).into_iter().enumerate() {
        let colour = if nth == 0 { AXIS } else { GRID };
        line(&mut out, &format!("M{LEFT},{}H{right}", Px(y)), colour, 1.0, "");
        text(&mut out, (LEFT - 8.0, y + 4.0), words, Pen::axis());
    }
    if let Some(effect) = cell.effect {
        let y = scale.at(effect);
        line(&mut out, &format!("M{LEFT},{}H{right}", Px(y)), SOFT, 1.2, "5 4");
        let words = format!("dashed: mean {}", change(cell, effect, true));
        text(&mut out, (right, HEIGHT - 6.0), words, Pen::new(SOFT, Anchor::End));
    }
    points(&mut out, dots, &scale, right);
    legend(&mut out, dots);
    out + "</svg>"
}

fn points(out: &mut String, dots: &[Dot], scale: &ChangeScale, right: f64) {
    let step = (right - LEFT) / dots.len().max(1) as f64;
    let x = |nth: usize| LEFT + step * (nth as f64 + 0.5);
    let same = scale.at(0.0);
    if let Some(border) = dots.iter().position(|dot| dot.is_fresh).filter(|border| *border > 0) {
        let at = x(border) - step / 2.0;
        line(out, &format!("M{},{TOP}V{BOTTOM}", Px(at)), AXIS, 1.0, "2 3");
        let words = "fresh pairs, to confirm";
        let fits = at + 5.0 + width_of(words) <= right + RIGHT;
        let (beside, anchor) = if fits { (at + 5.0, Anchor::Start) } else { (at - 5.0, Anchor::End) };
        text(out, (beside, TOP - 4.0), words, Pen::new(SOFT, anchor));
    }
    let mut stems = String::new();
    let mut kinds: Vec<(Dot, String)> = Vec::new();
    // Numbers that would run into each other are left out.
    let every = (22.0 / step).ceil().max(1.0) as usize;
    for (nth, dot) in dots.iter().enumerate() {
        let y = scale.at(dot.change.unwrap_or_default());
        if dot.change.is_some() && step >= 6.0 {
            let _ = write!(stems, "M{},{}V{}", Px(x(nth)), Px(same), Px(y));
        }
        let like = |own: &Dot| {
            (own.shape(), own.colour(), own.is_fresh) == (dot.shape(), dot.colour(), dot.is_fresh)
        };
        if let Some((_, data)) = kinds.iter_mut().find(|(own, _)| like(own)) {
            dot.place(data, x(nth), y);
        } else {
            let mut data = String::new();
            dot.place(&mut data, x(nth), y);
            kinds.push((*dot, data));
        }
        if nth % every == 0 {
            text(out, (x(nth), BOTTOM + 16.0), dot.number, Pen::new(SOFT, Anchor::Middle));
        }
    }
    line(out, &stems, AXIS, 1.0, "");
    for (dot, data) in &kinds {
        shape(out, dot, data);
    }
    text(out, (LEFT, HEIGHT - 6.0), "pairs, in the order of time", Pen::new(SOFT, Anchor::Start));
}

/// Dots of one kind: those that were run to confirm are hollow.
fn shape(out: &mut String, dot: &Dot, data: &str) {
    let edge = dot.colour();
    let fill = if dot.is_fresh { CARD } else { edge };
    if dot.shape() == Shape::Cross {
        line(out, data, edge, 2.0, "");
        return;
    }
    let _ = write!(
        out,
        "<path d=\"{data}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"1.8\" class=\"f-{} s-{}\"/>",
        fill.value, edge.value, fill.name, edge.name
    );
}

/// What the shapes mean, as far as they occur.
fn legend(out: &mut String, dots: &[Dot]) {
    let base =
        Dot { change: Some(0.0), number: 0, is_fresh: false, base_first: Some(true), is_suspect: false };
    let kinds = [
        (base, "base first", dots.iter().any(|dot| dot.base_first == Some(true))),
        (
            Dot { base_first: Some(false), ..base },
            "candidate first",
            dots.iter().any(|dot| dot.base_first == Some(false)),
        ),
        (
            Dot { is_suspect: true, ..base },
            "suspect",
            dots.iter().any(|dot| dot.is_suspect && dot.change.is_some()),
        ),
        (Dot { change: None, ..base }, "run again", dots.iter().any(|dot| dot.change.is_none())),
    ];
    let mut x = LEFT + 6.0;
    for (dot, words, _) in kinds.into_iter().filter(|(.., occurs)| *occurs) {
        let mut data = String::new();
        dot.place(&mut data, x, 13.0);
        shape(out, &dot, &data);
        text(out, (x + 10.0, 17.0), words, Pen::new(SOFT, Anchor::Start));
        x += width_of(words) + 24.0;
    }
}
