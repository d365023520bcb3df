//! How long readings took, by the protocol they came over. Owned by the serving thread, which hands every verdict over.

use crate::metric::{Family, Kind, TimeHistogram, Value};
use crate::reference::reading::StageTimes;

/// Which way a reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reference) enum Endpoint {
    Http,
    Ws,
    Mqtt,
}

impl Endpoint {
    const ALL: [Self; 3] = [Self::Http, Self::Ws, Self::Mqtt];

    /// The word in answers and metrics.
    pub(in crate::reference) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ws => "ws",
            Self::Mqtt => "mqtt",
        }
    }
}

const STAGES: [&str; 5] = ["queue", "features", "cache", "inference", "reply"];

#[derive(Debug, Clone, Default)]
struct EndpointTimes {
    response: TimeHistogram,
    stages: [TimeHistogram; STAGES.len()],
}

/// Times of all verdicts so far.
#[derive(Debug, Clone, Default)]
pub(in crate::reference) struct ResponseTimes(Box<[EndpointTimes; Endpoint::ALL.len()]>);

impl ResponseTimes {
    /// Takes note of a verdict that is handed over.
    pub(in crate::reference) fn note(&mut self, endpoint: Endpoint, spent: &StageTimes) {
        let times = &mut self.0[endpoint as usize];
        times.response.note(spent.total_ns);
        let StageTimes { queue_ns, features_ns, cache_ns, inference_ns, reply_ns, .. } = *spent;
        let spent = [queue_ns, features_ns, cache_ns, inference_ns, reply_ns];
        for (stage, ns) in times.stages.iter_mut().zip(spent) {
            stage.note(ns);
        }
    }

    pub(super) fn families(&self) -> [Family; 2] {
        let mut responses =
            Family::of(Kind::Histogram, "response_seconds", "From a reading's arrival to its verdict");
        let mut stages = Family::of(Kind::Histogram, "stage_seconds", "Where the time of readings went");
        for (endpoint, times) in Endpoint::ALL.iter().zip(&*self.0) {
            let protocol = ("protocol", endpoint.name());
            responses.add([protocol], Value::Times(Box::new(times.response.clone())));
            for (stage, times) in STAGES.iter().zip(&times.stages) {
                stages.add([protocol, ("stage", stage)], Value::Times(Box::new(times.clone())));
            }
        }
        [responses, stages]
    }
}
