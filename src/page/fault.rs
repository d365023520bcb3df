//! Faults on the page: what each activation did, and when the service had recovered.

use super::STYLE;
use super::table::{Align, Cell, Table};
use crate::display::figure::bounded_time;
use crate::display::{Tone, recovery};
use crate::results::{Outage, Percentile, Recovery, Report};

/// What became of an activation, in words.
pub(super) fn outcome(outage: &Outage) -> String {
    let (after, _) = recovery::recovered(outage, STYLE);
    match outage.state {
        Recovery::Recovered if after == "at once" => "recovered at once".to_owned(),
        Recovery::Recovered => format!("recovered after {after}"),
        Recovery::NotRecovered => "not recovered when the run ended".to_owned(),
        _ => after,
    }
}

/// The tone of that.
pub(super) const fn tone(outage: &Outage) -> Option<Tone> {
    match outage.state {
        Recovery::Recovered => Some(Tone::Good),
        Recovery::NotRecovered => Some(Tone::Bad),
        _ => None,
    }
}

/// The table of activations, with what is left out of it; nothing without faults.
pub(super) fn section(report: &Report) -> String {
    let run = &report.run;
    let omitted = [run.fault_spells_omitted, run.switches_omitted];
    let left_out = recovery::left_out(&report.faults, omitted, STYLE);
    if report.faults.is_empty() && left_out.is_empty() {
        return String::new();
    }
    let header = recovery::HEADER.iter().enumerate().map(|(place, name)| match place {
        0 => ("fault", Align::Left),
        1 => (*name, Align::Left),
        _ => (*name, Align::Right),
    });
    let further = ["p99 before", "first ok after", "backlog drained after", "remark"];
    let aligned = further.map(|name| (name, if name == "remark" { Align::Left } else { Align::Right }));
    let mut table = Table::new("Faults and recovery", header.chain(aligned));
    for outage in recovery::shown(&report.faults) {
        let (after, _) = recovery::recovered(outage, STYLE);
        let mut cells: Vec<Cell> =
            recovery::cells(outage, after, STYLE).iter().map(|text| Cell::text(text.trim())).collect();
        if let (Some(cell), Some(tone)) = (cells.get_mut(7), tone(outage)) {
            *cell = cell.clone().toned(tone);
        }
        let seconds = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| recovery::seconds(at, STYLE));
        let before = outage.p99_before_ms.map_or_else(
            || "-".to_owned(),
            |ms| bounded_time(Percentile { ns: (ms * 1e6) as u64, censored: false }, STYLE),
        );
        let drained = if outage.peak_backlog == 0 { None } else { outage.backlog_drained_after_s };
        cells.extend(
            [before, seconds(outage.first_ok_after_s), seconds(drained)].map(|text| Cell::text(&text)),
        );
        cells.push(Cell::text(&outage.remark).wrapped());
        table.row(cells);
    }
    let mut notes = left_out;
    notes.push(recovery::rule_in_words(run.recovery, STYLE));
    notes.push("times after a fault count from its end, or from its instant".to_owned());
    super::card(&(table.draw() + &super::soft(&notes.join(" · "))))
}
