//! The parts of the page that are words and tables: every figure, budgets, and how the comparison was made.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::labels;
use super::origin::{Origin, Trial};
use super::run::{Runs, TrialFacts};
use crate::compare::{Cell, Comparison, Group, Pairing};
use crate::display::Tone;
use crate::display::comparison::{change, header, notes, row, tone};
use crate::page::escape::{Escaped, clip};
use crate::page::section::{MOST_ROWS, address, facts, machine, scenario};
use crate::page::table::{Align, Cell as Shown, Table};
use crate::page::{STYLE, card, soft};
use crate::record::Judgement;
use crate::units::{part_of, plural};

/// Figures in the table.
const MOST_FIGURES: usize = 250;
/// Pairs in the list of runs.
const MOST_TRIALS: usize = 120;
/// Of why a pair was run again.
const LONGEST_REMARK: usize = 200;

/// Every figure with its change, how sure that is, and what is said of it.
pub(super) fn figures(comparison: &Comparison) -> String {
    let [base, candidate] = labels(comparison);
    let [figure, numbers @ .., verdict] = header(&base, &candidate);
    let left = |name| (name, Align::Left);
    let numbers = numbers.into_iter().chain(["no difference within"]).map(|name| (name, Align::Right));
    let columns = [left(figure)].into_iter().chain(numbers).chain([left(verdict)]);
    let mut table = Table::new("every figure", columns);
    let cells = ordered(&comparison.cells);
    let mut group = None;
    for cell in cells.iter().take(MOST_FIGURES) {
        if group != Some(&cell.group) {
            group = Some(&cell.group);
            table.heading(&cell.group.to_string());
        }
        let mut texts: Vec<_> = row(cell, STYLE).iter().map(|text| Shown::text(text.trim())).collect();
        let within = change(cell, cell.threshold, true).replace('+', "±");
        if let (Some(said), Some(tone)) = (texts.pop(), tone(cell).or(Some(Tone::Strong))) {
            texts.push(Shown::text(&within));
            texts.push(said.toned(tone));
        }
        table.row(texts);
    }
    let mut said: Vec<String> = Vec::new();
    let more = cells.len().saturating_sub(MOST_FIGURES);
    if more > 0 {
        said.push(format!("{}: squall compare --json has all", plural(more as u64, "further figure")));
    }
    said.extend(notes(comparison).into_iter().map(|(text, _)| text));
    said.push("p is adjusted for all judged figures together".to_owned());
    card(&(table.draw() + &soft(&said.join(" · "))))
}

/// All fleets first; of more cells than there is room for, those of groups with a claim next.
fn ordered(cells: &[Cell]) -> Vec<&Cell> {
    let mut ordered: Vec<_> = cells.iter().collect();
    if cells.len() > MOST_FIGURES {
        let claiming: BTreeSet<&Group> =
            cells.iter().filter(|cell| cell.claim().is_some()).map(|cell| &cell.group).collect();
        ordered.sort_by_key(|cell| (!cell.group.is_all(), !claiming.contains(&cell.group)));
    }
    ordered
}

/// What the budgets of the runs come to, in a word for a chip; nothing without a budget.
pub(super) fn budget_word(runs: &Runs) -> Option<(Tone, String)> {
    let failed =
        |side: usize| runs.demands.iter().filter(|demand| demand.met[side] < demand.judged[side]).count();
    let all = runs.demands.len();
    let budgets = |failed: usize| part_of(failed as u64, all as u64, "budget");
    match (all, failed(0), failed(1)) {
        (0, ..) => None,
        (_, 0, 0)
            if runs
                .demands
                .iter()
                .any(|demand| demand.judged != runs.builds.each_ref().map(|build| build.runs)) =>
        {
            Some((Tone::Good, "budgets met where they were judged".to_owned()))
        }
        (_, 0, 0) => Some((Tone::Good, "budgets met in every run".to_owned())),
        (_, base, 0) => Some((Tone::Good, format!("{} failed in runs of the base alone", budgets(base)))),
        (_, 0, candidate) => {
            Some((Tone::Bad, format!("{} failed in runs of the candidate alone", budgets(candidate))))
        }
        (_, base, candidate) => {
            Some((Tone::Bad, format!("{} failed in some run", budgets(base.max(candidate)))))
        }
    }
}

/// In how many runs of each build each budget was met.
pub(super) fn budgets(comparison: &Comparison, runs: &Runs) -> String {
    if runs.demands.is_empty() {
        return String::new();
    }
    let [base, candidate] = labels(comparison);
    let columns = ["budget", "demanded", &base, &candidate].map(|name| (name, Align::Left));
    let mut table = Table::new("budgets", columns);
    for demand in runs.demands.iter().take(MOST_ROWS) {
        let cells = [0, 1].map(|side| {
            let (met, judged) = (demand.met[side], demand.judged[side]);
            let tone = if met < judged { Tone::Bad } else { Tone::Good };
            let words = match judged {
                0 => "not judged".to_owned(),
                _ => format!("met in {}", part_of(met as u64, judged as u64, "run")),
            };
            Shown::text(&words).toned(if judged == 0 { Tone::Warning } else { tone })
        });
        let subject = [Shown::text(&demand.result.subject()), Shown::text(&demand.result.demand)];
        table.row(subject.into_iter().chain(cells).collect());
    }
    let more = runs.demands.len().saturating_sub(MOST_ROWS);
    let more = if more > 0 { soft(&plural(more as u64, "further budget")) } else { String::new() };
    card(&(table.draw() + &more))
}

/// How the comparison was made, on what, and where the runs are.
pub(super) fn made(
    comparison: &Comparison,
    origin: &Origin,
    runs: &Runs,
    link: &dyn Fn(&Path) -> String,
) -> String {
    let mut rows = method(comparison);
    rows.extend(origin.facts.iter().cloned());
    rows.extend(runs.hosts.iter().map(|host| ("generator", machine(host))));
    if let Some(first) = &runs.first {
        rows.push(("overrides", first.scenario.overrides.join(" ")));
        rows.extend(
            first.fleets.iter().take(MOST_ROWS).map(|fleet| ("target of the first run", fleet.sentence())),
        );
    }
    let mut out = facts(&rows);
    out += &trials(comparison, origin, runs, link);
    out += &runs.first.as_ref().map(|first| scenario(&first.scenario.text)).unwrap_or_default();
    let files: Vec<_> = origin.files.iter().map(|file| anchor(&link(file), &name_of(file))).collect();
    if !files.is_empty() {
        let _ = write!(
            out,
            "<p class=\"soft\">Files of the comparison, as long as this page stands where it was written: {}</p>",
            files.join(", ")
        );
    }
    card(&out)
}

fn method(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let design = &comparison.design;
    let pairing = match design.pairing {
        Pairing::Paired => {
            "a pair of runs, one of each build, with equal plans; each pair has a plan of its own where squall ab \
                            made it"
        }
        Pairing::Unpaired => "a run: runs of other times or places than those they are compared with",
        Pairing::Single => "none: one run of each build shows not by how much runs differ by chance",
    };
    let looks = comparison.looks.iter();
    let looks = looks.map(|look| {
        format!("{} at {}: {}", plural(look.pairs.into(), "pair"), look.alpha, look.verdict.name())
    });
    let fresh = comparison.confirmation.as_deref();
    let fresh = fresh.map(|fresh| {
        let pairs = plural(fresh.design.pairs.into(), "fresh pair");
        format!("{pairs} at {}: {}", fresh.design.alpha, fresh.verdict.name())
    });
    let order = comparison.order_effect.map(|effect| {
        let error = comparison.order_error().map(|error| format!(" ± {:.1} %", libm::expm1(error) * 100.0));
        let more = libm::expm1(effect) * 100.0;
        format!("p50 changes by {more:+.1} %{} more where the base runs first", error.unwrap_or_default())
    });
    vec![
        ("unit of inference", pairing.to_owned()),
        ("false alarms", format!("at most {} % of comparisons of equal builds", design.alpha * 100.0)),
        ("looks", looks.collect::<Vec<_>>().join("; ")),
        ("confirmation", fresh.unwrap_or_default()),
        ("order of runs", order.unwrap_or_default()),
        ("seed of the permutations", design.seed.clone()),
        ("plan digests", digests(&design.plan_digests)),
        ("versions of squall", comparison.tool_versions.join(", ")),
    ]
}

/// The beginnings of digests, as far as there is room.
fn digests(digests: &[String]) -> String {
    let short: Vec<String> =
        digests.iter().take(30).map(|digest| digest.chars().take(12).collect()).collect();
    short.join(" ")
}

/// The runs with links to them, pair by pair.
fn trials(comparison: &Comparison, origin: &Origin, runs: &Runs, link: &dyn Fn(&Path) -> String) -> String {
    if origin.trials.is_empty() {
        return String::new();
    }
    let [base, candidate] = labels(comparison);
    let columns = ["pair", "ran first", &base, &candidate, "remark"].map(|name| (name, Align::Left));
    let mut table = Table::new("runs", columns);
    for (trial, facts) in origin.trials.iter().zip(&runs.trials).take(MOST_TRIALS) {
        let kind = if trial.is_fresh { "fresh " } else { "" };
        let first = match trial.base_first {
            Some(true) => base.as_str(),
            Some(false) => candidate.as_str(),
            None => "",
        };
        let mut cells = vec![Shown::text(&format!("{kind}{}", trial.number)), Shown::text(first)];
        cells.extend([0, 1].map(|side| run(trial, facts, side, link)));
        let remark = match (&trial.discarded, facts.counts) {
            (Some(why), _) => format!("run again: {why}"),
            (None, false) => "not looked at".to_owned(),
            (None, true) => String::new(),
        };
        cells.push(Shown::text(&clip(&remark, LONGEST_REMARK)).wrapped());
        table.row(cells);
    }
    let more = origin.trials.len().saturating_sub(MOST_TRIALS);
    let more = if more > 0 { soft(&plural(more as u64, "further one")) } else { String::new() };
    format!("<details><summary>runs</summary>{}{more}</details>", table.draw())
}

fn run(trial: &Trial, facts: &TrialFacts, side: usize, link: &dyn Fn(&Path) -> String) -> Shown {
    let Some(directory) = &trial.runs[side] else { return Shown::text("") };
    let judgement = facts.judgements[side].map_or("", Judgement::name);
    Shown::markup(format!("{} {judgement}", anchor(&link(directory), &name_of(directory))))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn anchor(reference: &str, words: &str) -> String {
    let reference = address(reference);
    format!("<a href=\"{}\">{}</a>", reference.trim_end_matches('/'), Escaped(clip(words, 60)))
}
