//! Progress while a run is under way: a live block on a terminal, one plain line a second elsewhere, all on stderr.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::figure::{bounded_time, count, dash, rate};
use super::grid::{clip, fitted};
use super::style::Style;
use crate::clock::Tick;
use crate::record::{Layout, PhaseRole};
use crate::results::{IntervalReport, Percentile, Progress as Readings};
use crate::run::Observer;
use crate::units::plural;

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    /// A block that is redrawn in place, for a terminal of so many columns.
    Live(usize),
    /// A line a second: for logs.
    Lines,
    /// Nowhere.
    Quiet,
}

/// Plain lines come no faster than this, however short the intervals: just under a second, so that none is left out.
const LEAST_LINE_NS: u64 = 950_000_000;

/// Columns of the bar.
const BAR: usize = 24;
/// Longest name of a fleet that is shown whole.
const LONGEST_NAME: usize = 24;

/// Shows the progress of one run; may be shared between threads.
#[derive(Debug)]
pub(crate) struct Progress {
    layout: Arc<Layout>,
    style: Style,
    place: Destination,
}

#[derive(Debug)]
enum Destination {
    /// On `width` columns.
    Live {
        block: MultiProgress,
        overall: ProgressBar,
        fleets: Vec<ProgressBar>,
        width: usize,
    },
    Lines {
        last: Mutex<Tick>,
    },
    Nowhere,
}

impl Progress {
    /// Begins to show the progress of a run with this layout on stderr, in that stream's `style`.
    pub(crate) fn start(layout: Arc<Layout>, mode: ProgressMode, style: Style) -> Self {
        let place = match mode {
            ProgressMode::Live(width) => live(&layout, style, width),
            ProgressMode::Lines => Destination::Lines { last: Mutex::new(Tick::ZERO) },
            ProgressMode::Quiet => Destination::Nowhere,
        };
        Self { layout, style, place }
    }
}

impl Observer for Progress {
    fn interval(&self, report: &IntervalReport) {
        match &self.place {
            // A rate over the moment that is left at the end would be any number.
            Destination::Live { .. } if is_stub(&self.layout, report) => {}
            Destination::Live { overall, fleets, width, .. } => {
                // Somebody may have ended a phase early.
                overall.set_length(self.layout.end().0.max(1));
                overall.set_position(report.end.0.min(overall.length().unwrap_or(u64::MAX)));
                let room = width.saturating_sub(BAR + 1);
                overall.set_message(overall_text(&self.layout, report, room, self.style));
                for (bar, text) in fleets.iter().zip(fleet_texts(&self.layout, report, *width, self.style)) {
                    bar.set_message(text);
                }
            }
            Destination::Lines { last } => {
                let Ok(mut last) = last.lock() else { return };
                if report.end.since(*last) >= LEAST_LINE_NS {
                    *last = report.end;
                    say(&line(&self.layout, report, self.style));
                }
            }
            Destination::Nowhere => {}
        }
    }

    fn note(&self, text: &str) {
        match &self.place {
            Destination::Live { block, width, .. } => {
                block.suspend(|| say(&fitted(text, *width)));
            }
            Destination::Lines { .. } => say(text),
            Destination::Nowhere => {}
        }
    }

    // Takes the live block off the screen, so that the table can follow.
    fn end(&self) {
        if let Destination::Live { overall, fleets, .. } = &self.place {
            // Each by itself: a bar that is still alive would draw the block again when it is dropped.
            fleets.iter().chain([overall]).for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// Writes a line to stderr. A closed stderr must not end a measurement.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", Style::PLAIN.harmless(text));
}

fn live(layout: &Layout, style: Style, width: usize) -> Destination {
    let bar_chars = if style.ascii { "=>-" } else { "━╸─" };
    let block = MultiProgress::new();
    let bar = ProgressStyle::with_template(&format!("{{bar:{BAR}}} {{msg}}"))
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars(bar_chars));
    let text = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let overall = block.add(ProgressBar::new(layout.end().0.max(1)).with_style(bar));
    let fleets = layout
        .fleets
        .iter()
        .map(|_| block.add(ProgressBar::new_spinner().with_style(text.clone())))
        .collect();
    Destination::Live { block, overall, fleets, width }
}

/// The word for where the run is: its phase, or the drain behind the last one.
fn stage<'a>(layout: &'a Layout, report: &IntervalReport) -> &'a str {
    let phase = layout.phase(report.phase);
    if report.start >= layout.ends(phase) { "drain" } else { &phase.name }
}

fn seconds(report: &IntervalReport) -> f64 {
    (report.end.since(report.start) as f64 / 1e9).max(1e-9)
}

/// Whether hardly anything is left of an interval, as at the end of a run.
fn is_stub(layout: &Layout, report: &IntervalReport) -> bool {
    2 * report.end.since(report.start) < layout.interval_ns
}

fn connected(readings: &Readings, devices: u64, style: Style) -> String {
    let failed = match readings.connects_failed_so_far {
        0 => String::new(),
        failed => style.spoken(&format!(", {} failed", plural(failed, "attempt"))),
    };
    format!("connected {}/{}{failed}", count(readings.connected_so_far, style), count(devices, style))
}

fn is_connecting(layout: &Layout, report: &IntervalReport) -> bool {
    layout.phase(report.phase).role == PhaseRole::Connect && report.total.planned == 0
}

fn devices(layout: &Layout) -> u64 {
    layout.fleets.iter().map(|fleet| u64::from(fleet.devices)).sum()
}

/// A plain line for logs: `  12s steady  2,400/s  ok 2,400  p50 410 us  p99 1.90 ms  failed 0`.
fn line(layout: &Layout, report: &IntervalReport, style: Style) -> String {
    let at = report.end.as_secs_f64().round();
    let head = format!("{at:>4}s {}", stage(layout, report));
    if is_connecting(layout, report) {
        return format!(
            "{head}  {}{}",
            connected(&report.total, devices(layout), style),
            faults(layout, report)
        );
    }
    let total = &report.total;
    let shown = |percentile: Option<Percentile>| {
        percentile.map_or_else(|| dash(style).to_owned(), |percentile| bounded_time(percentile, style))
    };
    format!(
        "{head}  {}  ok {}  p50 {}  p99 {}  failed {}{}{}{}",
        rate(total.planned as f64 / seconds(report), style),
        count(total.ok, style),
        shown(total.p50),
        shown(total.p99),
        count(total.failed, style),
        overdue(total, style),
        retried(total, seconds(report), style),
        faults(layout, report),
    )
}

/// What is overdue, where something is.
fn overdue(readings: &Readings, style: Style) -> String {
    if readings.overdue == 0 {
        String::new()
    } else {
        format!("  overdue {}", count(readings.overdue, style))
    }
}

/// How many readings were retried, where any were, and the retries per second of the interval.
fn retried(readings: &Readings, seconds: f64, style: Style) -> String {
    if readings.retried_so_far == 0 {
        return String::new();
    }
    let now = rate(readings.retries as f64 / seconds, style);
    format!("  retried {} ({now})", count(readings.retried_so_far, style))
}

/// What names the faults that were on in the interval, at the end of a line.
fn faults(layout: &Layout, report: &IntervalReport) -> String {
    let names: Vec<_> = report
        .faults
        .iter()
        .filter_map(|fault| layout.faults.get(usize::from(fault.0)))
        .map(|fault| fault.name.as_str())
        .collect();
    if names.is_empty() { String::new() } else { format!("  fault {}", names.join(" + ")) }
}

/// The parts that fit into `width` columns, in their order: where they are too many, whole parts are left out, those with the
/// largest number first.
fn packed(mut parts: Vec<(u8, String)>, width: usize, style: Style) -> String {
    let columns = |parts: &[(u8, String)]| parts.iter().map(|(_, part)| part.chars().count()).sum::<usize>();
    while columns(&parts) > width && parts.len() > 1 {
        let least = (0..parts.len()).max_by_key(|at| parts[*at].0).unwrap_or_default();
        parts.remove(least);
    }
    let text: String = parts.into_iter().map(|(_, part)| part).collect();
    clip(&text, width, style)
}

fn overall_text(layout: &Layout, report: &IntervalReport, width: usize, style: Style) -> String {
    let clock = format!("  {:.0}/{:.0} s", report.end.as_secs_f64(), layout.end().as_secs_f64());
    let mut parts = vec![(0, stage(layout, report).to_owned()), (5, clock)];
    if is_connecting(layout, report) {
        parts.push((1, format!("  {}", connected(&report.total, devices(layout), style))));
        parts.push((4, faults(layout, report)));
        return packed(parts, width, style);
    }
    let total = &report.total;
    let failed = if total.failed_so_far == 0 {
        String::new()
    } else {
        format!("  failed {}", count(total.failed_so_far, style))
    };
    parts.extend([
        (6, format!("  offered {}", rate(total.planned as f64 / seconds(report), style))),
        (2, format!("  ok {}", rate(total.ok as f64 / seconds(report), style))),
        (1, failed),
        (3, overdue(total, style)),
        (7, retried(total, seconds(report), style)),
        (4, faults(layout, report)),
    ]);
    packed(parts, width, style)
}

fn fleet_texts(layout: &Layout, report: &IntervalReport, width: usize, style: Style) -> Vec<String> {
    let longest = layout.fleets.iter().map(|fleet| fleet.name.chars().count()).max().unwrap_or(0);
    let name = longest.min(LONGEST_NAME);
    let shown = |percentile: Option<Percentile>| {
        percentile.map_or_else(|| dash(style).to_owned(), |percentile| bounded_time(percentile, style))
    };
    let text = |(fleet, readings): (&crate::record::FleetInfo, &Readings)| {
        let own = clip(&fleet.name, name, style);
        let mut parts = vec![(0, format!("  {own:<name$}")), (6, format!("  {:<4}", fleet.protocol.name()))];
        if is_connecting(layout, report) {
            parts.push((1, format!("  {}", connected(readings, u64::from(fleet.devices), style))));
            return packed(parts, width, style);
        }
        parts.extend([
            (2, format!("  {:>9}", rate(readings.ok as f64 / seconds(report), style))),
            (5, format!("  p50 {:>8}", shown(readings.p50))),
            (3, format!("  p99 {:>8}", shown(readings.p99))),
            (7, format!("  open {}", count(readings.open, style))),
            (1, format!("  failed {}", count(readings.failed_so_far, style))),
            (4, overdue(readings, style)),
            (8, retried(readings, seconds(report), style)),
        ]);
        packed(parts, width, style)
    };
    layout.fleets.iter().zip(&report.fleets).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Course;
    use crate::record::{DeliveryGuarantee, FaultId, FaultInfo, FleetInfo, PhaseId, PhaseInfo, Protocol};

    const SECOND: u64 = 1_000_000_000;

    fn layout() -> Layout {
        let phase = |name: &str, role, from: u64, to: u64| PhaseInfo {
            name: name.into(),
            role,
            start: Tick(from * SECOND),
            end: Tick(to * SECOND),
        };
        let fleet = |name: &str, protocol| FleetInfo {
            name: name.into(),
            protocol,
            devices: 450,
            timeout_ns: 5 * SECOND,
            budget_ns: None,
            expects: DeliveryGuarantee::default(),
            trace: None,
            hears: false,
        };
        Layout {
            phases: vec![
                phase("connect", PhaseRole::Connect, 0, 2),
                phase("steady", PhaseRole::Measured, 2, 60),
            ],
            fleets: vec![fleet("meters", Protocol::named("http")), fleet("pumps", Protocol::named("ws"))],
            interval_ns: SECOND,
            faults: Vec::new(),
            course: Course::default(),
        }
    }

    fn report(end: u64, phase: u16, readings: Readings) -> IntervalReport {
        IntervalReport {
            start: Tick((end - 1) * SECOND),
            end: Tick(end * SECOND),
            phase: PhaseId(phase),
            total: readings.clone(),
            fleets: vec![readings.clone(), readings],
            merged_slices: 0,
            late_slices: 0,
            faults: Vec::new(),
            switches: Vec::new(),
            refused: None,
            budget_failed: None,
            unwritten: None,
        }
    }

    fn busy() -> Readings {
        Readings {
            planned: 2_400,
            ok: 2_398,
            failed: 2,
            p50: Some(Percentile { ns: 410_000, censored: false }),
            p99: Some(Percentile { ns: 5_000_000_000, censored: true }),
            planned_so_far: 24_000,
            ok_so_far: 23_990,
            failed_so_far: 3,
            connected_so_far: 900,
            connects_failed_so_far: 0,
            open: 7,
            overdue: 0,
            retries: 0,
            retried_so_far: 0,
        }
    }

    #[test]
    fn every_stage_of_a_run_has_its_line() {
        let layout = layout();
        let connecting = Readings { connected_so_far: 512, connects_failed_so_far: 4, ..Readings::default() };
        for (report, text) in [
            (report(1, 0, connecting), "   1s connect  connected 512/900, 4 attempts failed"),
            (report(12, 1, busy()), "  12s steady  2,400/s  ok 2,398  p50 410 us  p99 >5 s  failed 2"),
            (report(3, 1, Readings::default()), "   3s steady  0/s  ok 0  p50 -  p99 -  failed 0"),
            (report(61, 1, Readings::default()), "  61s drain  0/s  ok 0  p50 -  p99 -  failed 0"),
        ] {
            assert_eq!(line(&layout, &report, Style::PLAIN), text);
        }
    }

    #[test]
    fn what_is_left_of_an_interval_makes_no_rate() {
        let report =
            |length_ns| IntervalReport { end: Tick(11 * SECOND + length_ns), ..report(12, 1, busy()) };
        for (length_ns, stub) in [(SECOND, false), (SECOND / 2, false), (6_000_000, true), (0, true)] {
            assert_eq!(is_stub(&layout(), &report(length_ns)), stub, "{length_ns}");
        }
    }

    #[test]
    fn the_faults_that_are_on_are_named_at_the_end() {
        let mut layout = layout();
        let fault = |name: &str| FaultInfo {
            fleets: Vec::new(),
            cuts: false,
            counted: true,
            name: name.into(),
            layer: "network".into(),
            kind: "latency".into(),
            devices: 10,
            activations: Vec::new(),
        };
        layout.faults = vec![fault("slow-link"), fault("away"), fault("stall")];
        let mut report = report(12, 1, busy());
        report.faults = vec![FaultId(0), FaultId(2)];
        assert_eq!(
            line(&layout, &report, Style::PLAIN),
            "  12s steady  2,400/s  ok 2,398  p50 410 us  p99 >5 s  failed 2  fault slow-link + stall"
        );
        assert_eq!(
            overall_text(&layout, &report, 100, Style::PLAIN),
            "steady  12/60 s  offered 2,400/s  ok 2,398/s  failed 3  fault slow-link + stall"
        );
    }

    #[test]
    fn the_live_block_tells_the_whole_and_every_fleet() {
        let (layout, report) = (layout(), report(12, 1, busy()));
        assert_eq!(
            overall_text(&layout, &report, 100, Style::PLAIN),
            "steady  12/60 s  offered 2,400/s  ok 2,398/s  failed 3"
        );
        assert_eq!(
            fleet_texts(&layout, &report, 100, Style::PLAIN),
            [
                "  meters  http    2,398/s  p50   410 us  p99     >5 s  open 7  failed 3",
                "  pumps   ws      2,398/s  p50   410 us  p99     >5 s  open 7  failed 3",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole_the_least_important_first() {
        let mut layout = layout();
        layout.fleets[0].name = "temperature-sensors".into();
        layout.fleets[1].name = "p".repeat(60);
        let readings = Readings { open: 1_234, overdue: 12, failed_so_far: 1_000_000, ..busy() };
        let report = report(12, 1, readings);
        for (width, first, second) in [
            (
                120,
                "  temperature-sensors       http    2,398/s  p50   410 us  p99     >5 s  open 1,234  failed 1,000,000  overdue 12",
                "  ppppppppppppppppppppppp~  ws      2,398/s  p50   410 us  p99     >5 s  open 1,234  failed 1,000,000  overdue 12",
            ),
            (
                82,
                "  temperature-sensors         2,398/s  p99     >5 s  failed 1,000,000  overdue 12",
                "  ppppppppppppppppppppppp~    2,398/s  p99     >5 s  failed 1,000,000  overdue 12",
            ),
            (
                60,
                "  temperature-sensors         2,398/s  failed 1,000,000",
                "  ppppppppppppppppppppppp~    2,398/s  failed 1,000,000",
            ),
            (20, "  temperature-senso~", "  ppppppppppppppppp~"),
        ] {
            assert_eq!(fleet_texts(&layout, &report, width, Style::PLAIN), [first, second], "{width}");
        }
        for (width, text) in [
            (60, "steady  12/60 s  ok 2,398/s  failed 1,000,000  overdue 12"),
            (40, "steady  ok 2,398/s  failed 1,000,000"),
            (4, "ste~"),
        ] {
            assert_eq!(overall_text(&layout, &report, width, Style::PLAIN), text, "{width}");
        }
    }
}
