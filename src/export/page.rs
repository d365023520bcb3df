//! A run or a comparison on a page of Markdown: the verdict first, then the table, then what else is known, folded.

use std::fmt::Write as _;

use super::finding::{self, Weight};
use super::markdown::{details, escape, table};
use super::measure::{group_place, measured};
use crate::compare::{Cell, Comparison, Decision, Support};
use crate::display::figure::{self, Marks, count};
use crate::display::{self, Style, failure, kind_title};
use crate::record;
use crate::results::{FleetTarget, Percentile, Report, SummaryRow};
use crate::units::{Quantile, plural};

/// As screens show figures, without colour.
const STYLE: Style = Style { colour: false, ascii: false };

/// Columns of code that are shown without scrolling.
const COLUMNS: usize = 76;

/// A run.
pub(super) fn run(report: &Report) -> String {
    let run = &report.run;
    let findings = finding::of_run(report);
    let validity = run.validity.as_ref();
    let word = validity.map_or("not judged", |said| said.verdict.name());
    let failed = findings.iter().any(|finding| finding.weight == Weight::Error);
    let (mark, outcome) = match (finding::untimely(report), validity.map(|said| said.verdict)) {
        (Some(untimely), _) => ("❌", untimely),
        (None, Some(record::Judgement::Invalid)) => ("🚫", "measurement invalid".to_owned()),
        (None, _) if failed => ("❌", "failed".to_owned()),
        (None, _) if report.unguarded_failures().is_some() => ("⚠️", "readings failed".to_owned()),
        (None, Some(record::Judgement::Suspect)) => ("⚠️", "measurement suspect".to_owned()),
        (None, Some(record::Judgement::Valid)) => ("✅", "passed".to_owned()),
        (None, None) => ("⚠️", "not judged".to_owned()),
    };
    let mut text = format!("## {mark} {}: {outcome}\n\n", escape(&run.scenario.name));
    text += &list(findings.iter().map(|finding| (finding.title.as_str(), finding.text.as_str())));
    text += &judgements(report, word);
    text += &budgets(report);
    let mut marks = Marks::default();
    let rows: Vec<_> = measured(report).map(|row| figures(row, &mut marks)).collect();
    if rows.is_empty() {
        text += "Nothing was measured.\n";
    } else {
        text += &table(&FIGURES, 3, &rows);
    }
    text += &footnotes(marks);
    let measured: Vec<_> = measured(report).collect();
    let others = report.summary.iter().filter(|row| !measured.contains(row) && row.figures.planned > 0);
    let mut marks = Marks::default();
    let others: Vec<_> = others.map(|row| figures(row, &mut marks)).collect();
    if !others.is_empty() {
        text += "\n";
        text += &details("Connections and warm-up", &table(&FIGURES, 3, &others));
    }
    text += "\n";
    text += &details("How it was measured", &circumstances(report, word));
    text
}

/// The measurement, then the service: two judgements, of which neither stands for the other; then why it failed.
fn judgements(report: &Report, word: &str) -> String {
    let service = if report.run.is_invalid() {
        Some("not judged".to_owned())
    } else {
        failure::service(report, STYLE).map(|(text, _)| text)
    };
    let reasons = failure::failures(report, STYLE);
    let lines = [("measurement", Some(word.to_owned())), ("service", service)];
    let lines = lines.iter().filter_map(|(name, text)| Some((*name, text.as_deref()?)));
    list(lines.chain(reasons.iter().map(|(name, text)| (*name, text.as_str()))))
}

const FIGURES: [&str; 9] =
    ["phase", "fleet", "protocol", "planned", "failed", "p50", "p99", "p99.9", "service p99"];

fn figures(row: &SummaryRow, marks: &mut Marks) -> Vec<String> {
    let figures = &row.figures;
    let mut tail = |quantile| marks.tail(figures.percentile(quantile), quantile, figures.ended(), STYLE);
    let [p50, p99, p99_9] = [Quantile::P50, Quantile::P99, Quantile::P99_9].map(&mut tail);
    let service = figures.service_p99_ms.map(|time| Percentile { ns: time.as_ns(), censored: false });
    let phase = kind_title(&row.kind).map_or_else(|| row.phase.clone(), str::to_owned);
    vec![
        phase,
        row.fleet.clone(),
        row.protocol.clone(),
        count(figures.planned, STYLE),
        count(figures.failed(), STYLE),
        p50,
        p99,
        p99_9,
        marks.tail(service, Quantile::P99, figures.ok, STYLE),
    ]
}

fn footnotes(marks: Marks) -> String {
    let notes: Vec<_> = figure::footnotes(marks).into_iter().map(escape).collect();
    if notes.is_empty() { String::new() } else { format!("\n<sub>{}</sub>\n", notes.join("; ")) }
}

fn list<'a>(items: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines = String::new();
    for (title, text) in items {
        let _ = writeln!(lines, "- **{}**: {}", escape(title), escape(&STYLE.spoken(text)));
    }
    if lines.is_empty() { lines } else { lines + "\n" }
}

fn budgets(report: &Report) -> String {
    let (invalid, unguarded) = (report.run.is_invalid(), report.unguarded_failures().is_some());
    let row = |budget: &crate::results::BudgetResult| {
        let word = match (invalid || budget.unjudged, budget.met) {
            (true, _) => "❔ not judged",
            // Over a service that fails unwatched nothing is green.
            (false, true) if unguarded => "met",
            (false, true) => "✅ met",
            (false, false) => "❌ failed",
        };
        vec![word.to_owned(), budget.subject(), budget.demand.clone(), STYLE.spoken(&budget.found())]
    };
    let rows: Vec<_> = report.run.budgets.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["budget", "of", "demanded", "measured"], 3, &rows) + "\n"
}

fn circumstances(report: &Report, word: &str) -> String {
    let run = &report.run;
    // Runs of earlier versions know only the address of each protocol.
    let mut targets: Vec<_> = run.fleets.iter().map(FleetTarget::sentence).collect();
    if targets.is_empty() {
        targets.extend(run.targets.iter().map(|(protocol, url)| format!("{protocol} {url}")));
    }
    let delivery: Vec<_> = report
        .delivery
        .iter()
        .filter_map(|fleet| Some(format!("{}: {}", fleet.fleet, fleet.findings()?)))
        .collect();
    let facts = [
        ("validity", word.to_owned()),
        ("run", run.run_id.clone()),
        ("label", run.label.clone()),
        ("started", run.started.clone()),
        ("seed", run.seed.clone()),
        ("plan", run.plan_digest.clone()),
        ("overrides", run.scenario.overrides.join(" ")),
        ("targets", targets.join(", ")),
        ("delivery", delivery.join("; ")),
        ("host", format!("{}, {}", run.host.kernel, plural(run.host.cores.into(), "core"))),
        ("squall", run.tool_version.clone()),
        ("files", report.directory.display().to_string()),
    ];
    list(facts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str())))
}

/// A comparison.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut text = format!(
        "## {} {}: {}{}\n\n**{}** against **{}**, {}.\n\n",
        if comparison.unanswered.is_empty() { mark(Some(comparison.verdict)) } else { "❌" },
        escape(&comparison.scenario),
        comparison.verdict.name(),
        if comparison.gates { "" } else { " (advisory)" },
        escape(&comparison.candidate.label),
        escape(&comparison.base.label),
        plural(comparison.design.pairs.into(), "pair")
    );
    for reason in &comparison.reasons {
        let _ = writeln!(text, "- {}", escape(reason));
    }
    if !comparison.reasons.is_empty() {
        text += "\n";
    }
    let judged: Vec<_> = comparison.cells.iter().filter(|cell| cell.verdict.is_some()).map(row).collect();
    if judged.is_empty() {
        text += "No figure could be judged.\n";
    } else {
        text += &table(&CELLS, 3, &judged);
    }
    let shown: Vec<_> = comparison.cells.iter().filter(|cell| cell.verdict.is_none()).map(row).collect();
    if !shown.is_empty() {
        text += "\n";
        text += &details("Figures that do not decide", &table(&CELLS, 3, &shown));
    }
    text += &pairs(comparison);
    text += "\n";
    text += &details("How it was compared", &design(comparison));
    text
}

/// Both values of every pair as dots, folded. Indented as code is: nothing in it is markup, and it may be cut anywhere.
fn pairs(comparison: &Comparison) -> String {
    let rows: Vec<_> = display::pairs(comparison, COLUMNS, STYLE)
        .iter()
        .map(|row| format!("    {}", row.trim_end()))
        .collect();
    if rows.is_empty() { String::new() } else { format!("\n{}", details("Pair by pair", &rows.join("\n"))) }
}

const CELLS: [&str; 8] =
    ["verdict", "readings", "figure", "base", "candidate", "change [95 %]", "threshold", "p"];

fn row(cell: &Cell) -> Vec<String> {
    let level =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| finding::level(cell, value));
    let said = match (cell.verdict, cell.support) {
        (Some(said), _) => {
            let more = said
                .more_pairs
                .map(|more| format!(", about {}", plural(more.into(), "more pair")))
                .unwrap_or_default();
            let likely = if said.verdict == Decision::Regression && !said.certain {
                " (its size is not certain)"
            } else {
                ""
            };
            format!("{} {}{likely}{more}", mark(Some(said.verdict)), said.verdict.name())
        }
        (None, Support::Censored) => "lies among failed readings: the error rate judges".to_owned(),
        (None, Support::None) => "too few samples".to_owned(),
        (None, Support::Judged | Support::Shown) => "shown only".to_owned(),
    };
    vec![
        said,
        group_place(&cell.group),
        cell.figure.name().to_owned(),
        level(cell.base),
        level(cell.candidate),
        finding::change(cell),
        format!("±{:.1} %", cell.as_share(cell.threshold) * 100.0),
        cell.p_adjusted.map_or_else(|| "–".to_owned(), |p| format!("{p:.4}")),
    ]
}

const fn mark(verdict: Option<Decision>) -> &'static str {
    match verdict {
        Some(Decision::Regression) => "❌",
        Some(Decision::Improvement) => "🚀",
        Some(Decision::NoDifference) => "✅",
        Some(Decision::Inconclusive) | None => "❔",
    }
}

fn design(comparison: &Comparison) -> String {
    let design = &comparison.design;
    let looks: Vec<_> = comparison
        .looks
        .iter()
        .map(|look| {
            format!("{} at {}: {}", plural(look.pairs.into(), "pair"), look.alpha, look.verdict.name())
        })
        .collect();
    let confirmation = comparison.confirmation.as_ref().map(|fresh| {
        format!("{}: {}", plural(fresh.design.pairs.into(), "fresh pair"), fresh.verdict.name())
    });
    let order = comparison.order_effect.map(|effect| format!("{:+.2} %", libm::expm1(effect) * 100.0));
    let facts = [
        ("false alarms", format!("at most {} % of comparisons of equal builds", design.alpha * 100.0)),
        ("looks", looks.join("; ")),
        ("confirmation", confirmation.unwrap_or_default()),
        ("effect of the order of runs at p50", order.unwrap_or_default()),
        ("seed", design.seed.clone()),
        ("plans", design.plan_digests.join(", ")),
        ("base runs", comparison.base.runs.join(", ")),
        ("candidate runs", comparison.candidate.runs.join(", ")),
    ];
    list(facts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::specimen;

    #[test]
    fn a_run_is_told_verdict_first() {
        insta::assert_snapshot!(run(&specimen::report()), @r#"
## ❌ quickstart: failed

- **budget failed**: quickstart pumps: errors &lt; 0.1 %, measured 0.83 %
- **budget failed**: quickstart all: p99.9 &lt; 1 s, measured no data: 3 of 3100 samples lie beyond p99.9; 10 are needed
- **budget failed**: quickstart peak (all fleets in burst): p99 &lt; 250 ms, measured 400 ms
- **promise of delivery broken**: quickstart pumps: 100 missing, first pumps-00017 seq 42
- **measurement suspect**: quickstart: the generator used 80 % of a core: give it another

- **measurement**: suspect
- **service**: 135 300 of 135 400 readings answered ok; 0.08 % failed

| budget | of | demanded | measured |
| --- | --- | --- | ---: |
| ✅ met | pumps | p99 &lt; 250 ms | 2.49 ms |
| ❌ failed | pumps | errors &lt; 0.1 % | 0.83 % |
| ❌ failed | all | p99.9 &lt; 1 s | no data: 3 of 3100 samples lie beyond p99.9; 10 are needed |
| ✅ met | all fleets in calm | p99 &lt; 250 ms | 240 ms |
| ❌ failed | peak (all fleets in burst) | p99 &lt; 250 ms | 400 ms |

| phase | fleet | protocol | planned | failed | p50 | p99 | p99.9 | service p99 |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| steady | meters | http | 123 400 | 0 | 412 µs | 1.24 ms | 3.11 ms | 1.20 ms |
| steady | pumps | mqtt | 12 000 | 100 | 412 µs | 1.24 ms | \~&gt;5 s | 1.20 ms |
| all | all | all | 135 400 | 100 | 412 µs | 1.24 ms | &gt;5 s | 1.20 ms |

<sub>\~ fewer than 100 samples lie beyond this percentile; &gt; at least: a failed reading counts as its time-out or more</sub>

<details><summary>Connections and warm-up</summary>

| phase | fleet | protocol | planned | failed | p50 | p99 | p99.9 | service p99 |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| connections | meters | http | 300 | 0 | 412 µs | n/a | n/a | n/a |
| warm-up | meters | http | 4 000 | 0 | 412 µs | \~1.24 ms | n/a | \~1.20 ms |
</details>

<details><summary>How it was measured</summary>

- **validity**: suspect
- **run**: 2026-11-20T21-41-15Z-main
- **label**: a\|b \`c\` &lt;img src=x&gt; \]\]&gt; &amp; "d" @<!-- -->all\[31m ::error::x
- **started**: 2026-11-20T21:41:15.123Z
- **seed**: 7
- **plan**: ab12
- **targets**: meters PUT http://127.0.0.1:8080/v1/orders/{{device}}, pumps ws ws://127.0.0.1:8081/live?key=\${KEY}
- **delivery**: pumps: 100 missing, first pumps-00017 seq 42; 2 reordered; 3 answered late
- **host**: Linux 6, 2 cores
- **squall**: 0.1.0
- **files**: results/quickstart/2026-11-20T21-41-15Z-main
</details>
"#);
    }

    #[test]
    fn a_comparison_is_told_verdict_first() {
        insta::assert_snapshot!(comparison(&specimen::comparison()), @r#"
## ❌ quickstart: regression

**a\|b \`c\` &lt;img src=x&gt; \]\]&gt; &amp; "d" @<!-- -->all\[31m ::error::x** against **main**, 8 pairs.

- steady meters p99 is 12.3 % slower

| verdict | readings | figure | base | candidate | change [95 %] | threshold | p |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| 🚀 improvement | all | p50 | 0.4 ms | 0.36 ms | -10.0 % \[-13.5, -6.3\] | ±5.1 % | 0.0123 |
| ✅ no difference | steady/meters | p50 | 0.412 ms | 0.413 ms | +0.2 % \[-3.7, 4.3\] | ±5.1 % | 0.0123 |
| ❌ regression | steady/meters | p99 | 1.243 ms | 1.396 ms | +12.3 % \[7.9, 16.9\] | ±5.1 % | 0.0123 |
| ❔ inconclusive, about 12 more pairs | steady/meters | error rate | 0.1 % | 0.3 % | +0.20 points \[0.00, 0.40\] | ±0.1 % | 0.0123 |

<details><summary>Figures that do not decide</summary>

| verdict | readings | figure | base | candidate | change [95 %] | threshold | p |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| lies among failed readings: the error rate judges | steady/meters | p99.9 | 9 ms | 9.5 ms | +5.5 % \[1.4, 9.9\] | ±5.1 % | – |
| shown only | steady/pumps | p95 | 0.9 ms | 0.91 ms | +1.1 % \[-2.9, 5.2\] | ±5.1 % | – |
| too few samples | steady/pumps | p99.9 | – | – | no data | ±5.1 % | – |
</details>

<details><summary>Pair by pair</summary>

    p99 of meters in steady, pair by pair: o main, x a|b `c` <img sr…; 1.24 ms
    to 1.40 ms
       1  o......................................................x       +12.3 %
       2  o......................................................x       +12.3 %
       3  o......................................................x       +12.3 %
       4  o......................................................x       +12.3 %
       5  o......................................................x       +12.3 %
       6  o......................................................x       +12.3 %
       7  o......................................................x       +12.3 %
       8  o......................................................x       +12.3 %
</details>

<details><summary>How it was compared</summary>

- **false alarms**: at most 5 % of comparisons of equal builds
- **looks**: 4 pairs at 0.005: inconclusive
- **confirmation**: 8 fresh pairs: regression
- **effect of the order of runs at p50**: +0.10 %
- **seed**: 1
- **plans**: ab
- **base runs**: r0-main, r1-main, r2-main, r3-main, r4-main, r5-main, r6-main, r7-main
- **candidate runs**: r, r, r, r, r, r, r, r
</details>
"#);
    }

    #[test]
    fn why_readings_failed_is_told_and_foreign_text_means_nothing_but_itself() {
        let text = run(&specimen::failing());
        assert!(text.contains("HTTP 404 Not Found: 2\u{202f}002 readings of pumps (30 devices"), "{text}");
        assert!(text.contains("Connection refused (ECONNREFUSED): 60 connection attempts"), "{text}");
        assert!(text.contains("59 messages that name none of its readings"), "{text}");
        assert!(!text.contains("<script>") && !text.contains("@all ") && !text.contains("**no**"), "{text}");
    }

    #[test]
    fn failures_that_no_budget_looks_at_are_never_green() {
        let mut report = specimen::failing();
        report.run.budgets.clear();
        report.run.exit_code = Some(0);
        report.run.validity = Some(record::Validity::valid(String::new()));
        let text = run(&report);
        assert!(text.starts_with("## ⚠️ quickstart: readings failed"), "{text}");
        assert!(text.contains("no budget on failures watches") && !text.contains('✅'), "{text}");
        assert!(text.contains(" of the readings failed, and no budget"), "{text}");
    }

    #[test]
    fn a_budget_has_the_figures_of_the_tables() {
        let mut report = specimen::failing();
        report.run.budgets = vec![crate::results::BudgetResult {
            demand: "goodput >= 500/s".into(),
            measured: Some("1,081/s".into()),
            met: true,
            ..crate::results::BudgetResult::default()
        }];
        assert!(run(&report).contains("1\u{202f}081/s"));
    }

    #[test]
    fn a_warning_names_the_fleets_whose_failures_no_budget_watches() {
        let mut report = specimen::failing();
        report.run.validity = Some(record::Validity::valid(String::new()));
        let unwatched: Vec<_> = report.summary.iter().filter(|row| row.fleet == "pumps").collect();
        assert!(!unwatched.is_empty());
        report.run.budgets = vec![crate::results::BudgetResult {
            fleet: "meters".into(),
            kind: "reading".into(),
            metric: "error_rate".into(),
            ..crate::results::BudgetResult::default()
        }];
        let text = failure::warning(&report).unwrap_or_default();
        assert!(text.contains(" of the readings of pumps failed, and no budget"), "{text}");
    }
}
