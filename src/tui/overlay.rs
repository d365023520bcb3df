//! What lies over every view: the line of keys, help, the list of faults, and questions.

use super::canvas::{Canvas, clip, wide};
use super::control::{Controls, Layer, Rights, View};
use super::model::Model;
use super::palette::Ink;

/// The line of keys at the bottom, in fewer words where there is little room; what does not fit all the same is left out.
pub(super) fn keys(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    let hints = hints(model, controls);
    let (y, width) = (canvas.height().saturating_sub(1), canvas.width());
    let room: u16 = hints.iter().map(|(key, words, _)| wide(key) + wide(words) + 5).sum();
    let is_roomy = room <= width + 1;
    let mut x = 1;
    for (key, words, brief) in hints {
        let words = if is_roomy { words } else { brief };
        let taken = wide(key) + 2 + wide(words) + u16::from(!words.is_empty());
        if x + taken <= width {
            let behind = canvas.put((x, y), &format!(" {key} "), Ink::Key);
            x = canvas.put((behind + 1, y), words, Ink::Soft) + if is_roomy { 2 } else { 1 };
        }
    }
}

/// The keys that do something, each with what it does, and that in as few words as say it.
fn hints(model: &Model<'_>, controls: &Controls) -> Vec<(&'static str, &'static str, &'static str)> {
    let Rights { owns, orders, replays } = controls.rights;
    let mut hints = Vec::new();
    if orders && model.run.plan.as_ref().is_none_or(|plan| !plan.faults.is_empty()) {
        hints.push(("f", "faults", "faults"));
    }
    if replays {
        hints.extend([("space", "pause", "pause"), ("t T", "±10 s", "±10 s"), ("< >", "speed", "speed")]);
    } else if controls.frozen {
        hints.push(("space", "go on", "go on"));
    } else {
        hints.push(("space", "freeze screen", "freeze"));
    }
    hints.push(("tab", "view", "view"));
    let leave = if owns && orders { "end run" } else { "leave" };
    hints.push(("q", leave, leave));
    if orders && !owns {
        hints.push(("e", "end run", "end run"));
    }
    if orders {
        hints.push(("n", "end phase", "end phase"));
    }
    match controls.view() {
        View::Overview if controls.minute => hints.push(("w", "whole plan", "plan")),
        View::Overview => hints.push(("w", "last minute", "minute")),
        View::Fleets => hints.push(("s", "sort", "sort")),
        View::Faults | View::Generator | View::Curve => {}
    }
    hints.push(("?", "help", ""));
    hints
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
