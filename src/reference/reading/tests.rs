//! Readings as they come, and what is refused.

use super::*;
use crate::reference::answer::Reason;

#[test]
fn readings_parse_and_faults_name_what_is_missing() {
    let reading =
        Reading::parse(br#"{"device":"m-1","seq":42,"intended_ns":7,"value":21.5,"unit":"C"}"#).unwrap();
    let expected = Reading { device: "m-1".into(), seq: 42, value: 21.5, ..Reading::default() };
    assert_eq!(reading, Reading { taken_ns: Some(7), ..expected });
    let urgent = Reading::parse(br#"{"device":"m-1","seq":1,"value":1,"priority":"critical"}"#).unwrap();
    assert_eq!(urgent.priority, Some(Priority::Critical));
    let long = format!(r#"{{"device":"{}","seq":1,"value":1}}"#, "x".repeat(129));
    for (text, reason) in [
        ("", "not a reading"),
        ("[]", "not a reading"),
        (r#"{"device":"m","seq":-1,"value":1}"#, "not a reading"),
        (r#"{"device":"m","seq":1,"value":1e999}"#, "not a reading"),
        (r#"{"device":"m","seq":1}"#, "`value`"),
        (r#"{"device":"","seq":1,"value":1}"#, "`device`"),
        (r#"{"device":"m","seq":1,"value":1,"priority":"urgent"}"#, "`priority`"),
        (long.as_str(), "`device`"),
    ] {
        let bad = Reading::parse(text.as_bytes()).unwrap_err();
        assert!(bad.reason.contains(reason), "{text}: {}", bad.reason);
        assert!(bad.encode().starts_with(r#"{"type":"error","#), "{}", bad.encode());
    }
    let bad = Reading::parse(br#"{"device":"m","seq":9}"#).unwrap_err();
    assert_eq!((bad.device.as_deref(), bad.seq), (Some("m"), Some(9)));
    assert!(Reading::parse(b"\xff\xfe").is_err());
}

#[test]
fn answers_have_the_form_of_the_contract() {
    let stages = StageTimes {
        queue_ns: 1200,
        features_ns: 400,
        cache_ns: 300,
        inference_ns: 51_000,
        ..StageTimes::default()
    };
    let id = |device: &str, seq, run| ReadingId { device: device.into(), seq, run };
    let mut verdict = Verdict {
        id: id("m-1", 42, None),
        score: 0.130_04,
        anomaly: false,
        level: Level::None,
        tier: Tier::Miss,
        model: 1,
        arm: None,
        duplicate: false,
        defects: Defects::default(),
        stages,
        arrived: Tick(1_000),
    };
    verdict.handed_over(Tick(55_000));
    assert_eq!(
        verdict.encode(),
        r#"{"type":"verdict","device":"m-1","seq":42,"score":0.13,"anomaly":false,"level":"none","cache":"miss","model":1,"stages":{"queue_ns":1200,"features_ns":400,"cache_ns":300,"inference_ns":51000,"reply_ns":1100,"total_ns":54000}}"#
    );
    let shed = |run| Shed { id: id("m", 1, run), reason: Reason::QueueFull, retry_ms: 1_000 };
    assert_eq!(
        shed(None).encode(),
        r#"{"type":"shed","device":"m","seq":1,"reason":"queue_full","retry_after_ms":1000}"#
    );
    let token = RunToken::of("k3x9q2ab");
    verdict.id.run = token;
    let failed = Answer::Failed(id("m", 1, token)).encode(Tick(0));
    for answer in [verdict.encode(), shed(token).encode(), failed] {
        assert!(answer.contains(r#","run":"k3x9q2ab","#), "{answer}");
    }
}

fn cbor(device: &str, seq: u64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    let text = |text: &str| ciborium::Value::Text(text.into());
    let map = vec![
        (text("extra"), ciborium::Value::Array(vec![ciborium::Value::Null])),
        (text("device"), text(device)),
        (text("seq"), ciborium::Value::Integer(seq.into())),
        (text("value"), ciborium::Value::Float(value)),
    ];
    ciborium::into_writer(&ciborium::Value::Map(map), &mut out).unwrap();
    out
}

fn layout_1(device: &str, seq: u64, values: &[f64], padding: usize) -> Vec<u8> {
    let mut out = vec![1, device.len() as u8];
    out.extend_from_slice(device.as_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&7_u64.to_be_bytes());
    out.push(values.len() as u8);
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    out.resize(out.len() + padding, 0);
    out
}

#[test]
fn the_first_byte_tells_the_encoding() {
    let expected = Reading { device: "m-1".into(), seq: 42, value: -2.5, ..Reading::default() };
    let json = br#"{"device":"m-1","seq":42,"value":-2.5,"extra":[null]}"#;
    for bytes in [
        json.to_vec(),
        cbor("m-1", 42, -2.5),
        layout_1("m-1", 42, &[-2.5, 9.0], 0),
        layout_1("m-1", 42, &[-2.5], 77),
    ] {
        let taken_ns = matches!(bytes[0], 1 | 2).then_some(7);
        assert_eq!(Reading::parse(&bytes), Ok(Reading { taken_ns, ..expected.clone() }));
    }
    let mut layout_2 = b"\x02k3x9q2ab".to_vec();
    layout_2.extend_from_slice(&layout_1("m-1", 42, &[-2.5], 0)[1..]);
    let json = br#"{"device":"m-1","run":"k3x9q2ab","seq":42,"value":-2.5,"intended_ns":7}"#;
    for bytes in [json.to_vec(), layout_2] {
        let run = RunToken::of("k3x9q2ab");
        assert_eq!(Reading::parse(&bytes), Ok(Reading { taken_ns: Some(7), run, ..expected.clone() }));
    }
    let of_another_kind = br#"{"device":"m-1","run":"Monday","seq":42,"value":-2.5}"#;
    assert_eq!(Reading::parse(of_another_kind), Ok(expected));
}

#[test]
fn a_reading_is_read_by_its_schema_and_an_unknown_one_refused() {
    let of =
        |more: &str| Reading::parse(format!(r#"{{"device":"m-1","seq":42,"value":-2.5{more}}}"#).as_bytes());
    let plain = || Reading { device: "m-1".into(), seq: 42, value: -2.5, ..Reading::default() };
    let second = || Reading { taken_ns: Some(7), class: Some("pumps".into()), ..plain() };
    let first = Reading { taken_ns: Some(7), ..plain() };
    for (more, expected) in [
        ("", plain()),
        (r#","schema":1,"intended_ns":7,"taken_ns":8,"class":"pumps""#, first),
        (r#","schema":2,"intended_ns":8,"taken_ns":7,"class":"pumps""#, second()),
        (r#","schema":2.0,"taken_ns":7,"class":"pumps""#, second()),
        (r#","schema":2"#, plain()),
        // What schema 1 does not have may be anything.
        (r#","taken_ns":"noon","class":{"of":2}"#, plain()),
        (r#","truth":3"#, Reading { truth: Some(3), ..plain() }),
        (r#","truth":0"#, Reading { truth: Some(0), ..plain() }),
        (r#","truth":"beauty""#, plain()),
    ] {
        assert_eq!(of(more), Ok(expected), "{more}");
    }
    assert_eq!((second().class(), plain().class()), ("pumps", "m-1"));
    for (more, reason) in [
        (r#","schema":3"#, "schema 3 of readings is unknown; there are 1 and 2"),
        (r#","schema":0"#, "schema 0 of readings is unknown; there are 1 and 2"),
        (r#","schema":"two""#, "`schema` is a whole number; there are 1 and 2"),
        (r#","schema":2,"taken_ns":"noon""#, "`taken_ns` is a whole number"),
        (r#","schema":2,"class":"""#, "`class` has 1 to 128 characters"),
    ] {
        let bad = of(more).unwrap_err();
        assert_eq!((bad.device.as_deref(), bad.seq, bad.reason.as_str()), (Some("m-1"), Some(42), reason));
    }
    let missing = Reading::parse(br#"{"schema":3,"device":"m-1","seq":42,"reading":1}"#).unwrap_err();
    assert!(missing.reason.starts_with("schema 3"), "nothing is asked of it by names it may not have");
}

#[test]
fn what_is_no_reading_says_so_in_every_encoding() {
    let mut trailing = cbor("m-1", 1, 0.0);
    trailing.push(0);
    for (bytes, reason) in [
        (cbor("m-1", 1, f64::NAN), "not a finite number"),
        (layout_1("m-1", 1, &[f64::INFINITY], 0), "not a finite number"),
        (layout_1("m-1", 1, &[], 0), "a reading needs"),
        (layout_1("m-1", 1, &[1.0], 0)[..20].to_vec(), "cut short"),
        (vec![1], "cut short"),
        (vec![1, 2, 0xff, 0xfe], "cut short or not UTF-8"),
        (cbor("m-1", 1, 0.0)[..9].to_vec(), "in CBOR"),
        (trailing, "bytes follow it"),
        (cbor("", 1, 0.0), "a reading needs"),
        (vec![3, 1, b'm'], "layout 3 is unknown; there are 1 and 2"),
    ] {
        let bad = Reading::parse(&bytes).unwrap_err();
        assert!(bad.reason.contains(reason), "{bytes:?}: {}", bad.reason);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        first in proptest::sample::select(vec![1_u8, 2, 0xa3, 0xbf, b'{', 0]),
        rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
    ) {
        let bytes: Vec<u8> = std::iter::once(first).chain(rest).collect();
        let _ = Reading::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..60, with in proptest::prelude::any::<u8>(), form in 0..3) {
        let mut bytes = match form {
            0 => cbor("m-1", 42, -2.5),
            1 => layout_1("m-1", 42, &[-2.5, 1.0], 3),
            _ => br#"{"device":"m-1","seq":42,"value":-2.5}"#.to_vec(),
        };
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        if let Ok(reading) = Reading::parse(&bytes) {
            proptest::prop_assert!(reading.value.is_finite());
        }
    }
}
