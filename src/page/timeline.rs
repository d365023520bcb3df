//! The time line: phases, faults with their recovery, and what became of the readings, in strips over one axis of time.

use std::fmt::Write as _;

use super::colour::{AXIS, BAD, BAND, Colour, GOOD, INK, SOFT};
use super::escape::{Escaped, clip, script_safe};
use super::strip;
use super::svg::{Anchor, Pen, Px, area, line, open, text, width_of};
use super::{STYLE, fault, span, target};
use crate::display::figure::{count, rate};
use crate::display::recovery;
use crate::results::{Column, History, Mark, Outage, Recovery};

pub(super) const WIDTH: f64 = 1080.0;
pub(super) const LEFT: f64 = 84.0;
pub(super) const RIGHT: f64 = 20.0;
/// Width of the plots, inside of their labels.
pub(super) const INNER: f64 = WIDTH - LEFT - RIGHT;
/// Lanes of faults, and of other events.
const MOST_LANES: usize = 12;
const LANE: f64 = 20.0;

/// What the strips are drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) history: &'a History,
    pub(super) faults: &'a [Outage],
}

impl Frame<'_> {
    /// Where an instant stands in a plot.
    pub(super) fn x(&self, at_s: f64) -> f64 {
        INNER * at_s.clamp(0.0, self.history.end_s) / self.history.end_s.max(1e-9)
    }

    /// Width of a column.
    pub(super) fn column_width(&self) -> f64 {
        INNER * self.history.column_s / self.history.end_s.max(1e-9)
    }

    /// Where a column begins, and where its middle is.
    pub(super) fn column(&self, place: usize) -> (f64, f64) {
        let start = place as f64 * self.column_width();
        (start, start + self.column_width() / 2.0)
    }

    fn end_of(&self, outage: &Outage) -> f64 {
        outage.ended_s().unwrap_or(self.history.end_s)
    }
}

/// One strip: labels that stay, and a plot that is zoomed by its `viewBox`.
pub(super) fn panel(height: f64, describe: &str, fixed: &str, plot: &str, over: &str) -> String {
    let mut out = open(WIDTH, height, "panel", describe);
    let (height, inner) = (Px(height), Px(INNER));
    let _ = write!(
        out,
        "{fixed}<svg x=\"{LEFT}\" y=\"0\" width=\"{inner}\" height=\"{height}\" viewBox=\"0 0 {inner} {height}\" \
         preserveAspectRatio=\"none\" class=\"plot\">{plot}</svg>{over}</svg>"
    );
    out
}

/// All strips; nothing without an interval.
pub(super) fn strips(frame: &Frame<'_>) -> String {
    let mut out = lanes(frame);
    out += &strip::heat(frame);
    out += &strip::outcomes(frame);
    out += &strip::connections(frame);
    out += &strip::open_readings(frame);
    out += &strip::lag(frame);
    out += &target::strips(frame);
    out += &axis(frame);
    out
}

/// When faults were on, when the service had recovered, and where phases begin: drawn once, and used by every strip.
fn bands(frame: &Frame<'_>) -> String {
    const TALL: f64 = 400.0;
    let (mut on, mut good, mut borders) = (String::new(), String::new(), String::new());
    for outage in frame.faults {
        let (from, to) = (frame.x(outage.start_s), frame.x(frame.end_of(outage)));
        let width = (to - from).max(1.5);
        let _ = write!(on, "M{},0h{}v{TALL}h-{}z", Px(from), Px(width), Px(width));
        if let (Recovery::Recovered, Some(after)) = (outage.state, outage.recovered_after_s) {
            let _ = write!(good, "M{},0v{TALL}", Px(frame.x(frame.end_of(outage) + after)));
        }
    }
    for phase in frame.history.phases.iter().skip(1) {
        let _ = write!(borders, "M{},0v{TALL}", Px(frame.x(phase.start_s)));
    }
    let mut marks = String::new();
    for mark in &frame.history.marks {
        let _ = write!(marks, "M{},0v{TALL}", Px(frame.x(mark.at_s)));
    }
    let mut out = "<defs><g id=\"bands\">".to_owned();
    area(&mut out, &on, BAND, 0.12);
    line(&mut out, &marks, BAND, 1.2, "");
    line(&mut out, &good, GOOD, 1.4, "4 3");
    line(&mut out, &borders, AXIS, 0.6, "1 3");
    out + "</g></defs>"
}

/// The lanes at the top: phases, faults by name, other events by kind.
pub(super) fn lanes(frame: &Frame<'_>) -> String {
    let history = frame.history;
    let mut faults = recovery::names(frame.faults);
    let mut events: Vec<&str> = Vec::new();
    for mark in &history.marks {
        if !events.contains(&mark.event.as_str()) {
            events.push(&mark.event);
        }
    }
    faults.truncate(MOST_LANES);
    events.truncate(MOST_LANES);
    let (mut fixed, mut plot, mut over) = (bands(frame), String::new(), String::new());
    text(&mut fixed, (LEFT - 8.0, 19.0), "phases", Pen::axis());
    phases(frame, &mut plot, &mut over);
    let lane = |nth: usize| 32.0 + LANE * nth as f64;
    for (nth, name) in faults.iter().enumerate() {
        let pen = Pen::new(BAND, Anchor::End);
        text(&mut fixed, (LEFT - 8.0, lane(nth) + 11.0), clip(name, 12), pen);
        let spells: Vec<_> = frame.faults.iter().filter(|outage| outage.fault == *name).collect();
        fault_lane(frame, &spells, lane(nth), &mut plot, &mut over);
    }
    for (nth, event) in events.iter().enumerate() {
        let y = lane(faults.len() + nth);
        let word = clip(&event.replace('_', " "), 12);
        text(&mut fixed, (LEFT - 8.0, y + 11.0), word, Pen::new(BAND, Anchor::End));
        let marks: Vec<_> = history.marks.iter().filter(|mark| mark.event == *event).collect();
        mark_lane(frame, &marks, y, &mut plot, &mut over);
    }
    let height = lane(faults.len() + events.len()) - 2.0;
    panel(height, "Phases, faults and other events over time", &fixed, &plot, &over)
}

fn phases(frame: &Frame<'_>, plot: &mut String, over: &mut String) {
    for (nth, phase) in frame.history.phases.iter().enumerate() {
        let (from, to) = (frame.x(phase.start_s), frame.x(phase.end_s));
        let data = format!("M{},4h{}v22h-{}z", Px(from), Px(to - from), Px(to - from));
        area(plot, &data, AXIS, if nth % 2 == 0 { 0.22 } else { 0.11 });
        let middle_s = f64::midpoint(phase.start_s, phase.end_s);
        if to - from > width_of(&phase.name) + 6.0 {
            let pen = Pen::new(INK, Anchor::Middle).at(middle_s);
            text(over, (LEFT + frame.x(middle_s), 19.0), &phase.name, pen);
        }
    }
}

/// Where a label fits: behind its activation, before it, or, of the last one, wherever there is most room.
fn label(
    over: &mut String,
    (from, to): (f64, f64),
    (before, next): (f64, f64),
    y: f64,
    (words, colour, times): (&str, Colour, (f64, f64)),
) {
    let width = width_of(words) + 8.0;
    if to + width <= next {
        text(over, (LEFT + to + 6.0, y), words, Pen::new(colour, Anchor::Start).halo().at(times.1));
    } else if from - width >= before {
        text(over, (LEFT + from - 6.0, y), words, Pen::new(colour, Anchor::End).halo().at(times.0));
    }
}

fn fault_lane(frame: &Frame<'_>, spells: &[&Outage], y: f64, plot: &mut String, over: &mut String) {
    let (mut on, mut good, mut bad) = (String::new(), String::new(), String::new());
    let mut before = 0.0;
    for (nth, outage) in spells.iter().enumerate() {
        let end_s = frame.end_of(outage);
        let (from, to) = (frame.x(outage.start_s), frame.x(end_s));
        let width = (to - from).max(2.0);
        let _ = write!(on, "M{},{y}h{}v14h-{}z", Px(from), Px(width), Px(width));
        let (until, colour) = match (outage.state, outage.recovered_after_s) {
            (Recovery::Recovered, Some(after)) => (frame.x(end_s + after), GOOD),
            (Recovery::NotRecovered, _) => (INNER, BAD),
            _ => (to, SOFT),
        };
        let tail = if colour == GOOD { &mut good } else { &mut bad };
        if until > to {
            let _ = write!(tail, "M{},{}h{}v3h-{}z", Px(to), y + 12.0, Px(until - to), Px(until - to));
        }
        let next = spells.get(nth + 1).map_or(INNER, |next| frame.x(next.start_s));
        let words = format!("{}: {}", outage.kind, fault::outcome(outage));
        let times = (outage.start_s, end_s);
        label(over, (from, from + width), (before, next), y + 10.0, (&words, colour, times));
        before = from + width;
    }
    area(plot, &on, BAND, 0.85);
    area(plot, &good, GOOD, 1.0);
    area(plot, &bad, BAD, 1.0);
}

fn mark_lane(frame: &Frame<'_>, marks: &[&Mark], y: f64, plot: &mut String, over: &mut String) {
    let mut data = String::new();
    let mut before = 0.0;
    for (nth, mark) in marks.iter().enumerate() {
        let x = frame.x(mark.at_s);
        let _ = write!(data, "M{},{y}h2.5v14h-2.5z", Px(x - 1.0));
        let next = marks.get(nth + 1).map_or(INNER, |next| frame.x(next.at_s));
        let words = clip(&mark.text, 70);
        label(over, (x, x + 2.0), (before, next), y + 11.0, (&words, BAND, (mark.at_s, mark.at_s)));
        before = x + 2.0;
    }
    area(plot, &data, BAND, 1.0);
}

/// Steps of the axis of time, seconds.
const STEPS: [f64; 18] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0,
    21_600.0, 86_400.0,
];

fn axis(frame: &Frame<'_>) -> String {
    let end_s = frame.history.end_s;
    let step = STEPS.into_iter().find(|step| end_s / step <= 14.0).unwrap_or(end_s / 10.0);
    let mut out = open(WIDTH, 22.0, "panel axis", "Time since the run began");
    for nth in 0..=(end_s / step + 1e-9) as u32 {
        let at_s = f64::from(nth) * step;
        let words = match step {
            _ if step < 60.0 => format!("{} s", (at_s * 10.0).round() / 10.0),
            _ if step < 3_600.0 => format!("{} min", at_s / 60.0),
            _ => format!("{} h", at_s / 3_600.0),
        };
        let x = LEFT + frame.x(at_s);
        if x + width_of(&words) / 2.0 <= WIDTH {
            text(&mut out, (x, 14.0), words, Pen::new(SOFT, Anchor::Middle));
        }
    }
    out + "</svg>"
}

/// What the cursor reads out, for the script: a row of texts per column.
pub(super) fn data(frame: &Frame<'_>) -> String {
    let history = frame.history;
    let rows: Vec<_> = (0..history.columns.len()).map(|place| row(frame, place)).collect();
    let faults: Vec<_> = frame.faults.iter().map(|outage| outage.start_s).collect();
    let value = serde_json::json!({
        "end": history.end_s, "width": history.column_s, "left": LEFT, "inner": INNER, "whole": WIDTH,
        "rows": rows, "faults": faults,
    });
    script_safe(&value.to_string())
}

fn row(frame: &Frame<'_>, place: usize) -> Vec<serde_json::Value> {
    let history = frame.history;
    let (start_s, end_s) = history.bounds(place);
    let Column { outcomes, open, overdue, lag_p99, p50, p99, max, retries, .. } = &history.columns[place];
    let within = |from: f64, to: f64| from < end_s && to > start_s;
    let phases = history.phases.iter().filter(|phase| within(phase.start_s, phase.end_s));
    let phases: Vec<_> = phases.map(|phase| phase.name.as_str()).collect();
    let mut faults: Vec<&str> = Vec::new();
    for outage in frame
        .faults
        .iter()
        .filter(|outage| within(outage.start_s, frame.end_of(outage).max(outage.start_s + 1e-3)))
    {
        if !faults.contains(&outage.fault.as_str()) && faults.len() < 4 {
            faults.push(&outage.fault);
        }
    }
    let per_second = |number: u64| rate(number as f64 / history.length_s(place), STYLE);
    let number = |number: &Option<u64>| number.map(|number| count(number, STYLE));
    let time = |ns: &Option<u64>| ns.map(span);
    let texts = [
        Some(phases.join("+")),
        Some(faults.join("+")),
        time(p50),
        time(p99),
        time(max),
        Some(per_second(outcomes.planned)),
        Some(per_second(outcomes.ok)),
        Some(count(outcomes.failed(), STYLE)),
        number(open),
        number(overdue),
        time(lag_p99),
        (*retries > 0).then(|| per_second(*retries)),
    ];
    let start = (start_s * 1e3).round() / 1e3;
    std::iter::once(start.into()).chain(texts.into_iter().map(Into::into)).collect()
}

/// The figure with everything that a reader with a script, a pointer or a keyboard gets on top.
pub(super) fn figure(frame: &Frame<'_>) -> String {
    let per_column = match frame.history.intervals {
        0 | 1 => String::new(),
        many => format!(" A column holds {many} recording intervals."),
    };
    format!(
        "<p class=\"soft\">Every reading by when it ended and how long it had taken since it was due. Tinted: a fault was on. \
         Dashed green: recovered.{}{}</p><div class=\"strips\"><div class=\"readout\" aria-live=\"polite\" hidden><span \
         class=\"hint\">point at the time line, or focus it and use the arrow keys</span></div><figure><div class=\"tl scroll\" \
         tabindex=\"0\" role=\"group\" aria-label=\"Time line; arrow keys move the cursor, plus and minus zoom, Escape \
         resets\">{}</div><div class=\"keys\" hidden><kbd>←</kbd> <kbd>→</kbd> cursor · drag or <kbd>+</kbd> <kbd>−</kbd> zoom · \
         <kbd>Esc</kbd> reset · <kbd>n</kbd> next fault</div></figure></div>",
        Escaped(per_column),
        Escaped(target::omitted(frame)),
        strips(frame)
    )
}
