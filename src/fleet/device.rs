//! One simulated device: its name, its sensors, and the readings it makes in order.

use std::sync::Arc;

use super::clock::{Clock, ClockSpec};
use super::payload::{self, Payload, RenderContext};
use super::signal::{Signal, SignalSpec};
use super::template::Template;
use crate::clock::Tick;
use crate::record::{AnomalyMark, RunToken, TraceContext, Traced};
use crate::seed::{Seed, Stream};

/// What all devices of a fleet share.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceModel {
    /// Name of the fleet.
    pub fleet: Box<str>,
    /// Sensors of a device; at least one.
    pub channels: Vec<Channel>,
    /// How readings are written down.
    pub payload: Payload,
    /// How wrong the devices' clocks are.
    pub clock: ClockSpec,
    /// What they are known by in the traces of the service; `None`: by nothing.
    pub trace: Option<Tracing>,
}

/// How the devices of a fleet are known in the traces of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// Share of trace contexts, 0 to 1, that are flagged as sampled.
    pub share: f64,
    /// The key under which readings in JSON and CBOR hold theirs; `None`: they hold none.
    pub field: Option<Box<str>>,
}

/// One sensor of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// As it stands in payloads: of `a`–`z`, `0`–`9`, `_` and `-`.
    pub name: Box<str>,
    /// What it shows.
    pub signal: SignalSpec,
}

/// What payloads and templates may tell of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunFacts {
    /// Unix time at tick 0, nanoseconds; only templates tell it.
    pub epoch_ns: u64,
    /// Its token. `None` where only the plan is written down: then templates have [`RunToken::UNSET`], and the built-in encodings
    /// leave it out.
    pub token: Option<RunToken>,
}

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
    pub mark: Option<AnomalyMark>,
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

    /// The same, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [f64] {
        match self {
            Self::One(value) => std::slice::from_mut(value),
            Self::Many(values) => values,
        }
    }
}

/// A simulated device. What it reads depends on its fleet's name, its index, the seed and the instants asked for.
#[derive(Debug, Clone)]
pub struct Device {
    id: Box<str>,
    index: u32,
    model: Arc<DeviceModel>,
    seq: u64,
    /// Where the signals' own time begins.
    origin: Tick,
    signal: Signal,
    /// What only some fleets need.
    extra: Option<Box<OptionalState>>,
}

#[derive(Debug, Clone, Default)]
struct OptionalState {
    /// The channels after the first.
    others: Vec<Signal>,
    clock: Option<Clock>,
    /// When it begins to speak another schema, and which.
    upgrade: Option<(Tick, u8)>,
    /// For sizes and random fields; positioned by the sequence number.
    stream: Option<Stream>,
    /// Anomalies of the last reading's channels, so that their numbers never meet.
    episodes: u32,
    last: Vec<u32>,
}

impl Device {
    /// Device `index` of a fleet, drawing from the streams `signal/<fleet>` and `anomaly/<fleet>`, for further channels
    /// `signal/<fleet>/<channel>` and `anomaly/<fleet>/<channel>`. Its signals' time begins at `origin`, so that the same
    /// course is read whenever a run begins to send.
    ///
    /// # Panics
    /// If the fleet has no channel.
    pub fn new(model: &Arc<DeviceModel>, index: u32, origin: Tick, seed: Seed) -> Self {
        let fleet = &model.fleet;
        let stream = |label: &str| seed.stream(label, u64::from(index));
        let signal = |nth: usize, channel: &Channel| {
            let suffix = if nth == 0 { String::new() } else { format!("/{}", channel.name) };
            let anomalies =
                channel.signal.anomalies.any().then(|| stream(&format!("anomaly/{fleet}{suffix}")));
            Signal::new(&channel.signal, stream(&format!("signal/{fleet}{suffix}")), anomalies)
        };
        let mut signals = model.channels.iter().enumerate().map(|(nth, channel)| signal(nth, channel));
        let first = signals.next().expect("a fleet has a channel");
        let others: Vec<Signal> = signals.collect();
        let draws = model.payload.draws().then(|| stream(&format!("payload/{fleet}")));
        let clock =
            (!model.clock.is_right()).then(|| Clock::new(model.clock, stream(&format!("clock/{fleet}"))));
        let plain = others.is_empty() && draws.is_none() && clock.is_none();
        let last = vec![0; others.len() + 1];
        Self {
            id: name(fleet, index).into_boxed_str(),
            index,
            model: Arc::clone(model),
            seq: 0,
            origin,
            signal: first,
            extra: (!plain).then(|| {
                Box::new(OptionalState { others, clock, stream: draws, last, ..OptionalState::default() })
            }),
        }
    }

    /// From `at` on its readings have the schema `version`.
    pub(crate) fn upgrade(&mut self, at: Tick, version: u8) {
        self.extra.get_or_insert_default().upgrade = Some((at, version));
    }

    /// When it begins to speak another schema, to be moved.
    pub(crate) fn upgrade_at(&mut self) -> Option<&mut Tick> {
        self.extra.as_deref_mut()?.upgrade.as_mut().map(|(at, _)| at)
    }

    /// What it speaks in `reading`.
    fn schema(&self, reading: Option<&Reading>) -> Option<u8> {
        let upgrade = self.extra.as_deref().and_then(|extra| extra.upgrade);
        let passed = upgrade.filter(|(at, _)| reading.is_some_and(|reading| reading.intended >= *at));
        passed.map_or(self.model.payload.schema, |(_, version)| (version > 1).then_some(version))
    }

    /// The name it gives itself: `<fleet>-<index>`, the index padded to five digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its number within the fleet, from 0.
    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    /// The next reading, due at `at`. Instants must not go back.
    pub fn reading(&mut self, at: Tick) -> Reading {
        self.seq += 1;
        let (seq, since) = (self.seq, Tick(at.since(self.origin)));
        let channels = &self.model.channels;
        let (value, mark) = self.signal.sample(&channels[0].signal, since, seq);
        let Some(extra) = self.extra.as_deref_mut().filter(|extra| !extra.others.is_empty()) else {
            return Reading { seq, intended: at, values: Values::One(value), mark };
        };
        let mut values = Vec::with_capacity(channels.len());
        values.push(value);
        let mut marks = vec![mark];
        for (channel, signal) in channels[1..].iter().zip(&mut extra.others) {
            let (value, mark) = signal.sample(&channel.signal, since, seq);
            values.push(value);
            marks.push(mark);
        }
        let mark = extra.number(&marks);
        Reading { seq, intended: at, values: Values::Many(values.into()), mark }
    }

    fn context<'a>(&'a self, reading: Option<&'a Reading>, run: RunFacts, skew_ns: i64) -> RenderContext<'a> {
        let extra = self.extra.as_deref();
        let clock = extra.and_then(|extra| extra.clock).unwrap_or_default();
        let stream = extra.and_then(|extra| extra.stream.as_ref());
        let (model, id, index, schema) = (&*self.model, &*self.id, self.index, self.schema(reading));
        RenderContext { model, id, index, reading, clock, skew_ns, run, schema, stream }
    }

    /// What its reading or connection is known by in the traces of the service; `None` where it is not, or there is no run.
    pub(crate) fn trace(&self, traced: Traced, run: RunFacts) -> Option<TraceContext> {
        let tracing = self.model.trace.as_ref()?;
        Some(TraceContext::of(run.token?, &self.id, traced, tracing.share))
    }

    /// Appends `reading` to `out` as the fleet's payload says. The same reading gives the same bytes, however often it is
    /// encoded.
    pub fn encode(&self, reading: &Reading, run: RunFacts, out: &mut Vec<u8>) {
        self.encode_skewed(reading, run, 0, out);
    }

    /// The same with the device's clock a further `skew_ns` nanoseconds ahead, or behind if negative.
    pub fn encode_skewed(&self, reading: &Reading, run: RunFacts, skew_ns: i64, out: &mut Vec<u8>) {
        payload::encode(&self.context(Some(reading), run, skew_ns), reading, out);
    }

    /// Appends what `template` says of this device, and of `reading` where it names the reading.
    pub fn render(&self, template: &Template, reading: Option<&Reading>, run: RunFacts, out: &mut Vec<u8>) {
        template.render(&self.context(reading, run, 0), None, out);
    }
}

/// What device number `index` of `fleet` calls itself.
pub(crate) fn name(fleet: &str, index: u32) -> String {
    format!("{fleet}-{index:05}")
}

impl OptionalState {
    /// The mark of the first channel that has one, its episode numbered over all channels of the device.
    fn number(&mut self, marks: &[Option<AnomalyMark>]) -> Option<AnomalyMark> {
        for (mark, last) in marks.iter().zip(&mut self.last) {
            if mark.is_some_and(|mark| mark.onset) {
                self.episodes += 1;
                *last = self.episodes;
            }
        }
        let (mark, number) = marks.iter().zip(&self.last).find_map(|(mark, last)| Some(((*mark)?, *last)))?;
        Some(AnomalyMark { episode: number, ..mark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{AnomalySpec, Shape};

    fn channel(name: &str, spikes: f64) -> Channel {
        let shape = Shape::Sine { level: 20.0, amplitude: 5.0, period_ns: 60_000_000_000 };
        let anomalies = AnomalySpec { spikes, shifts: 0.001, size: 3.0, ..AnomalySpec::default() };
        Channel { name: name.into(), signal: SignalSpec { shape, noise: 0.2, anomalies } }
    }

    fn model(fleet: &str, channels: Vec<Channel>) -> Arc<DeviceModel> {
        let (payload, clock) = (Payload::default(), ClockSpec::default());
        Arc::new(DeviceModel { fleet: fleet.into(), channels, payload, clock, trace: None })
    }

    fn readings(fleet: &str, index: u32, seed: u64, count: u64) -> Vec<Reading> {
        let model = model(fleet, vec![channel("value", 0.01)]);
        let mut device = Device::new(&model, index, Tick::ZERO, Seed(seed));
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
            let mut device = Device::new(&model("meters", vec![channel("value", 0.01)]), 3, origin, Seed(1));
            (0..100).map(|n| device.reading(origin.plus_ns(n * 700_000_000)).values).collect::<Vec<_>>()
        };
        assert_eq!(read(Tick::ZERO), read(Tick(12_345_678_901)));
    }

    #[test]
    fn sequence_numbers_run_from_one_without_gaps() {
        assert!(readings("meters", 0, 1, 100).iter().map(|r| r.seq).eq(1..=100));
    }

    #[test]
    fn further_channels_leave_the_first_alone_and_episodes_are_numbered_over_all() {
        let two = model("meters", vec![channel("value", 0.01), channel("humidity", 0.02)]);
        let mut device = Device::new(&two, 3, Tick::ZERO, Seed(1));
        let both: Vec<Reading> = (0..5_000).map(|n| device.reading(Tick(n * 1_000_000_000))).collect();
        for (one, both) in readings("meters", 3, 1, 500).iter().zip(&both) {
            assert_eq!(one.values.as_slice()[0].to_bits(), both.values.as_slice()[0].to_bits());
            assert_eq!(both.values.as_slice().len(), 2);
        }
        let onsets: Vec<u32> = both
            .iter()
            .filter_map(|reading| reading.mark.filter(|mark| mark.onset))
            .map(|mark| mark.episode)
            .collect();
        assert!(onsets.len() > 100, "{}", onsets.len());
        assert!(onsets.windows(2).all(|pair| pair[0] < pair[1]), "no two share a number");
    }

    #[test]
    fn a_plain_device_is_small() {
        assert!(size_of::<Device>() <= 512, "{}", size_of::<Device>());
    }

    #[test]
    fn ids_are_padded_and_stay_distinct_beyond_five_digits() {
        let model = model("meters", vec![channel("value", 0.0)]);
        let id = |index| Device::new(&model, index, Tick::ZERO, Seed(1)).id().to_owned();
        assert_eq!((id(17).as_str(), id(123_456).as_str()), ("meters-00017", "meters-123456"));
    }
}
