//! The lines above every view: what runs, whether it can be trusted, where it is in its plan, and its faults.

use super::canvas::{Canvas, clip, wide};
use super::control::{Controls, View};
use super::frame::Axis;
use super::model::{Mode, Model};
use super::palette::Ink;

/// The columns before the axis of time.
const LEFT: u16 = 10;

/// Columns behind the axis.
fn margin(canvas: &Canvas<'_>) -> u16 {
    if canvas.width() >= 110 { 27 } else { 25 }
}

/// The axis of time on this screen.
pub(super) fn axis(model: &Model<'_>, controls: &Controls, canvas: &Canvas<'_>) -> Axis {
    let columns = canvas.width().saturating_sub(LEFT + margin(canvas)).max(1);
    Axis::new(model, controls, LEFT, columns)
}

/// Draws the first three lines.
pub(super) fn draw(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    title(model, controls, canvas);
    let axis = axis(model, controls, canvas);
    canvas.put((1, 1), "phase", Ink::Soft);
    phases(model, axis, canvas);
    let service = model.service();
    canvas.put((axis.left + axis.columns + 1, 1), &service.words, service.ink);
    canvas.put((1, 2), "faults", Ink::Soft);
    faults(model, axis, canvas);
}

fn title(model: &Model<'_>, controls: &Controls, canvas: &mut Canvas<'_>) {
    let end = canvas.width().saturating_sub(1);
    let mut clock = model.clock();
    match model.mode {
        _ if controls.frozen => clock = format!("frozen at {clock}"),
        Mode::Replay { runs: false, .. } => clock = format!("‖ {clock}"),
        Mode::Replay { speed, .. } => clock = format!("▶ ×{speed} {clock}"),
        Mode::Live | Mode::Ended => {}
    }
    let ink = if controls.frozen { Ink::Warn } else { Ink::Soft };
    canvas.right((end, 0), &clock, ink);
    let room = end.saturating_sub(wide(&clock) + 2);
    let x = canvas.put((1, 0), "squall", Ink::Brand) + 1;
    let light = model.validity();
    // Whether it can be trusted comes before what it is called.
    let least = wide(&light.words).min(room / 2);
    let name = clip(&model.run.scenario.name, room.saturating_sub(x + least + 1));
    let mut x = canvas.put((x, 0), &name, Ink::Text) + 1;
    let view = match controls.view() {
        View::Overview => format!("seed {}", model.run.seed),
        view => view.name().to_owned(),
    };
    if x + wide(&view) + 2 + least <= room {
        x = canvas.put((x, 0), &view, Ink::Soft) + 1;
    }
    let words = clip(&light.words, room.saturating_sub(x + 1));
    canvas.right((room, 0), &words, light.ink);
}

fn phases(model: &Model<'_>, axis: Axis, canvas: &mut Canvas<'_>) {
    let mut names = Vec::new();
    for (nth, (name, start_s, end_s)) in model.phases().into_iter().enumerate() {
        let Some((from, to)) = axis.cells(start_s, end_s) else { continue };
        match canvas.palette.band(nth) {
            Some(band) => (from..to).for_each(|x| canvas.back((x, 1), band)),
            None => _ = canvas.put((from, 1), "│", Ink::Soft),
        }
        if to.saturating_sub(from) > wide(name) + 1 {
            names.push((from + 1, name));
        }
    }
    for (x, name) in names {
        // Only letters: what is behind them stays.
        canvas.put((x, 1), name, Ink::Text);
    }
    let now = axis.x(model.now_s());
    if now < axis.left + axis.columns {
        canvas.cursor((now, 1));
    }
}

fn faults(model: &Model<'_>, axis: Axis, canvas: &mut Canvas<'_>) {
    let now_s = model.now_s();
    let front = canvas.palette.style(Ink::Fault).fg;
    let planned = model.run.plan.iter().flat_map(|plan| &plan.faults);
    for (from_s, until_s) in planned.flat_map(|fault| &fault.windows_s).filter(|window| window.1 > now_s) {
        if let Some((from, to)) = axis.cells(from_s.max(now_s), *until_s) {
            (from..to).for_each(|x| canvas.cell((x, 2), '░', front, None));
        }
    }
    let mut behind = axis.left;
    for spell in &model.watched.spells {
        let end_s = spell.end_s.unwrap_or(now_s).min(now_s);
        if let Some((from, to)) = axis.cells(spell.start_s, end_s) {
            (from..to).for_each(|x| canvas.cell((x, 2), '█', front, None));
            behind = to;
        }
    }
    let Some(light) = model.fault_words() else { return };
    let room = canvas.width().saturating_sub(behind + 2);
    if wide(&light.words) <= room {
        canvas.put((behind + 1, 2), &light.words, light.ink);
    } else {
        canvas.right((canvas.width() - 1, 2), &clip(&light.words, canvas.width() / 2), light.ink);
    }
}
