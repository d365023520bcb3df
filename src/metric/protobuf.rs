//! Figures as Prometheus's own messages (`io.prometheus.client.MetricFamily`, each behind its length): the one format that carries
//! native histograms. The few messages are written by hand: a generator of code would be a larger part than they are.

use super::family::{Family, Kind, Sample, Value};
use super::histogram::{SCHEMA, TimeHistogram, ZERO_THRESHOLD};

/// All of them.
pub(super) fn encode(families: &[Family]) -> Vec<u8> {
    let mut all = Vec::with_capacity(32 * 1024);
    for family in families {
        let message = of_family(family);
        varint(&mut all, message.len() as u64);
        all.extend(message);
    }
    all
}

fn of_family(Family { name, help, kind, samples }: &Family) -> Vec<u8> {
    let (ending, number) = match kind {
        Kind::Counter => ("_total", 0),
        Kind::Gauge => ("", 1),
        Kind::Histogram => ("", 4),
    };
    let mut message = Vec::new();
    bytes(&mut message, 1, format!("{name}{ending}").as_bytes());
    bytes(&mut message, 2, help.as_bytes());
    whole(&mut message, 3, number);
    for sample in samples {
        bytes(&mut message, 4, &of_sample(sample, *kind));
    }
    message
}

fn of_sample(Sample { labels, value }: &Sample, kind: Kind) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, word) in labels {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, name.as_bytes());
        bytes(&mut pair, 2, word.as_bytes());
        bytes(&mut message, 1, &pair);
    }
    match value {
        Value::Times(times) => bytes(&mut message, 7, &of_times(times)),
        Value::Number(number) => {
            let mut inner = Vec::new();
            double(&mut inner, 1, *number);
            bytes(&mut message, if kind == Kind::Counter { 3 } else { 2 }, &inner);
        }
    }
    message
}

fn of_times(times: &TimeHistogram) -> Vec<u8> {
    let mut message = Vec::new();
    whole(&mut message, 1, times.count());
    double(&mut message, 2, times.sum());
    for (bound, count) in times.classic() {
        let mut bucket = Vec::new();
        whole(&mut bucket, 1, count);
        double(&mut bucket, 2, bound);
        bytes(&mut message, 3, &bucket);
    }
    whole(&mut message, 5, zigzag(i64::from(SCHEMA)));
    double(&mut message, 6, ZERO_THRESHOLD);
    whole(&mut message, 7, times.zero());
    // Stretches of buckets without a gap, the first by its number, the others by the gap before them.
    let mut spans: Vec<(i32, u32)> = Vec::new();
    let (mut next, mut before) = (None, 0);
    for (number, count) in times.native() {
        if let Some(span) = spans.last_mut().filter(|_| next == Some(number)) {
            span.1 += 1;
        } else {
            spans.push((number - next.unwrap_or(0), 1));
        }
        next = Some(number + 1);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        whole(&mut message, 13, zigzag(count - before));
        before = count;
    }
    if spans.is_empty() {
        // A native histogram that has nothing in it yet.
        spans.push((0, 0));
    }
    for (offset, length) in spans {
        let mut span = Vec::new();
        whole(&mut span, 1, zigzag(i64::from(offset)));
        whole(&mut span, 2, u64::from(length));
        bytes(&mut message, 12, &span);
    }
    message
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn whole(out: &mut Vec<u8>, field: u32, number: u64) {
    varint(out, u64::from(field << 3));
    varint(out, number);
}

fn double(out: &mut Vec<u8>, field: u32, number: f64) {
    varint(out, u64::from(field << 3 | 1));
    out.extend(number.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}
