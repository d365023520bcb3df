//! One simulated device: its name, its sensor, and the readings it makes in order.

use std::sync::Arc;

use super::payload;
use super::signal::{Signal, SignalSpec};
use crate::clock::Tick;
use crate::record::Mark;
use crate::seed::Seed;

/// One reading of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Number within the device, from 1, without gaps.
    pub seq: u64,
    /// When the plan says it was due.
    pub intended: Tick,
    /// What the sensors show, each in its signal's unit.
    pub values: Values,
    /// The seeded anomaly that shows in it, if any.
    pub mark: Option<Mark>,
}

/// The values of one reading, in the order of the fleet's channels; at least one.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Of a device with one channel.
    One(f64),
    /// Of a device with several.
    Many(Box<[f64]>),
}

impl Values {
    /// The values, in the order of the channels.
    pub fn as_slice(&self) -> &[f64] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// A simulated device. What it reads depends on its fleet's name, its index, the seed and the instants asked for.
#[derive(Debug, Clone)]
pub struct Device {
    id: Box<str>,
    seq: u64,
    /// Where the signal's own time begins.
    origin: Tick,
    signal: Signal,
}

impl Device {
    /// Device `index` of `fleet`, drawing from the streams `signal/<fleet>` and `anomaly/<fleet>`. Its signal's
    /// time begins at `origin`, so that the same course is read whenever a run begins to send.
    pub fn new(fleet: &str, index: u32, spec: &Arc<SignalSpec>, origin: Tick, seed: Seed) -> Self {
        let stream = |label: &str| seed.stream(&format!("{label}/{fleet}"), u64::from(index));
        let anomalies = spec.anomalies.any().then(|| stream("anomaly"));
        Self {
            id: format!("{fleet}-{index:05}").into_boxed_str(),
            seq: 0,
            origin,
            signal: Signal::new(Arc::clone(spec), stream("signal"), anomalies),
        }
    }

    /// The name it gives itself: `<fleet>-<index>`, the index padded to five digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next reading, due at `at`. Instants must not go back.
    pub fn reading(&mut self, at: Tick) -> Reading {
        self.seq += 1;
        let (value, mark) = self.signal.sample(Tick(at.since(self.origin)), self.seq);
        Reading { seq: self.seq, intended: at, values: Values::One(value), mark }
    }

    /// Appends `reading` to `out` as one JSON object, the value rounded to four decimals:
    /// `{"device":"meters-00017","seq":42,"intended_ns":123456789,"value":21.5}`.
    pub fn encode(&self, reading: &Reading, out: &mut Vec<u8>) {
        payload::json(&self.id, reading, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{AnomalySpec, Shape};

    fn spec() -> Arc<SignalSpec> {
        Arc::new(SignalSpec {
            shape: Shape::Sine { level: 20.0, amplitude: 5.0, period_ns: 60_000_000_000 },
            noise: 0.2,
            anomalies: AnomalySpec { spikes: 0.01, shifts: 0.001, size: 3.0 },
        })
    }

    fn readings(fleet: &str, index: u32, seed: u64, count: u64) -> Vec<Reading> {
        let mut device = Device::new(fleet, index, &spec(), Tick::ZERO, Seed(seed));
        (0..count).map(|n| device.reading(Tick(n * 1_000_000_000))).collect()
    }

    #[test]
    fn the_same_device_reads_the_same_and_every_other_one_differs() {
        let base = readings("meters", 3, 1, 500);
        assert_eq!(base, readings("meters", 3, 1, 500));
        for other in
            [readings("meters", 4, 1, 500), readings("pumps", 3, 1, 500), readings("meters", 3, 2, 500)]
        {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_later_start_of_sending_changes_no_value() {
        let read = |origin: Tick| {
            let mut device = Device::new("meters", 3, &spec(), origin, Seed(1));
            (0..100).map(|n| device.reading(origin.plus_ns(n * 700_000_000)).values).collect::<Vec<_>>()
        };
        assert_eq!(read(Tick::ZERO), read(Tick(12_345_678_901)));
    }

    #[test]
    fn sequence_numbers_run_from_one_without_gaps() {
        assert!(readings("meters", 0, 1, 100).iter().map(|r| r.seq).eq(1..=100));
    }

    #[test]
    fn ids_are_padded_and_stay_distinct_beyond_five_digits() {
        let id = |index| Device::new("meters", index, &spec(), Tick::ZERO, Seed(1)).id().to_owned();
        assert_eq!((id(17).as_str(), id(123_456).as_str()), ("meters-00017", "meters-123456"));
    }
}
