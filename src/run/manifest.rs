//! The manifest of a run as it begins.

use super::Run;
use super::drive::own_budgets;
use crate::clock::{Monotonic, PacerKind, Tick, WallTime};
use crate::engine;
use crate::record::{FleetId, Layout, Shard};
use crate::results::{
    self, ClockFacts, Demand, Host, Manifest, PacerFacts, PlanAlteration, PlanFacts, RunDirectory, RunState,
    ScenarioText, ShardFacts, StartFacts,
};
use crate::scenario::Plan;

/// Devices of a fleet that joins or leaves on which its expected rate rests: a run must not wait for the sum over all of them.
const SAMPLE: u32 = 256;

/// The manifest of a run that is about to begin.
pub(super) fn manifest(run: &Run, directory: &RunDirectory, started: WallTime) -> Manifest {
    let Run { plan, targets, settings, workers, .. } = run;
    let scenario = plan.scenario();
    let part = settings.part;
    Manifest {
        schema: results::SCHEMA,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        label: settings.label.clone(),
        run_id: directory.run_id().to_owned(),
        state: RunState::Running,
        seed: scenario.seed.to_string(),
        plan_digest: plan.digest().to_owned(),
        plan: Some(planned(plan, part.shard())),
        run_token: Some(run.token),
        scenario: ScenarioText {
            name: scenario.name.clone(),
            text: scenario.text.clone(),
            overrides: scenario.overrides.clone(),
        },
        started: started.to_string(),
        ended: None,
        host: Host::here(),
        clock: ClockFacts { resolution_ns: Monotonic::start().resolution_ns(), moved_ns: None },
        pacer: PacerFacts {
            kind: PacerKind::expected().name().to_owned(),
            slack_ns: 0,
            awake_ns: engine::AWAKE_NS,
        },
        workers: u32::try_from(*workers).unwrap_or(u32::MAX),
        targets: targets.urls.clone(),
        fleets: targets.fleets.clone(),
        source_ips: targets.source_ips(),
        worker_use: Vec::new(),
        pacing_lag: None,
        calibration: None,
        validity: None,
        budgets: Vec::new(),
        anomaly_rows_omitted: 0,
        plan_altered: Vec::new(),
        faults_by_hand: 0,
        recovery: results::RecoveryRule::default(),
        fault_spells_omitted: 0,
        switches_omitted: 0,
        delivery: Vec::new(),
        failures: Vec::new(),
        refused: None,
        silences: Vec::new(),
        encounters: Vec::new(),
        shard: part.asked.map(|shard| facts(plan, shard)),
        start_at: part.start_at.map(|at| StartFacts { at: at.to_string(), late_ms: None }),
        merged: Vec::new(),
        subscribers: Vec::new(),
        lab: settings.lab.clone(),
        exit_code: None,
        reference: None,
        files: results::Seals::new(),
    }
}

/// Keeps `run.json` true while a run is under way whose plan somebody alters.
#[derive(Debug)]
pub(super) struct ManifestKeeper<'a> {
    manifest: &'a mut Manifest,
    directory: &'a RunDirectory,
    plan: &'a Plan,
    shard: Shard,
}

impl<'a> ManifestKeeper<'a> {
    /// One for the manifest of a run that drives the share `shard` of `plan`.
    pub(super) const fn new(
        manifest: &'a mut Manifest,
        directory: &'a RunDirectory,
        (plan, shard): (&'a Plan, Shard),
    ) -> Self {
        Self { manifest, directory, plan, shard }
    }

    /// Enters what the run has left out of its plan by `now`, and the plan as it is since then.
    pub(super) fn advance(&mut self, now: Tick) {
        let altered: Vec<_> = alterations(self.plan.layout(), now).collect();
        if altered.len() > self.manifest.plan_altered.len() {
            self.manifest.plan_altered = altered;
            self.manifest.plan = Some(planned(self.plan, self.shard));
            // If this fails, what ends the run writes it.
            let _ = self.directory.write_manifest(self.manifest);
        }
    }
}

/// What the run has left out of its plan by `now`.
fn alterations(layout: &Layout, now: Tick) -> impl Iterator<Item = PlanAlteration> + '_ {
    let omissions = layout.omissions().take_while(move |omission| omission.skip.at <= now);
    omissions.map(|omission| PlanAlteration {
        phase: layout.phase(omission.phase).name.clone(),
        at_s: omission.skip.at.as_secs_f64(),
        left_out_s: omission.skip.length_ns as f64 / 1e9,
        faults: omission.faults.iter().map(|fault| layout.fault(*fault).name.clone()).collect(),
    })
}

/// What is planned, all shards together.
fn planned(plan: &Plan, shard: Shard) -> PlanFacts {
    let layout = plan.layout();
    let drain_s = plan.scenario().run.drain.as_secs_f64();
    let facts = PlanFacts::new(layout, drain_s, |phase, fleet| {
        let (start, end) = layout.kept(&layout.phases[phase]);
        let readings = plan.estimated_between(FleetId(fleet as u16), start, end, SAMPLE)?;
        let length_s = end.since(start) as f64 / 1e9;
        Some(if length_s > 0.0 { readings / length_s } else { 0.0 })
    });
    PlanFacts { budgets: own_budgets(plan, shard).iter().map(Demand::of).collect(), ..facts }
}

fn facts(plan: &Plan, shard: Shard) -> ShardFacts {
    let elsewhere = plan.faults().iter().filter(|fault| !shard.leads() && !fault.effect.by_device());
    let scenario = plan.scenario();
    ShardFacts {
        shard,
        devices: shard.count(0, plan.devices()),
        faults_elsewhere: elsewhere.map(|fault| fault.name.clone()).collect(),
        budgets: scenario.budgets.iter().map(Demand::of).collect(),
        demand_delivery: scenario.run.demand_delivery,
    }
}
