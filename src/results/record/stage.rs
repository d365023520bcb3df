//! What response times are made of, by how long they are: which part of them makes the tail.
//!
//! Percentiles of single parts do not add up to that of the whole. So the parts are summed over readings of about the same response
//! time, in rows of an eighth of an octave, and what the slowest readings spent where is read off the longest rows.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::counter::MOST;
use crate::record::{Sample, Stages};
use crate::units::Quantile;

/// The parts of a response time, which add up to it: waiting to be sent, network and reply, the service's queue, its cache, its
/// model, and what else it did.
pub(crate) const PARTS: usize = 6;

/// Bits of a response time that tell rows of one octave apart.
const EIGHTHS: u32 = 3;
/// Response times below 2 to this power, 1 µs, share the first row.
const LEAST_POWER: u32 = 10;
/// Those from 2 to this power on, more than an hour, share the last.
const MOST_POWER: u32 = 42;
const ROWS: usize = (((MOST_POWER - LEAST_POWER) << EIGHTHS) + 1) as usize;

/// Readings of about the same response time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    readings: u64,
    /// Nanoseconds, summed.
    parts: [u64; PARTS],
}

/// The parts of response times summed by response time, of readings that were answered ok with their stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageSums {
    rows: Box<[Row; ROWS]>,
}

/// What the slowest readings were made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SlowestStages {
    /// How many readings they are.
    pub(crate) readings: u64,
    /// Mean of each part, nanoseconds.
    pub(crate) parts: [u64; PARTS],
}

impl Default for StageSums {
    fn default() -> Self {
        Self { rows: Box::new([Row::default(); ROWS]) }
    }
}

/// The row of a response time.
fn row_of(response_ns: u64) -> usize {
    let power = response_ns.max(1).ilog2();
    if power < LEAST_POWER {
        return 0;
    }
    if power >= MOST_POWER {
        return ROWS - 1;
    }
    let eighth = (response_ns >> (power - EIGHTHS)) as usize & ((1 << EIGHTHS) - 1);
    (((power - LEAST_POWER) as usize) << EIGHTHS) + eighth
}

/// The parts of a response time; what the service's clock says beyond the service time is cut off, so that they add up.
fn parts(response_ns: u64, service_ns: u64, stages: Stages) -> [u64; PARTS] {
    let at_service_ns = stages.total_ns.min(service_ns);
    let mut left = at_service_ns;
    let mut take = |ns: u64| {
        let part = ns.min(left);
        left -= part;
        part
    };
    let (queue, cache, inference) = (take(stages.queue_ns), take(stages.cache_ns), take(stages.inference_ns));
    [response_ns.saturating_sub(service_ns), service_ns - at_service_ns, queue, cache, inference, left]
}

impl StageSums {
    /// Adds a reading that was answered ok after `service_ns`.
    pub(crate) fn record(&mut self, sample: &Sample, service_ns: u64, stages: Stages) {
        let response_ns = sample.response_time_ns();
        let row = &mut self.rows[row_of(response_ns)];
        row.readings += 1;
        for (sum, part) in row.parts.iter_mut().zip(parts(response_ns, service_ns, stages)) {
            *sum = sum.saturating_add(part);
        }
    }

    /// Adds all of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.rows.iter_mut().zip(other.rows.iter()) {
            if theirs.readings > 0 {
                mine.readings += theirs.readings;
                for (sum, part) in mine.parts.iter_mut().zip(theirs.parts) {
                    *sum = sum.saturating_add(part);
                }
            }
        }
    }

    /// Forgets everything but its memory.
    pub(crate) fn reset(&mut self) {
        self.rows.fill(Row::default());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| row.readings == 0)
    }

    /// What the readings from `quantile` on were made of, at least one; `None` without readings. Of the row that the quantile lies
    /// in, as large a share counts.
    pub(crate) fn slowest(&self, quantile: Quantile) -> Option<SlowestStages> {
        let all: u64 = self.rows.iter().map(|row| row.readings).sum();
        if all == 0 {
            return None;
        }
        let readings = quantile.samples_beyond(all).clamp(1, all);
        let (mut left, mut sums) = (readings, [0.0; PARTS]);
        for row in self.rows.iter().rev().filter(|row| row.readings > 0) {
            let taken = row.readings.min(left);
            let share = taken as f64 / row.readings as f64;
            for (sum, part) in sums.iter_mut().zip(row.parts) {
                *sum += part as f64 * share;
            }
            left -= taken;
            if left == 0 {
                break;
            }
        }
        Some(SlowestStages { readings, parts: sums.map(|sum| (sum / readings as f64).round() as u64) })
    }
}

impl Serialize for StageSums {
    /// The rows that hold something, with their numbers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().enumerate().filter(|(_, row)| row.readings > 0))
    }
}

impl<'de> Deserialize<'de> for StageSums {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sums = Self::default();
        for (place, row) in Vec::<(usize, Row)>::deserialize(deserializer)? {
            let own = sums.rows.get_mut(place).filter(|own| own.readings == 0 && row.readings <= MOST);
            *own.ok_or_else(|| de::Error::custom("sums of stages that are none of a run"))? = row;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Tick;
    use crate::record::Outcome;
    use crate::results::tests::{self, layout};

    const MS: u64 = 1_000_000;

    /// A reading that waited so long to be sent and then was so long at the service.
    fn sample(wait_ns: u64, service_ns: u64) -> Sample {
        let sent = Some(Tick(wait_ns));
        let plain = tests::sample(&layout(), 0, Tick::ZERO, wait_ns + service_ns, Outcome::Ok);
        Sample { eligible: sent, actual: sent, ..plain }
    }

    fn at_service(queue_ns: u64, inference_ns: u64) -> Stages {
        Stages { queue_ns, cache_ns: 1_000, inference_ns, total_ns: queue_ns + inference_ns + 3_000 }
    }

    #[test]
    fn the_tail_is_told_by_what_its_readings_spent_and_not_by_what_all_do() {
        let mut sums = StageSums::default();
        // Of all readings the model takes most, and of the slowest one in a hundred the queue.
        for nth in 0..1_000 {
            let (queue_ns, service_ns) = if nth % 100 == 0 { (90 * MS, 100 * MS) } else { (0, 6 * MS) };
            sums.record(&sample(MS, service_ns), service_ns, at_service(queue_ns, 5 * MS));
        }
        let slowest = sums.slowest(Quantile::P99).unwrap();
        let network = 100 * MS - 95 * MS - 3_000;
        assert_eq!(
            slowest,
            SlowestStages { readings: 10, parts: [MS, network, 90 * MS, 1_000, 5 * MS, 2_000] }
        );
        let all = sums.slowest(Quantile::of(0.0)).unwrap();
        assert!(all.readings == 1_000 && all.parts[4] > 4 * all.parts[2], "{all:?}");
        assert_eq!(StageSums::default().slowest(Quantile::P99), None);
    }

    proptest! {
        #[test]
        fn parts_add_up_rows_rise_and_what_is_stored_reads_back(
            times in prop::collection::vec((0_u64..1 << 44, 0_u64..1 << 44, 0_u64..1 << 40, 0_u64..1 << 40), 1..40),
        ) {
            let (mut sums, mut response) = (StageSums::default(), 0.0);
            for (wait_ns, service_ns, queue_ns, inference_ns) in &times {
                let stages = at_service(*queue_ns, *inference_ns);
                let whole = wait_ns + service_ns;
                prop_assert_eq!(parts(whole, *service_ns, stages).iter().sum::<u64>(), whole);
                prop_assert!(row_of(whole) <= row_of(whole + whole / 7 + 1) && row_of(whole) < ROWS);
                sums.record(&sample(*wait_ns, *service_ns), *service_ns, stages);
                response += whole as f64;
            }
            let all = sums.slowest(Quantile::of(0.0)).unwrap();
            let mean = response / times.len() as f64;
            let told = all.parts.iter().sum::<u64>() as f64;
            prop_assert!((told - mean).abs() <= mean * 1e-9 + 6.0, "{} {}", told, mean);
            let text = serde_json::to_string(&sums).unwrap();
            prop_assert_eq!(&serde_json::from_str::<StageSums>(&text).unwrap(), &sums);
            let mut twice = sums.clone();
            twice.add(&sums);
            prop_assert_eq!(twice.slowest(Quantile::of(0.0)).unwrap().parts, all.parts);
            twice.reset();
            prop_assert!(twice.is_empty() && !sums.is_empty());
        }
    }

    #[test]
    fn rows_that_are_none_of_a_run_are_refused() {
        let row = r#"{"readings":1,"parts":[1,2,3,4,5,6]}"#;
        for (text, fits) in [
            (format!("[[0,{row}],[256,{row}]]"), true),
            (format!("[[257,{row}]]"), false),
            (format!("[[0,{row}],[0,{row}]]"), false),
            (format!("[[0,{}]]", row.replace(":1", ":9999999999999")), false),
        ] {
            assert_eq!(serde_json::from_str::<StageSums>(&text).is_ok(), fits, "{text}");
        }
    }
}
