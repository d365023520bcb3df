//! The manifest of a run as it begins.

use super::Run;
use super::drive::own_budgets;
use crate::clock::{Monotonic, PacerKind, WallTime};
use crate::engine;
use crate::record::{FleetId, Shard};
use crate::results::{
    self, ClockFacts, Demand, Host, Manifest, PacerFacts, PlanFacts, RunDirectory, RunState, ScenarioText,
    ShardFacts, StartFacts,
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
        clock: ClockFacts { resolution_ns: Monotonic::start().resolution_ns() },
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
        faults_by_hand: 0,
        recovery: results::RecoveryRule::default(),
        fault_spells_omitted: 0,
        switches_omitted: 0,
        delivery: Vec::new(),
        failures: Vec::new(),
        refused: None,
        encounters: Vec::new(),
        shard: part.asked.map(|shard| facts(plan, shard)),
        start_at: part.start_at.map(|at| StartFacts { at: at.to_string(), late_ms: None }),
        merged: Vec::new(),
        subscribers: Vec::new(),
        exit_code: None,
        reference: None,
        files: results::Seals::new(),
    }
}

/// What is planned, all shards together.
fn planned(plan: &Plan, shard: Shard) -> PlanFacts {
    let layout = plan.layout();
    let drain_s = plan.scenario().run.drain.as_secs_f64();
    let facts = PlanFacts::new(layout, drain_s, |phase, fleet| {
        let phase = &layout.phases[phase];
        let readings = plan.estimated_between(FleetId(fleet as u16), phase.start, phase.end, SAMPLE)?;
        let length_s = phase.end.since(phase.start) as f64 / 1e9;
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
