//! How much each figure moved: its change with an interval, against the zone in which changes count as none.

use std::fmt::Write as _;

use super::change::{ChangeScale, is_ratio};
use crate::compare::{Cell, Decision};
use crate::display::Tone;
use crate::display::comparison::{change, said, tone};
use crate::page::STYLE;
use crate::page::colour::{AXIS, BAD, CARD, Colour, GOOD, GRID, INK, SOFT};
use crate::page::escape::clip;
use crate::page::svg::{Anchor, Pen, Px, line, open, rect, text};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 44.0;
const ROW: f64 = 28.0;
/// Rows of a chart.
const MOST_ROWS: usize = 40;
/// Single pairs that are drawn as dots; of more, the pairs have charts of their own.
const MOST_DOTS: usize = 60;

/// The cells of one unit that have a change, times or shares.
pub(super) fn shown(cells: &[Cell], ratios: bool) -> Vec<&Cell> {
    let moved = |cell: &&Cell| {
        let zero = cell.base == Some(0.0) && cell.candidate == Some(0.0);
        is_ratio(cell) == ratios && cell.effect.is_some_and(f64::is_finite) && !zero
    };
    cells.iter().filter(moved).collect()
}

/// The chart of `cells`, all of one unit; nothing without one.
pub(super) fn chart(cells: &[&Cell]) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let cells = &cells[..cells.len().min(MOST_ROWS)];
    let scale = ChangeScale::around(reach(cells).into_iter(), is_ratio(first), (LEFT, WIDTH - RIGHT));
    let height = TOP + ROW * cells.len() as f64;
    let mut out = open(
        WIDTH,
        height,
        "shift",
        "Change of each figure with its 95 % interval, and the zone of no difference",
    );
    axis(&mut out, &scale, height);
    let mut group = None;
    for (nth, cell) in cells.iter().enumerate() {
        let y = TOP + ROW * nth as f64 + ROW / 2.0;
        if group != Some(&cell.group) {
            group = Some(&cell.group);
            let name = clip(&cell.group.to_string(), 26);
            text(&mut out, (LEFT - 66.0, y + 4.0), name, Pen::new(INK, Anchor::End));
        }
        text(&mut out, (LEFT - 12.0, y + 4.0), cell.figure.name(), Pen::axis());
        row(&mut out, cell, &scale, y);
    }
    out + "</svg>"
}

/// What must have room: changes, zones, and intervals as far as they do not press the rest together.
fn reach(cells: &[&Cell]) -> Vec<f64> {
    let zone = |cell: &Cell| 1.4 * cell.threshold;
    let effects = || cells.iter().filter_map(|cell| cell.effect);
    let most = effects().map(f64::abs).chain(cells.iter().map(|cell| zone(cell))).fold(0.0, f64::max);
    let mut reach: Vec<f64> = effects().collect();
    reach.extend(cells.iter().flat_map(|cell| [zone(cell), -zone(cell)]));
    let ends = cells.iter().filter_map(|cell| cell.ci95).flatten();
    reach.extend(ends.map(|end| end.clamp(-2.0 * most, 2.0 * most)));
    reach
}

fn axis(out: &mut String, scale: &ChangeScale, height: f64) {
    for (nth, (x, words)) in scale.ticks(62.0).into_iter().enumerate() {
        let colour = if nth == 0 { AXIS } else { GRID };
        line(out, &format!("M{},{}V{height}", Px(x), TOP - 8.0), colour, 1.0, "");
        text(out, (x, TOP - 14.0), words, Pen::new(SOFT, Anchor::Middle));
    }
    let same = scale.at(0.0).clamp(LEFT + 70.0, WIDTH - RIGHT - 70.0);
    text(out, (same - 8.0, 12.0), "← better", Pen::new(GOOD, Anchor::End));
    text(out, (same + 8.0, 12.0), "worse →", Pen::new(BAD, Anchor::Start));
}

fn colour_of(cell: &Cell) -> Colour {
    match tone(cell) {
        Some(Tone::Bad) => BAD,
        Some(Tone::Good) => GOOD,
        _ => AXIS,
    }
}

fn row(out: &mut String, cell: &Cell, scale: &ChangeScale, y: f64) {
    let effect = cell.effect.unwrap_or_default();
    let (low, high) = (scale.at(-cell.threshold), scale.at(cell.threshold));
    rect(out, [low, y - 9.0, high - low, 18.0], AXIS, 0.16);
    if cell.differences.len() <= MOST_DOTS {
        let mut dots = String::new();
        for difference in cell.differences.iter().filter(|difference| scale.holds(**difference)) {
            let _ = write!(dots, "M{},{}h0", Px(scale.at(*difference)), Px(y));
        }
        round_dots(out, &dots);
    }
    let colour = colour_of(cell);
    if let Some(ends) = cell.ci95 {
        let mut data = format!("M{},{}H{}", Px(scale.at(ends[0])), Px(y), Px(scale.at(ends[1])));
        for (end, inwards) in ends.into_iter().zip([5.0, -5.0]) {
            let at = scale.at(end);
            // An arrow where the interval goes on.
            let _ = if scale.holds(end) {
                write!(data, "M{},{}v8", Px(at), Px(y - 4.0))
            } else {
                let back = Px(at + inwards);
                write!(data, "M{back},{}L{},{}L{back},{}", Px(y - 4.0), Px(at), Px(y), Px(y + 4.0))
            };
        }
        line(out, &data, colour, 2.0, "");
    }
    let fill = if cell.verdict.is_some() { colour } else { CARD };
    let (Colour { name, value }, x) = (fill, Px(scale.at(effect)));
    let (edge, edge_name) = (colour.value, colour.name);
    let _ = write!(
        out,
        "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{value}\" stroke=\"{edge}\" stroke-width=\"1.6\" class=\"f-{name} s-{edge_name}\"/>",
        Px(y)
    );
    let decided =
        cell.verdict.is_some_and(|own| matches!(own.verdict, Decision::Regression | Decision::Improvement));
    let ink = if decided { colour } else { SOFT };
    let words = format!("{}  {}", change(cell, effect, true), said(cell));
    text(out, (WIDTH - RIGHT + 12.0, y + 4.0), words, Pen::new(ink, Anchor::Start));
}

/// Dots as one path.
fn round_dots(out: &mut String, data: &str) {
    if !data.is_empty() {
        let Colour { name, value } = SOFT;
        let _ = write!(
            out,
            "<path d=\"{data}\" class=\"s-{name}\" stroke=\"{value}\" stroke-width=\"5\" stroke-opacity=\"0.38\" \
             stroke-linecap=\"round\" fill=\"none\"/>"
        );
    }
}

/// What the dots and signs of the chart mean, and what is left out of it.
pub(super) fn about(cells: &[&Cell]) -> String {
    let mut about = "Point and line: the change and its 95 % interval. Grey: changes that count as no difference. A hollow point \
                     is not judged."
        .to_owned();
    if cells.iter().any(|cell| (2..=MOST_DOTS).contains(&cell.differences.len())) {
        about += " Small dots: single pairs.";
    }
    if cells.len() > MOST_ROWS {
        let _ = write!(
            about,
            " The first {MOST_ROWS} of {} figures; all are in the table.",
            crate::display::figure::count(cells.len() as u64, STYLE)
        );
    }
    about
}
