//! Readings of misbehaving sensors, and damaged payloads.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::effect::{Damage, Sensor};
use crate::seed::Stream;
use crate::units::ByteSize;

/// The state of a misbehaving sensor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    values: Vec<f64>,
}

impl Held {
    /// Changes the values of a reading. `age_s` is how long the fault has lasted, seconds; `size` is in the
    /// units of the signal, per second for a drift. `fresh` says that this is its first reading.
    pub(crate) fn show(
        &mut self,
        trouble: Sensor,
        size: f64,
        (age_s, fresh): (f64, bool),
        stream: &mut Stream,
        values: &mut [f64],
    ) {
        if trouble == Sensor::Stuck && (fresh || self.values.len() != values.len()) {
            values.clone_into(&mut self.values);
        }
        for (nth, value) in values.iter_mut().enumerate() {
            *value = match trouble {
                Sensor::Stuck => self.values.get(nth).copied().unwrap_or(*value),
                Sensor::Drift => *value + size * age_s,
                Sensor::Shift => *value + size,
                Sensor::Noise => {
                    let drawn: f64 = StandardNormal.sample(stream);
                    *value + size * drawn
                }
            };
        }
    }
}

/// Damages a payload.
pub(crate) fn damage(kind: Damage, size: ByteSize, stream: &mut Stream, payload: &mut Vec<u8>) {
    match kind {
        Damage::Malformed => {
            // A byte that no text has: it breaks the payload at any place.
            let at = if payload.is_empty() { 0 } else { stream.random_range(0..payload.len()) };
            payload.insert(at, 0xff);
        }
        Damage::Truncated => payload.truncate(payload.len() / 2),
        Damage::Oversized => {
            let size = usize::try_from(size.0).unwrap_or(usize::MAX).max(payload.len());
            payload.resize(size, b' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn sensors_misbehave_as_stated() {
        let table = [
            (Sensor::Stuck, 0.0, [[1.0, 1.0], [1.0, 1.0]]),
            (Sensor::Drift, 2.0, [[1.0, 1.0], [12.0, 13.0]]),
            (Sensor::Shift, 3.0, [[4.0, 4.0], [5.0, 6.0]]),
        ];
        for (trouble, size, expected) in table {
            let (mut held, mut stream) = (Held::default(), Seed(1).stream("t", 0));
            let (mut first, mut later) = ([1.0, 1.0], [2.0, 3.0]);
            held.show(trouble, size, (0.0, true), &mut stream, &mut first);
            held.show(trouble, size, (5.0, false), &mut stream, &mut later);
            assert_eq!([first, later], expected, "{trouble:?}");
        }
    }

    #[test]
    fn noise_has_the_stated_spread() {
        let (mut held, mut stream) = (Held::default(), Seed(1).stream("t", 0));
        let mut values = vec![5.0; 10_000];
        held.show(Sensor::Noise, 2.0, (0.0, true), &mut stream, &mut values);
        let mean = values.iter().sum::<f64>() / 1e4;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1e4;
        assert!((mean - 5.0).abs() < 0.08 && (variance - 4.0).abs() < 0.25, "{mean} {variance}");
    }

    #[test]
    fn payloads_are_damaged_as_stated() {
        let whole = br#"{"device":"d","seq":1}"#.to_vec();
        let damaged = |kind| {
            let mut payload = whole.clone();
            damage(kind, ByteSize(1_000), &mut Seed(1).stream("t", 0), &mut payload);
            payload
        };
        let malformed = damaged(Damage::Malformed);
        assert!(malformed.len() == whole.len() + 1 && std::str::from_utf8(&malformed).is_err());
        assert_eq!(damaged(Damage::Truncated), whole[..whole.len() / 2]);
        assert!(damaged(Damage::Oversized).len() == 1_000);
    }
}
