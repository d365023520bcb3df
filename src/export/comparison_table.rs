//! `compare.csv`: a row per cell of a comparison. RFC 4180, header always, empty cell = no data, columns only ever appended.

use serde::Serialize;

use super::format::{Format, Writer};
use super::measure::significant;
use crate::compare::{Cell, Comparison, Support};

/// Digits of changes, shares and probabilities.
const DIGITS: i32 = 6;

pub(super) const FORMAT: Format = Format {
    name: "csv",
    about: "a row per compared figure; of a comparison only",
    run: Writer::Unsuited("a run's table is the `summary.csv` in its directory"),
    comparison: Writer::Text(|compared| Ok(comparison(compared))),
};

/// A row; the names of the fields are the columns. Changes, thresholds and shares are in per cent.
#[derive(Debug, Default, Serialize)]
struct Row<'a> {
    scenario: &'a str,
    phase: &'a str,
    fleet: &'a str,
    protocol: &'a str,
    figure: &'static str,
    base_ms: Option<f64>,
    candidate_ms: Option<f64>,
    base_pct: Option<f64>,
    candidate_pct: Option<f64>,
    change_pct: Option<f64>,
    ci95_lo_pct: Option<f64>,
    ci95_hi_pct: Option<f64>,
    p_adjusted: Option<f64>,
    threshold_pct: f64,
    pairs: u32,
    support: &'static str,
    verdict: Option<&'static str>,
    median_pct: Option<f64>,
}

/// The table of `comparison`.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    if comparison.cells.is_empty() {
        let _ = table.serialize(Row::default());
        let written = String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default();
        return written.lines().next().unwrap_or_default().to_owned() + "\n";
    }
    for cell in &comparison.cells {
        let _ = table.serialize(row(comparison, cell));
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn row<'a>(comparison: &'a Comparison, cell: &'a Cell) -> Row<'a> {
    let round = |value: f64| significant(value, DIGITS);
    let pct = |share: f64| round(share * 100.0);
    let is_time = cell.figure.quantile().is_some();
    let ms = |value: Option<f64>| value.filter(|_| is_time).map(round);
    let share = |value: Option<f64>| value.filter(|_| !is_time).map(pct);
    let end = |index: usize| Some(pct(cell.as_share(*cell.ci95.as_ref()?.get(index)?)));
    Row {
        scenario: &comparison.scenario,
        phase: &cell.group.phase,
        fleet: &cell.group.fleet,
        protocol: &cell.group.protocol,
        figure: cell.figure.name(),
        base_ms: ms(cell.base),
        candidate_ms: ms(cell.candidate),
        base_pct: share(cell.base),
        candidate_pct: share(cell.candidate),
        change_pct: cell.change().map(pct),
        ci95_lo_pct: end(0),
        ci95_hi_pct: end(1),
        p_adjusted: cell.p_adjusted.map(round),
        threshold_pct: pct(cell.as_share(cell.threshold)),
        pairs: comparison.design.pairs,
        support: match cell.support {
            Support::Judged => "judged",
            Support::Shown => "shown",
            Support::Censored => "censored",
            Support::None => "none",
        },
        verdict: cell.verdict.map(|said| said.verdict.name()),
        median_pct: cell.median.map(|median| pct(cell.as_share(median))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn a_row_per_cell_and_nothing_where_there_is_no_data() {
        insta::assert_snapshot!(comparison(&specimen::comparison()), @r#"
scenario,phase,fleet,protocol,figure,base_ms,candidate_ms,base_pct,candidate_pct,change_pct,ci95_lo_pct,ci95_hi_pct,p_adjusted,threshold_pct,pairs,support,verdict,median_pct
quickstart,all,all,all,p50,0.4,0.36,,,-9.96755,-13.4978,-6.29325,0.0123,5.12711,8,judged,improvement,-9.96755
quickstart,steady,meters,http,p50,0.412,0.413,,,0.240288,-3.69019,4.33117,0.0123,5.12711,8,judged,no difference,0.240288
quickstart,steady,meters,http,p99,1.243,1.396,,,12.2996,7.89626,16.8826,0.0123,5.12711,8,judged,regression,12.2996
quickstart,steady,meters,http,p99.9,9.0,9.5,,,5.54846,1.40985,9.85597,,5.12711,8,censored,,5.54846
quickstart,steady,meters,http,error rate,,,0.1,0.3,0.2,0.0,0.4,0.0123,0.1,8,judged,inconclusive,0.2
quickstart,steady,pumps,http,p95,0.9,0.91,,,1.10607,-2.85835,5.23229,,5.12711,8,shown,,1.10607
quickstart,steady,pumps,http,p99.9,,,,,,,,,5.12711,8,none,,
"#);
    }

    #[test]
    fn a_comparison_of_nothing_is_a_header() {
        let empty = Comparison { cells: Vec::new(), ..specimen::comparison() };
        let text = comparison(&empty);
        assert_eq!(text.lines().count(), 1);
        assert!(text.starts_with("scenario,phase,fleet,"), "{text}");
    }
}
