//! What the end of a run says about failures: how the service did, and why readings and connections failed.

use super::figure::{count, percent, percent_up};
use super::grid::clip;
use super::style::{Style, Tone};
use crate::record::{ErrorKind, Kind, Stray};
use crate::results::{Failure, Figures, FleetTarget, ReasonSum, Report, SummaryRow};

/// Reasons that stand under a row of the table.
const MOST_NOTES: usize = 3;

/// Reasons that the section on failures lists; `failures.csv` has the others.
const MOST_LISTED: usize = 8;

/// Longest reply that is shown, characters.
const LONGEST_SAMPLE: usize = 100;

/// The judgement of the service: what share of the readings it answered. `None` if none was due.
pub(crate) fn service(report: &Report, style: Style) -> Option<(String, Tone)> {
    let figures = &report.summary.iter().find(|row| row.is_headline())?.figures;
    let (planned, ok) = (figures.planned, figures.ok);
    if planned == 0 {
        return None;
    }
    if ok == planned {
        return Some((format!("all {} readings answered ok", count(ok, style)), Tone::Good));
    }
    let share = percent_up(planned - ok, planned);
    let text =
        format!("{} of {} readings answered ok; {share} failed", count(ok, style), count(planned, style));
    Some((text, if 100 * (planned - ok) > planned { Tone::Bad } else { Tone::Warning }))
}

/// That many readings failed and no budget would have said so. `None` where there is nothing to warn of.
pub(crate) fn warning(report: &Report) -> Option<String> {
    let (failed, planned) = report.unguarded_failures()?;
    let share = percent_up(failed, planned);
    Some(format!(
        "{share} of the readings failed, and no budget on failures watches them: add error_rate = \"<1%\""
    ))
}

/// What stands under a row of the table: how its readings failed, most frequent reasons first, and what the audit found.
pub(super) fn notes(row: &SummaryRow, failures: &[Failure], style: Style) -> Vec<String> {
    let figures = &row.figures;
    let counted = |name: &str, number: u64| (number > 0).then(|| format!("{name}: {}", count(number, style)));
    let outcomes = [
        counted("shed", figures.shed),
        counted("timeout", figures.timeout),
        counted("lost", figures.lost),
        counted("dropped", figures.dropped),
    ];
    let audit = [
        counted("duplicated", figures.duplicated),
        counted("reordered", figures.reordered),
        counted("late answers", figures.late),
        counted("unmatched messages", figures.unmatched),
        counted("beyond the histogram", figures.overflow),
        figures
            .resumed
            .map(|resumed| format!("resumed: {} of {}", count(resumed, style), count(figures.ok, style))),
        figures.within_budget.map(|within| format!("within budget {}", percent(within, figures.planned))),
    ];
    outcomes
        .into_iter()
        .flatten()
        .chain(errors(row, failures, style))
        .chain(audit.into_iter().flatten())
        .collect()
}

/// The reasons of the row's errors. A record without reasons has their kinds only.
fn errors(row: &SummaryRow, failures: &[Failure], style: Style) -> Vec<String> {
    let figures = &row.figures;
    // Of a handshake that failed, the attempt to connect tells the reason.
    if figures.error == 0 || row.kind == Kind::Tls.name() {
        return Vec::new();
    }
    let of_row = |failure: &&Failure| {
        let place = if row.is_headline() {
            crate::results::is_measured(&failure.phase)
        } else {
            failure.phase == row.phase && failure.fleet == row.fleet
        };
        place && failure.kind == row.kind && failure.outcome == "error"
    };
    let mut reasons: Vec<(&str, u64)> = Vec::new();
    for failure in failures.iter().filter(of_row) {
        match reasons.iter_mut().find(|(reason, _)| *reason == failure.reason) {
            Some((_, number)) => *number += failure.count,
            None => reasons.push((&failure.reason, failure.count)),
        }
    }
    if reasons.is_empty() {
        let kinds = ErrorKind::ALL.iter().filter(|kind| figures.errors(**kind) > 0);
        return kinds.map(|kind| format!("{kind} errors: {}", count(figures.errors(*kind), style))).collect();
    }
    reasons.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let further: u64 = reasons.iter().skip(MOST_NOTES).map(|(_, number)| number).sum();
    let named = reasons.iter().take(MOST_NOTES);
    let mut texts: Vec<_> =
        named.map(|(reason, number)| format!("{reason}: {}", count(*number, style))).collect();
    texts.extend((further > 0).then(|| format!("further errors: {}", count(further, style))));
    texts
}

/// The texts of the report's margin words `failures` and `unmatched`.
pub(crate) fn failures(report: &Report, style: Style) -> Vec<(&'static str, String)> {
    let reasons = report.reasons();
    let mut texts: Vec<_> = reasons.iter().take(MOST_LISTED).map(|sum| told(sum, style)).collect();
    if reasons.len() > MOST_LISTED {
        let text = format!("{} further reasons in failures.csv", reasons.len() - MOST_LISTED);
        texts.push(("failures", text));
    }
    texts
}

fn told(sum: &ReasonSum, style: Style) -> (&'static str, String) {
    let ReasonSum { fleet, reason, .. } = sum;
    let number = count(sum.count, style);
    let sample = clip(&sum.sample, LONGEST_SAMPLE, style);
    if sum.is_unmatched() {
        let messages = match (sum.code == Stray::OTHER_RUN, sum.count == 1) {
            (true, true) => "message of another run",
            (true, false) => "messages of another run",
            (false, true) => "message that names none of its readings",
            (false, false) => "messages that name none of its readings",
        };
        let first = if sample.is_empty() { String::new() } else { format!(", the first: {sample}") };
        return ("unmatched", format!("{fleet} heard {number} {messages}{first}"));
    }
    if sum.is_remark() {
        let devices = if sum.devices == 1 { "device" } else { "devices" };
        let often = if sum.count > sum.devices { format!(": {number} times") } else { String::new() };
        return ("remark", format!("{reason}{often} ({} {devices} of {fleet})", count(sum.devices, style)));
    }
    let what = if sum.kind == "connect" { "connection attempts" } else { "readings" };
    let first =
        if sum.count == sum.devices { String::new() } else { format!(", first {}", sum.first_device) };
    let reply = if sample.is_empty() { String::new() } else { format!("; the first reply: {sample}") };
    let devices =
        format!("{} {}", count(sum.devices, style), if sum.devices == 1 { "device" } else { "devices" });
    ("failures", format!("{reason}: {number} {what} of {fleet} ({devices}{first}){reply}"))
}

/// Why fleets were never answered although their connections stood, where their scenario is the likely cause.
pub(super) fn hints(report: &Report) -> Vec<String> {
    let waits = |close: &str| ["verdict", "reply", "delivery"].contains(&close);
    let told = |fleet: &&FleetTarget| {
        let rows = || report.summary.iter().filter(|row| row.fleet == fleet.name);
        let sum = |kind: &str, of: fn(&Figures) -> u64| -> u64 {
            rows().filter(|row| row.kind == kind).map(|row| of(&row.figures)).sum()
        };
        let answered =
            sum("reading", |figures| figures.ok + figures.shed + figures.error_status + figures.late);
        let sent = sum("reading", |figures| figures.sent);
        waits(&fleet.close) && sent > 0 && answered == 0 && sum("connect", |figures| figures.ok) > 0
    };
    let fleets = report.run.fleets.iter().filter(told);
    fleets.map(|FleetTarget { name, close, remedy, .. }| {
        let awaited = match close.as_str() {
            "verdict" => "a message with the reading's `device` and `seq`",
            "delivery" => "the reading itself, delivered back to its sender",
            _ => "a reply that names the reading as `correlate` says",
        };
        let remedy = remedy.as_deref().unwrap_or(
            "a service that answers otherwise needs close = \"reply\" with `correlate`, one that never answers close = \"sent\"",
        );
        format!("fleet {name} was connected and never answered: close = \"{close}\" waits for {awaited}; {remedy}")
    }).collect()
}

/// The percentiles of what ended ok alone, where something failed: what share of `figures` is known exactly.
pub(super) fn has_failures(figures: &Figures) -> bool {
    figures.failed() > 0 && figures.ok > 0
}
