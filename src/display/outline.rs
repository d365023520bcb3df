//! What a scenario plans, before anything is sent: fleets, phases, rates and what the machine must give.

use serde::Serialize;

use super::activation::{self, FaultOutline};
use super::chart::{Flag, chart};
use super::figure::{self, time};
use super::grid::{Grid, wrap};
use super::style::{Style, Tone};
use crate::results::is_measured;
use crate::units::plural;

/// What `squall check` finds out about a scenario. Rates are readings per second, all fleets together.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outline {
    /// Name of the scenario.
    pub scenario: String,
    /// What it is for.
    pub about: Option<String>,
    /// The file.
    pub file: String,
    /// The seed.
    pub seed: u64,
    /// Hex SHA-256 of the plan.
    pub plan_digest: String,
    /// Devices of all fleets; each holds one connection.
    pub devices: u32,
    /// From the first connection to the end of the last phase, seconds.
    pub duration_s: f64,
    /// Readings of open fleets expected in the measured phases.
    pub readings: f64,
    /// The same per second.
    pub mean_rate: f64,
    /// The most in any window of `window_s`.
    pub peak_rate: f64,
    /// Length of that window, seconds.
    pub window_s: f64,
    /// Whether peak and chart rest on a sample of devices, because a large fleet joins or leaves.
    pub sampled: bool,
    /// Bytes per second that go out in readings and what frames them, estimated from a sample of payloads.
    pub mean_bytes_per_s: f64,
    /// The same at the peak.
    pub peak_bytes_per_s: f64,
    /// Memory the run needs, bytes, estimated from measured runs.
    pub memory: Memory,
    /// Descriptors the run needs: with the bundled reference system in the same process, and without.
    pub descriptors: Descriptors,
    /// The fleets.
    pub fleets: Vec<FleetOutline>,
    /// The phases, connecting and warm-up included.
    pub phases: Vec<PhaseOutline>,
    /// What happens to whole fleets.
    pub events: Vec<EventOutline>,
    /// What goes wrong, in the order of the scenario.
    pub faults: Vec<FaultOutline>,
    /// What the figures must keep to.
    pub budgets: Vec<BudgetOutline>,
    /// Expected rate over the time line from the start of sending, in equal stretches.
    pub chart: Vec<ChartPoint>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Memory, bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// With the bundled reference system in the same process; `None` where it cannot be the target.
    pub with_reference: Option<u64>,
    /// For a target elsewhere.
    pub alone: u64,
}

/// File descriptors.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Descriptors {
    /// With the bundled reference system; `None` where it cannot be the target.
    pub with_reference: Option<u64>,
    /// For a target elsewhere.
    pub alone: u64,
    /// How many this process may have at most, where the system tells.
    pub allowed: Option<u64>,
}

/// One fleet.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FleetOutline {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: String,
    /// Its devices.
    pub devices: u32,
    /// `open` or `closed`.
    pub model: String,
    /// The law of its arrivals; `None` where it is closed.
    pub arrival: Option<String>,
    /// Readings per second of all its devices at a load of 1; `None` where it is closed.
    pub rate: Option<f64>,
    /// What closes a reading.
    pub close: String,
    /// Bytes of a payload on average, from a sample.
    pub payload_bytes: f64,
}

/// One phase.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PhaseOutline {
    /// Its name.
    pub name: String,
    /// When it begins, seconds since the run began.
    pub start_s: f64,
    /// How long it lasts, seconds.
    pub duration_s: f64,
    /// Expected readings by fleet, in the order of the fleets; `None` where closed.
    pub readings: Vec<Option<f64>>,
    /// Expected readings of all open fleets.
    pub total: f64,
}

/// Something the plan does to a fleet.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EventOutline {
    /// When, seconds since the run began.
    pub start_s: f64,
    /// When its last device is through.
    pub end_s: f64,
    /// `join`, `leave` or `cut`.
    pub what: String,
    /// The fleet.
    pub fleet: String,
    /// Devices concerned.
    pub devices: u32,
}

/// One budget.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BudgetOutline {
    /// What its author calls it.
    pub name: Option<String>,
    /// Whose figures it means, as a person would say it.
    pub scope: String,
    /// What it demands, as a person would say it.
    pub demands: Vec<String>,
    /// Whether the run ends when it fails.
    pub abort_on_fail: bool,
    /// It is not judged while the run is on before so long into its phase, or into the measured phases, seconds.
    pub grace_s: f64,
}

/// The expected rate of one stretch.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ChartPoint {
    /// When it begins, seconds since the run began.
    pub t_s: f64,
    /// Readings per second on average.
    pub rate: f64,
    /// The same in its busiest quarter: what the chart on screen shows, so that short bursts are not flattened.
    pub peak: f64,
}

/// The outline as text, no wider than `width`.
pub(crate) fn outline(outline: &Outline, width: usize, style: Style) -> String {
    let mut lines = vec![style.paint(&format!("{}: valid", outline.file), Tone::Good)];
    let (dot, devices) = (style.dot(), style.spoken(&plural(outline.devices.into(), "device")));
    lines.push(format!(
        "{}{dot}{devices}{dot}{} s{dot}seed {}",
        style.paint(&outline.scenario, Tone::Strong),
        number(style, outline.duration_s),
        outline.seed
    ));
    lines.extend(outline.about.clone());
    lines.push(String::new());
    lines.extend(fleets(outline, style).draw(width, style));
    lines.push(String::new());
    lines.extend(phases(outline, style).draw(width, style));
    lines.push(String::new());
    lines.push(style.paint("expected readings/s of all open fleets", Tone::Strong));
    lines.extend(timeline(outline, style));
    lines.push(String::new());
    lines.extend(needs(outline, style).draw(width, style));
    for budget in &outline.budgets {
        lines.extend(wrap(&demanded(budget, style), width));
    }
    lines.extend(outline.notes.iter().flat_map(|note| wrap(&format!("note: {note}"), width)));
    lines.join("\n")
}

/// A budget in words.
fn demanded(budget: &BudgetOutline, style: Style) -> String {
    let scope = &budget.scope;
    let subject = budget.name.as_ref().map_or_else(|| scope.clone(), |name| format!("{name} ({scope})"));
    let early = match (budget.abort_on_fail, budget.grace_s > 0.0) {
        (false, _) => String::new(),
        (true, false) => "; ends the run as soon as it fails".to_owned(),
        (true, true) => {
            format!(
                "; ends the run as soon as it fails, from {} s into the measured phases on",
                number(style, budget.grace_s)
            )
        }
    };
    format!("budget: {subject}: {}{early}", budget.demands.join(style.dot()))
}

fn fleets(outline: &Outline, style: Style) -> Grid {
    let mut grid = Grid::new(&[6]);
    let head = ["fleet", "devices", "arrival", "rate", "closed by", "payload"];
    grid.cells(head.map(str::to_owned).to_vec(), Some(Tone::Strong));
    for fleet in &outline.fleets {
        let sends = fleet.model != "subscriber";
        grid.cells(
            vec![
                format!("{} {}", fleet.name, fleet.protocol),
                count(style, u64::from(fleet.devices)),
                fleet.arrival.clone().unwrap_or_else(|| fleet.model.clone()),
                fleet.rate.map_or_else(|| unplanned(fleet), |rate| format!("{}/s", number(style, rate))),
                if sends { fleet.close.clone() } else { "nothing to close".to_owned() },
                if sends { format!("{:.0} B", fleet.payload_bytes) } else { "none".to_owned() },
            ],
            None,
        );
    }
    grid
}

/// The rate of a fleet that has none of its own.
fn unplanned(fleet: &FleetOutline) -> String {
    match fleet.model.as_str() {
        "closed" => "as answered".to_owned(),
        "subscriber" => "nothing".to_owned(),
        _ => "as recorded".to_owned(),
    }
}

fn phases(outline: &Outline, style: Style) -> Grid {
    let mut grid = Grid::new(&[]);
    let head = ["phase", "from", "length", "readings", "readings/s"];
    grid.cells(head.map(str::to_owned).to_vec(), Some(Tone::Strong));
    for phase in &outline.phases {
        let sent = phase.total > 0.0;
        let shown = |text: String| if sent { text } else { "0".to_owned() };
        grid.cells(
            vec![
                phase.name.clone(),
                format!("{} s", number(style, phase.start_s)),
                format!("{} s", number(style, phase.duration_s)),
                shown(count(style, phase.total.round() as u64)),
                shown(number(style, phase.total / phase.duration_s)),
            ],
            None,
        );
    }
    grid.cells(
        vec![
            "measured".into(),
            String::new(),
            String::new(),
            count(style, outline.readings.round() as u64),
            number(style, outline.mean_rate),
        ],
        Some(Tone::Strong),
    );
    grid
}

fn timeline(outline: &Outline, style: Style) -> Vec<String> {
    let (Some(first), Some(last)) = (outline.chart.first(), outline.chart.last()) else { return Vec::new() };
    let columns = outline.chart.len();
    let step = if columns > 1 { (last.t_s - first.t_s) / (columns - 1) as f64 } else { 1.0 };
    let column = |at: f64| (((at - first.t_s) / step).max(0.0) as usize).min(columns - 1);
    let flags: Vec<Flag> = outline
        .events
        .iter()
        .zip('A'..='Z')
        .map(|(event, letter)| Flag { column: column(event.start_s), letter })
        .collect();
    let heights: Vec<f64> = outline.chart.iter().map(|point| point.peak).collect();
    let mut lines = chart(&heights, &flags, style);
    let mut names = vec![' '; columns];
    let mut taken = 0;
    for phase in outline.phases.iter().filter(|phase| phase.start_s + 1e-9 >= first.t_s) {
        let at = column(phase.start_s + step / 2.0).max(taken);
        let mark = if style.ascii { '|' } else { '╵' };
        for (offset, letter) in std::iter::once(mark).chain(phase.name.chars()).enumerate() {
            if let Some(place) = names.get_mut(at + offset) {
                *place = letter;
                taken = at + offset + 2;
            }
        }
    }
    lines.push(" ".repeat(10) + names.into_iter().collect::<String>().trim_end());
    let end = format!("{} s", number(style, outline.duration_s));
    let begin = format!("{} s", number(style, first.t_s));
    let gap = columns.saturating_sub(begin.len() + end.len());
    lines.push(style.paint(&format!("{}{begin}{}{end}", " ".repeat(10), " ".repeat(gap)), Tone::Faint));
    if !outline.faults.is_empty() {
        let rows = activation::rows(&outline.faults, (columns, first.t_s, step), style);
        // Under the axis of the chart, whose columns they share.
        lines.extend(rows);
        lines.extend(activation::legend(&outline.faults, style));
        if let Some(first) = outline.phases.iter().find(|phase| is_measured(&phase.name)) {
            lines.push(style.paint(
                &format!(
                    "   all times count from the beginning of the run; `start` of a fault from {} s",
                    number(style, first.start_s)
                ),
                Tone::Faint,
            ));
        }
    }
    for (event, letter) in outline.events.iter().zip('A'..='Z') {
        let devices = style.spoken(&plural(event.devices.into(), "device"));
        let what = match event.what.as_str() {
            "join" => "joins",
            "leave" => "leaves",
            _ => "is cut off",
        };
        lines.push(format!(
            "{letter}  {} {what} at {} s, {devices}, until {} s",
            event.fleet,
            number(style, event.start_s),
            number(style, event.end_s)
        ));
    }
    lines
}

fn needs(outline: &Outline, style: Style) -> Grid {
    let mut grid = Grid::new(&[]);
    let window = time((outline.window_s * 1e9) as u64, style);
    let sampled = if outline.sampled { ", from a sample of devices" } else { "" };
    let mut line = |name: &str, text: String| grid.beside(format!("{name:<13}"), text);
    line(
        "rate",
        format!(
            "{}/s on average, {}/s at the peak (windows of {window}{sampled})",
            number(style, outline.mean_rate),
            number(style, outline.peak_rate)
        ),
    );
    line(
        "network",
        format!(
            "about {}/s sent on average, {}/s at the peak",
            bytes(outline.mean_bytes_per_s),
            bytes(outline.peak_bytes_per_s)
        ),
    );
    let memory = outline.memory;
    let either = |with_reference: Option<String>, alone: String| match with_reference {
        Some(with_reference) => {
            format!("{with_reference} with the bundled reference system, {alone} without")
        }
        None => alone,
    };
    let with_reference = memory.with_reference.map(|size| bytes(size as f64));
    line("memory", format!("about {}", either(with_reference, bytes(memory.alone as f64))));
    let Descriptors { with_reference, alone, allowed } = outline.descriptors;
    let allowed = allowed.map_or_else(String::new, |allowed| {
        format!("; the limit of this process is {}", count(style, allowed))
    });
    let needed = either(with_reference.map(|number| count(style, number)), count(style, alone));
    line("descriptors", format!("{needed}{allowed}"));
    line("digest", outline.plan_digest.clone());
    grid
}

fn count(style: Style, value: u64) -> String {
    figure::count(value, style)
}

/// A number with as many digits as help: `1 203`, `12.5`, `0.25`.
pub(super) fn number(style: Style, value: f64) -> String {
    // The sum of nothing is -0 to the standard library.
    let value = value + 0.0;
    match value {
        value if value >= 1_000.0 => count(style, value.round() as u64),
        value if (value - value.round()).abs() < 1e-9 => format!("{value:.0}"),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => {
            // Three digits from the first that is not 0.
            let places = (2.0 - value.log10().floor()).clamp(2.0, 9.0) as usize;
            let text = format!("{value:.places$}");
            text.trim_end_matches('0').to_owned()
        }
    }
}

fn bytes(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{:.1} GB", value / 1e9),
        value if value >= 1e6 => format!("{:.1} MB", value / 1e6),
        value if value >= 1e3 => format!("{:.0} kB", value / 1e3),
        value => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_help() {
        for (value, text) in [
            (0.25, "0.25"),
            (5.0 / 3_600.0, "0.00139"),
            (0.0204, "0.0204"),
            (1.0 / 3.0, "0.333"),
            (3.0, "3"),
            (12.51, "12.5"),
            (123.4, "123"),
            (0.0, "0"),
            (-0.0, "0"),
        ] {
            assert_eq!(number(Style::PLAIN, value), text);
        }
        for (value, text) in [(512.0, "512 B"), (51_200.0, "51 kB"), (2.5e6, "2.5 MB"), (3.21e9, "3.2 GB")] {
            assert_eq!(bytes(value), text);
        }
    }
}
