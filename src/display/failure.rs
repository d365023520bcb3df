//! What the end of a run says about failures: how the service did, and why readings and connections failed.

use super::figure::{count, percent, percent_up};
use super::grid::clip;
use super::style::{Style, Tone};
use crate::record::{ErrorKind, Kind, Stray};
use crate::results::{Failure, Figures, FleetTarget, ReasonSum, Report, SummaryRow, UnguardedFailures};
use crate::units::{is_steering, part_of, plural};

/// Reasons that stand under a row of the table.
const MOST_NOTES: usize = 3;

/// Reasons that the section on failures lists; `failures.csv` has the others.
const MOST_LISTED: usize = 8;

/// Longest reply that is shown, characters.
const LONGEST_SAMPLE: usize = 100;

/// The judgement of the service: what share of the readings it answered. `None` if none was due.
pub(crate) fn service(report: &Report, style: Style) -> Option<(String, Tone)> {
    let figures = &report.headline()?.figures;
    let (planned, ok) = (figures.planned, figures.ok);
    if planned == 0 {
        return None;
    }
    if ok == planned {
        let all =
            if ok == 1 { "the one reading".to_owned() } else { format!("all {} readings", count(ok, style)) };
        return Some((format!("{all} answered ok"), Tone::Good));
    }
    let share = percent_up(planned - ok, planned);
    let text = style.spoken(&format!("{} answered ok; {share} failed", part_of(ok, planned, "reading")));
    Some((text, if 100 * (planned - ok) > planned { Tone::Bad } else { Tone::Warning }))
}

/// That many readings failed and no budget would have said so. `None` where there is nothing to warn of.
pub(crate) fn warning(report: &Report) -> Option<String> {
    let UnguardedFailures { failed, planned, fleets } = report.unguarded_failures()?;
    let share = percent_up(failed, planned);
    let of = match fleets.as_slice() {
        [] => String::new(),
        [fleet] => format!(" of {fleet}"),
        [first, second] => format!(" of {first} and {second}"),
        more => format!(" of {}", plural(more.len() as u64, "fleet")),
    };
    Some(format!(
        "{share} of the readings{of} failed, and no budget on failures watches them: add error_rate = \"<1%\""
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
        counted("retried", figures.retried.unwrap_or(0)),
        counted("retries not made: budget", figures.retries_denied.unwrap_or(0)),
        counted("answered again after retries", figures.resent.unwrap_or(0)),
        counted("unmatched messages", figures.unmatched),
        counted("beyond the histogram", figures.overflow),
        figures
            .resumed
            .map(|resumed| format!("resumed: {} of {}", count(resumed, style), count(figures.ok, style))),
        figures.within_budget.map(|within| format!("within budget {}", percent(within, figures.planned))),
        (row.kind == Kind::Delivery.name() && figures.ok > 0).then(|| {
            format!("bytes received for each: {}", count(figures.wire_received_bytes / figures.ok, style))
        }),
        figures.requests.filter(|_| figures.ok > 0).map(|requests| {
            let each = requests as f64 / figures.ok as f64;
            format!("requests for each: {each:.2}")
        }),
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
    let mut texts: Vec<_> = reasons.iter().take(MOST_LISTED).map(|sum| sentence(sum, style)).collect();
    if reasons.len() > MOST_LISTED {
        let more = plural((reasons.len() - MOST_LISTED) as u64, "further reason");
        texts.push(("failures", style.spoken(&format!("{more} in failures.csv"))));
    }
    texts
}

fn sentence(sum: &ReasonSum, style: Style) -> (&'static str, String) {
    let ReasonSum { fleet, reason, .. } = sum;
    let number = count(sum.count, style);
    let sample = clip(&sum.sample, LONGEST_SAMPLE, style);
    if sum.is_unmatched() {
        let messages = match (sum.code.as_str(), sum.count == 1) {
            (Stray::OTHER_RUN, true) => "message of another run",
            (Stray::OTHER_RUN, false) => "messages of another run",
            (Stray::OTHER_DEVICE, true) => {
                "message of another device of this run (they share a topic, or the service sends to all)"
            }
            (Stray::OTHER_DEVICE, false) => {
                "messages of other devices of this run (they share a topic, or the service sends to all)"
            }
            (_, true) => "message that names none of its readings",
            (_, false) => "messages that name none of its readings",
        };
        let first = if sample.is_empty() { String::new() } else { format!(", the first: {sample}") };
        return ("unmatched", format!("{fleet} heard {number} {messages}{first}"));
    }
    if sum.is_remark() {
        let often = if sum.count > sum.devices { format!(": {number} times") } else { String::new() };
        let devices = style.spoken(&plural(sum.devices, "device"));
        return ("remark", format!("{reason}{often} ({devices} of {fleet})"));
    }
    if sum.is_retried() {
        let attempts = style.spoken(&plural(sum.count, "attempt"));
        return ("retried", format!("{reason}: {attempts} of {fleet}, each followed by another"));
    }
    let first =
        if sum.count == sum.devices { String::new() } else { format!(", first {}", sum.first_device) };
    let reply = if sample.is_empty() { String::new() } else { format!("; the first reply: {sample}") };
    let (devices, what) = (plural(sum.devices, "device"), plural(sum.count, sum.noun()));
    let text = style.spoken(&format!("{what} of {fleet} ({devices}"));
    ("failures", format!("{reason}: {text}{first}){reply}"))
}

/// Why fleets were never answered although their connections stood, where their scenario is the likely cause and no failure's
/// reason says it.
pub(super) fn hints(report: &Report) -> Vec<String> {
    let waits = |close: &str| ["verdict", "reply", "delivery"].contains(&close);
    let is_unanswered = |fleet: &&FleetTarget| {
        let rows = || report.summary.iter().filter(|row| row.fleet == fleet.name);
        let sum = |kind: &str, of: fn(&Figures) -> u64| -> u64 {
            rows().filter(|row| row.kind == kind).map(|row| of(&row.figures)).sum()
        };
        let answered =
            sum("reading", |figures| figures.ok + figures.shed + figures.error_status + figures.late);
        let sent = sum("reading", |figures| figures.sent);
        let broken = |failure: &Failure| {
            // What a fault of the scenario cut says nothing of the service.
            let own = failure.code == "fault";
            failure.fleet == fleet.name && failure.kind == "reading" && failure.outcome == "error" && !own
        };
        waits(&fleet.close)
            && !report.failures.iter().any(broken)
            && sent > 0
            && answered == 0
            && sum("connect", |figures| figures.ok) > 0
    };
    let reasons = report.reasons();
    let heard = |name: &str| reasons.iter().find(|sum| sum.is_unmatched() && sum.fleet == name);
    let fleets = report.run.fleets.iter().filter(is_unanswered);
    fleets.map(|fleet| hint(fleet, heard(&fleet.name).map(|sum| sum.sample.as_str()))).collect()
}

/// What `fleet` waited for in vain; `heard` is the beginning of the first message that answered nothing, if there was one.
fn hint(fleet: &FleetTarget, heard: Option<&str>) -> String {
    let FleetTarget { name, close, remedy, correlate, .. } = fleet;
    let pointed = correlate.as_ref().map(|pointer| format!("JSON with the reading's number at `{pointer}`"));
    let awaited = match (close.as_str(), &pointed) {
        ("verdict", _) => "a message with the reading's `device` and `seq`",
        (_, Some(pointed)) => pointed,
        ("delivery", None) => "the reading itself, delivered back to its sender",
        _ => "any message",
    };
    let remedy = match (remedy.as_deref(), close.as_str(), heard) {
        (None, "reply", None) => "a service that never answers needs close = \"sent\"",
        (_, "reply", Some(_)) => "correct `correlate`",
        (Some(remedy), ..) => remedy,
        (None, ..) => {
            "a service that answers otherwise needs close = \"reply\" with `correlate`, one that never answers close = \"sent\""
        }
    };
    let came = match heard {
        None => "was never answered".to_owned(),
        Some("") => "heard messages that answer none of its readings".to_owned(),
        Some(first) => {
            format!("heard messages that answer none of its readings, the first: {}", snippet(first))
        }
    };
    format!("fleet {name} was connected and {came}; close = \"{close}\" waits for {awaited}; {remedy}")
}

/// The beginning of a message, on one line.
fn snippet(text: &str) -> String {
    text.chars().take(LONGEST_SAMPLE).map(|c| if is_steering(c) { ' ' } else { c }).collect()
}

/// The percentiles of what ended ok alone, where something failed: what share of `figures` is known exactly.
pub(super) fn has_failures(figures: &Figures) -> bool {
    figures.failed() > 0 && figures.ok > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_tells_what_was_awaited_beside_what_came() {
        let otherwise = "a service that answers otherwise needs close = \"reply\" with `correlate`, one that never answers \
                         close = \"sent\"";
        let broker = "a plain broker needs close = \"ack\" or \"delivery\"";
        // What closes a reading, the pointer, the protocol's remedy, what came, what is awaited and advised.
        let table = [
            (
                "reply",
                Some("/seq"),
                None,
                None,
                ["was never answered", "`/seq`", "a service that never answers needs"],
            ),
            (
                "reply",
                Some("/seq"),
                None,
                Some("{\"id\":1}"),
                ["the first: {\"id\":1}; close", "`/seq`", "correct `correlate`"],
            ),
            ("reply", None, None, None, ["was never answered", "any message", "close = \"sent\""]),
            ("verdict", None, None, None, ["was never answered", "`device` and `seq`", otherwise]),
            (
                "verdict",
                None,
                Some(broker),
                Some(""),
                ["answer none of its readings; close", "`device`", broker],
            ),
            ("delivery", None, Some(broker), None, ["was never answered", "delivered back", broker]),
            ("delivery", Some("/n"), Some(broker), None, ["was never answered", "`/n`", broker]),
        ];
        for (close, correlate, remedy, heard, expected) in table {
            let fleet = FleetTarget {
                name: "meters".to_owned(),
                protocol: "ws".to_owned(),
                method: None,
                target: String::new(),
                close: close.to_owned(),
                remedy: remedy.map(str::to_owned),
                correlate: correlate.map(str::to_owned),
                insecure: false,
            };
            let hint = hint(&fleet, heard);
            assert!(expected.iter().all(|part| hint.contains(part)), "{hint}");
            assert!(close != "reply" || !hint.contains("answers otherwise"), "{hint}");
        }
    }
}
