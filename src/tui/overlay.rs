//! What lies over every view: the line of keys, help, the list of faults, and questions.

use super::canvas::{Canvas, clip, wide};
use super::control::{Controls, Layer, Rights, View};
use super::model::Model;
use super::palette::Ink;

/// The line of keys at the bottom, as far as they fit and do something.
pub(super) fn keys(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    let Rights { owns, orders, replays } = controls.rights;
    let leave = if owns && orders { "end run" } else { "leave" };
    let mut keys = vec![("tab", "view"), ("q", leave)];
    if replays {
        keys.splice(0..0, [("space", "pause"), ("t T", "±10 s"), ("< >", "speed")]);
    } else {
        keys.insert(0, ("space", if controls.frozen { "go on" } else { "freeze screen" }));
    }
    if orders && model.run.plan.as_ref().is_none_or(|plan| !plan.faults.is_empty()) {
        keys.insert(0, ("f", "faults"));
    }
    if orders && !owns {
        keys.push(("e", "end run"));
    }
    match controls.view() {
        View::Overview => keys.push(("w", if controls.minute { "whole plan" } else { "last minute" })),
        View::Fleets => keys.push(("s", "sort")),
        View::Faults | View::Generator | View::Curve => {}
    }
    if orders {
        keys.push(("n", "end phase"));
    }
    keys.push(("?", "help"));
    let (y, width) = (canvas.height().saturating_sub(1), canvas.width());
    let mut x = 1;
    for (key, words) in keys {
        let taken = wide(key) + wide(words) + 5;
        if x + taken <= width + 2 {
            let behind = canvas.put((x, y), &format!(" {key} "), Ink::Key);
            x = canvas.put((behind + 1, y), words, Ink::Soft) + 2;
        }
    }
}

/// Whatever lies over the view, and what is to be told.
pub(super) fn draw(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    match &controls.layer {
        Layer::None => {}
        Layer::Help => help(controls, canvas),
        Layer::Faults { chosen, seconds } => faults(model, *chosen, seconds, canvas),
        Layer::End => {
            let lines = [
                ("End the run now?".to_owned(), Ink::Text),
                ("What is open is settled, and the report is written.".to_owned(), Ink::Soft),
                ("y  yes, end it     any other key  go on".to_owned(), Ink::Warn),
            ];
            panel("end the run", &lines, canvas);
        }
        Layer::EndPhase => {
            let now_s = model.now_s();
            let present = model.phases().into_iter().rev().find(|(_, start_s, _)| *start_s <= now_s);
            let asked = present.map_or_else(
                || "End the phase now?".to_owned(),
                |(name, ..)| format!("End the phase {} now?", clip(name, 30)),
            );
            let lines = [
                (asked, Ink::Text),
                (
                    "What the plan still has in it is left out, and what follows comes earlier.".to_owned(),
                    Ink::Soft,
                ),
                ("The run is then not comparable with others of its plan.".to_owned(), Ink::Soft),
                ("y  yes, end it     any other key  go on".to_owned(), Ink::Warn),
            ];
            panel("end the phase", &lines, canvas);
        }
    }
    if let Some(message) = model.message {
        let y = canvas.height().saturating_sub(2);
        canvas.wipe((0, y), (canvas.width(), 1));
        canvas.put_within((1, y), canvas.width().saturating_sub(2), message, Ink::Warn);
    }
}

/// A box in the middle of the screen with a title and lines.
fn panel(title: &str, lines: &[(String, Ink)], canvas: &mut Canvas<'_>) {
    let room = (canvas.width().saturating_sub(4), canvas.height().saturating_sub(2));
    let widest = lines.iter().map(|(line, _)| wide(line)).chain([wide(title) + 2]).max().unwrap_or(0);
    let columns = (widest + 4).min(room.0);
    let rows = (lines.len() as u16 + 2).min(room.1);
    if columns < 4 || rows < 3 {
        return;
    }
    let x = (canvas.width() - columns) / 2;
    let y = (canvas.height() - rows) / 2;
    canvas.wipe((x, y), (columns, rows));
    let across = "─".repeat(usize::from(columns - 2));
    canvas.put((x, y), &format!("┌{across}┐"), Ink::Soft);
    canvas.put((x + 2, y), &clip(&format!(" {title} "), columns - 4), Ink::Brand);
    for (row, (line, ink)) in (y + 1..y + rows - 1).zip(lines) {
        canvas.put((x, row), "│", Ink::Soft);
        canvas.put_within((x + 2, row), columns - 4, line, *ink);
        canvas.put((x + columns - 1, row), "│", Ink::Soft);
    }
    canvas.put((x, y + rows - 1), &format!("└{across}┘"), Ink::Soft);
}

fn help(controls: &Controls, canvas: &mut Canvas<'_>) {
    let Rights { owns, orders, replays } = controls.rights;
    let mut lines = vec![
        ("tab, 1-5   overview, fleets, faults, generator, percentiles", Ink::Text),
        ("w          last minute or the whole plan", Ink::Text),
        ("← →        cursor over time", Ink::Text),
        ("+ -        cut the scale of times from above, and back", Ink::Text),
        ("s, ↑ ↓     sort fleets, move lists", Ink::Text),
    ];
    if orders {
        lines.push(("f          switch faults by hand", Ink::Text));
        lines.push(("n          end the phase early, once you say yes", Ink::Text));
    }
    if replays {
        lines.push(("space      pause and go on", Ink::Text));
        lines.push(("t T . ,    ten seconds on and back, one on and back", Ink::Text));
        lines.push(("b end < >  beginning, end, slower, faster", Ink::Text));
    } else {
        lines.push(("space      freeze the screen, never the load", Ink::Text));
    }
    match (owns, orders) {
        (true, true) => lines.push(("q          end the run, once you say yes", Ink::Text)),
        (false, true) => {
            lines.push(("q          leave, the run goes on", Ink::Text));
            lines.push(("e          end the run, once you say yes", Ink::Text));
        }
        (_, false) => lines.push(("q          leave", Ink::Text)),
    }
    lines.extend([
        ("", Ink::Soft),
        ("the lights: ● good  ▲ suspect or troubled  ■ invalid or failing", Ink::Soft),
        ("~ few samples beyond a percentile, n/a too few, > at least", Ink::Soft),
        ("where intervals share a column: largest p99, latest waiting", Ink::Soft),
    ]);
    let lines: Vec<_> = lines.into_iter().map(|(line, ink)| (line.to_owned(), ink)).collect();
    panel("keys", &lines, canvas);
}

fn faults(model: &Model<'_>, chosen: usize, seconds: &str, canvas: &mut Canvas<'_>) {
    let room = usize::from(canvas.height().saturating_sub(8).max(1));
    let first = chosen.saturating_sub(room - 1);
    let mut lines = Vec::new();
    for (nth, switch) in model.switches.iter().enumerate().skip(first).take(room) {
        let (state, ink) = if switch.on { ("on ", Ink::Fault) } else { ("off", Ink::Text) };
        let here = if nth == chosen { "▸" } else { " " };
        let ink = if nth == chosen { Ink::Chosen } else { ink };
        lines.push((format!("{here} {state}  {:<20} {}", clip(&switch.name, 20), switch.kind), ink));
    }
    let length =
        if seconds.is_empty() { "until it is switched off".to_owned() } else { format!("for {seconds} s") };
    lines.push((String::new(), Ink::Soft));
    lines.push((format!("enter  switch, on {length}     digits  seconds"), Ink::Soft));
    lines.push(("x  all off     esc  close".to_owned(), Ink::Soft));
    lines.push(("switched by hand, a run is not comparable with others".to_owned(), Ink::Warn));
    panel("faults", &lines, canvas);
}
