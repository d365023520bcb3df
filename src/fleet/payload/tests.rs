//! Encodings read back by readers of other hands.

use ciborium::Value as Cbor;
use proptest::prelude::*;

use super::*;
use crate::clock::Tick;
use crate::fleet::{AnomalySpec, Channel, ClockSpec, Device, Shape, SignalSpec, Tracing, Values};
use crate::record::{AnomalyKind, AnomalyMark};
use crate::seed::Seed;

fn device(names: &[&str], payload: Payload, clock: ClockSpec) -> Device {
    traced(names, payload, clock, None)
}

fn traced(names: &[&str], payload: Payload, clock: ClockSpec, trace: Option<Tracing>) -> Device {
    let signal =
        SignalSpec { shape: Shape::Constant { level: 0.0 }, noise: 0.0, anomalies: AnomalySpec::default() };
    let channels =
        names.iter().map(|name| Channel { name: (*name).into(), signal: signal.clone() }).collect();
    Device::new(
        &Arc::new(DeviceModel { fleet: "meters".into(), channels, payload, clock, trace }),
        17,
        Tick::ZERO,
        Seed(1),
    )
}

fn reading(seq: u64, intended: u64, values: &[f64]) -> Reading {
    let values = match values {
        [one] => Values::One(*one),
        many => Values::Many(many.into()),
    };
    Reading { seq, intended: Tick(intended), values, mark: None }
}

fn encoded(device: &Device, reading: &Reading) -> Vec<u8> {
    let mut out = Vec::new();
    device.encode(reading, RUN, &mut out);
    out
}

fn of(format: Format, size: Option<u32>) -> Payload {
    Payload { format, size: size.map(SizeDistribution::Fixed), ..Payload::default() }
}

const RUN: RunFacts = RunFacts { epoch_ns: 0, token: Some(RunToken::UNSET) };

const SKEWED: ClockSpec = ClockSpec { offset_ns: 1_000_000, drift_ppm: 0.0 };

#[test]
fn the_documented_form_is_the_exact_form() {
    let plain = device(&["value"], Payload::default(), ClockSpec::default());
    let text = String::from_utf8(encoded(&plain, &reading(42, 123_456_789, &[21.5]))).unwrap();
    assert_eq!(text, r#"{"device":"meters-00017","seq":42,"intended_ns":123456789,"value":21.5}"#);
    let two = device(&["value", "hum_2"], of(Format::Json, Some(120)), ClockSpec::default());
    let text = String::from_utf8(encoded(&two, &reading(1, 2, &[-0.5, 3.0]))).unwrap();
    let start = r#"{"device":"meters-00017","seq":1,"intended_ns":2,"value":-0.5,"hum_2":3,"pad":"xx"#;
    assert!(text.starts_with(start) && text.len() == 120, "{text}");
}

#[test]
fn the_second_schema_has_one_key_more_and_one_by_another_name() {
    let mut second = Payload { schema: Some(2), ..Payload::default() };
    let text = |device: &Device, at| String::from_utf8(encoded(device, &reading(42, at, &[21.5]))).unwrap();
    let new = device(&["value"], second.clone(), ClockSpec::default());
    let expected =
        r#"{"schema":2,"device":"meters-00017","class":"meters","seq":42,"taken_ns":7,"value":21.5}"#;
    assert_eq!(text(&new, 7), expected);
    // A device that is upgraded speaks it from then on.
    let mut upgraded = device(&["value"], Payload::default(), ClockSpec::default());
    upgraded.upgrade(Tick(7), 2);
    assert_eq!(text(&upgraded, 7), expected);
    assert_eq!(text(&upgraded, 6), r#"{"device":"meters-00017","seq":42,"intended_ns":6,"value":21.5}"#);
    second.format = Format::Cbor;
    let bytes = encoded(&device(&["value"], second, ClockSpec::default()), &reading(42, 7, &[21.5]));
    let Cbor::Map(entries) = ciborium::from_reader(&*bytes).unwrap() else { panic!("no map") };
    let keys: Vec<_> = entries.iter().filter_map(|(key, _)| key.as_text()).collect();
    assert_eq!(keys, ["schema", "device", "class", "seq", "taken_ns", "value"]);
}

#[test]
fn readings_tell_the_truth_where_they_are_to() {
    let mark = |episode| AnomalyMark { kind: AnomalyKind::Spike, episode, onset: true };
    for (format, mark, expected) in [
        (Format::Json, None, 0),
        (Format::Json, Some(mark(3)), 3),
        (Format::Cbor, Some(mark(3)), 3),
        (Format::Cbor, None, 0),
    ] {
        let payload = Payload { format: format.clone(), truth: true, ..Payload::default() };
        let shown = Reading { mark, ..reading(1, 2, &[3.0]) };
        let bytes = encoded(&device(&["value"], payload, ClockSpec::default()), &shown);
        let told = if format == Format::Json {
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["truth"].as_u64()
        } else {
            let Cbor::Map(entries) = ciborium::from_reader(&*bytes).unwrap() else { panic!("no map") };
            let found = entries.into_iter().find(|(key, _)| *key == Cbor::from("truth"));
            found.and_then(|(_, value)| value.into_integer().ok()?.try_into().ok())
        };
        assert_eq!(told, Some(expected), "{format:?} {mark:?}");
    }
}

#[test]
fn a_map_reaches_its_size_however_many_entries_it_has() {
    let names: Vec<String> = (0..16).map(|nth| format!("c{nth}")).collect();
    for (truth, schema) in [(false, None), (true, None), (true, Some(2)), (false, Some(2))] {
        for (channels, run) in [(16, true), (16, false), (15, true), (14, true), (1, false)] {
            let payload = Payload { run, truth, schema, ..of(Format::Cbor, Some(600)) };
            let names: Vec<&str> = names[..channels].iter().map(String::as_str).collect();
            let bytes = encoded(&device(&names, payload, SKEWED), &reading(1, 2, &vec![1.0; channels]));
            let Cbor::Map(entries) = ciborium::from_reader(&*bytes).unwrap() else { panic!("no map") };
            let keys =
                5 + channels + usize::from(run) + usize::from(truth) + 2 * usize::from(schema.is_some());
            assert_eq!((bytes.len(), entries.len()), (600, keys), "{channels} {run} {truth} {schema:?}");
        }
    }
}

#[test]
fn built_in_encodings_hold_a_trace_context_where_they_are_to_and_keep_their_size() {
    let tracing = Tracing { share: 1.0, field: Some("trace_parent".into()) };
    let held = TraceContext::of(RunToken::UNSET, "meters-00017", Traced::Reading(42), 1.0).to_string();
    let of = |format, size| traced(&["value"], of(format, size), ClockSpec::default(), Some(tracing.clone()));
    let reading = reading(42, 123_456_789, &[21.5]);
    let text = String::from_utf8(encoded(&of(Format::Json, None), &reading)).unwrap();
    let expected = format!(
        r#"{{"device":"meters-00017","seq":42,"intended_ns":123456789,"trace_parent":"{held}","value":21.5}}"#
    );
    assert_eq!(text, expected);
    assert_eq!(encoded(&of(Format::Json, Some(200)), &reading).len(), 200);
    let bytes = encoded(&of(Format::Cbor, Some(200)), &reading);
    assert_eq!(bytes.len(), 200);
    let Cbor::Map(entries) = ciborium::from_reader(&*bytes).unwrap() else { panic!("no map") };
    let found = entries.into_iter().find(|(key, _)| *key == Cbor::from("trace_parent"));
    assert_eq!(found.map(|(_, value)| value), Some(Cbor::from(held)));
    // Where only the plan is written down, there is no run to be found in.
    let mut out = Vec::new();
    of(Format::Json, None).encode(&reading, RunFacts::default(), &mut out);
    assert!(!String::from_utf8(out).unwrap().contains("trace_parent"));
}

#[test]
fn built_in_encodings_name_the_run_where_they_are_to_and_keep_their_size() {
    let named = |format| Payload { run: true, ..of(format, None) };
    let told = |device: &Device, token: Option<&str>| {
        let mut out = Vec::new();
        let run = RunFacts { epoch_ns: 0, token: token.and_then(RunToken::of) };
        device.encode(&reading(42, 7, &[21.5]), run, &mut out);
        out
    };
    for format in [Format::Json, Format::Cbor, Format::Binary] {
        let device = |payload| device(&["value"], payload, ClockSpec::default());
        let (with, without) = (device(named(format.clone())), device(of(format.clone(), None)));
        let (one, other) = (told(&with, Some("k3x9q2ab")), told(&with, Some("zzzzzzzz")));
        assert_eq!((one.len(), one == told(&with, Some("k3x9q2ab"))), (other.len(), true), "{format:?}");
        assert_ne!(one, other, "{format:?}");
        assert_eq!(
            told(&without, Some("k3x9q2ab")),
            told(&with, None),
            "the plan alone names no run: {format:?}"
        );
        match format {
            Format::Json => assert_eq!(
                String::from_utf8(one).unwrap(),
                r#"{"device":"meters-00017","run":"k3x9q2ab","seq":42,"intended_ns":7,"value":21.5}"#
            ),
            Format::Cbor => assert!(cbor_map(&one).contains(&("run".into(), Cbor::Text("k3x9q2ab".into())))),
            _ => {
                assert_eq!(&one[..9], b"\x02k3x9q2ab");
                assert_eq!(one[9..], told(&without, None)[1..]);
            }
        }
    }
}

#[test]
fn values_are_rounded_to_four_decimals_without_trailing_zeros() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.000_04, "0"),
        (-0.000_06, "-0.0001"),
        (20.0, "20"),
        (1.05, "1.05"),
        (-3.000_1, "-3.0001"),
        (0.123_46, "0.1235"),
        (99.999_96, "100"),
        (1e12, "1000000000000"),
    ] {
        let mut out = Vec::new();
        decimal(value, &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), text, "{value}");
    }
}

/// The keys and values of a CBOR map, by a decoder of other hands that must use up all bytes.
fn cbor_map(bytes: &[u8]) -> Vec<(String, Cbor)> {
    let mut rest = bytes;
    let value: Cbor = ciborium::from_reader(&mut rest).unwrap();
    assert!(rest.is_empty(), "bytes are left over");
    let entries = value.into_map().unwrap();
    entries.into_iter().map(|(key, value)| (key.into_text().unwrap(), value)).collect()
}

/// A reader of layout 1 that follows its description alone.
fn read_binary(bytes: &[u8]) -> (String, u64, u64, Vec<f64>, usize) {
    assert_eq!(bytes[0], 1);
    let (name, rest) = bytes[2..].split_at(usize::from(bytes[1]));
    let word = |at: usize| u64::from_be_bytes(rest[at..at + 8].try_into().unwrap());
    let count = usize::from(rest[16]);
    let values = (0..count).map(|nth| f64::from_bits(word(17 + 8 * nth))).collect();
    let padding = &rest[17 + 8 * count..];
    assert!(padding.iter().all(|byte| *byte == 0));
    (String::from_utf8(name.to_vec()).unwrap(), word(0), word(8), values, padding.len())
}

proptest! {
    #[test]
    fn readers_of_other_hands_give_the_reading_back(
        seq in any::<u64>(), intended in 0..=i64::MAX as u64,
        values in prop::collection::vec(-1e9..1e9_f64, 1..=16), size in prop::option::of(0_u32..3_000), skewed in any::<bool>()
    ) {
        let names: Vec<String> = (0..values.len()).map(|nth| format!("c{nth}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let clock = if skewed { SKEWED } else { ClockSpec::default() };
        let reading = reading(seq, intended, &values);
        let bare = |format: &Format| {
            encoded(&device(&names, of(format.clone(), None), clock), &reading).len()
        };
        for format in [Format::Json, Format::Cbor, Format::Binary] {
            let bytes = encoded(&device(&names, of(format.clone(), size), clock), &reading);
            // Padding reaches the size exactly, or is left away where its own frame does not fit.
            let least = bare(&format);
            let wanted = size.map_or(0, |size| size as usize);
            if wanted >= least + 10 {
                prop_assert!(bytes.len() == wanted || (format == Format::Cbor && wanted - bytes.len() <= 2));
            } else {
                prop_assert!(bytes.len() <= least.max(wanted));
            }
            match format {
                Format::Json => {
                    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                    prop_assert_eq!(&json["device"], "meters-00017");
                    prop_assert_eq!(json["seq"].as_u64(), Some(seq));
                    prop_assert_eq!(json["intended_ns"].as_u64(), Some(intended));
                    prop_assert_eq!(json["device_ns"].is_i64() || json["device_ns"].is_u64(), skewed);
                    for (name, value) in names.iter().zip(&values) {
                        prop_assert!((json[*name].as_f64().unwrap() - value).abs() <= 0.5e-4 + 1e-6);
                    }
                }
                Format::Cbor => {
                    let map = cbor_map(&bytes);
                    let get = |key: &str| map.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
                    prop_assert_eq!(get("device"), Some(Cbor::Text("meters-00017".into())));
                    prop_assert_eq!(get("seq"), Some(Cbor::Integer(seq.into())));
                    prop_assert_eq!(get("intended_ns"), Some(Cbor::Integer(intended.into())));
                    prop_assert_eq!(get("device_ns").is_some(), skewed);
                    for (name, value) in names.iter().zip(&values) {
                        prop_assert_eq!(get(name), Some(Cbor::Float(*value)));
                    }
                }
                _ => {
                    let (name, found_seq, found_intended, found, _) = read_binary(&bytes);
                    prop_assert_eq!((name.as_str(), found_seq, found_intended), ("meters-00017", seq, intended));
                    prop_assert_eq!(found, values.clone());
                }
            }
        }
    }
}

#[test]
fn devices_tell_their_own_clocks_ahead_and_behind() {
    let signal =
        SignalSpec { shape: Shape::Constant { level: 0.0 }, noise: 0.0, anomalies: AnomalySpec::default() };
    let channels = vec![Channel { name: "value".into(), signal }];
    let model = |format| {
        let payload = of(format, None);
        let channels = channels.clone();
        Arc::new(DeviceModel { fleet: "meters".into(), channels, payload, clock: SKEWED, trace: None })
    };
    let (json, cbor) = (model(Format::Json), model(Format::Cbor));
    let (mut ahead, mut behind) = (0, 0);
    for index in 0..50 {
        let context = |model: &Arc<DeviceModel>| {
            encoded(&Device::new(model, index, Tick::ZERO, Seed(1)), &reading(1, 0, &[0.0]))
        };
        let text: serde_json::Value = serde_json::from_slice(&context(&json)).unwrap();
        let own = text["device_ns"].as_i64().unwrap();
        assert!(own.abs() <= 1_000_000, "{own}");
        let map = cbor_map(&context(&cbor));
        assert!(map.contains(&("device_ns".to_owned(), Cbor::Integer(own.into()))), "{own}");
        ahead += u32::from(own > 0);
        behind += u32::from(own < 0);
    }
    assert!(ahead > 10 && behind > 10);
}
