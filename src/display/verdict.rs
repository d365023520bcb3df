//! The table at the end of a run: whether to trust it, what was measured, what was demanded, and where the files are.

use super::budget::budgets;
use super::delivery::delivery;
use super::detection::detection;
use super::failure::{failures, has_failures, hints, notes, service};
use super::figure::{Marks, count, dash, rate, time};
use super::grid::{Grid, clip, wrap};
use super::isolation::isolation;
use super::recovery::recovery;
use super::style::{Style, Tone};
use crate::record::Judgement;
use crate::results::{Failure, Figures, FleetTarget, Millis, Percentile, Report, RunState, SummaryRow};
use crate::units::Quantile;

/// Columns that give way on a narrow screen, the first one first: p99.9, ok, the maximum, service p99.
const EXPENDABLE: [usize; 4] = [6, 2, 7, 8];

/// The end of a run as a text of at most `width` columns (60 at least), each line ended. `report` may be fresh or stored.
pub(crate) fn verdict(report: &Report, width: usize, style: Style) -> String {
    let width = width.max(60);
    let mut lines = heading(report, width, style);
    let mut marks = Marks::default();
    lines.push(String::new());
    if report.summary.iter().any(|row| row.figures.planned > 0) {
        lines.extend(figures(report, &mut marks, style).draw(width, style));
    } else {
        lines.push("nothing was measured".to_owned());
    }
    lines.push(String::new());
    let faults = recovery(report, width, style);
    if !faults.is_empty() {
        lines.extend(faults);
        lines.push(String::new());
    }
    for (label, text) in failures(report, style) {
        lines.extend(labelled(label, &text, width, style));
    }
    for text in hints(report) {
        lines.extend(labelled("hint", &text, width, style));
    }
    for text in isolation(&report.run.encounters, style) {
        lines.extend(labelled("isolation", &text, width, style));
    }
    for fleet in &report.run.fleets {
        // Never broken, so that it can be copied.
        lines.extend(labelled("target", &fleet.sentence(), usize::MAX, style));
    }
    lines.extend(facts(report, width, style));
    for text in detection(report, style) {
        lines.extend(labelled("detection", &text, width, style));
    }
    for (text, word) in delivery(&report.delivery) {
        lines.extend(stressed(labelled("delivery", &text, width, style), word, style));
    }
    for (text, word) in budgets(&report.run.budgets, report.run.is_invalid()) {
        lines.extend(stressed(labelled("budget", &text, width, style), word, style));
    }
    for text in report.run.fleets.iter().filter_map(FleetTarget::insecurity) {
        lines.extend(stressed(
            labelled("insecure", &text, width, style),
            Some((&text, Tone::Warning)),
            style,
        ));
    }
    if let Some(text) = super::failure::warning(report) {
        lines.extend(stressed(labelled("warning", &text, width, style), Some((&text, Tone::Warning)), style));
    }
    if let Some(shard) = report.run.shard.as_ref().filter(|shard| !shard.budgets.is_empty()) {
        let text = format!("{} of all shards together; squall merge judges them", shard.budgets.len());
        lines.extend(labelled("budget", &text, width, style));
    }
    // Never broken, so that it can be copied.
    lines.extend(labelled("files", &report.directory.display().to_string(), usize::MAX, style));
    lines.extend(footnotes(marks, style));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}

/// Text with a word in the margin, in as many lines as it takes.
fn labelled(label: &str, text: &str, width: usize, style: Style) -> Vec<String> {
    const MARGIN: usize = 11;
    let margin = |index| {
        let label = if index == 0 { label } else { "" };
        style.paint(&format!("{label:<MARGIN$}"), Tone::Faint)
    };
    wrap(text, width - MARGIN)
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{}{line}", margin(index)))
        .collect()
}

fn heading(report: &Report, width: usize, style: Style) -> Vec<String> {
    let run = &report.run;
    let name = clip(&run.scenario.name, width / 2, style);
    let run_id = clip(&run.run_id, width - name.chars().count() - 3, style);
    let mut title = vec![style.paint(&name, Tone::Strong), run_id];
    title.extend(run.shard.as_ref().map(|part| format!("shard {}", part.shard)));
    title.extend(
        run.merged.first().map(|first| format!("{} of {} shards", run.merged.len(), first.shard.of())),
    );
    if run.state != RunState::Complete {
        title.push(run.ending().to_owned());
    }
    let mut lines = vec![title.join(style.dot())];
    let (tone, text) = measurement(report);
    let Some(validity) = &run.validity else {
        lines.push(text);
        return lines;
    };
    lines.extend(judgement("measurement", &text, validity.verdict.name(), tone, width, style));
    for reason in &validity.reasons {
        for (index, line) in wrap(reason, width - 4).into_iter().enumerate() {
            lines.push(format!("{}{line}", if index == 0 { "  - " } else { "    " }));
        }
    }
    if let Some((text, tone)) = service(report, style) {
        lines.extend(judgement("service", &text, &text, tone, width, style));
    }
    lines
}

/// The judgement of the measurement.
pub(crate) fn measurement(report: &Report) -> (Tone, String) {
    let idle =
        report.summary.iter().find(|row| row.is_headline()).is_some_and(|row| row.figures.planned == 0);
    let Some(validity) = &report.run.validity else { return (Tone::Warning, "not judged".to_owned()) };
    let (tone, meaning) = match validity.verdict {
        Judgement::Valid if idle => (Tone::Warning, "nothing was measured"),
        Judgement::Valid => (Tone::Good, "the generator kept to its plan"),
        Judgement::Suspect => (Tone::Warning, validity.doubt()),
        Judgement::Invalid if idle => (Tone::Bad, "nothing was measured"),
        Judgement::Invalid => (Tone::Bad, "the generator was the bottleneck, not the service"),
    };
    (tone, format!("{}: {meaning}", validity.verdict.name()))
}

/// One of the two judgements of a run, with `word` painted: what it says of the measurement must not pass for what it says of the
/// service.
fn judgement(label: &str, text: &str, word: &str, tone: Tone, width: usize, style: Style) -> Vec<String> {
    const MARGIN: usize = 13;
    let lines = wrap(text, width - MARGIN);
    let whole = lines.len() == 1 || word != text;
    let painted = |(index, line): (usize, &String)| {
        let label = if index == 0 { label } else { "" };
        let line = match (index, whole) {
            (0, true) => line.replacen(word, &style.paint(word, tone), 1),
            (_, true) => line.clone(),
            (_, false) => style.paint(line, tone),
        };
        format!("{label:<MARGIN$}{line}")
    };
    lines.iter().enumerate().map(painted).collect()
}

fn figures(report: &Report, marks: &mut Marks, style: Style) -> Grid {
    let rows = &report.summary;
    let mut grid = Grid::new(&EXPENDABLE);
    let header = ["response time", "planned", "ok", "failed", "p50", "p99", "p99.9", "max", "service p99"];
    grid.cells(header.map(str::to_owned).to_vec(), Some(Tone::Faint));
    let (headline, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_headline());
    // With one fleet and one measured phase the headline would only repeat the line above it.
    let headline: Vec<_> =
        headline.into_iter().filter(|row| row.figures.planned > 0 && !group_of_one(&rows, row)).collect();
    for group in rows.chunk_by(|a, b| a.phase == b.phase) {
        for kind in ["connect", "tls", "reading"] {
            let rows: Vec<_> = group.iter().copied().filter(|row| row.kind == kind).collect();
            let Some(first) = rows.first() else { continue };
            grid.text(phase_heading(first, &rows, style), Some(Tone::Strong));
            for row in rows {
                // A kept budget is said once, in the headline; unless that is left out.
                let within = row
                    .figures
                    .within_budget
                    .filter(|within| headline.is_empty() || *within < row.figures.planned);
                let figures = Figures { within_budget: within, ..row.figures.clone() };
                let name = format!("  {} {}", row.fleet, row.protocol);
                add_row(&mut grid, name, &SummaryRow { figures, ..row.clone() }, report, marks, style);
            }
        }
    }
    for row in headline {
        grid.text(phase_heading(row, &[row], style), Some(Tone::Strong));
        let within_budget = within_budget(report, row);
        let figures = Figures { within_budget, ..row.figures.clone() };
        let row = SummaryRow { figures, ..row.clone() };
        add_row(&mut grid, "  all fleets".to_owned(), &row, report, marks, style);
    }
    grid
}

/// How many readings of the headline ended within their fleet's budget; `None` where a fleet has none, as its readings would be in
/// neither part of that share.
pub(crate) fn within_budget(report: &Report, headline: &SummaryRow) -> Option<u64> {
    let mut rows = report.summary.iter().filter(|row| row.kind == "reading" && !row.is_headline());
    let budgeted = rows.all(|row| row.figures.within_budget.is_some());
    headline.figures.within_budget.filter(|_| budgeted)
}

/// Whether `headline` says the same as a single one of `rows`.
fn group_of_one(rows: &[&SummaryRow], headline: &SummaryRow) -> bool {
    rows.iter().any(|row| row.kind == headline.kind && row.figures == headline.figures)
}

/// What rows are called that are not about readings.
pub(crate) fn connection_title(kind: &str) -> Option<&'static str> {
    match kind {
        "connect" => Some("connections"),
        "tls" => Some("TLS handshakes"),
        _ => None,
    }
}

fn phase_heading(first: &SummaryRow, rows: &[&SummaryRow], style: Style) -> String {
    if let Some(title) = connection_title(&first.kind) {
        return format!("{title}{}{}", style.dot(), first.phase);
    }
    let name = if first.is_headline() { "measured" } else { &first.phase };
    let planned: u64 = rows.iter().map(|row| row.figures.planned).sum();
    let ok: f64 = rows.iter().map(|row| row.figures.rate_per_s).sum();
    let length = time((first.duration_s * 1e9) as u64, style);
    if first.duration_s <= 0.0 {
        return name.to_owned();
    }
    let offered = rate(planned as f64 / first.duration_s, style);
    [name.to_owned(), length, format!("offered {offered}"), format!("ok {}", rate(ok, style))]
        .join(style.dot())
}

fn add_row(
    grid: &mut Grid,
    name: String,
    row: &SummaryRow,
    report: &Report,
    marks: &mut Marks,
    style: Style,
) {
    let (cells, notes) = self::row(row, &report.failures, marks, style);
    grid.cells(std::iter::once(name).chain(cells).collect(), None);
    if !notes.is_empty() {
        let tone = if row.figures.failed() > 0 { Tone::Warning } else { Tone::Faint };
        grid.text(format!("    {}", notes.join(style.dot())), Some(tone));
    }
}

/// The cells of a row after its name, in the order of the columns, and what stands under it.
pub(crate) fn row(
    row: &SummaryRow,
    failures: &[Failure],
    marks: &mut Marks,
    style: Style,
) -> (Vec<String>, Vec<String>) {
    let figures = &row.figures;
    let ended = figures.ended();
    let failed = figures.failed();
    let mut tail = |quantile| marks.tail(figures.percentile(quantile), quantile, ended, style);
    let [p50, p99, p99_9] = [Quantile::P50, Quantile::P99, Quantile::P99_9].map(&mut tail);
    let service = figures.service_p99_ms.map(|time| Percentile { ns: time.as_ns(), censored: false });
    let cells = vec![
        count(figures.planned, style),
        count(figures.ok, style),
        if failed == 0 { dash(style).to_owned() } else { count(failed, style) },
        p50,
        p99,
        p99_9,
        marks.bounded(figures.max(), style),
        marks.tail(service, Quantile::P99, figures.ok, style),
    ];
    let mut notes = notes(row, failures, style);
    if has_failures(figures) && figures.ok_p50_ms.is_some() {
        let mut ok = |time: Option<Millis>, quantile| {
            let time = time.map(|time| Percentile { ns: time.as_ns(), censored: false });
            marks.tail(time, quantile, figures.ok, style)
        };
        let (p50, p99) = (ok(figures.ok_p50_ms, Quantile::P50), ok(figures.ok_p99_ms, Quantile::P99));
        notes.push(format!("of those ok: p50 {p50}, p99 {p99}"));
    }
    (cells, notes)
}

/// Where the time goes, and how well the generator kept its plan.
fn facts(report: &Report, width: usize, style: Style) -> Vec<String> {
    let Some(headline) = report.summary.iter().find(|row| row.is_headline()) else { return Vec::new() };
    let figures = &headline.figures;
    let shown = |time_ms: Option<Millis>| time_ms.map(|ms| time(ms.as_ns(), style));
    let stages = [
        ("network", figures.stage_network_p50_ms),
        ("queue", figures.stage_queue_p50_ms),
        ("cache", figures.stage_cache_p50_ms),
        ("inference", figures.stage_inference_p50_ms),
    ];
    let stages: Vec<_> =
        stages.into_iter().filter_map(|(name, ms)| Some(format!("{name} {}", shown(ms)?))).collect();
    let mut lines = Vec::new();
    if !stages.is_empty() {
        let text = format!("median: {}", stages.join(style.dot()));
        lines.extend(labelled("stages", &text, width, style));
    }
    lines.extend(lag(report, style).iter().flat_map(|text| labelled("generator", text, width, style)));
    lines.extend(floor(report, style).iter().flat_map(|text| labelled("floor", text, width, style)));
    lines
}

/// How late the generator woke.
pub(crate) fn lag(report: &Report, style: Style) -> Option<String> {
    let figures = &report.summary.iter().find(|row| row.is_headline())?.figures;
    let shown = |time_ms: Millis| time(time_ms.as_ns(), style);
    let (p50, p99) = (figures.pacing_lag_p50_ms.map(shown)?, figures.pacing_lag_p99_ms.map(shown)?);
    Some(format!("lag p50 {p50}, p99 {p99} ({} pacer)", report.run.pacer.kind))
}

/// How far above the machine's own floor the fleets' medians are.
pub(crate) fn floor(report: &Report, style: Style) -> Option<String> {
    let calibration = report.run.calibration.as_ref()?;
    let fleets: Vec<_> =
        calibration.times_floor.iter().map(|(fleet, times)| format!("{fleet} {times:.1}")).collect();
    let floors = calibration.floor_p50_ms.iter();
    let floors: Vec<_> =
        floors.map(|(protocol, ms)| format!("{protocol} {}", time((ms * 1e6) as u64, style))).collect();
    let day = calibration.calibrated.get(..10).unwrap_or_default();
    (!fleets.is_empty()).then(|| {
        format!(
            "medians in multiples of this machine's floor: {} (floor {}, calibrated {day})",
            fleets.join(style.dot()),
            floors.join(style.dot())
        )
    })
}

/// `lines` with the first such word of their first line painted.
fn stressed(mut lines: Vec<String>, word: Option<(&str, Tone)>, style: Style) -> Vec<String> {
    if let (Some(first), Some((word, tone))) = (lines.first_mut(), word) {
        *first = first.replacen(word, &style.paint(word, tone), 1);
    }
    lines
}

fn footnotes(marks: Marks, style: Style) -> Vec<String> {
    super::figure::footnotes(marks).iter().map(|text| style.paint(text, Tone::Faint)).collect()
}

#[cfg(test)]
mod tests;
