//! Whether a run measured anything: gathers what the engine judges validity by.

use super::profile::Profile;
use crate::engine::{End, Figures, FleetMet, Level, OwnWait, Report};
use crate::fault::Schedule;
use crate::record::{Cause, ErrorKind, FleetId, Judgement, RunToken, ScarceResource, Shard, Validity};
use crate::results::{OwnPause, Readings, Refused, Silence, SummaryRow, Totals};
use crate::scenario::{Fleet, Model, Plan};
use crate::units::Quantile;

/// Everything that the validity of a run rests on.
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a Plan,
    pub(super) shard: Shard,
    /// The run's token where another run may have it, too.
    pub(super) shared_token: Option<RunToken>,
    pub(super) report: &'a Report,
    pub(super) totals: &'a Totals,
    pub(super) rows: &'a [SummaryRow],
    /// What this machine ran out of, and how often.
    pub(super) scarce: &'a [(ScarceResource, u64)],
    pub(super) cores: u32,
    pub(super) profile: Option<&'a Profile>,
}

impl Evidence<'_> {
    /// The judgement of the measurement. That nothing came due is the service's doing where it refused or never answered.
    pub(super) fn validity(&self, refused: Option<&Refused>) -> Validity {
        let readings = self.totals.readings(None);
        let complete = self.report.end == End::Complete;
        match refused {
            Some(refused) if readings.planned() == 0 => Validity::valid(refused.sentence()),
            // Closed devices that are never answered send nothing more.
            None if readings.planned() == 0 && complete && self.is_silenced() => Validity::valid(
                "no reading came due in the measured phases: none before was answered".to_owned(),
            ),
            _ => self.figures(&readings).judge(),
        }
    }

    /// The fleets that the service left without an answer, or closed ones that could not reach it for more than half of the time
    /// measured: what faults of the scenario and refusals that it expects do not explain. What could not come due is told in
    /// `validity`, too. With faults switched `by_hand`, and of a run that was ended early, nothing is said.
    pub(super) fn silences(&self, by_hand: bool, validity: &mut Validity) -> Vec<Silence> {
        if self.report.end != End::Complete {
            return Vec::new();
        }
        let measured_ns = self.plan.end().since(self.plan.measuring_starts());
        let mut silences = Silence::unanswered(self.rows);
        let mut explained = Vec::new();
        for (fleet, number) in self.plan.scenario().fleets.iter().zip(0..) {
            let faulty_ns = self.faulty_ns(&fleet.name);
            if by_hand || fleet.refusal_expected || faulty_ns.saturating_mul(2) >= measured_ns {
                explained.push(fleet.name.as_str());
                continue;
            }
            let away_ns = self.report.away_ns(FleetId(number));
            let most = away_ns.saturating_sub(faulty_ns).saturating_mul(2) > measured_ns;
            if most && matches!(fleet.model, Model::Closed { .. }) {
                let seconds = |ns: u64| ns as f64 / 1e9;
                let cut_off = Silence::cut_off(&fleet.name, seconds(away_ns), seconds(measured_ns));
                validity.add(Judgement::Valid, Cause::Remark, cut_off.reason.clone());
                silences.retain(|silence| silence.fleet != cut_off.fleet);
                silences.push(cut_off);
            }
        }
        silences.retain(|silence| !explained.contains(&silence.fleet.as_str()));
        silences
    }

    /// For how much of the time measured a fault of the plan may act on the fleet of this name, nanoseconds.
    fn faulty_ns(&self, fleet: &str) -> u64 {
        let (from, to) = (self.plan.measuring_starts(), self.plan.end());
        let course = &self.plan.layout().course;
        let faults = self.plan.faults().iter().filter(|fault| fault.is_meant_for(fleet));
        let activations = faults.filter_map(|fault| fault.schedule.as_ref()).flat_map(Schedule::activations);
        // A phase that was ended early moves them, as it does the end.
        let kept = activations.filter_map(|on| course.shortened((on.start, on.end)));
        kept.map(|(start, end)| end.min(to).since(start.max(from))).sum()
    }

    /// Whether devices that send when they are answered may have stopped for what the service did.
    fn is_silenced(&self) -> bool {
        let is_closed = |fleet: &Fleet| matches!(fleet.model, Model::Closed { .. });
        let failed = !self.totals.failures().is_empty();
        failed && self.plan.scenario().fleets.iter().any(is_closed) && self.plan.unmeasured().is_empty()
    }

    /// What the judgement rests on.
    fn figures(&self, readings: &Readings) -> Figures {
        let (report, totals, rows) = (self.report, self.totals, self.rows);
        let complete = report.end == End::Complete;
        let workers = &report.workers;
        let stalls = workers.iter().map(|worker| worker.stalls).max_by_key(|stalls| stalls.total_ns);
        let stalls = stalls.unwrap_or_default();
        let begin = self.plan.measuring_starts();
        let measured_s = report.finished.since(begin) as f64 / 1e9;
        // As many replies as came in that time may have been stamped late.
        let late = (stalls.total_ns as f64 / 1e9 / measured_s.max(1e-9)).min(1.0);
        let overrun = workers.iter().map(|worker| worker.overrun).max().unwrap_or_default();
        let length = self.plan.end().since(self.plan.measuring_starts()) as f64 / 1e9;
        Figures {
            planned: readings.planned(),
            unmeasured: self.plan.unmeasured(),
            expected: if complete { self.expected() } else { None },
            levels: levels(readings, late),
            pacing_lag_p98_ns: readings.pacing_lag_ns(Quantile::of(0.98)),
            floor_ns: self.profile.and_then(|profile| self.floor_ns(profile)).unwrap_or(0),
            measured_s,
            standstills: report.standstills,
            stalls,
            throttling: report.throttling,
            overrun: complete.then_some((length, overrun.as_secs_f64())),
            stolen: stolen_share(report, self.cores),
            worker_cpu: workers.iter().filter_map(|worker| worker.busy).collect(),
            worker_starved: workers.iter().filter_map(|worker| worker.starved).collect(),
            resource_errors: rows.iter().map(|row| row.figures.errors(ErrorKind::Resource)).sum(),
            scarce: self.scarce.to_vec(),
            overflow: rows.iter().filter(|row| !row.is_headline()).map(|row| row.figures.overflow).sum(),
            unaccounted: totals.unaccounted(),
            undelivered: workers.iter().map(|worker| worker.undelivered).sum(),
            encounters: self.encounters(),
            own_waits: totals.own_pauses().iter().map(|pause| self.own_wait(pause)).collect(),
        }
    }

    fn encounters(&self) -> Vec<FleetMet> {
        let fleets = self.plan.scenario().fleets.iter().zip(0..);
        let met = fleets.map(|(fleet, at)| FleetMet {
            fleet: fleet.name.clone(),
            met: self.report.encounters(FleetId(at)),
            token: self.shared_token.filter(|_| !fleet.exchange.has_shared_ids(true)),
        });
        met.collect()
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
