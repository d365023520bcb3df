//! The anomalies that the seed places in a signal.

use rand::RngExt;
use rand::distr::OpenClosed01;

use crate::record::{AnomalyKind, AnomalyMark};
use crate::seed::Stream;

/// Readings at and after a level shift that are marked; from then on the new level is normal.
const SETTLING: u32 = 10;

/// How often a signal misbehaves, and how badly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalySpec {
    /// Probability that a reading is a spike: one value off, up or down.
    pub spikes: f64,
    /// Probability that a reading begins a level shift. The signal stays shifted until the next shift, which
    /// takes it back, so that it remains bounded however long the run. The first 10 readings are marked.
    pub shifts: f64,
    /// Probability that a reading begins a drift, which ends at its full distance after `length` readings.
    pub drifts: f64,
    /// Probability that a reading begins a run of `length` readings that repeat it.
    pub stuck: f64,
    /// Probability that a reading begins `length` readings of noise that is 1 + `size` times as strong.
    pub variances: f64,
    /// Distance of spikes, shifts and drifts, in multiples of the signal's spread.
    pub size: f64,
    /// Readings that a drift, a stuck value or stronger noise lasts.
    pub length: u32,
    /// Readings of a device before its first anomaly.
    pub after: u64,
}

impl Default for AnomalySpec {
    fn default() -> Self {
        let (spikes, shifts, drifts, stuck, variances) = (0.0, 0.0, 0.0, 0.0, 0.0);
        Self { spikes, shifts, drifts, stuck, variances, size: 4.0, length: 30, after: 0 }
    }
}

impl AnomalySpec {
    /// Whether any anomaly can happen.
    pub fn any(&self) -> bool {
        AnomalyKind::ALL.iter().any(|kind| self.probability(*kind) > 0.0)
    }

    const fn probability(&self, kind: AnomalyKind) -> f64 {
        match kind {
            AnomalyKind::Spike => self.spikes,
            AnomalyKind::Shift => self.shifts,
            AnomalyKind::Drift => self.drifts,
            AnomalyKind::Stuck => self.stuck,
            AnomalyKind::Variance => self.variances,
        }
    }

    /// Readings that an anomaly of this kind marks.
    const fn window(&self, kind: AnomalyKind) -> u32 {
        match kind {
            AnomalyKind::Spike => 1,
            AnomalyKind::Shift => SETTLING,
            AnomalyKind::Drift | AnomalyKind::Stuck | AnomalyKind::Variance => self.length,
        }
    }
}

/// An anomaly under way.
#[derive(Debug, Clone, Copy)]
struct Episode {
    kind: AnomalyKind,
    number: u32,
    begun: u64,
    /// 1 or −1.
    sign: f64,
    /// The value that a stuck sensor repeats.
    held: f64,
}

/// When the next anomalies come, and what the present one does. Its own stream, so that turning anomalies on
/// leaves all other readings as they were.
#[derive(Debug, Clone)]
pub(super) struct Anomalies {
    stream: Stream,
    /// By kind, in the order of [`AnomalyKind::ALL`].
    next: [u64; AnomalyKind::ALL.len()],
    present: Option<Episode>,
    /// How far the level is shifted.
    offset: f64,
    numbers: u32,
}

impl Anomalies {
    pub(super) fn new(spec: &AnomalySpec, mut stream: Stream) -> Self {
        let next =
            AnomalyKind::ALL.map(|kind| spec.after.saturating_add(gap(spec.probability(kind), &mut stream)));
        Self { stream, next, present: None, offset: 0.0, numbers: 0 }
    }

    /// The value of reading `seq`, which would be `course + noise`, and what is wrong with it. `distance` is how far off
    /// anomalies are, `strength` the noise to add where noise grows.
    pub(super) fn disturb(
        &mut self,
        seq: u64,
        (course, noise): (f64, f64),
        (distance, strength): (f64, f64),
        spec: &AnomalySpec,
    ) -> (f64, Option<AnomalyMark>) {
        self.begin(seq, course + noise, distance, spec);
        let normal = course + noise + self.offset;
        let Some(episode) = self.present else { return (normal, None) };
        let age = seq - episode.begun;
        let value = match episode.kind {
            AnomalyKind::Spike => normal + episode.sign * distance,
            AnomalyKind::Shift => normal,
            AnomalyKind::Drift => {
                let share = (age + 1) as f64 / f64::from(spec.length);
                normal + episode.sign * distance * share
            }
            AnomalyKind::Stuck => episode.held,
            AnomalyKind::Variance => normal + strength * spec.size,
        };
        if age + 1 >= u64::from(spec.window(episode.kind)) {
            self.present = None;
        }
        let mark = AnomalyMark { kind: episode.kind, episode: episode.number, onset: age == 0 };
        (value, Some(mark))
    }

    /// Begins an anomaly that is due, unless one is under way: then it waits until that is over.
    fn begin(&mut self, seq: u64, normal: f64, distance: f64, spec: &AnomalySpec) {
        if self.present.is_some() {
            return;
        }
        let Some(at) = self.next.iter().position(|next| *next <= seq) else { return };
        let kind = AnomalyKind::ALL[at];
        self.next[at] = seq.saturating_add(gap(spec.probability(kind), &mut self.stream));
        let sign = if self.stream.random() { 1.0 } else { -1.0 };
        self.numbers += 1;
        let held = normal + self.offset;
        self.present = Some(Episode { kind, number: self.numbers, begun: seq, sign, held });
        if kind == AnomalyKind::Shift {
            self.offset = if self.offset == 0.0 { sign * distance } else { 0.0 };
        }
    }
}

/// Readings until the next success of a trial with this probability: geometric, by inversion.
fn gap(probability: f64, stream: &mut Stream) -> u64 {
    if probability <= 0.0 {
        return u64::MAX;
    }
    if probability >= 1.0 {
        return 1;
    }
    let uniform: f64 = stream.sample(OpenClosed01);
    1 + (libm::log(uniform) / libm::log1p(-probability)) as u64
}
