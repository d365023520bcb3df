//! Templates: what they say, what they refuse, and that they say the same again.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Tick;
use crate::fleet::{
    AnomalySpec, Channel, ClockSpec, Device, DeviceModel, Format, Payload, RunFacts, Shape, SignalSpec,
    SizeDistribution, Tracing,
};
use crate::seed::Seed;

const CHANNELS: [&str; 2] = ["value", "humidity"];

fn device(text: &str, size: Option<SizeDistribution>) -> Device {
    let template = Template::parse(text, &CHANNELS, Scope::Reading).unwrap_or_else(|error| panic!("{error}"));
    let signal = |level| SignalSpec {
        shape: Shape::Constant { level },
        noise: 0.0,
        anomalies: AnomalySpec::default(),
    };
    let channels = CHANNELS
        .iter()
        .zip([21.5, 40.25])
        .map(|(name, level)| Channel { name: (*name).into(), signal: signal(level) });
    let model = DeviceModel {
        fleet: "meters".into(),
        channels: channels.collect(),
        payload: Payload { format: Format::Template(Arc::new(template)), size, ..Payload::default() },
        clock: ClockSpec::default(),
        trace: Some(Tracing { share: 1.0, field: None }),
    };
    Device::new(&Arc::new(model), 17, Tick::ZERO, Seed(1))
}

fn said(device: &mut Device, at: u64) -> String {
    let reading = device.reading(Tick(at));
    let run = RunFacts { epoch_ns: 1_700_000_000_000_000_000, token: RunToken::of("k3x9q2ab") };
    let (mut one, mut again) = (Vec::new(), Vec::new());
    device.encode(&reading, run, &mut one);
    device.encode(&reading, run, &mut again);
    assert_eq!(one, again, "the same reading says the same again");
    String::from_utf8(one).unwrap()
}

#[test]
fn placeholders_stand_for_what_they_name() {
    for (text, expected) in [
        ("", ""),
        ("plain {x}", "plain {x}"),
        ("{{device}}|{{ fleet }}|{{index}}|{{run}}", "meters-00017|meters|17|k3x9q2ab"),
        ("{{seq}} {{intended_ns}} {{device_ns}}", "1 1500000000 1500000000"),
        ("{{unix_s}} {{unix_ms}} {{unix_ns}}", "1700000001 1700000001500 1700000001500000000"),
        ("{{rfc3339}}", "2023-11-14T22:13:21.500Z"),
        ("{{traceparent}}", "00-087d169cc4df1f45a16757029a543d74-febf56ffe348e34f-01"),
        ("{{value}} {{humidity}}", "21.5 40.25"),
        ("{{{{device}} {{device}}", "{{device}} meters-00017"),
        ("{{int 7 7}} {{float 2.5 2.5}} {{choice on}}", "7 2.5 on"),
        ("<{{pad}}>", "<>"),
    ] {
        assert_eq!(said(&mut device(text, None), 1_500_000_000), expected, "{text}");
    }
}

#[test]
fn random_fields_are_drawn_within_their_bounds_and_anew_for_every_reading() {
    let mut device = device("{{int -2 3}} {{float 0 1}} {{hex 8}} {{choice a|b|long word}} {{uuid}}", None);
    let said: Vec<String> = (0..500).map(|n| said(&mut device, n)).collect();
    let mut ints = [0; 6];
    for line in &said {
        let (int, rest) = line.split_once(' ').unwrap();
        ints[usize::try_from(int.parse::<i64>().unwrap() + 2).unwrap()] += 1;
        let (float, rest) = rest.split_once(' ').unwrap();
        assert!((0.0..=1.0).contains(&float.parse::<f64>().unwrap()));
        let (hex, rest) = rest.split_once(' ').unwrap();
        assert!(hex.len() == 8 && u32::from_str_radix(hex, 16).is_ok());
        let (choice, uuid) = rest.rsplit_once(' ').unwrap();
        assert!(["a", "b", "long word"].contains(&choice));
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }
    assert!(ints.iter().all(|count| (40..130).contains(count)), "{ints:?}");
    let distinct: std::collections::BTreeSet<_> = said.iter().collect();
    assert_eq!(distinct.len(), said.len());
}

#[test]
fn padding_reaches_the_size_where_it_stands() {
    let mut fixed = device("{\"p\":\"{{pad}}\",\"v\":{{value}}}", Some(SizeDistribution::Fixed(64)));
    let text = said(&mut fixed, 0);
    assert_eq!(text.len(), 64);
    assert!(text.starts_with("{\"p\":\"xxx") && text.ends_with("\",\"v\":21.5}"), "{text}");
    assert_eq!(said(&mut device("no room to pad", Some(SizeDistribution::Fixed(64))), 0), "no room to pad");
    let mut drawn = device("{{pad}}", Some(SizeDistribution::Uniform { least: 10, most: 20 }));
    assert!((0..100).all(|n| (10..=20).contains(&said(&mut drawn, n).len())));
}

#[test]
fn what_is_no_template_says_where_and_what_to_write() {
    use Scope::{Device as D, Reading as R};
    for (text, scope, at, message, help) in [
        (
            "a {{device",
            R,
            2..10,
            "a placeholder is not closed",
            "write {{name}}, or {{{{ for the characters {{",
        ),
        ("{{devise}}", R, 0..10, "`devise` is not a valid placeholder here", "did you mean {{device}}?"),
        ("{{humidty}}", R, 0..11, "`humidty` is not a valid placeholder here", "did you mean {{humidity}}?"),
        (
            "{{}}",
            R,
            0..4,
            "`` is not a valid placeholder here",
            "known here: device, fleet, index, run, seq, intended_ns, device_ns, unix_s, unix_ms, unix_ns, rfc3339, traceparent, value, int, float, hex, choice, uuid, pad, value, humidity",
        ),
        (
            "x{{seq}}",
            D,
            1..8,
            "`seq` is not a valid placeholder here",
            "this is said once per connection: write {{device}}, {{fleet}}, {{index}} or {{run}}",
        ),
        ("{{seq 1}}", R, 0..9, "`seq` takes nothing behind it", "write {{seq}}"),
        (
            "{{int 3 1}}",
            R,
            0..11,
            "`int 3 1` draws nothing",
            "write whole numbers, the smaller first: {{int 1 6}}",
        ),
        ("{{int}}", R, 0..7, "`int ` draws nothing", "write two whole numbers: {{int 1 6}}"),
        (
            "{{float 0 nan}}",
            R,
            0..15,
            "`float 0 nan` draws nothing",
            "write numbers, the smaller first: {{float 0 1}}",
        ),
        ("{{hex 0}}", R, 0..9, "`hex 0` draws nothing", "write a number of digits: {{hex 16}}"),
        ("{{choice}}", R, 0..10, "`choice ` draws nothing", "write words to choose from: {{choice on|off}}"),
        ("{{pad}}{{pad}}", R, 7..14, "`pad` stands there twice", "keep one of them"),
    ] {
        let error = Template::parse(text, &CHANNELS, scope).unwrap_err();
        assert_eq!((error.at, error.message.as_str(), error.help.as_str()), (at, message, help), "{text}");
    }
}

#[test]
fn templates_know_what_they_name() {
    for (text, per_reading, draws) in [
        ("devices/x", false, false),
        ("devices/{{device}}", false, false),
        ("devices/{{run}}", false, false),
        ("devices/{{device}}/{{seq}}", true, false),
        ("{{uuid}}", true, true),
    ] {
        let template = Template::parse(text, &[], Scope::Reading).unwrap();
        assert_eq!((template.per_reading(), template.draws()), (per_reading, draws));
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\{\\{|\\}\\}|int|hex|choice|float|pad|device| |[0-9-]|\\PC){0,24}") {
        if let Ok(template) = Template::parse(&text, &CHANNELS, Scope::Reading) {
            // Long random fields are sound and slow; what they draw is tested above.
            prop_assume!(!template.parts.iter().any(|part| matches!(part, TemplatePart::Hex(n) if *n > 100)));
            let mut device = device(&text, Some(SizeDistribution::Fixed(50)));
            said(&mut device, 1);
        }
    }
}
