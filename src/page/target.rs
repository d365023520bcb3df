//! The target's own figures under the strips of the time line, on the same axis of time: a small chart for each series.

use super::colour::SERVICE;
use super::escape::clip;
use super::strip::{BANDS, EDGES, title};
use super::svg::{LinearScale, Px, area, broken, grid_line, line};
use super::timeline::{Frame, panel};
use crate::results::{TargetCurve, TargetKind};

/// Series that are drawn; the file has the others.
const MOST: usize = 8;
const HEIGHT: f64 = 62.0;

/// The charts; nothing for a run that took no such figures.
pub(super) fn strips(frame: &Frame<'_>) -> String {
    let (curves, _) = &frame.history.target;
    curves.iter().take(MOST).map(|curve| strip(frame, curve)).collect()
}

/// How many series there are beyond those that are drawn, as a sentence; nothing if none.
pub(super) fn omitted(frame: &Frame<'_>) -> String {
    let (curves, omitted) = &frame.history.target;
    let more = omitted + curves.len().saturating_sub(MOST);
    if more == 0 {
        return String::new();
    }
    format!(" target.csv has {more} more series of the target's own.")
}

fn strip(frame: &Frame<'_>, curve: &TargetCurve) -> String {
    let values = || curve.values.iter().flatten().copied();
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let most = if high > low { high - low } else { 1.0 };
    let scale = LinearScale { most, top: 20.0, bottom: HEIGHT - 6.0 };
    let points = points(frame, curve, |value| scale.y(value - low));
    let (mut plot, mut fixed, mut over) = (String::new(), String::new(), String::new());
    for stretch in points.split(Option::is_none) {
        if let (Some(Some(first)), Some(Some(last))) = (stretch.first(), stretch.last()) {
            let data = broken(stretch);
            let (base, from, to) = (Px(scale.y(-low)), Px(first.0), Px(last.0));
            if !data.is_empty() {
                area(&mut plot, &format!("{data}L{to},{base}L{from},{base}Z"), SERVICE, 0.12);
            }
        }
    }
    line(&mut plot, &broken(&points), SERVICE, 1.4, "");
    plot += BANDS;
    for tick in scale.ticks(2.0).into_iter().filter(|tick| high > low || *tick <= 0.0) {
        grid_line(&mut fixed, EDGES, scale.y(tick), short(tick + low));
    }
    let unit = match curve.kind {
        TargetKind::PerSecond => ", per second",
        TargetKind::Value => "",
    };
    let name = clip(&format!("{}: {}{unit}", curve.scrape, curve.series), 120);
    title(&mut over, &name);
    panel(HEIGHT, &format!("{name}, over time"), &fixed, &plot, &over)
}

/// The points of a line, with gaps where the source said nothing for more than twice as long as it usually does.
fn points(frame: &Frame<'_>, curve: &TargetCurve, y: impl Fn(f64) -> f64) -> Vec<Option<(f64, f64)>> {
    let known: Vec<(usize, f64)> =
        curve.values.iter().enumerate().filter_map(|(place, value)| Some((place, (*value)?))).collect();
    let mut gaps: Vec<usize> = known.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_unstable();
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(1);
    let mut points = Vec::with_capacity(known.len());
    let mut before = None;
    for (place, value) in known {
        if before.is_some_and(|before| place - before > 2 * usual) {
            points.push(None);
        }
        before = Some(place);
        points.push(Some((frame.column(place).1, y(value))));
    }
    points
}

/// A number in few letters: `12`, `0.25`, `3.4 k`, `120 M`.
fn short(value: f64) -> String {
    let scales = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (scale, unit) = scales.into_iter().find(|(scale, _)| value.abs() >= *scale).unwrap_or((1.0, ""));
    let digits = (value / scale * 1e3).round() / 1e3;
    format!("{}{unit}", digits + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Column, History};

    fn history(values: Vec<Option<f64>>) -> History {
        let columns = values.len();
        let curve = TargetCurve {
            scrape: "broker".into(),
            series: "load{a=\"<b>\"}".into(),
            kind: TargetKind::PerSecond,
            values,
        };
        History {
            column_s: 1.0,
            end_s: columns as f64,
            columns: vec![Column::default(); columns],
            target: (vec![curve], 3),
            ..History::default()
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.25, "0.25"),
            (999.0, "999"),
            (3_400.0, "3.4 k"),
            (-2.5e6, "-2.5 M"),
            (1.2e11, "120 G"),
        ] {
            assert_eq!(short(value), shown);
        }
    }

    #[test]
    fn a_line_breaks_where_the_source_was_silent_for_long() {
        // Asked every other column, and without an answer in the middle.
        let mut values = vec![None; 20];
        for place in (0..20).step_by(2).filter(|place| !(8..14).contains(place)) {
            values[place] = Some(place as f64);
        }
        let history = history(values);
        let frame = Frame { history: &history, faults: &[] };
        let points = points(&frame, &history.target.0[0], |value| value);
        let gaps: Vec<_> = points.iter().enumerate().filter(|(_, point)| point.is_none()).collect();
        assert_eq!((points.len(), gaps.len(), gaps[0].0), (8, 1, 4));
    }

    #[test]
    fn a_strip_names_its_series_harmlessly_and_what_is_left_out_is_said() {
        let history = history(vec![Some(-4.0), Some(8.0), None, Some(1.0)]);
        let frame = Frame { history: &history, faults: &[] };
        let drawn = strips(&frame);
        assert!(
            drawn.contains("broker: load{a=&quot;&lt;b&gt;&quot;}, per second") && !drawn.contains("<b>"),
            "{drawn}"
        );
        assert!(drawn.contains(">-4<") || drawn.contains(">0<"), "{drawn}");
        assert_eq!(omitted(&frame), " target.csv has 3 more series of the target's own.");
        let none = History::default();
        let frame = Frame { history: &none, faults: &[] };
        assert_eq!((strips(&frame), omitted(&frame)), (String::new(), String::new()));
    }
}
