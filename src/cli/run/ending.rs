//! The end of a run: its judgement, its last files, its report and its exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Driven, own_budgets, unwritable};
use crate::cli::args::RunArgs;
use crate::cli::exit::Exit;
use crate::cli::{CliError, report, settle, unanswered};
use crate::clock::{PacerKind, WallTime};
use crate::engine::{End, Figures, Level, OwnWait, Report, WorkerReport};
use crate::record::{ErrorKind, FleetId, Layout, Validity};
use crate::results::{
    self, BudgetResult, Calibration, OwnPause, Readings, Refused, RunState, SummaryRow, Totals, WorkerUse,
};
use crate::run::profile::Profile;
use crate::units::Quantile;

impl Driven {
    /// Judges the run, completes its files, prints the report, and says how the process exits.
    pub(super) fn conclude(mut self, args: &RunArgs, profile: Option<&Profile>) -> Result<Exit, CliError> {
        let totals = match self.totals {
            Ok(ref totals) => totals,
            Err(ref error) => {
                let error = unwritable(self.directory.path(), error);
                self.manifest.state = RunState::Failed;
                return Err(self.fail(error));
            }
        };
        let report = match &self.report {
            Ok(report) => report,
            Err(error) => {
                let error = CliError::failed(error);
                self.manifest.state = RunState::Failed;
                return Err(self.fail(error));
            }
        };
        let rows = totals.rows();
        let end = report.end;
        let readings = totals.readings(None);
        self.manifest.state = match end {
            End::Complete => RunState::Complete,
            End::Interrupted if self.interrupted.is_none() && self.early.is_some() => RunState::Aborted,
            End::Interrupted | End::Aborted => RunState::Interrupted,
        };
        let aborted = self.manifest.state == RunState::Aborted;
        let early = self.early.budget.take().map(|failed| BudgetResult { aborted, ..failed });
        let mut budgets = results::judge(totals, own_budgets(&self.plan, self.shard), early.as_ref());
        let refused = self.early.refused.take().filter(|_| aborted);
        let mut validity = self.validity(totals, &rows, refused.as_ref(), profile);
        results::confine(&mut validity, &mut budgets);
        let broken = self.plan.scenario().run.demand_delivery && !totals.broken_promises().is_empty();
        let failed = broken || budgets.iter().any(|budget| !budget.met);
        let exit = match refused {
            Some(_) => Exit::Failed,
            None => Exit::of_run(self.manifest.state, validity.verdict, readings.ok(), failed),
        };
        self.manifest.budgets = budgets;
        self.manifest.refused = refused.as_ref().map(Refused::sentence);
        // A worker that got no high-resolution timer decides what the run's instants are worth.
        if let Some(worker) = report.workers.iter().find(|worker| worker.pacer == PacerKind::TokioTimer) {
            worker.pacer.name().clone_into(&mut self.manifest.pacer.kind);
        }
        self.manifest.worker_use = report.workers.iter().map(worker_use).collect();
        self.manifest.pacing_lag = readings.pacing_lag();
        self.manifest.calibration =
            profile.and_then(|profile| calibration(profile, totals, self.plan.layout()));
        self.manifest.anomaly_rows_omitted = totals.anomaly_rows_omitted;
        self.manifest.fault_spells_omitted = totals.fault_spells_omitted;
        self.manifest.switches_omitted = totals.switches_omitted;
        self.manifest.delivery = totals.deliveries();
        self.manifest.failures = totals.reasons();
        self.journal.switched(&totals.late_switches);
        self.manifest.validity = Some(validity);
        self.manifest.exit_code = Some(exit.code());
        self.manifest.ended = Some(WallTime::now().to_string());
        self.write(&rows).map_err(|error| unwritable(self.directory.path(), &error))?;
        let told =
            results::Report::load(self.directory.path()).map_err(CliError::failed).and_then(|report| {
                report::tell(&report, &args.outputs, args.json)?;
                Ok(refused.map_or_else(|| unanswered(&report), |refused| refused.sentence()))
            });
        let why = told.as_ref().ok().cloned().unwrap_or_default();
        match settle(exit, told.map(drop)) {
            Ok(Exit::Failed) => Err(CliError::failed(why)),
            Err(error) => Err(self.fail(error)),
            settled => settled,
        }
    }

    /// The judgement of the measurement. That nothing came due is the service's doing where it refused or never answered.
    fn validity(
        &self,
        totals: &Totals,
        rows: &[SummaryRow],
        refused: Option<&Refused>,
        profile: Option<&Profile>,
    ) -> Validity {
        let readings = totals.readings(None);
        let complete = self.report.as_ref().is_ok_and(|report| report.end == End::Complete);
        match refused {
            Some(refused) if readings.planned() == 0 => Validity::valid(refused.sentence()),
            // Closed devices that are never answered send nothing more.
            None if readings.planned() == 0 && complete && !totals.failures().is_empty() => Validity::valid(
                "no reading came due in the measured phases: none before was answered".to_owned(),
            ),
            _ => self.figures(totals, &readings, rows, profile).judge(),
        }
    }

    /// Marks the run as failed, as far as its files can still be written, and passes the error on.
    fn fail(&mut self, error: CliError) -> CliError {
        self.manifest.exit_code = Some(error.exit.code());
        self.manifest.ended = Some(WallTime::now().to_string());
        // If this fails too, the manifest still says that the run is under way, which readers take for a killed run.
        let _ = self.directory.write_manifest(&self.manifest);
        error
    }

    fn write(&mut self, rows: &[SummaryRow]) -> io::Result<()> {
        if let Ok(report) = &self.report {
            if let Some(at) = self.interrupted {
                self.journal.note(at, "interrupted", "no further reading was sent")?;
            }
            let detail = if report.end == End::Aborted { "cut off" } else { "drained" };
            self.journal.note(report.finished, "end", detail)?;
        }
        self.journal.finish()?;
        if let Ok(totals) = &self.totals {
            self.directory.write_failures(totals)?;
        }
        self.directory.write_summary(rows)?;
        self.directory.write_manifest(&self.manifest)
    }

    /// What the judgement rests on.
    fn figures(
        &self,
        totals: &Totals,
        readings: &Readings,
        rows: &[SummaryRow],
        profile: Option<&Profile>,
    ) -> Figures {
        let complete = self.report.as_ref().is_ok_and(|report| report.end == End::Complete);
        let workers = self.report.as_ref().map(|report| report.workers.as_slice()).unwrap_or_default();
        let report = self.report.as_ref().ok();
        let stalls = workers.iter().map(|worker| worker.stalls).max_by_key(|stalls| stalls.total_ns);
        let stalls = stalls.unwrap_or_default();
        let begin = self.plan.measuring_starts();
        let measured_s = report.map_or(0.0, |report| report.finished.since(begin) as f64 / 1e9);
        // As many replies as came in that time may have been stamped late.
        let late = (stalls.total_ns as f64 / 1e9 / measured_s.max(1e-9)).min(1.0);
        let overrun = workers.iter().map(|worker| worker.overrun).max().unwrap_or_default();
        let length = self.plan.end().since(self.plan.measuring_starts()) as f64 / 1e9;
        Figures {
            planned: readings.planned(),
            expected: if complete { self.expected() } else { None },
            levels: levels(readings, late),
            pacing_lag_p98_ns: readings.pacing_lag_ns(Quantile::of(0.98)),
            floor_ns: profile.and_then(|profile| self.floor_ns(profile)).unwrap_or(0),
            measured_s,
            standstills: report.map(|report| report.standstills).unwrap_or_default(),
            stalls,
            throttling: report.and_then(|report| report.throttling),
            overrun: complete.then_some((length, overrun.as_secs_f64())),
            stolen: report.and_then(|report| stolen_share(report, self.manifest.host.cores)),
            worker_cpu: workers.iter().filter_map(|worker| worker.busy).collect(),
            worker_starved: workers.iter().filter_map(|worker| worker.starved).collect(),
            resource_errors: rows.iter().map(|row| row.figures.errors(ErrorKind::Resource)).sum(),
            scarce: self.scarce.clone(),
            overflow: rows.iter().filter(|row| !row.is_headline()).map(|row| row.figures.overflow).sum(),
            unaccounted: totals.unaccounted(),
            unheard: workers.iter().map(|worker| worker.unheard).sum(),
            own_waits: totals.own_pauses().iter().map(|pause| self.own_wait(pause)).collect(),
        }
    }

    fn own_wait(&self, pause: &OwnPause) -> OwnWait {
        let fleet = self.plan.fleet(pause.fleet);
        let phase = pause.phase.map(|phase| format!(" in {}", self.plan.layout().phase(phase).name));
        OwnWait {
            scope: format!("fleet {}{}", fleet.name, phase.unwrap_or_default()),
            first: fleet.backoff.first,
            quantile: pause.quantile,
            response_ns: pause.response_ns,
            without_ns: pause.without_ns,
        }
    }

    /// The least that any of the protocols spoken takes on this machine, nanoseconds.
    fn floor_ns(&self, profile: &Profile) -> Option<u64> {
        let floor = |name: &str| profile.drivers.get(name).map(|driver| driver.floor_p50_ns);
        self.plan.layout().fleets.iter().filter_map(|fleet| floor(fleet.protocol.name())).min()
    }

    /// Readings the plan has in the measured phases for the devices driven, and how far chance may take a run from that; `None` where a fleet is
    /// closed, or a law of arrival has no variance.
    fn expected(&self) -> Option<(f64, f64)> {
        let (mut expected, mut variance) = (0.0, 0.0);
        for fleet in 0..self.plan.layout().fleets.len() {
            let fleet = FleetId(fleet as u16);
            let own: f64 = self
                .plan
                .measured_phases()
                .map(|phase| self.plan.expected_of_shard(phase, fleet, self.shard))
                .sum::<Option<f64>>()?;
            expected += own;
            // Grids stray by a reading per device and edge.
            variance +=
                self.plan.deviation(fleet, own)?.powi(2) + f64::from(self.plan.devices_of(fleet, self.shard));
        }
        Some((expected, variance.sqrt()))
    }
}

/// The percentiles that are judged, with a share of the longest times left out that may be of replies stamped `late`.
fn levels(readings: &Readings, late: f64) -> Vec<Level> {
    let earlier = |quantile: Quantile| Quantile::of(quantile.fraction() * (1.0 - late));
    let level = |quantile: Quantile| {
        Some(Level {
            quantile,
            lag_ns: readings.pacing_lag_ns(quantile)?,
            service_ns: readings.service_ns(earlier(quantile)).unwrap_or(0),
            response_ns: readings
                .response(earlier(Level::of_response(quantile)))
                .map_or(0, |percentile| percentile.ns),
        })
    };
    Figures::JUDGED.into_iter().filter_map(level).collect()
}

/// The share of the machine's processor time that the hypervisor gave to others during the run.
fn stolen_share(report: &Report, cores: u32) -> Option<f64> {
    let wall = report.workers.iter().map(|worker| worker.wall).max()?;
    Some(report.stolen?.as_secs_f64() / (wall.as_secs_f64() * f64::from(cores)).max(1e-9))
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
