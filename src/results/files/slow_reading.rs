//! `slowest.csv`: the slowest readings of each phase and fleet, with what they are known by in the traces of the service.

use super::replaced::{millis, replaced_row, seconds};
use crate::record::{FleetId, Layout, PhaseId, RunToken, TraceContext, Traced};
use crate::results::record::slow_reading::{SlowReading, SlowReadings};

replaced_row! {
    "slowest.csv":
    /// A row of `slowest.csv`: one of the slowest readings of a phase and fleet.
    struct SlowRow {
    /// Phase in which it was due.
    phase: String,
    /// Fleet.
    fleet: String,
    /// Its protocol.
    protocol: String,
    /// Its device.
    device: String,
    /// Its number within the device.
    seq: u64,
    /// When it was due, seconds since the run began, to the microsecond.
    intended_s: f64,
    /// Completed − intended start; of what did not end ok the true time is at least that.
    response_ms: f64,
    /// Waiting for a connection, an in-flight slot or the plan; empty if it was never sent.
    backlog_wait_ms: Option<f64>,
    /// The generator's own lateness; empty if it was never sent.
    pacing_lag_ms: Option<f64>,
    /// Completed − actual start; empty if it was never sent.
    service_ms: Option<f64>,
    /// Of that, waiting in the service's queue; empty, as are the next three, where the service told nothing.
    stage_queue_ms: Option<f64>,
    /// Of that, the service's cache.
    stage_cache_ms: Option<f64>,
    /// Of that, the service's computing.
    stage_inference_ms: Option<f64>,
    /// Of that, what was not spent in the service: network and reply.
    stage_network_ms: Option<f64>,
    /// How it ended: `ok`, `shed`, `error`, `timeout`, `lost` or `dropped`.
    outcome: String,
    /// The id of its trace, 32 hexadecimal digits; empty where the fleet has none.
    trace_id: String,
    /// Whether it was flagged as sampled; empty where the fleet has no traces.
    sampled: Option<bool>,
    }
}

/// The rows of the file: by phase and fleet, the slowest first. `token` names the run.
pub(crate) fn rows(slow: &SlowReadings, layout: &Layout, token: Option<RunToken>) -> Vec<SlowRow> {
    let row = |(phase, fleet, reading): (PhaseId, FleetId, &SlowReading)| {
        let SlowReading { device, seq, stages, .. } = *reading;
        let fleet = layout.fleet(fleet);
        let name = fleet.device_name(device);
        let outside =
            stages.zip(reading.service_ns).map(|(stages, service)| service.saturating_sub(stages.total_ns));
        let trace = fleet
            .trace
            .zip(token)
            .map(|(share, token)| TraceContext::of(token, &name, Traced::Reading(seq), share));
        SlowRow {
            phase: layout.phase(phase).name.clone(),
            fleet: fleet.name.clone(),
            protocol: fleet.protocol.name().to_owned(),
            device: name,
            seq,
            intended_s: seconds(reading.intended),
            response_ms: millis(reading.response_ns),
            backlog_wait_ms: reading.backlog_wait_ns.map(millis),
            pacing_lag_ms: reading.pacing_lag_ns.map(millis),
            service_ms: reading.service_ns.map(millis),
            stage_queue_ms: stages.map(|stages| millis(stages.queue_ns)),
            stage_cache_ms: stages.map(|stages| millis(stages.cache_ns)),
            stage_inference_ms: stages.map(|stages| millis(stages.inference_ns)),
            stage_network_ms: outside.map(millis),
            outcome: reading.outcome.name().to_owned(),
            trace_id: trace.map(TraceContext::trace_id).unwrap_or_default(),
            sampled: trace.map(TraceContext::is_sampled),
        }
    };
    slow.sorted().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::record::{Outcome, Sample, Stages};
    use crate::results::record::slow_reading::SlowFloor;
    use crate::results::tests::{self, layout};

    #[test]
    fn a_row_has_the_parts_of_its_time_and_a_trace_where_its_fleet_has_one() {
        let mut layout = Layout::clone(&layout());
        layout.fleets[1].trace = Some(1.0);
        let stages =
            Stages { queue_ns: 1_000_000, cache_ns: 0, inference_ns: 2_000_000, total_ns: 3_500_000 };
        let sample = |fleet, sent: Option<u64>| {
            let (due, outcome) = (Tick(2_000_001_999), sent.map_or(Outcome::Lost, |_| Outcome::Ok));
            Sample {
                device: 7,
                seq: 42,
                eligible: sent.map(|at| due.plus_ns(at)),
                actual: sent.map(|at| due.plus_ns(2 * at)),
                stages: sent.map(|_| stages),
                ..tests::sample(&layout, fleet, due, 10_000_000, outcome)
            }
        };
        let (mut floor, mut slow) = (SlowFloor::new(&layout), SlowReadings::default());
        floor.offer(&sample(1, Some(2_000_000)), &mut slow);
        floor.offer(&sample(0, None), &mut slow);
        let token = RunToken::of("k3x9q2ab");
        let found = rows(&slow, &layout, token);
        let [lost, ok] = &*found else { panic!("{found:?}") };
        assert_eq!((&*lost.phase, &*lost.fleet, &*lost.outcome), ("steady", "meters", "lost"));
        assert_eq!((lost.response_ms, lost.service_ms, lost.stage_queue_ms), (10.0, None, None));
        assert_eq!((&*lost.trace_id, lost.sampled), ("", None));
        assert_eq!((&*ok.device, ok.seq, ok.intended_s), ("pumps-00007", 42, 2.000_001));
        let parts = (ok.backlog_wait_ms, ok.pacing_lag_ms, ok.service_ms);
        assert_eq!((ok.response_ms, parts), (10.0, (Some(2.0), Some(2.0), Some(6.0))));
        assert_eq!((ok.stage_queue_ms, ok.stage_inference_ms), (Some(1.0), Some(2.0)));
        assert_eq!(ok.stage_network_ms, Some(2.5));
        let trace = TraceContext::of(token.unwrap(), "pumps-00007", Traced::Reading(42), 1.0);
        assert_eq!((&*ok.trace_id, ok.sampled), (&*trace.trace_id(), Some(true)));
        assert!(
            rows(&slow, &layout, None).iter().all(|row| row.trace_id.is_empty() && row.sampled.is_none())
        );
    }
}
