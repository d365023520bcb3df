//! Faults: when each was on, what it did, and when the service had recovered; and what is still to come.

use super::canvas::{Canvas, clip};
use super::control::Controls;
use super::model::{Model, STYLE, clock, count, exact};
use super::palette::Ink;
use crate::display::figure::bounded_time;
use crate::results::{Outage, Percentile, Recovery};

/// Heads of the table and where the columns end; the first two are written from the left.
const HEADS: [(&str, u16); 6] =
    [("on at", 42), ("for", 51), ("p99 before", 63), ("worst p99", 74), ("failed", 83), ("peak backlog", 97)];

/// Draws all of it.
pub(super) fn draw(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    let last = canvas.height().saturating_sub(2);
    let mut y = 4;
    canvas.put((1, y), "fault", Ink::Soft);
    canvas.put((18, y), "kind", Ink::Soft);
    let width = canvas.width();
    let fits = |end: u16| end + 20 < width;
    for (head, end) in HEADS.into_iter().filter(|(_, end)| fits(*end)) {
        canvas.right((end, y), head, Ink::Soft);
    }
    let state = HEADS.iter().map(|(_, end)| *end).filter(|end| fits(*end)).max().unwrap_or(34) + 2;
    canvas.put((state, y), "recovery", Ink::Soft);
    y += 1;
    if model.outages.is_empty() {
        canvas.put((1, y), "no fault has been on yet", Ink::Soft);
        y += 1;
    }
    let room = usize::from(last.saturating_sub(y + 4).max(1));
    let first = model.outages.len().saturating_sub(room).saturating_sub(controls.scroll);
    for outage in model.outages.iter().skip(first).take(room) {
        canvas.put((1, y), &clip(&outage.fault, 16), Ink::Text);
        canvas.put((18, y), &clip(&outage.kind, 15), Ink::Soft);
        for ((_, end), (text, ink)) in HEADS.into_iter().zip(cells(outage)).filter(|((_, end), _)| fits(*end))
        {
            canvas.right((end, y), &text, ink);
        }
        let (text, ink) = outcome(outage, model.now_s());
        canvas.put_within((state, y), width.saturating_sub(state + 1), &text, ink);
        y += 1;
    }
    planned(model, y + 1, canvas);
}

fn cells(outage: &Outage) -> [(String, Ink); 6] {
    let p99 = |ms: Option<f64>, censored| {
        let ns = |ms: f64| (ms * 1e6) as u64;
        ms.map_or("–".to_owned(), |ms| bounded_time(Percentile { ns: ns(ms), censored }, STYLE))
    };
    let length = match (outage.instant, outage.end_s) {
        (true, _) => "instant".to_owned(),
        (false, Some(end_s)) => exact(end_s - outage.start_s),
        (false, None) => "on".to_owned(),
    };
    let failed = outage.outcomes().failed();
    [
        (format!("{:.1} s", outage.start_s), Ink::Text),
        (length, if outage.end_s.is_none() && !outage.instant { Ink::Fault } else { Ink::Text }),
        (p99(outage.p99_before_ms, false), Ink::Text),
        (p99(outage.worst_p99_ms, outage.worst_p99_censored), Ink::P99),
        (
            if failed > 0 { count(failed) } else { "–".to_owned() },
            if failed > 0 { Ink::Bad } else { Ink::Soft },
        ),
        (count(outage.peak_backlog), Ink::Text),
    ]
}

fn outcome(outage: &Outage, now_s: f64) -> (String, Ink) {
    match (outage.state, outage.recovered_after_s) {
        (Recovery::Recovered, Some(after_s)) if after_s > 0.0 => {
            (format!("recovered after {}", exact(after_s)), Ink::Good)
        }
        (Recovery::Recovered, _) => ("recovered at once".to_owned(), Ink::Good),
        (Recovery::NotRecovered, _) => ("not recovered when the run ended".to_owned(), Ink::Bad),
        (Recovery::Overlapped, _) => ("began again before it had recovered".to_owned(), Ink::Warn),
        (Recovery::RunEnded, _) => ("the run ended too soon to tell".to_owned(), Ink::Soft),
        (Recovery::NoLevel, _) => ("nothing before it to compare with".to_owned(), Ink::Soft),
        (Recovery::Open, _) => match outage.end_s {
            Some(end_s) => (format!("recovering for {}", clock((now_s - end_s).max(0.0))), Ink::Warn),
            None => ("on".to_owned(), Ink::Fault),
        },
    }
}

/// What the plan still has, and what is switched by hand alone.
fn planned(model: &Model<'_>, mut y: u16, canvas: &mut Canvas<'_>) {
    let now_s = model.now_s();
    let last = canvas.height().saturating_sub(2);
    let Some(plan) = &model.run.plan else { return };
    if plan.faults.is_empty() {
        canvas.put_within((1, y), canvas.width() - 2, "the scenario has no faults", Ink::Soft);
        return;
    }
    canvas.put((1, y), "to come", Ink::Soft);
    for fault in &plan.faults {
        if y >= last {
            return;
        }
        let next = fault.windows_s.iter().find(|(from_s, _)| *from_s > now_s);
        let text = match next {
            Some((from_s, until_s)) if until_s > from_s => {
                format!("at {from_s:.1} s for {}, in {}", exact(until_s - from_s), clock(from_s - now_s))
            }
            Some((from_s, _)) => format!("at {from_s:.1} s, in {}", clock(from_s - now_s)),
            None if fault.windows_s.is_empty() => "by hand only".to_owned(),
            None => "no more".to_owned(),
        };
        canvas.put((12, y), &clip(&fault.name, 18), Ink::Text);
        let text = format!("{} {}: {text}", fault.layer, fault.kind);
        canvas.put_within((32, y), canvas.width().saturating_sub(34), &text, Ink::Soft);
        y += 1;
    }
}
