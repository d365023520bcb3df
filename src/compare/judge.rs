//! From stored runs to a [`Comparison`].

use std::collections::BTreeSet;

use super::comparison::{
    Cell, CellDecision, Comparison, Decision, Design, Figure, Group, Pairing, SCHEMA, Side, Support,
    Unanswered, Withdrawal,
};
use super::decision::{CellContext, Estimate, Settings};
use super::evidence::{Evidence, Refusal, Value};
use super::reason;
use super::statistic::{Tail, median, moments, relabel, sign_flip};
use crate::results::ALL;

/// Runs of both builds that were made one right after the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    /// The run of the base.
    pub base: Evidence,
    /// The run of the candidate.
    pub candidate: Evidence,
    /// Whether the base ran first, where that is known.
    pub base_first: Option<bool>,
}

/// Compares builds by pairs of runs.
///
/// # Errors
/// If there is no pair, the runs of a pair differ in their plan, or a run is given twice or lacks what others have.
pub(crate) fn paired(pairs: &[Pair], settings: &Settings) -> Result<Comparison, Refusal> {
    let (base, candidate): (Vec<_>, Vec<_>) = pairs.iter().map(|pair| (&pair.base, &pair.candidate)).unzip();
    check(&base, &candidate)?;
    for pair in pairs {
        same_plan(&pair.base, &pair.candidate)?;
    }
    let pairing = if pairs.len() == 1 { Pairing::Single } else { Pairing::Paired };
    let firsts = pairs.iter().map(|pair| pair.base_first).collect::<Option<Vec<_>>>();
    let design = Design {
        pairing,
        pairs: pairs.len() as u32,
        alpha: settings.alpha,
        seed: settings.seed.to_string(),
        plan_digests: base.iter().map(|run| run.plan_digest.clone()).collect(),
        base_first: firsts.unwrap_or_default(),
    };
    let mut cells = differences(cell_inputs(&base, &candidate, settings));
    judge_paired(&mut cells, settings, None);
    Ok(conclude(&base, &candidate, design, cells))
}

/// Compares builds by runs that are not paired: of other times or machines. Advisory, for whatever changed besides the
/// build shows as a difference between builds.
///
/// # Errors
/// If a side has no run, the runs differ in their plans, or a run is given twice or lacks what others have.
pub(crate) fn unpaired(
    base: &[Evidence],
    candidate: &[Evidence],
    settings: &Settings,
) -> Result<Comparison, Refusal> {
    let (base, candidate): (Vec<_>, Vec<_>) = (base.iter().collect(), candidate.iter().collect());
    check(&base, &candidate)?;
    same_plans(&base, &candidate)?;
    let single = base.len() == 1 && candidate.len() == 1;
    let design = Design {
        pairing: if single { Pairing::Single } else { Pairing::Unpaired },
        pairs: base.len().min(candidate.len()) as u32,
        alpha: settings.alpha,
        seed: settings.seed.to_string(),
        plan_digests: digests(&base),
        base_first: Vec::new(),
    };
    let mut cell_inputs = cell_inputs(&base, &candidate, settings);
    if !single {
        let swapped = candidate[0].identity < base[0].identity;
        judge_unpaired(&mut cell_inputs, swapped, settings);
    }
    let cells = cell_inputs.into_iter().map(|raw| raw.cell).collect();
    let mut comparison = conclude(&base, &candidate, design, cells);
    comparison.gates = false;
    Ok(comparison)
}

/// Asks `fresh` pairs whether what `first` claims is so: only the cells it claimed are looked at, one-sided, and a claim that
/// does not hold again is withdrawn.
///
/// # Errors
/// As [`paired`].
pub(crate) fn confirm(first: Comparison, fresh: &[Pair], settings: &Settings) -> Result<Comparison, Refusal> {
    let mut second = paired(fresh, settings)?;
    let claim = |cell: &Cell| first.cells.iter().find(|own| own.is(cell)).and_then(Cell::claim);
    let claims: Vec<_> = second.cells.iter().map(claim).collect();
    judge_paired(&mut second.cells, settings, Some(&claims));
    settle(&mut second);
    let mut confirmed = first;
    let (mut held, first_verdict) = (false, confirmed.verdict);
    for cell in &mut confirmed.cells {
        let again = second.cells.iter().find(|own| own.is(cell)).and_then(Cell::claim);
        match cell.claim() {
            Some(claim) if again == Some(claim) => held |= claim == first_verdict,
            Some(_) => cell.verdict = Some(CellDecision::withdrawn(Withdrawal::NotConfirmed)),
            None => {}
        }
    }
    settle(&mut confirmed);
    confirmed.reasons.insert(0, reason::of_confirmation(held, fresh.len()));
    confirmed.confirmation = Some(Box::new(second));
    Ok(confirmed)
}

/// Makes sure that every plan has the same share of the runs on both sides: seeds differ as builds may.
fn same_plans(base: &[&Evidence], candidate: &[&Evidence]) -> Result<(), Refusal> {
    let of = |runs: &[&Evidence], plan: &str| runs.iter().filter(|run| run.plan_digest == plan).count();
    let all = || base.iter().chain(candidate);
    let counts = |run: &Evidence| (of(base, &run.plan_digest), of(candidate, &run.plan_digest));
    let lone = all().find(|run| matches!(counts(run), (0, _) | (_, 0)));
    if let Some(lone) = lone {
        let stranger = all().find(|other| other.plan_digest != lone.plan_digest).unwrap_or(lone);
        return same_plan(lone, stranger);
    }
    for run in all() {
        let (left, right) = counts(run);
        if left * candidate.len() != right * base.len() {
            return Err(Refusal::Shares { run: run.run_id.clone(), base: left, candidate: right });
        }
    }
    Ok(())
}

/// The digests of the plans of `runs`, each once.
fn digests(runs: &[&Evidence]) -> Vec<String> {
    runs.iter().map(|run| run.plan_digest.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn check(base: &[&Evidence], candidate: &[&Evidence]) -> Result<(), Refusal> {
    for (runs, side) in [(base, "base"), (candidate, "candidate")] {
        if runs.is_empty() {
            return Err(Refusal::Empty { side });
        }
    }
    let mut seen = BTreeSet::new();
    match base.iter().chain(candidate).find(|run| !seen.insert(&run.identity)) {
        Some(run) => Err(Refusal::Twice { run: run.run_id.clone() }),
        None => Ok(()),
    }
}

fn same_plan(left: &Evidence, right: &Evidence) -> Result<(), Refusal> {
    if left.plan_digest == right.plan_digest {
        return Ok(());
    }
    let short = |run: &Evidence| run.plan_digest.chars().take(12).collect();
    Err(Refusal::Plans {
        left: left.run_id.clone(),
        right: right.run_id.clone(),
        left_digest: short(left),
        right_digest: short(right),
    })
}

/// A cell with the values it is made of, on the scale of inference.
struct CellInput {
    cell: Cell,
    base: Vec<f64>,
    candidate: Vec<f64>,
}

/// Every group and figure, with what was measured and nothing said yet.
fn cell_inputs(base: &[&Evidence], candidate: &[&Evidence], settings: &Settings) -> Vec<CellInput> {
    let all: Vec<_> = base.iter().chain(candidate).collect();
    let mut groups: Vec<&Group> = Vec::new();
    for group in all.iter().flat_map(|run| &run.groups) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    // A single part is all there is.
    if groups.iter().filter(|group| !group.is_all()).count() <= 1 {
        groups.retain(|group| group.is_all());
    }
    let of = |group: &Group, figure| raw(group, figure, base, candidate, settings);
    groups.into_iter().flat_map(|group| Figure::ALL.map(|figure| of(group, figure))).collect()
}

fn raw(
    group: &Group,
    figure: Figure,
    base: &[&Evidence],
    candidate: &[&Evidence],
    settings: &Settings,
) -> CellInput {
    let values =
        |runs: &[&Evidence]| -> Vec<Value> { runs.iter().map(|run| run.value(group, figure)).collect() };
    let (base, candidate) = (values(base), values(candidate));
    let support = base.iter().chain(&candidate).map(|value| value.support).max().unwrap_or(Support::None);
    let logs = figure.quantile().is_some();
    let scaled = |values: &[Value]| -> Vec<f64> {
        let known = values.iter().all(|value| value.support != Support::None);
        let scale = |value: &Value| if logs { value.value.ln() } else { value.value };
        if known { values.iter().map(scale).collect() } else { Vec::new() }
    };
    let (base, candidate) = (scaled(&base), scaled(&candidate));
    let mean = |values: &[f64]| (!values.is_empty()).then(|| moments(values).0);
    let typical = |mean: Option<f64>| mean.map(|mean| if logs { mean.exp() } else { mean });
    let (left, right) = (mean(&base), mean(&candidate));
    let (shown_base, shown_candidate) = (typical(left), typical(right));
    let threshold = settings.thresholds.of(figure, shown_base.unwrap_or(0.0), shown_candidate.unwrap_or(0.0));
    let cell = Cell {
        group: group.clone(),
        figure,
        support,
        base: shown_base,
        candidate: shown_candidate,
        effect: left.zip(right).map(|(base, candidate)| candidate - base),
        median: None,
        ci95: None,
        ci90: None,
        spread: None,
        p_adjusted: None,
        threshold,
        differences: Vec::new(),
        values: Vec::new(),
        verdict: None,
    };
    CellInput { cell, base, candidate }
}

/// The cells of runs in pairs, with their differences.
fn differences(cell_inputs: Vec<CellInput>) -> Vec<Cell> {
    let of = |raw: CellInput| {
        let pairs = || raw.base.iter().zip(&raw.candidate);
        let differences: Vec<f64> = pairs().map(|(base, candidate)| candidate - base).collect();
        let logs = raw.cell.figure.quantile().is_some();
        let value = |value: f64| if logs { value.exp() } else { value };
        let values = pairs().map(|(base, candidate)| [value(*base), value(*candidate)]).collect();
        Cell { median: median(&differences), differences, values, ..raw.cell }
    };
    cell_inputs.into_iter().map(of).collect()
}

impl Cell {
    fn estimated(&mut self, estimate: &Estimate) {
        self.effect = Some(estimate.effect);
        self.ci95 = Some(estimate.interval(0.95));
        self.ci90 = Some(estimate.interval(0.9));
        self.spread = Some(estimate.spread);
    }

    /// Whether it is about the same group and figure.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.group == other.group && self.figure == other.figure
    }

    /// Regression or improvement, if that is said of it.
    pub(crate) fn claim(&self) -> Option<Decision> {
        let verdict = self.verdict?.verdict;
        matches!(verdict, Decision::Regression | Decision::Improvement).then_some(verdict)
    }
}

/// Judges cells by their differences: all that can be judged against each other, or those of `claims` alone and one-sided.
pub(super) fn judge_paired(cells: &mut [Cell], settings: &Settings, claims: Option<&[Option<Decision>]>) {
    let claim = |index: usize| claims.and_then(|claims| claims.get(index).copied().flatten());
    let mut judged = Vec::new();
    for (index, cell) in cells.iter_mut().enumerate() {
        (cell.verdict, cell.p_adjusted) = (None, None);
        let Some(estimate) = Estimate::paired(&cell.differences) else { continue };
        cell.estimated(&estimate);
        if cell.support == Support::Judged && (claims.is_none() || claim(index).is_some()) {
            judged.push((index, estimate));
        }
    }
    let oriented: Vec<Vec<f64>> = judged
        .iter()
        .map(|(index, _)| {
            let sign = if claim(*index) == Some(Decision::Improvement) { -1.0 } else { 1.0 };
            cells[*index].differences.iter().map(|difference| sign * difference).collect()
        })
        .collect();
    let oriented: Vec<&[f64]> = oriented.iter().map(Vec::as_slice).collect();
    let tail = if claims.is_some() { Tail::Upper } else { Tail::Both };
    let ps = sign_flip(&oriented, tail, settings.seed);
    let asked = CellContext { alpha: settings.alpha, cells: oriented.len() };
    for ((index, estimate), p) in judged.into_iter().zip(ps) {
        let cell = &mut cells[index];
        cell.p_adjusted = Some(p);
        cell.verdict = Some(estimate.judge(p, cell.threshold, asked));
    }
}

/// The same for runs that are not paired.
fn judge_unpaired(cell_inputs: &mut [CellInput], swapped: bool, settings: &Settings) {
    let mut judged = Vec::new();
    for (index, raw) in cell_inputs.iter_mut().enumerate() {
        let Some(estimate) = Estimate::unpaired(&raw.base, &raw.candidate) else { continue };
        raw.cell.estimated(&estimate);
        if raw.cell.support == Support::Judged {
            judged.push((index, estimate));
        }
    }
    // The same order of runs whichever side they are on, so that drawn labels are the same.
    let order = |raw: &CellInput| {
        if swapped {
            [&raw.candidate[..], &raw.base[..]].concat()
        } else {
            [&raw.base[..], &raw.candidate[..]].concat()
        }
    };
    let pooled: Vec<Vec<f64>> = judged.iter().map(|(index, _)| order(&cell_inputs[*index])).collect();
    let left = judged.first().map_or(0, |(index, _)| {
        let raw = &cell_inputs[*index];
        if swapped { raw.candidate.len() } else { raw.base.len() }
    });
    let ps = relabel(&pooled, left, settings.seed);
    let asked = CellContext { alpha: settings.alpha, cells: pooled.len() };
    for ((index, estimate), p) in judged.into_iter().zip(ps) {
        let cell = &mut cell_inputs[index].cell;
        cell.p_adjusted = Some(p);
        cell.verdict = Some(estimate.judge(p, cell.threshold, asked));
    }
}

fn conclude(base: &[&Evidence], candidate: &[&Evidence], design: Design, cells: Vec<Cell>) -> Comparison {
    let side = |runs: &[&Evidence]| {
        let labels: BTreeSet<_> = runs.iter().map(|run| run.label.as_str()).collect();
        Side {
            label: labels.into_iter().collect::<Vec<_>>().join(", "),
            runs: runs.iter().map(|run| run.run_id.clone()).collect(),
        }
    };
    let versions: BTreeSet<_> = base.iter().chain(candidate).map(|run| run.tool_version.clone()).collect();
    let mut comparison = Comparison {
        schema: SCHEMA,
        scenario: base[0].scenario.clone(),
        base: side(base),
        candidate: side(candidate),
        order_effect: order_effect(&cells, &design),
        design,
        verdict: Decision::Inconclusive,
        gates: true,
        not_worse: false,
        reasons: Vec::new(),
        suspect_runs: base.iter().chain(candidate).filter(|run| !run.doubts.is_empty()).count() as u32,
        tool_versions: if versions.len() > 1 { versions.into_iter().collect() } else { Vec::new() },
        unanswered: unanswered(base, candidate),
        cells,
        looks: Vec::new(),
        confirmation: None,
    };
    settle(&mut comparison);
    comparison
}

/// The fleets that the candidate answered in none of its runs.
fn unanswered(base: &[&Evidence], candidate: &[&Evidence]) -> Vec<Unanswered> {
    let silent = |run: &Evidence, fleet: &str| run.unanswered.iter().any(|own| own == fleet || own == ALL);
    let by = |runs: &[&Evidence], fleet: &str| runs.iter().all(|run| silent(run, fleet));
    let named: BTreeSet<_> = candidate.iter().flat_map(|run| &run.unanswered).collect();
    let found = named.into_iter().filter(|fleet| by(candidate, fleet));
    found.map(|fleet| Unanswered { fleet: fleet.clone(), by_base: by(base, fleet) }).collect()
}

/// Derives what is said as a whole from what is said of the cells.
fn settle(comparison: &mut Comparison) {
    withhold(&mut comparison.cells);
    for cell in &mut comparison.cells {
        if comparison.unanswered.iter().any(|own| own.empties(&cell.group)) {
            cell.verdict = None;
        }
    }
    let judged = || comparison.cells.iter().filter(|cell| cell.verdict.is_some());
    let said = |verdict| judged().any(|cell| cell.claim() == Some(verdict));
    // Shares are judged whatever the number of readings; without a response time they say too little.
    let enough = judged().any(|cell| cell.figure.quantile().is_some());
    let not_worse = enough && judged().all(not_worse);
    let all_same = judged().all(|cell| cell.verdict.is_some_and(|own| own.verdict == Decision::NoDifference));
    let verdict = if said(Decision::Regression) {
        Decision::Regression
    } else if said(Decision::Improvement) && !judged().any(points_to_worse) {
        Decision::Improvement
    } else if enough && all_same {
        Decision::NoDifference
    } else {
        Decision::Inconclusive
    };
    comparison.not_worse = not_worse;
    comparison.verdict = verdict;
    comparison.reasons = reason::of(comparison);
}

/// Whether a cell stands in the way of calling the candidate better: it looks worse by more than its threshold, however
/// uncertain, or may fail more.
fn points_to_worse(cell: &Cell) -> bool {
    let beyond = cell.effect.is_some_and(|effect| effect > cell.threshold);
    beyond || cell.figure.quantile().is_none() && !not_worse(cell)
}

fn not_worse(cell: &Cell) -> bool {
    cell.ci90.is_some_and(|[_, high]| high < cell.threshold) || cell.claim() == Some(Decision::Improvement)
}

/// Builds that fail differently by so much serve different loads: the response times of the one that fails more say
/// nothing in its favour.
const FAILS_OTHERWISE: f64 = 0.01;

/// Withdraws claims on response times that are in favour of the build that fails clearly more: who fails fast has less to
/// do.
fn withhold(cells: &mut [Cell]) {
    let excess: Vec<(Group, f64)> = cells
        .iter()
        .filter(|cell| cell.figure.quantile().is_none() && cell.claim().is_some())
        .filter_map(|cell| Some((cell.group.clone(), cell.effect?)))
        .filter(|(_, effect)| effect.abs() > FAILS_OTHERWISE)
        .collect();
    for cell in cells.iter_mut().filter(|cell| cell.figure.quantile().is_some()) {
        let opposed = |(group, excess): &(Group, f64)| {
            *group == cell.group && cell.effect.is_some_and(|effect| effect * excess < 0.0)
        };
        if cell.claim().is_some() && excess.iter().any(opposed) {
            cell.verdict = Some(CellDecision::withdrawn(Withdrawal::FailsMore));
        }
    }
}

/// The differences at the median of all fleets: of pairs that ran the base first, and of the others.
fn by_order(cells: &[Cell], design: &Design) -> Option<[Vec<f64>; 2]> {
    let cell = cells.iter().find(|cell| cell.figure == Figure::P50 && cell.group.is_all())?;
    let of = |first: bool| -> Vec<f64> {
        let zip = cell.differences.iter().zip(&design.base_first);
        zip.filter(|(_, own)| **own == first).map(|(difference, _)| *difference).collect()
    };
    let both = [of(true), of(false)];
    both.iter().all(|own| !own.is_empty()).then_some(both)
}

/// What running first does by itself, at the median of all fleets.
fn order_effect(cells: &[Cell], design: &Design) -> Option<f64> {
    let [first, second] = by_order(cells, design)?;
    Some(moments(&first).0 - moments(&second).0)
}

impl Comparison {
    /// Standard error of the order effect, from the scatter within each order; `None` for fewer than three pairs, or one
    /// order alone.
    pub fn order_error(&self) -> Option<f64> {
        let [first, second] = by_order(&self.cells, &self.design)?;
        let squares = |values: &[f64]| moments(values).1.powi(2) * (values.len() as f64 - 1.0);
        let (m, n) = (first.len() as f64, second.len() as f64);
        let variance = (squares(&first) + squares(&second)) / (m + n - 2.0);
        (m + n >= 3.0).then(|| (variance * (1.0 / m + 1.0 / n)).sqrt())
    }
}
