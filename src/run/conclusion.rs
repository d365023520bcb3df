//! The end of a run: its conclusion, its last figures and its files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::RunError;
use super::drive::{Driven, fail, give_up, own_budgets};
use super::early::Early;
use super::journal::Journal;
use super::judgement::Evidence;
use super::profile::Profile;
use crate::clock::{PacerKind, Tick};
use crate::engine::{self, End, WorkerReport};
use crate::record::{Cause, FleetId, Judgement, Layout, Shard};
use crate::results::{
    self, BudgetResult, Calibration, Detections, FleetEncounters, Manifest, Refused, Report, RunDirectory,
    RunState, SummaryRow, Totals, WorkerUse,
};
use crate::scenario::Plan;
use crate::units::Quantile;

/// How a run ended, the gravest reason first to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// All went as asked.
    Fine,
    /// No reading of any fleet, or of one, was answered ok, every device of a fleet was refused for good, or the run could not be done.
    Failed,
    /// The generator was the bottleneck: the figures say nothing about the service.
    Invalid,
    /// A budget failed, or the service broke what the scenario demands of it.
    Budget,
    /// Somebody ended it early; the files are complete up to then.
    Interrupted,
}

impl Conclusion {
    /// How a run ended that got as far as `state` with `ok` readings of the measured phases answered; `failed` says that a budget
    /// failed or a demanded promise was broken, `silent` that the service left a fleet out.
    pub(crate) const fn of_run(
        state: RunState,
        verdict: Judgement,
        ok: u64,
        (failed, silent): (bool, bool),
    ) -> Self {
        match (state, verdict) {
            (RunState::Interrupted, _) => Self::Interrupted,
            // Figures that cannot be trusted fail no budget.
            (_, Judgement::Invalid) => Self::Invalid,
            (RunState::Complete, _) if ok == 0 => Self::Failed,
            _ if failed => Self::Budget,
            (RunState::Complete, _) if silent => Self::Failed,
            _ => Self::Fine,
        }
    }

    /// The exit code of a process that does just this run; it stands in the run's manifest.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Invalid => 12,
            Self::Budget => 99,
            Self::Interrupted => 130,
        }
    }
}

/// A run that has ended, been judged, and whose files are complete.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub conclusion: Conclusion,
    /// Which fleet the service refused for good, where that ended the run.
    pub refused: Option<String>,
    /// Whether the keys of the bundled system's cache were recorded, where the scenario asks for that.
    pub keys_recorded: Result<(), RunError>,
    /// Why its files do not hold all that was measured, where they do not.
    pub unwritten: Option<String>,
    pub(crate) totals: Totals,
    pub(crate) engine: engine::Report,
    directory: RunDirectory,
    manifest: Manifest,
}

impl Finished {
    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its figures, read from its files; from memory where these could not be written.
    ///
    /// # Errors
    /// If the files cannot be read.
    pub fn report(&self) -> Result<Report, RunError> {
        if self.unwritten.is_none() {
            return Report::load(self.directory()).map_err(RunError::failed);
        }
        Ok(Report {
            run: self.manifest.clone(),
            directory: self.directory().to_owned(),
            summary: self.totals.rows(),
            detection: Detections::default(),
            faults: self.totals.outages.clone(),
            failures: self.totals.failures(),
            delivery: self.manifest.delivery.clone(),
            rebuilt: None,
        })
    }

    /// Notes that the process exits otherwise than the run concluded, as far as the manifest can still be written.
    pub fn record_exit(&mut self, code: u8) {
        self.manifest.exit_code = Some(code);
        // If this fails, the manifest keeps the conclusion.
        let _ = self.directory.write_manifest(&self.manifest);
    }
}

impl Driven {
    /// Judges the run and completes its files.
    pub(super) fn conclude(
        mut self,
        profile: Option<&Profile>,
        keys_recorded: Result<(), RunError>,
    ) -> Result<Finished, RunError> {
        let path = self.directory.path();
        let driven = self.totals.map_err(|error| RunError::unwritable(path, &error));
        let driven = driven.and_then(|totals| Ok((totals, self.report.map_err(RunError::failed)?)));
        let (mut totals, engine) = driven.inspect_err(|_| fail(&mut self.manifest, &self.directory))?;
        let (rows, readings) = (totals.rows(), totals.readings(None));
        let state = reached(engine.end, self.interrupted.is_none() && self.early.is_some());
        let aborted = state == RunState::Aborted;
        let mut budgets = judged(&self.plan, self.shard, &totals, state, &self.early);
        let refused = self.early.refused.filter(|_| aborted);
        let evidence = Evidence {
            plan: &self.plan,
            shard: self.shard,
            shared_token: self.shared_token,
            report: &engine,
            totals: &totals,
            rows: &rows,
            scarce: &self.scarce,
            cores: self.manifest.host.cores,
            profile,
        };
        let mut validity = evidence.validity(refused.as_ref());
        if let Some(reason) = self.outside {
            validity.add(Judgement::Suspect, Cause::Outside, reason);
        }
        results::confine(&mut validity, &mut budgets);
        let silences = evidence.silences(self.manifest.faults_by_hand > 0, &mut validity);
        let broken = self.plan.scenario().run.demand_delivery && !totals.unkept_promises().is_empty();
        let failed = broken || budgets.iter().any(|budget| !budget.met);
        let reproached = (failed, !silences.is_empty());
        let conclusion = match refused {
            Some(_) => Conclusion::Failed,
            None => Conclusion::of_run(state, validity.verdict, readings.ok(), reproached),
        };
        let refused = refused.as_ref().map(Refused::sentence);
        self.manifest = Manifest {
            state,
            budgets,
            refused: refused.clone(),
            silences,
            pacing_lag: readings.pacing_lag(),
            calibration: profile.and_then(|profile| calibration(profile, &totals, self.plan.layout())),
            validity: Some(validity),
            exit_code: Some(conclusion.exit_code()),
            ..self.manifest
        };
        complete(&mut self.manifest, &totals, &engine);
        self.manifest.encounters = encounters(self.plan.layout(), &engine);
        self.manifest.ended = Some(self.lifetime.now().to_string());
        let (directory, mut manifest) = (self.directory, self.manifest);
        if totals.unwritten.is_none() {
            let figures = (&totals, &engine, rows.as_slice());
            let written = write(&directory, &mut manifest, &mut self.journal, self.interrupted, figures);
            totals.unwritten = written.err().map(|error| error.to_string());
        }
        let unwritten = totals.unwritten.as_ref();
        let unwritten = unwritten.map(|error| RunError::unwritable(directory.path(), error).to_string());
        let conclusion = if unwritten.is_some() {
            manifest.files.clear();
            give_up(&mut manifest, &directory);
            Conclusion::Failed
        } else {
            conclusion
        };
        Ok(Finished { conclusion, refused, keys_recorded, unwritten, totals, engine, directory, manifest })
    }
}

/// What became of the budgets of a run that has reached `state`.
fn judged(plan: &Plan, shard: Shard, totals: &Totals, state: RunState, early: &Early) -> Vec<BudgetResult> {
    let aborted = state == RunState::Aborted;
    let failed = early.budget.clone().map(|failed| BudgetResult { aborted, ..failed });
    let mut budgets = results::judge(totals, own_budgets(plan, shard), failed.as_ref());
    if state == RunState::Interrupted {
        results::cut_short(&mut budgets);
    } else if aborted && failed.is_some() {
        results::left_out(&mut budgets, plan.layout(), early.failed_at);
    }
    budgets
}

/// How far a run got that ended so; `early` says that squall itself ended it.
const fn reached(end: End, early: bool) -> RunState {
    match end {
        End::Complete => RunState::Complete,
        End::Interrupted if early => RunState::Aborted,
        End::Interrupted | End::Aborted => RunState::Interrupted,
    }
}

/// What the fleets met of other runs; those that met nothing are left out.
fn encounters(layout: &Layout, engine: &engine::Report) -> Vec<FleetEncounters> {
    let fleets = layout.fleets.iter().zip(0..);
    let met = fleets.map(|(fleet, at)| FleetEncounters {
        fleet: fleet.name.clone(),
        met: engine.encounters(FleetId(at)),
    });
    met.filter(|fleet| !fleet.met.is_none()).collect()
}

/// Enters what the workers report and the collector counted.
fn complete(manifest: &mut Manifest, totals: &Totals, engine: &engine::Report) {
    // A worker that got no high-resolution timer decides what the run's instants are worth.
    if let Some(worker) = engine.workers.iter().find(|worker| worker.pacer == PacerKind::TokioTimer) {
        worker.pacer.name().clone_into(&mut manifest.pacer.kind);
    }
    manifest.worker_use = engine.workers.iter().map(worker_use).collect();
    manifest.anomaly_rows_omitted = totals.anomaly_rows_omitted;
    manifest.fault_spells_omitted = totals.fault_spells_omitted;
    manifest.switches_omitted = totals.switches_omitted;
    manifest.delivery = totals.deliveries();
    manifest.failures = totals.reasons();
}

/// Writes the last events, the failures, the slowest readings, the summary and the manifest, in this order.
fn write(
    directory: &RunDirectory,
    manifest: &mut Manifest,
    journal: &mut Journal,
    interrupted: Option<Tick>,
    (totals, engine, rows): (&Totals, &engine::Report, &[SummaryRow]),
) -> io::Result<()> {
    journal.switched(&totals.late_switches);
    if let Some(at) = interrupted {
        journal.note(at, "interrupted", "no further reading was sent")?;
    }
    let detail = if engine.end == End::Aborted { "cut off" } else { "drained" };
    journal.note(engine.finished, "end", detail)?;
    journal.finish()?;
    directory.write_replaced(totals)?;
    directory.write_summary(rows)?;
    directory.seal(manifest)
}

fn worker_use(worker: &WorkerReport) -> WorkerUse {
    WorkerUse {
        wall_s: worker.wall.as_secs_f64(),
        cpu_s: worker.cpu.map(|cpu| cpu.as_secs_f64()),
        waited_s: worker.waited.as_secs_f64(),
        starved_share: worker.starved,
    }
}

/// The medians of the fleets against the machine's floor.
fn calibration(profile: &Profile, totals: &Totals, layout: &Layout) -> Option<Calibration> {
    let times = layout.fleets.iter().enumerate().filter_map(|(index, fleet)| {
        let median = totals.readings(Some(FleetId(index as u16))).response(Quantile::P50)?;
        let times = profile.times_floor(fleet.protocol.name(), median.ns).filter(|_| !median.censored)?;
        Some((fleet.name.clone(), times))
    });
    let times_floor: BTreeMap<_, _> = times.collect();
    let spoken: BTreeSet<_> = layout.fleets.iter().map(|fleet| fleet.protocol.name()).collect();
    let floor =
        |name: &&str| Some(((*name).to_owned(), profile.drivers.get(*name)?.floor_p50_ns as f64 / 1e6));
    let floor_p50_ms = spoken.iter().filter_map(floor).collect();
    let calibrated = profile.calibrated.clone();
    (!times_floor.is_empty()).then_some(Calibration { calibrated, times_floor, floor_p50_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Judgement;

    #[test]
    fn of_several_reasons_the_gravest_gives_the_code() {
        use Judgement::{Invalid, Suspect, Valid};
        use RunState::{Aborted, Complete, Interrupted};
        for (state, verdict, ok, failed, code) in [
            (Complete, Valid, 1, false, 0),
            (Complete, Suspect, 1, false, 0),
            (Complete, Valid, 1, true, 99),
            (Complete, Suspect, 1, true, 99),
            (Complete, Valid, 0, false, 1),
            (Complete, Valid, 0, true, 1),
            (Complete, Invalid, 1, false, 12),
            (Complete, Invalid, 1, true, 12),
            (Complete, Invalid, 0, true, 12),
            (Aborted, Valid, 1, true, 99),
            (Aborted, Valid, 0, true, 99),
            (Aborted, Invalid, 0, true, 12),
            (Interrupted, Valid, 1, false, 130),
            (Interrupted, Valid, 0, true, 130),
            (Interrupted, Invalid, 0, true, 130),
        ] {
            for (silent, code) in
                [(false, code), (true, if (state, code) == (Complete, 0) { 1 } else { code })]
            {
                let conclusion = Conclusion::of_run(state, verdict, ok, (failed, silent));
                assert_eq!(conclusion.exit_code(), code, "{state:?} {verdict:?} {ok} {failed} {silent}");
            }
        }
    }
}
