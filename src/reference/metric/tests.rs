//! Both formats tell the same, held to decoders of the tests' own.

use super::*;
use crate::reference::reading::StageTimes;

fn scene() -> (Metrics, Snapshot, ServingSnapshot) {
    let metrics = Metrics::default();
    metrics.received.inc_by(5);
    metrics.shed(Reason::Crashed);
    metrics.tier(Tier::Exact, true);
    metrics.tier(Tier::Miss, true);
    let now = Snapshot {
        waiting: [1, 0, 2, 0],
        queue_capacity: 10,
        workers: 2,
        devices: 3,
        cached: 4,
        faults: vec![("a".into(), FaultKind::Slow)],
        fault_acts: vec![7; FaultKind::ALL.len()],
        state: None,
    };
    let mut times = ResponseTimes::default();
    for ms in [1, 1, 200] {
        let spent =
            StageTimes { total_ns: ms * 1_000_000, queue_ns: ms * 1_000_000, ..StageTimes::default() };
        times.note(Endpoint::Ws, &spent);
    }
    let redis = vec![RedisLink { purpose: "cluster", answers: false, failures: 2 }];
    let process = ProcessUse { descriptors: Some(9), ..ProcessUse::default() };
    let jobs = Figures::default();
    (metrics, now, ServingSnapshot { under_way: 3, times, jobs, redis, status: Status::Degraded, process })
}

#[test]
fn the_text_says_what_was_counted() {
    let (metrics, now, serving) = scene();
    let text = String::from_utf8(metrics.page(&now, &serving, []).1).unwrap();
    for line in [
        "# TYPE squall_readings_received counter",
        "squall_readings_received_total 5",
        "squall_readings_shed_total{reason=\"crashed\"} 1",
        "squall_cache_hit_ratio{from=\"exact\"} 0.5",
        "squall_queue_waiting{level=\"medium\"} 2",
        "squall_fault_active{name=\"a\",kind=\"slow\"} 1",
        "squall_readings_under_way 3",
        "squall_health{status=\"degraded\"} 1",
        "squall_health{status=\"healthy\"} 0",
        "squall_redis_up{purpose=\"cluster\"} 0",
        "squall_redis_failures_total{purpose=\"cluster\"} 2",
        "process_open_fds 9",
        "# TYPE squall_response_seconds histogram",
        "squall_response_seconds_bucket{protocol=\"ws\",le=\"0.0005\"} 0",
        "squall_response_seconds_bucket{protocol=\"ws\",le=\"0.001\"} 2",
        "squall_response_seconds_bucket{protocol=\"ws\",le=\"+Inf\"} 3",
        "squall_response_seconds_sum{protocol=\"ws\"} 0.202",
        "squall_stage_seconds_count{protocol=\"ws\",stage=\"queue\"} 3",
        "squall_stage_seconds_count{protocol=\"mqtt\",stage=\"reply\"} 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
    }
    assert!(!text.contains("process_cpu_seconds"), "what the system does not tell is left out");
}

/// A message's fields: number, and what it holds.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Held<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let held = match key & 7 {
            0 => Held::Whole(varint(&mut bytes)),
            1 => {
                let (double, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                Held::Double(f64::from_le_bytes(*double))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Held::Bytes(inner)
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, held));
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Held<'b> {
    Whole(u64),
    Double(f64),
    Bytes(&'b [u8]),
}

impl<'b> Held<'b> {
    fn bytes(self) -> &'b [u8] {
        let Self::Bytes(bytes) = self else { panic!("{self:?}") };
        bytes
    }

    fn zigzag(self) -> i64 {
        let Self::Whole(number) = self else { panic!("{self:?}") };
        (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

/// The messages of a family, by its name.
fn family<'b>(mut all: &'b [u8], name: &str) -> Vec<Vec<(u64, Held<'b>)>> {
    while !all.is_empty() {
        let length = varint(&mut all) as usize;
        let (message, rest) = all.split_at(length);
        all = rest;
        let message = fields(message);
        if message[0] == (1, Held::Bytes(name.as_bytes())) {
            let metrics = message.into_iter().filter(|(field, _)| *field == 4);
            return metrics.map(|(_, metric)| fields(metric.bytes())).collect();
        }
    }
    panic!("no {name}");
}

#[test]
fn prometheus_gets_native_buckets_that_agree_with_the_classic_ones() {
    let (metrics, now, serving) = scene();
    let (_, all) = metrics.page(&now, &serving, ["application/vnd.google.protobuf"]);
    let received = &family(&all, "squall_readings_received_total")[0];
    assert_eq!(fields(received[0].1.bytes()), [(1, Held::Double(5.0))]);
    let responses = family(&all, "squall_response_seconds");
    assert_eq!(responses.len(), 3, "one for each protocol");
    let label = fields(responses[1][0].1.bytes());
    assert_eq!(label, [(1, Held::Bytes(b"protocol")), (2, Held::Bytes(b"ws"))]);
    let told = fields(responses[1][1].1.bytes());
    let of = |number: u64| told.iter().filter(move |(field, _)| *field == number).map(|(_, held)| *held);
    assert_eq!(of(1).collect::<Vec<_>>(), [Held::Whole(3)]);
    assert_eq!(of(3).count(), 18, "classic buckets, the last without a bound");
    assert_eq!(of(5).next().unwrap().zigzag(), 3);
    let spans: Vec<(i64, u64)> = of(12)
        .map(|span| {
            let span = fields(span.bytes());
            let Held::Whole(length) = span[1].1 else { panic!() };
            (span[0].1.zigzag(), length)
        })
        .collect();
    // 1 ms lies below 2^(-79/8) s, 0.2 s below 2^(-18/8) s.
    assert_eq!(spans, [(-79, 1), (-18 + 78, 1)]);
    let deltas: Vec<i64> = of(13).map(Held::zigzag).collect();
    assert_eq!(deltas, [2, -1], "two times, then one");
    let empty = fields(responses[0][1].1.bytes());
    assert!(empty.iter().any(|(field, _)| *field == 12), "an empty native histogram says that it is one");
}
