//! The page of a comparison: golden charts, its size however many pairs there are, and whose text is whose.

use std::path::PathBuf;

use hdrhistogram::Histogram;
use serde_json::json;

use super::run::{Build, Demand, TrialFacts};
use super::*;
use crate::compare::{Cell, CellDecision, Decision, Figure, Group, Support, specimen};
use crate::page::curve::points;
use crate::record::Judgement;

fn cell(fleet: &str, figure: Figure, changes: &[f64], verdict: Option<Decision>) -> Cell {
    let mut cell = specimen::comparison().cells[0].clone();
    let name = if fleet == "all" { "all" } else { "steady" };
    cell.group = Group {
        phase: name.into(),
        fleet: fleet.into(),
        protocol: if fleet == "all" { "all" } else { "http" }.into(),
    };
    cell.figure = figure;
    let mean = changes.iter().sum::<f64>() / changes.len() as f64;
    (cell.effect, cell.median) = (Some(mean), Some(mean));
    cell.ci95 = Some([mean - 0.04, mean + 0.06]);
    cell.differences = changes.to_vec();
    cell.values = changes.iter().map(|change| [2.0, 2.0 * change.exp()]).collect();
    cell.threshold = if figure == Figure::ErrorRate { 0.001 } else { 0.05 };
    cell.support = if verdict.is_some() { Support::Judged } else { Support::Shown };
    cell.verdict =
        verdict.map(|verdict| CellDecision { verdict, certain: true, more_pairs: None, withdrawn: None });
    cell
}

/// Four pairs, one of them run again, and two fresh ones.
fn small() -> (Comparison, Origin, Runs) {
    let mut comparison = specimen::comparison();
    comparison.candidate.label = "fix".into();
    comparison.design.pairs = 3;
    comparison.design.base_first = vec![true, false, true];
    comparison.cells = vec![
        cell("all", Figure::P50, &[0.1, 0.2, 0.15], Some(Decision::Regression)),
        cell("all", Figure::P99, &[0.02, -0.03, 0.9], None),
        cell("meters", Figure::P50, &[-0.2, -0.2, -0.2], Some(Decision::Improvement)),
        cell("meters", Figure::ErrorRate, &[0.0, 0.0, 0.01], Some(Decision::NoDifference)),
    ];
    let mut fresh = comparison.clone();
    fresh.design.pairs = 2;
    fresh.cells.truncate(2);
    for cell in &mut fresh.cells {
        cell.differences = vec![0.12, 0.14];
    }
    comparison.confirmation = Some(Box::new(fresh));
    let trial = |number, is_fresh, base_first, discarded: Option<&str>| Trial {
        number,
        is_fresh,
        base_first: Some(base_first),
        runs: ["a", "b"].map(|side| Some(PathBuf::from(format!("runs/{side}-{number}")))),
        discarded: discarded.map(str::to_owned),
    };
    let trials = vec![
        trial(1, false, true, None),
        trial(2, false, false, Some("a run was invalid (the machine was busy)")),
        trial(2, false, false, None),
        trial(3, false, true, None),
        trial(1, true, false, None),
        trial(2, true, true, None),
    ];
    let mut facts: Vec<_> = trials
        .iter()
        .map(|trial| TrialFacts {
            counts: trial.discarded.is_none(),
            judgements: [Some(Judgement::Valid); 2],
        })
        .collect();
    facts[3].judgements[1] = Some(Judgement::Suspect);
    let origin =
        Origin { facts: vec![("base", "main: ./main".into())], files: vec!["ab.json".into()], trials };
    let runs = Runs { trials: facts, builds: [build(1, 3), build(2, 3)], ..Runs::default() };
    (comparison, origin, runs)
}

fn times(scale: u64) -> Histogram<u64> {
    let mut times = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
    for step in 0..4_000 {
        times.record_n(1_000_000 * scale + step * step * 1_000, 1 + 40 / (step + 1)).unwrap();
    }
    times
}

fn build(scale: u64, runs: usize) -> Build {
    let lines = (0..runs.min(25)).map(|nth| points(&times(scale + nth as u64 % 3))).collect();
    Build { times: Some(times(scale)), floor: None, lines, runs }
}

fn link(path: &Path) -> String {
    path.display().to_string()
}

/// A picture with an element a line.
fn lines(svg: &str) -> String {
    svg.replace("><", ">\n<")
}

#[test]
fn golden_shifts() {
    let (comparison, ..) = small();
    insta::assert_snapshot!(lines(&shift::chart(&shift::shown(&comparison.cells, true))), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="1080" height="128" viewBox="0 0 1080 128" class="shift" role="img" aria-label="Change of each figure with its 95 % interval, and the zone of no difference" font-size="11.5" font-family="sans-serif">
<path d="M477.6,36V128" class="s-axis" stroke="#6b7480" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="477.6" y="30" text-anchor="middle" fill="#59616d" class="t-soft">same</text>
<path d="M563.2,36V128" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="563.2" y="30" text-anchor="middle" fill="#59616d" class="t-soft">+10 %</text>
<path d="M383,36V128" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="383" y="30" text-anchor="middle" fill="#59616d" class="t-soft">-10 %</text>
<path d="M641.3,36V128" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="641.3" y="30" text-anchor="middle" fill="#59616d" class="t-soft">+20 %</text>
<path d="M277.3,36V128" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="277.3" y="30" text-anchor="middle" fill="#59616d" class="t-soft">-20 %</text>
<path d="M713.2,36V128" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="713.2" y="30" text-anchor="middle" fill="#59616d" class="t-soft">+30 %</text>
<text x="469.6" y="12" text-anchor="end" fill="#1d7d5a" class="t-good">← better</text>
<text x="485.6" y="12" text-anchor="start" fill="#b3261e" class="t-bad">worse →</text>
<text x="164" y="62" text-anchor="end" fill="#1c1f24" class="t-ink">all fleets</text>
<text x="218" y="62" text-anchor="end" fill="#59616d" class="t-soft">p50</text>
<rect x="432.7" y="49" width="89.8" height="18" fill="#6b7480" class="f-axis" fill-opacity="0.16"/>
<path d="M567.4,58h0M657.2,58h0M612.3,58h0" class="s-soft" stroke="#59616d" stroke-width="5" stroke-opacity="0.38" stroke-linecap="round" fill="none"/>
<path d="M576.4,58H666.2M576.4,54v8M666.2,54v8" class="s-bad" stroke="#b3261e" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<circle cx="612.3" cy="58" r="5" fill="#b3261e" stroke="#b3261e" stroke-width="1.6" class="f-bad s-bad"/>
<text x="842" y="62" text-anchor="start" fill="#b3261e" class="t-bad">+16.2 %  regression</text>
<text x="218" y="90" text-anchor="end" fill="#59616d" class="t-soft">p99</text>
<rect x="432.7" y="77" width="89.8" height="18" fill="#6b7480" class="f-axis" fill-opacity="0.16"/>
<path d="M495.6,86h0M450.7,86h0" class="s-soft" stroke="#59616d" stroke-width="5" stroke-opacity="0.38" stroke-linecap="round" fill="none"/>
<path d="M708.1,86H797.9M708.1,82v8M797.9,82v8" class="s-axis" stroke="#6b7480" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<circle cx="744" cy="86" r="5" fill="#ffffff" stroke="#6b7480" stroke-width="1.6" class="f-card s-axis"/>
<text x="842" y="90" text-anchor="start" fill="#59616d" class="t-soft">+34.5 %  not judged</text>
<text x="164" y="118" text-anchor="end" fill="#1c1f24" class="t-ink">meters in steady</text>
<text x="218" y="118" text-anchor="end" fill="#59616d" class="t-soft">p50</text>
<rect x="432.7" y="105" width="89.8" height="18" fill="#6b7480" class="f-axis" fill-opacity="0.16"/>
<path d="M298.1,114h0M298.1,114h0M298.1,114h0" class="s-soft" stroke="#59616d" stroke-width="5" stroke-opacity="0.38" stroke-linecap="round" fill="none"/>
<path d="M262.1,114H351.9M262.1,110v8M351.9,110v8" class="s-good" stroke="#1d7d5a" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<circle cx="298.1" cy="114" r="5" fill="#1d7d5a" stroke="#1d7d5a" stroke-width="1.6" class="f-good s-good"/>
<text x="842" y="118" text-anchor="start" fill="#1d7d5a" class="t-good">-18.1 %  improvement</text>
</svg>
"##);
}

#[test]
fn golden_pairs() {
    let (comparison, origin, runs) = small();
    let cell = pair::cells(&comparison)[0];
    let dots = pair::dots(&comparison, cell, &origin.trials, &runs.trials);
    insta::assert_snapshot!(lines(&pair::chart(cell, &dots)), @r##"
<svg xmlns="http://www.w3.org/2000/svg" width="530" height="232" viewBox="0 0 530 232" class="pairs" role="img" aria-label="Change of each pair in the order of time" font-size="11.5" font-family="sans-serif">
<rect x="74" y="122.7" width="440" height="53.6" fill="#6b7480" class="f-axis" fill-opacity="0.16"/>
<path d="M74,149.5H514" class="s-axis" stroke="#6b7480" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="66" y="153.5" text-anchor="end" fill="#59616d" class="t-soft">same</text>
<path d="M74,98.4H514" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="66" y="102.4" text-anchor="end" fill="#59616d" class="t-soft">+10 %</text>
<path d="M74,123.4H514" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="66" y="127.4" text-anchor="end" fill="#59616d" class="t-soft">+5 %</text>
<path d="M74,177H514" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="66" y="181" text-anchor="end" fill="#59616d" class="t-soft">-5 %</text>
<path d="M74,51.8H514" class="s-grid" stroke="#eceef0" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="66" y="55.8" text-anchor="end" fill="#59616d" class="t-soft">+20 %</text>
<path d="M74,69.1H514" class="s-soft" stroke="#59616d" stroke-width="1.2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke" stroke-dasharray="5 4"/>
<text x="514" y="226" text-anchor="end" fill="#59616d" class="t-soft">dashed: mean +16.2 %</text>
<path d="M367.3,34V190" class="s-axis" stroke="#6b7480" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke" stroke-dasharray="2 3"/>
<text x="372.3" y="30" text-anchor="start" fill="#59616d" class="t-soft">fresh pairs, to confirm</text>
<text x="110.7" y="206" text-anchor="middle" fill="#59616d" class="t-soft">1</text>
<text x="184" y="206" text-anchor="middle" fill="#59616d" class="t-soft">2</text>
<text x="257.3" y="206" text-anchor="middle" fill="#59616d" class="t-soft">2</text>
<text x="330.7" y="206" text-anchor="middle" fill="#59616d" class="t-soft">3</text>
<text x="404" y="206" text-anchor="middle" fill="#59616d" class="t-soft">1</text>
<text x="477.3" y="206" text-anchor="middle" fill="#59616d" class="t-soft">2</text>
<path d="M110.7,149.5V95.9M257.3,149.5V42.4M330.7,149.5V69.1M404,149.5V85.2M477.3,149.5V74.5" class="s-axis" stroke="#6b7480" stroke-width="1" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<path d="M105.7,95.9a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z" fill="#0b63b5" stroke="#0b63b5" stroke-width="1.8" class="f-resp s-resp"/>
<path d="M180,145.5l8,8m0-8l-8,8" class="s-axis" stroke="#6b7480" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<path d="M257.3,36.2l6.2,6.2-6.2,6.2-6.2-6.2z" fill="#c2550a" stroke="#c2550a" stroke-width="1.8" class="f-serv s-serv"/>
<path d="M325.7,69.1a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z" fill="#a36200" stroke="#a36200" stroke-width="1.8" class="f-warn s-warn"/>
<path d="M404,79l6.2,6.2-6.2,6.2-6.2-6.2z" fill="#ffffff" stroke="#c2550a" stroke-width="1.8" class="f-card s-serv"/>
<path d="M472.3,74.5a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z" fill="#ffffff" stroke="#0b63b5" stroke-width="1.8" class="f-card s-resp"/>
<text x="74" y="226" text-anchor="start" fill="#59616d" class="t-soft">pairs, in the order of time</text>
<path d="M75,13a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z" fill="#0b63b5" stroke="#0b63b5" stroke-width="1.8" class="f-resp s-resp"/>
<text x="90" y="17" text-anchor="start" fill="#59616d" class="t-soft">base first</text>
<path d="M167,6.8l6.2,6.2-6.2,6.2-6.2-6.2z" fill="#c2550a" stroke="#c2550a" stroke-width="1.8" class="f-serv s-serv"/>
<text x="177" y="17" text-anchor="start" fill="#59616d" class="t-soft">candidate first</text>
<path d="M280.5,13a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z" fill="#a36200" stroke="#a36200" stroke-width="1.8" class="f-warn s-warn"/>
<text x="295.5" y="17" text-anchor="start" fill="#59616d" class="t-soft">suspect</text>
<path d="M349.6,9l8,8m0-8l-8,8" class="s-axis" stroke="#6b7480" stroke-width="2" fill="none" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>
<text x="363.6" y="17" text-anchor="start" fill="#59616d" class="t-soft">run again</text>
</svg>
"##);
}

#[test]
fn the_decision_is_said_first_and_every_part_is_there() {
    let (comparison, origin, runs) = small();
    let page = document(&comparison, &origin, &runs, &link);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(place("<title>quickstart: regression · fix against main · squall") < place("class=\"lede\""));
    assert!(page.contains(
        "<b class=\"bad\">Regression</b>: the candidate is worse. <b>fix is 1.16 times slower at p50"
    ));
    let anchors = ["shift", "curve", "pairs", "table", "made"]
        .map(|anchor| place(&format!("<section id=\"{anchor}\"")));
    assert!(anchors.is_sorted(), "{anchors:?}");
    for words in
        ["1 pair was run again", "run again: a run was invalid (the machine was busy)", "fresh 2", "runs/b-3"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(page.matches("<h1>").count(), 1);
    assert!(page == document(&comparison, &origin, &runs, &link), "equal files give equal bytes");
}

#[test]
fn every_pair_stands_at_its_place_and_says_what_became_of_it() {
    let (comparison, origin, mut runs) = small();
    let cell = pair::cells(&comparison)[0];
    assert_eq!((cell.figure, cell.group.is_all()), (Figure::P50, true));
    let chart = |runs: &Runs| {
        let dots = pair::dots(&comparison, cell, &origin.trials, &runs.trials);
        (dots.len(), pair::chart(cell, &dots))
    };
    let (all, svg) = chart(&runs);
    assert_eq!(all, 6);
    for words in ["base first", "candidate first", "suspect", "run again", "fresh pairs, to confirm"] {
        assert!(svg.contains(words), "{words}: {svg}");
    }
    // A pair that no look took is in no chart.
    runs.trials[3].counts = false;
    assert_eq!(chart(&runs).0, 5);
}

#[test]
fn only_the_pairs_that_were_looked_at_count() {
    let (mut comparison, origin, _) = small();
    let counts = |comparison: &Comparison| run::counted(comparison, &origin.trials);
    assert_eq!(counts(&comparison), [true, false, true, true, true, true]);
    comparison.design.pairs = 2;
    comparison.confirmation = None;
    assert_eq!(counts(&comparison), [true, false, true, false, false, false]);
    comparison.design.pairing = crate::compare::Pairing::Unpaired;
    assert_eq!(counts(&comparison)[..4], [true, false, true, true]);
}

/// A comparison with more of everything than a page has room for.
fn crowded() -> (Comparison, Origin, Runs) {
    let (mut comparison, mut origin, mut runs) = small();
    let evil = "<&>\"'".repeat(10_000);
    comparison.scenario.clone_from(&evil);
    comparison.base.label.clone_from(&evil);
    comparison.candidate.label.clone_from(&evil);
    comparison.reasons = vec![evil.clone(); 50];
    comparison.design.plan_digests = vec![evil.clone(); 3];
    comparison.tool_versions = vec![evil.clone(); 3];
    let changes: Vec<f64> = (0..1_000).map(|nth| f64::from(nth * 7_919 % 100) / 100.0 - 0.3).collect();
    comparison.cells = (0..600)
        .flat_map(|nth| {
            let fleet = if nth == 0 { "all".to_owned() } else { format!("{nth}{}", &evil[..60]) };
            Figure::ALL.map(|figure| cell(&fleet, figure, &changes, Some(Decision::Regression)))
        })
        .collect();
    let fresh = Comparison { confirmation: None, ..comparison.clone() };
    comparison.confirmation = Some(Box::new(fresh));
    let trial = |number: u32| Trial {
        number,
        is_fresh: number > 1_000,
        base_first: Some(number.is_multiple_of(2)),
        runs: ["a", "b"].map(|side| Some(PathBuf::from(format!("{side}-{}", &evil[..80])))),
        discarded: number.is_multiple_of(3).then(|| evil.clone()),
    };
    origin.trials = (0..2_000).map(trial).collect();
    origin.facts = vec![("base", evil.clone()); 30];
    let facts = |_| TrialFacts { counts: true, judgements: [Some(Judgement::Suspect); 2] };
    runs.trials = (0..2_000).map(facts).collect();
    runs.builds = [build(1, 1_000), build(2, 1_000)];
    let budget = serde_json::from_value::<crate::results::BudgetResult>(
        json!({"demand": evil, "fleet": evil, "measured": null, "met": false, "name": &evil[..400]}),
    );
    let demand = |_| Demand { result: budget.as_ref().unwrap().clone(), met: [3, 2], judged: [4, 4] };
    runs.demands = (0..100).map(demand).collect();
    (comparison, origin, runs)
}

#[test]
fn the_page_of_a_thousand_pairs_is_under_half_a_megabyte_and_loads_nothing() {
    let (comparison, origin, runs) = crowded();
    let page = document(&comparison, &origin, &runs, &link);
    let sizes: Vec<_> =
        page.split("<section id=").map(|part| (part.get(..12).unwrap_or_default(), part.len())).collect();
    assert!(page.len() < 500_000, "{} bytes: {sizes:?}", page.len());
    let without = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!without.contains("https:") && !without.contains("http:"), "no address but the name of SVG");
    for tag in page.split("<svg").skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        assert!(tag.contains(" width=\"") && tag.contains(" height=\""), "{tag}");
    }
    for tag in page.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        let names: String = tag.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let mut words = names.split(' ').filter(|word| word.ends_with('='));
        assert!(!words.any(|word| word.starts_with("on") || word == "style="), "{tag}");
    }
}

#[test]
fn runs_that_are_not_paired_have_curves_and_figures_and_no_pairs() {
    let (mut comparison, mut origin, runs) = small();
    comparison.design.pairing = crate::compare::Pairing::Unpaired;
    comparison.confirmation = None;
    for cell in &mut comparison.cells {
        cell.differences.clear();
        cell.values.clear();
    }
    origin.trials.truncate(2);
    let page = document(&comparison, &origin, &runs, &link);
    assert!(!page.contains("id=\"pairs\"") && page.contains("id=\"curve\"") && page.contains("id=\"shift\""));
    assert!(!page.contains("href=\"#pairs\""), "no chip leads nowhere");
}
