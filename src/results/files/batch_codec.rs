//! What was recorded in an interval, in the form in which a shard's record holds it: exactly, to the last count of every bucket.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::record::{Gauge, Kind, Layout};
use crate::results::record::anomaly::AnomalyRows;
use crate::results::record::batch::IntervalBatch;
use crate::results::record::cell::{Bounds, Cell, Key, Series};
use crate::results::record::counter::Counters;
use crate::results::record::delivery::Deliveries;
use crate::results::record::failure::Failures;
use crate::results::record::ok_timeline::OkTimeline;
use crate::results::record::slow_reading::SlowReadings;
use crate::results::record::stage::StageSums;

/// One (phase, fleet, kind) with data.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredCell {
    phase: usize,
    fleet: usize,
    kind: Kind,
    counters: Counters,
    /// The smallest lower bound among the censored times, nanoseconds; `None` without any.
    censored_floor_ns: Option<u64>,
    /// Base64 of the V2 compressed encoding.
    times: Vec<(Series, String)>,
    /// What the response times are made of; `None` where no peer says so, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stages: Option<StageSums>,
}

/// A batch on its way to the file.
#[derive(Debug, Serialize)]
pub(crate) struct BatchRef<'a> {
    cells: Vec<StoredCell>,
    anomalies: &'a AnomalyRows,
    deliveries: &'a Deliveries,
    #[serde(rename = "pulses")]
    ok_timeline: &'a OkTimeline,
    failures: &'a Failures,
    #[serde(rename = "slowest")]
    slow: &'a SlowReadings,
    gauges: &'a [Gauge],
}

/// A batch as the file has it, unchecked.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredBatch {
    cells: Vec<StoredCell>,
    anomalies: AnomalyRows,
    deliveries: Deliveries,
    #[serde(rename = "pulses")]
    ok_timeline: OkTimeline,
    #[serde(default)]
    failures: Failures,
    #[serde(default, rename = "slowest")]
    slow: SlowReadings,
    #[serde(default)]
    gauges: Vec<Gauge>,
}

/// Turns histograms into text and back.
pub(crate) struct BatchCodec {
    serializer: V2DeflateSerializer,
    deserializer: Deserializer,
    bytes: Vec<u8>,
}

impl BatchCodec {
    pub(crate) fn new() -> Self {
        Self { serializer: V2DeflateSerializer::new(), deserializer: Deserializer::new(), bytes: Vec::new() }
    }

    /// `batch` as the file is to have it.
    pub(crate) fn stored<'a>(&mut self, batch: &'a IntervalBatch) -> Result<BatchRef<'a>, String> {
        let cells = batch.cells.iter().map(|(key, cell)| self.cell(key, cell)).collect::<Result<_, _>>()?;
        let IntervalBatch { anomalies, deliveries, ok_timeline, failures, slow, gauges, .. } = batch;
        Ok(BatchRef { cells, anomalies, deliveries, ok_timeline, failures, slow, gauges })
    }

    fn cell(&mut self, key: Key, cell: &Cell<u32>) -> Result<StoredCell, String> {
        let mut times = Vec::new();
        for series in Series::ALL {
            let Some(histogram) = cell.times(series) else { continue };
            self.bytes.clear();
            self.serializer.serialize(histogram, &mut self.bytes).map_err(|error| error.to_string())?;
            times.push((series, BASE64.encode(&self.bytes)));
        }
        Ok(StoredCell {
            phase: key.phase,
            fleet: key.fleet,
            kind: key.kind,
            counters: cell.counters.clone(),
            censored_floor_ns: Some(cell.censored_floor_ns).filter(|floor| *floor != u64::MAX),
            times,
            stages: cell.stages().cloned(),
        })
    }

    /// The batch that was stored.
    ///
    /// # Errors
    /// What is wrong with it, if it cannot be one of a run with this layout.
    pub(crate) fn restore(&mut self, stored: StoredBatch, layout: &Layout) -> Result<IntervalBatch, String> {
        if !stored.anomalies.fit(layout) {
            return Err("an anomaly is of no phase or fleet of the run".to_owned());
        }
        if !stored.deliveries.fit(layout) {
            return Err("the delivery audit is of other fleets than the run's, or beyond counting".to_owned());
        }
        if !stored.failures.fit(layout) || stored.gauges.len() > layout.fleets.len() {
            return Err("a failure is of no phase or fleet of the run, or beyond counting".to_owned());
        }
        if !stored.slow.fit(layout) {
            return Err("a slow reading is of no phase or fleet of the run, or one too many".to_owned());
        }
        let (bounds, mut batch) = (Bounds::of(layout), IntervalBatch::new(layout));
        let mut seen = BTreeSet::new();
        for cell in stored.cells {
            if cell.phase >= layout.phases.len() || cell.fleet >= layout.fleets.len() {
                return Err("a cell is of no phase or fleet of the run".to_owned());
            }
            if !seen.insert((cell.phase, cell.fleet, cell.kind as usize)) {
                return Err("a cell stands twice".to_owned());
            }
            if !cell.counters.countable() {
                return Err("a count is beyond counting".to_owned());
            }
            let key = Key { phase: cell.phase, fleet: cell.fleet, kind: cell.kind };
            let place = batch.cells.get_or_new(key, bounds);
            place.counters = cell.counters;
            place.censored_floor_ns = cell.censored_floor_ns.unwrap_or(u64::MAX);
            if let Some(stages) = cell.stages {
                place.put_stages(stages);
            }
            for (series, text) in cell.times {
                if place.times(series).is_some() {
                    return Err("a histogram stands twice".to_owned());
                }
                place.put(series, self.histogram(&text, bounds)?);
            }
        }
        (batch.anomalies, batch.deliveries, batch.ok_timeline) =
            (stored.anomalies, stored.deliveries, stored.ok_timeline);
        (batch.failures, batch.slow) = (stored.failures, stored.slow);
        for (gauge, stored) in batch.gauges.iter_mut().zip(stored.gauges) {
            *gauge = stored;
        }
        Ok(batch)
    }

    fn histogram(&mut self, text: &str, bounds: Bounds) -> Result<Histogram<u32>, String> {
        self.bytes.clear();
        BASE64
            .decode_vec(text, &mut self.bytes)
            .map_err(|error| format!("a histogram is not base64: {error}"))?;
        let histogram: Histogram<u32> = self
            .deserializer
            .deserialize(&mut self.bytes.as_slice())
            .map_err(|error| format!("a histogram cannot be read: {error}"))?;
        let blank: Histogram<u32> = bounds.histogram();
        let same = (histogram.low(), histogram.high(), histogram.sigfig())
            == (blank.low(), blank.high(), blank.sigfig());
        if same { Ok(histogram) } else { Err("a histogram has other bounds than the run".to_owned()) }
    }
}
